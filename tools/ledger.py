"""Write what a new ledger is made of: the tables as the migrations leave them.

So that a first start neither loads Alembic nor makes each table as often as it changed.
"""

from __future__ import annotations

import re
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from boe_reconciler.ledgers.sqlite import opening

_HEAD = "-- Made by `make schema` from migrations/versions.\n"
#: A secret of its own for each ledger.
_KEY = re.compile(r"(?<=INSERT INTO \"return_key\" VALUES\().*?(?=\);)")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        engine = opening.connected(path)
        opening.migrate(engine, path)
        engine.dispose()
        with closing(sqlite3.connect(path)) as connection:
            statements = [*connection.iterdump()][1:-1]  # without BEGIN and COMMIT
    written = _KEY.sub("hex(randomblob(32))", "\n".join(statements))
    opening.SCHEMA.write_text(f"{_HEAD}{written}\n")


if __name__ == "__main__":
    main()
