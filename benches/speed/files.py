"""Files of many rows: BOE beside pandas, pyarrow and two writers of workbooks in Rust."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benches import pages
from benches.speed.measure import Times, Took, by_turns, middle, run, spread

#: The kinds of files, each with its ending and the ways to it. The first is BOE's.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "xlsx": (".xlsx", ("boe", "pandas", "rustpy", "xlsxturbo")),
    "csv": (".csv", ("boe", "pandas", "pyarrow")),
    "csv-dialect": ("-dialect.csv", ("boe", "pandas")),
    "csv-gz": (".csv.gz", ("boe", "pandas", "pyarrow")),
    "parquet": (".parquet", ("boe", "pandas", "pyarrow")),
}
NAMES = {
    "boe": "**BOE**",
    "pandas": "pandas",
    "rustpy": "pandas, rustpy-xlsxwriter",
    "xlsxturbo": "pandas, xlsxturbo",
    "pyarrow": "DuckDB, pyarrow",
}
SHOWN = {
    "xlsx": "xlsx",
    "csv": "csv",
    "csv-dialect": "csv, decimal comma, CRLF",
    "csv-gz": "csv.gz",
    "parquet": "parquet, zstd",
}
#: More rows than this take pandas and openpyxl minutes and gigabytes.
PANDAS_ROWS = 100_000
#: The slow reader of workbooks sees all rows up to here.
ALL_ROWS = 100_000
SAMPLED = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """What is made where, and how often."""

    folder: Path
    rounds: int
    kinds: Sequence[str]

    def database(self, rows: int, *, controls: bool = False) -> Path:
        path = self.folder / f"{rows}{'-controls' if controls else ''}.duckdb"
        if not path.exists():
            flags = ["--controls"] if controls else []
            module = (sys.executable, "-m", "benches.speed.rows")
            run(*module, str(path), str(rows), *flags)
        return path

    def file(self, way: str, kind: str) -> Path:
        return self.folder / f"{way}{KINDS[kind][0]}"

    def command(self, way: str, kind: str, rows: int, *flags: str) -> list[str | Path]:
        module = (sys.executable, "-m", "benches.speed.ways")
        there = (self.database(rows), self.file(way, kind))
        return [*module, f"{way}-{kind}", *there, *flags]

    def check(self, kind: str, database: Path, rows: int) -> str:
        """How many cells BOE's file has in the eyes of two readers, all as they should be."""
        every = max(1, rows // SAMPLED) if rows > ALL_ROWS else 1
        module = (sys.executable, "-m", "benches.speed.checks")
        file = self.file("boe", kind)
        return run(*module, database, file, "--every", str(every)).said


# --- Whole processes ------------------------------------------------------------------


def whole(files: Files, rows: int) -> str:
    """From the query to the finished file, each in a process of its own."""
    lines: list[Sequence[object]] = []
    checked: list[Sequence[object]] = []
    for kind in files.kinds:
        ways = [way for way in KINDS[kind][1] if _bearable(way, kind, rows)]
        commands = {way: files.command(way, kind, rows) for way in ways}
        found = by_turns(commands, files.rounds)
        lines += _lines(kind, found)
        checked.append((SHOWN[kind], files.check(kind, files.database(rows), rows)))
    head = ("file", "by", "seconds", "of CPU", "MB at most", "time of BOE's")
    readers = "\n".join(f"- {kind}: {cells}" for kind, cells in checked)
    return (
        f"### {rows:,} rows of 12 columns\n\n{pages.table(head, lines)}\n\n"
        f"Cells of BOE's files that two readers found equal to their source:\n{readers}\n"
    )


def _bearable(way: str, kind: str, rows: int) -> bool:
    return (way, kind) != ("pandas", "xlsx") or rows <= PANDAS_ROWS


def _lines(kind: str, found: dict[str, list[Took]]) -> Iterator[Sequence[object]]:
    for way, times in found.items():
        name = "pandas, openpyxl" if (way, kind) == ("pandas", "xlsx") else NAMES[way]
        yield (
            SHOWN[kind],
            name,
            seconds(one.wall for one in times),
            seconds(one.processor for one in times),
            f"{max(one.peak for one in times) / 1e6:.0f}",
            "" if way == "boe" else f"{ratios(times, found['boe'])} x",
        )


def seconds(values: Iterable[float]) -> str:
    return f"{middle(values):.2f}"


def ratios(times: Times, base: Times) -> str:
    return spread(a.wall / b.wall for a, b in zip(times, base, strict=True))


# --- Writing alone --------------------------------------------------------------------


def held(files: Files, rows: int) -> str:
    """Rows that are in memory already, BOE's formats beside pyarrow's own writers."""
    base = {kind: "csv" if kind == "csv-dialect" else kind for kind in files.kinds}
    lines: list[Sequence[object]] = []
    for kind, own in base.items():
        if "pyarrow" not in KINDS[own][1]:
            continue
        found = by_turns(
            {
                "boe": files.command("boe", kind, rows, "--held"),
                "pyarrow": files.command("pyarrow", own, rows, "--held"),
            },
            files.rounds,
        )
        boe, peer = ([float(t.said) for t in found[name]] for name in found)
        times = spread(a / b for a, b in zip(boe, peer, strict=True))
        lines.append((SHOWN[kind], seconds(boe), seconds(peer), f"{times} x"))
    head = ("file", "BOE, seconds", "pyarrow", "time of pyarrow's")
    title = f"### {rows:,} rows that are in memory already: writing alone"
    return f"{title}\n\n{pages.table(head, lines)}\n" if lines else ""


# --- More than a sheet holds, and control characters ----------------------------------


def memory(files: Files, sizes: Sequence[int]) -> str:
    """A workbook's memory does not grow with its rows."""
    lines = []
    for rows in sizes:
        took = run(*files.command("boe", "xlsx", rows))
        said = files.check("xlsx", files.database(rows), rows)
        lines.append((f"{rows:,}", f"{took.wall:.1f}", f"{took.peak / 1e6:.0f}", said))
    head = ("rows", "seconds", "MB at most", "equal cells")
    title = "### Workbooks of more and more rows, in several sheets where one is full"
    return f"{title}\n\n{pages.table(head, lines)}\n"


def controls(files: Files, rows: int) -> str:
    """Text with control characters, which openpyxl refuses to write."""
    database = files.database(rows, controls=True)
    said = []
    for kind in files.kinds:
        module = (sys.executable, "-m", "benches.speed.ways", f"boe-{kind}")
        run(*module, database, files.file("boe", kind))
        said.append(f"- {SHOWN[kind]}: {files.check(kind, database, rows)}")
    return (
        f"### {rows:,} rows with control characters\n\nCells that two readers found "
        "equal to their source:\n" + "\n".join(said) + "\n"
    )
