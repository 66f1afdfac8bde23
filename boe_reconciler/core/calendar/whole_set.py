"""What is wrong with an occurrence set as a whole: it is empty, or too dense."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

from boe_reconciler.core.calendar import zones
from boe_reconciler.core.calendar.days import last_day_off, to_day
from boe_reconciler.core.calendar.timetable import (
    FIRST,
    LAST,
    Fixed,
    OnWorkingDays,
    Stream,
    Timetable,
    Wall,
)
from boe_reconciler.core.calendar.when_fields import SHAPES, given
from boe_reconciler.core.calendar.zones import DAY, EPOCH
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.resources.others import CalendarSpec
from boe_reconciler.core.resources.types import format_duration
from boe_reconciler.core.resources.when import When


def set_findings(
    when: When,
    timetable: Timetable,
    calendar: CalendarSpec | None,
    min_interval: timedelta,
) -> list[Finding]:
    """No run within 10 years, or runs closer than `min_interval` (floor: a second)."""
    least = max(min_interval, timedelta(seconds=1))
    return [
        *_never(when, timetable, calendar),
        *_too_often(when, timetable.stream, least),
    ]


#: Fields that may leave nothing of what the others say, the likeliest first.
_LIMITS = ("end_at", "start_at", "calendar", "anchor", "once")


def _never(
    when: When, timetable: Timetable, calendar: CalendarSpec | None
) -> Iterator[Finding]:
    """A calendar or a bound that leaves nothing within 10 years."""
    limits = given(when, *_LIMITS)
    if not limits:
        return
    found = timetable.next(zones.to_datetime(timetable.first - 1))
    last_off = last_day_off(calendar) if calendar else None
    known = to_day(last_off) * DAY if last_off else FIRST
    start = max(timetable.first, known, zones.to_seconds(when.anchor or EPOCH))
    if when.end_at or when.once:
        start = LAST
    if found is None or zones.to_seconds(found) > start + 3653 * DAY:
        yield Finding(
            code="BOE067",
            path=(limits[0],),
            detail=f"with this {limits[0]} no run is left within 10 years",
            help="look at it together with the days and times of `when`",
        )


def _too_often(when: When, stream: Stream, least: timedelta) -> Iterator[Finding]:
    closest = _closest(stream, int(least.total_seconds()))
    if closest is None or closest >= least.total_seconds():
        return
    shape = given(when, *SHAPES)[0]
    yield Finding(
        code="BOE072",
        path=(shape,),
        detail=f"runs come {format_duration(timedelta(seconds=closest))} apart; "
        f"the least allowed is {format_duration(least)}",
        help="run less often, or ask for a smaller min_interval in policy.yaml",
    )


def _closest(stream: Stream, least: int) -> int | None:
    """The shortest distance of two runs by the wall clock, if it may be below `least`."""
    if isinstance(stream, OnWorkingDays | Fixed):
        instants = stream.instants
        first = instants[:2] if isinstance(instants, range) else instants
        return min((after - before for before, after in pairwise(first)), default=None)
    times = sorted({time for rule in stream.rules for time in rule.times})
    if _least_distance([*times, times[0] + DAY]) >= least:
        return None
    return _closest_walls(stream)


def _least_distance(walls: Sequence[int]) -> int:
    return min((after - before for before, after in pairwise(walls)), default=DAY)


def _closest_walls(wall: Wall) -> int:
    """Over 8 years, which hold every pattern of weekdays that matters."""
    distances = [DAY]
    seen: set[tuple[int, ...]] = set()
    before = -DAY
    for month in range(2024 * 12, 2032 * 12):
        for day, times in wall.month(month).items():
            distances.append(times[0] + day * DAY - before)
            before = day * DAY + times[-1]
            if times not in seen:
                seen.add(times)
                distances.append(_least_distance(times))
    return min(distances)
