"""Timetable: the instants at which a Schedule is due (docs/time.md).

A pure function of the spec, its calendar's dates and the zone data: asking forwards,
backwards, for a range or again after a restart gives the same set.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import field
from datetime import datetime
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo

from boe_reconciler.core.calendar import zones
from boe_reconciler.core.calendar.days import (
    FIRST_DAY,
    LAST_DAY,
    Days,
    WorkingDays,
    month_days,
    month_of,
    to_date,
)
from boe_reconciler.core.calendar.zones import DAY
from boe_reconciler.core.problems import Path
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.when import IfDayOff

_T = TypeVar("_T")
#: The first and the last instant that is looked at: 1970 to 2199.
FIRST = FIRST_DAY * DAY
LAST = LAST_DAY * DAY + DAY - 1

#: (base, times): the instants base + time, in order. Segments follow each other.
Segment = tuple[int, Sequence[int]]
#: Seconds after midnight, in order, each once.
Times = tuple[int, ...]


# --- Instants that no wall clock moves: `every` and `once` -------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Fixed:
    #: In order, each once.
    instants: Sequence[int]

    def segments(self, days: range) -> Iterator[Segment]:
        if self.instants:
            yield 0, self.instants

    def note(self, instant: int) -> str | None:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class OnWorkingDays:
    """Instants whose local date is a working day."""

    instants: Sequence[int]
    timezone: str
    calendar: WorkingDays

    def segments(self, days: range) -> Iterator[Segment]:
        done: range | None = None
        for day in days:
            if done is None or day not in done:
                done, intervals = self._around(day)
                for start, end in intervals[:: days.step]:
                    yield from self._cut(start, end)

    def note(self, instant: int) -> str | None:
        return None

    def _around(self, day: int) -> tuple[range, list[tuple[int, int]]]:
        """The working time of a local day, or of the unquiet days around it."""
        start = zones.midnight(self.timezone, day)
        if start is not None:
            work = [(start, start + DAY)] if day in self.calendar else []
            return range(day, day + 1), work
        days = zones.unquiet_days(self.timezone, day)
        return days, list(_working_time(self.timezone, self.calendar, days))

    def _cut(self, start: int, end: int) -> Iterator[Segment]:
        found = self.instants[
            bisect_left(self.instants, start) : bisect_left(self.instants, end)
        ]
        if found:
            yield 0, found


def _working_time(
    timezone: str, calendar: WorkingDays, days: range
) -> Iterator[tuple[int, int]]:
    """[start, end) of each stretch whose local date works, between two quiet days."""
    start = (zones.midnight(timezone, days[0] - 1) or 0) + DAY
    end = zones.midnight(timezone, days[-1] + 1) or 0
    for first, last, offset in zones.pieces(timezone, start, end):
        for day in range((first + offset) // DAY, (last - 1 + offset) // DAY + 1):
            if day in calendar:
                midnight = day * DAY - offset
                yield max(first, midnight), min(last, midnight + DAY)


# --- Wall times: `cron` and `frequency` -------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Wall times on days, and what becomes of them where the clock changes."""

    days: Days
    times: Times
    #: A wall time in a gap: its instant by the offset before it, or none.
    gap_shifts: bool
    #: A wall time that comes twice.
    first: bool
    second: bool
    #: Whether the spec says nothing of clock changes, though its times are fixed.
    unasked: bool = False
    #: Where it stands below `when`.
    path: Path = ()

    def instants(self, timezone: str, wall: int) -> Iterator[int]:
        before, after = zones.offsets(timezone, wall)
        if before == after:
            yield wall - before
        elif before < after:
            if self.gap_shifts:
                yield wall - before
        else:
            if self.first:
                yield wall - before
            if self.second:
                yield wall - after

    def lands(self, timezone: str, wall: int) -> int | None:
        """The local day of a wall time after gap mapping; None: it does not run."""
        before, after = zones.offsets(timezone, wall)
        if before < after:
            return (wall + after - before) // DAY if self.gap_shifts else None
        return wall // DAY


