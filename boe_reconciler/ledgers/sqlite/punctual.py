"""The short way of a tick: all runs that are owed on time, as tuples in one insert."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, select, text

from boe_reconciler.core.punctual import Pattern, pattern
from boe_reconciler.ledgers._store import Covered
from boe_reconciler.ledgers.sqlite.bulk import Reading, many, to_sql
from boe_reconciler.ledgers.sqlite.tables import REVISION, Instant, runs, schedules

#: What names the schedule, and the instant of the tick.
_OWN = (
    "run_id schedule schedule_uid not_before revision spec_digest connection created_at"
).split()
_SHARED = [column.name for column in runs.c if column.name not in _OWN]
_NAMES = ", ".join(f'"{name}"' for name in (*_OWN, *_SHARED))
_PLACES = ", ".join("?" for _ in runs.c)
_INSERT = f"INSERT INTO runs ({_NAMES}) VALUES ({_PLACES}) ON CONFLICT DO NOTHING"  # noqa: S608 our own columns
_MOVE = "UPDATE schedules SET high_water = ?, next_due = ? WHERE uid = ?"
_s = schedules.c
_DUE = Reading(
    select(
        _s.uid,
        _s.name,
        REVISION,
        _s.spec_digest,
        _s.connection,
        _s.timing,
        _s.high_water,
        _s.next_due,
    )
    .where(
        _s.next_due >= bindparam("since"),
        _s.next_due <= bindparam("now"),
        text("NOT schedules.paused"),
    )
    .order_by(_s.next_due, _s.name)
    .limit(bindparam("most"))
)
_INSTANT = to_sql(Instant())


def cover(
    connection: sqlite3.Connection, since: datetime, now: datetime, limit: int
) -> Covered:
    tick, new, moved = _INSTANT(now), [], []
    for uid, name, revision, digest, source, timing, mark, due in _DUE.rows(
        connection, since=since, now=now, most=limit
    ):
        found = pattern(timing, mark)
        if found is None or not _alone(found, due, now):
            continue
        run_id, starts, next_due, shared = _prepared(found)
        if starts is None:
            starts = _INSTANT(found.not_before(uid))
        own = (name + run_id, name, uid, starts, revision, digest, source or None, tick)
        new.append(own + shared)
        moved.append((tick, next_due, uid))
    inserted = many(connection, _INSERT, new)
    many(connection, _MOVE, moved)
    return Covered(schedules=len(moved), inserted=inserted)


def _alone(found: Pattern, due: datetime, now: datetime) -> bool:
    """Whether it is what is due, and the only one up to now."""
    following = found.following
    return found.run.occurrence == due and (following is None or following > now)


@lru_cache(maxsize=1_000)
def _prepared(found: Pattern) -> tuple[str, int | None, int | None, tuple[Any, ...]]:
    """As the driver takes it: end of the id, start, next occurrence, the other columns."""
    run = found.run
    shared = tuple(to_sql(runs.c[name].type)(getattr(run, name)) for name in _SHARED)
    starts = _INSTANT(run.occurrence) if found.jitter is None else None
    return run.run_id, starts, _INSTANT(found.following), shared
