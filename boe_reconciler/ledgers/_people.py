"""What people ask of a run that is there: cancel it, send it again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from boe_reconciler.core import lifecycle
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.runs import (
    Delivery,
    DeliveryKey,
    DeliveryStatus,
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
    store: Store, run_id: str, recipient: str | None, *, everything: bool, now: datetime
) -> Sequence[DeliveryKey]:
    run = _known(store, run_id)
    if not run.status.final:
        raise InputError(
            f"{run_id} is {run.status}: it still delivers by itself.",
            "Wait for its end, or cancel it first.",
        )
    last = _last_copies(store.deliveries([run_id]).get(run_id, ()))
    if not last:
        raise InputError(
            f"{run_id} has no deliveries that could be sent again.",
            f"`boe rerun` exports anew what {run.schedule} missed.",
        )
    wanted = [one for one in last if recipient in (None, one.key.recipient)]
    again = [
        lifecycle.next_copy(one, now)
        if one.status is DeliveryStatus.ACCEPTED
        else lifecycle.sent_again(one, now)
        for one in wanted
        if everything or one.status is not DeliveryStatus.ACCEPTED
    ]
    if again:
        store.put_runs([lifecycle.reopened(run, now)])
        store.put_deliveries(again)
        _held.reopened(store, run, now)
        words = f"{len(again)} deliveries are sent again."
        store.insert_events([event_of(run, "reopened", words, now)])
    return [one.key for one in again]


def _last_copies(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """The newest copy of each."""
    newest: dict[tuple[str, str, str], Delivery] = {}
    for one in sorted(deliveries, key=lambda one: one.key.copy):
        newest[one.key.part, one.key.destination, one.key.recipient] = one
    return list(newest.values())


def _known(store: Store, run_id: str) -> Run:
    run = store.run(run_id)
    if run is None:
        raise InputError(f"There is no run {run_id!r}.", "`boe runs` lists them.")
    return run