@dataclass(frozen=True, kw_only=True, slots=True)
class Moves:
    """A calendar at work: days off leave their wall times out, or move them."""

    calendar: WorkingDays
    if_day_off: IfDayOff
    timezone: str

    @property
    def step(self) -> int:
        return {"skip": 0, "next": 1, "previous": -1}[self.if_day_off]

    def sources(self, days: range) -> range:
        """The days whose wall times may end up on these.

        Two working days beyond: on the nearer one a gap may carry a time into a day
        off, so that it moves on.
        """
        first, last, seek = days[0], days[-1], self.calendar.seek
        if self.step > 0:
            first = seek(seek(first - 1, -1) - 1, -1)
        if self.step < 0:
            last = seek(seek(last + 1, 1) + 1, 1)
        return range(max(first, FIRST_DAY - 1), min(last, LAST_DAY + 1) + 1)

    def target(self, rule: Rule, wall: int) -> int | None:
        """The day that a wall time moves to, often its own; None: left out."""
        day = wall // DAY
        lands = rule.lands(self.timezone, wall)
        while lands is not None and lands not in self.calendar:
            beyond = self._working_day_beyond(day)
            if beyond is None:
                return None
            day = beyond
            lands = rule.lands(self.timezone, day * DAY + wall % DAY)
        return None if lands is None else day

    def _working_day_beyond(self, day: int) -> int | None:
        """The working day that a day off moves to."""
        if not self.step:
            return None
        found = self.calendar.seek(day + self.step, self.step)
        return found if FIRST_DAY <= found <= LAST_DAY else None

    def month(self, rule: Rule, month: int) -> dict[int, Times]:
        """The wall times of a rule on the days of a month, after moving."""
        found: dict[int, set[int]] = {}
        within = month_days(month)
        if self.calendar.seek(within[0], 1) > within[-1] + 1:
            return {}  # one of perhaps many months without a working day
        for source in _days_of(rule.days, self.sources(within)):
            for day, times in self._targets(rule, source):
                if day is not None and day in within:
                    found.setdefault(day, set()).update(times)
        return {day: tuple(sorted(found[day])) for day in sorted(found)}

    def origins(self, rule: Rule, wall: int) -> list[int]:
        """The days whose wall time ended up here."""
        day = wall // DAY
        sources = _days_of(rule.days, self.sources(range(day, day + 1)))
        return [
            source
            for source in sources
            if self.target(rule, source * DAY + wall % DAY) == day
        ]

    def _targets(
        self, rule: Rule, day: int
    ) -> Iterator[tuple[int | None, Sequence[int]]]:
        """The days that a day's wall times move to; whole days at once where possible."""
        whole = day if day in self.calendar else self._working_day_beyond(day)
        if self._steady(day) and (whole is None or self._steady(whole)):
            yield whole, rule.times
        else:
            for time in rule.times:
                yield self.target(rule, day * DAY + time), (time,)

    def _steady(self, day: int) -> bool:
        return zones.steady_offset(self.timezone, day) is not None


