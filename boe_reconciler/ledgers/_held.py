"""Holds of runs: they begin and end with what their run does."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from boe_reconciler.core import holds
from boe_reconciler.core.holds import OF_OPEN_RUNS, Hold, HoldEnd, HoldKind, Wait
from boe_reconciler.core.runs import Delivery, DeliveryStatus, Run, event_of
from boe_reconciler.ledgers._store import Store

#: Characters of a Hold's id, at least: short enough to type.
_ID = 8


def hold(store: Store, wait: Wait, run: Run, now: datetime) -> Hold:
    """A new Hold, of this run or by what came of it."""
    made = holds.begun(wait, _new_id(store, wait, now), now)
    store.put_holds([made])
    store.insert_events([event_of(run, "held", wait.message, now)])
    return made


def _new_id(store: Store, wait: Wait, now: datetime) -> str:
    text = f"{wait.kind}\n{wait.subject}\n{now.isoformat()}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return next(
        found
        for length in range(_ID, len(digest))
        if store.hold(found := digest[:length]) is None
    )


def run_ended(
    store: Store, run: Run, deliveries: Sequence[Delivery], now: datetime
) -> None:
    """What it waited for is over; what nobody knows of its deliveries waits from now on."""
    known = store.holds_of(run.run_id)
    _end(store, known, OF_OPEN_RUNS, HoldEnd.CANCELLED, now)
    settled = max((one.released_at for one in known if one.released_at), default=None)
    unclear = [
        one
        for one in deliveries
        if one.status is DeliveryStatus.UNCONFIRMED
        and (settled is None or one.at > settled)
    ]
    if unclear:
        kind, message = HoldKind.UNCONFIRMED, _unclear(run, unclear)
        wait = Wait(kind=kind, subject=run.run_id, message=message)
        hold(store, wait, run, now)


def reopened(store: Store, run: Run, now: datetime) -> None:
    """What nobody knew is sent again."""
    known = store.holds_of(run.run_id)
    _end(store, known, [HoldKind.UNCONFIRMED], HoldEnd.OVER, now)


def _end(
    store: Store,
    known: Sequence[Hold],
    kinds: Sequence[HoldKind],
    how: HoldEnd,
    now: datetime,
) -> None:
    open_ = [one for one in known if one.kind in kinds and one.ended_at is None]
    if open_:
        store.put_holds([replace(one, ended_at=now, ended_as=how) for one in open_])


#: So many are named.
_MOST = 3


def _unclear(run: Run, deliveries: Sequence[Delivery]) -> str:
    keys = [one.key for one in deliveries]
    names = [
        key.destination
        if key.recipient == "-"
        else f"{key.destination} {key.recipient}"
        for key in keys
    ]
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return (
        f"Nobody knows whether what {run.run_id} sent has arrived: "
        f"{', '.join(names[:_MOST])}{more}. `boe resend {run.run_id} --unconfirmed` "
        "sends it again; a release leaves it at that."
    )
