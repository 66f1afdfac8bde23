"""What a worker writes for the run it claimed: each write proves the claim first (R10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from boe_reconciler.core import due, lifecycle
from boe_reconciler.core.runs import (
    Artifact,
    Attempt,
    AttemptStatus,
    Claim,
    Delivery,
    DeliveryKey,
    NewDelivery,
    Outcome,
    Pause,
    PauseTarget,
    Run,
    RunStatus,
)
from boe_reconciler.ledgers import _rows, _time
from boe_reconciler.ledgers._store import Store

Why = tuple[str, str]


def begin_attempt(store: Store, claim: Claim, *, now: datetime) -> int:
    run = _rows.prove(store, claim, now)
    if run.attempts >= run.max_attempts:
        raise ValueError(f"{run.run_id} has used up its {run.max_attempts} attempts")
    before = store.attempts([run.run_id]).get(run.run_id, ())
    if before and before[-1].status is AttemptStatus.RUNNING:
        raise ValueError(f"{run.run_id} is in its attempt {before[-1].number} already")
    number = len(before) + 1
    attempt = Attempt(
        run_id=run.run_id,
        number=number,
        fence=claim.fence,
        worker=claim.worker,
        status=AttemptStatus.RUNNING,
        reason="",
        message="",
        started_at=now,
        finished_at=None,
    )
    store.put_attempt(attempt)
    store.put_runs([replace(run, attempts=run.attempts + 1)])
    return number


def end_attempt(
    store: Store, claim: Claim, status: AttemptStatus, why: Why, *, now: datetime
) -> None:
    run = _rows.prove(store, claim, now)
    store.put_runs([_rows.end_attempt(store, run, status, now, why=why)])


def commit_artifacts(
    store: Store,
    claim: Claim,
    artifacts: Sequence[Artifact],
    deliveries: Sequence[NewDelivery],
    *,
    now: datetime,
) -> None:
    run = _rows.prove(store, claim, now)
    store.insert_artifacts(run.run_id, artifacts)
    store.put_deliveries([lifecycle.planned(new, now) for new in deliveries])
    succeeded = AttemptStatus.SUCCEEDED
    store.put_runs([_rows.end_attempt(store, run, succeeded, now)])


def intend(
    store: Store,
    claim: Claim,
    key: DeliveryKey,
    intent: Mapping[str, str],
    *,
    now: datetime,
) -> None:
    _rows.prove(store, claim, now)
    delivery = _open_delivery(store, key)
    store.put_deliveries([lifecycle.intended(delivery, intent, now)])


def settle(
    store: Store,
    claim: Claim,
    outcome: tuple[DeliveryKey, Outcome],
    next_attempt_at: datetime | None,
    *,
    now: datetime,
) -> None:
    _rows.prove(store, claim, now)
    key, found = outcome
    delivery = _open_delivery(store, key)
    settled = lifecycle.settled(delivery, found, next_attempt_at, now)
    store.put_deliveries([settled])


def _open_delivery(store: Store, key: DeliveryKey) -> Delivery:
    for delivery in store.deliveries([key.run_id]).get(key.run_id, ()):
        if delivery.key == key and not delivery.status.final:
            return delivery
    raise ValueError(f"no open delivery {key}")


def wait(
    store: Store, claim: Claim, until: datetime, why: Why, *, now: datetime
) -> None:
    run = _rows.prove(store, claim, now)
    run = _rows.end_attempt(store, run, AttemptStatus.RETRY, now, why=why)
    store.put_runs([lifecycle.waiting(run, until, *why)])


def finish(
    store: Store,
    claim: Claim,
    end: tuple[RunStatus, Why],
    rows: int | None,
    *,
    now: datetime,
) -> None:
    run = _rows.prove(store, claim, now)
    status, why = end
    deliveries = store.deliveries([run.run_id]).get(run.run_id, ())
    delivered = status in (RunStatus.SUCCEEDED, RunStatus.PARTIAL)
    if delivered and not all(one.status.final for one in deliveries):
        raise ValueError(f"{run.run_id} still has open deliveries")
    run = replace(run, rows=run.rows if rows is None else rows)
    _rows.end_run(store, run, status, now, why=why)
    _count_failure(store, run, status, now)


def _count_failure(store: Store, run: Run, status: RunStatus, now: datetime) -> None:
    """`pause_after_failures`: so many failed runs in a row pause the schedule."""
    standing = store.standing(run.schedule)
    if standing is None or standing.uid != run.schedule_uid or run.options.dry_run:
        return
    if status is RunStatus.FAILED:
        most = due.execution(standing).pause_after_failures
        failures = standing.failures + 1
        store.put_standings([replace(standing, failures=failures)])
        if most and failures >= most and not standing.paused:
            _pause(store, run.schedule, failures, now)
    elif standing.failures and status in (RunStatus.SUCCEEDED, RunStatus.PARTIAL):
        store.put_standings([replace(standing, failures=0)])


def _pause(store: Store, schedule: str, failures: int, now: datetime) -> None:
    runs = "1 run failed" if failures == 1 else f"{failures} runs in a row failed"
    pause = Pause(
        target=PauseTarget.SCHEDULE, value=schedule, by="boe", why=runs, since=now
    )
    _time.pause(store, pause)
