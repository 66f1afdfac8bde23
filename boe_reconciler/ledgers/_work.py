"""What a worker writes for the run it claimed: each write proves the claim first (R10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from boe_reconciler.core import lifecycle
from boe_reconciler.core.outcome import Ending, Verdict
from boe_reconciler.core.records import replace
from boe_reconciler.core.runs import (
    Artifact,
    Attempt,
    AttemptStatus,
    Claim,
    Delivery,
    DeliveryKey,
    NewDelivery,
    Outcome,
    Run,
    RunRecord,
    RunStatus,
)
from boe_reconciler.ledgers import _failures, _limits, _rows
from boe_reconciler.ledgers._store import Store

Why = tuple[str, str]


def begin_attempt(
    store: Store, claim: Claim, parameters: Mapping[str, str], *, now: datetime
) -> int:
    run = _rows.prove(store, claim)
    before = store.attempts([run.run_id]).get(run.run_id, ())
    begin(store, run, before, claim, parameters, now=now)
    return len(before) + 1


def begin(  # noqa: PLR0913 what is known of the run, and of its try
    store: Store,
    run: Run,
    before: Sequence[Attempt],
    claim: Claim,
    parameters: Mapping[str, str],
    *,
    now: datetime,
) -> Run:
    """A row for a try of the export, after those before; the run then."""
    if run.attempts >= run.max_attempts:
        raise ValueError(f"{run.run_id} has used up its {run.max_attempts} attempts")
    if before and before[-1].status is AttemptStatus.RUNNING:
        raise ValueError(f"{run.run_id} is in its attempt {before[-1].number} already")
    attempt = Attempt(
        run_id=run.run_id,
        number=len(before) + 1,
        fence=claim.fence,
        worker=claim.worker,
        status=AttemptStatus.RUNNING,
        reason="",
        message="",
        started_at=now,
        finished_at=None,
    )
    store.put_attempt(attempt)
    begun = replace(
        run,
        attempts=run.attempts + 1,
        parameters=parameters,
        lease_until=now + lifecycle.LEASE,
    )
    store.put_runs([begun])
    return begun


def commit_artifacts(
    store: Store,
    claim: Claim,
    artifacts: Sequence[Artifact],
    deliveries: Sequence[NewDelivery],
    *,
    now: datetime,
) -> RunRecord:
    run = _rows.prove(store, claim)
    owed = [lifecycle.planned(new, now) for new in deliveries]
    store.insert_artifacts(run.run_id, artifacts)
    store.put_deliveries(owed)
    begun = store.attempts([run.run_id]).get(run.run_id, ())
    attempts = _rows.end_last(store, begun, AttemptStatus.SUCCEEDED, now)
    read = replace(run, connection=None, lease_until=now + lifecycle.LEASE)
    store.put_runs([read])
    _source_answered(store, run, now)
    return RunRecord(
        run=read,
        attempts=tuple(attempts),
        artifacts=tuple(artifacts),
        deliveries=tuple(owed),
    )


def owe(
    store: Store, claim: Claim, deliveries: Sequence[NewDelivery], *, now: datetime
) -> None:
    _rows.renew(store, claim, now)
    new = [one for one in deliveries if store.delivery(one.key) is None]
    store.put_deliveries([lifecycle.planned(one, now) for one in new])


def _source_answered(store: Store, run: Run, now: datetime) -> None:
    if run.connection is not None:
        _limits.used(store, run.connection, None, run.run_id, now)


def intend(
    store: Store,
    claim: Claim,
    key: DeliveryKey,
    intent: Mapping[str, str],
    *,
    now: datetime,
) -> None:
    _rows.renew(store, claim, now)
    delivery = _open(store.delivery(key), key)
    store.put_deliveries([lifecycle.intended(delivery, intent, now)])


def settle(  # noqa: PLR0913 as the verb
    store: Store,
    claim: Claim,
    outcome: tuple[DeliveryKey, Outcome],
    next_attempt_at: datetime | None,
    ending: Ending | None,
    *,
    now: datetime,
) -> Verdict | None:
    key, found = outcome

    def put(before: Delivery | None) -> Delivery:
        after = lifecycle.settled(_open(before, key), found, next_attempt_at, now)
        store.put_deliveries([after])
        return after

    if ending is None:
        _rows.renew(store, claim, now)
        put(store.delivery(key))
        return None
    run = _rows.prove(store, claim)
    rows = {one.key: one for one in _deliveries(store, run)}
    rows[key] = put(rows.get(key))
    if all(one.status.final for one in rows.values()):
        return _ended(store, run, ending, [*rows.values()], now)
    _rows.renew(store, claim, now)
    return None


def _ended(
    store: Store,
    run: Run,
    ending: Ending,
    deliveries: Sequence[Delivery],
    now: datetime,
) -> Verdict:
    end = ending.of(deliveries)
    why = (end.reason, end.message)
    _end(store, replace(run, rows=ending.rows), (end.status, why), deliveries, now)
    return end


def _deliveries(store: Store, run: Run) -> Sequence[Delivery]:
    return store.deliveries([run.run_id]).get(run.run_id, ())


def _open(delivery: Delivery | None, key: DeliveryKey) -> Delivery:
    if delivery is None or delivery.status.final:
        raise ValueError(f"no open delivery {key}")
    return delivery


def wait(
    store: Store, claim: Claim, until: datetime, why: Why, *, now: datetime
) -> None:
    run = _rows.prove(store, claim)
    run = _rows.end_attempt(store, run, AttemptStatus.RETRY, now, why=why)
    _rows.put_down(store, lifecycle.waiting(run, until, *why), now)


def finish(
    store: Store,
    claim: Claim,
    end: tuple[RunStatus, Why],
    rows: int | None,
    *,
    now: datetime,
) -> None:
    run = _rows.prove(store, claim)
    status, _ = end
    deliveries = _deliveries(store, run)
    if status is RunStatus.SUCCEEDED and not all(
        one.status.final for one in deliveries
    ):
        raise ValueError(f"{run.run_id} still has open deliveries")
    run = replace(run, rows=run.rows if rows is None else rows)
    _end(store, run, end, deliveries, now)


def _end(
    store: Store,
    run: Run,
    end: tuple[RunStatus, Why],
    deliveries: Sequence[Delivery],
    now: datetime,
) -> None:
    status, why = end
    if status is RunStatus.CANCELLED and run.reason:
        # Whoever asked it to stop has said why.
        why = (run.reason, run.message)
    _rows.end_run_of(store, run, (status, why), deliveries, now)
    if status is RunStatus.SKIPPED:
        _source_answered(store, run, now)
    _failures.count(store, run, status, now)
