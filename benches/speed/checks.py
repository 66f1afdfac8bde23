"""Is a file equal to its rows, cell for cell? Each file is read by two other programs.

`python -m benches.speed.checks DATABASE FILE` compares all cells. `--every N` lets the
slow reader of workbooks see each N-th row only; the quick one sees all. It ends with the
first difference that it finds.

A control character is `_xHHHH_` in a workbook, which openpyxl shows as it stands.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from itertools import islice, zip_longest
from pathlib import Path
from typing import IO, Any

import duckdb

from benches.speed.rows import QUERY

Row = tuple[Any, ...]
Rows = Iterator[Row]
#: Makes of a source's value what the reader should show.
Shown = Callable[[Any], Any]
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_BEYOND = re.compile("[\ufffe\uffff]")


def source(database: Path, every: int = 1) -> Rows:
    """What the database holds, as Python's values."""
    with duckdb.connect(database, read_only=True) as connection:
        connection.execute(QUERY)
        while some := connection.fetchmany(10_000):
            yield from some if every == 1 else (r for r in some if r[0] % every == 0)


def compare(wanted: Rows, found: Rows, shown: Shown, reader: str) -> int:
    """The number of equal cells. ValueError at the first other one."""
    cells = 0
    for number, (want, have) in enumerate(zip_longest(wanted, found)):
        expected = None if want is None else tuple(map(shown, want))
        if expected != have:
            raise ValueError(f"{reader}, row {number}: {expected} is {have}")
        cells += len(have)
    return cells


# --- Workbooks ------------------------------------------------------------------------


def calamine(file: Path) -> Rows:
    from python_calamine import CalamineWorkbook

    book = CalamineWorkbook.from_path(file)
    for name in book.sheet_names:
        for row in islice(book.get_sheet_by_name(name).iter_rows(), 1, None):
            yield tuple(None if cell == "" else cell for cell in row)


