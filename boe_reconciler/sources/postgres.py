"""PostgreSQL, through ADBC: binary rows, a server-side cursor, exact numerics."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from boe_reconciler.core import sql
from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.ports import Cancel, Rows, SecretResolver
from boe_reconciler.core.resources.connection import PostgresConnection
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
    from adbc_driver_manager import AdbcConnection

#: What a session is, whatever the role's defaults say.
_SETTINGS = {
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "repeatable\\ read",
    "timezone": "UTC",
    "cursor_tuple_fraction": "1",
}
_CONNECT_SECONDS = 10
#: Types of PostgreSQL that Arrow cannot carry as they are -> what they are read as.
#: The driver makes text of numerics in any case; the server is quicker at it.
_READ_AS = {
    "numeric": "text",
    "money": "numeric::text",
    "uuid": "text",
    "oid": "bigint",
}
#: No day of PostgreSQL comes before 4713 BC. The driver makes earlier ones of infinity,
#: and of years that Arrow's microseconds do not reach.
_FIRST_DAY = -2_500_000
_FIRST_MICROSECOND = _FIRST_DAY * 86_400_000_000
#: Classes of SQLSTATE that may be otherwise at the next attempt.
_TEMPORARY = {
    "08": "database_unreachable",
    "40": "database_conflict",
    "53": "database_full",
    "55": "database_busy",
    "57": "database_unreachable",
    "58": "database_io",
}
#: The server's own `statement_timeout`, of a class whose others end the connection.
_TOO_LONG = "57014"
#: Within a stream there is no SQLSTATE, only words.
_WORDS = re.compile(
    r"terminating connection|server closed|could not serialize|deadlock|"
    r"statement timeout|conflict with recovery|lost|no connection|starting up",
    re.IGNORECASE,
)
#: Before the server's words: the driver's, with a query that is partly ours.
_FRAME = re.compile(r"^Failed to \w+ query.*?: (?:ERROR|FATAL):\s+", re.DOTALL)
_REFUSED = re.compile(
    r"authentication failed|does not exist|pg_hba|not permitted|permission denied|"
    r"certificate|SSL|no password",
)


def create(
    spec: PostgresConnection,
    *,
    secrets: SecretResolver,
    data_root: Path,
    memory_limit: str = "",
    scratch: Path | None = None,
) -> PostgresSource:
    """A source that has opened nothing yet; its password is read at each connect."""
    return PostgresSource(spec, secrets)


class PostgresSource:
    """A connection for each query, in a transaction that only reads."""

    def __init__(self, spec: PostgresConnection, secrets: SecretResolver) -> None:
        self._spec = spec
        self._secrets = secrets

    def rows(self, query: str, parameters: Mapping[str, Any], cancel: Cancel) -> Rows:
        text, values = select(query, parameters, "postgres", lambda _, n: f"${n}")
        watch = Watch(cancel, self._spec.timeout)
        with ExitStack() as held:
            with watch.translating(_translate):
                connection = self._connect(held, watch)
                held.enter_context(watch.interrupting(connection.cancel))
                cursor = _Cursor(connection, sql.bare(text), _bindable(values))
                first = cursor.fetch()
                schema = cursor.typed(first)
            batches = watched(cursor.batches(schema, first), watch, _translate)
            return Stream(schema, batches, held.pop_all())
        raise AssertionError  # pragma: no cover - ExitStack swallows nothing

    def check(self) -> None:
        try:
            with self._connected() as connection:
                _run(connection, "SELECT 1")
        except RunError:
            raise
        except Exception as error:
            raise _translate(error) from error

    def close(self) -> None:
        """Nothing is kept open."""

    def _connect(self, held: ExitStack, watch: Watch) -> AdbcConnection:
        """A server that does not answer is left behind when the watch has to stop."""
        apart, opened = Apart(watch), ExitStack()
        with ExitStack() as failed:
            failed.callback(apart.leave, opened.close)
            with apart.watched():
                connect = partial(opened.enter_context, self._connected())
                connection = apart.call(connect)
            failed.pop_all()
            apart.leave(lambda: None)
            held.push(opened)
        return connection

    @contextmanager
    def _connected(self) -> Iterator[AdbcConnection]:
        import adbc_driver_postgresql
        from adbc_driver_manager import AdbcConnection, AdbcDatabase

        driver = adbc_driver_postgresql._driver_path()
        with ExitStack() as held:
            try:
                database = AdbcDatabase(driver=driver, uri=self._uri())
                held.enter_context(closing(database))
                connection = held.enter_context(closing(AdbcConnection(database)))
            except (OSError, _driver_error()) as error:
                raise _not_connected(error) from error
            connection.set_autocommit(False)
            if self._spec.role:
                role = self._spec.role.replace('"', '""')
                _run(connection, f'SET ROLE "{role}"')
            for setting in self._spec.session.items():
                _run(connection, "SELECT set_config($1, $2, false)", _bindable(setting))
            yield connection

    def _uri(self) -> str:
        spec = self._spec
        keys = {
            "host": spec.host,
            "port": str(spec.port),
            "dbname": spec.database,
            "user": spec.user,
            "sslmode": spec.sslmode,
            "application_name": "boe",
            "connect_timeout": str(_CONNECT_SECONDS),
            "options": " ".join(
                f"-c {key}={value}" for key, value in _SETTINGS.items()
            ),
        }
        if spec.password is not None:
            keys["password"] = self._secrets.resolve(spec.password)
        return "postgresql://?" + urlencode(keys, quote_via=quote)


# --- One query ----------------------------------------------------------------


class _Cursor:
    """A server-side cursor: the server keeps the rows, we hold one batch."""

    def __init__(
        self, connection: AdbcConnection, text: str, values: pa.RecordBatch | None
    ) -> None:
        self._connection = connection
        self._values = values
        self._text = text
        #: What the columns are in the database.
        self._fields = _schema(connection, text, values)
        self._columns = [f"c{number}" for number in range(len(self._fields))]
        casts = [_read_as(field) for field in self._fields]
        wanted = self._wrapped(casts) if any(casts) else text
        _run(connection, f"DECLARE boe NO SCROLL CURSOR FOR {wanted}", values)

    def fetch(self) -> pa.Table:
        return _run(self._connection, f"FETCH {BATCH_ROWS} FROM boe", copy=False)

    def typed(self, first: pa.Table) -> pa.Schema:
        """The schema of the answer: numerics as decimals that hold every value."""
        import pyarrow as pa

        open_columns = [
            number for number, field in enumerate(self._fields) if _is_open(field)
        ]
        if first.num_rows < BATCH_ROWS:
            sizes = [_size(first.column(number)) for number in open_columns]
        else:
            sizes = self._sizes(open_columns)
        found = dict(zip(open_columns, sizes, strict=True))
        fetched = zip(self._fields, first.schema.types, strict=True)
        fields = [
            (field.name, _decimal(field, found.get(number)) or _plain(kind))
            for number, (field, kind) in enumerate(fetched)
        ]
        return pa.schema(fields)

    def batches(self, schema: pa.Schema, table: pa.Table) -> Iterator[pa.RecordBatch]:
        while True:
            yield from _exact(table, schema).to_batches()
            if table.num_rows < BATCH_ROWS:
                return
            table = self.fetch()

    def _wrapped(self, casts: Sequence[str]) -> str:
        columns = ", ".join(self._columns)
        pairs = zip(self._columns, casts, strict=True)
        wanted = ", ".join(f"{name}::{cast}" if cast else name for name, cast in pairs)
        return f"SELECT {wanted} FROM (\n{self._text}\n) AS boe({columns})"  # noqa: S608 the report's own query, checked before

    def _sizes(self, numbers: Sequence[int]) -> list[tuple[int, int]]:
        """(digits before the point, digits after it) of all values, by the server."""
        if not numbers:
            return []
        columns = ", ".join(self._columns)
        wanted = ", ".join(
            f"coalesce(max(length(trunc(abs(c{n}::numeric))::text)), 1)::int, "
            f"coalesce(max(scale(c{n}::numeric)), 0)::int"
            for n in numbers
        )
        query = f"SELECT {wanted} FROM (\n{self._text}\n) AS boe({columns})"  # noqa: S608 as above
        found = _run(self._connection, query, self._values)
        flat = [column[0].as_py() for column in found.columns]
        return list(zip(flat[::2], flat[1::2], strict=True))


def _run(
    connection: AdbcConnection,
    text: str,
    values: pa.RecordBatch | None = None,
    *,
    copy: bool = True,
) -> pa.Table:
    import pyarrow as pa

    with _statement(connection, text, values, copy=copy) as statement:
        stream, _ = statement.execute_query()
        return pa.RecordBatchReader._import_from_c(stream.address).read_all()


def _schema(
    connection: AdbcConnection, text: str, values: pa.RecordBatch | None
) -> pa.Schema:
    import pyarrow as pa

    with _statement(connection, text, values, copy=True) as statement:
        handle = statement.execute_schema()  # releases the schema when it goes
        return pa.Schema._import_from_c(handle.address)


@contextmanager
def _statement(
    connection: AdbcConnection, text: str, values: pa.RecordBatch | None, *, copy: bool
) -> Iterator[Any]:
    from adbc_driver_manager import AdbcStatement

    with closing(AdbcStatement(connection)) as statement:
        statement.set_sql_query(text)
        if not copy:
            statement.set_options(**{"adbc.postgresql.use_copy": "false"})
        if values is not None:
            schema, array = values.__arrow_c_array__()
            statement.bind(array, schema)
        yield statement


def _bindable(values: Sequence[Any]) -> pa.RecordBatch | None:
    """One row of parameters; an empty list or None is sent as text."""
    import pyarrow as pa

    if not values:
        return None
    arrays = [pa.array([value]) for value in values]
    nothing = {pa.null(): pa.string(), pa.list_(pa.null()): pa.list_(pa.string())}
    arrays = [array.cast(nothing.get(array.type, array.type)) for array in arrays]
    return pa.RecordBatch.from_arrays(arrays, [f"p{n}" for n in range(len(arrays))])


# --- Types --------------------------------------------------------------------


def _postgres_type(field: pa.Field) -> str:
    name: bytes = (field.metadata or {}).get(b"POSTGRESQL:type", b"")
    return name.decode()


def _read_as(field: pa.Field) -> str:
    """What a column is cast to by the server; empty when it comes as it is."""
    name = _postgres_type(field)
    if name in _READ_AS:
        return _READ_AS[name]
    if name in ("json", "jsonb"):
        return ""
    return "text" if "extension<" in str(field.type) else ""


def _is_decimal(field: pa.Field) -> bool:
    return _postgres_type(field) in ("numeric", "money")


def _numeric(field: pa.Field) -> tuple[int, int] | None:
    """(precision, scale) of a `numeric(p, s)` that fits 38 digits."""
    typmod = int((field.metadata or {}).get(b"POSTGRESQL:typmod", b"-1")) - 4
    precision, scale = typmod >> 16 & 0xFFFF, typmod & 0x7FF
    return (precision, scale) if typmod >= 0 and scale <= precision <= 38 else None


def _is_open(field: pa.Field) -> bool:
    return _is_decimal(field) and _numeric(field) is None


def _size(column: pa.ChunkedArray) -> tuple[int, int]:
    """(digits before the point, digits after it) of the values at hand."""
    texts = [text.lstrip("-") for text in column.to_pylist() if text]
    parts = [text.partition(".") for text in texts if text[0].isdigit()]
    before = max((len(part[0]) for part in parts), default=1)
    return before, max((len(part[2]) for part in parts), default=0)


def _decimal(field: pa.Field, size: tuple[int, int] | None) -> pa.DataType | None:
    """What holds a numeric: text where it has more than 38 digits."""
    import pyarrow as pa

    if not _is_decimal(field):
        return None
    precision, scale = _numeric(field) or (sum(size or (39, 0)), (size or (0, 0))[1])
    return pa.decimal128(max(precision, 1), scale) if precision <= 38 else pa.string()


def _plain(kind: pa.DataType) -> pa.DataType:
    return getattr(kind, "storage_type", kind)


def _storage(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    if not isinstance(column.type, pa.BaseExtensionType):
        return column
    chunks = [chunk.storage for chunk in column.chunks]
    return pa.chunked_array(chunks, column.type.storage_type)


def _exact(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table in the schema's types; NaN of a numeric and any infinity become NULL."""
    import pyarrow as pa

    columns = [
        _finite(_storage(column), field.type)
        for column, field in zip(table.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _finite(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_decimal(wanted):
        try:
            return column.cast(wanted)
        except pa.ArrowInvalid:  # words: NaN, infinity
            number = pc.match_substring_regex(column, r"^-?[0-9]")
            return pc.if_else(number, column, None).cast(wanted)
    if pa.types.is_date32(wanted):
        first = pa.scalar(_FIRST_DAY, pa.int32()).cast(wanted)
    elif pa.types.is_timestamp(wanted):
        first = pa.scalar(_FIRST_MICROSECOND, pa.int64()).cast(wanted)
    else:
        return column
    return pc.if_else(pc.greater_equal(column, first), column, None)


# --- Errors -------------------------------------------------------------------


def _driver_error() -> type[Exception]:
    from adbc_driver_manager import Error

    return Error


def _said(error: Exception) -> str:
    """The server's own words, without the driver's frame."""
    text = str(error).partition("Query was:")[0].partition(". SQLSTATE:")[0]
    text = re.sub(r"^[A-Z_]+: |\[libpq\] |Execution error \[\w+\]: ", "", text)
    return _FRAME.sub("", text, count=1).strip()


def _not_connected(error: Exception) -> RunError:
    if _REFUSED.search(str(error)):
        return Permanent("login_failed", _said(error), "check the Connection's fields")
    return Temporary("database_unreachable", _said(error))


def _translate(error: Exception) -> RunError:
    state = getattr(error, "sqlstate", None) or ""
    if state == _TOO_LONG:
        return Temporary("timeout", _said(error))
    if state[:2] in _TEMPORARY:
        return Temporary(_TEMPORARY[state[:2]], _said(error))
    if not state and _WORDS.search(str(error)):
        return Temporary("database_unreachable", _said(error))
    return Permanent("query_failed", _said(error))
