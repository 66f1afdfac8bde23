"""Sets of local dates: working days, the days of a cron, business days.

A day is the number of days since 1970-01-01, a month the number 12 * year + month - 1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from typing import Literal, Protocol

from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.others import CalendarSpec, DaysOff

_ORDINAL = date(1970, 1, 1).toordinal()
#: Days outside 1970 to 2199 are not looked at.
FIRST_DAY = 0
LAST_DAY = date(2199, 12, 31).toordinal() - _ORDINAL

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
BusinessPeriod = Literal["weekly", "monthly", "quarterly", "yearly"]
#: How many months a period has, from January on.
_MONTHS = {"monthly": 1, "quarterly": 3, "yearly": 12}


def to_day(moment: date) -> int:
    return moment.toordinal() - _ORDINAL


def to_date(day: int) -> date:
    return date.fromordinal(day + _ORDINAL)


def weekday(day: int) -> int:
    """Monday is 0."""
    return (day + 3) % 7


@lru_cache(maxsize=4096)
def month_of(day: int) -> int:
    moment = to_date(day)
    return moment.year * 12 + moment.month - 1


def month_start(month: int) -> int:
    """Its first day."""
    return date(month // 12, month % 12 + 1, 1).toordinal() - _ORDINAL


def month_days(month: int) -> range:
    return range(month_start(month), month_start(month + 1))


class Days(Protocol):
    def in_month(self, month: int) -> tuple[int, ...]:
        """The days of the set in a month, in order."""


# --- Calendars ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkingDays:
    #: Weekdays on which people work; Monday is 0.
    weekdays: frozenset[int]
    #: First days of the stretches off, in order; they neither touch nor overlap.
    starts: tuple[int, ...] = ()
    #: Their last days.
    ends: tuple[int, ...] = ()

    def __contains__(self, day: int) -> bool:
        return weekday(day) in self.weekdays and self._stretch(day) is None

    def _stretch(self, day: int) -> int | None:
        """Which stretch off holds the day."""
        index = bisect_right(self.starts, day) - 1
        return index if index >= 0 and day <= self.ends[index] else None

    def seek(self, day: int, step: int) -> int:
        """The first working day from `day` on (step 1) or back (step -1).

        Outside the years that are looked at where there is none in them.
        """
        while FIRST_DAY <= day <= LAST_DAY:
            index = self._stretch(day)
            if index is not None:
                day = self.ends[index] + 1 if step > 0 else self.starts[index] - 1
            elif weekday(day) not in self.weekdays:
                day += step
            else:
                return day
        return day


def working_days(spec: CalendarSpec) -> WorkingDays | list[Finding]:
    """Compile a Calendar. All findings at once, their paths relative to its spec."""
    findings: list[Finding] = []
    stretches = []
    for place, off in enumerate(spec.days_off):
        first, last = (off.from_, off.to) if isinstance(off, DaysOff) else (off, off)
        stretches.append((to_day(first), to_day(last)))
        if first > last:
            findings.append(_reversed_days_off(place, first, last))
    if findings:
        return findings
    return WorkingDays(_weekdays(spec.working_days), *_joined(sorted(stretches)))


def last_day_off(spec: CalendarSpec) -> date | None:
    """Up to where the Calendar's dates are known."""
    ends = [off.to if isinstance(off, DaysOff) else off for off in spec.days_off]
    return max(ends, default=None)


def _weekdays(text: str) -> frozenset[int]:
    """ "mon-fri" or "mon,wed-fri" or "sat-wed" -> their numbers."""
    found: set[int] = set()
    for item in text.replace(" ", "").split(","):
        first, *rest = (WEEKDAYS.index(name) for name in item.split("-"))
        length = (rest[0] - first) % 7 if rest else 0
        found |= {(first + n) % 7 for n in range(length + 1)}
    return frozenset(found)


def _joined(
    stretches: list[tuple[int, int]],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    starts: list[int] = []
    ends: list[int] = []
    for first, last in stretches:
        if ends and first <= ends[-1] + 1:
            ends[-1] = max(ends[-1], last)
        else:
            starts.append(first)
            ends.append(last)
    return tuple(starts), tuple(ends)


def _reversed_days_off(place: int, first: date, last: date) -> Finding:
    return Finding(
        code="BOE082",
        path=("days_off", place),
        detail=f"the days off end on {last}, before they begin on {first}",
        help="put the earlier date into `from`",
    )


# --- Day sets -------------------------------------------------------------------

ALL_DAYS = frozenset(range(1, 32))
ALL_MONTHS = frozenset(range(1, 13))
ALL_WEEKDAYS = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class CronDays:
    """The days that the three day fields of a cron name."""

    #: 1 to 31.
    days: frozenset[int] = ALL_DAYS
    #: Whether the last day of the month is among them.
    last: bool = False
    months: frozenset[int] = ALL_MONTHS
    #: Monday is 0.
    weekdays: frozenset[int] = ALL_WEEKDAYS
    #: (weekday, n): the n-th of the month.
    nth: frozenset[tuple[int, int]] = frozenset()
    #: With both day fields restricted: whether one of them is enough.
    either: bool = False

    def in_month(self, month: int) -> tuple[int, ...]:
        return _cron_month(self, month)


@lru_cache(maxsize=1 << 14)
def _cron_month(days: CronDays, month: int) -> tuple[int, ...]:
    if month % 12 + 1 not in days.months:
        return ()
    every = month_days(month)
    by_date = {every[n - 1] for n in days.days if n <= len(every)}
    if days.last:
        by_date.add(every[-1])
    by_weekday = {
        day
        for n, day in enumerate(every)
        if weekday(day) in days.weekdays or (weekday(day), n // 7 + 1) in days.nth
    }
    both = by_date | by_weekday if days.either else by_date & by_weekday
    return tuple(sorted(both))


@dataclass(frozen=True, slots=True)
class BusinessDays:
    """The n-th working day of each week, month, quarter or year."""

    period: BusinessPeriod
    #: From 1 on; negative counts from the end.
    n: int
    calendar: WorkingDays

    def in_month(self, month: int) -> tuple[int, ...]:
        within = month_days(month)
        found = (self._in_period(period) for period in self._periods(month))
        return tuple(day for day in found if day is not None and day in within)

    def _periods(self, month: int) -> Iterator[range]:
        """The periods that have days in the month."""
        if self.period == "weekly":
            days = month_days(month)
            for monday in range(days[0] - weekday(days[0]), days[-1] + 1, 7):
                yield range(monday, monday + 7)
        else:
            length = _MONTHS[self.period]
            first = month - month % length
            yield range(month_start(first), month_start(first + length))

    def _in_period(self, period: range) -> int | None:
        step = 1 if self.n > 0 else -1
        day = (period if step > 0 else period[::-1])[0] - step
        for _ in range(abs(self.n)):
            day = self.calendar.seek(day + step, step)
            if day not in period:
                return None
        return day


@dataclass(frozen=True, slots=True)
class AnyDays:
    """Days that are in one of several sets."""

    sets: tuple[Days, ...]

    def in_month(self, month: int) -> tuple[int, ...]:
        return tuple(sorted({day for one in self.sets for day in one.in_month(month)}))
