"""Ledgers that are made by the thousand: the migrations run once in a process.

What they gave is written down as SQL, and is what each further new file gets, in the
same transaction and under the same lock. Their own tests (tests/ledgers) do without.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine, create_engine, event

from boe_reconciler.ledgers.sqlite import opening

#: The migrations of a ledger, as `opening` calls them.
migrate = opening._migrate
#: What makes all tables anew.
_statements: list[str] = []


def migrate_once(engine: Engine, path: Path) -> None:
    """In the place of `opening._migrate`."""
    if not _statements:
        _statements.extend(_made())
    with opening.writing(engine) as connection, connection.begin():
        if opening._version(connection) is None:
            for statement in _statements:
                connection.exec_driver_sql(statement)
            return
    migrate(engine, path)


def _made() -> list[str]:
    """The statements of a file that went through every migration."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "ledger.sqlite")
        engine = create_engine(f"sqlite:///{path}")
        event.listen(engine, "connect", opening._set_up)
        event.listen(engine, "begin", opening._begin)
        migrate(engine, path)
        engine.dispose()
        with closing(sqlite3.connect(path)) as connection:
            return [*connection.iterdump()][1:-1]  # without BEGIN and COMMIT
