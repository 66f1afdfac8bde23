"""Attack a serving BOE at random, and count what became of every occurrence.

`make soak [MINUTES=10]`. It serves twelve schedules, half of them due each second, and
ends it again and again: SIGKILL, SIGTERM, a full disk, a ledger locked by others, a
clock that is set, a machine that stands still. What was owed is worked out from the
clock alone, by no code of BOE's. Ends with 1 if anything was lost or doubled.
"""

from __future__ import annotations

import argparse
import importlib
import json
import mmap
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benches import pages

#: Seconds between two occurrences, for each schedule.
STEPS = [1] * 6 + [2] * 3 + [5] * 3
CONTENT = b"number,name\n1,one\n2,two\n"
QUERY = "select * from (values (1, 'one'), (2, 'two')) t(number, name) order by 1"
#: What a process loads, once, before it is forked: a start takes no second then.
LOADED = (
    "boe_reconciler.cli.serving boe_reconciler.cli.schemas boe_reconciler.app "
    "boe_reconciler.engine.executor boe_reconciler.engine.reconciler "
    "boe_reconciler.engine.runner boe_reconciler.ledgers.sqlite "
    "boe_reconciler.destinations.local boe_reconciler.formats.csv "
    "boe_reconciler.sources.duckdb boe_reconciler.blobs.folder "
    "boe_reconciler.repos.folder boe_reconciler.secrets.references alembic.command"
).split()
DISK = "300m"
#: What a clock that was set may be off by, at most, in seconds.
MOST_OFF = 25.0
WRONG_END = "ended by itself"


# --- The clock of all processes -------------------------------------------------------


