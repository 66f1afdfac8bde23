"""What waits for a person, and what a person released."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from boe_reconciler.core import approval, holds, lifecycle
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.holds import OF_REVISIONS, Hold, HoldEnd, HoldKind, Wait
from boe_reconciler.core.runs import AttemptStatus, Claim, Event, Run, event_of
from boe_reconciler.core.spec import Activation, RunSpec
from boe_reconciler.ledgers import _held, _rows
from boe_reconciler.ledgers._store import Store

#: Characters of a Hold's id: short enough to type.
_ID = 8
#: When a run goes on that only a person lets go on.
NEVER = datetime(9999, 12, 31, tzinfo=UTC)


def release(store: Store, hold_id: str, *, by: str, why: str, now: datetime) -> Hold:
    hold = store.hold(hold_id)
    if hold is None:
        raise InputError(
            f"Nothing with the id {hold_id!r} waits.", "`boe release` lists what does."
        )
    found = holds.released(hold, by=by, why=why, now=now)
    words = f"{found.subject} ({found.kind}) was released by {by}: {why}"
    if hold.kind in OF_REVISIONS:
        store.insert_events([Event(at=now, action="released", message=words)])
    else:
        run = store.run(hold.subject)
        found = _release_run(store, found, run, now)
        if run is not None:
            store.insert_events([event_of(run, "released", words, now)])
    store.put_holds([found])
    return found


def _release_run(store: Store, hold: Hold, run: Run | None, now: datetime) -> Hold:
    """It goes on at once; where nothing is left to go on, that is the end of the Hold."""
    if run is None or hold.kind is HoldKind.UNCONFIRMED:
        return replace(hold, ended_at=now, ended_as=HoldEnd.RECORDED)
    if hold.kind is HoldKind.APPROVAL:
        approval.check(_newest_spec(store, run), hold.released_by, now)
    if run.held:
        store.put_runs([replace(run, not_before=now, reason="released", message="")])
    return hold


def _newest_spec(store: Store, run: Run) -> RunSpec:
    """As it is served, so that who has left since may release nothing; else its own."""
    served = _rows.served_spec(store, run)
    return served if served and served.approval else store.spec(run.spec_digest)


def await_release(store: Store, claim: Claim, wait: Wait, *, now: datetime) -> bool:
    _rows.renew(store, claim, now)
    run = _rows.prove(store, claim)
    known = [one for one in store.holds_of(run.run_id) if one.kind is wait.kind]
    if holds.let_through(known):
        return True
    hold = next((one for one in known if one.ended_at is None), None)
    hold = hold or _held.hold(store, wait, run, now)
    end = holds.gone_on(hold, now)
    if end is not None:
        store.put_holds([replace(hold, ended_at=now, ended_as=end)])
        return True
    run = _rows.end_attempt(store, run, AttemptStatus.RELEASED, now)
    command = f'boe release {hold.hold_id} --why "…"'
    words = f"{hold.message} `{command}` lets it go on."
    held = lifecycle.waiting(run, hold.until or NEVER, hold.kind.value, words)
    _rows.put_down(store, held, now)
    return False


def switch_off(store: Store, claim: Claim, wait: Wait, *, now: datetime) -> None:
    _rows.renew(store, claim, now)
    run = _rows.prove(store, claim)
    if all(one.ended_at is not None for one in store.holds_of(wait.subject)):
        _held.hold(store, wait, run, now)


def settle(
    store: Store, activation: Activation, now: datetime, new_uid: Callable[[], str]
) -> None:
    """With the outcome of a revision: what waits for a person now, and no longer."""
    for hold in _of_revisions(store):
        found = holds.after(
            hold, activation.attempted, activation.serving, activation.waits
        )
        if isinstance(found, HoldEnd):
            found = replace(hold, ended_at=now, ended_as=found)
        if found != hold:
            store.put_holds([found])
    known = {(one.kind, one.subject) for one in _of_revisions(store)}
    new = [one for one in activation.waits if (one.kind, one.subject) not in known]
    _hold(store, new, now, new_uid)


def _of_revisions(store: Store) -> list[Hold]:
    return [one for one in store.holds() if one.kind in OF_REVISIONS]


def _hold(
    store: Store, waits: Sequence[Wait], now: datetime, new_uid: Callable[[], str]
) -> None:
    for wait in waits:
        store.put_holds([holds.begun(wait, new_uid()[-_ID:], now)])
        store.insert_events([Event(at=now, action="held", message=wait.message)])
