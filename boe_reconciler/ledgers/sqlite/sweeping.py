"""Retention: which rows and files are still needed, and how the others go."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from sqlalchemy import and_, bindparam, delete, or_, select, text

from boe_reconciler.core.due import Standing
from boe_reconciler.core.runs import Run
from boe_reconciler.ledgers.sqlite.bulk import Reading, among
from boe_reconciler.ledgers.sqlite.opening import PATIENCE
from boe_reconciler.ledgers.sqlite.runs import Runs, chunks
from boe_reconciler.ledgers.sqlite.tables import (
    STANDINGS,
    Instant,
    Json,
    artifacts,
    columns,
    deliveries,
    events,
    runs,
    schedules,
)

_ORDER = ("occurrence", "created_at", "run_id")
_COLUMNS = [runs.c[name] for name in columns(runs, "whole")]
_other = runs.alias("other")
_NEWEST = (
    select(_other.c.run_id)
    .where(_other.c.schedule == runs.c.schedule)
    .order_by(*[_other.c[name].desc() for name in _ORDER])
    .limit(1)
    .scalar_subquery()
)
_LAST_DELIVERED = (
    select(_other.c.run_id)
    .where(
        _other.c.schedule_uid == runs.c.schedule_uid,
        text("other.status = 'succeeded' AND other.whole"),
        select(artifacts.c.part).where(artifacts.c.run_id == _other.c.run_id).exists(),
    )
    .order_by(_other.c.finished_at.desc())
    .limit(1)
    .scalar_subquery()
)
_OPEN_DELIVERY = (
    select(deliveries.c.part)
    .where(
        deliveries.c.run_id == runs.c.run_id,
        text("deliveries.status IN ('pending', 'sending', 'deferred')"),
    )
    .exists()
)
_SERVED = select(schedules.c.uid).where(schedules.c.uid == runs.c.schedule_uid).exists()
_KEPT_FOR_GOOD = and_(
    _SERVED,
    or_(runs.c.run_id == _NEWEST, runs.c.run_id == _LAST_DELIVERED),
)
_ENDED = (
    select(*_COLUMNS)
    .where(
        runs.c.finished_at < bindparam("before"),
        ~_OPEN_DELIVERY,
        # SQL knows a third truth: no run was delivered yet.
        _KEPT_FOR_GOOD.is_not(True),
    )
    .order_by(runs.c.finished_at)
    .limit(bindparam("most"))
)
#: Attempts, artifacts and deliveries go with their run.
_DROPS = [
    delete(table).where(table.c.run_id.in_(bindparam("run_ids", expanding=True)))
    for table in (events, runs)
]
_OF_UIDS = Reading(
    STANDINGS.where(among(schedules.c.uid, "uids")).order_by(schedules.c.name)
)
_FILES_IN_USE = text(
    """
    SELECT value FROM objects, json_each(objects.files)
    UNION
    SELECT value FROM specs, json_each(specs.spec, '$.files') WHERE digest IN (
        SELECT spec_digest FROM schedules
        UNION SELECT spec_digest FROM runs WHERE status IN ('pending', 'waiting')
        UNION SELECT spec_digest FROM runs WHERE status = 'running')
    """
)
_KEPT_FILES = or_(
    runs.c.finished_at.is_(None), runs.c.finished_at >= bindparam("ended_after")
)
_ARTIFACTS_IN_USE, _PREVIEWS_IN_USE = (
    select(column)
    .join(runs, runs.c.run_id == artifacts.c.run_id)
    .where(
        # The index of previews knows those that are there.
        column != text("''"),
        column.in_(bindparam("hashes", expanding=True)),
        _KEPT_FILES,
    )
    .distinct()
    for column in (artifacts.c.sha256, artifacts.c.preview)
)
_STORED_IN_USE = text(
    """
    SELECT json_extract(intent, '$.stored') FROM deliveries JOIN runs USING (run_id)
    WHERE deliveries.status <> 'accepted'
        AND json_extract(intent, '$.stored') IS NOT NULL
        AND json_extract(intent, '$.stored') IN (SELECT value FROM json_each(:hashes))
        AND (runs.finished_at IS NULL OR runs.finished_at >= :ended_after)
    """
).bindparams(bindparam("hashes", type_=Json), bindparam("ended_after", type_=Instant))
_STORED_NAMES = text(
    """
    SELECT run_id, 'the mail to ' || recipient, json_extract(intent, '$.stored')
    FROM deliveries JOIN runs USING (run_id)
    WHERE deliveries.status <> 'accepted'
        AND json_extract(intent, '$.stored') IS NOT NULL
        AND (runs.finished_at IS NULL OR runs.finished_at >= :ended_after)
    """
).bindparams(bindparam("ended_after", type_=Instant))
_ARTIFACT_NAMES, _PREVIEW_NAMES = (
    select(runs.c.run_id, name, column)
    .join(runs, runs.c.run_id == artifacts.c.run_id)
    .where(column != "", _KEPT_FILES)
    for name, column in (
        (artifacts.c.name, artifacts.c.sha256),
        ("the first rows of " + artifacts.c.name, artifacts.c.preview),
    )
)


class Sweeping(Runs):
    """The part of `SqliteStore` that is about what is kept no longer."""

    def ended(self, before: datetime, limit: int) -> Sequence[Run]:
        return self._runs(_ENDED, before=before, most=limit)

    def drop_runs(self, run_ids: Sequence[str]) -> None:
        for chunk in chunks(run_ids):
            for statement in _DROPS:
                self._sql.execute(statement, {"run_ids": chunk})

    def standings_of(self, uids: Collection[str]) -> Sequence[Standing]:
        return self._standings(_OF_UIDS, uids=sorted(uids))

    def files_in_use(self) -> set[str]:
        return {sha256 for (sha256,) in self._sql.execute(_FILES_IN_USE)}

    def artifacts_in_use(
        self, hashes: Sequence[str], ended_after: datetime
    ) -> set[str]:
        return {
            sha256
            for chunk in chunks(hashes)
            for statement in (_ARTIFACTS_IN_USE, _PREVIEWS_IN_USE, _STORED_IN_USE)
            for (sha256,) in self._sql.execute(
                statement, {"hashes": list(chunk), "ended_after": ended_after}
            )
        }

    def artifact_names(self, ended_after: datetime) -> Iterable[tuple[str, str, str]]:
        for statement in (_ARTIFACT_NAMES, _PREVIEW_NAMES, _STORED_NAMES):
            for row in self._sql.execute(statement, {"ended_after": ended_after}):
                yield row[0], row[1], row[2]


# --- Specs ------------------------------------------------------------------------

#: Specs removed in one transaction.
_TOGETHER = 500
_NOT_NAMED = """
    SELECT digest FROM specs
    WHERE digest NOT IN (SELECT spec_digest FROM schedules)
        AND digest NOT IN (SELECT spec_digest FROM runs)
"""
_DROP = """
    DELETE FROM specs WHERE digest IN (SELECT value FROM json_each(:digests))
        AND digest NOT IN (SELECT spec_digest FROM schedules)
        AND digest NOT IN (SELECT spec_digest FROM runs WHERE rowid > :last)
"""


def drop_unused_specs(path: Path) -> int:
    """Remove the specs that no schedule and no run names; how many.

    Runs have no index of their specs, which each new row would pay for: they are read
    once, without a lock, and under the lock only those that were added since. That is
    also why the foreign key is not to look for itself, in all runs for each spec.
    """
    with closing(
        sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    ) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = OFF")
        (last,) = connection.execute("SELECT max(rowid) FROM runs").fetchone()
        unused = [digest for (digest,) in connection.execute(_NOT_NAMED)]
        return sum(
            _drop(connection, unused[start : start + _TOGETHER], last or 0)
            for start in range(0, len(unused), _TOGETHER)
        )


def _drop(connection: sqlite3.Connection, digests: list[str], last: int) -> int:
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        given = {"digests": json.dumps(digests), "last": last}
        return connection.execute(_DROP, given).rowcount
