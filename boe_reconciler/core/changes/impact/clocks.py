"""Runs of changed schedules that meet a change of the clock within a year."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from boe_reconciler.core.calendar import zones
from boe_reconciler.core.calendar.days import LAST_DAY, to_day
from boe_reconciler.core.calendar.timetable import Rule, Wall
from boe_reconciler.core.changes.impact.pairs import Look, Moment, Side

_YEAR = timedelta(days=366)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockChange:
    """A fixed time that the clock jumps over, or shows twice (docs/time.md)."""

    schedule: str
    timezone: str
    kind: Literal["gap", "fold"]
    #: What the clock would show; it has no zone, because it is no instant.
    wall: datetime
    #: When it runs instead, or in spite of it: never, once or twice.
    runs: Sequence[Moment]


def clock_changes(look: Look) -> Iterator[ClockChange]:
    for pair, after in look.changed:
        stream = after.clock.stream
        if pair.retimed and isinstance(stream, Wall):
            found = {
                one.wall: one
                for rule in stream.rules
                if not _every_hour(rule)
                for one in _met(after, stream, rule, look.now)
            }
            yield from (found[wall] for wall in sorted(found))


def _every_hour(rule: Rule) -> bool:
    """It follows the real hours: a change of the clock takes nothing from it."""
    return len({time // 3600 for time in rule.times}) == 24


def _met(side: Side, stream: Wall, rule: Rule, now: datetime) -> Iterator[ClockChange]:
    first = max(to_day(now.date()), 0)
    days = range(first, min(to_day((now + _YEAR).date()) + 1, LAST_DAY))
    for day in zones.changing_days(side.zone, days):
        for wall in stream.walls(rule, range(day, day + 1)):
            before, after = zones.offsets(side.zone, wall)
            if before != after:
                yield _change(side, rule, wall, gap=before < after)


def _change(side: Side, rule: Rule, wall: int, *, gap: bool) -> ClockChange:
    instants = rule.instants(side.zone, wall)
    return ClockChange(
        schedule=side.planned.name,
        timezone=side.zone,
        kind="gap" if gap else "fold",
        wall=zones.wall_datetime(wall),
        runs=[side.moment(zones.to_datetime(one)) for one in instants],
    )
