"""When to try again (docs/life-of-a-run.md). Only Temporary errors come here."""

from __future__ import annotations

from datetime import timedelta


def delay(
    tries: int, *, initial: timedelta, most: timedelta, random: float
) -> timedelta:
    """The wait after so many failed tries: doubled each time, capped, spread.

    `random` in [0, 1) chooses between half of it and all of it.
    """
    # 2^40 times the shortest `initial` is beyond any cap, and cannot overflow.
    doubled = min(
        initial.total_seconds() * 2.0 ** min(tries - 1, 40), most.total_seconds()
    )
    return timedelta(seconds=doubled * (0.5 + random / 2))
