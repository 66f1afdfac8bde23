"""Time zones: zoneinfo on the pinned tzdata package, never on the machine's own files.

Inside the core, an instant is a whole number of seconds since 1970-01-01T00:00Z, a
day the number of days since 1970-01-01, and a wall time the instant that it would be
if the zone were UTC.
"""

from __future__ import annotations

import difflib
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import tzdata  # type: ignore[import-untyped]  # ships no types

_DATA = Path(tzdata.__file__).parent
# The same files as with no path at all, but read without importlib.resources (5 ms).
zoneinfo.reset_tzpath(to=(str(_DATA / "zoneinfo"),))

#: The version of the zone data, such as "2026f"; stored with every run.
TZDB_VERSION: str = tzdata.IANA_VERSION
#: When that data came out: one line is added here as the lock file moves on.
TZDB_RELEASED = {"2026f": date(2026, 10, 28)}

DAY = 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WALL_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 a wall time has no zone
_SECOND = timedelta(seconds=1)


def tzdb_is_old(today: date) -> bool:
    """Whether the zone data came out more than half a year before `today`."""
    released = TZDB_RELEASED.get(TZDB_VERSION)
    return released is not None and today - released > timedelta(days=183)


@cache
def names() -> frozenset[str]:
    return frozenset((_DATA / "zones").read_text(encoding="utf-8").split())


@cache
def zone(name: str) -> ZoneInfo:
    """The zone of one of `names()`."""
    return ZoneInfo(name)


def to_seconds(instant: datetime) -> int:
    """Rounded down to the whole second."""
    return (instant - EPOCH) // _SECOND


def to_datetime(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def wall_datetime(wall: int) -> datetime:
    """The wall time as a naive datetime."""
    return _WALL_EPOCH + timedelta(seconds=wall)


def clock_text(wall: int) -> str:
    """HH:MM, with seconds where there are some."""
    moment = wall_datetime(wall)
    return f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"


def offsets(name: str, wall: int) -> tuple[int, int]:
    """The UTC offsets that a wall time may have: (fold=0, fold=1).

    Equal: it exists once. Growing: it lies in a gap, between the offsets before and
    after. Falling: it comes twice, first with the former.
    """
    moment = wall_datetime(wall)
    found = zone(name)
    first = found.utcoffset(moment)
    second = found.utcoffset(moment.replace(fold=1))
    return (first or timedelta()) // _SECOND, (second or timedelta()) // _SECOND


def offset_at(name: str, instant: int) -> int:
    """The UTC offset at an instant."""
    local = to_datetime(instant).astimezone(zone(name))
    return (local.utcoffset() or timedelta()) // _SECOND


@lru_cache(maxsize=1 << 16)
def steady_offset(name: str, day: int) -> int | None:
    """The one offset of a local day; None where the clock changes on it."""
    found = {*offsets(name, day * DAY), *offsets(name, (day + 1) * DAY)}
    return found.pop() if len(found) == 1 else None


@lru_cache(maxsize=1 << 16)
def midnight(name: str, day: int) -> int | None:
    """The instant at which a quiet local day begins; None for one that is not quiet.

    A day is quiet when the clock changes neither on it nor on its neighbours: then
    nothing of another day falls into its 86,400 seconds, and nothing of it out of them.
    """
    found = {steady_offset(name, near) for near in (day - 1, day, day + 1)}
    offset = found.pop()
    return None if found or offset is None else day * DAY - offset


@lru_cache(maxsize=1024)
def changing_days(name: str, days: range) -> tuple[int, ...]:
    """The local days on which the clock changes."""
    found: list[int] = []
    before = offsets(name, days.start * DAY)
    for first in days[::3]:
        three = range(first, min(first + 3, days.stop))
        after = offsets(name, three.stop * DAY)
        # No zone changes its clock twice within three days.
        if len({*before, *after}) > 1:
            found += (day for day in three if steady_offset(name, day) is None)
        before = after
    return tuple(found)


def unquiet_days(name: str, day: int) -> range:
    """The run of days around a day that is not quiet."""
    first, last = day, day
    while midnight(name, first - 1) is None:
        first -= 1
    while midnight(name, last + 1) is None:
        last += 1
    return range(first, last + 1)


def pieces(name: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """[start, end) cut where the offset changes: (start, end, offset) of each piece."""
    while start < end:
        offset = offset_at(name, start)
        stop = min(start + 3600, end)
        while stop < end and offset_at(name, stop) == offset:
            stop = min(stop + 3600, end)
        if offset_at(name, stop - 1) != offset:
            stop = _first_other(name, offset, start, stop - 1)
        yield start, stop, offset
        start = stop


def _first_other(name: str, offset: int, same: int, other: int) -> int:
    """The instant in (same, other] at which the offset stops being `offset`."""
    while other - same > 1:
        middle = (same + other) // 2
        if offset_at(name, middle) == offset:
            same = middle
        else:
            other = middle
    return other


# --- Suggestions for names that are no zones ------------------------------------

_ABBREVIATIONS = {
    "AEDT": ("Australia/Sydney",),
    "AEST": ("Australia/Sydney", "Australia/Brisbane"),
    "BRT": ("America/Sao_Paulo",),
    "BST": ("Europe/London",),
    "CDT": ("America/Chicago",),
    "CEST": ("Europe/Berlin", "Europe/Paris"),
    "CST": ("America/Chicago", "Asia/Shanghai"),
    "EDT": ("America/New_York",),
    "EEST": ("Europe/Athens", "Europe/Helsinki"),
    "HKT": ("Asia/Hong_Kong",),
    "IST": ("Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"),
    "JST": ("Asia/Tokyo",),
    "KST": ("Asia/Seoul",),
    "MDT": ("America/Denver",),
    "MESZ": ("Europe/Berlin",),
    "MEZ": ("Europe/Berlin",),
    "MSK": ("Europe/Moscow",),
    "NZDT": ("Pacific/Auckland",),
    "NZST": ("Pacific/Auckland",),
    "PDT": ("America/Los_Angeles",),
    "PST": ("America/Los_Angeles",),
    "SGT": ("Asia/Singapore",),
    "WEST": ("Europe/Lisbon",),
}


def suggestions(wrong: str) -> list[str]:
    """At most four zones that somebody who wrote `wrong` may have meant, best first."""
    ways = (_by_abbreviation, of_country, of_city, _by_likeness)
    return next((found for way in ways if (found := way(wrong.strip()))), [])[:4]


def _by_abbreviation(wrong: str) -> list[str]:
    return list(_ABBREVIATIONS.get(wrong.upper(), ()))


def of_country(wrong: str) -> list[str]:
    """All zones of a country, by its name in English or its code of two letters."""
    import pytz  # noqa: PLC0415 10 ms that only a mistake costs

    for code, country in pytz.country_names.items():
        if wrong.casefold() in (code.casefold(), country.casefold()):
            return list(pytz.country_timezones.get(code, ()))
    return []


def of_city(wrong: str) -> list[str]:
    """The zones that are named after a city."""
    key = wrong.casefold().replace(" ", "_")
    return sorted(name for name in names() if name.casefold().split("/")[-1] == key)


def _by_likeness(wrong: str) -> list[str]:
    known = {name.casefold(): name for name in sorted(names())}
    cities = {name.split("/")[-1]: known[name] for name in known if "/" in name}
    key = wrong.casefold().replace(" ", "_")
    like = [known[name] for name in difflib.get_close_matches(key, known, cutoff=0.75)]
    return like or [cities[n] for n in difflib.get_close_matches(key, cities, 1, 0.8)]
