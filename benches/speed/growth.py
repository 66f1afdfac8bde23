"""How cost grows: each size ten times the one before, in seconds of the processor.

`python -m benches.speed.growth COLUMNS CELLS DATABASE FILE` writes a workbook of that many columns.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benches import pages
from benches.speed import history, ways
from benches.speed.files import Files
from benches.speed.measure import Part, run, tell
from benches.speed.small import BOE
from benches.speed.validating import write

#: Four sizes of each: three decades.
DECADES = (1_000, 100, 10, 1)
#: Of a workbook that has more and more columns.
COLUMNS = (3, 30, 300)


def measured(files: Files, rows: int) -> Part:
    """Up to so many rows, a hundredth as many files, and as many runs."""
    lines: list[Sequence[str]] = []
    for what, sizes, cost in (
        ("rows to xlsx", _sizes(rows), lambda n: _file(files, "xlsx", n)),
        ("rows to csv", _sizes(rows), lambda n: _file(files, "csv", n)),
        (
            "`boe validate`, files",
            _sizes(rows // 100),
            lambda n: _repo(files, n, "validate"),
        ),
        (
            "`boe next --all`, schedules",
            _sizes(rows // 100),
            lambda n: _repo(files, n, "next", "--all"),
        ),
    ):
        lines += _lines(what, sizes, cost)
    columns = [_columns(files, count, rows) for count in COLUMNS]
    head = ("what", "how many", "seconds of CPU", "each one more, µs")
    wide = ("columns", "rows", "seconds of CPU", "each cell, µs")
    return Part(
        text="### How cost grows\n\n"
        f"{pages.table(head, lines)}\n\n"
        "The last column is what each costs that there are more of them than in the line\n"
        "before: where it stays the same, cost grows as the number does.\n\n"
        f"A workbook of {rows:,} cells with more and more columns:\n\n"
        f"{pages.table(wide, columns)}\n\n"
        f"A ledger that is asked for a few of its runs:\n\n{_histories(files, rows)}\n"
    )


def _sizes(most: int) -> list[int]:
    return [max(1, most // decade) for decade in DECADES]


def _lines(
    what: str, sizes: Sequence[int], cost: Callable[[int], float]
) -> list[Sequence[str]]:
    lines = []
    before: tuple[int, float] | None = None
    for size in sizes:
        tell(f"  growth: {size:,} {what}")
        seconds = cost(size)
        more = ""
        if before and size > before[0]:
            more = f"{1e6 * (seconds - before[1]) / (size - before[0]):,.1f}"
        lines.append((what, f"{size:,}", f"{seconds:.2f}", more))
        before = size, seconds
    return lines


# --- What is measured -----------------------------------------------------------------


def _file(files: Files, kind: str, rows: int) -> float:
    return run(*files.command("boe", kind, rows)).processor


def _repo(files: Files, count: int, *command: str) -> float:
    with tempfile.TemporaryDirectory(dir=files.folder) as name:
        write(Path(name), count)
        return run(BOE, "-C", name, *command).processor


def _columns(files: Files, columns: int, cells: int) -> Sequence[str]:
    tell(f"  growth: {columns} columns")
    file = files.folder / "wide.xlsx"
    module = (sys.executable, "-m", "benches.speed.growth")
    seconds = run(*module, str(columns), str(cells), files.database(1), file).processor
    rows = cells // columns
    return f"{columns}", f"{rows:,}", f"{seconds:.2f}", f"{1e6 * seconds / cells:.2f}"


def _histories(files: Files, runs: int) -> str:
    """A ledger is asked for the same few rows, however many it has."""
    found = {
        count: history.looked(files.folder, count, 1).found[0] for count in _sizes(runs)
    }
    asked = list(found[runs])
    lines = [
        (f"{count:,}", *(f"{1e6 * one[what][0]:,.0f}" for what in asked))
        for count, one in found.items()
    ]
    return pages.table(("runs in the ledger", *(f"{a}, µs" for a in asked)), lines)


# --- A workbook of many columns -------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("columns", type=int)
    parser.add_argument("cells", type=int)
    parser.add_argument("database", type=Path)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    names = ", ".join(
        f"i + {number} AS n{number}"
        if number % 3
        else f"'word ' || i % 97 AS w{number}"
        for number in range(given.columns)
    )
    rows = given.cells // given.columns
    query = f"SELECT {names} FROM range({rows}) AS rows(i)"  # noqa: S608 two numbers
    with ways.opened(given.database) as source:
        ways.export(source, "xlsx", given.file, query)


if __name__ == "__main__":
    main()
