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
from benches.speed import files, history, small, standing, upcoming, validating

#: A part of the page: what stands between its marks.
SECTION = "bench-{}"
FILES = list(files.KINDS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    folder: Path
    rounds: int
    #: Rows of a large file. Other sizes follow from it: a tenth and five times as many
    #: rows, 500 small exports, 10,000 files of YAML or schedules, and a ledger of
    #: a million runs for a million.
    rows: int

    def files(self, *kinds: str) -> str:
        there = files.Files(folder=self.folder, rounds=self.rounds, kinds=kinds)
        parts = [
            files.whole(there, self.rows // 10),
            files.whole(there, self.rows),
            files.controls(there, self.rows // 10),
        ]
        if "xlsx" in kinds:
            sizes = [self.rows // 10, self.rows, self.rows * 5]
            parts.append(files.memory(there, sizes))
        return "\n".join(filter(None, parts))

    def writing(self) -> str:
        there = files.Files(folder=self.folder, rounds=self.rounds, kinds=FILES)
        return files.held(there, self.rows)

    def small(self) -> str:
        there = files.Files(folder=self.folder, rounds=self.rounds, kinds=[])
        return small.measured(there, max(2, self.rows // 2_000))

    def validate(self) -> str:
        return validating.measured(self.folder, self.rows // 100, self.rounds)

    def standing(self) -> str:
        return standing.measured(self.folder, self.rows // 100, self.rounds)

    def upcoming(self) -> str:
        return upcoming.measured(self.rows // 100, self.rounds)

    def history(self) -> str:
        return history.measured(self.folder, self.rows, self.rounds)


#: What `--only` names; all of it is measured without.
PARTS: dict[str, Callable[[Bench], str]] = {
    "files": lambda bench: bench.files(*FILES),
    "writing": Bench.writing,
    "small": Bench.small,
    "validate": Bench.validate,
    "standing": Bench.standing,
    "upcoming": Bench.upcoming,
    "history": Bench.history,
}
#: Parts of parts, for who works on one of them.
PIECES: dict[str, Callable[[Bench], str]] = {
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
    with tempfile.TemporaryDirectory(prefix="boe-bench-") as folder:
        bench = Bench(folder=Path(folder), rounds=given.rounds, rows=given.rows)
        for name in given.only or PARTS:
            found = {**PARTS, **PIECES}[name](bench)
            sys.stdout.write(f"{found}\n")
            sys.stdout.flush()
            if given.page and name in PARTS:
                pages.put(given.page, SECTION.format(name), f"{found}\n{_where()}")
    return 0


def _where() -> str:
    """Of a machine that does much else, the ratios say less."""
    return f"Measured on {pages.machine()}, with a load of {os.getloadavg()[2]:.0f}."


if __name__ == "__main__":
    sys.exit(main())
