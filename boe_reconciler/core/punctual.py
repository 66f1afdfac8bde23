"""The short way of a tick: one run a schedule, on time, the same for all alike.

Schedules with the same `timing` and the same mark owe the same row but for what names
the schedule. It is made once, by the same functions as every other row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from boe_reconciler.core import due, lifecycle
from boe_reconciler.core.calendar import jitter_of
from boe_reconciler.core.due import Standing
from boe_reconciler.core.runs import Run


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pattern:
    """The next run of a schedule, without what names the schedule."""

    #: Its `run_id` is the part after the schedule's name.
    run: Run
    #: The occurrence after it.
    following: datetime | None
    jitter: timedelta | None

    def not_before(self, uid: str) -> datetime:
        """When the run of this schedule may start."""
        occurrence = self.run.occurrence
        if self.jitter is None:
            return occurrence
        return occurrence + jitter_of(uid, occurrence, self.jitter, self.following)


@lru_cache(maxsize=1_000)
def pattern(timing: str, high_water: datetime) -> Pattern | None:
    """None: no occurrence is left."""
    nameless = Standing(
        name="",
        uid="",
        revision="",
        spec_digest="",
        timing=timing,
        covered_from=high_water,
        high_water=high_water,
        next_due=None,
        paused_in_git=False,
    )
    found = due.single(nameless)
    if found is None:
        return None
    new, following = found
    return Pattern(
        run=lifecycle.inserted(new, nameless, high_water),
        following=following,
        jitter=due.jitter(nameless),
    )
