"""Periods: which dates a report is about."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.calendar import period_of
from boe_reconciler.core.resources.schedule import Period as PeriodName

NAMES = get_args(PeriodName)


@pytest.mark.parametrize(
    ("name", "start", "end", "label"),
    [
        ("previous_day", "2026-10-31", "2026-10-31", "2026-10-31"),
        ("previous_week", "2026-10-19", "2026-10-25", "2026-W43"),
        ("previous_month", "2026-10-01", "2026-10-31", "2026-10"),
        ("previous_quarter", "2026-07-01", "2026-09-30", "2026-Q3"),
        ("previous_year", "2025-01-01", "2025-12-31", "2025"),
        ("current_day", "2026-11-01", "2026-11-01", "2026-11-01"),
        ("current_week", "2026-10-26", "2026-11-01", "2026-W44"),
        ("current_month", "2026-11-01", "2026-11-30", "2026-11"),
        ("current_quarter", "2026-10-01", "2026-12-31", "2026-Q4"),
        ("current_year", "2026-01-01", "2026-12-31", "2026"),
    ],
)
def test_a_period_is_named_and_holds_both_its_ends(
    name: str, start: str, end: str, label: str
) -> None:
    period = period_of(name, datetime(2026, 11, 1, 6, tzinfo=UTC), UTC)
    assert (str(period.start), str(period.end)) == (start, end)
    assert str(period) == period.label == label


def test_the_date_is_that_of_the_schedules_zone() -> None:
    moment = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)
    berlin = period_of("current_month", moment, ZoneInfo("Europe/Berlin"))
    new_york = period_of("current_month", moment, ZoneInfo("America/New_York"))
    assert (berlin.label, new_york.label) == ("2026-11", "2026-10")


def test_a_week_belongs_to_the_year_of_its_thursday() -> None:
    period = period_of("current_week", datetime(2027, 1, 1, tzinfo=UTC), UTC)
    assert (period.label, str(period.start)) == ("2026-W53", "2026-12-28")


@given(st.dates(date(1970, 2, 1), date(2199, 1, 1)), st.sampled_from(NAMES))
def test_periods_follow_each_other_without_gap(day: date, name: str) -> None:
    moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    unit = name.partition("_")[2]
    period = period_of(f"current_{unit}", moment, UTC)
    assert period.start <= day <= period.end
    before = period_of(f"previous_{unit}", moment, UTC)
    assert before.end + timedelta(days=1) == period.start
    at_end = datetime(period.end.year, period.end.month, period.end.day, tzinfo=UTC)
    assert period_of(f"current_{unit}", at_end, UTC) == period
