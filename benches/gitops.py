"""How soon one changed file of many is served: `make bench-gitops`.

A branch with 1,000 and one with 10,000 schedules, each in its own file. One file changes;
`fetch` is what git needs to ask for the head and to fetch it, from a repo on the same disk.
The rest is BOE: it reads the listing and the one file, judges the revision, and
activates it in the ledger. Both are measured side by side, change after change, in
seconds of CPU: those of git count as well.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benches import pages
from boe_reconciler.blobs import folder
from boe_reconciler.clock import SystemClock
from boe_reconciler.engine.reconciler import Reconciler
from boe_reconciler.ledgers import sqlite
from tests.folders import document, schedule
from tests.gits import Upstream, a_remote, a_repo

COUNTS = (1_000, 10_000)
CHANGES = 5


def cpu() -> float:
    """Seconds of CPU so far, of this process and of the gits that it ran."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(
            resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, help="write the table into this page")
    parser.add_argument("--count", type=int, help="of so many schedules, as JSON")
    given = parser.parse_args()
    if given.count:
        with tempfile.TemporaryDirectory() as place:
            sys.stdout.write(json.dumps(measured(given.count, Path(place))))
        return 0
    head = (
        "schedules",
        "all of them",
        "one changed: fetch",
        "the rest",
        "rest / fetch",
    )
    lines = []
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as place:
            lines.append(row(count, Path(place)))
    table = pages.table(head, lines)
    sys.stdout.write(f"{table}\n")
    if given.page:
        pages.put(given.page, "bench-gitops", table)
    return 0


def row(count: int, place: Path) -> tuple[str, ...]:
    first, changes = measured(count, place)
    fetch, rest = (statistics.median(each) for each in zip(*changes, strict=True))
    return (
        f"{count:,}",
        f"{sum(first):.1f} s",
        f"{fetch * 1000:.0f} ms",
        f"{rest * 1000:.0f} ms",
        f"{rest / fetch:.1f}",
    )


def measured(
    count: int, place: Path
) -> tuple[tuple[float, float], list[tuple[float, float]]]:
    """(fetch, rest) of all of them, and of each change."""
    upstream = Upstream(place / "upstream.git")
    connection = document("Connection", "none", {"type": "duckdb"})
    files = {"connections/none.yaml": json.dumps(connection)}
    upstream.commit_many({**files, **dict(text(n, 0) for n in range(count))})
    repo = a_repo(place / "state", a_remote(upstream.path))
    ledger = sqlite.create(place / "ledger.sqlite")
    with closing(repo), closing(ledger):
        reconciler = Reconciler(
            repo=repo,
            ledger=ledger,
            blobs=folder.create(place / "blobs"),
            clock=SystemClock(),
        )
        first = reconciled(reconciler)
        reconciler.reconcile()
        return first, list(changes(count, upstream, reconciler))


def changes(
    count: int, upstream: Upstream, reconciler: Reconciler
) -> Iterator[tuple[float, float]]:
    for number in range(CHANGES):
        upstream.commit_many(dict([text(number * count // CHANGES, number + 1)]))
        reconciler.repo.hurry()
        yield reconciled(reconciler)


def reconciled(reconciler: Reconciler) -> tuple[float, float]:
    """Seconds of its fetch, and of all else."""
    repo = reconciler.repo
    fetches: list[float] = []
    real = repo._fetch  # type: ignore[attr-defined]  # where the time goes

    def timed() -> str:
        begin = cpu()
        found: str = real()
        fetches.append(cpu() - begin)
        return found

    repo._fetch = timed  # type: ignore[attr-defined]  # as above
    begin = cpu()
    reconciler.reconcile()
    whole = cpu() - begin
    repo._fetch = real  # type: ignore[attr-defined]  # as above
    return sum(fetches), whole - sum(fetches)


def text(number: int, version: int) -> tuple[str, str]:
    """Each owner has as many schedules as one may have."""
    owner = {"owner": f"team{number // 10}@example.com"}
    query = f"select {version} as version"
    one = schedule(f"s{number}", query=query, metadata=owner)
    return f"schedules/{number % 100}/s{number}.yaml", json.dumps(one)


if __name__ == "__main__":
    sys.exit(main())
