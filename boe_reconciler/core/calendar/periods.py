"""The period a report is about, such as the month before the occurrence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, tzinfo

from boe_reconciler.core.records import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    #: The first day.
    start: date
    #: The last day; it belongs to the period.
    end: date
    #: 2026-10-31, 2026-W44, 2026-10, 2026-Q4 or 2026.
    label: str

    def __str__(self) -> str:
        return self.label


def period_of(period: str, occurrence: datetime, zone: tzinfo) -> Period:
    """What `period` ("previous_month") means for a run: dates in the schedule's zone."""
    which, _, unit = period.partition("_")
    today = occurrence.astimezone(zone).date()
    start_of, label_of = _UNITS[unit]
    start = start_of(today)
    if which == "previous":
        start = start_of(start - timedelta(days=1))
    following = start_of(start + _LENGTHS[unit])
    return Period(start=start, end=following - timedelta(days=1), label=label_of(start))


def _week_start(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _quarter(day: date) -> int:
    return (day.month + 2) // 3


def _quarter_start(day: date) -> date:
    return day.replace(month=_quarter(day) * 3 - 2, day=1)


def _week_label(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02}"


_UNITS: dict[str, tuple[Callable[[date], date], Callable[[date], str]]] = {
    "day": (lambda day: day, lambda day: f"{day}"),
    "week": (_week_start, _week_label),
    "month": (lambda day: day.replace(day=1), lambda day: f"{day:%Y-%m}"),
    "quarter": (_quarter_start, lambda day: f"{day.year}-Q{_quarter(day)}"),
    "year": (lambda day: day.replace(month=1, day=1), lambda day: f"{day.year}"),
}
#: Long enough to be in the next period, too short to be in the one after it.
_LENGTHS = {
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=31),
    "quarter": timedelta(days=92),
    "year": timedelta(days=366),
}
