"""Files of many rows: BOE beside pandas, pyarrow and two writers of workbooks in Rust."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benches import pages
from benches.speed.measure import (
    Goal,
    Part,
    Took,
    by_turns,
    figures,
    middle,
    ratios,
    run,
    spread,
    tell,
)

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
#: Peaks of memory that differ by less count as the same.
SAME = 1.1


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
        return compared(self.file("boe", kind), database, rows)


def compared(file: Path, database: Path, rows: int) -> str:
    """How many cells BOE's file has in the eyes of two readers, all as they should be."""
    every = max(1, rows // SAMPLED) if rows > ALL_ROWS else 1
    module = (sys.executable, "-m", "benches.speed.checks")
    return run(*module, database, file, "--every", str(every)).said


# --- Whole processes ------------------------------------------------------------------


def whole(files: Files, rows: int) -> Part:
    """From the query to the finished file, each in a process of its own."""
    lines: list[Sequence[object]] = []
    checked: list[Sequence[object]] = []
    goals: list[Goal] = []
    for kind in files.kinds:
        commands = {
            way: files.command(way, kind, _bearable(way, kind, rows))
            for way in KINDS[kind][1]
        }
        found = by_turns(commands, files.rounds, f"{rows:,} rows, {kind}")
        lines += _lines(kind, found, rows)
        goals += _goals(kind, found, rows)
        tell(f"  {rows:,} rows, {kind}: reading them again")
        checked.append((SHOWN[kind], files.check(kind, files.database(rows), rows)))
    head = ("file", "by", "seconds", "of CPU", "MB at most", "time of BOE's")
    readers = "\n".join(f"- {kind}: {cells}" for kind, cells in checked)
    text = (
        f"### {rows:,} rows of 12 columns\n\n{pages.table(head, lines)}\n\n"
        f"Cells of BOE's files that two readers found equal to their source:\n{readers}\n"
    )
    return Part(text=text, goals=goals)


#: What a file's time is compared with: kind, ways (the quickest of them counts), goal.
_TIMES = (
    ("xlsx", ("pandas",), 60.0),
    ("xlsx", ("rustpy", "xlsxturbo"), 4.0),
    ("csv-gz", ("pandas",), 10.0),
)


def _goals(kind: str, found: dict[str, list[Took]], rows: int) -> Iterator[Goal]:
    for of, ways, least in _TIMES:
        if of == kind:
            times = [_per_row(way, kind, found, rows) for way in ways]
            yield Goal(
                what=f"{SHOWN[kind]} of {rows:,} rows: the time a row of "
                + " or ".join(NAMES[way] for way in ways),
                ratios=[min(one) for one in zip(*times, strict=True)],
                at_least=least,
            )


def _bearable(way: str, kind: str, rows: int) -> int:
    """Rows that it is asked for: pandas and openpyxl take the same for each of them."""
    return min(rows, PANDAS_ROWS) if (way, kind) == ("pandas", "xlsx") else rows


def _lines(
    kind: str, found: dict[str, list[Took]], rows: int
) -> Iterator[Sequence[object]]:
    for way, times in found.items():
        name = "pandas, openpyxl" if (way, kind) == ("pandas", "xlsx") else NAMES[way]
        fewer = _bearable(way, kind, rows)
        yield (
            SHOWN[kind],
            name if fewer == rows else f"{name}: {fewer:,} rows",
            *figures(times),
            ""
            if way == "boe"
            else f"{spread(_per_row(way, kind, found, rows))} x"
            + (" a row" if fewer < rows else ""),
        )


def _per_row(
    way: str, kind: str, found: dict[str, list[Took]], rows: int
) -> list[float]:
    """A way's time for a row in that of BOE, round by round."""
    more = rows / _bearable(way, kind, rows)
    return [more * ratio for ratio in ratios(found[way], found["boe"])]


# --- Writing alone --------------------------------------------------------------------


#: Writing alone is over in a moment.
_TURNS = 5
#: At most so many times what pyarrow takes.
_WRITING = {"csv": 1.3, "csv-dialect": 2.5, "parquet": 1.2}


def held(files: Files, rows: int) -> Part:
    """Rows that are in memory already, BOE's formats beside pyarrow's own writers."""
    base = {kind: "csv" if kind == "csv-dialect" else kind for kind in files.kinds}
    lines: list[Sequence[object]] = []
    goals = []
    for kind, own in base.items():
        if "pyarrow" not in KINDS[own][1]:
            continue
        found = by_turns(
            {
                "boe": files.command("boe", kind, rows, "--held"),
                "pyarrow": files.command("pyarrow", own, rows, "--held"),
            },
            max(_TURNS, files.rounds),
            f"{rows:,} rows in memory, {kind}",
        )
        boe, peer = ([float(t.said) for t in found[name]] for name in found)
        times = [a / b for a, b in zip(boe, peer, strict=True)]
        seconds = (f"{middle(each):.2f}" for each in (boe, peer))
        lines.append((SHOWN[kind], *seconds, f"{spread(times)} x"))
        if most := _WRITING.get(kind):
            what = f"{SHOWN[kind]} of {rows:,} rows in memory, by pyarrow's time"
            goals.append(Goal(what=what, ratios=times, at_most=most))
    head = ("file", "BOE, seconds", "pyarrow", "time of pyarrow's")
    title = f"### {rows:,} rows that are in memory already: writing alone"
    text = f"{title}\n\n{pages.table(head, lines)}\n"
    return Part(text=text if lines else "", goals=goals)


# --- More than a sheet holds, and control characters ----------------------------------


def memory(files: Files, sizes: Sequence[int]) -> Part:
    """A workbook's memory does not grow with its rows, nor with the file that they are in."""
    lines, goals, peaks = [], [], []
    for rows in sizes:
        tell(f"  a workbook of {rows:,} rows")
        took = run(*files.command("boe", "xlsx", rows))
        what = f"xlsx of {rows:,} rows: megabytes of memory"
        goals.append(Goal(what=what, ratios=[took.peak / 1e6], at_most=400))
        peaks.append(took.peak)
        database = files.database(rows)
        said = files.check("xlsx", database, rows)
        megabytes = (
            f"{size / 1e6:.0f}" for size in (took.peak, database.stat().st_size)
        )
        lines.append((f"{rows:,}", f"{took.wall:.1f}", *megabytes, said))
    what = f"xlsx of {sizes[-1]:,} rows: memory, by that of {sizes[-2]:,}"
    goals.append(Goal(what=what, ratios=[peaks[-1] / peaks[-2]], at_most=SAME))
    head = ("rows", "seconds", "MB at most", "MB of DuckDB's file", "equal cells")
    title = "### Workbooks of more and more rows, in several sheets where one is full"
    return Part(text=f"{title}\n\n{pages.table(head, lines)}\n", goals=goals)


def controls(files: Files, rows: int) -> Part:
    """Text with control characters, which openpyxl refuses to write."""
    database = files.database(rows, controls=True)
    said = []
    for kind in files.kinds:
        module = (sys.executable, "-m", "benches.speed.ways", f"boe-{kind}")
        run(*module, database, files.file("boe", kind))
        said.append(f"- {SHOWN[kind]}: {files.check(kind, database, rows)}")
    return Part(
        text=f"### {rows:,} rows with control characters\n\nCells that two readers found "
        "equal to their source:\n" + "\n".join(said) + "\n"
    )
