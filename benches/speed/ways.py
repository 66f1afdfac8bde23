"""The ways to a file that are compared: each runs in a process of its own.

`python -m benches.speed.ways WAY DATABASE FILE` reads all rows of a DuckDB file and writes
FILE. With `--held` all rows are in memory before writing begins, and the seconds that it
prints are those of writing alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, BinaryIO
from zoneinfo import ZoneInfo

from benches.speed.rows import QUERY

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from boe_reconciler.core.ports import Rows, Source

#: Writes a file of rows that were opened before.
Write = Callable[[Path], object]
#: Opens the rows of a database, all of them in memory or as a stream.
Way = Callable[[Path, bool], Write]
OCCURRENCE = datetime(2026, 11, 24, 5, 30, tzinfo=UTC)
#: What a spreadsheet of much of Europe wants.
DIALECT = {"decimal": ",", "line_end": "crlf"}
#: Rows in a batch of pyarrow's own ways.
BATCH = 131_072

# --- BOE ------------------------------------------------------------------------------


def boe(name: str, *, gzip: bool = False, **dialect: Any) -> Way:
    """The source and the format that a run takes, and what packs its file."""

    def way(database: Path, held: bool) -> Write:
        from boe_reconciler.core.ports import Never

        source = _boe_source(database)
        rows = source.rows(QUERY, {}, Never())
        batches = iter(list(rows)) if held else iter(rows)

        def write(file: Path) -> None:
            with closing(source), closing(rows), _packed(file, gzip) as target:
                _boe_write(name, (rows, batches), target, dialect)

        return write

    return way


@contextmanager
def opened(database: Path) -> Iterator[Source]:
    with closing(_boe_source(database)) as source:
        yield source


def export(source: Source, name: str, file: Path, query: str = QUERY) -> None:
    """From the query to the file."""
    from boe_reconciler.core.ports import Never

    rows = source.rows(query, {}, Never())
    with closing(rows), file.open("wb") as target:
        _boe_write(name, (rows, iter(rows)), target, {})


def _boe_source(database: Path) -> Source:
    from boe_reconciler.core.resources.connection import DuckDBConnection
    from boe_reconciler.sources import duckdb
    from boe_reconciler.transforms.arrow import keep_pandas_out

    keep_pandas_out()
    spec = DuckDBConnection.model_validate({"type": "duckdb", "path": database.name})
    return duckdb.create(spec, secrets=None, data_root=database.parent)  # type: ignore[arg-type]  # asks for no secret


@contextmanager
def _packed(file: Path, gzip: bool) -> Iterator[BinaryIO]:
    from boe_reconciler.engine.packing import gzipped

    with (
        file.open("wb") as raw,
        gzipped(raw, OCCURRENCE) if gzip else nullcontext(raw) as target,
    ):
        yield target


def _boe_write(
    name: str,
    read: tuple[Rows, Iterator[pa.RecordBatch]],
    target: BinaryIO,
    dialect: dict[str, Any],
) -> None:
    from importlib import import_module

    from boe_reconciler.core.ports import FormatOptions, Table
    from boe_reconciler.core.resources.schedule import Dialect

    rows, batches = read
    writer = import_module(f"boe_reconciler.formats.{name}").create()
    table = Table(name="Rows", schema=rows.schema, batches=batches)
    options = FormatOptions(
        title="Rows",
        timezone=ZoneInfo("Europe/Berlin"),
        occurrence=OCCURRENCE,
        dialect=Dialect(**dialect),
    )
    writer.write([table], target, options)


# --- pandas ---------------------------------------------------------------------------


def pandas(write: Callable[[pd.DataFrame, Path], object]) -> Way:
    """A frame of all rows, as pandas users read it."""

    def way(database: Path, held: bool) -> Write:
        del held  # it always is
        frame = _frame(database)
        return lambda file: write(frame, file)

    return way


def _frame(database: Path) -> pd.DataFrame:
    import duckdb

    with duckdb.connect(database, read_only=True) as connection:
        return connection.sql(QUERY).df()


def _xlsxturbo(frame: pd.DataFrame, file: Path) -> None:
    import xlsxturbo

    xlsxturbo.df_to_xlsx(
        frame, str(file), freeze_panes=True, autofilter=True, compression_level=1
    )


def _rustpy(frame: pd.DataFrame, file: Path) -> None:
    from rustpy_xlsxwriter import write_worksheet

    write_worksheet(frame, str(file), freeze_row=1)


# --- pyarrow --------------------------------------------------------------------------


def arrow(write: Callable[[pa.RecordBatchReader, Path], object]) -> Way:
    """A stream of batches into pyarrow's own writer."""

    def way(database: Path, held: bool) -> Write:
        import duckdb
        import pyarrow as pa

        connection = duckdb.connect(database, read_only=True)
        reader = connection.sql(QUERY).to_arrow_reader(BATCH)
        if held:
            reader = pa.RecordBatchReader.from_batches(reader.schema, list(reader))

        def written(file: Path) -> None:
            with closing(connection):
                write(reader, file)

        return written

    return way


def _arrow_csv(reader: pa.RecordBatchReader, file: Path | BinaryIO) -> None:
    from pyarrow import csv

    with csv.CSVWriter(file, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


def _arrow_csv_gz(reader: pa.RecordBatchReader, file: Path) -> None:
    from isal import igzip

    with igzip.open(file, "wb", compresslevel=1) as target:
        _arrow_csv(reader, target)


def _arrow_parquet(reader: pa.RecordBatchReader, file: Path) -> None:
    from pyarrow import parquet

    with parquet.ParquetWriter(file, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)


# --- All of them ----------------------------------------------------------------------

WAYS: dict[str, Way] = {
    "boe-xlsx": boe("xlsx"),
    "boe-csv": boe("csv"),
    "boe-csv-dialect": boe("csv", **DIALECT),
    "boe-csv-gz": boe("csv", gzip=True),
    "boe-parquet": boe("parquet"),
    "pandas-xlsx": pandas(lambda frame, file: frame.to_excel(file, index=False)),
    "rustpy-xlsx": pandas(_rustpy),
    "xlsxturbo-xlsx": pandas(_xlsxturbo),
    "pandas-csv": pandas(lambda frame, file: frame.to_csv(file, index=False)),
    "pandas-csv-dialect": pandas(
        lambda frame, file: frame.to_csv(
            file, index=False, sep=";", decimal=",", lineterminator="\r\n"
        )
    ),
    "pandas-csv-gz": pandas(
        lambda frame, file: frame.to_csv(file, index=False, compression="gzip")
    ),
    "pandas-parquet": pandas(
        lambda frame, file: frame.to_parquet(file, index=False, compression="zstd")
    ),
    "pyarrow-csv": arrow(_arrow_csv),
    "pyarrow-csv-gz": arrow(_arrow_csv_gz),
    "pyarrow-parquet": arrow(_arrow_parquet),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("database", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--held", action="store_true")
    given = parser.parse_args()
    if given.held:  # once before: what is loaded and started only once is not writing
        WAYS[given.way](given.database, True)(given.file)
    write = WAYS[given.way](given.database, given.held)
    start = perf_counter()
    write(given.file)
    sys.stdout.write(f"{perf_counter() - start:.4f}\n")


if __name__ == "__main__":
    main()
