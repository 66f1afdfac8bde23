"""The statements of every tick, claim and run.

SQLAlchemy prepares each execution, and each value of each row, at many times the cost of
the statement itself. Here it compiles a statement once and names the types; the driver
executes it, in the transaction that SQLAlchemy began, and columns are prepared whole
(docs/decisions/0008).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any, TypeVar, cast

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Compiled
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.types import TypeEngine

from boe_reconciler.ledgers.sqlite.tables import Json

T = TypeVar("T")
_DIALECT = sqlite.dialect(paramstyle="qmark")
_Prepare = Callable[[Any], Any]
#: Of so many rows, columns are prepared whole.
_SEVERAL = 4


def to_sql(type_: TypeEngine[Any]) -> _Prepare:
    """How a value of this type is given to the driver."""
    return type_.bind_processor(_DIALECT) or _same


def _from_sql(type_: TypeEngine[Any]) -> _Prepare | None:
    return type_.result_processor(_DIALECT, None)


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
    def _compiled(self) -> tuple[str, list[tuple[Any, _Prepare]]]:
        """Made on first use, so that start-up stays quick."""
        compiled = self._statement.compile(dialect=_DIALECT, column_keys=self._names)
        columns = [
            (attrgetter(self._attributes.get(name, name)), prepare)
            for name, prepare in _places(compiled)
        ]
        return str(compiled), columns

    def run(self, connection: Connection, rows: Sequence[Any]) -> int:
        """How many rows were written."""
        if not rows:
            return 0
        sql, places = self._compiled
        columns = [map(prepare, map(get, rows)) for get, prepare in places]
        return many(connection, sql, zip(*columns))  # noqa: B905 as many in each


def many(connection: Connection, sql: str, rows: Iterable[tuple[Any, ...]]) -> int:
    """Rows as the driver takes them; how many were written."""
    given = list(rows)
    return driver(connection).executemany(sql, given).rowcount if given else 0


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
    def _columns(self) -> list[_Prepare | None]:
        return [_from_sql(column.type) for column in self._query.selected_columns]

    @cached_property
    def _to_prepare(self) -> list[tuple[int, _Prepare]]:
        """Most columns are as the driver gives them."""
        places = enumerate(self._columns)
        return [(place, prepare) for place, prepare in places if prepare]

    def rows(self, connection: Connection, **given: Any) -> list[tuple[Any, ...]]:
        sql, places, known = self._compiled
        known = {**known, **given}
        values = tuple(prepare(known[name]) for name, prepare in places)
        raw = driver(connection).execute(sql, values).fetchall()
        if len(raw) < _SEVERAL:
            return [self._one(row) for row in raw]
        columns = map(_prepared, self._columns, zip(*raw))  # noqa: B905 as many in each
        return list(zip(*columns))  # noqa: B905 as above

    def _one(self, row: Sequence[Any]) -> tuple[Any, ...]:
        values = [*row]
        for place, prepare in self._to_prepare:
            values[place] = prepare(values[place])
        return tuple(values)

    def value(self, connection: Connection, **given: Any) -> Any:
        """The first value of the first row, if there is one."""
        found = self.rows(connection, **given)
        return found[0][0] if found else None


def maker(kind: type[T], names: Iterable[str]) -> Callable[[Iterable[Any]], T]:
    """Makes frozen records of rows that hold all their fields, by these names in order.

    Five times as fast as their `__init__`, which finds each field by its name.
    """
    fields = [*names]
    if {*fields} != {*kind.__slots__}:  # type: ignore[attr-defined]  # records have them
        raise TypeError(f"{kind.__name__} has other fields than {fields}")
    puts = [getattr(kind, name).__set__ for name in fields]

    def make(row: Iterable[Any]) -> T:
        made = kind.__new__(kind)
        for put, value in zip(puts, row, strict=True):
            put(made, value)
        return made

    return make


def _prepared(prepare: _Prepare | None, column: tuple[Any, ...]) -> Iterable[Any]:
    """Rows that are read together have much in common: each value is prepared once."""
    if prepare is None:
        return column
    known = {value: prepare(value) for value in set(column)}
    return map(known.__getitem__, column)


def among(column: Column[Any], name: str) -> ColumnElement[bool]:
    """In a list that is one parameter: SQLite takes only so many."""
    given = func.json_each(bindparam(name, type_=Json)).table_valued("value")
    return column.in_(select(given.c.value))
