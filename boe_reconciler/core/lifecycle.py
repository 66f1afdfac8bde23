"""How runs and deliveries move from state to state: old row and event -> new row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from boe_reconciler.core.calendar.zones import TZDB_VERSION
from boe_reconciler.core.due import Standing, execution
from boe_reconciler.core.records import replace
from boe_reconciler.core.runs import (
    ASKED,
    Delivery,
    DeliveryKey,
    DeliveryStatus,
    NewDelivery,
    NewRun,
    Outcome,
    Run,
    RunStatus,
    Trigger,
)

#: What only a try can give.
_TRIED = (DeliveryStatus.DEFERRED, DeliveryStatus.REFUSED, DeliveryStatus.FAILED)
#: How long a claim holds without a heartbeat.
LEASE = timedelta(seconds=60)
#: A run that alone was executing in as many lost claims is not tried again.
POISON = 3


# --- Runs -------------------------------------------------------------------------


def inserted(new: NewRun, standing: Standing, now: datetime) -> Run:
    """The row of a new run, with the spec that is served now."""
    rules = execution(standing)
    return Run(
        run_id=new.run_id,
        schedule=new.schedule,
        schedule_uid=standing.uid,
        occurrence=new.occurrence,
        trigger=new.trigger,
        status=new.status,
        reason=new.reason,
        message="",
        attempts=0,
        not_before=new.not_before,
        expires=new.expires,
        options=new.options,
        cancel_requested=False,
        fence=0,
        worker=None,
        lease_until=None,
        started_at=None,
        finished_at=now if new.status.final else None,
        rows=None,
        revision=standing.revision,
        spec_digest=standing.spec_digest,
        tzdb=TZDB_VERSION,
        created_at=now,
        expires_reason=new.expires_reason,
        overlap=rules.overlap,
        max_concurrent=rules.max_concurrent_runs,
        max_attempts=rules.retry.max_retries + 1,
        connection=standing.connection or None,
        late_at=_late_at(new, rules.grace),
    )


def _late_at(new: NewRun, grace: timedelta | None) -> datetime | None:
    """Only what the schedule owes can be late."""
    if grace is None or new.trigger not in (Trigger.SCHEDULE, Trigger.CATCHUP):
        return None
    return new.occurrence + grace


def claimed(run: Run, worker: str, now: datetime) -> Run:
    return replace(
        run,
        status=RunStatus.RUNNING,
        reason="",
        message="",
        worker=worker,
        lease_until=now + LEASE,
        fence=run.fence + 1,
        started_at=run.started_at or now,
    )


def unclaimed(run: Run, status: RunStatus) -> Run:
    """Nobody executes it any more; who still believes to, meets no running row."""
    return replace(run, status=status, worker=None, lease_until=None)


def waiting(run: Run, until: datetime, reason: str, message: str) -> Run:
    idle = unclaimed(run, RunStatus.WAITING)
    return replace(idle, not_before=until, reason=reason, message=message)


def lost(run: Run, *, alone: bool) -> Run:
    """Its lease ran out: pending again."""
    idle = unclaimed(run, RunStatus.PENDING)
    return replace(idle, lost=run.lost + alone)


def finished(
    run: Run, status: RunStatus, reason: str, message: str, now: datetime
) -> Run:
    idle = unclaimed(run, status)
    late_at = None if _as_wanted(status, reason) else run.late_at
    return replace(
        idle, reason=reason, message=message, finished_at=now, late_at=late_at
    )


def _as_wanted(status: RunStatus, reason: str) -> bool:
    """Whether nobody misses a file: it succeeded, was not wanted, or was cancelled."""
    if status is RunStatus.SKIPPED:
        return reason != "overlap"
    return status in (RunStatus.SUCCEEDED, RunStatus.CANCELLED)


def reopened(run: Run, now: datetime) -> Run:
    """`boe resend`: the same run goes on with its deliveries."""
    return replace(
        run,
        status=RunStatus.PENDING,
        reason="resend",
        message="",
        not_before=now,
        expires=None,
        finished_at=None,
        cancel_requested=False,
        cancel_requested_at=None,
        reopened=run.reopened + 1,
        # Somebody looked at why its workers vanished: it has as many tries again.
        lost=0,
    )


def cancel_asked(run: Run, now: datetime) -> Run:
    since = run.cancel_requested_at or now
    return replace(run, cancel_requested=True, cancel_requested_at=since)


# --- Deliveries -------------------------------------------------------------------


def planned(new: NewDelivery, now: datetime) -> Delivery:
    made = Delivery(
        key=new.key,
        type=new.type,
        status=DeliveryStatus.PENDING,
        attempts=0,
        reason="",
        message="",
        receipt=None,
        remote=None,
        intent={},
        first_attempt_at=None,
        next_attempt_at=None,
        at=now,
        role=new.role,
        notice=new.notice,
    )
    return made if new.intent is None else intended(made, new.intent, now)


def intended(delivery: Delivery, intent: Mapping[str, str], now: datetime) -> Delivery:
    """The act is about to begin; one that was interrupted goes on as the same attempt."""
    again = delivery.status is DeliveryStatus.SENDING
    return replace(
        delivery,
        status=DeliveryStatus.SENDING,
        attempts=delivery.attempts + (not again),
        intent=intent,
        first_attempt_at=delivery.first_attempt_at or now,
        next_attempt_at=None,
        at=now,
    )


def settled(
    delivery: Delivery,
    outcome: Outcome,
    next_attempt_at: datetime | None,
    now: datetime,
) -> Delivery:
    # Of one that never came to the act, such as when nobody answers there.
    tried = delivery.status is not DeliveryStatus.SENDING and outcome.status in _TRIED
    return replace(
        delivery,
        status=outcome.status,
        attempts=delivery.attempts + tried,
        first_attempt_at=delivery.first_attempt_at or (now if tried else None),
        reason=outcome.reason,
        message=outcome.message,
        receipt=outcome.receipt,
        remote=outcome.remote,
        next_attempt_at=next_attempt_at,
        at=now,
        resent=delivery.resent or outcome.in_doubt,
        linked=delivery.linked or outcome.linked,
    )


def abandoned(delivery: Delivery, reason: str, message: str, now: datetime) -> Delivery:
    """Its run ended before it did. What was on its way, or is in doubt, may have arrived.

    What its own far side said last is kept; else it says why the run ended.
    """
    unclear = delivery.status is DeliveryStatus.SENDING or delivery.resent
    status = DeliveryStatus.UNCONFIRMED if unclear else DeliveryStatus.CANCELLED
    return replace(
        delivery,
        status=status,
        reason=reason,
        message=delivery.message or message,
        next_attempt_at=None,
        at=now,
    )


def sent_again(delivery: Delivery, now: datetime) -> Delivery:
    """The same delivery with its identity, as if it had never been tried."""
    fresh = _anew(delivery, delivery.key, delivery.role, now)
    return replace(
        fresh,
        attempts=delivery.attempts,
        intent=delivery.intent,
        linked=delivery.linked,
    )


def next_copy(delivery: Delivery, now: datetime) -> Delivery:
    """Another copy of what was accepted, with an identity of its own."""
    key = replace(delivery.key, copy=delivery.key.copy + 1)
    return _anew(delivery, key, delivery.role, now)


def asked_copy(delivery: Delivery, address: str, copy: int, now: datetime) -> Delivery:
    """A copy for somebody who asked for it."""
    key = replace(delivery.key, recipient=address, copy=copy)
    return _anew(delivery, key, ASKED, now)


def _anew(delivery: Delivery, key: DeliveryKey, role: str, now: datetime) -> Delivery:
    notice = delivery.notice
    new = NewDelivery(key=key, type=delivery.type, role=role, notice=notice)
    return planned(new, now)
