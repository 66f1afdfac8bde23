"""Who executes what: claims, leases, and what becomes of lost ones (R7, R10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from boe_reconciler.core import lifecycle
from boe_reconciler.core.lifecycle import LEASE, POISON
from boe_reconciler.core.overlap import (
    MAKE_WAY,
    NEWEST_ONLY,
    Candidate,
    Decision,
    decide,
)
from boe_reconciler.core.ports import Claimed
from boe_reconciler.core.runs import (
    AttemptStatus,
    Claim,
    DeliveryStatus,
    Run,
    RunRecord,
    RunStatus,
    event_of,
)
from boe_reconciler.ledgers import _failures, _limits, _rows, _work
from boe_reconciler.ledgers._store import Lease, Page, Store

#: Rows looked at in one go where not all of the first can start, at least and at most.
_PAGE, _LARGEST_PAGE = 16, 1024
#: Expired runs that one claim clears away, at most.
_OVERDUE = 1000
#: A lease that holds this much longer need not be renewed.
_FRESH = LEASE - timedelta(seconds=15)
_OVERLAP = ("overlap", "An earlier run of the schedule was still going on.")
_NEWER = ("overlap", "A newer run of the schedule took its place.")
_WORDS = {
    "deadline": "It did not start by its deadline.",
    "catchup_window": "It did not start within its catch-up window.",
    "paused": "It did not start in time because of a pause.",
    "blackout": "It did not start in time: {connection} was in a blackout.",
    "breaker_open": "It did not start in time: {connection} was failing and left alone.",
    "connection_limit": "It did not start in time: {connection} was in use by as many "
    "as may use it at once.",
    "rate_limit": "It did not start in time: {connection} may be used only so often.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    worker: str
    limit: int
    only: Collection[str] | None
    #: As `Ledger.claim` says.
    begin: bool


def claim(store: Store, wanted: Wanted, *, now: datetime) -> Sequence[Claimed]:
    _miss_overdue(store, now)
    started: list[str] = []
    running: Counter[str] = Counter()
    known: set[str] = set()
    gate = _limits.gate(store, now)
    page = Page(
        after=None,
        limit=wanted.limit,
        full=set(),
        waiting=set(),
        only=wanted.only,
        shut=gate.left.shut,
    )
    while len(started) < wanted.limit:
        candidates = store.candidates(now, page)
        uids = {one.schedule_uid for one in candidates}
        running.update(store.running_counts(uids - known))
        known |= uids
        newest = store.newest(now, _one_only(candidates))
        free = wanted.limit - len(started)
        decision = decide(candidates, running, newest, gate.left, free)
        _carry_out(store, decision, now)
        started += decision.start
        uid_of = {one.run_id: one.schedule_uid for one in candidates}
        running.update(uid_of[run_id] for run_id in decision.start)
        if len(candidates) < page.limit:
            break
        page = replace(
            page,
            after=candidates[-1],
            limit=max(_PAGE, min(2 * page.limit, _LARGEST_PAGE), page.limit),
            full={*page.full, *decision.full},
            waiting={*page.waiting, *decision.waiting},
        )
    claims = _start(store, started, wanted, now)
    _limits.count(store, gate, [one.record.run for one in claims], now)
    return claims


def _one_only(candidates: Sequence[Candidate]) -> Collection[str]:
    return {one.schedule_uid for one in candidates if one.overlap in NEWEST_ONLY}


def _start(
    store: Store, run_ids: Sequence[str], wanted: Wanted, now: datetime
) -> list[Claimed]:
    if not run_ids:
        return []
    worker = wanted.worker
    claims = Lease(worker=worker, now=now, until=now + LEASE)
    begun = store.start(run_ids, claims)
    runs = [run for run in begun if _readable(store, run, now)]
    again = _rows.records(store, [run for run in runs if run.fence > 1])
    known = {record.run.run_id: record for record in again}
    made = [
        Claimed(
            claim=Claim(run_id=run.run_id, fence=run.fence, worker=worker),
            record=known.get(run.run_id) or RunRecord(run=run),
            spec=store.spec(run.spec_digest),
        )
        for run in runs
    ]
    return [_begun(store, one, now) for one in made] if wanted.begin else made


def _begun(store: Store, one: Claimed, now: datetime) -> Claimed:
    """With its attempt, where nothing has to be found out before that."""
    spec, record = one.spec, one.record
    unknown = spec.wait_for or spec.report.parameters or record.run.options.parameters
    used_up = record.run.attempts >= record.run.max_attempts
    if record.artifacts or unknown or used_up:
        return one
    begun = _work.begin(store, record.run, record.attempts, one.claim, {}, now=now)
    return replace(one, record=replace(record, run=begun), begun=True)


def _readable(store: Store, run: Run, now: datetime) -> bool:
    """A run whose spec another version wrote fails by itself, and no other with it."""
    try:
        store.spec(run.spec_digest)
    except ValueError as error:
        words = (
            f"This version cannot read its spec; `boe rerun` makes a new one: {error}"
        )
        why = ("spec_unreadable", words)
        _rows.end_run(store, run, RunStatus.FAILED, now, why=why)
        return False
    return True


def _carry_out(store: Store, decision: Decision, now: datetime) -> None:
    skipped = [
        lifecycle.finished(run, RunStatus.SKIPPED, *_OVERLAP, now)
        for run in (store.runs(decision.skip) if decision.skip else ())
    ]
    store.put_runs(skipped)
    for uid in decision.make_way:
        for run in store.running(uid):
            _make_way(store, run, now)


def _make_way(store: Store, run: Run, now: datetime) -> None:
    """A newer occurrence wants to start: asked first, cut off later.

    Not once something may have left the house: then the newer one waits.
    """
    deliveries = store.deliveries([run.run_id]).get(run.run_id, ())
    if any(one.first_attempt_at for one in deliveries):
        return
    since = run.cancel_requested_at
    if since is None:
        reason, message = _NEWER
        asked = replace(run, reason=reason, message=message)
        store.put_runs([lifecycle.cancel_asked(asked, now)])
    elif now >= since + MAKE_WAY:
        _rows.end_run(store, run, RunStatus.CANCELLED, now, why=_NEWER)


def _miss_overdue(store: Store, now: datetime) -> None:
    overdue = store.overdue(now, _OVERDUE)
    if not overdue:
        return
    paused = store.paused()
    held = _limits.held_until(store, overdue)
    missed = []
    for run in overdue:
        by_pause = "paused" if run.owed and run.schedule_uid in paused else ""
        reason = by_pause or held.get(run.run_id) or run.expires_reason or "deadline"
        words = _WORDS[reason].format(connection=f"Connection {run.connection}")
        missed.append(lifecycle.finished(run, RunStatus.MISSED, reason, words, now))
    store.put_runs(missed)


# --- Leases -----------------------------------------------------------------------


def heartbeat(
    store: Store, claims: Sequence[Claim], *, now: datetime
) -> Mapping[str, bool]:
    """A fresh lease is left as it is: a write would wake whoever waits for one."""
    running = {(run.run_id, run.fence): run for run in store.running()}
    kept = [running.get((claim.run_id, claim.fence)) for claim in claims]
    found = [run for run in kept if run is not None]
    store.put_runs(
        [replace(run, lease_until=now + LEASE) for run in found if _aged(run, now)]
    )
    return {run.run_id: run.cancel_requested for run in found}


def _aged(run: Run, now: datetime) -> bool:
    return run.lease_until is None or run.lease_until < now + _FRESH


def expire(store: Store, *, now: datetime, all_leases: bool) -> Sequence[str]:
    running = store.running()
    together = Counter(run.worker for run in running)
    over = [run for run in running if all_leases or _over(run, now)]
    for run in over:
        _lose(store, run, now, alone=together[run.worker] == 1)
    return [run.run_id for run in over]


def _over(run: Run, now: datetime) -> bool:
    return run.lease_until is not None and run.lease_until < now


def _lose(store: Store, run: Run, now: datetime, *, alone: bool) -> None:
    """Its worker vanished: pending again, unless it is to blame or was cancelled."""
    words = "Its worker vanished."
    why = ("lost", words)
    run = _rows.end_attempt(store, run, AttemptStatus.LOST, now, why=why)
    run = lifecycle.lost(run, alone=alone)
    _rows.put_down(store, run, now)
    store.insert_events([event_of(run, "lease_lost", words, now)])
    if run.lost >= POISON and not run.cancel_requested:
        why = ("poison", f"Its worker vanished {run.lost} times while doing only this.")
        rows = store.deliveries([run.run_id]).get(run.run_id, ())
        some = any(one.status is DeliveryStatus.ACCEPTED for one in rows)
        status = RunStatus.PARTIAL if some else RunStatus.FAILED
        _rows.end_run(store, run, status, now, why=why)
        # Whatever arrived before, it is a failure that the next run may meet again.
        _failures.count(store, run, RunStatus.FAILED, now)


def give_back(store: Store, claim: Claim, *, now: datetime) -> None:
    run = _rows.prove(store, claim)
    run = _rows.end_attempt(store, run, AttemptStatus.RELEASED, now)
    _rows.put_down(store, lifecycle.unclaimed(run, RunStatus.PENDING), now)
