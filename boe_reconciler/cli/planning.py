"""`boe plan`: what the files change against what is served, and what runs next."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import typer

from boe_reconciler.cli.door import door
from boe_reconciler.cli.output import both, counted, local, say, say_json, say_table
from boe_reconciler.cli.planned import plan_of_files
from boe_reconciler.cli.validating import say_problems
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.problems import dotted

if TYPE_CHECKING:
    from boe_reconciler.app import App
    from boe_reconciler.core.plan import Plan
    from boe_reconciler.core.plan.changes import Changes, FieldChange, PlannedRun
    from boe_reconciler.core.spec import PlannedSchedule

#: Characters of a value that a line of the plan shows.
_SHOWN = 60
_SIGNS = {"delete": ("-", "red"), "update": ("~", "yellow"), "create": ("+", "green")}


class PlanFormat(StrEnum):
    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def add_to(boe: typer.Typer) -> None:
    boe.command()(plan)


def plan(
    context: typer.Context,
    base: Annotated[
        str | None, typer.Option(metavar="REV", help="Not in this version.")
    ] = None,
    head: Annotated[
        str | None, typer.Option(metavar="REV", help="Not in this version.")
    ] = None,
    days: Annotated[
        int,
        typer.Option(
            min=1, max=366, metavar="N", help="Count the runs of N days (1 to 366)."
        ),
    ] = 30,
    expand: Annotated[
        bool, typer.Option("--expand", help="Not in this version.")
    ] = False,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="End with 2 if it changes.")
    ] = False,
    output: Annotated[
        PlanFormat, typer.Option("--format", metavar="text|json")
    ] = PlanFormat.TEXT,
) -> int:
    """Show what the files would change, and what runs next.

    They are compared with what is served; with no state folder everything is new.
    Removals come first. Offline and without secrets; nothing is written.

    \b
    Examples:
      boe plan
      boe plan --days 7 --format json
      boe plan --detailed-exitcode
    """
    from boe_reconciler.core.plan.changes import changes

    _refuse_later(base, head, expand, output)
    app = door(context).app()
    now = app.clock.now()
    before, after = _plans(app, now)
    found = changes(before, after, now=now, days=days)
    if output is PlanFormat.JSON:
        say_json(_json(before, after, found))
    else:
        _Words(before=before, after=after, found=found, days=days, now=now).say()
    if any(problem.severity == "error" for problem in after.problems):
        return 1
    return 2 if detailed_exitcode and found.changes else 0


def _refuse_later(
    base: str | None, head: str | None, expand: bool, output: PlanFormat
) -> None:
    later = {
        "--base": base is not None,
        "--head": head is not None,
        "--expand": expand,
        "--format markdown": output is PlanFormat.MARKDOWN,
    }
    for option, asked in later.items():
        if asked:
            raise InputError(
                f"{option} is not available in this version.",
                "`boe plan` compares the files with what the state folder serves.",
            )


# --- The two plans ----------------------------------------------------------------


def _plans(app: App, now: datetime) -> tuple[Plan | None, Plan]:
    """What is served, and what the files would make of it: the reconciler's own code."""
    from boe_reconciler.core.plan import make_plan, served_plan

    served = app.ledger.served() if app.has_state else None
    if served is None or served.serving is None:
        return None, plan_of_files(app)
    read_blob = app.blobs.read
    after = make_plan(
        app.repo.snapshot(),
        served=served,
        now=now,
        read_blob=read_blob,
        environment=app.settings.env,
    )
    return served_plan(served, now=now, read_blob=read_blob), after


def _json(before: Plan | None, after: Plan, found: Changes) -> dict[str, Any]:
    from boe_reconciler.core.plan.changes import as_json

    return {
        "format_version": "1.0",
        "base": before.revision if before else None,
        "head": after.revision,
        **as_json(found),
        "diagnostics": [problem.as_diagnostic() for problem in after.problems],
    }


