"""The rows of what is served: read once, and written where they changed.

A row that names the revision of the whole holds an empty text in its place. So a new
revision touches only the rows of what it changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select

from boe_reconciler.core.spec import ObjectStatus, Served, ServedObject
from boe_reconciler.ledgers.sqlite.tables import columns, objects, statuses

NOTHING = Served(attempted=None, serving=None, objects=(), statuses=(), problems=())
#: The values of a row, in the order of its columns.
_Row = tuple[Any, ...]
#: By kind and name.
_Rows = dict[tuple[str, str], _Row]
#: Rows that are replaced one by one; of more, all are.
_FEW = 200


class Kept:
    """What was read or written last, shared by all connections.

    Each write has a token of its own: while it stands in the ledger, this is the truth.
    """

    def __init__(self) -> None:
        self._last: tuple[str, Served] | None = None
        #: The rows that were made last, and of what.
        self._made: tuple[Served, list[_Rows]] | None = None

    def get(self, token: str | None) -> Served | None:
        last = self._last
        return last[1] if last and last[0] == token else None

    def put(self, token: str | None, served: Served) -> Served:
        self._last = (token, served) if token else None
        return served

    def rows(self, served: Served) -> list[_Rows]:
        """The rows of each kind as they are stored."""
        made = self._made
        if made is None or made[0] is not served:
            self._made = made = (served, [kind.given(served) for kind in _KINDS])
        return made[1]


def read(connection: Connection, mark: Mapping[str, Any]) -> Served:
    whole = Served(
        attempted=mark["attempted"],
        serving=mark["serving"],
        objects=(),
        statuses=(),
        problems=mark["problems"],
        environment=mark.get("environment"),
        judge=ServedObject(**mark["judge"]) if mark.get("judge") else None,
    )
    found: Mapping[str, Any] = {
        kind.field: [kind.make(**row) for row in kind.rows(connection, whole)]
        for kind in _KINDS
    }
    return replace(whole, **found)


def write(connection: Connection, served: Served, before: Served, kept: Kept) -> None:
    # The old ones first: the new ones are those that are wanted next.
    for kind, old, new in zip(
        _KINDS, kept.rows(before), kept.rows(served), strict=True
    ):
        gone = [key for key, row in old.items() if new.get(key) != row]
        come = [*(new.keys() - old.keys()), *(key for key in gone if key in new)]
        if len(gone) > _FEW:
            connection.execute(delete(kind.table))
            come = list(new)
        else:
            kind.drop(connection, gone)
        if come:
            names = kind.columns
            rows = [dict(zip(names, new[key], strict=True)) for key in sorted(come)]
            connection.execute(insert(kind.table), rows)


@dataclass(frozen=True, kw_only=True)
class _Kind:
    field: str
    table: Table
    make: Callable[..., Any]
    #: Column -> the field of `Served` that it mostly equals.
    heads: Mapping[str, str]

    @cached_property
    def columns(self) -> list[str]:
        """Those that equal a field of `Served` come last."""
        return [*columns(self.table, *self.heads), *self.heads]

    def given(self, served: Served) -> _Rows:
        """The rows as they are stored."""
        most = len(self.columns) - len(self.heads)
        whole = tuple(getattr(served, field) for field in self.heads.values())
        short: dict[_Row, _Row] = {}
        read_ = attrgetter(*self.columns)
        found = {}
        for one in getattr(served, self.field):
            row = read_(one)
            heads = row[most:]
            if heads not in short:
                short[heads] = _shortened(heads, whole)
            found[one.kind, one.name] = row[:most] + short[heads]
        return found

    def rows(self, connection: Connection, whole: Served) -> list[dict[str, Any]]:
        query = select(self.table).order_by(self.table.c.kind, self.table.c.name)
        found = [dict(row._mapping) for row in connection.execute(query)]
        for name, head in self.heads.items():
            for row in found:
                if row[name] == "":
                    row[name] = getattr(whole, head)
        return found

    def drop(self, connection: Connection, keys: list[tuple[str, str]]) -> None:
        c = self.table.c
        for kind, name in keys:
            mine = (c.kind == kind, c.name == name)
            connection.execute(delete(self.table).where(*mine))


def _shortened(values: _Row, whole: _Row) -> _Row:
    """Empty texts in place of what the whole names as well."""
    return tuple(
        "" if value == head is not None else value
        for value, head in zip(values, whole, strict=True)
    )


_KINDS = (
    _Kind(
        field="objects",
        table=objects,
        make=ServedObject,
        heads={"revision": "serving"},
    ),
    _Kind(
        field="statuses",
        table=statuses,
        make=ObjectStatus,
        heads={"observed_revision": "attempted", "serving_revision": "serving"},
    ),
)
