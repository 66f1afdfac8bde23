"""Why a schedule will or will not run next, and what became of a run (docs/explain.md).

Pure: facts in, an answer out. The gates stand in the order in which they count: the
first that holds something back is the answer, the others are told beneath it.
"""

from __future__ import annotations

from collections.abc import Sequence

from boe_reconciler.core.explain import gates, outcomes
from boe_reconciler.core.explain.facts import REASONS, Explanation, Facts, Gate

__all__ = ["GATES", "REASONS", "RUN_GATES", "Explanation", "Facts", "Gate", "explain"]

#: What may hold the next run of a schedule back, in the order of precedence.
GATES = {
    "exists": gates.exists,
    "file": gates.file,
    "paused_in_git": gates.paused_in_git,
    "paused": gates.paused,
    "timetable": gates.timetable,
    "serving": gates.serving,
    "clock": gates.clock,
    "running": gates.going_on,
    "wait_for": gates.wait_for,
    "hold": gates.hold,
    "retry": gates.waiting,
    "jitter": gates.jitter,
    "overlap": gates.overlap,
    "connection": gates.connection,
    "workers": gates.workers,
    "lost": gates.lost,
    "day_off": gates.day_off,
    "due": gates.time,
    "last_run": outcomes.last_run,
}
#: Gates that only a schedule has.
_OF_SCHEDULES = ("exists", "file", "timetable", "day_off", "last_run")
#: What may hold a run back that is there, in the same order.
RUN_GATES = {name: look for name, look in GATES.items() if name not in _OF_SCHEDULES}
#: Without a version that is served there is nothing more to ask.
_NOTHING_MORE = ("unknown_name", "removed", "invalid", "held")


def explain(facts: Facts) -> Explanation:
    """The answer for a schedule, for a run that is open, or for one that is over."""
    run = facts.run
    if run is not None and run.status.final:
        return _answer([outcomes.ended(facts, run)])
    if facts.asked != facts.name and run is None:
        return _answer([outcomes.without_row(facts)])
    found: list[Gate] = []
    for name, look in (GATES if facts.asked == facts.name else RUN_GATES).items():
        gate = look(facts) or Gate(gate=name, passed=True)
        if gate.reason_code == "starting" and any(one.decides for one in found):
            gate = Gate(gate=name, passed=True)
        found.append(gate)
        if gate.reason_code in _NOTHING_MORE and gate.decides:
            break
    return _answer(found)


def _answer(found: Sequence[Gate]) -> Explanation:
    """The first gate that decides; else the first that has something to say."""
    deciding = [gate for gate in found if gate.decides]
    telling = [gate for gate in found if gate.text]
    first = (deciding or telling)[0]
    return Explanation(
        verdict=first.verdict,
        reason_code=first.reason_code,
        place=first.place,
        text=first.text,
        gates=found,
    )
