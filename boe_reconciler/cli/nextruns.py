"""`boe next`: when schedules are due, from the files alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
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
    now = app.clock.now()
    listing = [
        _listing(plan.schedules[name], count, after, until, now) for name in chosen
    ]
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


def _listing(
    schedule: PlannedSchedule,
    count: int | None,
    after: str | None,
    until: str | None,
    now: datetime,
) -> dict[str, Any]:
    timetable, zone = timetable_of(schedule), schedule.occurrences.timezone
    start = instant(after, zone, "--after") if after is not None else now
    end = instant(until, zone, "--until") if until is not None else None
    most = 10 if count is None and end is None else count
    most = most and min(most, sys.maxsize)
    occurrences = list(islice(timetable.iter(start, end), most))
    return {
        "schedule": schedule.name,
        "timezone": zone,
        "occurrences": [_occurrence(schedule, timetable, one) for one in occurrences],
    }


def _occurrence(
    schedule: PlannedSchedule, timetable: Timetable, moment: datetime
) -> dict[str, Any]:
    from boe_reconciler.core.waits import foreseen

    paused = "paused" if schedule.paused else None
    notes = [timetable.note(moment), paused, foreseen(schedule.spec)]
    return {
        "utc": utc(moment),
        "local": moment.astimezone(timetable.zone).isoformat(),
        "note": "; ".join(note for note in notes if note) or None,
    }


def _print(listing: list[dict[str, Any]]) -> None:
    rows = [
        [
            one["schedule"],
            local(datetime.fromisoformat(found["local"]), one["timezone"]),
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
