"""SQLite: a database file, opened for reading only.

Python's own driver is used, since it can interrupt a query and forbid ATTACH, which
the ADBC driver cannot. A column of SQLite has no type of its own, so its type is
found by looking at all its values: in memory where one batch holds them all, else
by the database, in one more pass over the same snapshot.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boe_reconciler.core import sql
from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.ports import Cancel, Never, Rows, SecretResolver
from boe_reconciler.core.resources.connection import SQLiteConnection
from boe_reconciler.sources._stream import (
    BATCH_ROWS,
    Stream,
    Watch,
    below,
    select,
    watched,
)

if TYPE_CHECKING:
    import pyarrow as pa

#: How often a query asks whether somebody still writes, and the seconds of each wait:
#: SQLite itself does not look up from a wait when it is interrupted.
_TRIES, _BUSY_WAIT = 50, 0.2
_TEMPORARY = {
    sqlite3.SQLITE_BUSY: "database_busy",
    sqlite3.SQLITE_LOCKED: "database_busy",
    sqlite3.SQLITE_IOERR: "database_io",
    sqlite3.SQLITE_CANTOPEN: "database_io",
    sqlite3.SQLITE_INTERRUPT: "interrupted",
    sqlite3.SQLITE_FULL: "no_space",
    sqlite3.SQLITE_NOMEM: "out_of_memory",
}
_ALLOWED = (
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
    sqlite3.SQLITE_TRANSACTION,
)


def create(
    spec: SQLiteConnection,
    *,
    secrets: SecretResolver,
    data_root: Path,
    memory_limit: str = "",
    scratch: Path | None = None,
) -> SQLiteSource:
    """A source that has opened nothing yet. Permanent `bad_connection` for `files`."""
    if spec.files:
        detail = "sqlite cannot read files as views"
        todo = "move `files` to a Connection of type duckdb"
        raise Permanent("bad_connection", detail, todo)
    return SQLiteSource(spec, data_root)


class SQLiteSource:
    """A connection for each query: opening one takes less than a millisecond."""

    def __init__(self, spec: SQLiteConnection, data_root: Path) -> None:
        self._spec = spec
        self._root = data_root

    def rows(self, query: str, parameters: Mapping[str, Any], cancel: Cancel) -> Rows:
        text, values = select(query, parameters, "sqlite", lambda _, n: f"?{n}")
        values = [_bindable(value) for value in values]
        watch = Watch(cancel, self._spec.timeout)
        with ExitStack() as held:
            with watch.translating(_translate):
                connection = held.enter_context(closing(self._connect()))
                held.enter_context(watch.interrupting(connection.interrupt))
                _begin(connection, watch)
                answer = _Answer(connection, sql.bare(text), values)
            batches = watched(answer.batches(), watch, _translate)
            return Stream(answer.schema, batches, held.pop_all())
        raise AssertionError  # pragma: no cover - ExitStack swallows nothing

    def check(self) -> None:
        try:
            with closing(self._connect()) as connection:
                _begin(connection, Watch(Never()))
        except sqlite3.Error as error:
            raise _translate(error) from error

    def close(self) -> None:
        """Nothing is kept open."""

    def _connect(self) -> sqlite3.Connection:
        if self._spec.path:
            path = below(self._root, self._spec.path)
            if not path.is_file():
                detail = f"there is no file {self._spec.path!r}"
                raise Temporary("file_missing", detail)
            uri = path.as_uri() + "?mode=ro"
        else:
            uri = "file::memory:"
        connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=_BUSY_WAIT,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.text_factory = _text
        connection.set_authorizer(_authorize)
        return connection


def _begin(connection: sqlite3.Connection, watch: Watch) -> None:
    """Wait for somebody who writes, then hold the snapshot that the first read takes."""
    connection.execute("BEGIN")
    for left in reversed(range(_TRIES)):
        watch.check()
        try:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.OperationalError as error:
            if not left or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        else:
            return


def _authorize(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


#: SQLite lets anything be text. Bytes that are not UTF-8 are marked, for `_as_text`; and
#: nothing of Python's runs for each cell.
_text = partial(str, encoding="utf-8", errors="surrogateescape")


def _bindable(value: Any) -> Any:
    """SQLite's own forms: decimals as numbers, dates as the text its functions read."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        detail = "sqlite takes no lists as parameters"
        raise Permanent("bad_query", detail, "use one parameter for each value")
    return value


