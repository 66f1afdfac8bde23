"""Rows out of PostgreSQL and SQLite: BOE beside pandas, ADBC, and PostgreSQL's own COPY."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benches import pages
from benches.speed.files import Files, compared
from benches.speed.measure import (
    ROOT,
    Goal,
    Part,
    Times,
    by_turns,
    figures,
    ratios,
    run,
    spread,
    tell,
)

_READERS = (sys.executable, "-m", "benches.speed.readers")
Command = Sequence[str | Path]


def postgres(files: Files, rows: int) -> Part:
    """PostgreSQL, to Arrow and to a workbook; in words, where none can be started."""
    database = files.database(rows)
    title = f"### {rows:,} rows of 12 columns in PostgreSQL"
    with _served(database, files.folder / "postgres") as place:
        if place.startswith("no: "):
            why = place.removeprefix("no: ")
            return Part(text=f"{title}\n\nNot measured: {why}\n")
        xlsx = files.folder / "postgres.xlsx"
        ways: dict[str, Command] = {
            "binary COPY, read and forgotten": (*_READERS, "copy", place),
            "to Arrow, **BOE**": (*_READERS, "boe", place),
            "to Arrow, ADBC": (*_READERS, "adbc-postgres", place),
            "to a DataFrame, pandas.read_sql": (*_READERS, "pandas-postgres", place),
            "to xlsx, **BOE**": (*_READERS, "boe", place, "--file", xlsx),
        }
        found = by_turns(ways, files.rounds, f"{rows:,} rows, PostgreSQL")
        tell("  PostgreSQL: five times the rows, and reading them again")
        five = run(*_READERS, "boe-five", place)
        book = compared(xlsx, database, rows)
        arrow = _checked(files, place, database, rows)
        checked = f"- Arrow: {arrow}\n- xlsx: {book}"
    table = _table(found, "binary COPY's")
    text = (
        f"{title}\n\n{table}\n\nOf five times the rows BOE had "
        f"{five.peak / 1e6:.0f} MB at most (to Arrow). The server's own time on the "
        "processor is in no line.\n\n"
        f"Cells that two readers found equal to their source:\n{checked}\n"
    )
    copy, *_, workbook = found.values()
    return Part(text=text, goals=_goals(rows, workbook, copy))


def _goals(rows: int, workbook: Times, copy: Times) -> Sequence[Goal]:
    what = f"PostgreSQL to xlsx, {rows:,} rows"
    memory = [max(one.peak for one in workbook) / 1e6]
    return (
        Goal(
            what=f"{what}, by the time of binary COPY",
            ratios=ratios(workbook, copy),
            at_most=3.5,
        ),
        Goal(what=f"{what}: megabytes of memory", ratios=memory, at_most=400),
    )


def sqlite(files: Files, rows: int) -> Part:
    """SQLite, to Arrow."""
    place = files.folder / f"{rows}-plain.sqlite"
    run(*_READERS, "plain", files.database(rows), "--file", place)
    ways: dict[str, Command] = {
        "to Arrow, ADBC": (*_READERS, "adbc-sqlite", place),
        "to Arrow, **BOE**": (*_READERS, "boe", place),
        "to a DataFrame, pandas.read_sql": (*_READERS, "pandas-sqlite", place),
    }
    found = by_turns(ways, files.rounds, f"{rows:,} rows, SQLite")
    checked = _checked(files, str(place), place.with_suffix(".duckdb"), rows)
    table = _table(found, "ADBC's")
    return Part(
        text=f"### {rows:,} rows of 12 columns in SQLite\n\n{table}\n\n"
        f"Cells that two readers found equal to their source:\n- Arrow: {checked}\n"
    )


def _table(found: Mapping[str, Times], base: str) -> str:
    """The first way is that of `base`."""
    first = next(iter(found))
    lines = [
        (
            way,
            *figures(times),
            "" if way == first else f"{spread(ratios(times, found[first]))} x",
        )
        for way, times in found.items()
    ]
    head = ("work", "seconds", "of CPU", "MB at most", f"time of {base}")
    return pages.table(head, lines)


def _checked(files: Files, place: str, database: Path, rows: int) -> str:
    """Batches are compared as Parquet, which has all of their types."""
    file = files.folder / "read.parquet"
    run(*_READERS, "boe", place, "--file", file)
    return compared(file, database, rows)


@contextmanager
def _served(database: Path, ready: Path) -> Iterator[str]:
    """Where PostgreSQL listens, or `no: ` and why there is none."""
    command = [*_READERS, "serve", str(database), "--file", str(ready)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as server:
        while not ready.exists():
            if server.poll() is not None:
                raise RuntimeError("PostgreSQL could not be filled")
            time.sleep(0.1)
        try:
            yield ready.read_text()
        finally:
            if server.stdin:
                server.stdin.close()
            server.wait()
            ready.unlink()
