"""How soon what is due together is dispatched: `make bench-dispatch`.

1,000 and 10,000 schedules are due in the same second. `bare` is plain sqlite3 on the
same tables (indexes, constraints, triggers, WAL, synchronous FULL), which inserts as many
rows in transactions of 500 and claims them one UPDATE each, as many in a transaction as
there are workers. `ledger` is the tick and the claims of the ledger; `executor` the whole
way from the tick to the last run in the hands of its worker, on threads, with runs that do
nothing. All take turns in one process, for several rounds.
"""

from __future__ import annotations

import argparse
import gc
import sqlite3
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

from boe_reconciler.clock import SystemClock
from boe_reconciler.core.ports import Claimed, Ledger
from boe_reconciler.core.resources.when import When
from boe_reconciler.core.runs import RunStatus
from boe_reconciler.core.spec import (
    Activation,
    OccurrenceSet,
    PlannedSchedule,
    RunSpec,
)
from boe_reconciler.engine.cancel import CancelToken
from boe_reconciler.engine.executor import Executor
from boe_reconciler.ledgers import sqlite

CLOCK = SystemClock()
START = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
DUE = START + timedelta(hours=1)
#: Schedules in one transaction of a tick.
BATCH = 500
_CLAIM = (
    "UPDATE runs SET status = 'running', reason = '', message = '', worker = 'bare', "
    "lease_until = ?, fence = fence + 1, started_at = ? "
    "WHERE run_id = ? AND status = 'pending'"
)


def spec(name: str) -> RunSpec:
    return RunSpec.model_validate(
        {
            "schedule": name,
            "title": name,
            "owner": "ops@example.com",
            "timezone": "UTC",
            "report_name": name,
            "report_title": name,
            "report": {"connection": "flights", "query": "select 1 as one"},
            "connection_name": "flights",
            "connection": {"type": "duckdb"},
            "export": {"format": "csv"},
            "execution": {},
            "destinations": [
                {
                    "key": "archive/local",
                    "distribution": "archive",
                    "spec": {"type": "local", "base_path": "exports"},
                }
            ],
        }
    )


