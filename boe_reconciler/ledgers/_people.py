"""What people ask of a run that is there: cancel it, send it again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from boe_reconciler.core import lifecycle
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.addresses import folded
from boe_reconciler.core.runs import (
    Delivery,
    DeliveryKey,
    DeliveryStatus,
    Resend,
    Run,
    RunStatus,
    event_of,
)
from boe_reconciler.ledgers import _held, _rows
from boe_reconciler.ledgers._store import Store


def cancel(store: Store, run_id: str, *, by: str, now: datetime) -> RunStatus:
    run = _known(store, run_id)
    if run.status.final:
        return run.status
    words = f"Cancelled by {by}."
    store.insert_events([event_of(run, "cancel_requested", words, now)])
    if run.status is RunStatus.RUNNING:
        store.put_runs([lifecycle.cancel_asked(run, now)])
        return run.status
    why = ("cancelled", words)
    _rows.end_run(store, run, RunStatus.CANCELLED, now, why=why)
    return RunStatus.CANCELLED


def reopen(
    store: Store, run_id: str, wanted: Resend, *, now: datetime
) -> Sequence[DeliveryKey]:
    run = _known(store, run_id)
    if not run.status.final:
        raise InputError(
            f"{run_id} is {run.status}: it still delivers by itself.",
            "Wait for its end, or cancel it first.",
        )
    known = store.deliveries([run_id]).get(run_id, ())
    if not known:
        raise InputError(
            f"{run_id} has no deliveries that could be sent again.",
            f"`boe rerun {run_id}` exports anew.",
        )
    chosen = [one for one in _last_copies(known) if _is_wanted(one, wanted)]
    if wanted.to is None:
        again = [_again(one, now) for one in chosen]
    else:
        again = _asked(chosen, wanted.to, known, now)
    if again:
        store.put_runs([lifecycle.reopened(run, now)])
        store.put_deliveries(again)
        _held.reopened(store, run, now)
        store.insert_events([event_of(run, "reopened", _said(again, wanted), now)])
    return [one.key for one in again]


def _last_copies(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """The newest copy of each."""
    newest: dict[tuple[str, str, str], Delivery] = {}
    for one in sorted(deliveries, key=lambda one: one.key.copy):
        newest[one.key.part, one.key.destination, one.key.recipient] = one
    return list(newest.values())


def _is_wanted(one: Delivery, wanted: Resend) -> bool:
    key = one.key
    names = (key.destination, key.destination.partition("/")[0])
    return (
        (wanted.recipient is None or folded(wanted.recipient) == folded(key.recipient))
        and (wanted.destination is None or wanted.destination in names)
        and _in_state(one, wanted)
    )


def _in_state(one: Delivery, wanted: Resend) -> bool:
    accepted = one.status is DeliveryStatus.ACCEPTED
    any_ = wanted.everything or wanted.to is not None
    states = wanted.states
    return (any_ or not accepted) and (states is None or one.status in states)


def _again(one: Delivery, now: datetime) -> Delivery:
    accepted = one.status is DeliveryStatus.ACCEPTED
    return lifecycle.next_copy(one, now) if accepted else lifecycle.sent_again(one, now)


def _asked(
    chosen: Sequence[Delivery], to: str, known: Sequence[Delivery], now: datetime
) -> list[Delivery]:
    """One copy of each mail to one address; its other recipients get none."""
    mails = {
        (one.key.part, one.key.destination): one
        for one in chosen
        if one.type == "email"
    }
    found = []
    for (part, destination), one in mails.items():
        copies = [
            other.key.copy
            for other in known
            if (other.key.part, other.key.destination) == (part, destination)
            and other.key.recipient == to
        ]
        copy = max(copies, default=-1) + 1
        found.append(lifecycle.asked_copy(one, to, copy, now))
    return found


def _said(again: Sequence[Delivery], wanted: Resend) -> str:
    count = "1 delivery is" if len(again) == 1 else f"{len(again)} deliveries are"
    to = f" to {wanted.to}" if wanted.to else ""
    return f"{count} sent again{to}."


def _known(store: Store, run_id: str) -> Run:
    run = store.run(run_id)
    if run is None:
        raise InputError(f"There is no run {run_id!r}.", "`boe runs` lists them.")
    return run
