"""Connections with limits: who may start, who did, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from boe_reconciler.core import limits
from boe_reconciler.core.limits import (
    NEVER_FAILED,
    UNLIMITED,
    ConnectionState,
    Left,
    Limited,
    Phase,
    Use,
)
from boe_reconciler.core.runs import Event, Run, RunStatus
from boe_reconciler.ledgers._store import Store

#: A Connection that is full is noted this often.
_FULL_NOTED = timedelta(seconds=10)
#: A run that expired so soon after its Connection was full had waited for that.
_FULL_LATELY = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """What one claim knows of the Connections that have limits."""

    uses: Mapping[str, Use]
    left: Left


def serve(store: Store, served: Mapping[str, Limited]) -> None:
    """The Connections of a new plan; what goes on being served keeps its state."""
    known = {use.name: use for use in store.uses()}
    for name in known.keys() - served.keys():
        store.drop_use(name)
    new = [
        replace(
            known.get(name) or Use(name=name, limits=UNLIMITED),
            limits=limits.limits_of(spec),
        )
        for name, spec in served.items()
    ]
    store.put_uses([use for use in new if use != known.get(use.name)])


# --- Starting ---------------------------------------------------------------------


def gate(store: Store, now: datetime) -> Gate:
    uses = {use.name: use for use in store.uses() if use.limits != UNLIMITED}
    readers = store.readers() if uses else {}
    rooms = {
        name: limits.room(
            use, readers.get(name, 0), now, trying=_trying(store, use, now)
        )
        for name, use in uses.items()
    }
    return Gate(uses=uses, left=Left(rooms))


def count(store: Store, gate: Gate, started: Sequence[Run], now: datetime) -> None:
    """Starts cost tokens; the one try of a half open breaker is remembered."""
    starts = Counter(run.connection for run in started)
    first = {run.connection: run.run_id for run in reversed(started)}
    changed = []
    for name, use in gate.uses.items():
        after = _noted(use, gate.left.held_by(name), now)
        if name in first:
            after = _spent(after, starts[name], now)
            after = _tried(after, first[name], now)
        if after != use:
            changed.append(after)
    store.put_uses(changed)


def _noted(use: Use, held_by: str, now: datetime) -> Use:
    """Blackouts and breakers can be worked out later, a lack of room cannot."""
    if held_by not in ("connection_limit", "rate_limit"):
        return use
    known = use.full_by == held_by and use.full_at is not None
    if known and use.full_at and abs(now - use.full_at) < _FULL_NOTED:
        return use
    return replace(use, full_at=now, full_by=held_by)


def _spent(use: Use, starts: int, now: datetime) -> Use:
    rate = use.limits.per_second
    if rate is None:
        return use
    return replace(use, budget=limits.spent(use.budget, rate, starts, now))


def _tried(use: Use, run_id: str, now: datetime) -> Use:
    half_open = _phase(use, now) is Phase.HALF_OPEN
    return (
        replace(use, breaker=replace(use.breaker, trying=run_id)) if half_open else use
    )


def _trying(store: Store, use: Use, now: datetime) -> bool:
    """Whether the one try of a half open breaker still goes on."""
    if use.breaker.trying is None or _phase(use, now) is not Phase.HALF_OPEN:
        return False
    run = store.run(use.breaker.trying)
    return (
        run is not None
        and run.status is RunStatus.RUNNING
        and run.connection == use.name
    )


def _phase(use: Use, now: datetime) -> Phase:
    return limits.phase(use.breaker, use.limits.circuit_breaker, now)


def held_until(store: Store, runs: Sequence[Run]) -> Mapping[str, str]:
    """Run id -> what its Connection had against it when it expired, if anything."""
    uses = {use.name: use for use in store.uses() if use.limits != UNLIMITED}
    return {
        run.run_id: _held(uses[run.connection], run.expires)
        for run in runs
        if run.connection in uses and run.expires
    }


def _held(use: Use, expires: datetime) -> str:
    held = limits.held_at(use, expires)
    lately = use.full_at is not None and abs(expires - use.full_at) <= _FULL_LATELY
    return held or (use.full_by if lately else "")


# --- What came of it --------------------------------------------------------------


def used(
    store: Store, name: str, failure: str | None, run_id: str | None, now: datetime
) -> Sequence[Event]:
    """The far side answered, or failed in a way that may pass."""
    use = store.use(name)
    rules = use.limits.circuit_breaker if use else None
    if use is None or rules is None:
        return ()
    if failure is not None:
        after = limits.failed(use.breaker, rules, failure, now)
    elif use.breaker == NEVER_FAILED:
        return ()
    else:
        after = NEVER_FAILED
    store.put_uses([replace(use, breaker=after)])
    events = [
        Event(at=now, action=action, message=message, run_id=run_id)
        for action, message in _turned(use, replace(use, breaker=after), now)
    ]
    store.insert_events(events)
    return events


def _turned(before: Use, after: Use, now: datetime) -> list[tuple[str, str]]:
    breaker = after.breaker
    until = limits.open_until(breaker, after.limits.circuit_breaker, now)
    if until is not None and breaker.opened_at != before.breaker.opened_at:
        times = (
            "once" if breaker.failures == 1 else f"{breaker.failures} times in a row"
        )
        message = (
            f"Connection {after.name} failed {times} and is left alone until "
            f"{until:%Y-%m-%d %H:%M:%S}Z: {breaker.cause}"
        )
        return [("breaker_opened", message)]
    if before.breaker.opened_at is not None and breaker.opened_at is None:
        words = f"Connection {after.name} works again: its breaker is closed."
        return [
            ("breaker_closed", f"{words} It had opened over: {before.breaker.cause}")
        ]
    return []


def states(store: Store, now: datetime) -> Sequence[ConnectionState]:
    readers = store.readers()
    return [
        limits.state_of(
            use, readers.get(use.name, 0), now, trying=_trying(store, use, now)
        )
        for use in store.uses()
    ]
