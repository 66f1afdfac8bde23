"""Schedules, what is served, and the marks of the whole ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from threading import Lock
from typing import Any, TypeVar

import uuid_utils
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    bindparam,
    delete,
    func,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy.dialects import sqlite

from boe_reconciler.core.due import Form, Standing, Ticks
from boe_reconciler.core.holds import Hold
from boe_reconciler.core.limits import Breaker, Budget, Limits, Use
from boe_reconciler.core.notices import Incident, Owed, Sent
from boe_reconciler.core.records import from_columns
from boe_reconciler.core.runs import Pause
from boe_reconciler.core.spec import PlannedSchedule, RunSpec, Served
from boe_reconciler.core.troubles import EMPTY, Board
from boe_reconciler.ledgers._store import Covered
from boe_reconciler.ledgers.sqlite import board, punctual, served, tables
from boe_reconciler.ledgers.sqlite.bulk import Bulk, Reading, among, driver, many
from boe_reconciler.ledgers.sqlite.opening import alone
from boe_reconciler.ledgers.sqlite.tables import (
    STANDINGS,
    columns,
    connections,
    holds,
    incidents,
    marks,
    outbox,
    pauses,
    schedules,
    specs,
)

T = TypeVar("T")
_BREAKER = ("failures", "opened_at", "cause", "trying")
_ROWID: ColumnElement[int] = literal_column("rowid")
#: Parsed specs kept in memory: enough for all that are served.
_SPECS_KEPT = 20_000


def upsert(table: Table, *key: str, without: Sequence[str] = ()) -> sqlite.Insert:
    """Insert rows, in place of those with the same key; these keep what is `without`."""
    statement = sqlite.insert(table)
    names = columns(table, *key, *without)
    changed = {name: statement.excluded[name] for name in names}
    return statement.on_conflict_do_update(index_elements=list(key), set_=changed)


_NAMES = schedules.c.keys()
_ALL = Reading(STANDINGS.order_by(schedules.c.name))
_FORM = select(schedules.c.name, *(schedules.c[name] for name in Form._fields))
_FORMS = Reading(_FORM)
_SOME_FORMS = Reading(
    _FORM.where(
        or_(
            schedules.c.next_due <= bindparam("now"),
            text("schedules.paused"),
            among(schedules.c.name, "names"),
        )
    )
)
_ONE = Reading(STANDINGS.where(schedules.c.name == bindparam("name")))
_IS_IT = schedules.c.uid == bindparam("uid")
_SERVED_DIGEST = Reading(
    select(schedules.c.spec_digest)
    .where(or_(_IS_IT, schedules.c.name == bindparam("name")))
    .order_by(_IS_IT.desc())
    .limit(1)
)
_PAUSED = Reading(select(schedules.c.uid).where(text("schedules.paused")))
_HIGH_MARK = Reading(select(func.max(schedules.c.high_water)))
_NEXT_DUE = Reading(select(func.min(schedules.c.next_due)))
_DUE = Reading(
    STANDINGS.where(schedules.c.next_due <= bindparam("now"))
    .order_by(schedules.c.next_due, schedules.c.name)
    .limit(bindparam("most"))
)
_NAME_REVISION = "UPDATE schedules SET revision = ? WHERE name = ? AND revision <> ?"
_FORGET_FAILURES = "UPDATE schedules SET failures = 0 WHERE uid = ? AND failures <> 0"
# Only `put_revisions` names a revision.
_KEPT = columns(schedules, "revision")
_NEW = sqlite.insert(schedules).values(revision=literal_column("''"))
_PUT = Bulk(
    _NEW.on_conflict_do_update(
        index_elements=["uid"], set_={name: _NEW.excluded[name] for name in _KEPT}
    ),
    _KEPT,
)
_MARK = Reading(select(marks.c.value).where(marks.c.name == bindparam("name")))
_PUT_MARK = upsert(marks, "name")
_PAUSES = Reading(select(pauses).order_by(_ROWID))
_PAUSE = from_columns(Pause, pauses.c.keys())
_PUT_PAUSE = upsert(pauses, "target", "value")
_HOLDS = Reading(select(holds).where(text("holds.ended_at IS NULL")).order_by(_ROWID))
_HOLD = Reading(select(holds).where(holds.c.hold_id == bindparam("hold_id")))
_HOLDS_OF = Reading(
    select(holds).where(holds.c.subject == bindparam("subject")).order_by(_ROWID)
)
_HOLD_OF = from_columns(Hold, holds.c.keys())
_PUT_HOLD = upsert(holds, "hold_id")
_INCIDENTS = select(incidents).order_by(incidents.c.subject)
_PUT_INCIDENT = upsert(incidents, "subject")
# Each channel asks once a second.
_OWED = Reading(
    select(outbox)
    .where(outbox.c.channel == bindparam("channel"), outbox.c.next_try.is_not(None))
    .order_by(outbox.c.next_try, outbox.c.since)
)
_OWED_OF = from_columns(Owed, outbox.c.keys())
_OWED_FOR = select(outbox).where(
    outbox.c.channel == bindparam("channel"), outbox.c.key == bindparam("key")
)
_PUT_OWED = upsert(outbox, "channel", "key")
_SENT = delete(outbox).where(
    outbox.c.channel == bindparam("channel"),
    outbox.c.next_try.is_(None),
    (outbox.c.result == Sent.SENT) | (outbox.c.since < bindparam("given_up")),
)
_GIVEN_UP = (
    select(outbox)
    .where(outbox.c.result == Sent.GIVEN_UP)
    .order_by(outbox.c.since.desc())
)
_SPEC = select(specs.c.spec).where(specs.c.digest == bindparam("digest"))
_PUT_SPEC = (
    "INSERT INTO specs (digest, spec, version) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
)


_USES = Reading(select(connections).order_by(connections.c.name))
_USE = Reading(select(connections).where(connections.c.name == bindparam("name")))
_CONNECTION = connections.c.keys()
_PUT_USE = upsert(connections, "name")


def _use(row: Mapping[str, Any]) -> Use:
    tokens, tokens_at = row["tokens"], row["tokens_at"]
    return Use(
        name=row["name"],
        limits=_limits(row["limits"]),
        breaker=Breaker(**{name: row[name] for name in _BREAKER}),
        budget=None if tokens_at is None else Budget(tokens=tokens, at=tokens_at),
        full_at=row["full_at"],
        full_by=row["full_by"],
    )


def _flat_use(use: Use) -> dict[str, Any]:
    return {
        "name": use.name,
        "limits": use.limits.model_dump_json(by_alias=True, exclude_defaults=True),
        **tables.values(use.breaker),
        "tokens": use.budget.tokens if use.budget else None,
        "tokens_at": use.budget.at if use.budget else None,
        "full_at": use.full_at,
        "full_by": use.full_by,
    }


@lru_cache(maxsize=1_000)
def _limits(text: str) -> Limits:
    return Limits.model_validate_json(text)


class SpecCache:
    """Specs by digest, shared by all connections: a digest never means another spec."""

    def __init__(self) -> None:
        #: What is served, too.
        self.served = served.Kept()
        self._kept: dict[str, RunSpec] = {}
        self._lock = Lock()

    def get(self, digest: str) -> RunSpec | None:
        return self._kept.get(digest)

    def put(self, digest: str, spec: RunSpec) -> RunSpec:
        with self._lock:
            if len(self._kept) >= _SPECS_KEPT:
                self._kept.clear()
            self._kept[digest] = spec
        return spec


class Schedules:
    """The part of `SqliteStore` that is about what is served."""

    def __init__(self, connection: Connection, cache: SpecCache) -> None:
        self._sql = connection
        #: The driver's, of the same transaction: see `bulk`.
        self._c = driver(connection)
        #: Rows as they are, of those that were read one by one, by their keys.
        self._seen: dict[Any, Any] = {}
        self._specs = cache
        self._kept = cache.served

    def trial(self, act: Callable[[], T]) -> tuple[T | None, Exception | None]:
        found, error = alone(self._c, act)
        if error is not None:
            self._seen.clear()
        return found, error

    def standing(self, name: str) -> Standing | None:
        found = self._standings(_ONE, name=name)
        return found[0] if found else None

    def standings(self) -> Sequence[Standing]:
        return self._standings(_ALL)

    def served_digest(self, uid: str, name: str) -> str | None:
        found: str | None = _SERVED_DIGEST.value(self._c, uid=uid, name=name)
        return found

    def forms(self, now: datetime, names: Collection[str] | None) -> Mapping[str, Form]:
        rows = (
            _FORMS.rows(self._c)
            if names is None
            else _SOME_FORMS.rows(self._c, now=now, names=[*names])
        )
        return {row[0]: Form._make(row[1:]) for row in rows}

    def planned(self) -> Mapping[str, PlannedSchedule] | None:
        mark = self._mark("served")
        return self._kept.get(mark.get("token"))[1] if mark else None

    def due(self, now: datetime, limit: int) -> Sequence[Standing]:
        return self._standings(_DUE, now=now, most=limit)

    def cover_on_time(self, since: datetime, now: datetime, limit: int) -> Covered:
        return punctual.cover(self._c, since, now, limit)

    def high_mark(self) -> datetime | None:
        found: datetime | None = _HIGH_MARK.value(self._c)
        return found

    def next_due(self) -> datetime | None:
        found: datetime | None = _NEXT_DUE.value(self._c)
        return found

    def paused(self) -> Collection[str]:
        return {uid for (uid,) in _PAUSED.rows(self._c)}

    def put_standings(self, standings: Sequence[Standing]) -> None:
        _PUT.run(self._c, standings)

    def put_revisions(self, revisions: Mapping[str, str]) -> None:
        rows = ((new, name, new) for name, new in revisions.items())
        many(self._c, _NAME_REVISION, rows)

    def forget_failures(self, uid: str) -> None:
        many(self._c, _FORGET_FAILURES, [(uid,)])

    def drop_standing(self, name: str) -> None:
        self._sql.execute(delete(schedules).where(schedules.c.name == name))

    def uses(self) -> Sequence[Use]:
        return self._uses(_USES)

    def use(self, name: str) -> Use | None:
        found = self._uses(_USE, name=name)
        return found[0] if found else None

    def put_uses(self, uses: Sequence[Use]) -> None:
        self._many(_PUT_USE, [_flat_use(use) for use in uses])

    def drop_use(self, name: str) -> None:
        self._sql.execute(delete(connections).where(connections.c.name == name))

    def spec(self, digest: str) -> RunSpec:
        known = self._specs.get(digest)
        if known is not None:
            return known
        text = self._sql.execute(_SPEC, {"digest": digest}).scalar_one()
        return self._specs.put(digest, RunSpec.model_validate_json(text))

    def put_specs(self, specs: Mapping[str, RunSpec]) -> None:
        rows = (
            (digest, spec.model_dump_json(by_alias=True), spec.version)
            for digest, spec in specs.items()
        )
        many(self._c, _PUT_SPEC, rows)
        for digest, spec in specs.items():
            self._specs.put(digest, spec)

    def served(self) -> Served:
        mark = self._mark("served")
        if mark is None:
            return served.NOTHING
        token = mark.get("token")
        known, _ = self._kept.get(token)
        return known or self._kept.put(token, served.read(self._sql, mark))

    def environment(self) -> str | None:
        mark = self._mark("served")
        return None if mark is None else mark.get("environment", "")

    def put_served(
        self, new: Served, planned: Mapping[str, PlannedSchedule] | None
    ) -> None:
        served.write(self._sql, new, self.served())
        token = uuid_utils.uuid7().hex
        mark: dict[str, Any] = {
            "attempted": new.attempted,
            "serving": new.serving,
            "problems": list(new.problems),
            "token": token,
        }
        # An older BOE can read what has none.
        if new.environment is not None:
            mark["environment"] = new.environment
        if new.judge is not None:
            mark["judge"] = tables.values(new.judge)
        self._put_mark("served", mark)
        self._kept.put(token, new, planned)

    def ticks(self) -> Ticks:
        known = self._mark("ticks")
        return Ticks(**{k: datetime.fromisoformat(v) for k, v in (known or {}).items()})

    def put_ticks(self, ticks: Ticks) -> None:
        given = {k: v.isoformat() for k, v in tables.values(ticks).items() if v}
        self._put_mark("ticks", given)

    def tzdb(self) -> str:
        return self._mark("tzdb") or ""

    def put_tzdb(self, version: str) -> None:
        self._put_mark("tzdb", version)

    def pauses(self) -> Sequence[Pause]:
        return _PAUSE(_PAUSES.columns(self._c))

    def put_pause(self, pause: Pause) -> None:
        self._sql.execute(_PUT_PAUSE, tables.values(pause))

    def drop_pause(self, pause: Pause) -> None:
        same = (pauses.c.target == pause.target, pauses.c.value == pause.value)
        self._sql.execute(delete(pauses).where(*same))

    def holds(self) -> Sequence[Hold]:
        return _HOLD_OF(_HOLDS.columns(self._c))

    def hold(self, hold_id: str) -> Hold | None:
        found = _HOLD_OF(_HOLD.columns(self._c, hold_id=hold_id))
        return found[0] if found else None

    def holds_of(self, subject: str) -> Sequence[Hold]:
        return _HOLD_OF(_HOLDS_OF.columns(self._c, subject=subject))

    def put_holds(self, new: Sequence[Hold]) -> None:
        self._many(_PUT_HOLD, [tables.values(one) for one in new])

    def incidents(self) -> Sequence[Incident]:
        return [Incident(**row._mapping) for row in self._sql.execute(_INCIDENTS)]

    def put_incident(self, incident: Incident) -> None:
        self._sql.execute(_PUT_INCIDENT, tables.values(incident))

    def owed(self, channel: str) -> Sequence[Owed]:
        return _OWED_OF(_OWED.columns(self._c, channel=channel))

    def board(self) -> Board:
        found = self._mark("troubles")
        return EMPTY if found is None else board.read(found)

    def put_board(self, new: Board) -> None:
        self._put_mark("troubles", board.written(new))

    def owed_for(self, channel: str, key: str) -> Owed | None:
        found = self._sql.execute(_OWED_FOR, {"channel": channel, "key": key}).first()
        return Owed(**found._mapping) if found else None

    def put_owed(self, owed: Owed) -> None:
        self._sql.execute(_PUT_OWED, tables.values(owed))

    def given_up(self) -> Sequence[Owed]:
        return [Owed(**row._mapping) for row in self._sql.execute(_GIVEN_UP)]

    def drop_sent(self, channel: str, given_up: datetime) -> None:
        self._sql.execute(_SENT, {"channel": channel, "given_up": given_up})

    def _standings(self, reading: Reading, **given: Any) -> list[Standing]:
        rows = reading.rows(self._c, **given)
        return [Standing(**dict(zip(_NAMES, row, strict=True))) for row in rows]

    def _uses(self, reading: Reading, **given: Any) -> list[Use]:
        rows = reading.rows(self._c, **given)
        return [_use(dict(zip(_CONNECTION, row, strict=True))) for row in rows]

    def _mark(self, name: str) -> Any:
        return _MARK.value(self._c, name=name)

    def _put_mark(self, name: str, value: Any) -> None:
        self._sql.execute(_PUT_MARK, {"name": name, "value": value})

    def _many(self, statement: Any, rows: Sequence[Mapping[str, Any]]) -> int:
        """Rows that were written."""
        return self._sql.execute(statement, rows).rowcount if rows else 0
