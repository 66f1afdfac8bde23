"""Runs: found, inserted, claimed, moved on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from operator import eq, ge, le
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    and_,
    bindparam,
    func,
    literal_column,
    not_,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects import sqlite

from boe_reconciler.core.holds import OF_OPEN_RUNS
from boe_reconciler.core.overlap import Candidate
from boe_reconciler.core.records import from_columns
from boe_reconciler.core.runs import Claim, Run, RunStatus
from boe_reconciler.ledgers._store import MOST_ENDED, UNWELL, Lease, Page, Query
from boe_reconciler.ledgers.sqlite.bulk import (
    Bulk,
    Change,
    Reading,
    among,
    many,
    to_sql,
)
from boe_reconciler.ledgers.sqlite.schedules import Schedules
from boe_reconciler.ledgers.sqlite.tables import (
    Instant,
    artifacts,
    columns,
    runs,
    schedules,
    values,
)

CHUNK = 500
# Words instead of parameters: an index over part of the rows is used only if SQLite
# sees its condition.
UNSTARTED = text("runs.status IN ('pending', 'waiting')")
#: Without those that only a person lets go on.
_UNRELEASED = not_(
    and_(runs.c.status == RunStatus.WAITING, runs.c.reason.in_(OF_OPEN_RUNS))
)
RUNNING = text("runs.status = 'running'")
_NOT_BEGUN = text("runs.status = 'pending' AND runs.started_at IS NULL")
_DELIVERED = text("runs.status = 'succeeded' AND runs.whole")
_OWED = text("runs.\"trigger\" IN ('schedule', 'catchup')")

_INSTANT = to_sql(Instant())
_NAMES = list(columns(runs, "whole"))
_RUN = from_columns(Run, _NAMES)
_COLUMNS = [runs.c[name] for name in _NAMES]
_SAME_TIME = (runs.c.occurrence, runs.c.created_at, runs.c.run_id)
_PLACE = (runs.c.not_before, runs.c.occurrence, runs.c.run_id)
_INSERT = Bulk(sqlite.insert(runs).on_conflict_do_nothing(), list(runs.c.keys()))
#: What may change in the life of a run.
_CHANGING = (
    "status reason message attempts not_before expires cancel_requested "
    "cancel_requested_at fence worker lease_until started_at finished_at rows lost "
    "reopened parameters connection late_at"
).split()
_CHANGE = Change(runs, {"run_id": "run_id"}, _CHANGING)
# RETURNING would save a query, and wants a SQLite that not every system has.
_RENEW = "UPDATE runs SET lease_until = ? WHERE run_id = ? AND fence = ? AND status = 'running'"
_START = (
    "UPDATE runs SET status = 'running', reason = '', message = '', worker = ?, "
    "lease_until = ?, fence = fence + 1, started_at = coalesce(started_at, ?) "
    "WHERE run_id = ? AND status IN ('pending', 'waiting')"
)


_BY_ID = Reading(select(*_COLUMNS).where(among(runs.c.run_id, "run_ids")))
_ONE = Reading(select(*_COLUMNS).where(runs.c.run_id == bindparam("run_id")))
_RUNNING = Reading(select(*_COLUMNS).where(RUNNING))
_RUNNING_OF = Reading(
    select(*_COLUMNS).where(RUNNING, runs.c.schedule_uid == bindparam("uid"))
)
_KNOWN = Reading(select(runs.c.run_id).where(among(runs.c.run_id, "run_ids")))
_COUNT = select(func.count()).select_from(runs)
_COUNTS = Reading(
    select(runs.c.schedule_uid, func.count())
    .where(RUNNING, among(runs.c.schedule_uid, "uids"))
    .group_by(runs.c.schedule_uid)
)
_READERS = Reading(
    select(runs.c.connection, func.count())
    .where(RUNNING, runs.c.connection.is_not(None))
    .group_by(runs.c.connection)
)
_LATE = Reading(
    select(*_COLUMNS)
    .where(runs.c.late_at <= bindparam("now"))
    .order_by(runs.c.late_at)
    .limit(bindparam("most"))
)
_IN_ORDER = (runs.c.finished_at, runs.c.run_id)
_UNWELL = runs.c.status.in_([literal_column(f"'{one}'") for one in UNWELL])
_SINCE = (
    select(*_COLUMNS)
    .where(runs.c.finished_at >= bindparam("since"))
    .order_by(*_IN_ORDER)
    .limit(MOST_ENDED)
)
# The first one needs nothing but an index, where all went well.
_UNWELL_SINCE = Reading(_SINCE.where(_UNWELL))
_ENDED_SINCE = Reading(_SINCE.where(or_(_UNWELL, among(runs.c.schedule, "schedules"))))
# The signs keep SQLite from indexes that hold all that was ever owed: few are open.
_OPEN = [
    Reading(
        select(*_COLUMNS).where(
            state,
            text("+runs.\"trigger\" IN ('schedule', 'catchup')"),
            text("+runs.occurrence <= :now").bindparams(
                bindparam("now", type_=Instant)
            ),
        )
    )
    for state in (UNSTARTED, RUNNING)
]
_NEXT_LATE = Reading(
    select(func.min(runs.c.late_at)).where(text("runs.late_at IS NOT NULL"))
)
_NEXT_START = Reading(
    select(func.min(runs.c.not_before)).where(
        UNSTARTED, runs.c.not_before > bindparam("now")
    )
)
_LATEST = Reading(
    select(runs.c.occurrence)
    .where(runs.c.schedule == bindparam("name"), _OWED)
    .order_by(runs.c.occurrence.desc())
    .limit(1)
)
_LAST_DELIVERED = (
    select(runs.c.run_id)
    .where(
        runs.c.schedule_uid == bindparam("uid"),
        _DELIVERED,
        select(artifacts.c.part).where(artifacts.c.run_id == runs.c.run_id).exists(),
    )
    .order_by(runs.c.finished_at.desc())
    .limit(1)
)
_newest, _running = runs.alias("newest"), runs.alias("running")
_LAST_RUNS = Reading(
    select(runs.c.schedule_uid, runs.c.run_id, runs.c.status).join(
        schedules,
        runs.c.run_id
        == select(_newest.c.run_id)
        .where(_newest.c.schedule == schedules.c.name)
        .order_by(
            _newest.c.occurrence.desc(),
            _newest.c.created_at.desc(),
            _newest.c.run_id.desc(),
        )
        .limit(1)
        .scalar_subquery(),
    )
)
#: What history may be narrowed by, besides a status.
_NARROWING: Mapping[str, tuple[Column[Any], Callable[..., Any]]] = {
    "schedule": (runs.c.schedule, eq),
    "since": (runs.c.occurrence, ge),
    "until": (runs.c.occurrence, le),
}
_SKIPPABLE = and_(_OWED, runs.c.started_at.is_(None))
_PAUSED = select(schedules.c.uid).where(text("schedules.paused"))
_OVERDUE = Reading(
    select(*_COLUMNS)
    .where(_NOT_BEGUN, runs.c.expires < bindparam("now"))
    .limit(bindparam("most"))
)
_IN_TIME = or_(
    runs.c.expires.is_(None),
    runs.c.expires >= bindparam("now"),
    text("runs.status <> 'pending' OR runs.started_at IS NOT NULL"),
)
#: A pause lets go on what has begun, and start what somebody asked for.
NOT_HELD = or_(
    runs.c.started_at.is_not(None),
    text("runs.\"trigger\" NOT IN ('schedule', 'catchup')"),
    runs.c.schedule_uid.not_in(_PAUSED),
)
_MAY_START = (UNSTARTED, runs.c.not_before <= bindparam("now"), _IN_TIME, NOT_HELD)
_CANDIDATES = (
    select(
        *_PLACE,
        runs.c.schedule_uid,
        runs.c.overlap,
        runs.c.max_concurrent,
        _SKIPPABLE.label("skippable"),
        runs.c.connection,
    )
    .where(*_MAY_START)
    .order_by(*_PLACE)
    .limit(bindparam("most"))
)
_CANDIDATE = from_columns(Candidate, _CANDIDATES.selected_columns.keys())
_SHUT = and_(
    runs.c.connection.is_not(None),
    among(runs.c.connection, "shut"),
    runs.c.schedule_uid.not_in(
        select(_running.c.schedule_uid).where(text("running.status = 'running'"))
    ),
)
#: Which of them a page leaves out, by what it says.
_LEFT_OUT = {
    "run_id": tuple_(*_PLACE)
    > tuple_(*[bindparam(one.name, type_=one.type) for one in _PLACE]),
    "full": not_(among(runs.c.schedule_uid, "full")),
    "waiting": or_(_SKIPPABLE, not_(among(runs.c.schedule_uid, "waiting"))),
    "shut": not_(_SHUT),
    "only": among(runs.c.run_id, "only"),
}
_NEWEST = Reading(
    select(runs.c.schedule_uid, func.max(runs.c.occurrence))
    .where(*_MAY_START, _SKIPPABLE, among(runs.c.schedule_uid, "uids"))
    .group_by(runs.c.schedule_uid)
)


class Runs(Schedules):
    """The part of `SqliteStore` that is about the rows of runs themselves."""

    def run(self, run_id: str) -> Run | None:
        found = self._read(_ONE, run_id=run_id)
        self._seen.update({run.run_id: run for run in found})
        return found[0] if found else None

    def runs(self, run_ids: Sequence[str]) -> Sequence[Run]:
        found = {run.run_id: run for run in self._read(_BY_ID, run_ids=list(run_ids))}
        return [found[run_id] for run_id in run_ids if run_id in found]

    def every_run(self) -> Iterable[Run]:
        query = select(*_COLUMNS).order_by(runs.c.run_id).limit(CHUNK)
        chunk = self._runs(query)
        while chunk:
            yield from chunk
            chunk = self._runs(query.where(runs.c.run_id > chunk[-1].run_id))

    def insert_runs(self, new: Sequence[Run]) -> Sequence[str]:
        ids = [run.run_id for run in new]
        known = {row[0] for row in _KNOWN.rows(self._c, run_ids=ids)}
        fresh = [run for run in new if run.run_id not in known]
        count = _INSERT.run(self._c, fresh)
        ids = [run.run_id for run in fresh]
        # Another id of the same occurrence, after a rename, is not inserted either.
        return ids if count == len(ids) else [run for run in ids if self.run(run)]

    def put_runs(self, changed: Sequence[Run]) -> None:
        for run in changed:
            _CHANGE.run(self._c, self._seen.get(run.run_id), run)
            self._seen[run.run_id] = run

    def start(self, run_ids: Sequence[str], claims: Lease) -> Sequence[Run]:
        until, now = _INSTANT(claims.until), _INSTANT(claims.now)
        given = [(claims.worker, until, now, run_id) for run_id in run_ids]
        if many(self._c, _START, given) != len(given):
            raise ValueError(f"not all of these wait for their claim: {run_ids}")
        return [run for run in map(self.run, run_ids) if run]

    def renew(self, claim: Claim, lease_until: datetime) -> bool:
        self._seen.pop(claim.run_id, None)
        given = (_INSTANT(lease_until), claim.run_id, claim.fence)
        return many(self._c, _RENEW, [given]) == 1

    def running(self, schedule_uid: str | None = None) -> Sequence[Run]:
        if schedule_uid is None:
            return self._read(_RUNNING)
        return self._read(_RUNNING_OF, uid=schedule_uid)

    def running_counts(self, schedule_uids: Collection[str]) -> Mapping[str, int]:
        found = _COUNTS.rows(self._c, uids=sorted(schedule_uids))
        return dict(found)

    def readers(self) -> Mapping[str, int]:
        return dict(_READERS.rows(self._c))

    def late(self, now: datetime, limit: int) -> Sequence[Run]:
        return self._read(_LATE, now=now, most=limit)

    def ended_since(self, since: datetime, schedules: Collection[str]) -> Sequence[Run]:
        if not schedules:
            return self._read(_UNWELL_SINCE, since=since)
        return self._read(_ENDED_SINCE, since=since, schedules=sorted(schedules))

    def unfinished(self, now: datetime) -> Sequence[Run]:
        found = [run for each in _OPEN for run in self._read(each, now=now)]
        return sorted(found, key=lambda run: (run.occurrence, run.run_id))

    def next_late(self) -> datetime | None:
        found: datetime | None = _NEXT_LATE.value(self._c)
        return found

    def unstarted(self, schedule_uid: str) -> Sequence[Run]:
        same = runs.c.schedule_uid == schedule_uid
        return self._runs(select(*_COLUMNS).where(UNSTARTED, same))

    def overdue(self, now: datetime, limit: int) -> Sequence[Run]:
        return self._read(_OVERDUE, now=now, most=limit)

    def candidates(self, now: datetime, page: Page) -> Sequence[Candidate]:
        given = _given(page)
        reading = _candidates(tuple(name for name in _LEFT_OUT if name in given))
        found = reading.columns(self._c, now=now, most=page.limit, **given)
        return _CANDIDATE(found)

    def newest(
        self, now: datetime, schedule_uids: Collection[str]
    ) -> Mapping[str, datetime]:
        if not schedule_uids:
            return {}
        found = _NEWEST.rows(self._c, now=now, uids=sorted(schedule_uids))
        return dict(found)

    def next_start(self, now: datetime) -> datetime | None:
        found: datetime | None = _NEXT_START.value(self._c, now=now)
        return found

    def latest_occurrence(self, schedule: str) -> datetime | None:
        found: datetime | None = _LATEST.value(self._c, name=schedule)
        return found

    def last_runs(self) -> Mapping[str, tuple[str, RunStatus]]:
        rows = _LAST_RUNS.rows(self._c)
        return {uid: (run_id, status) for uid, run_id, status in rows}

    def last_delivered(self, schedule_uid: str) -> str | None:
        found = self._sql.execute(_LAST_DELIVERED, {"uid": schedule_uid})
        run_id: str | None = found.scalar()
        return run_id

    def open_runs(self) -> int:
        unstarted = _COUNT.where(UNSTARTED, NOT_HELD, _UNRELEASED)
        parts = (unstarted, _COUNT.where(RUNNING))
        return sum(self._sql.execute(part).scalar_one() for part in parts)

    def find(self, query: Query) -> Sequence[Run]:
        given = {name: one for name, one in values(query).items() if one is not None}
        narrowed = tuple(name for name in _NARROWING if name in given)
        return self._read(_finding(narrowed, query.status), **given)

    def _read(self, reading: Reading, **given: Any) -> list[Run]:
        return _RUN(reading.columns(self._c, **given))

    def _runs(self, query: Select[Any], **given: Any) -> list[Run]:
        return _RUN([*zip(*self._sql.execute(query, given).fetchall())])  # noqa: B905 as many in each


@cache
def _finding(narrowed: Sequence[str], status: RunStatus | None) -> Reading:
    """A status is part of the statement: by which index it is quick depends on it."""
    # Open runs are few: they are found first, and narrowed and put in order then.
    few = status is not None and not status.final
    terms = [_narrowing(name, few=few) for name in narrowed]
    order = [(_unindexed(one) if few else one).desc() for one in _SAME_TIME]
    if status is not None:
        # Runs of one schedule are fewer than those of all that failed.
        plus = "+" if status.final and "schedule" in narrowed else ""
        terms.append(text(f"{plus}runs.status = '{status.value}'"))
    if status in (RunStatus.PENDING, RunStatus.WAITING):
        terms.append(UNSTARTED)
    rows = select(*_COLUMNS).where(*terms)
    return Reading(rows.order_by(*order).limit(bindparam("limit")))


def _narrowing(name: str, *, few: bool) -> Any:
    column, compare = _NARROWING[name]
    return compare(_unindexed(column) if few else column, bindparam(name))


def _unindexed(column: Column[Any]) -> ColumnElement[Any]:
    """In this form SQLite takes no index for it."""
    return literal_column(f"+{column}", column.type)


@cache
def _candidates(left_out: Sequence[str]) -> Reading:
    return Reading(_CANDIDATES.where(*[_LEFT_OUT[name] for name in left_out]))


def _given(page: Page) -> dict[str, Any]:
    """What its statement is given; what leaves out nothing is not in it."""
    lists = {"full": page.full, "waiting": page.waiting, "shut": page.shut}
    given: dict[str, Any] = {name: [*some] for name, some in lists.items() if some}
    if page.only is not None:
        given["only"] = [*page.only]
    if page.after is not None:
        given |= {one.name: getattr(page.after, one.name) for one in _PLACE}
    return given


def chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """SQLite takes only so many parameters in one statement."""
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]
