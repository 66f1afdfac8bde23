"""What is kept no longer: old runs with all their rows (docs/operating/retention.md)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from boe_reconciler.core.runs import Run
from boe_reconciler.ledgers._store import Store


def sweep_runs(store: Store, ended_before: datetime, limit: int) -> int:
    """Drop the oldest that ended before then, `limit` at most; how many."""
    runs = store.ended(ended_before, limit)
    _cover_from_there(store, runs)
    store.drop_runs([run.run_id for run in runs])
    return len(runs)


def _cover_from_there(store: Store, swept: Sequence[Run]) -> None:
    """Rows and gaps cover a schedule only after the newest row that was swept."""
    newest: dict[str, datetime] = {}
    for run in swept:
        if run.owed:
            before = newest.get(run.schedule_uid, run.occurrence)
            newest[run.schedule_uid] = max(before, run.occurrence)
    moved = []
    for standing in store.standings_of(newest):
        start = min(newest[standing.uid], standing.high_water)
        moved.append(replace(standing, covered_from=max(start, standing.covered_from)))
    store.put_standings(moved)


def blobs_in_use(
    store: Store, stored: Sequence[str], ended_after: datetime
) -> Collection[str]:
    """Of these hashes, those whose file is still needed."""
    wanted = store.files_in_use().intersection(stored)
    return wanted | store.artifacts_in_use(stored, ended_after)


def blobs_needed(store: Store, ended_after: datetime) -> Mapping[str, str]:
    """Hash of each file that has to be stored -> whose it is, in words."""
    found = dict.fromkeys(store.files_in_use(), "what is served or queued")
    for run_id, name, sha256 in store.artifact_names(ended_after):
        found[sha256] = f"{run_id}, {name},"
    return found
