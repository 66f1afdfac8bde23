"""A second opinion on occurrences: look at every real minute, one after the other.

Written apart from the engine. Its zones are pytz's, which hold the same version of the
zone data but spell out every transition; its expressions are sets of numbers that it
chose itself, and their text. It knows nothing of days, offsets by wall time or caches.
"""

from __future__ import annotations

# ruff: noqa: DTZ001 naive datetimes are wall times here
import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache

import numpy as np
import pytz

EPOCH = datetime(1970, 1, 1)
MINUTES_A_DAY = 1440
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
Minutes = np.ndarray[tuple[int], np.dtype[np.int64]]


@cache
def transitions(zone: str) -> tuple[Minutes, Minutes]:
    """(minutes since 1970 at which an offset begins, that offset in minutes)."""
    found = pytz.timezone(zone)
    times = getattr(found, "_utc_transition_times", [EPOCH])
    infos = getattr(found, "_transition_info", [(found.utcoffset(EPOCH),)])
    starts = [
        int((max(t, datetime(1900, 1, 1)) - EPOCH).total_seconds()) for t in times
    ]
    offsets = [int(info[0].total_seconds()) for info in infos]
    starts[0] = -(10**12)
    return np.array(starts) // 60, np.array(offsets) // 60


def changes(zone: str, first: int, last: int) -> list[int]:
    """The minutes in the years first..last at which the offset changes."""
    starts, offsets = transitions(zone)
    low = minutes_of(datetime(first, 1, 1))
    high = minutes_of(datetime(last + 1, 1, 1))
    moved = offsets[1:] != offsets[:-1]
    return [int(at) for at in starts[1:][moved] if low <= at < high]


def minutes_of(moment: datetime) -> int:
    return int((moment - EPOCH).total_seconds()) // 60


@dataclass(frozen=True)
class Window:
    """Every real minute in [start, end), and the wall time it shows."""

    real: Minutes
    wall: Minutes
    #: The minutes at which each wall time of `wall` is shown the first and last time.
    first: Minutes
    last: Minutes
    #: Wall times that no minute shows, and the minute that the offset before gives.
    skipped: Minutes
    shifted: Minutes


def window(zone: str, start: int, end: int) -> Window:
    starts, offsets = transitions(zone)
    real = np.arange(start, end)
    wall = real + offsets[np.searchsorted(starts, real, side="right") - 1]
    _, first = np.unique(wall, return_index=True)
    _, last = np.unique(wall[::-1], return_index=True)
    skipped, shifted = [], []
    for jump in np.flatnonzero(np.diff(wall) > 1):
        for missing in range(int(wall[jump]) + 1, int(wall[jump + 1])):
            skipped.append(missing)
            shifted.append(int(real[jump]) + missing - int(wall[jump]))
    return Window(
        real,
        wall,
        np.sort(first),
        np.sort(len(wall) - 1 - last),
        np.array(skipped, dtype=np.int64),
        np.array(shifted, dtype=np.int64),
    )


