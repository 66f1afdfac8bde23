"""`boe rerun`: a run, all that failed, or a range, once more."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from boe_reconciler.cli.asking import NoWait, executing_app
from boe_reconciler.cli.door import door
from boe_reconciler.cli.executing import execute, make_served
from boe_reconciler.cli.history import find_run
from boe_reconciler.cli.nextruns import timetable_of
from boe_reconciler.cli.output import (
    OutputFormat,
    both,
    complain,
    say,
    say_json,
    utc,
)
from boe_reconciler.cli.planned import bound, instant, known_schedules, plan_of_now
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.runs import Event, NewRun, Run, RunStatus

if TYPE_CHECKING:
    from boe_reconciler.app import App
    from boe_reconciler.core.calendar import Timetable
    from boe_reconciler.core.rerun import Command, Range
    from boe_reconciler.core.spec import PlannedSchedule


def add_to(boe: typer.Typer) -> None:
    boe.command()(rerun)


def rerun(
    context: typer.Context,
    target: Annotated[str | None, typer.Argument(metavar="RUN|NAME")] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="All that failed and were not mended.")
    ] = False,
    since: Annotated[
        str | None, typer.Option(metavar="T", help="With --failed: due from T on.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="T", help="A range of NAME from T")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="T", help="to T.")] = None,
    corrected: Annotated[
        str | None, typer.Option(metavar="WHY", help="It corrects an older report.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would run.")
    ] = False,
    output: Annotated[
        OutputFormat, typer.Option("--format", metavar="text|json", help="Of the list.")
    ] = OutputFormat.TEXT,
    no_wait: NoWait = False,
) -> int:
    """Run again: a run, all that failed, or a range.

    Each is a new run with the spec of today, and names the run it does again. What
    was interrupted goes on with the same command, and nothing is done twice when two
    people give it at once. A time without an offset is in the schedule's zone.

    \b
    Examples:
      boe rerun carriers-daily.20261124T113000Z --corrected "the rates were old"
      boe rerun --failed --since 2026-11-20
      boe rerun carriers-daily --from 2026-11-01 --to 2026-11-08 --dry-run
    """
    app = executing_app(context)
    _check(failed=failed, since=since, span=(start, end), target=target)
    if output is OutputFormat.JSON and not dry_run:
        raise InputError("--format json goes with --dry-run.", "`boe runs` has JSON.")
    if not dry_run:
        make_served(app)
    asked = _Asked.by(app, door(context).started, corrected)
    if failed:
        asked.failed(since)
    elif start is not None and end is not None:
        asked.range(str(target), start, end)
    else:
        asked.run(str(target))
    if dry_run:
        return asked.tell(output)
    return asked.go(wait=not no_wait)


def _check(
    *,
    failed: bool,
    since: str | None,
    span: tuple[str | None, str | None],
    target: str | None,
) -> None:
    ranged = any(one is not None for one in span)
    if failed and (ranged or target is not None):
        raise InputError("--failed goes without a name and without a range.")
    if since is not None and not failed:
        raise InputError("--since goes with --failed.", "A range has --from and --to.")
    whole = None not in span and target is not None
    if not failed and not whole and (ranged or target is None):
        raise InputError("Name a RUN, --failed, or NAME with --from and --to.")


#: The list that people read ends here; JSON has them all.
_SHOWN = 100
#: So many failures are looked at in one command.
_LOOK = 20_000


@dataclass(kw_only=True)
class _Asked:
    """What one command is about: rows to insert, and runs that are at it already."""

    app: App
    command: Command
    plan: dict[str, PlannedSchedule]
    rows: list[NewRun] = field(default_factory=list)
    #: What each row does again.
    older: dict[str, Run] = field(default_factory=dict)
    joined: list[str] = field(default_factory=list)

    @classmethod
    def by(cls, app: App, started: datetime, corrected: str | None) -> _Asked:
        from boe_reconciler.core.rerun import Command

        now = app.clock.now()
        command = Command(started=min(started, now), now=now, corrected=corrected)
        return cls(app=app, command=command, plan=dict(plan_of_now(app).schedules))

    # --- Which runs ---------------------------------------------------------------

    def run(self, text: str) -> None:
        from boe_reconciler.core.rerun import rerun_of

        old = find_run(self.app, text).run
        known_schedules([old.schedule], sorted(self.plan))
        self._add(rerun_of(old, self._runs_of(old), self.command), old)

    def failed(self, since: str | None) -> None:
        """Failed and partial runs; each occurrence once, and not those mended since."""
        from boe_reconciler.core.rerun import MOST, failed, rerun_of

        found = failed(self._tried(since), self.command)
        if len(found.again) > MOST:
            raise InputError(
                f"{len(found.again):,} runs failed; {MOST:,} is the most for one "
                "command.",
                "Say from when on with --since.",
            )
        for old in found.again:
            if old.schedule not in self.plan:
                complain(f"{old.run_id}: its schedule is not served any more.")
                continue
            _hint_resend(old)
            self._add(rerun_of(old, self._runs_of(old), self.command), old)
        self.joined = [run.run_id for run in found.on_the_way]

    def range(self, name: str, start: str, end: str) -> None:
        from boe_reconciler.core.rerun import Range, backfill, newest_of_each

        known_schedules([name], sorted(self.plan))
        timetable = timetable_of(self.plan[name])
        zone = timetable.timezone
        wanted = Range(
            schedule=name,
            since=bound(start, zone, "--from"),
            until=bound(end, zone, "--to"),
        )
        if wanted.until < wanted.since:
            raise InputError("--to lies before --from.")
        occurrences = self._occurrences(wanted, timetable)
        _hint_last_day(end, wanted, timetable)
        known = self._runs(name, wanted.since, wanted.until)
        newest = newest_of_each(known)
        for row in backfill(wanted, occurrences, known, self.command):
            self._add(row, newest.get(row.occurrence))

    def _occurrences(self, wanted: Range, timetable: Timetable) -> Sequence[datetime]:
        """Those in [since, until], as far as they are over."""
        from boe_reconciler.core.rerun import MOST

        after = wanted.since - timedelta(microseconds=1)
        until = min(wanted.until, self.command.now)
        if until < wanted.until and timetable.next(until):
            say("What lies ahead is left out: it runs when it is due.", stderr=True)
        count = timetable.count(after, until) if until > after else 0
        if count > MOST:
            raise InputError(
                f"{wanted.schedule} is due {count:,} times in this range; "
                f"{MOST:,} is the most for one command.",
                "Choose a shorter range, and go on when it is done.",
            )
        return timetable.between(after, until) if count else []

    def _tried(self, since: str | None) -> list[Run]:
        """Runs of each schedule from its first failure on."""
        first: dict[str, datetime] = {}
        for run in self._bad(since):
            known = first.get(run.schedule, run.occurrence)
            first[run.schedule] = min(known, run.occurrence)
        return [
            run
            for name, moment in first.items()
            for run in self._runs(name, moment, None)
        ]

    def _bad(self, since: str | None) -> list[Run]:
        """Failed and partial runs due from `since` on, in each schedule's own zone."""
        if not self.app.has_state:
            return []
        earliest = (
            bound(since, "Pacific/Kiritimati", "--since") if since is not None else None
        )
        found = [
            record.run
            for status in (RunStatus.FAILED, RunStatus.PARTIAL)
            for record in self.app.ledger.runs(
                status=status, since=earliest, limit=_LOOK
            )
        ]
        return [run for run in found if self._within(run, since)]

    def _within(self, run: Run, since: str | None) -> bool:
        zone = self._zone(run.schedule)
        return since is None or run.occurrence >= instant(since, zone, "--since")

    def _runs_of(self, old: Run) -> list[Run]:
        return self._runs(old.schedule, old.occurrence, old.occurrence)

    def _runs(self, name: str, since: datetime, until: datetime | None) -> list[Run]:
        if not self.app.has_state:
            return []
        records = self.app.ledger.runs(
            schedule=name, since=since, until=until, limit=_LOOK
        )
        return [record.run for record in records]

    def _zone(self, schedule: str) -> str:
        found = self.plan.get(schedule)
        return found.occurrences.timezone if found else "UTC"

    def _add(self, row: NewRun, old: Run | None) -> None:
        self.rows.append(row)
        if old is not None:
            self.older[row.run_id] = old

    # --- What becomes of them -----------------------------------------------------

    def tell(self, output: OutputFormat) -> int:
        if output is OutputFormat.JSON:
            rows = [self._row_json(row) for row in self.rows]
            say_json({"format_version": "1.0", "runs": rows})
            return 0
        if not self.rows:
            return self._nothing()
        # A line for each and nothing else on standard output: `| wc -l` counts them.
        for row in self.rows[:_SHOWN]:
            say(self._line(row))
        if len(self.rows) > _SHOWN:
            say(f"and {len(self.rows) - _SHOWN:,} more: --format json has them all.")
        say(f"{_counted(len(self.rows))} would start; nothing was.", stderr=True)
        self._warn()
        return 0

    def go(self, *, wait: bool) -> int:
        """Insert the rows in one transaction and see them done."""
        new = self.app.ledger.enqueue(self.rows, now=self.command.now)
        mine = [row.run_id for row in self.rows]
        if not mine and not self.joined:
            return self._nothing()
        self._note([row for row in self.rows if row.run_id in set(new)])
        self._warn()
        ids = [*mine, *self.joined]
        if len(new) < len(ids):
            at_it = _counted(len(ids) - len(new))
            say(f"{at_it} of the same command: not started twice.", stderr=True)
        try:
            return execute(self.app, ids, wait=wait)
        except KeyboardInterrupt:
            self._interrupted(ids)
            raise

    def _nothing(self) -> int:
        say("Nothing to run again.")
        return 0

    def _interrupted(self, ids: Sequence[str]) -> None:
        records = self.app.ledger.records(ids).values()
        left = sum(1 for one in records if not one.run.status.final)
        if left:
            complain(
                f"Interrupted: {left} of {_counted(len(ids))} are not done.",
                "The same command goes on with them, and so does `boe run`; "
                "`boe cancel RUN` drops one.",
            )

    def _note(self, rows: Sequence[NewRun]) -> None:
        """Both runs tell of each other."""
        by, now = getpass.getuser(), self.command.now
        events: list[Event] = []
        for row in rows:
            old = row.options.rerun_of
            corrected = row.options.corrected
            why = f" Correction: {corrected}" if corrected else ""
            tells = f"Asked for by {by}" + (f", again of {old}." if old else ".") + why
            ends = [(row.run_id, "rerun_asked", tells)]
            if old:
                told = f"{by} asked for it again: {row.run_id}.{why}"
                ends.append((old, "rerun_by", told))
            events += [
                Event(
                    at=now,
                    action=action,
                    message=message,
                    run_id=run_id,
                    schedule=row.schedule,
                )
                for run_id, action, message in ends
            ]
        self.app.ledger.note(events)

    def _warn(self) -> None:
        for name in self._paused():
            say(f"{name} is paused; it runs all the same.", "yellow", stderr=True)

    def _paused(self) -> Sequence[str]:
        names = {row.schedule for row in self.rows}
        states = self.app.ledger.states() if self.app.has_state else ()
        held = {one.name for one in states if one.paused_in_git or one.pause}
        held |= {name for name, one in self.plan.items() if one.paused}
        return sorted(names & held)

    def _line(self, row: NewRun) -> str:
        old = self.older.get(row.run_id)
        place = f"again of {old.run_id} ({old.status.value})" if old else "did not run"
        return (
            f"{row.schedule}  {both(row.occurrence, self._zone(row.schedule))}  {place}"
        )

    def _row_json(self, row: NewRun) -> dict[str, Any]:
        old = self.older.get(row.run_id)
        zone = self._zone(row.schedule)
        return {
            "schedule": row.schedule,
            "timezone": zone,
            "occurrence": utc(row.occurrence),
            "local": row.occurrence.astimezone(ZoneInfo(zone)).isoformat(),
            "trigger": row.trigger.value,
            "replaces": {"run_id": old.run_id, "status": old.status.value}
            if old
            else None,
            "corrected": row.options.corrected,
            "paused": row.schedule in self._paused(),
        }


def _counted(number: int) -> str:
    return "1 run" if number == 1 else f"{number:,} runs"


def _hint_resend(old: Run) -> None:
    """Whoever got the older file gets another one: there is a gentler way."""
    if old.status is RunStatus.PARTIAL:
        complain(
            f"{old.run_id} reached some already, who get it once more.",
            f"`boe resend {old.run_id}` sends its file only to the others.",
        )


def _hint_last_day(end: str, wanted: Range, timetable: Timetable) -> None:
    """A date is the instant at which the day begins, which not everybody expects."""
    if len(end) != len("2026-11-24"):
        return
    day = wanted.until + timedelta(days=1)
    if timetable.count(wanted.until, day):
        say(
            f"--to {end} ends as that day begins; --to {day.date()} takes it in.",
            stderr=True,
        )
