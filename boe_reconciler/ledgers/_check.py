"""The promises of the ledger, looked at row by row (docs/life-of-a-run.md)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from boe_reconciler.core import due
from boe_reconciler.core.due import Standing
from boe_reconciler.core.holds import OF_OPEN_RUNS, OF_REVISIONS
from boe_reconciler.core.runs import (
    AttemptStatus,
    DeliveryStatus,
    Run,
    RunRecord,
    RunStatus,
    files_by_part,
)
from boe_reconciler.ledgers import _rows
from boe_reconciler.ledgers._store import Store

_CHUNK = 500
_FREE = (AttemptStatus.LOST, AttemptStatus.RELEASED)
Sentences = Iterator[str]


def broken_invariants(store: Store, *, now: datetime) -> list[str]:
    """A sentence for each promise that does not hold; all rows are read once."""
    owed: dict[str, list[datetime]] = defaultdict(list)
    running: Counter[str] = Counter()
    found: list[str] = []
    for record in _records(store):
        run = record.run
        found += _of_run(run)
        found += _of_attempts(record)
        found += _of_deliveries(record)
        if run.owed:
            owed[run.schedule_uid].append(run.occurrence)
        if run.status is RunStatus.RUNNING and run.overlap == "skip":
            running[run.schedule_uid] += 1
    for uid, count in running.items():
        if count > 1:
            found.append(f"I7: {count} runs of schedule {uid} run under overlap skip")
    found += _of_holds(store)
    for standing in store.standings():
        found += _of_schedule(store, standing, owed[standing.uid])
    return found


def _records(store: Store) -> Iterator[RunRecord]:
    runs: Iterable[Run] = iter(store.every_run())
    while chunk := list(islice(runs, _CHUNK)):
        yield from _rows.records(store, chunk)


def _of_run(run: Run) -> Sentences:
    executing = run.status is RunStatus.RUNNING
    if run.status.final != (run.finished_at is not None):
        yield f"I4: {run.run_id} is {run.status} with finished_at {run.finished_at}"
    if executing != (run.lease_until is not None and run.worker is not None):
        yield f"I5: {run.run_id} is {run.status} with the lease of {run.worker}"
    if executing and not run.fence:
        yield f"I5: {run.run_id} runs without a fence"
    if run.owed and run.started_at and run.started_at < run.occurrence:
        yield f"I9: {run.run_id} started at {run.started_at}, before its occurrence"
    if not (run.revision and run.spec_digest and run.tzdb):
        yield f"I10: {run.run_id} lacks its revision, spec digest or tzdb version"


def _of_attempts(record: RunRecord) -> Sentences:
    run = record.run
    used = sum(one.status not in _FREE for one in record.attempts)
    if used != run.attempts or used > run.max_attempts:
        yield (
            f"I6: {run.run_id} counts {run.attempts} attempts, has rows of {used}, "
            f"may have {run.max_attempts}"
        )
    open_ones = [
        one.number for one in record.attempts if one.status is AttemptStatus.RUNNING
    ]
    if len(open_ones) > (run.status is RunStatus.RUNNING):
        yield f"I5: {run.run_id} is {run.status} with open attempts {open_ones}"


def _of_deliveries(record: RunRecord) -> Sentences:
    run = record.run
    whole = files_by_part(one for one in record.artifacts if one.sha256)
    for one in record.deliveries:
        accepted = one.status is DeliveryStatus.ACCEPTED
        if accepted and one.key.part not in whole:
            yield f"I8: {run.run_id}: {one.key.destination} accepted a file without hash"
        if run.status.final and not one.status.final:
            yield (
                f"I4: {run.run_id} is {run.status}, its delivery to "
                f"{one.key.destination} {one.key.recipient} is {one.status}"
            )


def _of_holds(store: Store) -> Sentences:
    attempted = store.served().attempted
    for one in store.holds():
        if one.kind in OF_OPEN_RUNS:
            run = store.run(one.subject)
            if run is None or run.status.final:
                yield f"I11: {one.hold_id} waits for {one.subject}, which is over"
        elif one.kind in OF_REVISIONS and one.subject != attempted:
            yield (
                f"I11: {one.hold_id} waits for the release of {one.subject}, "
                "which is not the revision that was looked at last"
            )


def _of_schedule(
    store: Store, standing: Standing, occurrences: list[datetime]
) -> Sentences:
    name, since, mark = standing.name, standing.covered_from, standing.high_water
    for occurrence, count in Counter(occurrences).items():
        if count > 1:
            yield f"I1: {name} has {count} rows for {occurrence}"
    gaps = [one for one in store.gaps(standing.uid) if one.since >= since]
    rows = [one for one in occurrences if since < one <= mark]
    covered = len(rows) + sum(gap.count for gap in gaps)
    expected = due.timetable(standing).count(since, mark)
    if covered != expected:
        yield (
            f"I2: {name} has rows and gaps for {covered} of the {expected} occurrences "
            f"in ({since}, {mark}]"
        )
    for gap in gaps:
        if any(gap.since < one <= gap.until for one in rows):
            yield f"I2: {name} has rows within the gap ({gap.since}, {gap.until}]"
    if any(one > mark for one in occurrences):
        yield f"I3: {name} has rows after its high-water mark {mark}"
