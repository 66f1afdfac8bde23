"""Many rows in one statement.

SQLAlchemy prepares each row of an executemany by itself, at ten times the cost of the
insert; here it compiles the statement and names the types, and columns are prepared
whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.dml import UpdateBase

_DIALECT = sqlite.dialect(paramstyle="qmark")


class Bulk:
    """A statement whose parameters are attributes of the rows it is given."""

    def __init__(self, statement: UpdateBase, names: Sequence[str]) -> None:
        """`names` are those of the parameters that a row fills."""
        compiled = statement.compile(dialect=_DIALECT, column_keys=list(names))
        self._sql = str(compiled)
        self._columns = [
            (attrgetter(name), compiled.binds[name].type.bind_processor(_DIALECT))
            for name in compiled.positiontup or ()
        ]

    def run(self, connection: Connection, rows: Sequence[Any]) -> int:
        """How many rows were written."""
        if not rows:
            return 0
        columns = [
            map(get, rows) if prepare is None else map(prepare, map(get, rows))
            for get, prepare in self._columns
        ]
        return connection.exec_driver_sql(self._sql, list(zip(*columns))).rowcount  # noqa: B905 as many in each
