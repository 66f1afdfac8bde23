"""The rows that belong to runs, gaps and events; with the other parts, the whole Store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Table,
    bindparam,
    insert,
    literal_column,
    select,
)

from boe_reconciler.core.census import Census
from boe_reconciler.core.runs import (
    Artifact,
    Attempt,
    Delivery,
    DeliveryKey,
    Event,
    GapRow,
)
from boe_reconciler.ledgers.sqlite import counting
from boe_reconciler.ledgers.sqlite.runs import chunks
from boe_reconciler.ledgers.sqlite.schedules import upsert
from boe_reconciler.ledgers.sqlite.sweeping import Sweeping
from boe_reconciler.ledgers.sqlite.tables import (
    artifacts,
    attempts,
    deliveries,
    events,
    gaps,
    values,
)

T = TypeVar("T")
_ROWID: ColumnElement[int] = literal_column("rowid")
_KEY = ("run_id", "part", "destination", "recipient", "copy")
_PUT_ATTEMPT = upsert(attempts, "run_id", "number")
_PUT_DELIVERY = upsert(deliveries, *_KEY)


def _of_runs(table: Table, *order: Any) -> Select[Any]:
    mine = table.c.run_id.in_(bindparam("run_ids", expanding=True))
    return select(table).where(mine).order_by(*order)


_ATTEMPTS = _of_runs(attempts, attempts.c.run_id, attempts.c.number)
_ARTIFACTS = _of_runs(artifacts, _ROWID)
_DELIVERIES = _of_runs(deliveries, _ROWID)
_DELIVERY = select(deliveries).where(
    *[deliveries.c[name] == bindparam(name) for name in _KEY]
)
_EVENTS = select(events).where(events.c.run_id == bindparam("run_id")).order_by(_ROWID)
_GAPS = (
    select(gaps).where(gaps.c.schedule_uid == bindparam("uid")).order_by(gaps.c.since)
)


class SqliteStore(Sweeping):
    """One transaction's view of the rows; see `ledgers._store.Store`."""

    def attempts(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[Attempt]]:
        found: dict[str, list[Attempt]] = defaultdict(list)
        for row in self._children(_ATTEMPTS, run_ids):
            found[row.run_id].append(Attempt(**row._mapping))
        return found

    def put_attempt(self, attempt: Attempt) -> None:
        self._c.execute(_PUT_ATTEMPT, values(attempt))

    def artifacts(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[Artifact]]:
        found: dict[str, list[Artifact]] = defaultdict(list)
        for row in self._children(_ARTIFACTS, run_ids):
            given = dict(row._mapping)
            found[given.pop("run_id")].append(Artifact(**given))
        return found

    def insert_artifacts(self, run_id: str, artifacts: Sequence[Artifact]) -> None:
        self._many(
            _INSERT_ARTIFACT, [{"run_id": run_id} | values(a) for a in artifacts]
        )

    def deliveries(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[Delivery]]:
        found: dict[str, list[Delivery]] = defaultdict(list)
        for row in self._children(_DELIVERIES, run_ids):
            found[row.run_id].append(_delivery(row))
        return found

    def delivery(self, key: DeliveryKey) -> Delivery | None:
        row = self._c.execute(_DELIVERY, values(key)).first()
        return _delivery(row) if row else None

    def put_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        self._many(_PUT_DELIVERY, [_flat(one) for one in deliveries])

    def gaps(self, schedule_uid: str) -> Sequence[GapRow]:
        found = self._c.execute(_GAPS, {"uid": schedule_uid})
        return [GapRow(**row._mapping) for row in found]

    def insert_gaps(self, new: Sequence[GapRow]) -> None:
        self._many(insert(gaps), [values(one) for one in new])

    def events(self, run_id: str) -> Sequence[Event]:
        found = self._c.execute(_EVENTS, {"run_id": run_id})
        return [Event(**row._mapping) for row in found]

    def insert_events(self, new: Sequence[Event]) -> None:
        self._many(insert(events), [values(one) for one in new])

    def census(self, now: datetime) -> Census:
        return counting.census(self._c, now)

    def _children(
        self, query: Select[Any], run_ids: Sequence[str]
    ) -> Iterator[Row[Any]]:
        for chunk in chunks(run_ids):
            yield from self._c.execute(query, {"run_ids": chunk})


_INSERT_ARTIFACT = insert(artifacts)


def _delivery(row: Row[Any]) -> Delivery:
    given = dict(row._mapping)
    key = DeliveryKey(**{name: given.pop(name) for name in _KEY})
    return Delivery(key=key, **given)


def _flat(delivery: Delivery) -> dict[str, Any]:
    flat = values(delivery)
    return {**values(flat.pop("key")), **flat, "intent": dict(delivery.intent)}
