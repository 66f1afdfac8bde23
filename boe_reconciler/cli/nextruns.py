"""`boe next`: when schedules are due, from the files alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boe_reconciler.cli.door import door
from boe_reconciler.cli.output import (
    OutputFormat,
    complain,
    local,
    quoted,
    say,
    say_json,
    say_table,
    utc,
)
from boe_reconciler.cli.planned import instant, known_schedules, usable_plan_of_files
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.records import dataclass

if TYPE_CHECKING:
    from boe_reconciler.core.calendar import Timetable
    from boe_reconciler.core.plan import Plan
    from boe_reconciler.core.spec import PlannedSchedule


def add_to(boe: typer.Typer) -> None:
    boe.command("next")(next_runs)


def next_runs(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME")] = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="Every schedule.")] = False,
    count: Annotated[
        int | None,
        typer.Option(
            "-n", min=1, metavar="N", help="So many each (10; all with --until)."
        ),
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="T", help="After T (now).")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="T", help="Up to T.")] = None,
    output: Annotated[
        OutputFormat, typer.Option("--format", metavar="text|json")
    ] = OutputFormat.TEXT,
) -> None:
    """Show when schedules are due next.

    In their own zone and in UTC. A function of the files alone: no state, no
    connection. A time without an offset is in the schedule's zone.

    \b
    Examples:
      boe next carriers-daily
      boe next --all -n 3
      boe next carriers-daily --after 2026-10-24 --until 2026-10-27 --format json
    """
    app = door(context).app()
    plan = usable_plan_of_files(app)
    chosen = chosen_schedules(plan, names or [])
    asked = _Asked(count=count, after=after, until=until, now=app.clock.now())
    listing = _listing([plan.schedules[name] for name in chosen], asked)
    if output is OutputFormat.JSON:
        say_json(listing)
        return
    _print(listing)


def chosen_schedules(plan: Plan, names: Sequence[str]) -> Sequence[str]:
    """The schedules that were named, or all; invalid ones are told apart."""
    every = [one.name for one in plan.statuses if one.kind == "Schedule"]
    wanted = known_schedules(names or every, every)
    invalid = [name for name in wanted if name not in plan.schedules]
    if invalid:
        are = "schedule {} is" if len(invalid) == 1 else "schedules {} are"
        told = f"The {are} not valid.".format(quoted(invalid, "and"))
        todo = "`boe validate` says why."
        if names:
            raise InputError(told, todo)
        complain(told, todo)
    return [name for name in wanted if name in plan.schedules]


def timetable_of(schedule: PlannedSchedule) -> Timetable:
    """The timetable of a schedule that is already known to be valid."""
    from boe_reconciler.core.calendar import compile_when

    occurrences = schedule.occurrences
    compiled = compile_when(
        occurrences.when,
        calendar=occurrences.calendar,
        default_timezone=occurrences.timezone,
        min_interval=timedelta(seconds=1),
    )
    assert compiled.timetable is not None, schedule.name  # noqa: S101 it was checked
    return compiled.timetable


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """Which occurrences are to be shown."""

    count: int | None
    after: str | None
    until: str | None
    now: datetime


def _listing(
    schedules: Sequence[PlannedSchedule], asked: _Asked
) -> list[dict[str, Any]]:
    """Many schedules say the same `when`: its occurrences are worked out once."""
    known: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    listing = []
    for one in schedules:
        said = one.occurrences
        key = repr(said.when), id(said.calendar), said.timezone
        if key not in known:
            known[key] = _occurrences(one, asked)
        notes = _notes(one)
        listing.append(
            {
                "schedule": one.name,
                "timezone": said.timezone,
                "occurrences": [_noted(each, notes) for each in known[key]],
            }
        )
    return listing


def _occurrences(schedule: PlannedSchedule, asked: _Asked) -> list[dict[str, Any]]:
    timetable, zone = timetable_of(schedule), schedule.occurrences.timezone
    start, end = asked.now, None
    if asked.after is not None:
        start = instant(asked.after, zone, "--after")
    if asked.until is not None:
        end = instant(asked.until, zone, "--until")
    most = 10 if asked.count is None and end is None else asked.count
    most = most and min(most, sys.maxsize)
    return [
        {
            "utc": utc(moment),
            "local": moment.astimezone(timetable.zone).isoformat(),
            "note": timetable.note(moment),
        }
        for moment in islice(timetable.iter(start, end), most)
    ]


def _notes(schedule: PlannedSchedule) -> list[str]:
    """What there is to say of each of its occurrences."""
    from boe_reconciler.core.waits import foreseen

    return ["paused" if schedule.paused else "", foreseen(schedule.spec)]


def _noted(occurrence: dict[str, Any], notes: Sequence[str]) -> dict[str, Any]:
    """Its own note and these."""
    said = filter(None, [occurrence["note"], *notes])
    return {**occurrence, "note": "; ".join(said) or None}


def _print(listing: list[dict[str, Any]]) -> None:
    shown = cache(lambda text, zone: local(datetime.fromisoformat(text), zone))
    rows = [
        [
            one["schedule"],
            shown(found["local"], one["timezone"]),
            found["utc"],
            found["note"] or "",
        ]
        for one in listing
        for found in one["occurrences"]
    ]
    if not rows:
        say("Nothing is due.")
        return
    say_table(["schedule", "local time", "UTC", "note"], rows)
