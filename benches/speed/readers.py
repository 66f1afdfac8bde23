"""The ways to rows in a database that are compared: each runs in a process of its own.

`python -m benches.speed.readers WAY PLACE` reads all rows of the table: PLACE is the folder of
PostgreSQL's socket, or a file of SQLite. With `--file` BOE writes them there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches.speed.rows import QUERY

if TYPE_CHECKING:
    import pyarrow as pa

    from boe_reconciler.core.ports import Source

#: Reads the answer to a query to its end; gives the number of rows.
Read = Callable[[str, str], int]
_FIVE_TIMES = "SELECT rows.* FROM rows, generate_series(1, 5)"
#: The table in PostgreSQL, as it is in DuckDB.
_TABLE = """
    CREATE TABLE rows (
        id bigint, number text, customer text, region text, quantity integer,
        price numeric(10, 2), total numeric(18, 2), discount double precision,
        paid boolean, ordered date, shipped_at timestamp, note text
    )
"""
#: The rows as SQLite can hold them: it has no decimals and no dates.
_PLAIN = """
    SELECT * REPLACE (
        price::DOUBLE AS price, total::DOUBLE AS total, paid::INTEGER AS paid,
        ordered::VARCHAR AS ordered, shipped_at::VARCHAR AS shipped_at
    ) FROM rows
"""

# --- BOE ------------------------------------------------------------------------------


@contextmanager
def _boe(place: str) -> Iterator[Source]:
    from boe_reconciler.core.resources.connection import (
        PostgresConnection,
        SQLiteConnection,
    )
    from boe_reconciler.sources import postgres, sqlite
    from boe_reconciler.transforms.arrow import keep_pandas_out

    keep_pandas_out()
    path = Path(place)
    fields: dict[str, Any]
    if path.is_dir():
        fields = {"host": place, "database": "postgres", "user": "postgres"}
        spec = PostgresConnection.model_validate({"type": "postgres", **fields})
        source: Source = postgres.create(spec, secrets=None, data_root=path)  # type: ignore[arg-type]  # asks for no secret
    else:
        fields = {"type": "sqlite", "path": path.name}
        plain = SQLiteConnection.model_validate(fields)
        source = sqlite.create(plain, secrets=None, data_root=path.parent)  # type: ignore[arg-type]  # asks for no secret
    with closing(source):
        yield source


def _boe_reads(place: str, query: str) -> int:
    from boe_reconciler.core.ports import Never

    with _boe(place) as source, closing(source.rows(query, {}, Never())) as rows:
        return sum(batch.num_rows for batch in rows)


def _boe_writes(place: str, file: Path) -> None:
    from benches.speed.ways import export

    with _boe(place) as source:
        export(source, file.suffix.removeprefix("."), file)


# --- Others ---------------------------------------------------------------------------


def _adbc(driver: str, options: dict[str, str], query: str) -> int:
    """Its low-level API: the one that looks like other drivers imports pandas."""
    import pyarrow as pa
    from adbc_driver_manager import AdbcConnection, AdbcDatabase, AdbcStatement

    with (
        closing(AdbcDatabase(driver=driver, **options)) as database,
        closing(AdbcConnection(database)) as connection,
        closing(AdbcStatement(connection)) as statement,
    ):
        statement.set_sql_query(query)
        stream, _ = statement.execute_query()
        batches: Iterator[pa.RecordBatch] = pa.RecordBatchReader._import_from_c(
            stream.address
        )
        return sum(batch.num_rows for batch in batches)


def _adbc_postgres(place: str, query: str) -> int:
    import adbc_driver_postgresql

    uri = f"postgresql:///postgres?host={place}&user=postgres"
    return _adbc(adbc_driver_postgresql._driver_path(), {"uri": uri}, query)


def _adbc_sqlite(place: str, query: str) -> int:
    import adbc_driver_sqlite

    return _adbc(adbc_driver_sqlite._driver_path(), {"uri": place}, query)


def _pandas_postgres(place: str, query: str) -> int:
    import pandas as pd
    import sqlalchemy

    url = f"postgresql+psycopg://postgres@/postgres?host={place}"
    with sqlalchemy.create_engine(url).connect() as connection:
        return len(pd.read_sql(sqlalchemy.text(query), connection))


def _pandas_sqlite(place: str, query: str) -> int:
    import sqlite3

    import pandas as pd

    with closing(sqlite3.connect(place)) as connection:
        return len(pd.read_sql(query, connection))


def _copy(place: str, query: str) -> int:
    """The server's bytes and nothing made of them: no way to rows is faster."""
    del query
    import psycopg

    with (
        psycopg.connect(f"host={place} user=postgres dbname=postgres") as connection,
        connection.cursor() as cursor,
        cursor.copy("COPY rows TO STDOUT (FORMAT binary)") as copied,
    ):
        return sum(len(some) for some in copied)


