"""The ledger in one SQLite file: several processes may open it (docs/life-of-a-run.md)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, local
from typing import TypeVar

import uuid_utils
from sqlalchemy import Engine

from boe_reconciler.core.errors import Temporary
from boe_reconciler.ledgers._ledger import StoredLedger
from boe_reconciler.ledgers._store import Store
from boe_reconciler.ledgers.sqlite.opening import (
    DATABASE_ERRORS,
    INTEGRITY_ERRORS,
    open_engine,
    said,
)
from boe_reconciler.ledgers.sqlite.schedules import SpecCache
from boe_reconciler.ledgers.sqlite.store import SqliteStore
from boe_reconciler.ledgers.sqlite.sweeping import drop_unused_specs
from boe_reconciler.ledgers.sqlite.writer import Writer

T = TypeVar("T")
#: Seconds between two looks at whether another process has written.
_LOOK = 0.05


class SqliteLedger(StoredLedger):
    """Each verb is durable once it returns."""


def create(path: Path) -> SqliteLedger:
    """The ledger in this file, made or upgraded as needed. InputError if that fails."""
    backend = _Sqlite(path, open_engine(path))
    return SqliteLedger(backend, lambda: uuid_utils.uuid7().hex)


class _Sqlite:
    def __init__(self, path: Path, engine: Engine) -> None:
        self._path = path
        self._engine = engine
        self._specs = SpecCache()
        self._writer = Writer(engine)
        self._watches = _Watches(path)

    def write(self, verb: Callable[[Store], T]) -> T:
        with _translated(self._path):
            return self._writer.do(
                lambda connection: verb(SqliteStore(connection, self._specs))
            )

    def read(self, verb: Callable[[Store], T]) -> T:
        """All of it from one snapshot."""
        with (
            _translated(self._path),
            self._engine.connect() as connection,
            connection.begin(),
        ):
            return verb(SqliteStore(connection, self._specs))

    def drop_unused_specs(self) -> int:
        with _translated(self._path):
            return drop_unused_specs(self._path)

    def wait_for_change(self, timeout: float) -> bool:
        return self._watches.wait(timeout)

    def close(self) -> None:
        self._writer.close()
        self._watches.close()
        self._engine.dispose()


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """The driver's errors in our words."""
    try:
        yield
    except INTEGRITY_ERRORS as error:
        raise ValueError(f"the ledger refuses it: {said(error)}") from error
    except DATABASE_ERRORS as error:
        raise Temporary(
            "ledger_unavailable",
            f"The ledger {path} cannot be used: {said(error)}.",
            "Look at its folder's rights and space, and at `boe doctor`.",
        ) from error


class _Watches:
    """SQLite counts the commits of others for each connection: one for each thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mine = local()
        self._open: list[sqlite3.Connection] = []
        self._lock = Lock()
        self._closed = Event()

    def wait(self, timeout: float) -> bool:
        """The first time a thread asks, something may have been written before."""
        looks = max(round(timeout / _LOOK), 1)
        for _ in range(looks):
            if self._changed():
                return True
            if self._closed.wait(timeout / looks):
                return False
        return self._changed()

    def _changed(self) -> bool:
        if not hasattr(self._mine, "connection"):
            self._mine.connection = self._connect()
            self._mine.version = None
        before = self._mine.version
        try:
            query = self._mine.connection.execute("PRAGMA data_version")
        except sqlite3.OperationalError:
            # Locked for a moment: the next look tells.
            return False
        (version,) = query.fetchone()
        self._mine.version = version
        return bool(version != before)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False)
        with self._lock:
            self._open.append(connection)
        return connection

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            for connection in self._open:
                connection.close()