def _days_of(days: Days, within: range) -> Iterator[int]:
    for month in range(month_of(within[0]), month_of(within[-1]) + 1):
        yield from (day for day in days.in_month(month) if day in within)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wall:
    """Rules of one zone, merged into one stream."""

    timezone: str
    rules: tuple[Rule, ...]
    moves: Moves | None = None
    #: The last few months, where they are dear to make.
    _months: dict[int, dict[int, Times]] = field(
        default_factory=dict, compare=False, repr=False
    )
    #: The instants of the last unquiet days, by the first of the days.
    _unquiet: dict[int, list[int]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def segments(self, days: range) -> Iterator[Segment]:
        done: range | None = None
        for day, times in self._days(days):
            base = zones.midnight(self.timezone, day)
            if base is not None:
                yield base, times
            elif done is None or day not in done:
                done = zones.unquiet_days(self.timezone, day)
                instants = self._instants(done)
                if instants:
                    yield 0, instants

    def month(self, month: int) -> dict[int, Times]:
        """The wall times of each day in a month that has some, in order."""
        if not self.moves and len(self.rules) == 1:
            return self._rule_month(self.rules[0], month)
        if month in self._months:
            return self._months[month]
        found = [self._rule_month(rule, month) for rule in self.rules]
        days = sorted({day for times in found for day in times})
        merged = {
            day: _merged(tuple(times[day] for times in found if day in times))
            for day in days
        }
        return _kept(self._months, month, merged)

    def walls(self, rule: Rule, days: range) -> Iterator[int]:
        """The wall times of one rule on these days, after moving."""
        for month in range(month_of(days[0]), month_of(days[-1]) + 1):
            for day, times in self._rule_month(rule, month).items():
                if day in days:
                    yield from (day * DAY + time for time in times)

    def note(self, instant: int) -> str | None:
        if not self.moves and self._is_quiet(instant):
            return None
        found = [
            self._note(rule, wall, instant)
            for rule in self.rules
            for wall in self._walls_behind(rule, instant)
        ]
        return None if "" in found or not found else found[0]

    def _days(self, days: range) -> Iterator[tuple[int, Times]]:
        if not days:
            return
        step = days.step
        for month in range(month_of(days[0]), month_of(days[-1]) + step, step):
            found = self.month(month).items()
            for day, times in found if step > 0 else reversed(found):
                if day in days:
                    yield day, times

    def _rule_month(self, rule: Rule, month: int) -> dict[int, Times]:
        if self.moves:
            return self.moves.month(rule, month)
        return dict.fromkeys(rule.days.in_month(month), rule.times)

    def _instants(self, days: range) -> list[int]:
        if days[0] in self._unquiet:
            return self._unquiet[days[0]]
        found = {
            instant
            for rule in self.rules
            for wall in self.walls(rule, days)
            for instant in rule.instants(self.timezone, wall)
        }
        return _kept(self._unquiet, days[0], sorted(found))

    def _is_quiet(self, instant: int) -> bool:
        day = (instant + zones.offset_at(self.timezone, instant)) // DAY
        return zones.midnight(self.timezone, day) is not None

    def _walls_behind(self, rule: Rule, instant: int) -> list[int]:
        """The wall times that give an instant: its own, or one moved out of a gap."""
        offsets = {
            zones.offset_at(self.timezone, instant),
            zones.offset_at(self.timezone, instant - DAY),
        }
        near = range(instant // DAY - 2, instant // DAY + 3)
        possible = {instant + offset for offset in offsets}
        return [
            wall
            for wall in self.walls(rule, near)
            if wall in possible and instant in rule.instants(self.timezone, wall)
        ]

    def _note(self, rule: Rule, wall: int, instant: int) -> str:
        before, after = zones.offsets(self.timezone, wall)
        local = instant + zones.offset_at(self.timezone, instant)
        notes = []
        if local != wall:
            notes.append(f"moved from {_clock(wall, local)}: clock change")
        elif before > after:
            which = "first" if instant == wall - before else "second"
            notes.append(f"{which} of two {_clock(wall, local)}")
        origins = self.moves.origins(rule, wall) if self.moves else []
        if origins and wall // DAY not in origins:
            dates = ", ".join(str(to_date(day)) for day in origins)
            notes.append(f"moved from a day off {dates}")
        return "; ".join(notes)


@lru_cache(maxsize=256)
def _merged(several: tuple[Times, ...]) -> Times:
    return several[0] if len(several) == 1 else tuple(sorted(set().union(*several)))


def _kept(cache: dict[int, _T], key: int, value: _T) -> _T:
    if len(cache) > 3:
        cache.clear()
    cache[key] = value
    return value


def _clock(wall: int, local: int) -> str:
    """The wall time, with its date where that is not the date it came to."""
    day, clock = wall // DAY, zones.clock_text(wall)
    return clock if day == local // DAY else f"{to_date(day)} {clock}"


# --- The door ---------------------------------------------------------------------

#: `segments(days)` gives all instants of these UTC days in the order of the range,
#: and some others; `note(instant)` says what is unusual about one.
Stream = Fixed | OnWorkingDays | Wall


@dataclass(frozen=True, kw_only=True, slots=True)
class Timetable:
    """The occurrences of one Schedule. Instants are aware; those given back are UTC."""

    #: An IANA name.
    timezone: str
    stream: Stream
    #: Nothing before it (start_at), seconds since 1970.
    first: int = FIRST
    #: Nothing after it (end_at), seconds since 1970.
    last: int = LAST

    @property
    def zone(self) -> ZoneInfo:
        return zones.zone(self.timezone)

    def between(self, after: datetime, until: datetime) -> list[datetime]:
        """The occurrences in (after, until], in order."""
        return list(self.iter(after, until))

    def iter(
        self, after: datetime, until: datetime | None = None
    ) -> Iterator[datetime]:
        """The occurrences in (after, until] one by one; without `until` all of them."""
        for base, times in self.within(after, until):
            yield from map(zones.to_datetime, map(base.__add__, times))

    def count(self, after: datetime, until: datetime) -> int:
        """How many occurrences there are in (after, until], without making them."""
        return sum(len(times) for _, times in self.within(after, until))

    def next(self, after: datetime) -> datetime | None:
        """The first occurrence after an instant."""
        return next(self.iter(after), None)

    def previous(self, before: datetime) -> datetime | None:
        """The last occurrence before an instant."""
        high = zones.to_seconds(before) + (before.microsecond > 0)
        high = min(high, self.last + 1)
        days = range(min(high // DAY + 1, LAST_DAY + 1), self.first // DAY - 2, -1)
        for base, times in self.stream.segments(days):
            index = bisect_left(times, high - base)
            if index:
                found = base + times[index - 1]
                return zones.to_datetime(found) if found >= self.first else None
        return None

    def note(self, occurrence: datetime) -> str | None:
        """What is unusual about an occurrence, for people: a moved or doubled time."""
        return self.stream.note(zones.to_seconds(occurrence))

    def within(self, after: datetime, until: datetime | None) -> Iterator[Segment]:
        """The occurrences in (after, until] as segments, without making them."""
        low = max(zones.to_seconds(after), self.first - 1)
        high = self.last if until is None else min(zones.to_seconds(until), self.last)
        for base, times in self.stream.segments(range(low // DAY - 1, high // DAY + 2)):
            if base + times[0] > high:
                return
            start = bisect_right(times, low - base)
            stop = bisect_right(times, high - base)
            if start < stop:
                yield base, times[start:stop]
