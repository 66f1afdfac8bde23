"""`boe run` of many schedules with nothing to do: the processor and memory it takes."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benches import pages
from benches.speed.measure import Goal, Part, middle, spread, tell
from benches.speed.small import BOE
from benches.speed.validating import write

#: Seconds until it is at rest after its start, and for which it is looked at then.
SETTLE, MINUTE = 15.0, 60.0
#: Seconds between two questions of who watches it, as Prometheus' default has it.
SCRAPE = 15.0
_AT = "127.0.0.1:18089"
#: Ticks of the processor in a second.
_TICK = os.sysconf("SC_CLK_TCK")


def measured(folder: Path, count: int, rounds: int) -> Part:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        repo = Path(name)
        write(repo, count)
        tell(f"  {count:,} schedules at rest, {rounds} times a minute and more")
        found = [_once(repo) for _ in range(rounds)]
    shares, rests, peaks = zip(*found, strict=True)
    lines = [
        ("of one core", f"{spread(100 * share for share in shares)} %"),
        ("memory at rest", f"{middle(rests) / 1e6:.0f} MB"),
        ("memory at most", f"{middle(peaks) / 1e6:.0f} MB"),
    ]
    text = (
        f"### `boe run` with {count:,} schedules of which none is due\n\n"
        f"{pages.table(('what', 'takes'), lines)}\n\n"
        f"For a minute, asked for /metrics and /healthz every {SCRAPE:.0f} s.\n"
    )
    goals = [
        Goal(
            what=f"`boe run` with {count:,} schedules at rest: percent of one core",
            ratios=[100 * share for share in shares],
            at_most=1,
        ),
        Goal(
            what=f"`boe run` with {count:,} schedules at rest: megabytes of memory",
            ratios=[rest / 1e6 for rest in rests],
            at_most=250,
        ),
    ]
    return Part(text=text, goals=goals)


def _once(repo: Path) -> tuple[float, float, float]:
    """Share of one core, bytes at rest, bytes at most."""
    command = (BOE, "-C", repo, "run", "--http", _AT)
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _await_ready()
            time.sleep(SETTLE)
            before, start = _processor(process.pid), time.monotonic()
            while time.monotonic() - start < MINUTE:
                for page in ("metrics", "healthz"):
                    _ask(page)
                time.sleep(SCRAPE)
            seconds = time.monotonic() - start
            share = (_processor(process.pid) - before) / seconds
            rest, most = (_memory(process.pid, what) for what in ("VmRSS", "VmHWM"))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
    return share, rest, most


def _await_ready() -> None:
    for _ in range(600):
        try:
            _ask("readyz")
        except (URLError, OSError):
            time.sleep(0.5)
        else:
            return
    raise RuntimeError("boe run does not serve")


def _ask(page: str) -> None:
    with urlopen(f"http://{_AT}/{page}", timeout=10) as answer:
        answer.read()


def _processor(pid: int) -> float:
    """Seconds so far, user and system. Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _memory(pid: int, what: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) * 1024