# --- Types --------------------------------------------------------------------

Row = tuple[Any, ...]


class _Answer:
    """Rows in batches of BATCH_ROWS, with a schema that fits every value."""

    def __init__(
        self, connection: sqlite3.Connection, text: str, values: Sequence[Any]
    ) -> None:
        import pyarrow as pa

        cursor = connection.execute(text, values)
        names = [column[0] for column in cursor.description]
        first = cursor.fetchmany(BATCH_ROWS)
        if len(first) < BATCH_ROWS:
            columns = zip(*first, strict=True) if first else [()] * len(names)
            self._kinds = [_kinds_of(column) for column in columns]
        else:
            self._kinds = _kinds(connection, text, values, len(names))
        types = map(_arrow, self._kinds)
        self.schema = pa.schema(list(zip(names, types, strict=True)))
        rest = iter(lambda: cursor.fetchmany(BATCH_ROWS), [])
        self._fetched = chain([first], rest)

    def batches(self) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for rows in self._fetched:
            if not rows:
                return
            arrays = [
                _array(column, kinds)
                for column, kinds in zip(
                    zip(*rows, strict=True), self._kinds, strict=True
                )
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _kinds(
    connection: sqlite3.Connection, text: str, values: Sequence[Any], width: int
) -> list[set[str]]:
    """The first and the last type that occur in each column, in the words of Python.

    In the order of their names, blob, integer, real, text: so the two that make up a
    column of numbers have no other one between them.
    """
    columns = [f"c{number}" for number in range(width)]
    kinds = [f"nullif(typeof({column}), 'null')" for column in columns]
    pairs = [f"min({kind}), max({kind})" for kind in kinds]
    query = (
        f"WITH boe({', '.join(columns)}) AS ({text}\n)"  # noqa: S608 the report's own query, checked before
        f" SELECT {', '.join(pairs)} FROM boe"
    )
    found = connection.execute(query, values).fetchone()
    return [
        {_KINDS[kind] for kind in pair if kind}
        for pair in zip(found[::2], found[1::2], strict=True)
    ]


_KINDS = {"integer": "int", "real": "float", "text": "str", "blob": "bytes"}


def _kinds_of(column: Iterable[Any]) -> set[str]:
    return {type(value).__name__ for value in column} - {"NoneType"}


def _arrow(kinds: set[str]) -> pa.DataType:
    import pyarrow as pa

    if kinds == {"int"}:
        return pa.int64()
    if kinds and kinds <= {"int", "float"}:
        return pa.float64()
    return pa.binary() if kinds == {"bytes"} else pa.string()


def _array(column: Sequence[Any], kinds: set[str]) -> pa.Array:
    import pyarrow as pa

    wanted = _arrow(kinds)
    if wanted != pa.string():
        return pa.array(column, wanted)
    if kinds == {"str"}:
        with suppress(UnicodeEncodeError):  # of bytes that were marked
            return pa.array(column, wanted)
    return pa.array(map(_as_text, column), wanted)


def _as_text(value: Any) -> str | None:
    """A value of a column of mixed kinds, or of texts that are not all UTF-8."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.hex()
    content = str(value).encode(errors="surrogateescape")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _translate(error: Exception) -> RunError:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _TEMPORARY:
        return Temporary(_TEMPORARY[code & 0xFF], str(error))
    return Permanent("query_failed", str(error))
