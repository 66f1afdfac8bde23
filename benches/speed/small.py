"""Many small exports: 1,000 rows to a workbook, through the whole of BOE or bare.

`python -m benches.speed.small DATABASE FOLDER COUNT` is the bare rate: source to file on two
threads, without a ledger, a plan, a copy into the store or a delivery.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

from benches import pages
from benches.speed.files import Files
from benches.speed.measure import Goal, Part, middle, run, spread, tell

ROWS = 1_000
THREADS = 2
#: Processes with pandas in one round: each takes seconds.
PANDAS = 4
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


def measured(files: Files, count: int) -> Part:
    """Exports a second, and how they compare within a round."""
    database = files.database(ROWS)
    ways: dict[str, Callable[[], float]] = {
        "BOE": lambda: through_boe(files.folder, database, count),
        "bare": lambda: bare(files.folder, database, count),
        "pandas": lambda: pandas(files),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(files.rounds):
        for name, way in ways.items():
            tell(f"  small exports {number + 1} of {files.rounds}: {name}")
            rates[name].append(way())
    ratios = {
        name: [a / b for a, b in zip(rates["BOE"], found, strict=True)]
        for name, found in rates.items()
    }
    told = {
        "BOE": "**BOE**: `boe run --once --now-all`, whole process, with ledger, store and delivery",
        "bare": "BOE's source and format alone, on two threads",
        "pandas": "a process for each with pandas and openpyxl, two at a time",
    }
    lines = [
        (told[name], f"{middle(found):.1f}", spread(ratios[name]))
        for name, found in rates.items()
    ]
    head = ("exports of 1,000 rows to xlsx", "each second", "BOE's rate to this one")
    goals = [
        Goal(
            what=f"{count:,} small exports: BOE's rate to the bare rate",
            ratios=ratios["bare"],
            at_least=0.6,
        ),
        Goal(
            what=f"{count:,} small exports: BOE's rate to that of processes with pandas",
            ratios=ratios["pandas"],
            at_least=50,
        ),
    ]
    text = f"### {count:,} small exports\n\n{pages.table(head, lines)}\n"
    return Part(text=text, goals=goals)


def through_boe(folder: Path, database: Path, count: int) -> float:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        repo = Path(name)
        write(repo, database, count)
        took = run(BOE, "-C", repo, "run", "--once", "--now-all")
        made = len(list((repo / "exports").rglob("*.xlsx")))
    if made != count:
        raise RuntimeError(f"{made} of {count} files")
    return count / took.wall


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
    with tempfile.TemporaryDirectory(dir=folder) as name:
        return float(run(*module, database, name, str(count)).said)


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