class SteppedClock:
    """The machine's clocks; the wall clock is off by what everybody can set."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 8)

    @property
    def off(self) -> float:
        return float(struct.unpack("d", self._shared[:8])[0])

    @off.setter
    def off(self, seconds: float) -> None:
        self._shared[:8] = struct.pack("d", seconds)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.off)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


# --- What is served -------------------------------------------------------------------


def name_of(number: int) -> str:
    return f"soak-{number:02d}"


def document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    owner = {} if kind == "Policy" else {"owner": "ops@example.com"}
    metadata = {"name": name, **owner}
    return {"apiVersion": "boe/v1", "kind": kind, "metadata": metadata, "spec": spec}


def write(file: Path, made: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(made))


def write_repo(folder: Path, start: datetime, end: datetime) -> None:
    """Due from `start` to `end`, both included."""
    limits = {"min_interval": "1s", "schedules_per_owner": 100}
    write(folder / "policy.yaml", document("Policy", "policy", {"limits": limits}))
    connection = document("Connection", "none", {"type": "duckdb"})
    write(folder / "connections/none.yaml", connection)
    for number, step in enumerate(STEPS):
        spec = {
            "report": {"connection": "none", "query": QUERY},
            "when": {
                "every": f"{step}s",
                "timezone": "UTC",
                "start_at": start.isoformat(),
                "end_at": end.isoformat(),
            },
            "execution": {
                "catchup": "all",
                "catchup_window": "7d",
                "catchup_max_runs": 1_000_000,
                "overlap": "buffer_all",
                "retry": {"max_retries": 10, "initial": "1s", "max": "5s"},
                "delivery_retry": {"initial": "1s", "max": "5s"},
            },
            "export": {"format": "csv"},
            "deliver_to": [
                {
                    "type": "local",
                    "base_path": "exports",
                    "create_subdirs": False,
                    "filename_pattern": "{schedule_name}_{timestamp}.{format}",
                }
            ],
        }
        name = name_of(number)
        write(folder / f"schedules/{name}.yaml", document("Schedule", name, spec))


def owed(start: datetime, end: datetime) -> set[tuple[str, int]]:
    """(schedule, second since 1970) of every occurrence: multiples of the step."""
    first, last = round(start.timestamp()), round(end.timestamp())
    return {
        (name_of(number), second)
        for number, step in enumerate(STEPS)
        for second in range(first, last + 1)
        if second % step == 0
    }


# --- A life of BOE --------------------------------------------------------------------


@dataclass
class Soak:
    folder: Path
    #: Not on the disk that is filled.
    log: Path
    clock: SteppedClock
    chance: random.Random
    disk: bool
    happened: Counter[str] = field(default_factory=Counter)

    def fork(self, *arguments: str) -> int:
        """`boe …` in a process of its own; its id."""
        child = os.fork()
        if child:
            return child
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.setpgid(0, 0)
        code = 99
        try:
            app = importlib.import_module("boe_reconciler.app")
            app.SystemClock = lambda: self.clock  # type: ignore[attr-defined]  # its own clock
            cli = importlib.import_module("boe_reconciler.cli")
            code = cli.run(["-C", str(self.folder), *arguments])
        finally:
            os._exit(code)

    def boe(self, *arguments: str) -> int:
        """To its end; the exit code."""
        return self._ended(self.fork(*arguments))

    def live_and_die(self) -> None:
        """A process serves for some seconds; something happens to it; it is ended."""
        process = self.fork("run", "--drain-timeout", "5s")
        time.sleep(self.chance.uniform(0.3, 2.2))
        trouble = None
        if self.chance.random() < 0.4:
            trouble = self.chance.choice(self._troubles())
            trouble(process)
        time.sleep(self.chance.uniform(0.0, 1.0))
        if self.chance.random() < 0.8:
            self._end(process, signal.SIGKILL, -signal.SIGKILL, trouble)
        else:
            self._end(process, signal.SIGTERM, 0, trouble)

    def _end(self, process: int, number: int, expected: int, trouble: object) -> None:
        os.kill(process, number)
        code = self._ended(process)
        if code in (expected, -number):
            # A SIGTERM may come before the process listens for it.
            self.happened[signal.Signals(number).name] += 1
        elif code == 1 and trouble in (self._fill_disk, self._lock):
            self.happened["starts that were refused, and said why"] += 1
        else:
            self.happened[WRONG_END] += 1
            sys.stderr.write(f"A process ended with {code} by itself.\n")

    def _ended(self, process: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    # --- Troubles ---------------------------------------------------------------------

    def _troubles(self) -> list[Callable[[int], None]]:
        always = [self._lock, self._step_clock, self._stand_still]
        return [*always, self._fill_disk] if self.disk else always

    def _fill_disk(self, process: int) -> None:
        ballast = self.folder / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                while _fits(file.fileno(), size):
                    pass
        time.sleep(self.chance.uniform(0.3, 2.0))
        ballast.unlink()
        self.happened["disk full"] += 1

    def _lock(self, process: int) -> None:
        ledger = self.folder / ".boe/ledger.sqlite"
        if not ledger.exists():
            return
        with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
            other.execute("PRAGMA busy_timeout = 5000")
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return
            time.sleep(self.chance.uniform(0.3, 4.0))
            other.execute("ROLLBACK")
        self.happened["ledger locked"] += 1

    def _step_clock(self, process: int) -> None:
        aim = self.clock.off + self.chance.uniform(-15, 15)
        self.clock.off = max(-MOST_OFF, min(aim, MOST_OFF))
        self.happened["clock set"] += 1

    def _stand_still(self, process: int) -> None:
        os.kill(process, signal.SIGSTOP)
        time.sleep(self.chance.uniform(0.3, 2.0))
        os.kill(process, signal.SIGCONT)
        self.happened["process stopped for a while"] += 1


def _fits(file: int, size: int) -> bool:
    try:
        return os.write(file, b"x" * size) == size
    except OSError:
        return False


# --- Counting -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Count:
    expected: int
    rows: int
    #: Owed, and without a row.
    lost_rows: int
    doubled_rows: int
    not_succeeded: dict[str, int]
    files: int
    #: Owed, and without their file.
    lost_files: int
    #: Files that nobody owed: second ones, temporary ones.
    too_many_files: int
    broken_files: int
    taken_over: int
    wrong_ends: int
    sound: bool

    @property
    def good(self) -> bool:
        wrong = (
            self.wrong_ends,
            self.lost_rows,
            self.doubled_rows,
            self.lost_files,
            self.too_many_files,
            self.broken_files,
            sum(self.not_succeeded.values()),
        )
        return self.sound and not any(wrong)


def count(soak: Soak, start: datetime, end: datetime) -> Count:
    """What is there, against what was owed; read by plain SQL and from the folder."""
    expected = owed(start, end)
    ledger = soak.folder / ".boe/ledger.sqlite"
    query = "SELECT schedule, occurrence / 1000000, status FROM runs"
    with closing(sqlite3.connect(ledger)) as connection:
        rows = connection.execute(query).fetchall()
    found = Counter((schedule, second) for schedule, second, _ in rows)
    states = Counter(status for _, _, status in rows if status != "succeeded")
    files = {path.name: path for path in (soak.folder / "exports").rglob("*.*")}
    wanted = {_file_name(*one) for one in expected}
    taken_over = soak.log.read_text().count("run_taken_over")
    return Count(
        expected=len(expected),
        rows=len(rows),
        lost_rows=len(expected - found.keys()),
        doubled_rows=sum(found.values()) - len(found.keys() & expected),
        not_succeeded=dict(states),
        files=len(files),
        lost_files=len(wanted - files.keys()),
        too_many_files=len(files.keys() - wanted),
        broken_files=sum(path.read_bytes() != CONTENT for path in files.values()),
        taken_over=taken_over,
        wrong_ends=soak.happened[WRONG_END],
        sound=soak.boe("doctor") == 0,
    )


def _file_name(schedule: str, second: int) -> str:
    return f"{schedule}_{datetime.fromtimestamp(second, UTC):%Y%m%d_%H%M%S}.csv"


def report(soak: Soak, found: Count, minutes: float) -> str:
    ends = {name: n for name, n in soak.happened.items() if name.startswith("SIG")}
    troubles = {name: n for name, n in soak.happened.items() if name not in ends}
    rows = [
        ("minutes", f"{minutes:g}"),
        ("schedules", len(STEPS)),
        ("lives ended by SIGKILL", ends.get("SIGKILL", 0)),
        ("lives ended by SIGTERM", ends.get("SIGTERM", 0)),
        *sorted(troubles.items()),
        ("runs taken over by the next process", found.taken_over),
        ("occurrences owed", f"{found.expected:,}"),
        ("rows", f"{found.rows:,}"),
        ("occurrences lost", found.lost_rows),
        ("occurrences doubled", found.doubled_rows),
        ("runs that did not succeed", found.not_succeeded or 0),
        ("files", f"{found.files:,}"),
        ("files lost", found.lost_files),
        ("files doubled, or left unfinished", found.too_many_files),
        ("files with other content", found.broken_files),
        ("`boe doctor`", "all is sound" if found.sound else "found something"),
    ]
    return pages.table(("", "count"), rows)


# --- The whole ------------------------------------------------------------------------


@contextmanager
def own_disk() -> Iterator[tuple[Path, bool]]:
    """A folder; where root can mount, on a small file system that can be filled."""
    with tempfile.TemporaryDirectory(prefix="boe-soak-") as made:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", made]
        try:
            mounted = subprocess.run(mount, check=False, capture_output=True)
        except FileNotFoundError:
            mounted = None
        small = mounted is not None and mounted.returncode == 0
        try:
            yield Path(made), small
        finally:
            if small:
                subprocess.run(["umount", "--lazy", made], check=True)


def soak_for(minutes: float, seed: int) -> tuple[Soak, Count]:
    for module in LOADED:
        importlib.import_module(module)
    with own_disk() as (folder, small), tempfile.TemporaryDirectory() as logs:
        clock, log = SteppedClock(), Path(logs) / "log.txt"
        soak = Soak(folder, log, clock, random.Random(seed), small)
        if not small:
            sys.stderr.write("Only root can mount a small disk: it is never full.\n")
        start = clock.now().replace(microsecond=0) + timedelta(seconds=5)
        end = start + timedelta(minutes=minutes)
        write_repo(folder, start, end)
        if soak.boe("run", "--once"):
            raise RuntimeError(soak.log.read_text())
        while clock.now() <= end:
            soak.live_and_die()
        sys.stderr.write(f"{dict(soak.happened)}; now everything may end.\n")
        soak.boe("run", "--once")
        found = count(soak, start, end)
        if not found.good:
            keep = Path(tempfile.mkdtemp(prefix="boe-soak-kept-"))
            shutil.copytree(folder, keep, dirs_exist_ok=True)
            shutil.copy(log, keep)
            sys.stderr.write(f"What was found lies in {keep}\n")
        return soak, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--page", type=Path, help="put the table into it")
    given = parser.parse_args()
    soak, found = soak_for(given.minutes, given.seed)
    text = report(soak, found, given.minutes)
    sys.stdout.write(f"{text}\n")
    if given.page:
        pages.put(given.page, "soak", f"{text}\n\nMeasured on {pages.machine()}.")
    return 0 if found.good else 1


if __name__ == "__main__":
    sys.exit(main())