# --- For people -------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Words:
    """A plan as lines of text."""

    before: Plan | None
    after: Plan
    found: Changes
    days: int
    now: datetime

    def say(self) -> None:
        self._changes()
        self._runs()
        self._recipients()
        self._next()
        say_problems(self.after.problems)
        self._count()

    def _changes(self) -> None:
        if self.before is None:
            say("Nothing is served yet; all of this is new.")
            self._first()
            return
        for change in self.found.changes:
            sign, style = _SIGNS[change.action]
            say(f"{sign} {change.kind} {change.name}  ({change.file})", style)
            for field in change.fields:
                say(f"    {dotted(field.path)}: {_from_to(field)}")

    def _first(self) -> None:
        """By kind: with nothing to compare with, the names are enough."""
        by_kind = defaultdict(list)
        for change in self.found.changes:
            by_kind[change.kind].append(change.name)
        for kind, names in by_kind.items():
            text = fill(
                ", ".join(names),
                width=88,
                initial_indent=f"+ {kind:<17}",
                subsequent_indent=" " * 19,
                break_on_hyphens=False,
                break_long_words=False,
            )
            say(text, _SIGNS["create"][1])

    def _runs(self) -> None:
        """What the change does to the timetable; a first plan has no change."""
        found = self.found
        if self.before is None:
            return
        for was, will in _first_of_each(found.runs_moved, lambda pair: pair[1]):
            before, after = (local(one.occurrence, one.timezone) for one in (was, will))
            say(f"  moved    {will.schedule}: {before} to {after}", "yellow")
        for run in _first_of_each(found.runs_removed, lambda run: run):
            moment = local(run.occurrence, run.timezone)
            say(f"  removed  {run.schedule}: {moment}", "red")
        counts = {
            "removed": len(found.runs_removed),
            "moved": len(found.runs_moved),
            "added": len(found.runs_added),
        }
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        if told:
            say(f"Runs within {counted(self.days, 'day')}: {told}.")

    def _recipients(self) -> None:
        if self.before is None:
            return
        for schedule, destination, where in self.found.recipients_removed:
            say(f"  no longer  {schedule} to {where} ({destination})", "red")
        for schedule, destination, where in self.found.recipients_added:
            say(f"  from now   {schedule} to {where} ({destination})", "green")

    def _next(self) -> None:
        """The next two runs of each schedule, the soonest first."""
        rows = sorted(self._row(one) for one in self.after.schedules.values())
        if rows:
            say()
            say_table(["schedule", "next run", "then"], [row for _, row in rows])
            say()

    def _row(self, schedule: PlannedSchedule) -> tuple[str, list[str]]:
        from boe_reconciler.core.plan.changes import timetable

        zone = schedule.occurrences.timezone
        if schedule.paused:
            return "~1", [schedule.name, "paused", ""]
        due = list(islice(timetable(schedule.occurrences).iter(self.now), 2))
        if not due:
            return "~2", [schedule.name, "never again", ""]
        then = f"{due[1].astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" if due[1:] else ""
        return due[0].isoformat(), [schedule.name, both(due[0], zone), then]

    def _count(self) -> None:
        actions = Counter[str](change.action for change in self.found.changes)
        if not actions:
            say("No changes.", "green")
            return
        words = {"delete": "to remove", "update": "to change", "create": "to add"}
        told = [f"{actions[one]} {words[one]}" for one in words if actions[one]]
        say(f"{', '.join(told)}.", "bold")


T = TypeVar("T")


def _first_of_each(
    items: Sequence[T], run_of: Callable[[T], PlannedRun]
) -> Iterator[T]:
    """One for each schedule: the counts tell the rest."""
    seen = set()
    for item in items:
        name = run_of(item).schedule
        if name not in seen:
            seen.add(name)
            yield item


def _from_to(field: FieldChange) -> str:
    if field.before is None:
        return f"{_short(field.after)} (new)"
    if field.after is None:
        return f"{_short(field.before)} is gone"
    return f"{_short(field.before)} to {_short(field.after)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