def activation(count: int) -> Activation:
    when = When.model_validate({"cron": "0 * * * *", "timezone": "Europe/Berlin"})
    times = OccurrenceSet(when=when, timezone="Europe/Berlin")
    names = [f"schedule-{number:05}" for number in range(count)]
    return Activation(
        attempted="folder@sha1:1",
        serving="folder@sha1:1",
        objects=(),
        stalled=(),
        schedules=[
            PlannedSchedule(name=name, spec=spec(name), occurrences=times, paused=False)
            for name in names
        ],
        problems=(),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Took:
    """Seconds of the clock on the wall, and of the processor."""

    wall: float
    processor: float


class Watch:
    def __init__(self) -> None:
        self.wall, self.processor = CLOCK.monotonic(), process_time()

    def took(self) -> Took:
        return Took(
            wall=CLOCK.monotonic() - self.wall,
            processor=process_time() - self.processor,
        )


# --- The three ways -------------------------------------------------------------------


class Rounds:
    """One ledger file; each round is an hour of its schedules."""

    def __init__(self, folder: Path, count: int, workers: int) -> None:
        self.path = folder / "ledger.sqlite"
        self.count = count
        #: Runs that may go on at once: as many are claimed in one transaction.
        self.workers = workers
        self.ledger: Ledger = sqlite.create(self.path)
        self.ledger.activate(activation(count), now=START)
        self.now = START
        # The first round compiles timetables and reads specs.
        self.serve()

    def hour(self) -> datetime:
        self.now += timedelta(hours=1)
        self.ledger.materialise(now=self.now - timedelta(seconds=30), limit=1)
        return self.now

    def serve(self) -> Took:
        """The verbs alone."""
        now = self.hour()
        watch, claimed, more = Watch(), 0, True
        while more:
            more = self.ledger.materialise(now=now, limit=BATCH).more
        while got := self.ledger.claim("bench", now=now, limit=self.workers):
            claimed += len(got)
        took = watch.took()
        if claimed != self.count:
            raise AssertionError(claimed)
        self.clear()
        return took

    def execute(self) -> Took:
        """From the first tick of an executor to the last run in its worker's hands."""
        now = self.hour()
        runner = NoWork(self.count)
        executor = Executor(
            ledger=self.ledger,
            runner=runner,  # type: ignore[arg-type]  # only `run` is asked of it
            clock=MovedClock(now),
            worker="bench",
            workers=self.workers,
        )
        runner.watch = Watch()
        executor.serve(runner.all_begun)
        took = runner.took
        executor.drain(10)
        self.clear()
        return took

    def clear(self) -> None:
        """All of it is over."""
        with plain(self.path) as connection:
            connection.execute("DELETE FROM runs")

    def bare(self) -> Took:
        """Plain sqlite3, with the rows that a tick made."""
        return self.plainly(self.count, BATCH, self.workers)

    def plainly(self, count: int, inserts: int, claims: int) -> Took:
        """The same for the first of them, with so many in each transaction."""
        now = self.hour()
        while self.ledger.materialise(now=now, limit=BATCH).more:
            pass
        with plain(self.path) as connection:
            rows = connection.execute("SELECT * FROM runs").fetchall()
            connection.execute("DELETE FROM runs")
            took = insert_and_claim(connection, rows[:count], inserts, claims)
        self.clear()
        return took


@contextmanager
def plain(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    yield connection
    connection.close()


def insert_and_claim(
    connection: sqlite3.Connection, rows: list[Any], inserts: int, claims: int
) -> Took:
    """So many in each transaction."""
    places = ", ".join("?" for _ in rows[0])
    insert = f"INSERT INTO runs VALUES ({places})"  # noqa: S608 nothing but places
    watch = Watch()
    for batch in batches(rows, inserts):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(insert, batch)
        connection.execute("COMMIT")
    for batch in batches(rows, claims):
        connection.execute("BEGIN IMMEDIATE")
        for row in batch:
            given = (2_000_000_000_000_000, 1_900_000_000_000_000, row[0])
            if connection.execute(_CLAIM, given).rowcount != 1:
                raise AssertionError(row[0])
        connection.execute("COMMIT")
    return watch.took()


def batches(rows: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


class MovedClock(SystemClock):
    """Shows this time now, and goes on from there."""

    def __init__(self, now: datetime) -> None:
        self._ahead = now - super().now()

    def now(self) -> datetime:
        return super().now() + self._ahead


class NoWork:
    """A Runner whose runs do nothing."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.watch = Watch()
        self.took = Took(wall=0.0, processor=0.0)
        self.all_begun = threading.Event()
        self._lock = threading.Lock()

    def run(self, claimed: Claimed, cancel: CancelToken) -> None:
        with self._lock:
            self.left -= 1
            if not self.left:
                self.took = self.watch.took()
                self.all_begun.set()


# --- Memory ---------------------------------------------------------------------------


def resident() -> int:
    """Bytes of memory in use now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def finish(ledger: Ledger, now: datetime, one: Claimed) -> None:
    ledger.finish(one.claim, RunStatus.SUCCEEDED, "", "", now=now)


def memory(folder: Path, runs: int, say: Callable[[str], object]) -> None:
    """Runs through tick, claim and finish: memory must not grow with them."""
    ledger = sqlite.create(folder / "memory.sqlite")
    pool = ThreadPoolExecutor(64)
    count = 500
    ledger.activate(activation(count), now=START)
    done, hours, marks = 0, 0, []
    while done < runs:
        hours += 1
        now = START + timedelta(hours=hours)
        ledger.materialise(now=now - timedelta(seconds=30))
        ledger.materialise(now=now)
        while got := ledger.claim("bench", now=now, limit=64):
            end = partial(finish, ledger, now)
            done += len(list(pool.map(end, got)))
        if done % (runs // 10) < count:
            marks.append(resident() / 1e6)
    pool.shutdown()
    ledger.close()
    say(
        f"memory over {done:,} runs: {marks[0]:.0f} MB after a tenth, "
        f"{marks[-1]:.0f} MB at the end, {max(marks):.0f} MB at most\n"
    )


# --- The bench ------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000])
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--folder", help="for the ledgers (that of temporary files)")
    parser.add_argument("--memory", type=int, default=100_000)
    given = parser.parse_args()
    say = sys.stdout.write
    gc.disable()  # as in a command; `boe run` collects, and there is little to collect
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        for count in given.sizes:
            folder = Path(name) / str(count)
            folder.mkdir()
            compare(Rounds(folder, count, given.workers), given.rounds, say)
        if given.memory:
            gc.enable()
            memory(Path(name), given.memory, say)


def compare(rounds: Rounds, number: int, say: Callable[[str], object]) -> None:
    ways = {"bare": rounds.bare, "ledger": rounds.serve, "executor": rounds.execute}
    found: dict[str, list[Took]] = {name: [] for name in ways}
    for _ in range(number):
        for name, way in ways.items():
            found[name].append(way())
    say(f"{rounds.count:,} schedules due at once, {number} rounds\n")
    for name, times in found.items():
        each = statistics.median(took.wall for took in times) / rounds.count * 1e6
        pairs = list(zip(times, found["bare"], strict=True))
        walls = spread(one.wall / bare.wall for one, bare in pairs)
        processors = spread(one.processor / bare.processor for one, bare in pairs)
        say(f"  {name:9} {each:7.1f} us each   {walls} time   {processors} processor\n")
    rounds.ledger.close()


def spread(ratios: Iterable[float]) -> str:
    """The median, the least and the most."""
    known = sorted(ratios)
    return f"{statistics.median(known):5.2f} x ({known[0]:.2f} to {known[-1]:.2f})"


if __name__ == "__main__":
    main()
