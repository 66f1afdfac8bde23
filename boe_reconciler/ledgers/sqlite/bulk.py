"""The statements of every tick, claim and run.

SQLAlchemy prepares each execution, and each value of each row, at many times the cost of
the statement itself. Here it compiles a statement once and names the types; the driver
executes it, in the transaction that SQLAlchemy began, and columns are prepared whole
(docs/decisions/0008).
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from operator import attrgetter
from typing import Any, TypeVar, cast

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    bindparam,
    func,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Compiled
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.types import TypeDecorator, TypeEngine

from boe_reconciler.ledgers.sqlite.tables import Instant, Json, Word, instants

T = TypeVar("T")
_DIALECT = sqlite.dialect(paramstyle="qmark")
_Prepare = Callable[[Any], Any]
_OfColumn = Callable[[Sequence[Any]], list[Any]]


def to_sql(type_: TypeEngine[Any]) -> _Prepare:
    """How a value of this type is given to the driver."""
    if isinstance(type_, TypeDecorator):  # ours, without SQLAlchemy's steps around it
        return partial(type_.process_bind_param, dialect=_DIALECT)
    return type_.bind_processor(_DIALECT) or _same


def _from_sql(type_: TypeEngine[Any]) -> _OfColumn | None:
    """How a whole column of this type is read."""
    if isinstance(type_, Instant):
        return instants
    if isinstance(type_, Word):
        return type_.members
    if isinstance(type_, Json):
        return type_.values
    prepare = (
        partial(type_.process_result_value, dialect=_DIALECT)
        if isinstance(type_, TypeDecorator)
        else type_.result_processor(_DIALECT, None)
    )
    return partial(_each_once, prepare) if prepare else None


def _each_once(prepare: _Prepare, column: Sequence[Any]) -> list[Any]:
    """Rows that are read together have much in common."""
    known = {value: prepare(value) for value in set(column)}
    return [known[value] for value in column]


def _same(value: Any) -> Any:
    return value


def _places(compiled: Compiled) -> list[tuple[str, _Prepare]]:
    """The names of the parameters, in the order of their places."""
    binds: Any = getattr(compiled, "binds", {})
    names: Any = getattr(compiled, "positiontup", None) or ()
    return [(name, to_sql(binds[name].type)) for name in names]


class Bulk:
    """A statement whose parameters are attributes of the rows it is given."""

    def __init__(
        self,
        statement: UpdateBase,
        names: Iterable[str],
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """`names` are those of the parameters that a row fills; `attributes` are the
        paths of those that are called otherwise in the row."""
        self._statement = statement
        self._names = list(names)
        self._attributes = attributes or {}

    @cached_property
    def _compiled(self) -> tuple[str, attrgetter[Any], list[tuple[int, _Prepare]]]:
        """Made on first use, so that start-up stays quick."""
        compiled = self._statement.compile(dialect=_DIALECT, column_keys=self._names)
        places = _places(compiled)
        get = attrgetter(*[self._attributes.get(name, name) for name, _ in places])
        prepared = [(at, one) for at, (_, one) in enumerate(places) if one != _same]
        return str(compiled), get, prepared

    def run(self, connection: sqlite3.Connection, rows: Sequence[Any]) -> int:
        """How many rows were written."""
        if not rows:
            return 0
        sql, _, _ = self._compiled
        return many(connection, sql, map(self._values, rows))

    def _values(self, row: Any) -> list[Any]:
        _, get, prepared = self._compiled
        values = list(get(row))
        for at, prepare in prepared:
            values[at] = prepare(values[at])
        return values


class Change:
    """Writes what of a row is different: that touches the fewest indexes."""

    def __init__(
        self, table: Table, key: Mapping[str, str], names: Sequence[str]
    ) -> None:
        """`key` has the path in the row of each column of the key; `names` may change."""
        self._table, self._key, self._names = table, key, names
        self._get = attrgetter(*names)
        self._writes: dict[tuple[str, ...], Bulk] = {}

    def run(
        self, connection: sqlite3.Connection, before: Any | None, after: Any
    ) -> None:
        """All that may change, where nobody knows what was before."""
        names = tuple(self._names)
        if before is not None:
            each = zip(names, self._get(before), self._get(after), strict=True)
            names = tuple([name for name, old, new in each if old != new])
        if names:
            write = self._writes.get(names) or self._write(names)
            write.run(connection, [after])

    def _write(self, names: tuple[str, ...]) -> Bulk:
        mine = [self._table.c[name] == bindparam(name) for name in self._key]
        statement = update(self._table).where(*mine)
        new: dict[str, Any] = {name: bindparam(name) for name in names}
        self._writes[names] = Bulk(statement.values(new), names, self._key)
        return self._writes[names]


def many(
    connection: sqlite3.Connection, sql: str, rows: Iterable[Sequence[Any]]
) -> int:
    """Rows as the driver takes them, one after the other; how many were written."""
    return connection.executemany(sql, rows).rowcount


def driver(connection: Connection) -> sqlite3.Connection:
    """Its errors are sqlite3's own."""
    found: Any = connection.connection.driver_connection
    return cast(sqlite3.Connection, found)


class Reading:
    """A query whose shape is always the same; its parameters are named."""

    def __init__(self, query: Select[Any]) -> None:
        self._query = query

    @cached_property
    def _compiled(self) -> tuple[str, list[tuple[str, _Prepare]], dict[str, Any]]:
        """SQL, places and known values: made on first use, so that start-up stays quick."""
        compiled = self._query.compile(dialect=_DIALECT)
        return str(compiled), _places(compiled), dict(compiled.params)

    @cached_property
    def _to_prepare(self) -> list[tuple[int, _OfColumn]]:
        """Most columns are as the driver gives them."""
        types = [column.type for column in self._query.selected_columns]
        found = [(place, _from_sql(one)) for place, one in enumerate(types)]
        return [(place, prepare) for place, prepare in found if prepare]

    def columns(
        self, connection: sqlite3.Connection, **given: Any
    ) -> list[Sequence[Any]]:
        """What each column holds, from the first row to the last; none without a row."""
        sql, places, known = self._compiled
        known = {**known, **given}
        values = [prepare(known[name]) for name, prepare in places]
        raw = connection.execute(sql, values).fetchall()
        columns: list[Sequence[Any]] = [*zip(*raw)]  # noqa: B905 as many in each
        for place, prepare in self._to_prepare if columns else ():
            columns[place] = prepare(columns[place])
        return columns

    def rows(
        self, connection: sqlite3.Connection, **given: Any
    ) -> list[tuple[Any, ...]]:
        return list(zip(*self.columns(connection, **given)))  # noqa: B905 as many in each

    def value(self, connection: sqlite3.Connection, **given: Any) -> Any:
        """The first value of the first row, if there is one."""
        found = self.rows(connection, **given)
        return found[0][0] if found else None


def by_run(
    columns: Sequence[Sequence[Any]], made: Sequence[T]
) -> Mapping[str, Sequence[T]]:
    """What was made of rows whose first column is the id of their run."""
    found: dict[str, list[T]] = defaultdict(list)
    for run_id, one in zip(columns[0] if columns else (), made, strict=True):
        found[run_id].append(one)
    return found


def among(column: Column[Any], name: str) -> ColumnElement[bool]:
    """In a list that is one parameter: SQLite takes only so many."""
    given = func.json_each(bindparam(name, type_=Json)).table_valued("value")
    return column.in_(select(given.c.value))
