"""How fast BOE is, beside what else one would use: `make bench`.

Everything runs by turns in one go, so that only ratios are compared. Each part gives a piece
of docs/performance.md; `--only` measures some of them, and prints them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benches import pages
from benches.speed import (
    changing,
    databases,
    due,
    files,
    growth,
    history,
    small,
    stages,
    standing,
    upcoming,
    validating,
)
from benches.speed.measure import Goal, Part, tell

#: A part of the page: what stands between its marks.
SECTION = "bench-{}"
FILES = list(files.KINDS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    folder: Path
    rounds: int
    #: Rows of a large file. Other sizes follow from it: a tenth and five times as many
    #: rows, 2,000 small exports, 10,000 files of YAML or schedules, and a ledger of
    #: a million runs for a million.
    rows: int

    def files(self, *kinds: str) -> Part:
        there = files.Files(folder=self.folder, rounds=self.rounds, kinds=kinds)
        fewer = files.whole(there, self.rows // 10)
        parts = [files.whole(there, self.rows), files.controls(there, self.rows // 10)]
        if "xlsx" in kinds:
            sizes = [self.rows // 10, self.rows, self.rows * 5]
            parts.append(files.memory(there, sizes))
        return Part(
            text="\n".join(part.text for part in (fewer, *parts)),
            goals=[goal for part in parts for goal in part.goals],
        )

    @property
    def _files(self) -> files.Files:
        return files.Files(folder=self.folder, rounds=self.rounds, kinds=FILES)

    def writing(self) -> Part:
        return files.held(self._files, self.rows)

    def small(self) -> Part:
        return small.measured(self._files, max(2, self.rows // 500))

    def postgres(self) -> Part:
        return databases.postgres(self._files, self.rows)

    def sqlite(self) -> Part:
        return databases.sqlite(self._files, self.rows)

    def validate(self) -> Part:
        return validating.measured(self.folder, self.rows // 100, self.rounds)

    def changing(self) -> Part:
        return changing.measured(self.rows // 100, self.rounds)

    def standing(self) -> Part:
        return standing.measured(self.folder, self.rows // 100, self.rounds)

    def upcoming(self) -> Part:
        return upcoming.measured(self.rows // 100, self.rounds)

    def due(self) -> Part:
        return due.measured(self.rows // 100, self.rounds)

    def history(self) -> Part:
        return history.measured(self.folder, self.rows, self.rounds)

    def growth(self) -> Part:
        return growth.measured(self._files, self.rows)

    def stages(self) -> Part:
        return stages.measured(self._files, self.rows // 5)


#: What `--only` names; all of it is measured without.
PARTS: dict[str, Callable[[Bench], Part]] = {
    "files": lambda bench: bench.files(*FILES),
    "writing": Bench.writing,
    "postgres": Bench.postgres,
    "sqlite": Bench.sqlite,
    "small": Bench.small,
    "validate": Bench.validate,
    "changing": Bench.changing,
    "standing": Bench.standing,
    "upcoming": Bench.upcoming,
    "due": Bench.due,
    "history": Bench.history,
    "growth": Bench.growth,
    "stages": Bench.stages,
}
#: Parts of parts, for who works on one of them.
PIECES: dict[str, Callable[[Bench], Part]] = {
    kind: lambda bench, kind=kind: bench.files(kind)  # type: ignore[misc]  # bound now
    for kind in FILES
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=[*PARTS, *PIECES], default=[])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page", type=Path, help="write whole parts into it")
    given = parser.parse_args(arguments)
    try:
        return _measure(given)
    except KeyboardInterrupt:
        sys.stderr.write("\nEnded by Ctrl-C; what was written stays.\n")
        return 130


def _measure(given: argparse.Namespace) -> int:
    names = given.only or list(PARTS)
    goals: list[Goal] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="boe-bench-") as folder:
        bench = Bench(folder=Path(folder), rounds=given.rounds, rows=given.rows)
        for name in names:
            tell(f"{name}, {len(goals)} goals measured so far\n")
            try:
                found = {**PARTS, **PIECES}[name](bench)
            except (RuntimeError, OSError) as error:
                # The others can be measured all the same.
                failed.append(name)
                sys.stderr.write(f"\n{name} failed: {error}\n")
                continue
            goals += found.goals
            _give(name, found, given.page)
    if goals:
        _give("goals", Part(text=_verdict(goals)), None if given.only else given.page)
    return 1 if failed else 0


def _give(name: str, part: Part, page: Path | None) -> None:
    """What was measured so far stays, whatever becomes of the rest."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    sys.stdout.write(f"{part.text}\n")
    sys.stdout.flush()
    if page and name not in PIECES:
        pages.put(page, SECTION.format(name), f"{part.text}\n{_where()}")


def _verdict(goals: Sequence[Goal]) -> str:
    head = ("what", "goal", "measured", "holds")
    return pages.table(head, [goal.line() for goal in goals]) + "\n"


def _where() -> str:
    """Of a machine that does much else, the ratios say less."""
    return f"Measured on {pages.machine()}, with a load of {os.getloadavg()[2]:.0f}."


if __name__ == "__main__":
    sys.exit(main())
