"""`boe trigger`, `resend`: runs that somebody asks for."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from boe_reconciler.cli.door import door, key_values
from boe_reconciler.cli.executing import execute, make_served
from boe_reconciler.cli.history import find_run
from boe_reconciler.cli.logs import start_logging
from boe_reconciler.cli.output import say
from boe_reconciler.cli.planned import check_served
from boe_reconciler.cli.stored import parts_gone, why_gone
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.addresses import address_flaw, folded
from boe_reconciler.core.language.suggest import did_you_mean, listed
from boe_reconciler.core.run_ids import manual_run_id
from boe_reconciler.core.runs import (
    DeliveryStatus,
    NewRun,
    Resend,
    RunOptions,
    Trigger,
)

if TYPE_CHECKING:
    from boe_reconciler.app import App
    from boe_reconciler.core.runs import DeliveryKey, RunRecord


def add_to(boe: typer.Typer) -> None:
    boe.command()(trigger)
    boe.command()(resend)


NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Insert the row and leave; print its id.")
]


def executing_app(context: typer.Context) -> App:
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
        str | None,
        typer.Option(metavar="ADDRESS", help="All mails to this address alone."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build the file, deliver nothing.")
    ] = False,
    no_wait: NoWait = False,
) -> int:
    """Run a schedule now. The run has no part in its timetable.

    With --to its mails go to one address, their subjects say so, and what is no mail is
    left out.

    \b
    Examples:
      boe trigger carriers-daily
      boe trigger carriers-daily --param year=2013 --only archive
      boe trigger carriers-daily --to me@example.com
      boe trigger carriers-daily --dry-run
    """
    check_address(to)
    app = executing_app(context)
    make_served(app)
    states = {state.name: state for state in app.ledger.states()}
    check_served(app, [name])
    if states[name].paused_in_git or states[name].pause:
        say(f"{name} is paused; it runs all the same.", style="yellow")
    options = RunOptions(
        parameters=key_values(param or []), only=only, to=to, dry_run=dry_run
    )
    _check_options(app, name, options)
    return execute(app, enqueue_manual(app, [name], options), wait=not no_wait)


def check_address(to: str | None) -> None:
    flaw = address_flaw(to) if to is not None else None
    if flaw:
        raise InputError(
            f"--to: {flaw.rstrip('.')}.", "Write an address, such as me@example.com."
        )


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
    destination: Annotated[
        str | None,
        typer.Option(metavar="D", help="Only to this destination or Distribution."),
    ] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only what failed or was refused.")
    ] = False,
    unconfirmed: Annotated[
        bool, typer.Option("--unconfirmed", help="Only what nobody can vouch for.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what was accepted, as a new copy.")
    ] = False,
    to: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="To this address alone.")
    ] = None,
    no_wait: NoWait = False,
) -> int:
    """Send the stored file of a run again.

    Nothing is queried. By default only what was not accepted, under the same identities:
    whoever takes it twice can tell that it is the same. With --to nobody else gets
    anything, and the run stays what it is.

    \b
    Examples:
      boe resend carriers-daily.20261124T113000Z
      boe resend carriers-daily.20261124T113000Z --recipient anna@example.com --all
      boe resend carriers-daily.20261124T113000Z --to me@example.com
    """
    check_address(to)
    app = executing_app(context)
    record = find_run(app, run)
    if not record.artifacts:
        raise InputError(
            f"{record.run.run_id} has no file to send.",
            f"`boe rerun {record.run.run_id}` builds it again.",
        )
    _check_stored(app, record)
    wanted = Resend(
        recipient=recipient,
        destination=destination,
        states=_states(failed=failed, unconfirmed=unconfirmed, everything=everything),
        everything=everything,
        to=to,
    )
    _check_named(record, wanted)
    keys = app.ledger.reopen(record.run.run_id, wanted, now=app.clock.now())
    if not keys:
        say(_nothing_again(record, wanted))
        return 0
    if warning := doubles(record, wanted, keys):
        say(warning, "yellow", stderr=True)
    return execute(app, [record.run.run_id], wait=not no_wait)


def _states(
    *, failed: bool, unconfirmed: bool, everything: bool
) -> Collection[DeliveryStatus] | None:
    if everything and (failed or unconfirmed):
        raise InputError("--all goes without --failed and --unconfirmed.")
    chosen: list[DeliveryStatus] = []
    if failed:
        chosen += [DeliveryStatus.FAILED, DeliveryStatus.REFUSED]
    if unconfirmed:
        chosen.append(DeliveryStatus.UNCONFIRMED)
    return chosen or None


def _check_named(record: RunRecord, wanted: Resend) -> None:
    """A name that is none of the run's is a mistake, and not "all was accepted"."""
    keys = [one.key for one in record.deliveries]
    if wanted.recipient is not None:
        known = {folded(key.recipient): key.recipient for key in keys}
        if folded(wanted.recipient) not in known:
            raise _unknown("recipient", wanted.recipient, known.values(), record)
    if wanted.destination is not None:
        names = {key.destination for key in keys}
        names |= {name.partition("/")[0] for name in names}
        if wanted.destination not in names:
            raise _unknown("destination", wanted.destination, names, record)
    if wanted.to is not None and all(one.type != "email" for one in record.deliveries):
        raise InputError(
            f"{record.run.run_id} has no mail that could go to {wanted.to}."
        )


def _unknown(
    what: str, name: str, known: Iterable[str], record: RunRecord
) -> InputError:
    todo = f"`boe show {record.run.run_id}` lists them."
    return InputError(
        f'{record.run.run_id} has no {what} "{name}".',
        did_you_mean(name, sorted(known), todo),
    )


def _nothing_again(record: RunRecord, wanted: Resend) -> str:
    if not wanted.narrowed:
        return "Everything was accepted already; --all sends it again."
    of = f" for {wanted.recipient}" if wanted.recipient else ""
    at = f" at {wanted.destination}" if wanted.destination else ""
    which = " or ".join(state.value for state in wanted.states or ()) or "left to send"
    return f"Nothing of {record.run.run_id}{of}{at} is {which}: nothing is sent."


def doubles(record: RunRecord, wanted: Resend, keys: Collection[DeliveryKey]) -> str:
    """Who may get it twice, for one who asked for all that was not accepted."""
    if wanted.states or wanted.recipient or wanted.to:
        return ""
    missing = [
        one.key.recipient
        for one in record.deliveries
        if one.status is DeliveryStatus.UNCONFIRMED and one.key in keys
    ]
    if not missing:
        return ""
    doubt = "nobody knows whether the first came (`--failed` leaves that out)"
    return f"{listed(missing, 'and')} may get it twice: {doubt}."


def _check_stored(app: App, record: RunRecord) -> None:
    if parts_gone(app, record):
        raise InputError(
            f"The file of {record.run.run_id} is not stored any more: "
            f"{why_gone(app, record)}.",
            f"`boe rerun {record.run.run_id}` builds it anew.",
        )
