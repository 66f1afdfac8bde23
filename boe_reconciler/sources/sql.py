"""Any other database that SQLAlchemy has a dialect and a driver for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.ports import Cancel, Rows, SecretResolver
from boe_reconciler.core.resources.connection import SQLConnection
from boe_reconciler.sources._apart import Apart
from boe_reconciler.sources._stream import (
    BATCH_ROWS,
    Stream,
    Watch,
    select,
    watched,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection, TextClause

#: What reads files of this machine has its own type, which keeps it in its folder.
_OWN_TYPE = {"sqlite": "sqlite", "duckdb": "duckdb"}
_WORDS = re.compile(
    r"lock|deadlock|timed? ?out|refused|unreachable|gone away|lost connection|"
    r"terminat|closed|reset|not connect|can't connect|cannot connect|too many",
    re.IGNORECASE,
)


def create(
    spec: SQLConnection,
    *,
    secrets: SecretResolver,
    data_root: Path,
    memory_limit: str = "",
    scratch: Path | None = None,
) -> SQLSource:
    """A source that has opened nothing yet; its password is read at each connect."""
    return SQLSource(spec, secrets)


class SQLSource:
    """A connection for each query; what a query did in spite of all is rolled back."""

    def __init__(self, spec: SQLConnection, secrets: SecretResolver) -> None:
        self._spec = spec
        self._secrets = secrets

    def rows(self, query: str, parameters: Mapping[str, Any], cancel: Cancel) -> Rows:
        marked, _ = select(query, parameters, "", lambda name, _: f"\0{name}\0")
        watch = Watch(cancel, self._spec.timeout)
        apart, opened = Apart(watch), ExitStack()
        with ExitStack() as held:
            held.callback(apart.leave, opened.close)
            with watch.translating(_translate):
                held.enter_context(apart.watched())
                connected = partial(opened.enter_context, self._connected())
                connection = apart.call(connected)
                apart.interrupt = _interrupter(connection)
                clause = _clause(marked, parameters)
                result = apart.call(partial(connection.execute, clause))
                names = list(result.keys())
                fetch = partial(apart.call, partial(result.fetchmany, BATCH_ROWS))
                first = fetch()
                schema = _schema(names, first)
            rows = chain([first], iter(fetch, []))
            batches = watched(_batches(schema, rows), watch, _translate)
            return Stream(schema, batches, held.pop_all())
        raise AssertionError  # pragma: no cover - ExitStack swallows nothing

    def check(self) -> None:
        try:
            with self._connected():
                pass
        except RunError:
            raise
        except Exception as error:
            raise _translate(error) from error

    def close(self) -> None:
        """Nothing is kept open."""

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        from sqlalchemy import create_engine
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
        from sqlalchemy.pool import NullPool

        try:
            engine = create_engine(
                self._url(), poolclass=NullPool, hide_parameters=True
            )
        except (ArgumentError, NoSuchModuleError) as error:
            raise Permanent(
                "bad_connection", f"this is no usable url: {error}"
            ) from None
        except ModuleNotFoundError as error:
            detail = f"the driver {error.name!r} is not installed"
            todo = "install it beside boe, or name another driver in the url"
            raise Permanent("driver_missing", detail, todo) from error
        with engine.connect() as connection:  # rolls back when it closes
            yield connection.execution_options(
                stream_results=True, max_row_buffer=BATCH_ROWS
            )

    def _url(self) -> Any:
        from sqlalchemy import make_url

        url = make_url(self._spec.url)
        own = _OWN_TYPE.get(url.get_backend_name())
        if own and url.database not in (None, "", ":memory:"):
            detail = f"a {own} file is not read through type sql"
            raise Permanent("bad_connection", detail, f"write `type: {own}` and `path`")
        if self._spec.password is None:
            return url
        return url.set(password=self._secrets.resolve(self._spec.password))


def _interrupter(connection: Connection) -> Callable[[], None] | None:
    """The driver's own way to stop a query; without one it is left behind."""
    driver = connection.connection.driver_connection
    for name in ("cancel", "interrupt"):
        found = getattr(driver, name, None)
        if callable(found):
            stop: Callable[[], None] = found
            return stop
    return None


