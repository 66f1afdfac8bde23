"""Programs run by turns, and what each took. Nothing heavy is imported here.

A child's peak is at least what its parent held when it was started.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parent.parent.parent
#: Of ru_maxrss.
_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Took:
    """One process, from its start to its end."""

    #: Seconds of the clock on the wall, and of the processor (user and system).
    wall: float
    processor: float
    #: Bytes of memory in use at most.
    peak: int
    #: What it printed.
    said: str


Times = Sequence[Took]


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """What a ratio should be; they are measured within one round each."""

    what: str
    ratios: Sequence[float]
    #: One of the two is given.
    at_least: float | None = None
    at_most: float | None = None

    @property
    def held(self) -> bool:
        measured = middle(self.ratios)
        return (self.at_least is None or measured >= self.at_least) and (
            self.at_most is None or measured <= self.at_most
        )

    def line(self) -> tuple[str, ...]:
        """Of a table: what, the goal, what was measured, and whether it holds."""
        goal = (
            f"at least {self.at_least:g}"
            if self.at_least is not None
            else f"at most {self.at_most:g}"
        )
        return self.what, goal, spread(self.ratios), "yes" if self.held else "**no**"


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A piece of the page, and what of it has a goal."""

    text: str
    goals: Sequence[Goal] = ()


def tell(what: str) -> None:
    """What is being measured, for who waits: one line that changes, or a line for each."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{what}")
    else:
        sys.stderr.write(f"{what}\n")
    sys.stderr.flush()


def run(*command: str | Path, folder: Path = ROOT) -> Took:
    """Run a program to its end. RuntimeError when it fails; Ctrl-C kills it."""
    start = perf_counter()
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            said = process.stdout.read() if process.stdout else ""
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:  # Ctrl-C: nothing stays behind
            process.kill()
            process.wait()
            raise
        wall = perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {process.returncode}")
    return Took(
        wall=wall,
        processor=used.ru_utime + used.ru_stime,
        peak=used.ru_maxrss * _UNIT,
        said=said,
    )


def by_turns(
    ways: Mapping[str, Sequence[str | Path]], rounds: int, what: str = ""
) -> dict[str, list[Took]]:
    """Each once, then each once more, so that all meet the same machine."""
    found: dict[str, list[Took]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, command in ways.items():
            tell(f"  {what or 'round'} {number + 1} of {rounds}: {name}")
            found[name].append(run(*command))
    return found


def ratios(times: Times, base: Times) -> list[float]:
    """Of the clock on the wall, round by round."""
    return [one.wall / other.wall for one, other in zip(times, base, strict=True)]


def figures(times: Times) -> tuple[str, str, str]:
    """Of a table: seconds, those of the processor, and megabytes of memory at most."""
    return (
        f"{middle(one.wall for one in times):.2f}",
        f"{middle(one.processor for one in times):.2f}",
        f"{max(one.peak for one in times) / 1e6:.0f}",
    )


def spread(ratios: Iterable[float]) -> str:
    """The median, the least and the most."""
    known = sorted(ratios)
    middle = _short(statistics.median(known))
    return f"{middle} ({_short(known[0])} to {_short(known[-1])})"


def middle(values: Iterable[float]) -> float:
    return statistics.median(values)


def _short(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
