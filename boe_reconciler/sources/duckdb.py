"""DuckDB: its own database file, and csv, parquet and json files as views."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Timer, current_thread
from typing import TYPE_CHECKING, Any

from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.ports import Cancel, Rows, SecretResolver
from boe_reconciler.core.resources.connection import DuckDBConnection
from boe_reconciler.sources._stream import (
    BATCH_ROWS,
    Stream,
    Watch,
    below,
    select,
    watched,
)

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

#: The function that reads a file, by how its name ends.
READERS = {
    ".csv": "read_csv",
    ".tsv": "read_csv",
    ".csv.gz": "read_csv",
    ".tsv.gz": "read_csv",
    ".json": "read_json",
    ".jsonl": "read_json",
    ".ndjson": "read_json",
    ".json.gz": "read_json",
    ".jsonl.gz": "read_json",
    ".parquet": "read_parquet",
}
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}
#: Seconds that an instance is kept for a next query, or up to twice as long: opening one
#: takes 30 ms.
_LINGER = 0.5
#: Bytes of rows until what DuckDB keeps of its file is looked at, and how much of it
#: may stay then.
_LOOKED_AT, _KEPT = 32 << 20, 16 << 20
_MEMORY = """
    SELECT sum(memory_usage_bytes) FILTER (tag = 'BASE_TABLE'),
        sum(memory_usage_bytes) FILTER (tag <> 'BASE_TABLE')
    FROM duckdb_memory()
"""
#: What may be otherwise at the next attempt, by the first words of DuckDB's message.
_TEMPORARY = {
    "IO Error": "database_io",
    "Out of Memory Error": "out_of_memory",
    "INTERRUPT Error": "interrupted",
    "FATAL Error": "database_broken",
    "INTERNAL Error": "database_broken",
}
_BUSY = re.compile("could not set lock|conflicting lock|already (open|attached)", re.I)
_BROKEN = re.compile("not a valid DuckDB|version number|corrupt", re.I)


def create(
    spec: DuckDBConnection,
    *,
    secrets: SecretResolver,
    data_root: Path,
    memory_limit: str = "1GB",
    scratch: Path | None = None,
) -> DuckDBSource:
    """A source that has opened nothing yet; DuckDB needs no secrets.

    Beyond `memory_limit` a query spills to disk: into `scratch`, which is emptied at
    the next start, whatever ended this one; else where the system keeps such files.
    """
    bounds = _Bounds(memory_limit=memory_limit, scratch=scratch)
    return DuckDBSource(spec, data_root, bounds)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bounds:
    memory_limit: str
    scratch: Path | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Files:
    """What an instance may read, and how it stood when the instance was opened."""

    #: The database file; None means in memory.
    database: Path | None
    #: View name -> its files, resolved.
    views: Mapping[str, tuple[str, ...]]
    #: (path, inode, size, modified) of each: another one means another instance.
    stamps: tuple[tuple[str, int, int, int], ...]


@dataclass(kw_only=True, slots=True)
class _Instance:
    files: _Files
    connection: duckdb.DuckDBPyConnection
    #: Where it spills what does not fit into memory.
    spill: tempfile.TemporaryDirectory[str]
    users: int = field(default=0)
    #: Since the timer began to run: it runs once more.
    used: bool = field(default=False)

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor in a transaction that cannot write."""
        begin = "BEGIN TRANSACTION READ ONLY"
        if self.files.database:
            path = f"{_catalog(self.files.database)}.main,memory.main"
            begin = f"SET search_path = {_text(path)}; {begin}"
        with self.connection.cursor() as cursor:
            cursor.execute(begin)
            yield cursor

    def forget(self, limit: str) -> None:
        """Drop most of what is kept of the database file: a lower limit for a moment.

        Nobody should meet that limit: no other query may be running, and one that sorts
        or joins is left alone.
        """
        import duckdb

        with self.connection.cursor() as cursor, suppress(duckdb.OutOfMemoryException):
            kept, others = cursor.execute(_MEMORY).fetchall()[0]
            if kept > _KEPT > others:
                lower = f"SET memory_limit = '{others + _KEPT}B'"
                cursor.execute(f"{lower}; SET memory_limit = {_text(limit)}")

    def close(self) -> None:
        self.connection.close()
        self.spill.cleanup()


