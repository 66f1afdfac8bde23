"""The rows of what is served: read once, and written where they changed.

A row names no revision where it is from the one that is served. So a new revision
touches only the rows of what it changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select

from boe_reconciler.core.maps import differing
from boe_reconciler.core.spec import (
    ObjectStatus,
    PlannedSchedule,
    Served,
    ServedObject,
)
from boe_reconciler.ledgers.sqlite.bulk import Bulk, driver
from boe_reconciler.ledgers.sqlite.tables import objects, statuses, values

NOTHING = Served(attempted=None, serving=None)
#: Schedules by name.
Planned = Mapping[str, PlannedSchedule]
#: Rows that are replaced one by one; of more, all are.
_FEW = 200
_PUT_STATUS = Bulk(insert(statuses), statuses.c.keys())


class Kept:
    """What was read or written last, shared by all connections.

    Each write has a token of its own: while it stands in the ledger, this is the truth.
    """

    def __init__(self) -> None:
        self._last: tuple[str, Served, Planned | None] | None = None

    def get(self, token: str | None) -> tuple[Served | None, Planned | None]:
        """With the schedules as they were planned, where this process knows of them."""
        last = self._last
        return last[1:] if last and last[0] == token else (None, None)

    def put(
        self, token: str | None, served: Served, planned: Planned | None = None
    ) -> Served:
        self._last = (token, served, planned) if token else None
        return served


def read(connection: Connection, mark: Mapping[str, Any]) -> Served:
    judge = mark.get("judge")
    return Served(
        attempted=mark["attempted"],
        serving=mark["serving"],
        objects=[_object(row) for row in _rows(connection, objects)],
        stalled=[
            _stalled(row, mark)
            for row in _rows(connection, statuses)
            if not row["ready"]
        ],
        problems=mark["problems"],
        environment=mark.get("environment"),
        judge=ServedObject(**judge) if judge else None,
    )


def _rows(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    """One after the other: what all of them take at once would stay taken."""
    query = select(table).order_by(table.c.kind, table.c.name)
    for row in connection.execute(query):
        yield dict(row._mapping)


def _object(row: dict[str, Any]) -> ServedObject:
    return ServedObject(**row | {"revision": row["revision"] or None})


def _stalled(row: dict[str, Any], mark: Mapping[str, Any]) -> ObjectStatus:
    """Where a row names no revision, that of the whole is meant."""
    observed = row["observed_revision"] or mark["attempted"]
    serving = (
        mark["serving"] if row["serving_revision"] == "" else row["serving_revision"]
    )
    return ObjectStatus(
        **row | {"observed_revision": observed, "serving_revision": serving}
    )


def write(connection: Connection, served: Served, before: Served) -> None:
    old, new = before.by_key, served.by_key
    # What a plan did not change is the same object in the memory of this process.
    touched = [key for key in differing(old, new) if old.get(key) != new.get(key)]
    changed = [key for key in touched if key in new]
    gone = [key for key in touched if key in old]
    if len(gone) > _FEW:
        connection.execute(delete(objects))
        changed = list(new)
    else:
        _drop(connection, gone)
    if changed:
        rows = [_row(new[key]) for key in sorted(changed)]
        connection.execute(insert(objects), rows)
    # Few, and each of them names the revision.
    connection.execute(delete(statuses))
    _PUT_STATUS.run(driver(connection), served.stalled)


def _drop(connection: Connection, keys: Sequence[tuple[str, str]]) -> None:
    for kind, name in keys:
        mine = (objects.c.kind == kind, objects.c.name == name)
        connection.execute(delete(objects).where(*mine))


def _row(one: ServedObject) -> dict[str, Any]:
    return values(one) | {"revision": one.revision or ""}
