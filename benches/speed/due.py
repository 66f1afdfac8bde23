"""What is due at once, inserted and claimed, beside plain SQLite.

`python -m benches.speed.due COUNT ROUNDS` measures it and prints it as JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benches import pages
from benches.speed.measure import Part, middle, run, spread, tell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Runs that may go on at once: as many are claimed in one transaction.
WORKERS = 64
_BOE = "**BOE**: tick and claims"
_WHOLE = "**BOE**: from the tick to the last run in its worker's hands"
_BARE = "plain SQLite, as many in each transaction"
_ALONE = "plain SQLite, a transaction for each"


def measured(count: int, rounds: int) -> Part:
    tell(f"  {count:,} runs due at once, {rounds} rounds")
    command = (sys.executable, "-m", "benches.speed.due", str(count), str(rounds))
    found = json.loads(run(*command).said)
    lines = [_line(name, each, found[_BOE]) for name, each in found.items()]
    head = ("by", "µs each", "of CPU", "time of BOE's")
    return Part(
        text=f"### {count:,} runs that are due at once, inserted and claimed\n\n"
        f"{pages.table(head, lines)}\n\n"
        f"All on the same tables, each transaction on disk before the next; BOE inserts 500 in one and\n"
        f"claims {WORKERS}. Of a transaction for each, a tenth was measured.\n"
    )


def _line(
    name: str, each: Sequence[Mapping[str, float]], ours: Sequence[Mapping[str, float]]
) -> tuple[str, ...]:
    pairs = zip(each, ours, strict=True)
    return (
        name,
        f"{middle(1e6 * one['wall'] for one in each):.1f}",
        f"{middle(1e6 * one['processor'] for one in each):.1f}",
        f"{spread(one['wall'] / mine['wall'] for one, mine in pairs)} x",
    )


def ask(folder: Path, count: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Seconds for each run, round by round."""
    from benches.dispatch import Rounds

    gc.disable()  # as in a command
    there, few = Rounds(folder, count, WORKERS), max(1, count // 10)
    ways = {
        _BOE: (there.serve, count),
        _WHOLE: (there.execute, count),
        _BARE: (there.bare, count),
        _ALONE: (lambda: there.plainly(few, 1, 1), few),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (way, rows) in ways.items():
            took = asdict(way())
            found[name].append({what: one / rows for what, one in took.items()})
    there.ledger.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("rounds", type=int)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = ask(Path(name), given.count, given.rounds)
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
