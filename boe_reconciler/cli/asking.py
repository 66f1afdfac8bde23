"""`boe trigger`, `resend`, `rerun`: runs that somebody asks for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from boe_reconciler.cli.door import door, key_values
from boe_reconciler.cli.executing import execute, make_served
from boe_reconciler.cli.history import find_run
from boe_reconciler.cli.logs import start_logging
from boe_reconciler.cli.nextruns import timetable_of
from boe_reconciler.cli.output import both, complain, say
from boe_reconciler.cli.planned import instant, known_schedules, plan_of_files
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.run_ids import backfill_run_id, manual_run_id, run_id
from boe_reconciler.core.runs import (
    NewRun,
    RunOptions,
    RunRecord,
    RunStatus,
    Trigger,
)

if TYPE_CHECKING:
    from boe_reconciler.app import App


def add_to(boe: typer.Typer) -> None:
    boe.command()(trigger)
    boe.command()(resend)
    boe.command()(rerun)


_NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Insert the row and leave; print its id.")
]


def _app(context: typer.Context) -> App:
    """With its warnings on standard error: it may have to execute runs."""
    app = door(context).app()
    start_logging(door(context).log_format, app.redact, logging.WARNING)
    return app


# --- trigger ------------------------------------------------------------------


def trigger(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    param: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="A parameter's value.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="DISTRIBUTION", help="Deliver only there.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Not in this version.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build the file, deliver nothing.")
    ] = False,
    no_wait: _NoWait = False,
) -> int:
    """Run a schedule now. The run has no part in its timetable.

    \b
    Examples:
      boe trigger carriers-daily
      boe trigger carriers-daily --param year=2013 --only archive
      boe trigger carriers-daily --dry-run
    """
    refuse_address(to)
    app = _app(context)
    make_served(app)
    states = {state.name: state for state in app.ledger.states()}
    known_schedules([name], sorted(states))
    if states[name].paused_in_git or states[name].pause:
        say(f"{name} is paused; it runs all the same.", style="yellow")
    options = RunOptions(
        parameters=key_values(param or []), only=only, to=to, dry_run=dry_run
    )
    _check_options(app, name, options)
    return execute(app, enqueue_manual(app, [name], options), wait=not no_wait)


def refuse_address(to: str | None) -> None:
    if to is not None:
        raise InputError("--to: e-mail is not available in this version.")


def _check_options(app: App, name: str, options: RunOptions) -> None:
    """Refuse at the prompt what would fail in the run."""
    from boe_reconciler.core.prepare import check_options

    spec = app.ledger.schedule_spec(name)
    if spec is None:
        raise InputError(f'"{name}" is not served.', "`boe status` says why.")
    check_options(spec, options)


def enqueue_manual(app: App, names: Sequence[str], options: RunOptions) -> list[str]:
    """Rows with the occurrence now; their ids."""
    now = app.clock.now()
    rows = [
        NewRun(
            run_id=manual_run_id(name, _uuid7()),
            schedule=name,
            occurrence=now.replace(microsecond=0),
            trigger=Trigger.MANUAL,
            not_before=now,
            options=options,
        )
        for name in names
    ]
    return list(app.ledger.enqueue(rows, now=now))


def _uuid7() -> str:
    import uuid_utils

    return str(uuid_utils.uuid7().hex)


# --- resend -------------------------------------------------------------------


def resend(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN")],
    recipient: Annotated[
        str | None, typer.Option(metavar="X", help="Only to this recipient.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what was accepted, as a new copy.")
    ] = False,
    to: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Not in this version.")
    ] = None,
    no_wait: _NoWait = False,
) -> int:
    """Send the stored file of a run again.

    Nothing is queried. By default only what was not accepted, under the same identities.

    \b
    Examples:
      boe resend carriers-daily.20261124T113000Z
      boe resend carriers-daily.20261124T113000Z --all
    """
    refuse_address(to)
    app = _app(context)
    record = find_run(app, run)
    if not record.artifacts:
        raise InputError(
            f"{record.run.run_id} has no file to send.",
            f"`boe rerun {record.run.run_id}` builds it again.",
        )
    keys = app.ledger.reopen(
        record.run.run_id,
        recipient=recipient,
        everything=everything,
        now=app.clock.now(),
    )
    if not keys:
        say("Everything was accepted already; --all sends it again.")
        return 0
    return execute(app, [record.run.run_id], wait=not no_wait)


# --- rerun --------------------------------------------------------------------


def rerun(
    context: typer.Context,
    target: Annotated[str | None, typer.Argument(metavar="RUN|NAME")] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="All that failed and were not mended.")
    ] = False,
    since: Annotated[
        str | None, typer.Option(metavar="T", help="With --failed: from T on.")
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
    no_wait: _NoWait = False,
) -> int:
    """Run again: a run, all that failed, or a range.

    Each is a new run, with the spec of today.

    \b
    Examples:
      boe rerun carriers-daily.20261124T113000Z
      boe rerun --failed --since 2026-11-20
      boe rerun carriers-daily --from 2026-11-01 --to 2026-11-07 --dry-run
    """
    app = _app(context)
    if sum([failed, start is not None or end is not None]) > 1:
        raise InputError("--failed and a range do not go together.")
    make_served(app)
    if failed:
        rows = _again_failed(app, since)
    elif start is not None and end is not None and target is not None:
        rows = _backfill(app, target, start, end)
    elif target is not None and start is None and end is None:
        rows = [_again(app, find_run(app, target))]
    else:
        raise InputError("Name a RUN, --failed, or NAME with --from and --to.")
    rows = [_corrected(row, corrected) for row in rows]
    if dry_run or not rows:
        _list(app, rows)
        return 0
    ids = app.ledger.enqueue(rows, now=app.clock.now())
    return execute(app, ids, wait=not no_wait)


def _again(app: App, record: RunRecord) -> NewRun:
    old = record.run
    return NewRun(
        run_id=manual_run_id(old.schedule, _uuid7()),
        schedule=old.schedule,
        occurrence=old.occurrence,
        trigger=Trigger.RERUN,
        not_before=app.clock.now(),
        options=RunOptions(
            parameters=old.options.parameters,
            only=old.options.only,
            dry_run=old.options.dry_run,
            rerun_of=old.run_id,
        ),
    )


def _again_failed(app: App, since: str | None) -> list[NewRun]:
    """Failed and partial runs whose rerun has not succeeded."""
    moment = instant(since, "UTC", "--since") if since else None
    records = app.ledger.runs(since=moment, limit=100_000)
    good = (
        RunStatus.SUCCEEDED,
        RunStatus.PENDING,
        RunStatus.WAITING,
        RunStatus.RUNNING,
    )
    mended = {one.run.options.rerun_of for one in records if one.run.status in good}
    bad = (RunStatus.FAILED, RunStatus.PARTIAL)
    found = [
        one
        for one in reversed(records)
        if one.run.status in bad
        and one.run.run_id not in mended
        and one.run.trigger is not Trigger.RERUN
        and not one.run.options.dry_run
    ]
    return [_again(app, one) for one in found if _is_served(app, one)]


def _is_served(app: App, record: RunRecord) -> bool:
    """What is gone cannot run again, which is no reason to leave the others."""
    served = app.ledger.schedule_spec(record.run.schedule) is not None
    if not served:
        complain(f"{record.run.run_id}: its schedule is not served any more.")
    return served


def _backfill(app: App, name: str, start: str, end: str) -> list[NewRun]:
    """[from, to]: every occurrence in between, once more."""
    plan = plan_of_files(app)
    known_schedules([name], sorted(plan.schedules))
    timetable = timetable_of(plan.schedules[name])
    after = instant(start, timetable.timezone, "--from") - timedelta(seconds=1)
    until = min(instant(end, timetable.timezone, "--to"), app.clock.now())
    backfill, now = _uuid7(), app.clock.now()
    return [
        NewRun(
            run_id=backfill_run_id(name, occurrence, backfill),
            schedule=name,
            occurrence=occurrence,
            trigger=Trigger.BACKFILL,
            not_before=now,
            options=RunOptions(rerun_of=_done_before(app, name, occurrence)),
        )
        for occurrence in timetable.iter(after, until)
    ]


def _done_before(app: App, name: str, occurrence: datetime) -> str | None:
    known = app.ledger.run(run_id(name, occurrence))
    return known.run.run_id if known else None


def _corrected(row: NewRun, why: str | None) -> NewRun:
    if why is None:
        return row
    return replace(row, options=replace(row.options, corrected=why))


def _list(app: App, rows: Sequence[NewRun]) -> None:
    if not rows:
        say("Nothing to run again.")
    for row in rows:
        spec = app.ledger.schedule_spec(row.schedule)
        again = f", again of {row.options.rerun_of}" if row.options.rerun_of else ""
        say(
            f"{row.schedule}  {both(row.occurrence, spec.timezone if spec else 'UTC')}{again}"
        )
