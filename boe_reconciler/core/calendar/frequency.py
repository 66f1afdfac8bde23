"""`frequency`, `at` and `on`: a schedule in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from boe_reconciler.core.calendar.days import (
    ALL_MONTHS,
    WEEKDAYS,
    AnyDays,
    BusinessDays,
    BusinessPeriod,
    CronDays,
    Days,
    WorkingDays,
)
from boe_reconciler.core.calendar.when_fields import listed
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.problems import Path
from boe_reconciler.core.resources.types import parse_time
from boe_reconciler.core.resources.when import BusinessDay, Frequency, When

_On = str | int | BusinessDay
_QUARTERS = frozenset({1, 4, 7, 10})
_QUARTER_ENDS = frozenset({3, 6, 9, 12})
#: What `on` may say for each frequency, in words.
_ON = {
    "weekly": "mon…sun or {business_day: n}",
    "monthly": "1…31, last or {business_day: n}",
    "quarterly": "1…31 (of the first month), last or {business_day: n}",
    "yearly": '"MM-DD", last or {business_day: n}',
}
#: Frequency -> the days that it means without `on`.
_DEFAULT_DAYS = {
    "hourly": CronDays(),
    "daily": CronDays(),
    "weekly": CronDays(weekdays=frozenset({0})),
    "monthly": CronDays(days=frozenset({1})),
    "quarterly": CronDays(days=frozenset({1}), months=_QUARTERS),
    "yearly": CronDays(days=frozenset({1}), months=frozenset({1})),
}
#: No period has more working days.
_MOST = {"weekly": 7, "monthly": 31, "quarterly": 92, "yearly": 366}


def read_frequency(
    when: When, frequency: Frequency, work: WorkingDays | None
) -> tuple[Days, tuple[int, ...], list[Finding]]:
    """The days, the seconds after midnight, and what is wrong with `on` and `at`."""
    times, findings = _times(when, frequency)
    days: list[Days] = []
    given: list[tuple[Path, _On]] = listed("on", when.on)
    for path, on in given:
        found = _on_day(frequency, on, work)
        if found is not None:
            days.append(found)
            findings += _rare(path, frequency, on)
        elif not isinstance(on, BusinessDay) or work:
            findings.append(_unsuitable(path, frequency, on))
    if not days:
        days = [_DEFAULT_DAYS[frequency]]
    one = days[0] if len(days) == 1 else AnyDays(tuple(days))
    return one, times, findings


def _times(when: When, frequency: str) -> tuple[tuple[int, ...], list[Finding]]:
    """Seconds after midnight, in order, each once."""
    given = listed("at", when.at)
    if not given:
        given = [(("at",), ":00" if frequency == "hourly" else "00:00")]
    times: set[int] = set()
    findings = []
    for path, text in given:
        found = _hourly(text) if frequency == "hourly" else _daily(text)
        times |= found
        if not found:
            findings.append(_not_a_time(path, frequency, text))
    return tuple(sorted(times)), findings


def _hourly(text: str) -> set[int]:
    if not re.fullmatch(r":[0-5][0-9]", text):
        return set()
    return {hour * 3600 + int(text[1:]) * 60 for hour in range(24)}


def _daily(text: str) -> set[int]:
    try:
        found = parse_time(text)
    except ValueError:
        return set()
    return {found.hour * 3600 + found.minute * 60 + found.second}


def _not_a_time(path: Path, frequency: str, text: str) -> Finding:
    if frequency == "hourly":
        detail = f"{text!r} is not a minute of the hour"
        todo = 'write ":00" to ":59"; for certain hours use `frequency: daily`'
    else:
        detail = f"{text!r} is not a time of day"
        todo = 'write "HH:MM" from "00:00" to "23:59", such as "06:30" or "18:05"'
    return Finding(code="BOE075", path=path, detail=detail, help=todo)


def _on_day(frequency: str, on: _On, work: WorkingDays | None) -> Days | None:
    """The days that one value of `on` means; None where it does not suit."""
    if frequency not in _ON:
        return None
    if isinstance(on, BusinessDay):
        if not work or not 1 <= abs(on.business_day) <= _MOST[frequency]:
            return None
        return BusinessDays(cast("BusinessPeriod", frequency), on.business_day, work)
    if on == "last":
        return _LAST.get(frequency)
    if isinstance(on, int):
        months = {"monthly": ALL_MONTHS, "quarterly": _QUARTERS}.get(frequency)
        in_range = 1 <= on <= 31
        return (
            CronDays(days=frozenset({on}), months=months)
            if months and in_range
            else None
        )
    return _named_day(frequency, on)


_LAST = {
    "monthly": CronDays(days=frozenset(), last=True),
    "quarterly": CronDays(days=frozenset(), last=True, months=_QUARTER_ENDS),
    "yearly": CronDays(days=frozenset(), last=True, months=frozenset({12})),
}


def _named_day(frequency: str, on: str) -> Days | None:
    """A weekday, or the MM-DD of a year."""
    if frequency == "weekly" and on in WEEKDAYS:
        return CronDays(weekdays=frozenset({WEEKDAYS.index(on)}))
    if frequency != "yearly" or not re.fullmatch(r"[0-9]{2}-[0-9]{2}", on):
        return None
    month, day = int(on[:2]), int(on[3:])
    days = CronDays(days=frozenset({day}), months=frozenset({month}))
    leap_year = range(2028 * 12, 2028 * 12 + 12)
    return days if any(days.in_month(month) for month in leap_year) else None


def _unsuitable(path: Path, frequency: str, on: _On) -> Finding:
    text = (
        f"{{business_day: {on.business_day}}}"
        if isinstance(on, BusinessDay)
        else repr(on)
    )
    if frequency in _ON:
        todo = f"{frequency} takes {_ON[frequency]}"
    else:
        todo = "take `on` out, or use `frequency: weekly` with `on: [mon, tue]`"
    detail = f"{text} does not go with `frequency: {frequency}`"
    return Finding(code="BOE074", path=path, detail=detail, help=todo)


def _rare(path: Path, frequency: str, on: _On) -> Iterator[Finding]:
    """Warns of a day that some months do not have."""
    if on == "02-29":
        detail, todo = "29 February comes in leap years only", 'or write "02-28"'
    elif on == 31 or (frequency == "monthly" and on in (29, 30)):
        detail = f"months without a day {on} are left out"
        todo = "`last` is the last day of each one"
    else:
        return
    yield Finding(
        code="BOE079", path=path, detail=detail, help=todo, severity="warning"
    )