def _clause(marked: str, parameters: Mapping[str, Any]) -> TextClause:
    """Only our own parameters are bound: every other colon is escaped."""
    from sqlalchemy import bindparam, text

    query = re.sub("\0(\\w+)\0", r":\1", marked.replace(":", "\\:"))
    return text(query).bindparams(
        *(
            bindparam(name, value, expanding=isinstance(value, list | tuple))
            for name, value in parameters.items()
            if f"\0{name}\0" in marked
        )
    )


# --- Rows to Arrow ------------------------------------------------------------

Row = Sequence[Any]


def _schema(names: Sequence[str], rows: Sequence[Row]) -> pa.Schema:
    """The types of the first rows; text where they differ or nothing is known."""
    import pyarrow as pa

    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    types = [
        _arrow([value for value in column if value is not None]) for column in columns
    ]
    return pa.schema(list(zip(names, types, strict=True)))


def _arrow(values: Sequence[Any]) -> pa.DataType:
    import pyarrow as pa

    kinds = {_kind(value) for value in values}
    if kinds == {"datetime"}:
        return pa.timestamp("us", "UTC" if values[0].tzinfo else None)
    if kinds and kinds <= {"int", "float"} and kinds != {"int"}:
        return pa.float64()
    if kinds == {"int"} and all(-(2**63) <= value < 2**63 for value in values):
        return pa.int64()
    if kinds and kinds <= {"int", "decimal"}:
        return _decimal(values)
    simple = {
        "bool": pa.bool_(),
        "bytes": pa.binary(),
        "date": pa.date32(),
        "time": pa.time64("us"),
    }
    return simple.get(kinds.pop(), pa.string()) if len(kinds) == 1 else pa.string()


#: In this order: bool is an int, and datetime is a date.
_KINDS: tuple[tuple[str, type | tuple[type, ...]], ...] = (
    ("bool", bool),
    ("int", int),
    ("float", float),
    ("decimal", Decimal),
    ("datetime", datetime),
    ("date", date),
    ("time", time),
    ("bytes", (bytes, bytearray, memoryview)),
)


def _kind(value: Any) -> str:
    return next((kind for kind, types in _KINDS if isinstance(value, types)), "text")


def _decimal(values: Iterable[Any]) -> pa.DataType:
    """Wide enough for any digits before the point; text for more than 38 digits."""
    import pyarrow as pa

    exponents = [
        exponent
        for value in values
        if isinstance(exponent := Decimal(value).as_tuple().exponent, int)
    ]
    scale = max(0, *(-exponent for exponent in exponents)) if exponents else 0
    digits = [
        Decimal(value).adjusted() + 1 for value in values if Decimal(value).is_finite()
    ]
    return (
        pa.decimal128(38, scale)
        if max(digits, default=1) + scale <= 38
        else pa.string()
    )


def _batches(
    schema: pa.Schema, fetched: Iterable[Sequence[Row]]
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for rows in fetched:
        columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
        arrays = [
            _array(column, field) for column, field in zip(columns, schema, strict=True)
        ]
        if arrays:
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: Iterable[Any], field: pa.Field) -> pa.Array:
    import pyarrow as pa

    if field.type == pa.string():
        return pa.array([_text(value) for value in values], field.type)
    if pa.types.is_decimal(field.type):
        values = [_finite(value) for value in values]
    try:
        return pa.array(values, field.type)
    except (pa.ArrowException, TypeError, ValueError) as error:
        detail = (
            f"column {field.name!r} holds {field.type}, then something else: {error}"
        )
        todo = "cast it to one type in the query"
        raise Permanent("mixed_types", detail, todo) from error


def _finite(value: Any) -> Decimal | None:
    number = None if value is None else Decimal(value)
    return number if number is not None and number.is_finite() else None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _translate(error: Exception) -> RunError:
    """The driver's own words alone: SQLAlchemy's repeat the query."""
    from sqlalchemy.exc import DBAPIError

    if not isinstance(error, DBAPIError):
        return Permanent("query_failed", str(error))
    detail = str(error.orig)
    if error.connection_invalidated or _WORDS.search(detail):
        return Temporary("database_unreachable", detail)
    return Permanent("query_failed", detail)
