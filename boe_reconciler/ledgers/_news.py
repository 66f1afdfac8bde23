"""News of mails that were sent, and the suppression list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from boe_reconciler.core.runs import Delivery, DeliveryEvent, DeliveryKey, Event
from boe_reconciler.core.suppression import (
    BOE,
    Suppression,
    Told,
    heard,
    mailbox,
    said,
    suppresses,
)
from boe_reconciler.ledgers._store import Store


def hear(
    store: Store, told: Told, *, now: datetime, new_id: Callable[[], str]
) -> DeliveryKey | None:
    delivery = _meant(store, told)
    if delivery is None or store.heard(told.digest):
        return delivery.key if delivery else None
    event = told.event(delivery.key, now)
    store.insert_news(event)
    (run,) = store.runs([event.key.run_id])
    store.insert_events([heard(event, run.schedule)])
    if suppresses(event):
        _suppress_for(store, event, new_id())
    return event.key


def _meant(store: Store, told: Told) -> Delivery | None:
    found = store.mail(told.identity) if told.identity else None
    if found is None and told.receipt:
        found = store.mail_of(told.receipt)
    return found


def _suppress_for(store: Store, event: DeliveryEvent, new_id: str) -> None:
    address = event.key.recipient
    new = Suppression(
        suppression_id=new_id,
        address=address,
        mailbox=mailbox(address),
        by=BOE,
        why=f"The mail of {event.key.run_id} {said(event)}",
        since=event.at,
        run_id=event.key.run_id,
    )
    _put(store, new)


def suppress(store: Store, new: Suppression) -> Suppression | None:
    return new if _put(store, new) else None


def _put(store: Store, new: Suppression) -> bool:
    if _current(store, new.address) is not None:
        return False
    store.put_suppression(new)
    text = f"{new.by} put {new.address} on the suppression list: {new.why}"
    store.insert_events([Event(at=new.since, action="suppressed", message=text)])
    return True


def unsuppress(
    store: Store, address: str, *, by: str, why: str, now: datetime
) -> Suppression | None:
    current = _current(store, address)
    if current is None:
        return None
    over = current.ended(by=by, why=why, now=now)
    store.put_suppression(over)
    text = f"{by} took {over.address} off the suppression list: {why}"
    store.insert_events([Event(at=now, action="unsuppressed", message=text)])
    return over


def _current(store: Store, address: str) -> Suppression | None:
    known = store.suppressions(mailbox(address))
    return next((one for one in known if one.ended_at is None), None)


def bad(
    store: Store, since: datetime, limit: int
) -> Sequence[tuple[str, DeliveryEvent]]:
    found = store.bad_news(since, limit)
    ids = list(dict.fromkeys(one.key.run_id for one in found))
    schedules = {run.run_id: run.schedule for run in store.runs(ids)}
    return [(schedules[one.key.run_id], one) for one in found]
