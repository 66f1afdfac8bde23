"""The rows that belong to runs, gaps and events; with the other parts, the whole Store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    bindparam,
    func,
    insert,
    literal_column,
    select,
)

from boe_reconciler.core.census import Census
from boe_reconciler.core.records import from_columns
from boe_reconciler.core.runs import (
    Artifact,
    Attempt,
    Delivery,
    DeliveryKey,
    Event,
    GapRow,
)
from boe_reconciler.ledgers.sqlite import counting
from boe_reconciler.ledgers.sqlite.bulk import (
    Bulk,
    Change,
    Reading,
    among,
    by_run,
)
from boe_reconciler.ledgers.sqlite.news import KEY, Hearing, to_deliveries
from boe_reconciler.ledgers.sqlite.schedules import SpecCache, upsert
from boe_reconciler.ledgers.sqlite.tables import (
    artifacts,
    attempts,
    columns,
    deliveries,
    events,
    gaps,
    placeless,
    values,
)

T = TypeVar("T")
_ROWID: ColumnElement[int] = literal_column("rowid")
_PUT_ATTEMPT = Bulk(upsert(attempts, "run_id", "number"), attempts.c.keys())
_PUT_DELIVERY = Bulk(
    upsert(deliveries, *KEY, without=("place",)),
    deliveries.c.keys(),
    {
        **{name: f"one.{name}" for name in columns(deliveries, *KEY, "place")},
        **{name: f"one.key.{name}" for name in KEY},
    },
)
_PUT_EVENT = Bulk(insert(events), events.c.keys())


class _Owned(NamedTuple):
    """An artifact with whose it is, and where it comes."""

    run_id: str
    one: Artifact
    place: int


class _Placed(NamedTuple):
    """A delivery with where it comes."""

    one: Delivery
    place: int


_PUT_ARTIFACT = Bulk(
    insert(artifacts),
    artifacts.c.keys(),
    {name: f"one.{name}" for name in columns(artifacts, "run_id", "place")},
)
_CHANGE_DELIVERY = Change(
    deliveries,
    {name: f"key.{name}" for name in KEY},
    [*columns(deliveries, *KEY, "place")],
)
_ATTEMPT = from_columns(Attempt, attempts.c.keys())
_ARTIFACT = from_columns(Artifact, columns(artifacts, "run_id", "place"))


def _of_runs(table: Table, order: str) -> tuple[Reading, Reading]:
    """Of one run, which is most of the time; and of several."""
    run_id = table.c.run_id
    rows = placeless(table).order_by(run_id, table.c[order])
    one, several = run_id == bindparam("run_id"), among(run_id, "run_ids")
    return Reading(rows.where(one)), Reading(rows.where(several))


_ATTEMPTS = _of_runs(attempts, "number")
_ARTIFACTS = _of_runs(artifacts, "place")
_DELIVERIES = _of_runs(deliveries, "place")
_DELIVERY = Reading(
    placeless(deliveries).where(
        *[deliveries.c[name] == bindparam(name) for name in KEY]
    )
)
_LAST_PLACE = Reading(
    select(func.max(deliveries.c.place)).where(
        deliveries.c.run_id == bindparam("run_id")
    )
)
_EVENTS = select(events).where(events.c.run_id == bindparam("run_id")).order_by(_ROWID)
_GAPS = (
    select(gaps).where(gaps.c.schedule_uid == bindparam("uid")).order_by(gaps.c.since)
)


class SqliteStore(Hearing):
    """One transaction's view of the rows; see `ledgers._store.Store`."""

    def __init__(self, connection: Connection, cache: SpecCache) -> None:
        super().__init__(connection, cache)
        #: Runs whose files were just added: they have no delivery yet.
        self._built: set[str] = set()

    def attempts(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[Attempt]]:
        found = self._children(_ATTEMPTS, run_ids)
        return by_run(found, _ATTEMPT(found))

    def put_attempt(self, attempt: Attempt) -> None:
        _PUT_ATTEMPT.run(self._c, [attempt])

    def artifacts(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[Artifact]]:
        found = self._children(_ARTIFACTS, run_ids)
        return by_run(found, _ARTIFACT(found[1:]))

    def insert_artifacts(self, run_id: str, artifacts: Sequence[Artifact]) -> None:
        new = [_Owned(run_id, one, place) for place, one in enumerate(artifacts)]
        _PUT_ARTIFACT.run(self._c, new)
        self._built.add(run_id)

    def deliveries(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[Delivery]]:
        found = self._children(_DELIVERIES, run_ids)
        made = to_deliveries(found)
        if len(run_ids) == 1:
            self._seen.update({one.key: one for one in made})
        return by_run(found, made)

    def delivery(self, key: DeliveryKey) -> Delivery | None:
        found = to_deliveries(_DELIVERY.columns(self._c, **values(key)))
        self._seen.update({one.key: one for one in found})
        return found[0] if found else None

    def put_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        unseen = []
        for one in deliveries:
            before = self._seen.get(one.key)
            if before is None:
                unseen.append(one)
            else:
                _CHANGE_DELIVERY.run(self._c, before, one)
                self._seen[one.key] = one
        if unseen:
            place = self._next_place(unseen[0].key.run_id)
            _PUT_DELIVERY.run(self._c, list(map(_Placed, unseen, count(place))))

    def _next_place(self, run_id: str) -> int:
        if run_id in self._built:
            self._built.remove(run_id)
            return 0
        last = _LAST_PLACE.value(self._c, run_id=run_id)
        return 0 if last is None else last + 1

    def gaps(self, schedule_uid: str) -> Sequence[GapRow]:
        found = self._sql.execute(_GAPS, {"uid": schedule_uid})
        return [GapRow(**row._mapping) for row in found]

    def insert_gaps(self, new: Sequence[GapRow]) -> None:
        self._many(insert(gaps), [values(one) for one in new])

    def events(self, run_id: str) -> Sequence[Event]:
        found = self._sql.execute(_EVENTS, {"run_id": run_id})
        return [Event(**row._mapping) for row in found]

    def insert_events(self, new: Sequence[Event]) -> None:
        _PUT_EVENT.run(self._c, new)

    def census(self, now: datetime) -> Census:
        return counting.census(self._sql, now)

    def _children(
        self, readings: tuple[Reading, Reading], run_ids: Sequence[str]
    ) -> Sequence[Sequence[Any]]:
        """All columns; the run's id is the first."""
        one, several = readings
        if len(run_ids) == 1:
            return one.columns(self._c, run_id=run_ids[0])
        return several.columns(self._c, run_ids=list(run_ids)) if run_ids else ()
