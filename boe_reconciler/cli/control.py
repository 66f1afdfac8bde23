"""`boe pause`, `resume`, `cancel`: stopping things, and letting them go on."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from boe_reconciler.cli.door import door
from boe_reconciler.cli.executing import LOOK, make_served
from boe_reconciler.cli.history import find_run
from boe_reconciler.cli.output import both, say
from boe_reconciler.cli.planned import instant, known_schedules
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.suggest import did_you_mean
from boe_reconciler.core.runs import Pause, PauseTarget, RunStatus

if TYPE_CHECKING:
    from boe_reconciler.app import App


def add_to(boe: typer.Typer) -> None:
    boe.command()(pause)
    boe.command()(resume)
    boe.command()(cancel)


_Name = Annotated[str | None, typer.Argument(metavar="NAME")]
_All = Annotated[bool, typer.Option("--all", help="All schedules.")]
_Owner = Annotated[str | None, typer.Option(metavar="X", help="All of this owner.")]
_Label = Annotated[str | None, typer.Option(metavar="K=V", help="All with this label.")]
_Connection = Annotated[
    str | None, typer.Option(metavar="C", help="All that read from this Connection.")
]


def pause(
    context: typer.Context,
    name: _Name = None,
    everything: _All = False,
    owner: _Owner = None,
    label: _Label = None,
    connection: _Connection = None,
    until: Annotated[
        str | None, typer.Option(metavar="T", help="Until then (the schedule's zone).")
    ] = None,
    why: Annotated[str, typer.Option(metavar="TEXT", help="For those who ask.")] = "",
) -> int:
    """Start nothing more of a schedule, or of many.

    What runs goes on. Time in a pause is not caught up; `boe rerun NAME --from
    --to` does that. Triggers by hand still run.

    \b
    Examples:
      boe pause carriers-daily --why "source is being rebuilt"
      boe pause --all --until 2026-11-25T08:00 --why "database move"
      boe pause --owner finance --why "year's end close"
    """
    if not why:
        raise InputError("--why is missing: say why, for those who will ask.")
    app = door(context).app()
    make_served(app)
    target, value = _target(name, everything, owner, label, connection)
    _check_known(app, target, value)
    zone = _zone(app, target, value)
    end = instant(until, zone, "--until") if until is not None else None
    if end is not None and end <= app.clock.now():
        raise InputError("--until lies in the past.")
    app.ledger.pause(
        Pause(
            target=target,
            value=value,
            by=getpass.getuser(),
            why=why,
            since=app.clock.now(),
            until=end,
        )
    )
    tail = (
        f" until {both(end, zone)}"
        if end
        else f": `boe resume {_shown(target, value)}` ends it"
    )
    say(f"Paused {_told(target, value)}{tail}.")
    return 0


def resume(
    context: typer.Context,
    name: _Name = None,
    everything: _All = False,
    owner: _Owner = None,
    label: _Label = None,
    connection: _Connection = None,
) -> int:
    """Take a pause off that `boe pause` put on.

    \b
    Examples:
      boe resume carriers-daily
      boe resume --all
    """
    app = door(context).app()
    make_served(app)
    target, value = _target(name, everything, owner, label, connection)
    if (target, value) not in [(one.target, one.value) for one in app.ledger.pauses()]:
        _check_known(app, target, value)
    zone = _zone(app, target, value)
    now = app.clock.now()
    if not app.ledger.resume(target, value, by=getpass.getuser(), now=now):
        say(f"No `boe pause {_shown(target, value)}` was in force.")
        return _still_paused(app, target, value)
    state = next((one for one in app.ledger.states() if one.name == value), None)
    due = state.next_due if state and target is PauseTarget.SCHEDULE else None
    say(
        f"Resumed {_told(target, value)}."
        + (f" Next: {both(due, zone)}." if due else "")
    )
    return _still_paused(app, target, value)


def _still_paused(app: App, target: PauseTarget, value: str) -> int:
    """Say what else holds a schedule, so that nobody waits in vain."""
    if target is not PauseTarget.SCHEDULE:
        return 0
    state = next((one for one in app.ledger.states() if one.name == value), None)
    if state is None:
        return 0
    if state.paused_in_git:
        say("It is still paused in git: `paused: true` in its YAML.", style="yellow")
    if state.pause:
        shown = _shown(state.pause.target, state.pause.value)
        say(f"It is still paused: `boe resume {shown}` ends that.", style="yellow")
    return 0


def cancel(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN")],
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Ask, and do not wait for its end.")
    ] = False,
) -> int:
    """Stop a run, or keep one that waits from starting.

    \b
    Example:
      boe cancel carriers-daily.20261124T113000Z
    """
    app = door(context).app()
    record = find_run(app, run)
    run_id = record.run.run_id
    if record.run.status.final:
        say(f"{run_id} has ended already: {record.run.status.value}.")
        return 0
    after = app.ledger.cancel(run_id, by=getpass.getuser(), now=app.clock.now())
    _forget_the_dead(app)
    if not no_wait and not after.final:
        after = _end_of(app, run_id)
    if after is RunStatus.CANCELLED:
        say(f"{run_id} is cancelled.")
    elif after.final:
        say(f"{run_id} had ended before it could be stopped: {after.value}.")
    else:
        say(f"{run_id} is asked to stop.")
    return 0


def _forget_the_dead(app: App) -> None:
    """With nobody serving, whoever held a lease is gone: a cancelled run ends."""
    if app.serve_lock.try_acquire():
        try:
            app.ledger.expire(now=app.clock.now(), all_leases=True)
        finally:
            app.serve_lock.release()


def _end_of(app: App, run_id: str) -> RunStatus:
    while True:
        record = app.ledger.run(run_id)
        if record is None or record.run.status.final:
            return record.run.status if record else RunStatus.CANCELLED
        app.ledger.wait_for_change(LOOK)
        _forget_the_dead(app)


def _target(
    name: str | None,
    everything: bool,
    owner: str | None,
    label: str | None,
    connection: str | None,
) -> tuple[PauseTarget, str]:
    given = [
        (PauseTarget.SCHEDULE, name),
        (PauseTarget.ALL, "" if everything else None),
        (PauseTarget.OWNER, owner),
        (PauseTarget.LABEL, label),
        (PauseTarget.CONNECTION, connection),
    ]
    chosen = [(target, value) for target, value in given if value is not None]
    if len(chosen) != 1:
        raise InputError("Name one of NAME, --all, --owner, --label and --connection.")
    if label is not None and "=" not in label:
        raise InputError("--label is written key=value.")
    return chosen[0]


def _check_known(app: App, target: PauseTarget, value: str) -> None:
    """InputError for a name, an owner, a label or a Connection that nothing has."""
    names = [state.name for state in app.ledger.states()]
    if target is PauseTarget.SCHEDULE:
        known_schedules([value], names)
        return
    specs = [spec for name in names if (spec := app.ledger.schedule_spec(name))]
    known = {
        PauseTarget.OWNER: [spec.owner for spec in specs],
        PauseTarget.CONNECTION: [spec.connection_name for spec in specs],
        PauseTarget.LABEL: [f"{k}={v}" for s in specs for k, v in s.labels.items()],
        PauseTarget.ALL: [""],
    }[target]
    if value not in known:
        todo = did_you_mean(value, known, f"There are: {', '.join(sorted({*known}))}.")
        raise InputError(f"No schedule has the {target.value} {value!r}.", todo)


def _zone(app: App, target: PauseTarget, value: str) -> str:
    """The schedule's zone; UTC for what is no schedule."""
    spec = app.ledger.schedule_spec(value) if target is PauseTarget.SCHEDULE else None
    return spec.timezone if spec else "UTC"


def _told(target: PauseTarget, value: str) -> str:
    if target is PauseTarget.SCHEDULE:
        return value
    return "everything" if target is PauseTarget.ALL else f"{target.value} {value}"


def _shown(target: PauseTarget, value: str) -> str:
    if target is PauseTarget.SCHEDULE:
        return value
    return f"--{target.value} {value}".rstrip()
