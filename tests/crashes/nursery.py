"""Processes of BOE that are born quickly, and die where they are told to.

A start of Python and its libraries takes a second; here one process has loaded them
all, has no thread, and forks a child for each order. A child is a real process: it
opens the ledger itself, and what kills it is a real signal.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Timer
from types import MappingProxyType
from typing import Any

from tests.crashes.points import ON_THE_WIRE, POINTS, trap, watch

ROOT = Path(__file__).parent.parent.parent
#: What a child needs. Without its threads: nothing of it is used before the fork.
LOADED = (
    "boe_reconciler.app",
    "boe_reconciler.blobs.folder",
    "boe_reconciler.cli.schemas",
    "boe_reconciler.cli.serving",
    "boe_reconciler.destinations.blind",
    "boe_reconciler.destinations.email",
    "boe_reconciler.destinations.local",
    "boe_reconciler.destinations.s3",
    "boe_reconciler.destinations.sftp",
    "boe_reconciler.destinations.webhook",
    "boe_reconciler.engine.executor",
    "boe_reconciler.engine.reconciler",
    "boe_reconciler.engine.runner",
    "boe_reconciler.formats.csv",
    "boe_reconciler.ledgers.sqlite",
    "boe_reconciler.notices.distributions",
    "boe_reconciler.repos.folder",
    "boe_reconciler.repos.git",
    "boe_reconciler.secrets.references",
    "boe_reconciler.sources.duckdb",
    "aiosmtplib",
    "alembic.command",
    "botocore.httpsession",
    "duckdb",
    "httpcore",
    "jinja2.sandbox",
)
#: Seconds after which a child that hangs is killed: an error of the test.
LONGEST = 60
#: Seconds that a child stands at its point after a signal, while its other threads
#: notice it; a drain looks twice a second whether it is to hurry.
STANDSTILL = (0.15, 0.7)


class Nursery:
    """Start it once; each call is a process of its own."""

    def __init__(self, environment: Mapping[str, str] = MappingProxyType({})) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crashes.nursery"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def boe(self, folder: Path, *arguments: str, **order: Any) -> int:
        """`boe -C folder …` in a process of its own; its exit code, or minus its signal.

        `traps`: for each point at which something happens to it, the signals that it
        gets there, the `nth` time that it reaches it (1). `counts`: a file that gets a
        line each time that it reaches a point. `now`: what its clock shows at first.
        `then`: what its clock shows once a plan was activated. `blind`: all it delivers
        goes to a far side that cannot be asked. `fails_once`: its first export finds no
        database.
        `dies_after`: so many seconds after it asked git for the head, wherever it is.
        `killed_after`: so many seconds after it claimed a run, the same.
        """
        given = {"folder": str(folder), "arguments": arguments, **order}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate(timeout=10)


# --- In the nursery's own process -----------------------------------------------------


def main() -> None:
    for name in LOADED:
        importlib.import_module(name)
    _read_what_s3_is()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _live(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _read_what_s3_is() -> None:
    """The SDK keeps it; reading it takes longer than a whole delivery."""
    from botocore.session import Session

    from boe_reconciler.destinations import s3

    session = Session()
    session.register_component("data_loader", s3._loader())
    session.create_client("s3", "eu-central-1").close()


def _live(order: Mapping[str, Any]) -> None:
    """In the child: to its end."""
    signal.alarm(LONGEST)
    folder = Path(order["folder"])
    log = os.open(folder.parent / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    code = 99
    try:
        with ExitStack() as stack:
            for change in _changes(order, folder):
                stack.enter_context(change)
            code = _run(["-C", str(folder), *order["arguments"]])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(arguments: Sequence[str]) -> int:
    from boe_reconciler.cli import run

    return run(list(arguments))


def _changes(order: Mapping[str, Any], folder: Path) -> Iterator[Any]:
    if "now" in order:
        clock = RunningClock(order["now"])
        yield _in_place("boe_reconciler.app", "SystemClock", lambda: clock)
        if "then" in order:
            yield _after_activation(clock, order["then"])
    if order.get("blind"):
        from boe_reconciler.destinations import blind

        far_side = blind.create(letterbox=folder / "letterbox")
        yield _in_place(
            "boe_reconciler.backends", "Backends.destination", lambda *_: far_side
        )
    if order.get("fails_once"):
        yield _fails_once()
    yield from _ends(order)


def _ends(order: Mapping[str, Any]) -> Iterator[Any]:
    if "dies_after" in order:
        # Nobody handles it: the kernel ends the process as SIGKILL would.
        wait = order["dies_after"]
        yield trap("ask, after", lambda: signal.setitimer(signal.ITIMER_REAL, wait))
    if "killed_after" in order:
        wait = order["killed_after"]
        kill = Timer(wait, os.kill, (os.getpid(), signal.SIGKILL))
        kill.daemon = True
        yield trap("claim, after", kill.start)
    if "counts" in order:
        for point in (*POINTS, *ON_THE_WIRE):
            yield watch(point, partial(_count, order["counts"], point))
    for point, signals in order.get("traps", {}).items():
        yield trap(point, _death(signals), order.get("nth", 1))


def _count(file: str, point: str) -> None:
    with Path(file).open("a") as counts:
        counts.write(f"{point}\n")


def _death(numbers: Sequence[int]) -> Any:
    def act() -> None:
        for number, seconds in zip(numbers, STANDSTILL, strict=False):
            os.kill(os.getpid(), number)
            time.sleep(seconds)

    return act


class RunningClock:
    """A clock that was set, and goes on from there."""

    def __init__(self, now: str) -> None:
        self.set(now)

    def set(self, now: str) -> None:
        self._start = datetime.fromisoformat(now).replace(tzinfo=UTC)
        self._since = time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=time.monotonic() - self._since)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@contextmanager
def _in_place(module: str, path: str, value: Any) -> Iterator[None]:
    """Until the end of the process."""
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, value)
    yield


def _after_activation(clock: RunningClock, then: str) -> Any:
    from boe_reconciler.ledgers._ledger import StoredLedger

    real = StoredLedger.activate

    def activate(self: Any, *given: Any, **named: Any) -> None:
        real(self, *given, **named)
        clock.set(then)

    return _in_place(
        "boe_reconciler.ledgers._ledger", "StoredLedger.activate", activate
    )


def _fails_once() -> Any:
    """The first export of the process finds its database closed."""
    from boe_reconciler.core.errors import Temporary
    from boe_reconciler.engine import runner

    real, failures = runner.export, iter([True])

    def export(job: Any) -> Any:
        if next(failures, False):
            raise Temporary("connection_failed", "The database is closed.")
        return real(job)

    return _in_place("boe_reconciler.engine.runner", "export", export)


if __name__ == "__main__":
    main()
