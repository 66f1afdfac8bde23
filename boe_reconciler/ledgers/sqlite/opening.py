"""Open the file, and bring its tables up to date first."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, IntegrityError

from boe_reconciler.core.errors import InputError
from boe_reconciler.ledgers.sqlite.bulk import driver
from boe_reconciler.ledgers.sqlite.tables import NEWEST

T = TypeVar("T")
#: Of a transaction that writes: it takes its lock at once.
BEGIN = "BEGIN IMMEDIATE"
#: Seconds to wait for another process's transaction.
PATIENCE = 30.0
#: How often PATIENCE is had for an upgrade by another process.
_UPGRADING = 40
#: Seconds between two tries where SQLite does not wait by itself.
_AGAIN = 0.01
#: As SQLAlchemy raises them, and as the driver does.
INTEGRITY_ERRORS = (IntegrityError, sqlite3.IntegrityError)
DATABASE_ERRORS = (DatabaseError, sqlite3.DatabaseError)
MIGRATIONS = Path(__file__).parent / "migrations"
#: What they leave: see tools/ledger.py.
SCHEMA = Path(__file__).parent / "schema.sql"


def unheard(_version: str) -> None:
    """Where nobody waits for an upgrade."""


def open_engine(path: Path, upgrading: Callable[[str], None] = unheard) -> Engine:
    """The tables at `path`, made or upgraded as needed.

    InputError where that cannot be done, such as a ledger of a newer BOE.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _make_private(path)
    engine = connected(path)
    try:
        _use_wal(path)
        with engine.connect() as connection:
            version = _version(connection)
        if version is None:
            version = _make(engine)
        if version != NEWEST:
            migrate(engine, path, upgrading)
    except DATABASE_ERRORS as error:
        engine.dispose()
        raise InputError(
            f"The ledger {path} cannot be opened: {said(error)}.",
            "Look at its folder's rights and space; a damaged file can be replaced by "
            "a backup.",
        ) from error
    except InputError:
        engine.dispose()
        raise
    return engine


def connected(path: Path) -> Engine:
    """Whose transactions begin as SQLite wants it."""
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": PATIENCE},
        max_overflow=-1,
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _make_private(path: Path) -> None:
    """For its owner alone, in whatever folder: SQLite gives its other files the same."""
    if not path.exists():
        with suppress(OSError):  # which SQLite tells better
            path.touch(mode=0o600)


def _set_up(connection: sqlite3.Connection, record: object) -> None:
    # The driver's own transactions begin too late for BEGIN IMMEDIATE.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    raw = driver(connection)
    if not raw.in_transaction:  # the writer's own
        raw.execute(connection.get_execution_options().get("begin", "BEGIN"))


def writing(engine: Engine) -> Connection:
    """A connection whose transactions hold the write lock from their beginning."""
    # One that read first could not wait for it.
    return engine.connect().execution_options(begin=BEGIN)


def alone(
    connection: sqlite3.Connection, act: Callable[[], T]
) -> tuple[T | None, Exception | None]:
    """What it gives, or what it raised: in its savepoint it fails alone."""
    connection.execute("SAVEPOINT alone")
    found: T | None = None
    failure: Exception | None = None
    try:
        found = act()
    except INTEGRITY_ERRORS as error:
        failure = error
    except DATABASE_ERRORS:
        # A full disk or a lock may have undone the whole transaction.
        raise
    except Exception as error:
        failure = error
    if failure is not None:
        connection.execute("ROLLBACK TO alone")
    connection.execute("RELEASE alone")
    return found, failure


def said(error: Exception) -> str:
    """The driver's own words."""
    return str(getattr(error, "orig", error))


def _use_wal(path: Path) -> None:
    tries = int(PATIENCE / _AGAIN)
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
        while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                # SQLite does not wait here for others that open it at the same moment.
                tries -= 1
                if not (tries and _is_busy(error)):
                    raise
                Event().wait(_AGAIN)


def _version(connection: Connection) -> str | None:
    found = connection.exec_driver_sql(
        "SELECT name FROM sqlite_master WHERE name = 'alembic_version'"
    )
    if found.first() is None:
        return None
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return row[0] if row else None


def _make(engine: Engine) -> str:
    """All tables as the migrations leave them, without loading what runs those.

    Under the write lock, so that of several processes one does it; the version then.
    """
    with writing(engine) as connection, connection.begin():
        version = _version(connection)
        if version is None:
            for statement in _statements(SCHEMA.read_text()):
                driver(connection).execute(statement)
        return version or NEWEST


def _statements(script: str) -> Iterator[str]:
    """A trigger has several lines that end like a statement."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def migrate(
    engine: Engine, path: Path, upgrading: Callable[[str], None] = unheard
) -> None:
    """Under the write lock, so that of several processes one does it.

    The others wait: an upgrade of millions of rows takes minutes.
    """
    for left in reversed(range(_UPGRADING)):
        try:
            _migrate(engine, path, upgrading)
        except DATABASE_ERRORS as error:
            if not (left and _is_busy(error)):
                raise
        else:
            break
    # All that it wrote stands in the log, which would keep its size.
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _migrate(engine: Engine, path: Path, upgrading: Callable[[str], None]) -> None:
    # A second to import, and needed once a version.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {
        one.revision for one in ScriptDirectory.from_config(config).walk_revisions()
    }
    with writing(engine) as connection, connection.begin():
        version = _version(connection)
        if version == NEWEST:
            return
        if version is not None:
            _refuse_unknown(path, version, known)
            upgrading(version)
            _back_up(path, version)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _is_busy(error: Exception) -> bool:
    """Whether another process has the lock; as `said`, of the driver's own error."""
    own = getattr(error, "orig", error)
    return getattr(own, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def _refuse_unknown(path: Path, version: str, known: set[Any]) -> None:
    if version not in known:
        raise InputError(
            f"The ledger {path} was written by a newer BOE (its version is {version}, "
            f"this one knows {NEWEST}).",
            "Install that version again, or give another folder with --state.",
        )


def _back_up(path: Path, version: str) -> None:
    """The file as it was, beside it."""
    copy = path.with_name(f"{path.name}.version-{version}")
    _make_private(copy)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as to:
        source.backup(to)
