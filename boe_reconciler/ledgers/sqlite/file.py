"""The ledger as a file: looked at, and copied, without opening it as a ledger.

So a file of any version can be, and a damaged one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from boe_reconciler.core.checks import LedgerFile
from boe_reconciler.core.errors import InputError
from boe_reconciler.ledgers.sqlite.opening import PATIENCE
from boe_reconciler.ledgers.sqlite.tables import NEWEST


def look(path: Path, *, deep: bool) -> LedgerFile:
    """InputError if it is no database. `deep` also looks at indexes and references."""
    with _reading(path) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        return LedgerFile(
            version=_version(connection),
            newest=NEWEST,
            damage=tuple(_damage(connection, deep=deep)),
            bytes=pages * size,
            free=free * size,
            wal=_size(path.with_name(f"{path.name}-wal")),
        )


def copy(path: Path, target: Path) -> None:
    """A consistent, compact copy, whatever is written meanwhile. InputError if not."""
    with _reading(path) as connection:
        connection.execute("VACUUM INTO ?", [str(target)])


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(
            sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        ) as connection:
            yield connection
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"The ledger {path} cannot be read: {error}.",
            "Put a backup in its place: `boe restore`.",
        ) from error


def _version(connection: sqlite3.Connection) -> str | None:
    tables = "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
    if connection.execute(tables).fetchone() is None:
        return None
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(found[0]) if found else None


def _damage(connection: sqlite3.Connection, *, deep: bool) -> Iterator[str]:
    pragma = "integrity_check" if deep else "quick_check"
    for (line,) in connection.execute(f"PRAGMA {pragma}(10)"):
        if line != "ok":
            yield line
    if deep:
        for table, *_, parent, _ in connection.execute("PRAGMA foreign_key_check"):
            yield f"a row of {table} names a row of {parent} that is not there"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