def _in_calamine(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return (_coded(_BEYOND, value) or None) if isinstance(value, str) else value


def openpyxl(file: Path) -> Rows:
    from openpyxl import load_workbook

    with closing(load_workbook(file, read_only=True)) as book:
        for sheet in book.worksheets:
            yield from islice(sheet.iter_rows(values_only=True), 1, None)


def _in_openpyxl(value: Any) -> Any:
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 a cell has no zone
    if isinstance(value, Decimal):
        return float(value)
    return _coded(_CONTROLS, value) if isinstance(value, str) else value


def _coded(characters: re.Pattern[str], text: str) -> str:
    return characters.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def thinned(file: Path, copy: Path, every: int) -> Path:
    """A workbook of each N-th row: cells name no rows, so that rows can be left out."""
    number = 0
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            if not name.startswith("xl/worksheets/"):
                new.writestr(name, old.read(name))
                continue
            with old.open(name) as whole, new.open(name, "w") as part:
                number = _thin(whole, part, every, number)
    return copy


def _thin(whole: IO[bytes], part: IO[bytes], every: int, number: int) -> int:
    """`number` is that of the first row; that of the next sheet's first row comes back."""
    rows = _split(whole, b"</row>")
    part.write(next(rows))  # what stands before, and the titles
    for row in rows:
        if number % every == 0 or not row.startswith(b"<row"):
            part.write(row)
        number += row.startswith(b"<row")
    return number


def _split(stream: IO[bytes], end: bytes) -> Iterator[bytes]:
    left = b""
    while piece := stream.read(1 << 20):
        *whole, left = (left + piece).split(end)
        yield from (each + end for each in whole)
    yield left


def check_workbook(database: Path, file: Path, every: int) -> dict[str, int]:
    found = {
        "calamine": compare(source(database), calamine(file), _in_calamine, "calamine")
    }
    with tempfile.TemporaryDirectory() as folder:
        some = thinned(file, Path(folder) / "some.xlsx", every) if every > 1 else file
        found["openpyxl"] = compare(
            source(database, every), openpyxl(some), _in_openpyxl, "openpyxl"
        )
    return found


# --- Text -----------------------------------------------------------------------------


def check_text(database: Path, file: Path, every: int) -> dict[str, int]:
    """Python's own reader and DuckDB's. Values are text that reads back as the value."""
    del every  # both are quick
    comma = "dialect" in file.name
    return {
        "Python's csv": compare(
            _empty_is_null(source(database)),
            _valued(source(database), _by_python(file, comma), comma),
            lambda value: value,
            "Python's csv",
        ),
        "DuckDB": compare(
            source(database),
            _valued(source(database), _by_duckdb(file, comma), comma),
            lambda value: value,
            "DuckDB",
        ),
    }


def _empty_is_null(rows: Rows) -> Rows:
    """Python's reader does not tell one from the other."""
    return (tuple(None if cell == "" else cell for cell in row) for row in rows)


def _by_python(file: Path, comma: bool) -> Rows:
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8", newline="") as text:  # type: ignore[operator]  # either opens so
        rows = csv.reader(text, delimiter=";" if comma else ",")
        yield from (
            tuple(cell or None for cell in row) for row in islice(rows, 1, None)
        )


def _by_duckdb(file: Path, comma: bool) -> Rows:
    with duckdb.connect() as connection:
        connection.execute(
            "FROM read_csv($file, header=true, all_varchar=true, auto_detect=false, "
            "sep=$sep, quote='\"', escape='\"', columns=$columns, nullstr='', "
            "new_line=$line, allow_quoted_nulls=false, parallel=false)",
            {
                "file": str(file),
                "sep": ";" if comma else ",",
                "columns": {f"c{number}": "VARCHAR" for number in range(12)},
                "line": "\\r\\n" if comma else "\\n",
            },
        )
        while some := connection.fetchmany(10_000):
            yield from some


def _valued(like: Rows, texts: Rows, comma: bool) -> Rows:
    """Text as values of the types that the source has in the same place."""
    for want, row in zip_longest(like, texts):
        if want is None or row is None:
            yield row or ()
            return
        yield tuple(
            _value(text, kind, comma) for text, kind in zip(row, want, strict=True)
        )


def _value(text: str | None, like: Any, comma: bool) -> Any:
    if text is None or isinstance(like, str) or like is None:
        return text
    if isinstance(like, bool):
        return {"true": True, "false": False}.get(text, text)
    if isinstance(like, date):  # a datetime is one, too
        return type(like).fromisoformat(text)
    if comma and not isinstance(like, int):
        text = text.replace(".", "?").replace(",", ".")
    return type(like)(text)


# --- Parquet --------------------------------------------------------------------------


def check_parquet(database: Path, file: Path, every: int) -> dict[str, int]:
    del every  # both are quick
    return {
        reader: compare(source(database), read(file), lambda value: value, reader)
        for reader, read in {"pyarrow": _by_pyarrow, "DuckDB": _parquet}.items()
    }


def _by_pyarrow(file: Path) -> Rows:
    from pyarrow import parquet

    with parquet.ParquetFile(file) as opened:
        for batch in opened.iter_batches(10_000):
            columns = [column.to_pylist() for column in batch.columns]
            yield from zip(*columns, strict=True)


def _parquet(file: Path) -> Rows:
    with duckdb.connect() as connection:
        connection.execute("FROM read_parquet($file)", {"file": str(file)})
        while some := connection.fetchmany(10_000):
            yield from some


CHECKS: dict[str, Callable[[Path, Path, int], dict[str, int]]] = {
    ".xlsx": check_workbook,
    ".csv": check_text,
    ".gz": check_text,
    ".parquet": check_parquet,
}


def told(found: dict[str, int]) -> str:
    return ", ".join(f"{reader} {cells:,}" for reader, cells in found.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--every", type=int, default=1)
    given = parser.parse_args()
    check = CHECKS[given.file.suffix]
    sys.stdout.write(told(check(given.database, given.file, given.every)))


if __name__ == "__main__":
    main()
