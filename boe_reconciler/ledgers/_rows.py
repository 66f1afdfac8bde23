"""Steps that several verbs share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from boe_reconciler.core import due, lifecycle
from boe_reconciler.core.due import Owed, Standing, Ticks
from boe_reconciler.core.errors import LeaseLost
from boe_reconciler.core.lifecycle import LEASE
from boe_reconciler.core.records import from_columns
from boe_reconciler.core.runs import (
    Attempt,
    AttemptStatus,
    Claim,
    Delivery,
    Event,
    Run,
    RunRecord,
    RunStatus,
)
from boe_reconciler.core.spec import RunSpec
from boe_reconciler.ledgers import _held
from boe_reconciler.ledgers._store import Covered, Store

#: A schedule whose tick failed is looked at again after this long.
_AGAIN = timedelta(seconds=60)
#: An attempt that ended like this was nobody's failure: it uses up none.
_FREE = (AttemptStatus.LOST, AttemptStatus.RELEASED)
_RECORDS = from_columns(
    RunRecord, ("run", "attempts", "artifacts", "deliveries", "news")
)


def prove(store: Store, claim: Claim) -> Run:
    """The run, after proof that the claim on it still holds. LeaseLost otherwise.

    Whoever asks writes its lease, or ends it.
    """
    run = store.run(claim.run_id)
    if not run or (run.fence, run.status) != (claim.fence, RunStatus.RUNNING):
        raise LeaseLost(claim.run_id)
    return run


def renew(store: Store, claim: Claim, now: datetime) -> None:
    """The same proof, for who needs nothing of the run."""
    if not store.renew(claim, now + LEASE):
        raise LeaseLost(claim.run_id)


def served_spec(store: Store, run: Run) -> RunSpec | None:
    """What its schedule has now, whatever that is called, or one made again in its place."""
    digest = store.served_digest(run.schedule_uid, run.schedule)
    return store.spec(digest) if digest else None


def write_owed(store: Store, owed: Sequence[Owed], now: datetime) -> int:
    """Rows, gaps and marks in one; the number of rows and gaps."""
    runs = [
        lifecycle.inserted(new, one.standing, now) for one in owed for new in one.runs
    ]
    gaps = [gap for one in owed for gap in one.gaps]
    inserted = store.insert_runs(runs)
    store.insert_gaps(gaps)
    store.put_standings([one.standing for one in owed])
    return len(inserted) + len(gaps)


def cover_on_time(store: Store, ticks: Ticks, now: datetime, limit: int) -> Covered:
    """The short way where it goes; where anything is wrong, `cover` finds out what."""
    since = ticks.late_before(now)
    done, error = store.trial(lambda: store.cover_on_time(since, now, limit))
    return done if done and not error else Covered(schedules=0, inserted=0)


def cover(
    store: Store, standings: Sequence[Standing], ticks: Ticks, now: datetime
) -> int:
    """The rows, gaps and marks that these owe up to now; how many rows and gaps.

    One that fails is put off, and holds up no other.
    """

    if not standings:
        return 0

    def act() -> int:
        owed = [due.owed(standing, ticks, now) for standing in standings]
        return write_owed(store, owed, now)

    written, error = store.trial(act)
    if error is None:
        return written or 0
    if len(standings) == 1:
        _put_off(store, standings[0], error, now)
        return 0
    half = len(standings) // 2
    halves = (standings[:half], standings[half:])
    return sum(cover(store, part, ticks, now) for part in halves)


def _put_off(store: Store, standing: Standing, error: Exception, now: datetime) -> None:
    """Its mark stays: nothing is forgotten, and it is tried again a little later."""
    store.put_standings([replace(standing, next_due=now + _AGAIN)])
    text = f"What is due cannot be worked out: {type(error).__name__}: {error}"
    event = Event(at=now, action="tick_failed", message=text, schedule=standing.name)
    store.insert_events([event])


def end_attempt(
    store: Store,
    run: Run,
    status: AttemptStatus,
    now: datetime,
    *,
    why: tuple[str, str] = ("", ""),
) -> Run:
    """Close the attempt that is open, if one is; the run with its count of them."""
    before = store.attempts([run.run_id]).get(run.run_id, ())
    after = end_last(store, before, status, now, why=why)
    unused = after is not before and status in _FREE
    return replace(run, attempts=run.attempts - 1) if unused else run


def end_last(
    store: Store,
    attempts: Sequence[Attempt],
    status: AttemptStatus,
    now: datetime,
    *,
    why: tuple[str, str] = ("", ""),
) -> Sequence[Attempt]:
    """Close the last one, if it is open; all of them then."""
    if not attempts or attempts[-1].status is not AttemptStatus.RUNNING:
        return attempts
    reason, message = why
    ended = replace(
        attempts[-1], status=status, reason=reason, message=message, finished_at=now
    )
    store.put_attempt(ended)
    return [*attempts[:-1], ended]


def end_run(
    store: Store, run: Run, status: RunStatus, now: datetime, *, why: tuple[str, str]
) -> None:
    """Its final state, and that of everything it leaves open."""
    deliveries = store.deliveries([run.run_id]).get(run.run_id, ())
    end_run_of(store, run, (status, why), deliveries, now)


def end_run_of(
    store: Store,
    run: Run,
    end: tuple[RunStatus, tuple[str, str]],
    deliveries: Sequence[Delivery],
    now: datetime,
) -> None:
    """The same where its deliveries are known."""
    status, why = end
    reason, message = why
    ended = {
        RunStatus.CANCELLED: AttemptStatus.CANCELLED,
        RunStatus.FAILED: AttemptStatus.FAILED,
    }.get(status, AttemptStatus.SUCCEEDED)
    run = end_attempt(store, run, ended, now, why=why)
    store.put_runs([lifecycle.finished(run, status, reason, message, now)])
    final = [one for one in deliveries if one.status.final]
    left = [one for one in deliveries if not one.status.final]
    abandoned = [lifecycle.abandoned(one, reason, message, now) for one in left]
    store.put_deliveries(abandoned)
    _held.run_ended(store, run, [*final, *abandoned], now)


def put_down(store: Store, run: Run, now: datetime) -> None:
    """Nobody executes it any more: it goes on later, unless it was asked to stop."""
    store.put_runs([run])
    if run.cancel_requested:
        why = ("cancelled", "Cancelled on request.")
        end_run(store, run, RunStatus.CANCELLED, now, why=why)


def records(store: Store, runs: Sequence[Run]) -> list[RunRecord]:
    ids = [run.run_id for run in runs]
    of_runs: Sequence[Mapping[str, Sequence[Any]]] = (
        store.attempts(ids),
        store.artifacts(ids),
        store.deliveries(ids),
        store.news(ids),
    )
    rest = ([tuple(found.get(one, ())) for one in ids] for found in of_runs)
    return _RECORDS([runs, *rest])
