"""A ledger that comes out of a backup knows nothing of what was done after it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from boe_reconciler.core import due
from boe_reconciler.core.due import Owed, Standing, Ticks
from boe_reconciler.core.runs import Event, RunStatus
from boe_reconciler.ledgers import _claims, _rows
from boe_reconciler.ledgers._store import Store

_REASON = "restored"
_WHY = (_REASON, "It was open in a backup; whether it was done since, nobody knows.")


def restored(store: Store, made: datetime, *, catch_up: bool, now: datetime) -> None:
    """No lease of then holds. Without `catch_up`, nothing up to now is begun or goes on."""
    _claims.expire(store, now=now, all_leases=True)
    if not catch_up:
        _end_what_is_open(store, now)
        standings = [one for one in store.standings() if not one.paused]
        _rows.write_owed(store, [_let_go(one, now) for one in standings], now)
    how = "is caught up" if catch_up else "was let go"
    message = f"Restored from a backup of {made:%Y-%m-%d %H:%M:%S}Z; what was due since {how}."
    store.insert_events([Event(at=now, action=_REASON, message=message)])


def _end_what_is_open(store: Store, now: datetime) -> None:
    for run in [one for one in store.every_run() if not one.status.final]:
        _rows.end_run(store, run, RunStatus.CANCELLED, now, why=_WHY)


def _let_go(standing: Standing, now: datetime) -> Owed:
    """One gap up to now, as after a pause, and on from there."""
    ended = due.unpaused(standing, now)
    again = due.owed(ended.standing, Ticks(), ended.standing.high_water)
    return replace(again, gaps=[replace(one, reason=_REASON) for one in ended.gaps])
