"""The ledger in one SQLite file: several processes may open it (docs/life-of-a-run.md)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Lock, local
from typing import TypeVar

import uuid_utils
from sqlalchemy import Connection, Engine

from boe_reconciler.core.errors import Temporary
from boe_reconciler.ledgers._ledger import StoredLedger
from boe_reconciler.ledgers._store import Store
from boe_reconciler.ledgers.sqlite.bulk import driver
from boe_reconciler.ledgers.sqlite.opening import (
    DATABASE_ERRORS,
    INTEGRITY_ERRORS,
    open_engine,
    said,
    unheard,
)
from boe_reconciler.ledgers.sqlite.schedules import SpecCache
from boe_reconciler.ledgers.sqlite.store import SqliteStore
from boe_reconciler.ledgers.sqlite.sweeping import drop_unused_specs
from boe_reconciler.ledgers.sqlite.writer import Writer

T = TypeVar("T")
#: Connections that read, kept for their next use: each has a cache of its own.
_MOST_IDLE = 5
#: Seconds between two looks at whether another process has written, and between two once
#: nothing was written for so long: twenty a second are a third of what an idle process does.
_LOOK, _QUIET_LOOK, _QUIET_AFTER = 0.05, 0.2, 5.0


class SqliteLedger(StoredLedger):
    """Each verb is durable once it returns."""


def create(path: Path, upgrading: Callable[[str], None] = unheard) -> SqliteLedger:
    """The ledger in this file, made or upgraded as needed. InputError if that fails.

    `upgrading` hears of which version it was, before that takes its while.
    """
    backend = _Sqlite(path, open_engine(path, upgrading))
    return SqliteLedger(backend, lambda: uuid_utils.uuid7().hex)


class _Sqlite:
    def __init__(self, path: Path, engine: Engine) -> None:
        self._path = path
        self._engine = engine
        self._specs = SpecCache()
        self._writer = Writer(engine)
        self._idle: list[Connection] = []
        self._watches = _Watches(path)

    def write(self, verb: Callable[[Store], T]) -> T:
        with _translated(self._path):
            return self._writer.do(
                lambda connection: verb(SqliteStore(connection, self._specs))
            )

    def read(self, verb: Callable[[Store], T]) -> T:
        """All of it from one snapshot."""
        with _translated(self._path), self._reading() as connection:
            return verb(SqliteStore(connection, self._specs))

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """One that waits for its next use, as the writer's does."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._engine.connect()
        with ExitStack() as broken:
            broken.callback(connection.close)
            raw = driver(connection)
            raw.execute("BEGIN")
            yield connection
            raw.commit()
            if len(self._idle) < _MOST_IDLE:
                broken.pop_all()
                self._idle.append(connection)

    def drop_unused_specs(self) -> int:
        with _translated(self._path):
            return drop_unused_specs(self._path)

    def wait_for_change(self, timeout: float) -> bool:
        return self._watches.wait(timeout)

    def close(self) -> None:
        self._writer.close()
        self._watches.close()
        while self._idle:
            self._idle.pop().close()
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


class _Mine(local):
    """What a thread knows of the file."""

    connection: sqlite3.Connection | None = None
    version: int | None = None
    #: For how many seconds it has waited in vain.
    quiet: float = 0.0


class _Watches:
    """SQLite counts the commits of others for each connection: one for each thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mine = _Mine()
        self._open: list[sqlite3.Connection] = []
        self._lock = Lock()
        self._closed = Event()

    def wait(self, timeout: float) -> bool:
        """The first time a thread asks, something may have been written before."""
        pause = _LOOK if self._mine.quiet < _QUIET_AFTER else _QUIET_LOOK
        looks = max(round(timeout / pause), 1)
        for _ in range(looks):
            if self._changed():
                return True
            if self._closed.wait(timeout / looks):
                return False
            self._mine.quiet += timeout / looks
        return self._changed()

    def _changed(self) -> bool:
        mine = self._mine
        if mine.connection is None:
            mine.connection = self._connect()
        before = mine.version
        try:
            query = mine.connection.execute("PRAGMA data_version")
        except sqlite3.OperationalError:
            # Locked for a moment: the next look tells.
            return False
        (mine.version,) = query.fetchone()
        if mine.version == before:
            return False
        mine.quiet = 0.0
        return True

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