WAYS: dict[str, Read] = {
    "boe": _boe_reads,
    "boe-five": lambda place, _: _boe_reads(place, _FIVE_TIMES),
    "adbc-postgres": _adbc_postgres,
    "adbc-sqlite": _adbc_sqlite,
    "pandas-postgres": _pandas_postgres,
    "pandas-sqlite": _pandas_sqlite,
    "copy": _copy,
}

# --- Making the tables ----------------------------------------------------------------


def serve(database: str, ready: Path) -> None:
    """A PostgreSQL with the rows until standard input ends; why not, where there is none."""
    from _pytest.outcomes import Skipped

    from tests.servers import postgresql

    try:
        with postgresql() as place:
            _fill(place, database)
            _say(ready, place)
            sys.stdin.read()
    except Skipped as reason:
        _say(ready, f"no: {reason}")


def _say(ready: Path, text: str) -> None:
    """At once, for who waits until the file is there."""
    part = ready.with_suffix(".part")
    part.write_text(text)
    part.rename(ready)


def _fill(place: str, database: str) -> None:
    import duckdb
    import psycopg

    text = Path(database).with_suffix(".copy.csv")
    with duckdb.connect(database, read_only=True) as known:
        known.execute("COPY rows TO ? (FORMAT csv, HEADER false)", [str(text)])
    with psycopg.connect(f"host={place} user=postgres dbname=postgres") as connection:
        # A scan begins at the first row, although somebody else read a part before.
        connection.execute("ALTER ROLE postgres SET synchronize_seqscans = off")
        connection.execute(_TABLE)
        copying = connection.cursor().copy("COPY rows FROM STDIN (FORMAT csv)")
        with text.open("rb") as stream, copying as target:
            while some := stream.read(1 << 20):
                target.write(some)
        connection.execute("ANALYZE rows")
    text.unlink()


def plain(database: str, place: Path) -> None:
    """The rows as SQLite holds them, in a file of it, and in one of DuckDB beside it."""
    import sqlite3

    import duckdb

    marks = ", ".join("?" * 12)
    with (
        duckdb.connect(place.with_suffix(".duckdb")) as same,
        closing(sqlite3.connect(place)) as filled,
    ):
        same.execute(f"ATTACH '{database}' AS old (READ_ONLY)")
        same.execute(f"CREATE TABLE rows AS {_PLAIN.replace('rows', 'old.rows')}")
        found = same.execute(QUERY)
        columns = ", ".join(column[0] for column in found.description or ())
        filled.execute(f"CREATE TABLE rows ({columns})")
        while some := found.fetchmany(10_000):
            filled.executemany(f"INSERT INTO rows VALUES ({marks})", some)  # noqa: S608 nobody's words
        filled.commit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=[*WAYS, "serve", "plain"])
    parser.add_argument("place")
    parser.add_argument("--file", type=Path)
    given = parser.parse_args()
    if given.way == "serve":
        serve(given.place, given.file)
    elif given.way == "plain":
        plain(given.place, given.file)
    elif given.file:
        _boe_writes(given.place, given.file)
    else:
        sys.stdout.write(f"{WAYS[given.way](given.place, QUERY)}\n")


if __name__ == "__main__":
    main()
