"""`boe explain`: why it will or will not run next, and what became of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boe_reconciler.cli.door import door
from boe_reconciler.cli.nextruns import timetable_of
from boe_reconciler.cli.output import OutputFormat, say, say_json
from boe_reconciler.cli.planned import bound, plan_of_now
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.runs import RunStatus

if TYPE_CHECKING:
    from boe_reconciler.app import App
    from boe_reconciler.core.explain import Explanation, Facts
    from boe_reconciler.core.plan import Plan
    from boe_reconciler.core.runs import RunRecord

#: The id of a run that a schedule owes.
_OWED = re.compile(r"(?P<name>.+)\.(?P<time>[0-9]{8}T[0-9]{6}Z)")
#: The open run that a question about a schedule is about: the first of these.
_OPEN = (RunStatus.PENDING, RunStatus.WAITING, RunStatus.RUNNING)


def add_to(boe: typer.Typer) -> None:
    boe.command()(explain)


def explain(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="NAME|RUN")],
    output: Annotated[
        OutputFormat, typer.Option("--format", metavar="text|json")
    ] = OutputFormat.TEXT,
) -> int:
    """Say why it will or will not run, or what became of it.

    NAME is a schedule, RUN the id of a run. Every reason has its place in the files,
    where one decides it. Reads only, beside a process that serves or without one.

    \b
    Examples:
      boe explain carriers-daily
      boe explain carriers-daily.20261124T113000Z --format json
    """
    from boe_reconciler.core.explain import explain as answer

    found = answer(gathered(door(context).app(), target))
    if output is OutputFormat.JSON:
        say_json(found.as_json())
    else:
        _print(target, found)
    return 1 if found.verdict == "unknown" else 0


def _print(asked: str, found: Explanation) -> None:
    """The answer; beneath it how it went last, whatever else there is, and what decides."""
    say(f"{asked} {_VERDICTS[found.verdict]}.", _STYLES[found.verdict])
    say(found.text)
    # "Where is my report?" is about the last one more often than about the next.
    by_question = sorted(found.gates, key=lambda gate: gate.gate != "last_run")
    for gate in by_question:
        if gate.text and gate.text != found.text:
            say(gate.text if gate.gate == "last_run" else f"Also: {gate.text}")
    place = f", {found.place}" if found.place else ""
    say(f"({found.reason_code}{place})", style="dim")


_VERDICTS = {
    "will_run": "will run",
    "will_not_run": "will not run",
    "waits": "waits",
    "running": "is running",
    "unknown": "is unknown",
    "succeeded": "succeeded",
    "partial": "reached only some",
    "failed": "failed",
    "skipped": "was skipped",
    "missed": "did not run",
    "cancelled": "was cancelled",
}
_STYLES = {
    "will_run": "bold green",
    "succeeded": "bold green",
    "running": "bold cyan",
    "waits": "bold yellow",
    "skipped": "bold yellow",
    "missed": "bold yellow",
    "partial": "bold yellow",
    "cancelled": "bold magenta",
    "will_not_run": "bold red",
    "failed": "bold red",
    "unknown": "bold red",
}


# --- Gathering ----------------------------------------------------------------------


def gathered(app: App, target: str) -> Facts:
    from boe_reconciler.core.explain import Facts
    from boe_reconciler.core.whereabouts import whereabouts

    plan, snapshot = plan_of_now(app), app.repo.snapshot()
    record = app.ledger.run(target) if app.has_state else None
    name, occurrence = _named(plan, target, record)
    planned = plan.schedules.get(name)
    status = next(
        (one for one in plan.statuses if (one.kind, one.name) == ("Schedule", name)),
        None,
    )
    diagnostics = plan.activation.problems
    return Facts(
        now=app.clock.now(),
        asked=target,
        name=name,
        where=whereabouts(snapshot, plan.objects),
        known=[one.name for one in plan.statuses if one.kind == "Schedule"],
        status=status,
        problem=_problem(diagnostics, [("Schedule", name), *_needs(status)]),
        unreadable=_unreadable(diagnostics),
        planned=planned,
        timetable=timetable_of(planned) if planned else None,
        occurrence=occurrence,
        workers=app.settings.workers,
        **(_of_ledger(app, plan, name, record, asked=target) if app.has_state else {}),
    )


def _named(
    plan: Plan, target: str, record: RunRecord | None
) -> tuple[str, datetime | None]:
    """The schedule that is meant, and the instant that a run id without a row names."""
    if record is not None:
        return record.run.schedule, None
    match = _OWED.fullmatch(target)
    known = {one.name for one in plan.statuses}
    if match is None or target in known:
        return target, None
    try:
        moment = bound(match["time"], "UTC", "run")
    except InputError:
        return target, None
    return match["name"], moment


def _needs(status: Any) -> list[tuple[str, str]]:
    """What a status says that it needs: "It needs Report sales, which cannot be used."."""
    match = re.match(r"It needs (\w+) ([\w-]+),", status.message) if status else None
    return [(match[1], match[2])] if match else []


def _problem(
    diagnostics: Iterable[Mapping[str, Any]], keys: Sequence[tuple[str, str]]
) -> tuple[str, str] | None:
    """The place and the sentence of the first error of these objects."""
    for kind, name in keys:
        for one in diagnostics:
            its = one["resource"]
            if one["severity"] == "error" and (its["kind"], its["name"]) == (
                kind,
                name,
            ):
                at = one["range"]
                return f"{at['filename']}:{at['start']['line']}", one["detail"]
    return None


def _unreadable(diagnostics: Iterable[Mapping[str, Any]]) -> str | None:
    """The place of the first error that belongs to nothing with a name."""
    for one in diagnostics:
        if one["severity"] == "error" and one["resource"]["name"] is None:
            at = one["range"]
            return f"{at['filename']}:{at['start']['line']}"
    return None


def _of_ledger(
    app: App, plan: Plan, name: str, record: RunRecord | None, *, asked: str
) -> dict[str, Any]:
    from boe_reconciler.core.due import BEHIND
    from boe_reconciler.core.holds import OF_REVISIONS

    ledger, now = app.ledger, app.clock.now()
    states = {state.name: state for state in ledger.states()}
    latest = ledger.runs(schedule=name, limit=20)
    if record is None and asked == name:
        record = _open(app, name)
    planned = plan.schedules.get(name)
    reads = planned.spec.connection_name if planned else None
    marks = [state.high_water for state in states.values()]
    return {
        "has_state": True,
        "state": states.get(name),
        "was_there": name not in states and bool(latest),
        "served_by": app.who_serves(),
        "clock_behind": max(marks) if marks and now < max(marks) - BEHIND else None,
        "hold": next(
            (h for h in ledger.holds() if h.waits and h.kind in OF_REVISIONS), None
        ),
        "record": record,
        "last": next((one for one in latest if _counts(one)), None),
        "running": [
            one.run for one in ledger.runs(schedule=name, status=RunStatus.RUNNING)
        ],
        "busy": len(ledger.runs(status=RunStatus.RUNNING, limit=app.settings.workers)),
        "connection": next(
            (c for c in ledger.limits(now=now) if c.name == reads), None
        ),
        "gaps": ledger.gaps(name),
    }


def _counts(record: RunRecord) -> bool:
    return record.run.status.final and not record.run.options.dry_run


def _open(app: App, name: str) -> RunRecord | None:
    """The run of a schedule that is on its way; of several that wait, the first."""
    for status in _OPEN:
        found = app.ledger.runs(schedule=name, status=status, limit=1000)
        if found:
            return found[-1]
    return None
