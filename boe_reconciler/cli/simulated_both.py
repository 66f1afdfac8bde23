"""Two revisions over one span, as they are told: the runs that differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boe_reconciler.cli.output import local, say, say_json, say_table, utc
from boe_reconciler.cli.simulated import (
    OUTCOMES,
    SHOWN,
    assumed_json,
    later,
    outcome_of,
    peak_json,
    run_json,
)
from boe_reconciler.core.simulate import described, note
from boe_reconciler.core.simulate.differences import Difference, Kind, differences

if TYPE_CHECKING:
    from boe_reconciler.core.changes.impact.pairs import Pair, Side
    from boe_reconciler.core.simulate import Assumed, Peak, Simulated, Simulation
    from boe_reconciler.core.spec import PlannedSchedule

_STYLES = {Kind.LOST: "red", Kind.STOPS: "red", Kind.LATE: "red", Kind.ADDED: "green"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    revision: str
    chosen: Sequence[PlannedSchedule]
    found: Simulation


class ToldBoth:
    def __init__(
        self,
        before: Revision,
        after: Revision,
        *,
        pairs: Sequence[Pair],
        assumed: Assumed,
    ) -> None:
        self._sides = before, after
        self._assumed = assumed
        self._pairs = {pair.name: pair for pair in pairs}
        self._found = differences(
            before.found.runs,
            after.found.runs,
            renamed={
                pair.before.planned.name: pair.name for pair in pairs if pair.before
            },
            zones={
                pair.name: side.zone
                for pair in pairs
                if (side := pair.after or pair.before)
            },
        )

    def as_json(self) -> None:
        before, after = self._sides
        say_json(
            {
                "format_version": "1.0",
                "base": before.revision,
                "head": after.revision,
                "from": utc(self._assumed.since),
                "to": utc(self._assumed.until),
                "assumed": assumed_json(self._assumed),
                "counts": self._counts(),
                "differences": [self._json(one) for one in self._found],
                "schedules": self._summary(),
                "load": {
                    "before": _load_json(before.found),
                    "after": _load_json(after.found),
                },
            }
        )

    def as_text(self) -> None:
        shown = self._found[:SHOWN]
        if shown:
            headers = ["", "schedule", "due before", "due after", "what"]
            say_table(headers, [self._row(one) for one in shown])
        left = len(self._found) - len(shown)
        if left:
            say(f"{left:,} more are not shown; --format json has them all.")
        if shown:
            say()
        for kind, count in self._counts().items():
            say(f"{count:,} {kind}", _STYLES.get(Kind(kind), ""))
        if not self._found:
            say("No run differs.", "green")
        self._say_load()

    def _counts(self) -> dict[str, int]:
        counts = Counter(one.kind for one in self._found)
        return {kind.value: counts[kind] for kind in Kind if counts[kind]}

    def _summary(self) -> list[dict[str, Any]]:
        """The outcomes of each Schedule that differs."""
        differ = {one.schedule for one in self._found}
        counts = [
            Counter((run.schedule, outcome_of(run)) for run in side.found.runs)
            for side in self._sides
        ]
        return [
            {
                "schedule": name,
                "before": _outcomes(counts[0], pair.before),
                "after": _outcomes(counts[1], pair.after),
            }
            for name, pair in self._pairs.items()
            if name in differ
        ]

    def _json(self, one: Difference) -> dict[str, Any]:
        pair = self._pairs[one.schedule]
        return {
            "kind": one.kind.value,
            "schedule": one.schedule,
            "before": _run_json(one.before, pair.before),
            "after": _run_json(one.after, pair.after),
        }

    def _row(self, one: Difference) -> list[str]:
        pair = self._pairs[one.schedule]
        return [
            one.kind.value,
            one.schedule,
            _due(one.before, pair.before),
            _due(one.after, pair.after),
            described(one.after) if one.after else self._why(one),
        ]

    def _why(self, one: Difference) -> str:
        after = self._pairs[one.schedule].after
        if after is None:
            return "the schedule is removed"
        return "paused" if after.planned.paused else "not due"

    def _say_load(self) -> None:
        before, after = (side.found for side in self._sides)
        say()
        say(
            f"Most that start in a minute: {_peak(before.starts)}, then {_peak(after.starts)}."
        )
        say(
            f"Most that run at once: {_peak(before.at_once)}, then {_peak(after.at_once)}."
        )


def _due(run: Simulated | None, side: Side | None) -> str:
    if run is None or side is None:
        return ""
    due = local(run.occurrence, side.zone)
    if run.started_at is None or run.started_at == run.occurrence:
        return due
    return f"{due} {later(run.started_at, run.occurrence)}"


def _run_json(run: Simulated | None, side: Side | None) -> dict[str, Any] | None:
    if run is None or side is None:
        return None
    told = note(side.planned, side.clock, run.occurrence)
    return run_json(run, side.clock, told)


def _outcomes(
    counts: Counter[tuple[str, str]], side: Side | None
) -> dict[str, int] | None:
    if side is None:
        return None
    return {what: counts[side.planned.name, what] for what in OUTCOMES}


def _load_json(found: Simulation) -> dict[str, Any]:
    return {
        "starts_per_minute": peak_json(found.starts),
        "at_once": peak_json(found.at_once),
    }


def _peak(peak: Peak | None) -> str:
    return f"{peak.count:,} at {peak.at:%Y-%m-%d %H:%M} UTC" if peak else "none"
