"""What waits for a person, and what a person released."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from boe_reconciler.core import holds
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.holds import Hold, HoldEnd, Wait
from boe_reconciler.core.runs import Event
from boe_reconciler.core.spec import Activation
from boe_reconciler.ledgers._store import Store

#: Characters of a Hold's id: short enough to type.
_ID = 8


def release(store: Store, hold_id: str, *, by: str, why: str, now: datetime) -> Hold:
    hold = store.hold(hold_id)
    if hold is None:
        raise InputError(
            f"Nothing with the id {hold_id!r} waits.", "`boe release` lists what does."
        )
    found = holds.released(hold, by=by, why=why, now=now)
    store.put_holds([found])
    words = f"{found.subject} ({found.kind}) was released by {by}: {why}"
    store.insert_events([Event(at=now, action="released", message=words)])
    return found


def settle(
    store: Store, activation: Activation, now: datetime, new_uid: Callable[[], str]
) -> None:
    """With the outcome of a revision: what waits for a person now, and no longer."""
    for hold in store.holds():
        found = holds.after(
            hold, activation.attempted, activation.serving, activation.waits
        )
        if isinstance(found, HoldEnd):
            found = replace(hold, ended_at=now, ended_as=found)
        if found != hold:
            store.put_holds([found])
    known = {(one.kind, one.subject) for one in store.holds()}
    new = [one for one in activation.waits if (one.kind, one.subject) not in known]
    _hold(store, new, now, new_uid)


def _hold(
    store: Store, waits: Sequence[Wait], now: datetime, new_uid: Callable[[], str]
) -> None:
    for wait in waits:
        hold = Hold(
            hold_id=new_uid()[-_ID:],
            kind=wait.kind,
            subject=wait.subject,
            message=wait.message,
            since=now,
            until=wait.until,
        )
        store.put_holds([hold])
        store.insert_events([Event(at=now, action="held", message=wait.message)])
