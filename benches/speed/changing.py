"""How soon one changed file of many is served, beside the load of all of them."""

from __future__ import annotations

import json
import statistics
import sys

from benches import pages
from benches.speed.measure import Goal, Part, middle, run, spread, tell

_MODULE = (sys.executable, "-m", "benches.gitops", "--count")


def measured(count: int, rounds: int) -> Part:
    """Of so many files in git, one changes: seconds of the processor, without fetches."""
    found: list[tuple[float, float]] = []
    for number in range(rounds):
        tell(f"  one changed file {number + 1} of {rounds}: {count:,} files")
        (_, cold), changes = json.loads(run(*_MODULE, str(count)).said)
        found.append((cold, statistics.median(rest for _, rest in changes)))
    ratios = [cold / changed for cold, changed in found]
    cold, changed = (middle(times) for times in zip(*found, strict=True))
    line = (f"{count:,}", f"{cold:.2f}", f"{changed:.3f}", f"{spread(ratios)} x")
    head = ("files", "all of them, seconds of CPU", "one changed", "all to one")
    return Part(
        text="### One changed file, from its snapshot to served\n\n"
        f"{pages.table(head, [line])}\n",
        goals=[
            Goal(
                what=f"all of {count:,} files, by the time of one changed",
                ratios=ratios,
                at_least=20,
            )
        ],
    )