@dataclass(frozen=True, kw_only=True)
class Expression:
    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    last_day: bool
    months: frozenset[int]
    #: Sunday is 0.
    weekdays: frozenset[int]
    nth: frozenset[tuple[int, int]]
    day_match: str | None

    def on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        last = (day + timedelta(days=1)).day == 1
        by_date = day.day in self.days or (self.last_day and last)
        weekday = day.isoweekday() % 7
        by_weekday = weekday in self.weekdays or any(
            weekday == which and (day.day + 6) // 7 == n for which, n in self.nth
        )
        if self.day_match == "or":
            return by_date or by_weekday
        return by_date and by_weekday

    def matches(self, walls: Minutes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        of_day = np.zeros(MINUTES_A_DAY, dtype=bool)
        of_day[
            [hour * 60 + minute for hour in self.hours for minute in self.minutes]
        ] = 1
        days = walls // MINUTES_A_DAY
        good = [
            day
            for day in np.unique(days)
            if self.on(date(1970, 1, 1) + timedelta(int(day)))
        ]
        return of_day[walls % MINUTES_A_DAY] & np.isin(days, good)


def occurrences(
    seen: Window,
    expression: Expression,
    gap: str | None = None,
    fold: str | None = None,
) -> list[int]:
    """The minutes of the window at which an expression is due."""
    every_hour = len(expression.hours) == 24
    gap = gap or ("skip" if every_hour else "shift")
    fold = fold or ("both" if every_hour else "first")
    chosen = {
        "both": np.arange(len(seen.real)),
        "first": seen.first,
        "last": seen.last,
    }[fold]
    found = set(seen.real[chosen][expression.matches(seen.wall[chosen])].tolist())
    if gap == "shift" and len(seen.skipped):
        found |= set(seen.shifted[expression.matches(seen.skipped)].tolist())
    return sorted(found)


# --- Random expressions -----------------------------------------------------------


def random_expression(chance: random.Random, near: datetime) -> Expression:
    """An expression that is likely to be due around a wall time."""
    minute_text, minutes = _field(chance, 0, 59, near.minute)
    hour_text, hours = _hours(chance, near.hour)
    day_text, days, last_day = _days(chance, near.day)
    month_text, months = ("*", frozenset(range(1, 13)))
    if chance.random() < 0.2:
        month_text, months = _field(chance, 1, 12, near.month)
        if chance.random() < 0.5 and len(months) == 1:
            month_text = MONTHS[min(months) - 1]
    weekday_text, weekdays, nth = _weekdays(chance, near.isoweekday() % 7)
    by_date = len(days) < 31
    if by_date and nth:
        day_text, days, last_day, by_date = "*", frozenset(range(1, 32)), False, False
    both = by_date and len(weekdays) < 7
    return Expression(
        text=f"{minute_text} {hour_text} {day_text} {month_text} {weekday_text}",
        minutes=minutes,
        hours=hours,
        days=days,
        last_day=last_day,
        months=months,
        weekdays=weekdays,
        nth=nth,
        day_match=chance.choice(["or", "and"]) if both else None,
    )


def _field(
    chance: random.Random, low: int, high: int, near: int
) -> tuple[str, frozenset[int]]:
    way = chance.randrange(6)
    if way == 0:
        return "*", frozenset(range(low, high + 1))
    if way == 1:
        step = chance.randrange(2, (high - low) // 2 + 1)
        return f"*/{step}", frozenset(range(low, high + 1, step))
    if way == 2:
        some = {near, *(chance.randint(low, high) for _ in range(3))}
        return ",".join(map(str, some)), frozenset(some)
    if way == 3:
        start = chance.randint(low, min(near, high - 1))
        end = chance.randint(max(start + 1, min(near, high)), high)
        return f"{start}-{end}", frozenset(range(start, end + 1))
    if way == 4:
        start = chance.randint(low, high - 4)
        end = chance.randint(start + 3, high)
        step = chance.randrange(2, 4)
        return f"{start}-{end}/{step}", frozenset(range(start, end + 1, step))
    one = chance.choice([near, chance.randint(low, high)])
    return str(one), frozenset({one})


def _hours(chance: random.Random, near: int) -> tuple[str, frozenset[int]]:
    around = (near + chance.randint(-2, 2)) % 24
    if chance.random() < 0.4:
        return str(around), frozenset({around})
    return _field(chance, 0, 23, around)


def _days(chance: random.Random, near: int) -> tuple[str, frozenset[int], bool]:
    way = chance.random()
    if way < 0.7:
        return "*", frozenset(range(1, 32)), False
    if way < 0.75:
        return "L", frozenset(), True
    text, days = _field(chance, 1, 31, near)
    if way < 0.8:
        return f"{text},l" if text != "*" else text, days, text != "*"
    return text, days, False


def _weekdays(
    chance: random.Random, near: int
) -> tuple[str, frozenset[int], frozenset[tuple[int, int]]]:
    way = chance.random()
    if way < 0.6:
        return "*", frozenset(range(7)), frozenset()
    if way < 0.7:
        n = chance.randint(1, 5)
        name = chance.choice([str(near), WEEKDAYS[near]])
        return f"{name}#{n}", frozenset(), frozenset({(near, n)})
    if way < 0.8:
        return WEEKDAYS[near], frozenset({near}), frozenset()
    if way < 0.9:
        return "mon-fri", frozenset(range(1, 6)), frozenset()
    text, some = _field(chance, 0, 6, near)
    if "-" not in text and "/" not in text and chance.random() < 0.3:
        text = text.replace("0", "7")
    return text, some, frozenset()