class DuckDBSource:
    """One locked-down DuckDB instance, shared by threads through cursors.

    An instance sees only the files it was opened for. When one of them changes,
    the next query opens another instance. It is closed soon after its last query: its
    memory is given back, and the writer of a database file is not kept out.
    """

    def __init__(
        self, spec: DuckDBConnection, data_root: Path, bounds: _Bounds
    ) -> None:
        self._spec = spec
        self._root = data_root
        self._bounds = bounds
        self._lock = Lock()
        self._instance: _Instance | None = None
        #: Closes the instance; at most one at a time.
        self._timer: Timer | None = None

    def rows(self, query: str, parameters: Mapping[str, Any], cancel: Cancel) -> Rows:
        text, values = select(query, parameters, "duckdb", lambda _, n: f"${n}")
        watch = Watch(cancel, self._spec.timeout)
        with ExitStack() as held:
            with watch.translating(self._translate):
                instance = held.enter_context(self._borrowed())
                cursor = held.enter_context(instance.cursor())
                held.enter_context(watch.interrupting(cursor.interrupt))
                found = cursor.sql(_select(cursor, text), params=values)
                reader = found.to_arrow_reader(BATCH_ROWS)
            batches = watched(self._sparing(instance, reader), watch, self._translate)
            return Stream(reader.schema, batches, held.pop_all())
        raise AssertionError  # pragma: no cover - ExitStack swallows nothing

    def check(self) -> None:
        try:
            with self._borrowed() as instance, instance.cursor() as cursor:
                cursor.execute("SELECT 1")
                for view in self._spec.files:
                    cursor.execute(f"DESCRIBE {_quoted(view)}")
        except RunError:
            raise
        except Exception as error:
            raise self._translate(error) from error

    def close(self) -> None:
        with self._lock:
            timer = self._stop_timer()
            if self._instance:
                self._instance.close()
                self._instance = None
        # A thread that still knows the connection when Python ends would hold it.
        if timer:
            timer.join()

    @contextmanager
    def _borrowed(self) -> Iterator[_Instance]:
        instance = self._borrow()
        try:
            yield instance
        finally:
            self._give_back(instance)

    def _translate(self, error: Exception) -> RunError:
        told = _translate(error)
        if told.reason == "database_broken":  # its instance answers nothing any more
            with self._lock:
                old, self._instance = self._instance, None
                if old and not old.users:
                    old.close()
        return told

    def _sparing(
        self, instance: _Instance, batches: Iterable[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """The batches, in memory that does not grow with the database file."""
        read = 0
        for batch in batches:
            yield batch
            read += batch.get_total_buffer_size()
            if read >= _LOOKED_AT:
                read = 0
                with self._lock:
                    if instance.users == 1:
                        instance.forget(self._bounds.memory_limit)

    def _borrow(self) -> _Instance:
        files = _find(self._spec, self._root)
        with self._lock:
            old = self._instance
            if old is None or old.files != files:
                self._instance = _open(
                    files,
                    read_only=self._spec.read_only,
                    bounds=self._bounds,
                )
                if old and not old.users:
                    old.close()
            assert self._instance  # noqa: S101 for the type checker
            self._instance.users += 1
            self._instance.used = True
            return self._instance

    def _give_back(self, instance: _Instance) -> None:
        with self._lock:
            instance.users -= 1
            if instance.users:
                return
            # While Python ends, a timer would never start, and be waited for for ever.
            if instance is not self._instance or sys.is_finalizing():
                instance.close()
            elif self._timer is None:
                self._wait(instance)

    def _wait(self, instance: _Instance) -> None:
        """One thread for many queries: starting one for each would hold them up."""
        instance.used = False
        self._timer = Timer(_LINGER, self._let_go)
        self._timer.daemon = True
        self._timer.start()

    def _stop_timer(self) -> Timer | None:
        timer, self._timer = self._timer, None
        if timer:
            timer.cancel()
        return timer

    def _let_go(self) -> None:
        with self._lock:
            if self._timer is not current_thread():  # it was stopped too late
                return
            self._timer = None
            found = self._instance
            if found is None or found.users:
                return
            if found.used and not sys.is_finalizing():
                self._wait(found)
            else:
                found.close()
                self._instance = None


# --- Opening ------------------------------------------------------------------


def _find(spec: DuckDBConnection, root: Path) -> _Files:
    """Resolve the path and the globs of `files`: only what lies below the root."""
    database = below(root, spec.path) if spec.path else None
    views = {view: _matches(root, glob) for view, glob in spec.files.items()}
    paths = [*([database] if database else []), *(p for v in views.values() for p in v)]
    return _Files(
        database=database,
        views={view: tuple(map(str, paths)) for view, paths in views.items()},
        stamps=tuple(map(_stamp, paths)),
    )


def _matches(root: Path, glob: str) -> list[Path]:
    below(root, glob)
    found = sorted(below(root, str(p.relative_to(root))) for p in root.glob(glob))
    files = [path for path in found if path.is_file()]
    if not files:
        todo = (
            f"it is looked for in {root} (BOE_DATA_ROOT); it is tried again, in case "
            "it comes late"
        )
        raise Temporary("file_missing", f"no file matches {glob!r}", todo)
    odd = next((path for path in files if re.search(r"[*?\[]", str(path))), None)
    if odd:
        raise Permanent("bad_path", f"{odd.name!r} has *, ? or [ in its path")
    return files


def _stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        detail = f"the file {path.name!r} cannot be read: {error.strerror}"
        raise Temporary("file_missing", detail) from error
    return (str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns)


def _open(files: _Files, *, read_only: bool, bounds: _Bounds) -> _Instance:
    """A DuckDB instance that can reach nothing but `files`."""
    import duckdb

    if bounds.scratch is not None:
        bounds.scratch.mkdir(exist_ok=True)
    spill = tempfile.TemporaryDirectory(
        prefix="boe-duckdb-", dir=bounds.scratch, ignore_cleanup_errors=True
    )
    limits = {"memory_limit": bounds.memory_limit, "temp_directory": spill.name}
    connection = duckdb.connect(":memory:", config={**_CONFIG, **limits})
    try:
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        allowed = [path for paths in files.views.values() for path in paths]
        connection.execute(f"SET allowed_paths = {_list(allowed)}")
        for view, paths in files.views.items():
            connection.execute(_view(view, paths))
        if files.database:
            mode = " (READ_ONLY)" if read_only else ""
            name = _catalog(files.database)
            connection.execute(f"ATTACH {_text(str(files.database))} AS {name}{mode}")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET allowed_configs = ['memory_limit']")
        connection.execute("SET lock_configuration = true")
    except BaseException:
        connection.close()
        spill.cleanup()
        raise
    return _Instance(files=files, connection=connection, spill=spill)


def _view(view: str, paths: tuple[str, ...]) -> str:
    endings = {next((e for e in READERS if p.lower().endswith(e)), "") for p in paths}
    readers = {READERS.get(ending, "") for ending in endings}
    if len(readers) != 1 or "" in readers:
        detail = f"the files of {view!r} must all be csv, parquet or json by name"
        raise Permanent("bad_path", detail, f"they end with {', '.join(READERS)}")
    return f"CREATE VIEW {_quoted(view)} AS FROM {readers.pop()}({_list(paths)})"


def _catalog(database: Path) -> str:
    """What the database file is called in SQL: its stem, as DuckDB itself does it."""
    reserved = database.stem.lower() in ("memory", "system", "temp", "main")
    return _quoted("db" if reserved else database.stem)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _list(values: list[str] | tuple[str, ...]) -> str:
    return "[" + ", ".join(map(_text, values)) + "]"


# --- Running ------------------------------------------------------------------


def _select(cursor: duckdb.DuckDBPyConnection, text: str) -> duckdb.Statement:
    """The one statement of a query: DuckDB's own parser has the last word on what it is."""
    import duckdb

    statements = cursor.extract_statements(text)
    types = [statement.type for statement in statements]
    if types == [duckdb.StatementType.MULTI]:
        todo = "name its values: pivot … on column in ('a', 'b')"
        raise Permanent("bad_query", "a pivot without its values writes", todo)
    if types != [duckdb.StatementType.SELECT]:
        raise Permanent("bad_query", "a report's query is one SELECT")
    return statements[0]


def _translate(error: Exception) -> RunError:
    """DuckDB's words become ours, by the first of them: a stream has lost its class."""
    detail = str(error)
    kind = detail.partition(":")[0]
    if kind == "IO Error" and _BUSY.search(detail):
        return Temporary("database_busy", detail)
    if kind in _TEMPORARY and not _BROKEN.search(detail):
        return Temporary(_TEMPORARY[kind], detail)
    return Permanent("query_failed", detail)
