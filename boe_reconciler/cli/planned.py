"""The plan of the files as they are, for commands that need nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.suggest import did_you_mean
from boe_reconciler.core.wording import quoted

if TYPE_CHECKING:
    from boe_reconciler.app import App
    from boe_reconciler.core.plan import Plan


def plan_of_files(app: App) -> Plan:
    """Offline: no state folder, no secret, no connection."""
    from boe_reconciler.cli.shares import in_shares
    from boe_reconciler.core.plan import make_plan

    return make_plan(
        app.repo.snapshot(),
        served=None,
        now=app.clock.now(),
        environment=app.settings.env,
        spread=in_shares,
    )


def usable_plan_of_files(app: App) -> Plan:
    """As `plan_of_files`; InputError where its Environment cannot be used."""
    return usable(plan_of_files(app))


def usable(plan: Plan) -> Plan:
    from boe_reconciler.core.plan import unusable

    error = unusable(plan)
    if error is not None:
        raise error
    return plan


def plan_of_now(app: App) -> Plan:
    """What a command would act upon; nothing is written.

    Beside a process that serves, what it serves, and what came from git in any case.
    Otherwise the files, and for what cannot be used in them the version that is served.
    """
    from boe_reconciler.core.plan import make_plan, served_plan
    from boe_reconciler.core.remote import commit_of

    now = app.clock.now()
    if not app.has_state:
        return plan_of_files(app)
    served = app.ledger.served()
    if app.who_serves() or commit_of(served.serving or "") is not None:
        return served_plan(served, now=now, read_blob=app.blobs.read)
    return make_plan(
        app.repo.snapshot(),
        served=served,
        now=now,
        read_blob=app.blobs.read,
        environment=app.settings.env,
    )


def known_schedules(names: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    """The names themselves; InputError for one that no schedule has."""
    there = {*known}
    unknown = [name for name in names if name not in there]
    if unknown:
        todo = "`boe status` lists the schedules."
        hints = [did_you_mean(name, known, todo) for name in unknown]
        text = f"There is no schedule {quoted(unknown, 'or')}."
        raise InputError(text, " ".join(dict.fromkeys(hints)))
    return names


def check_served(app: App, names: Sequence[str]) -> None:
    """InputError for a name that is not served; a mistake in its file is told as one."""
    known = [state.name for state in app.ledger.states()]
    stalled = app.ledger.served().stalled
    broken = {one.name for one in stalled if one.kind == "Schedule"}
    for name in names:
        if name in broken and name not in known:
            told = f"The schedule {quoted([name], 'and')} is not valid."
            raise InputError(told, f"`boe explain {name}` says why.")
    known_schedules(names, sorted(known))


def instant(text: str, zone: str, what: str) -> datetime:
    """ISO 8601; without an offset it is wall time in `zone`."""
    from zoneinfo import ZoneInfo

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{what} {text!r} is not a time.",
            "Write 2026-11-24, 2026-11-24T06:30 or 2026-11-24T06:30:00+01:00.",
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))


#: A range may begin and end in these: what is computed around it needs room.
_YEARS = range(1900, 9000)


def bound(text: str, zone: str, what: str) -> datetime:
    """An end of a range, as `instant`; InputError for one that nobody can mean."""
    moment = instant(text, zone, what)
    if moment.year not in _YEARS:
        raise InputError(f"{what} {text!r} lies before 1900 or after 8999.")
    return moment


def duration(text: str, what: str) -> timedelta:
    """ "90m" or "1h30m"; InputError for what is none."""
    from boe_reconciler.core.resources.types import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise InputError(f"{what}: {error}.") from error
