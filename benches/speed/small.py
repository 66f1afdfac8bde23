"""Many small exports: 1,000 rows to a workbook, through the whole of BOE or bare.

`python -m benches.speed.small DATABASE FOLDER COUNT` is the bare rate: source to file on two
threads, without a ledger, a plan, a copy into the store or a delivery.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import perf_counter

from benches import pages
from benches.speed.files import Files
from benches.speed.measure import Goal, Part, middle, run, spread, tell

ROWS = 1_000
THREADS = 2
#: Processes with pandas in one round: each takes seconds.
PANDAS = 8
BOE = Path(sys.executable).parent / "boe"
_POLICY = """\
apiVersion: boe/v1
kind: Policy
metadata: {name: policy}
spec: {limits: {schedules_per_owner: 100000}}
"""
_CONNECTION = """\
apiVersion: boe/v1
kind: Connection
metadata: {name: orders, owner: ops@example.com}
spec: {type: duckdb, path: rows.duckdb}
"""
_SCHEDULE = """\
apiVersion: boe/v1
kind: Schedule
metadata: {name: NAME, owner: ops@example.com}
spec:
  report: {connection: orders, query: SELECT * FROM rows}
  when: {cron: "0 6 * * *", timezone: Europe/Berlin}
  export: {format: xlsx}
  deliver_to:
    - {type: local, base_path: exports, filename_pattern: "{schedule_name}_{date}.{format}"}
"""


#: What is measured, as the page says it.
_RUNS = "**BOE**: its runs, from the first one's start to the last one's end"
_WHOLE = "**BOE**: `boe run --once --now-all`, the whole process"
_BARE = "BOE's source and format alone, on two threads"
_PANDAS = "a process for each with pandas and openpyxl, two at a time"


def measured(files: Files, count: int) -> Part:
    """Exports a second, and how they compare within a round."""
    database = files.database(ROWS)
    rates: dict[str, list[float]] = {_RUNS: [], _WHOLE: [], _BARE: [], _PANDAS: []}
    for number in range(files.rounds):
        tell(f"  small exports {number + 1} of {files.rounds}: BOE")
        runs, whole = through_boe(files.folder, database, count)
        rates[_RUNS].append(runs)
        rates[_WHOLE].append(whole)
        tell(f"  small exports {number + 1} of {files.rounds}: bare, and pandas")
        rates[_BARE].append(bare(files.folder, database, count))
        rates[_PANDAS].append(pandas(files))
    to_bare = _ratios(rates[_RUNS], rates[_BARE])
    to_pandas = _ratios(rates[_WHOLE], rates[_PANDAS])
    whole_to_bare = _ratios(rates[_WHOLE], rates[_BARE])
    compared = {
        _BARE: f"{spread(to_bare)}; start and end included {spread(whole_to_bare)}",
        _PANDAS: spread(to_pandas),
    }
    lines = [
        (what, f"{middle(found):.1f}", compared.get(what, ""))
        for what, found in rates.items()
    ]
    head = ("exports of 1,000 rows to xlsx", "each second", "BOE's rate to it")
    goals = [
        Goal(
            what=f"{count:,} small exports: rate of BOE's runs to the bare rate",
            ratios=to_bare,
            at_least=0.6,
        ),
        Goal(
            what=f"{count:,} small exports: BOE's rate, start and end included, to that of "
            "processes with pandas",
            ratios=to_pandas,
            at_least=50,
        ),
    ]
    text = f"### {count:,} small exports\n\n{pages.table(head, lines)}\n"
    return Part(text=text, goals=goals)


def _ratios(ours: list[float], theirs: list[float]) -> list[float]:
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def through_boe(folder: Path, database: Path, count: int) -> tuple[float, float]:
    """Exports a second: of its runs, and with the start and the end of the process."""
    repo = _folder(folder)
    write(repo, database, count)
    took = run(BOE, "-C", repo, "run", "--once", "--now-all")
    made = len(list((repo / "exports").rglob("*.xlsx")))
    seconds = _seconds_of_runs(repo / ".boe/ledger.sqlite")
    if made != count:
        raise RuntimeError(f"{made} of {count} files")
    return count / seconds, count / took.wall


def _folder(parent: Path) -> Path:
    """It stays until all is measured: for minutes after thousands of files were removed,
    ext4 takes a fifth longer to make as many new ones."""
    return Path(tempfile.mkdtemp(dir=parent))


def _seconds_of_runs(ledger: Path) -> float:
    asked = "SELECT max(finished_at) - min(started_at) FROM runs"
    with closing(sqlite3.connect(ledger)) as connection:
        (microseconds,) = connection.execute(asked).fetchone()
    return float(microseconds) / 1e6


def write(repo: Path, database: Path, count: int) -> None:
    """A repo of so many schedules, each of which exports all rows of the database."""
    (repo / "rows.duckdb").write_bytes(database.read_bytes())
    (repo / "policy.yaml").write_text(_POLICY)
    for kind in ("connections", "schedules"):
        (repo / kind).mkdir()
    (repo / "connections/orders.yaml").write_text(_CONNECTION)
    for number in range(count):
        text = _SCHEDULE.replace("NAME", f"s{number}")
        (repo / f"schedules/s{number}.yaml").write_text(text)


def bare(folder: Path, database: Path, count: int) -> float:
    module = (sys.executable, "-m", "benches.speed.small")
    return float(run(*module, database, _folder(folder), str(count)).said)


def pandas(files: Files) -> float:
    command = files.command("pandas", "xlsx", ROWS)
    start = perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(
            pool.map(
                lambda number: run(
                    *command[:-1], files.folder / f"small-{number}.xlsx"
                ),
                range(PANDAS),
            )
        )
    return PANDAS / (perf_counter() - start)


def main() -> None:
    from benches.speed import ways

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int)
    given = parser.parse_args()
    with ways.opened(given.database) as source, ThreadPoolExecutor(THREADS) as pool:

        def one(number: int) -> None:
            ways.export(source, "xlsx", given.folder / f"{number}.xlsx")

        one(-1)  # loads what is needed
        start = perf_counter()
        list(pool.map(one, range(given.count)))
        sys.stdout.write(f"{given.count / (perf_counter() - start):.2f}\n")


if __name__ == "__main__":
    main()
