"""What people were told, and what channels still owe them."""

from __future__ import annotations

from collections.abc import Sequence

from boe_reconciler.core.notices import SHOWN_FOR, Incident, Owed, Sent
from boe_reconciler.core.runs import Event
from boe_reconciler.core.troubles import Board
from boe_reconciler.ledgers._store import Store


def tell(
    store: Store,
    incident: Incident | None,
    owed: Sequence[Owed],
    events: Sequence[Event],
) -> None:
    if incident is not None:
        store.put_incident(incident)
    for one in owed:
        _owe(store, one)
    store.insert_events(events)


def report(
    store: Store, board: Board, owed: Sequence[Owed], events: Sequence[Event]
) -> None:
    store.put_board(board)
    for one in owed:
        _owe(store, one)
    store.insert_events(events)


def _owe(store: Store, owed: Owed) -> None:
    before = store.owed_for(owed.channel, owed.key)
    if before and before.body == owed.body and before.result is not Sent.GIVEN_UP:
        return
    # What was sent is kept until the next one: it must not be sent twice.
    store.drop_sent(owed.channel, owed.since - SHOWN_FOR)
    store.put_owed(owed)


def tried(store: Store, before: Owed, after: Owed) -> bool:
    """False: meanwhile something else has to be sent in its place."""
    found = store.owed_for(before.channel, before.key)
    if found != before:
        return False
    store.put_owed(after)
    return True
