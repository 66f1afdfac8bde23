"""How much happens at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from boe_reconciler.core.simulate.model import Peak, Simulated


def most_starts(runs: Sequence[Simulated]) -> Peak | None:
    minutes = Counter(
        run.started_at.replace(second=0, microsecond=0)
        for run in runs
        if run.started_at is not None
    )
    best = max(
        minutes.items(), key=lambda item: (item[1], -item[0].timestamp()), default=None
    )
    return Peak(at=best[0], count=best[1]) if best else None


def most_at_once(runs: Sequence[Simulated]) -> Peak | None:
    changes: list[tuple[datetime, int]] = []
    for run in runs:
        if run.started_at is not None and run.finished_at is not None:
            changes += [(run.started_at, 1), (run.finished_at, -1)]
    count, best = 0, None
    for at, change in sorted(changes):
        count += change
        if best is None or count > best.count:
            best = Peak(at=at, count=count)
    return best
