"""Calendars: days off, moved runs and business days, against a naive walk over dates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.calendar import Timetable, compile_when
from boe_reconciler.core.calendar.days import WorkingDays, to_day, working_days
from boe_reconciler.core.resources.others import CalendarSpec
from boe_reconciler.core.resources.when import When

DAY = timedelta(days=1)
NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CHRISTMAS = {"days_off": ["2026-12-25", {"from": "2026-12-28", "to": "2026-12-31"}]}


def a_timetable(calendar: dict[str, Any], **when: Any) -> Timetable:
    compiled = compile_when(
        When.model_validate({"timezone": "UTC", "calendar": "x", **when}),
        calendar=CalendarSpec.model_validate(calendar),
        min_interval=timedelta(seconds=1),
    )
    assert compiled.timetable, compiled.findings
    return compiled.timetable


def dates(table: Timetable, after: str, until: str) -> list[str]:
    bounds = (datetime.fromisoformat(f"{text}T00:00Z") for text in (after, until))
    return [f"{each:%m-%d}" for each in table.between(*bounds)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mon-fri", "mon tue wed thu fri"),
        ("sun-thu", "sun mon tue wed thu"),
        ("mon,wed-fri", "mon wed thu fri"),
        ("sat-wed, fri", "sat sun mon tue wed fri"),
        ("sun", "sun"),
        ("mon-mon", "mon"),
    ],
)
def test_working_days_are_a_range_or_a_list(text: str, expected: str) -> None:
    found = working_days(CalendarSpec(working_days=text))
    assert isinstance(found, WorkingDays)
    assert {NAMES[number] for number in found.weekdays} == set(expected.split())


def test_stretches_off_are_joined() -> None:
    off = ["2026-01-02", {"from": "2026-01-03", "to": "2026-01-09"}, "2026-01-05"]
    found = working_days(
        CalendarSpec.model_validate({"days_off": [*off, "2026-03-01"]})
    )
    assert isinstance(found, WorkingDays)
    starts, ends = (to_day(date(2026, 1, 2)), to_day(date(2026, 1, 9)))
    other = to_day(date(2026, 3, 1))
    assert (found.starts, found.ends) == ((starts, other), (ends, other))


@pytest.mark.parametrize(
    ("if_day_off", "expected"),
    [
        (None, ["12-23", "12-24", "01-01"]),
        ("skip", ["12-23", "12-24", "01-01"]),
        ("next", ["12-23", "12-24", "01-01"]),
        ("previous", ["12-23", "12-24", "01-01"]),
    ],
)
def test_days_off_of_a_daily_schedule_fall_together_with_working_days(
    if_day_off: str | None, expected: list[str]
) -> None:
    table = a_timetable(CHRISTMAS, frequency="daily", if_day_off=if_day_off)
    assert dates(table, "2026-12-22", "2027-01-02") == expected


@pytest.mark.parametrize(
    ("if_day_off", "expected"),
    [("skip", []), ("next", ["01-01"]), ("previous", ["12-24"])],
)
def test_a_run_on_a_day_off_moves_over_the_year(
    if_day_off: str, expected: list[str]
) -> None:
    table = a_timetable(CHRISTMAS, cron="0 6 30 12 *", if_day_off=if_day_off)
    assert dates(table, "2026-12-20", "2027-01-10") == expected


@pytest.mark.parametrize(
    ("frequency", "n", "expected"),
    [
        ("weekly", 1, ["12-21", "01-01", "01-04"]),
        ("weekly", -1, ["12-24", "01-01", "01-08"]),
        ("weekly", 4, ["12-24", "01-07"]),
        ("monthly", 2, ["01-04"]),
        ("monthly", -1, ["12-24"]),
        ("quarterly", -2, ["12-23"]),
        ("yearly", 3, ["01-05"]),
    ],
)
def test_business_days_count_from_both_ends(
    frequency: str, n: int, expected: list[str]
) -> None:
    table = a_timetable(CHRISTMAS, frequency=frequency, on={"business_day": n})
    assert dates(table, "2026-12-20", "2027-01-10") == expected


def test_business_days_and_plain_days_may_stand_in_one_list() -> None:
    table = a_timetable(
        CHRISTMAS, frequency="monthly", on=[{"business_day": 1}, 15, "last"]
    )
    assert dates(table, "2026-12-31", "2027-02-02") == ["01-01", "01-15", "02-01"]


# --- The naive walk ---------------------------------------------------------------

ZONES = ("Europe/Berlin", "America/Nuuk", "Pacific/Apia", "Asia/Tokyo", "Africa/Cairo")
SPANS = {"Pacific/Apia": date(2011, 12, 30), "America/Nuuk": date(2026, 3, 28)}
TIMES = ("00:00", "00:30", "02:30", "22:15", "23:30")


def naive_runs(
    zone: ZoneInfo,
    times: list[str],
    works: Callable[[date], bool],
    if_day_off: str,
    days: list[date],
) -> set[datetime]:
    """Follow the rule to the letter: map, look at the local date, move, map again."""

    def mapped(day: date, clock: str) -> datetime:
        wall = datetime.combine(day, time.fromisoformat(clock), zone)
        return wall.astimezone(UTC)

    def works_at(day: date, clock: str) -> bool:
        return works(mapped(day, clock).astimezone(zone).date())

    found = set()
    step = {"skip": None, "next": DAY, "previous": -DAY}[if_day_off]
    for day in days:
        for clock in times:
            target = day
            if step and not works_at(day, clock):
                target += step
                while not (works(target) and works_at(target, clock)):
                    target += step
            if works_at(target, clock):
                found.add(mapped(target, clock))
    return found


@given(
    zone=st.sampled_from(ZONES),
    times=st.lists(st.sampled_from(TIMES), min_size=1, unique=True),
    weekdays=st.sets(st.sampled_from(NAMES), min_size=2).map(sorted),
    on=st.sets(st.sampled_from(NAMES), min_size=1).map(sorted),
    off=st.sets(st.integers(-9, 9)),
    if_day_off=st.sampled_from(["skip", "next", "previous"]),
)
def test_moved_runs_agree_with_a_naive_walk(
    zone: str,
    times: list[str],
    weekdays: list[str],
    on: list[str],
    off: set[int],
    if_day_off: str,
) -> None:
    middle = SPANS.get(zone, date(2026, 3, 29))
    days_off = {middle + n * DAY for n in off}

    def works(day: date) -> bool:
        return NAMES[day.weekday()] in weekdays and day not in days_off

    calendar = {
        "working_days": ",".join(weekdays),
        "days_off": [str(day) for day in sorted(days_off)],
    }
    compiled = compile_when(
        When.model_validate(
            {
                "frequency": "weekly",
                "on": on,
                "at": times,
                "timezone": zone,
                "calendar": "x",
                "if_day_off": if_day_off,
            }
        ),
        calendar=CalendarSpec.model_validate(calendar),
    )
    days = [middle + n * DAY for n in range(-60, 60)]
    sources = [day for day in days if NAMES[day.weekday()] in on]
    want = naive_runs(ZoneInfo(zone), times, works, if_day_off, sources)
    low = datetime.combine(middle - 20 * DAY, time(), UTC)
    high = datetime.combine(middle + 20 * DAY, time(), UTC)
    if compiled.timetable is None:
        assert if_day_off == "skip"
        return
    got = compiled.timetable.between(low, high)
    assert got == sorted(each for each in want if low < each <= high)


@given(
    zone=st.sampled_from([*ZONES, "Antarctica/Casey"]),
    weekdays=st.sets(st.sampled_from(NAMES), min_size=1).map(sorted),
    off=st.sets(st.integers(-4, 4)),
    minutes=st.sampled_from([7, 30, 60, 1500]),
)
def test_every_on_working_days_keeps_the_instants_of_their_local_dates(
    zone: str, weekdays: list[str], off: set[int], minutes: int
) -> None:
    middle = {**SPANS, "Antarctica/Casey": date(2010, 3, 5)}.get(
        zone, date(2026, 3, 29)
    )
    days_off = {middle + n * DAY for n in off}
    table = a_timetable(
        {
            "working_days": ",".join(weekdays),
            "days_off": [str(day) for day in sorted(days_off)],
        },
        every=f"{minutes}m",
        timezone=zone,
    )
    low = datetime.combine(middle - 5 * DAY, time(), UTC)
    high = low + 10 * DAY
    plain = compile_when(
        When.model_validate({"every": f"{minutes}m", "timezone": "UTC"})
    ).timetable
    assert plain
    local = [
        (each, each.astimezone(ZoneInfo(zone))) for each in plain.between(low, high)
    ]
    want = [
        each
        for each, here in local
        if NAMES[here.weekday()] in weekdays and here.date() not in days_off
    ]
    assert table.between(low, high) == want
    assert table.count(low, high) == len(want)
    backwards = []
    moment = high + timedelta(seconds=1)
    while (step := table.previous(moment)) and step > low:
        backwards.append(moment := step)
    assert backwards[::-1] == want


def test_all_hours_skip_the_gap_when_they_are_moved() -> None:
    table = a_timetable(
        {"working_days": "sun"},
        cron="0,30 * * * sat",
        timezone="Europe/Berlin",
        if_day_off="next",
    )
    middle = datetime(2026, 3, 29, 12, tzinfo=UTC)
    assert len(table.between(middle - DAY, middle + DAY)) == 46


def test_a_time_that_a_gap_skips_is_not_moved_either() -> None:
    table = a_timetable(
        {}, frequency="weekly", on="sun", at="02:30", timezone="Europe/Berlin",
        dst={"gap": "skip"}, if_day_off="next",
    )  # fmt: skip
    assert dates(table, "2026-03-16", "2026-04-07") == ["03-16", "03-23", "04-06"]


def test_a_gap_into_a_day_off_moves_a_run_on_over_the_end_of_a_month() -> None:
    """Good Friday is off, Saturday 23:30 is Sunday 00:30: that leaves Monday."""
    table = a_timetable(
        {"working_days": "mon-sat", "days_off": ["2024-03-29"]},
        cron="30 23 29 3 *",
        timezone="America/Nuuk",
        if_day_off="next",
    )
    (run,) = table.between(
        datetime(2024, 3, 20, tzinfo=UTC), datetime(2024, 4, 10, tzinfo=UTC)
    )
    assert run.astimezone(table.zone).isoformat() == "2024-04-01T23:30:00-01:00"


def test_days_off_for_centuries_are_cheap_and_leave_nothing() -> None:
    calendar = {"days_off": [{"from": "2027-01-01", "to": "2199-12-31"}]}
    table = a_timetable(
        calendar, frequency="daily", if_day_off="next", end_at="2026-12-31T00:00:00Z"
    )
    assert table.previous(datetime(2199, 1, 1, tzinfo=UTC)) == datetime(
        2026, 12, 31, tzinfo=UTC
    )
