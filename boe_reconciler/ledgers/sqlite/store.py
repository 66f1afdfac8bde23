"""The rows that belong to runs, gaps and events; with the other parts, the whole Store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    ColumnElement,
    Table,
    bindparam,
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
from boe_reconciler.ledgers.sqlite.schedules import upsert
from boe_reconciler.ledgers.sqlite.tables import (
    artifacts,
    attempts,
    columns,
    deliveries,
    events,
    gaps,
    values,
)

T = TypeVar("T")
_ROWID: ColumnElement[int] = literal_column("rowid")
_PUT_ATTEMPT = Bulk(upsert(attempts, "run_id", "number"), attempts.c.keys())
_PUT_DELIVERY = Bulk(
    upsert(deliveries, *KEY),
    deliveries.c.keys(),
    {name: f"key.{name}" for name in KEY},
)
_PUT_EVENT = Bulk(insert(events), events.c.keys())


class _Owned(NamedTuple):
    """An artifact with whose it is."""

    run_id: str
    one: Artifact


_PUT_ARTIFACT = Bulk(
    insert(artifacts),
    artifacts.c.keys(),
    {name: f"one.{name}" for name in columns(artifacts, "run_id")},
)
_CHANGE_DELIVERY = Change(
    deliveries, {name: f"key.{name}" for name in KEY}, [*columns(deliveries, *KEY)]
)
_ATTEMPT = from_columns(Attempt, attempts.c.keys())
_ARTIFACT = from_columns(Artifact, columns(artifacts, "run_id"))


def _of_runs(table: Table, *order: Any) -> tuple[Reading, Reading]:
    """Of one run, which is most of the time; and of several."""
    rows, run_id = select(table).order_by(*order), table.c.run_id
    one, several = run_id == bindparam("run_id"), among(run_id, "run_ids")
    return Reading(rows.where(one)), Reading(rows.where(several))


_ATTEMPTS = _of_runs(attempts, attempts.c.run_id, attempts.c.number)
_ARTIFACTS = _of_runs(artifacts, _ROWID)
_DELIVERIES = _of_runs(deliveries, _ROWID)
_DELIVERY = Reading(
    select(deliveries).where(*[deliveries.c[name] == bindparam(name) for name in KEY])
)
_EVENTS = select(events).where(events.c.run_id == bindparam("run_id")).order_by(_ROWID)
_GAPS = (
    select(gaps).where(gaps.c.schedule_uid == bindparam("uid")).order_by(gaps.c.since)
)


class SqliteStore(Hearing):
    """One transaction's view of the rows; see `ledgers._store.Store`."""

    def attempts(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[Attempt]]:
        found = self._children(_ATTEMPTS, run_ids)
        return by_run(found, _ATTEMPT(found))

    def put_attempt(self, attempt: Attempt) -> None:
        _PUT_ATTEMPT.run(self._c, [attempt])

    def artifacts(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[Artifact]]:
        found = self._children(_ARTIFACTS, run_ids)
        return by_run(found, _ARTIFACT(found[1:]))

    def insert_artifacts(self, run_id: str, artifacts: Sequence[Artifact]) -> None:
        _PUT_ARTIFACT.run(self._c, [_Owned(run_id, one) for one in artifacts])

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
        _PUT_DELIVERY.run(self._c, unseen)

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
