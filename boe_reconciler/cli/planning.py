"""`boe plan`: what the files change against what is served, and what runs next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boe_reconciler.cli.door import door
from boe_reconciler.cli.output import local, say, say_json, say_table, utc
from boe_reconciler.cli.planned import plan_of_files
from boe_reconciler.cli.validating import say_problems
from boe_reconciler.core.changes import as_json, changes, timetable
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.plan import make_plan, served_plan
from boe_reconciler.core.problems import dotted

if TYPE_CHECKING:
    from boe_reconciler.app import App
    from boe_reconciler.core.changes import Change, Changes, PlannedRun
    from boe_reconciler.core.plan import Plan


class PlanFormat(StrEnum):
    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def add_to(boe: typer.Typer) -> None:
    boe.command()(plan)


def plan(
    context: typer.Context,
    base: Annotated[str | None, typer.Option(metavar="REV")] = None,
    head: Annotated[str | None, typer.Option(metavar="REV")] = None,
    days: Annotated[
        int, typer.Option(min=1, max=366, help="Look so many days ahead.")
    ] = 30,
    expand: Annotated[bool, typer.Option("--expand")] = False,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="End with 2 if it changes.")
    ] = False,
    output: Annotated[PlanFormat, typer.Option("--format")] = PlanFormat.TEXT,
) -> int:
    """Show what the files change against what is served, and what runs next.

    Removals come first. Without a state folder all is new.

    \b
    Examples:
      boe plan
      boe plan --days 7 --format json
      boe plan --detailed-exitcode
    """
    if base or head:
        raise InputError("--base and --head are not available in this version.")
    if expand:
        raise InputError("--expand is not available in this version.")
    if output is PlanFormat.MARKDOWN:
        raise InputError("--format markdown is not available in this version.")
    app = door(context).app()
    now = app.clock.now()
    before, after = _plans(app, now)
    found = changes(before, after, now=now, days=days)
    if output is PlanFormat.JSON:
        say_json(_json(before, after, found))
    else:
        _print(after, found, now)
    if any(problem.severity == "error" for problem in after.problems):
        return 1
    return 2 if detailed_exitcode and found.changes else 0


def _plans(app: App, now: datetime) -> tuple[Plan | None, Plan]:
    """What is served, and what the files would make of it: the reconciler's own code."""
    if not app.has_state:
        return None, plan_of_files(app)
    served, read_blob = app.ledger.served(), app.blobs.read
    after = make_plan(app.repo.snapshot(), served=served, now=now, read_blob=read_blob)
    return served_plan(served, now=now, read_blob=read_blob), after


def _json(before: Plan | None, after: Plan, found: Changes) -> dict[str, Any]:
    return {
        "format_version": "1.0",
        "base": before.revision if before else None,
        "head": after.revision,
        **as_json(found),
        "diagnostics": [problem.as_diagnostic() for problem in after.problems],
    }


# --- As text ------------------------------------------------------------------

_MARKS = {"delete": ("-", "red"), "update": ("~", "yellow"), "create": ("+", "green")}


def _print(after: Plan, found: Changes, now: datetime) -> None:
    if not found.changes:
        say("No changes.", style="green")
    for change in found.changes:
        _print_change(change)
    _print_runs("removed", "red", found.runs_removed)
    for was, will in found.runs_moved[:_SHOWN]:
        before, later = (local(one.occurrence, one.timezone) for one in (was, will))
        say(f"  moved    {will.schedule}: {before} to {later}", style="yellow")
    _more(len(found.runs_moved))
    for schedule, destination, where in found.recipients_removed:
        say(f"  no more  {schedule} to {where} ({destination})", style="red")
    _print_next(after, now)
    say_problems(after.problems)


def _print_change(change: Change) -> None:
    mark, style = _MARKS[change.action]
    say(f"{mark} {change.kind} {change.name}  ({change.file})", style=style)
    for field in change.fields:
        before, after = _short(field.before), _short(field.after)
        say(f"    {dotted(field.path)}: {before} to {after}")


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


#: Runs that are told one by one in text; JSON has them all.
_SHOWN = 10


def _print_runs(what: str, style: str, runs: Sequence[PlannedRun]) -> None:
    for run in runs[:_SHOWN]:
        say(f"  {what}  {run.schedule}: {local(run.occurrence, run.timezone)}", style)
    _more(len(runs))


def _more(count: int) -> None:
    if count > _SHOWN:
        say(f"           and {count - _SHOWN} more")


def _print_next(after: Plan, now: datetime) -> None:
    """The next run of each schedule, the soonest first."""
    rows = []
    for name, schedule in after.schedules.items():
        due = next(islice(timetable(schedule.occurrences).iter(now), 1), None)
        rows.append((due is None, due or now, name, schedule))
    cells = [
        [
            name,
            local(due, schedule.occurrences.timezone) if not over else "-",
            (utc(due) or "") if not over else "-",
            "paused" if schedule.paused else "",
        ]
        for over, due, name, schedule in sorted(rows, key=lambda row: row[:3])
    ]
    if cells:
        say()
        say_table(["schedule", "next run, local", "next run, UTC", ""], cells)
