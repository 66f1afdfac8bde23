"""Occurrences: the rules of docs/time.md, one by one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from boe_reconciler.core.calendar import (
    Timetable,
    compile_when,
    jitter_of,
    set_digest,
    upcoming_warnings,
)
from boe_reconciler.core.resources.others import CalendarSpec
from boe_reconciler.core.resources.when import When

NEW_YORK = "America/New_York"
BERLIN = "Europe/Berlin"
SECOND = timedelta(seconds=1)


def a_timetable(calendar: dict[str, Any] | None = None, /, **when: Any) -> Timetable:
    """A Timetable of a valid `when`; UTC unless it says otherwise."""
    if calendar is not None:
        when.setdefault("calendar", "holidays")
    compiled = compile_when(
        When.model_validate({"timezone": "UTC", **when}),
        calendar=None if calendar is None else CalendarSpec.model_validate(calendar),
        min_interval=SECOND,
    )
    assert compiled.timetable, compiled.findings
    return compiled.timetable


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def local(table: Timetable, after: str, until: str) -> list[str]:
    """The occurrences in (after, until] as local ISO text; both bounds local too."""
    bounds = (at(text).replace(tzinfo=table.zone) for text in (after, until))
    found = table.between(*bounds)
    return [
        f"{each.astimezone(table.zone).isoformat(timespec='minutes')}" for each in found
    ]


# --- Clock changes: the table of what other engines do ----------------------------


def test_a_time_in_the_gap_runs_once_and_as_much_later() -> None:
    table = a_timetable(cron="30 2 * * *", timezone=NEW_YORK)
    assert local(table, "2026-03-08T00:00", "2026-03-09T00:00") == [
        "2026-03-08T03:30-04:00"
    ]


def test_a_time_in_the_fold_runs_once_the_first_time() -> None:
    table = a_timetable(cron="30 1 * * *", timezone=NEW_YORK)
    assert local(table, "2026-11-01T00:00", "2026-11-02T00:00") == [
        "2026-11-01T01:30-04:00"
    ]


def test_quarter_hours_run_at_every_real_quarter_of_the_fold() -> None:
    table = a_timetable(cron="*/15 * * * *", timezone=NEW_YORK)
    after, until = at("2026-11-01T04:59Z"), at("2026-11-01T09:00Z")
    every = [at("2026-11-01T05:00Z") + n * timedelta(minutes=15) for n in range(17)]
    assert table.between(after, until) == every


def test_quarter_hours_invent_nothing_in_the_gap() -> None:
    table = a_timetable(cron="*/15 * * * *", timezone=NEW_YORK)
    found = local(table, "2026-03-08T01:30", "2026-03-08T03:15")
    assert [each[11:16] for each in found] == ["01:45", "03:00", "03:15"]


@pytest.mark.parametrize(
    ("zone", "day", "times", "expected"),
    [
        # Half an hour each way.
        ("Australia/Lord_Howe", "2026-10-04", ["02:15"], ["02:45+11:00"]),
        ("Australia/Lord_Howe", "2026-04-05", ["01:45"], ["01:45+11:00"]),
        # Two hours each way.
        ("Antarctica/Troll", "2026-03-29", ["01:30"], ["03:30+02:00"]),
        ("Antarctica/Troll", "2026-10-25", ["02:30"], ["02:30+02:00"]),
        # Three hours back, over midnight.
        ("Antarctica/Casey", "2010-03-05", ["01:30"], ["01:30+11:00"]),
        # A day that does not exist, on top of the day after it.
        ("Pacific/Apia", "2011-12-30", ["06:30"], []),
        ("Pacific/Apia", "2011-12-31", ["06:30"], ["06:30+14:00"]),
        # A change at midnight.
        ("Africa/Cairo", "2026-04-24", ["00:00"], ["01:00+03:00"]),
        # A gap that ends on the next day.
        ("America/Nuuk", "2026-03-29", ["23:30"], ["00:30-01:00", "23:30-01:00"]),
    ],
)
def test_odd_clock_changes_follow_the_same_rules(
    zone: str, day: str, times: list[str], expected: list[str]
) -> None:
    table = a_timetable(frequency="daily", at=times, timezone=zone)
    found = [
        each
        for each in local(table, f"{day}T00:00", f"{day}T23:59")
        + local(
            table, f"{date.fromisoformat(day) - timedelta(1)}T12:00", f"{day}T00:00"
        )
        if each.startswith(day)
    ]
    assert sorted(each[11:] for each in set(found)) == expected


@pytest.mark.parametrize(
    ("dst", "spring", "autumn"),
    [
        ({}, ["03:30+02:00"], ["02:30+02:00"]),
        ({"gap": "skip"}, [], ["02:30+02:00"]),
        ({"fold": "last"}, ["03:30+02:00"], ["02:30+01:00"]),
        ({"fold": "both"}, ["03:30+02:00"], ["02:30+02:00", "02:30+01:00"]),
    ],
)
def test_dst_says_what_becomes_of_a_gap_and_a_fold(
    dst: dict[str, str], spring: list[str], autumn: list[str]
) -> None:
    table = a_timetable(frequency="daily", at="02:30", dst=dst, timezone=BERLIN)
    for day, expected in (("2026-03-29", spring), ("2026-10-25", autumn)):
        found = local(table, f"{day}T00:00", f"{day}T23:00")
        assert [each[11:] for each in found] == expected


def test_a_clock_change_may_leave_nothing_of_its_day() -> None:
    table = a_timetable(
        frequency="weekly", on="sun", at="02:30", dst={"gap": "skip"}, timezone=BERLIN
    )
    found = local(table, "2026-03-20T00:00", "2026-04-06T00:00")
    assert [each[5:10] for each in found] == ["03-22", "04-05"]


def test_dst_wins_over_the_rule_for_all_hours() -> None:
    table = a_timetable(frequency="hourly", timezone=BERLIN, dst={"fold": "first"})
    assert len(local(table, "2026-10-25T00:30", "2026-10-25T05:30")) == 5


# --- Shapes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"frequency": "hourly", "at": ":15"}, ["01-01T00:15", "01-01T01:15"]),
        ({"frequency": "hourly"}, ["01-01T01:00", "01-01T02:00"]),
        ({"frequency": "daily"}, ["01-02T00:00", "01-03T00:00"]),
        (
            {"frequency": "daily", "at": ["18:05", "06:30"]},
            ["01-01T06:30", "01-01T18:05"],
        ),
        ({"frequency": "weekly"}, ["01-05T00:00", "01-12T00:00"]),
        ({"frequency": "weekly", "on": ["fri", "sat"]}, ["01-02T00:00", "01-03T00:00"]),
        ({"frequency": "monthly"}, ["02-01T00:00", "03-01T00:00"]),
        ({"frequency": "monthly", "on": "last"}, ["01-31T00:00", "02-28T00:00"]),
        ({"frequency": "monthly", "on": [31]}, ["01-31T00:00", "03-31T00:00"]),
        ({"frequency": "quarterly"}, ["04-01T00:00", "07-01T00:00"]),
        ({"frequency": "quarterly", "on": 31}, ["01-31T00:00", "07-31T00:00"]),
        ({"frequency": "quarterly", "on": "last"}, ["03-31T00:00", "06-30T00:00"]),
        (
            {"frequency": "yearly", "on": ["03-17", "last"]},
            ["03-17T00:00", "12-31T00:00"],
        ),
        ({"cron": "@weekly"}, ["01-04T00:00", "01-11T00:00"]),
        ({"cron": "0 6 * * 5#2"}, ["01-09T06:00", "02-13T06:00"]),
        ({"cron": "0 6 L * *"}, ["01-31T06:00", "02-28T06:00"]),
        ({"cron": "0 6 13 * 5", "day_match": "and"}, ["02-13T06:00", "03-13T06:00"]),
        ({"cron": "0 6 13 * 5", "day_match": "or"}, ["01-02T06:00", "01-09T06:00"]),
        ({"cron": ["0 6 * * *", "30 5 * * *"]}, ["01-01T05:30", "01-01T06:00"]),
        ({"cron": ["0 6 * * *", "0 6 * * *"]}, ["01-01T06:00", "01-02T06:00"]),
        ({"every": "90m"}, ["01-01T01:30", "01-01T03:00"]),
        (
            {"every": "2d", "anchor": "2026-01-05T01:00:00+01:00"},
            ["01-05T00:00", "01-07T00:00"],
        ),
        (
            {"every": "1d", "anchor": "1969-01-01T02:00:00Z"},
            ["01-01T02:00", "01-02T02:00"],
        ),
        (
            {"once": ["2026-01-01T02:00:00+02:00", "2026-02-01T00:00:00Z"]},
            ["02-01T00:00"],
        ),
    ],
)
def test_each_shape_names_its_instants(
    when: dict[str, Any], expected: list[str]
) -> None:
    table = a_timetable(**when)
    runs = table.iter(at("2026-01-01T00:00Z"))
    found = [f"{each:%m-%dT%H:%M}" for each, _ in zip(runs, range(2), strict=False)]
    assert found == expected


def test_a_yearly_schedule_runs_on_new_year() -> None:
    table = a_timetable(frequency="yearly")
    assert table.next(at("2026-06-01T00:00Z")) == at("2027-01-01T00:00Z")


def test_nothing_runs_before_start_at_or_after_end_at() -> None:
    table = a_timetable(
        frequency="daily",
        start_at="2026-01-02T00:00:00Z",
        end_at="2026-01-04T00:00:00Z",
    )
    days = [each.day for each in table.iter(at("1999-01-01T00:00Z"))]
    assert days == [2, 3, 4]
    assert table.next(at("2026-01-04T00:00Z")) is None
    assert table.previous(at("2026-01-02T00:00Z")) is None
    assert table.previous(at("2030-01-02T00:00Z")) == at("2026-01-04T00:00Z")


def test_ranges_leave_out_their_start_and_hold_their_end() -> None:
    table = a_timetable(frequency="daily")
    first, second = at("2026-01-01T00:00Z"), at("2026-01-02T00:00Z")
    assert table.between(first, second) == [second]
    assert table.between(second, first) == []
    assert table.between(first, first) == []
    assert table.next(first - timedelta(microseconds=1)) == first
    assert table.previous(first + timedelta(microseconds=1)) == first


def test_the_world_ends_with_2199() -> None:
    table = a_timetable(frequency="daily")
    assert table.next(at("2199-12-31T00:00Z")) is None
    assert table.next(datetime.max.replace(tzinfo=UTC)) is None
    assert table.next(datetime.min.replace(tzinfo=UTC)) == at("1970-01-01T00:00Z")
    assert table.previous(datetime.max.replace(tzinfo=UTC)) == at("2199-12-31T00:00Z")
    assert table.previous(at("1970-01-01T00:00Z")) is None
    spring = a_timetable(frequency="yearly", on="03-17")
    assert spring.previous(at("1970-01-05T00:00Z")) is None
    everywhere = timezone(timedelta(hours=-14))
    assert table.between(
        datetime.min.replace(tzinfo=everywhere), at("1970-01-02T00:00Z")
    )


def test_a_year_of_seconds_is_counted_without_making_them() -> None:
    table = a_timetable(every="1s")
    year = at("2026-01-01T00:00Z"), at("2027-01-01T00:00Z")
    assert table.count(*year) == 365 * 86_400
    assert table.count(year[1], year[0]) == 0


def test_a_year_of_minutes_is_counted_with_its_clock_changes() -> None:
    table = a_timetable(cron="* * * * *", timezone=BERLIN)
    assert table.count(at("2026-01-01T00:00Z"), at("2027-01-01T00:00Z")) == 365 * 1440


# --- The same set however it is asked for -----------------------------------------

ZONES = (BERLIN, NEW_YORK, "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia")
CRONS = ("30 2 * * *", "*/20 * * * *", "15 1-3 * * sun", "0 0 L * *", "59 23 * * 1-5")
WHENS = st.one_of(
    st.fixed_dictionaries(
        {"cron": st.lists(st.sampled_from(CRONS), min_size=1, unique=True)}
    ),
    st.fixed_dictionaries(
        {
            "frequency": st.sampled_from(["daily", "weekly", "monthly"]),
            "at": st.sampled_from(["00:00", "02:30", "01:45:30", "23:30"]),
        }
    ),
    st.fixed_dictionaries({"every": st.sampled_from(["7m", "90m", "25h"])}),
)
CALENDARS = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {
            "working_days": st.sampled_from(
                ["mon-fri", "sun-thu", "mon,wed", "mon-sat"]
            ),
            "days_off": st.just(
                ["2026-03-30", {"from": "2026-10-20", "to": "2026-11-03"}]
            ),
        }
    ),
)


def runs_at_all(when: dict[str, Any], calendar: dict[str, Any] | None) -> bool:
    """Whether a calendar leaves something of it."""
    sundays = when.get("cron") == ["15 1-3 * * sun"]
    moved = when.get("if_day_off") in ("next", "previous")
    return moved or not sundays or not calendar or "sun" in calendar["working_days"]


@st.composite
def timetables(draw: st.DrawFn) -> Timetable:
    when = draw(WHENS)
    calendar = draw(CALENDARS)
    if calendar is not None:
        moves = ["skip"] if "every" in when else ["skip", "next", "previous"]
        when["if_day_off"] = draw(st.sampled_from(moves))
    assume(runs_at_all(when, calendar))
    return a_timetable(calendar, timezone=draw(st.sampled_from(ZONES)), **when)


#: Around the changes of clocks in spring and in autumn, and Apia's missing day.
MOMENTS = st.one_of(
    st.datetimes(at("2026-03-06T00:00"), at("2026-04-06T00:00")),
    st.datetimes(at("2026-10-20T00:00"), at("2026-11-06T00:00")),
    st.datetimes(at("2011-12-28T00:00"), at("2012-01-02T00:00")),
).map(lambda moment: moment.replace(tzinfo=UTC))


@given(timetables(), MOMENTS, st.integers(1, 12 * 86_400), st.integers(0, 12 * 86_400))
def test_a_range_is_the_sum_of_its_parts(
    table: Timetable, after: datetime, length: int, cut: int
) -> None:
    until = after + length * SECOND
    middle = after + min(cut, length) * SECOND
    whole = table.between(after, until)
    assert whole == table.between(after, middle) + table.between(middle, until)
    assert len(whole) == table.count(after, until)
    assert whole == sorted(set(whole))


@given(timetables(), MOMENTS)
def test_going_forwards_and_backwards_meets_the_same_instants(
    table: Timetable, after: datetime
) -> None:
    found = table.between(after, after + timedelta(days=8))
    forwards = []
    moment = after
    while (step := table.next(moment)) and step <= after + timedelta(days=8):
        forwards.append(moment := step)
    assert forwards == found
    backwards = []
    moment = after + timedelta(days=8, seconds=1)
    while (step := table.previous(moment)) and step > after:
        backwards.append(moment := step)
    assert backwards[::-1] == found


# --- Notes ------------------------------------------------------------------------


def notes(table: Timetable, after: str, until: str) -> list[str | None]:
    bounds = (at(text).replace(tzinfo=table.zone) for text in (after, until))
    return [table.note(each) for each in table.between(*bounds)]


def test_notes_say_what_is_unusual() -> None:
    table = a_timetable(frequency="daily", at="02:30", timezone=BERLIN)
    assert notes(table, "2026-03-28T00:00", "2026-03-30T00:00") == [
        None,
        "moved from 02:30: clock change",
    ]
    both = a_timetable(cron="30 * * * *", timezone=BERLIN)
    assert notes(both, "2026-10-25T01:45", "2026-10-25T03:45") == [
        "first of two 02:30",
        "second of two 02:30",
        None,
    ]
    nuuk = a_timetable(frequency="daily", at="23:30:30", timezone="America/Nuuk")
    assert notes(nuuk, "2026-03-29T00:00", "2026-03-29T12:00") == [
        "moved from 2026-03-28 23:30:30: clock change"
    ]
    assert a_timetable(every="1h").note(at("2026-01-01T00:00Z")) is None
    assert table.note(at("2026-01-01T00:00Z")) is None


def test_a_note_is_left_out_where_the_time_is_also_due_by_itself() -> None:
    table = a_timetable(frequency="daily", at=["02:30", "03:30"], timezone=BERLIN)
    assert notes(table, "2026-03-29T00:00", "2026-03-29T12:00") == [None]


def test_notes_name_the_day_off() -> None:
    table = a_timetable(
        {"days_off": ["2026-12-25"]}, frequency="weekly", on="fri", if_day_off="next"
    )
    assert notes(table, "2026-12-20T00:00", "2026-12-29T00:00") == [
        "moved from a day off 2026-12-25"
    ]
    twice = a_timetable(
        {"days_off": ["2026-03-27"]},
        cron="30 2 * * fri-sat",
        timezone="Asia/Jerusalem",
        if_day_off="previous",
    )
    assert notes(twice, "2026-03-26T00:00", "2026-03-27T00:00") == [
        "moved from a day off 2026-03-27, 2026-03-28"
    ]
    every = a_timetable({}, every="1h")
    assert every.note(at("2026-11-23T12:00Z")) is None


# --- Clock changes ahead ----------------------------------------------------------


def test_a_fixed_time_in_the_change_hour_is_warned_of_with_its_dates() -> None:
    table = a_timetable(frequency="daily", at=["02:30", "06:30"], timezone=BERLIN)
    (warning,) = upcoming_warnings(table, date(2026, 11, 23))
    assert (warning.code, warning.path, warning.severity) == (
        "BOE071",
        ("at",),
        "warning",
    )
    assert "on 2027-03-28 02:30 does not exist and runs at 03:30" in warning.detail
    assert "on 2027-10-31 02:30 comes twice and runs the first time" in warning.detail


@pytest.mark.parametrize(
    "when",
    [
        {"frequency": "daily", "at": "06:30"},
        {"frequency": "weekly", "at": "02:30", "on": "mon"},
        {"frequency": "daily", "at": "02:30", "dst": {"gap": "shift"}},
        {"cron": "*/15 * * * *"},
        {"every": "1h"},
    ],
)
def test_times_that_no_change_touches_are_not_warned_of(when: dict[str, Any]) -> None:
    table = a_timetable(timezone=BERLIN, **when)
    assert upcoming_warnings(table, date(2026, 11, 23)) == []


def test_a_long_list_of_touched_times_is_cut() -> None:
    table = a_timetable(cron=["0 6 * * *", "*/10 1-4 * * *"], timezone=BERLIN)
    (warning,) = upcoming_warnings(table, date(1960, 1, 1)) or [None]
    assert warning is None or warning.path == ("cron", 1)
    (warning,) = upcoming_warnings(table, date(2026, 11, 23))
    assert warning.path == ("cron", 1)
    assert warning.detail.endswith("and 8 more")


# --- Identity and jitter ----------------------------------------------------------


def digest(
    calendar: dict[str, Any] | None = None, /, zone: str = "UTC", **when: Any
) -> str:
    spec = CalendarSpec.model_validate(calendar) if calendar else None
    return set_digest(When.model_validate(when), timezone=zone, calendar=spec)


def test_the_digest_tells_whether_the_occurrence_set_changed() -> None:
    one = digest(frequency="daily", at="06:30")
    assert one == digest(frequency="daily", at="06:30", jitter="5m", timezone="UTC")
    assert one != digest(frequency="daily", at="06:31")
    assert one != digest(frequency="daily", at="06:30", zone=BERLIN)
    assert one != digest(frequency="daily", at="06:30", end_at="2030-01-01T00:00:00Z")
    assert one == digest({"days_off": ["2026-12-25"]}, frequency="daily", at="06:30")


def test_the_digest_holds_the_dates_of_the_calendar_and_not_their_reasons() -> None:
    when = {"frequency": "daily", "calendar": "x"}
    some = {"from": "2026-12-24", "to": "2026-12-25"}
    one = digest({"days_off": [some]}, **when)
    assert one == digest({"days_off": [{**some, "why": "Christmas"}]}, **when)
    assert one == digest({"days_off": ["2026-12-24", "2026-12-25"]}, **when)
    assert one != digest({"days_off": ["2026-12-24"]}, **when)


def test_jitter_is_the_same_whenever_it_is_asked_for() -> None:
    moment = at("2026-01-01T06:30Z")
    ten = timedelta(minutes=10)
    found = {jitter_of(f"uid-{n}", moment, ten, None) for n in range(200)}
    assert len(found) > 100
    assert all(timedelta() <= each < ten for each in found)
    same = moment.astimezone(timezone(timedelta(hours=3)))
    assert jitter_of("x", moment, ten, None) == jitter_of("x", same, ten, None)


def test_jitter_never_reaches_the_next_occurrence() -> None:
    moment = at("2026-01-01T06:30Z")
    hour = timedelta(hours=1)
    for n in range(50):
        assert jitter_of(f"{n}", moment, hour, moment + 3 * SECOND) < 3 * SECOND
    assert jitter_of("x", moment, None, None) == timedelta()
    assert jitter_of("x", moment, hour, moment) == timedelta()
