"""What is wrong with a `when` is said all at once, in words that help."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from boe_reconciler.core.calendar import (
    Compiled,
    calendar_findings,
    check_timezone,
    compile_when,
)
from boe_reconciler.core.codes import CODES
from boe_reconciler.core.resources.others import CalendarSpec
from boe_reconciler.core.resources.when import When

DAILY = {"frequency": "daily", "timezone": "UTC"}
BACKWARDS = {"days_off": ["2027-01-01", {"from": "2026-12-31", "to": "2026-12-28"}]}


def compiled(
    calendar: dict[str, Any] | None = None,
    /,
    min_interval: timedelta = timedelta(minutes=1),
    **when: Any,
) -> Compiled:
    return compile_when(
        When.model_validate({"timezone": "UTC", **when}),
        calendar=None if calendar is None else CalendarSpec.model_validate(calendar),
        min_interval=min_interval,
    )


def found(result: Compiled) -> list[tuple[str, str]]:
    """(code, path) of each finding; a timetable is there unless one is an error."""
    errors = [each for each in result.findings if each.severity == "error"]
    assert (result.timetable is None) == bool(errors)
    assert all(each.help and each.code in CODES for each in result.findings)
    return [
        (each.code, ".".join(str(part) for part in each.path))
        for each in result.findings
    ]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, [("BOE060", "")]),
        ({"cron": "@daily", "every": "1h"}, [("BOE060", "every")]),
        (
            {"cron": "@daily", "frequency": "daily", "once": ["2026-01-01T00:00:00Z"]},
            [("BOE060", "frequency"), ("BOE060", "once")],
        ),
        ({"cron": []}, [("BOE078", "cron")]),
        ({"once": []}, [("BOE078", "once")]),
        ({"frequency": "daily", "at": []}, [("BOE078", "at")]),
        ({"frequency": "weekly", "on": []}, [("BOE078", "on")]),
        ({"cron": "@daily", "at": "06:30"}, [("BOE073", "at")]),
        ({"every": "1h", "on": "mon"}, [("BOE073", "on")]),
        ({**DAILY, "anchor": "2026-01-01T00:00:00Z"}, [("BOE073", "anchor")]),
        ({"every": "1h", "dst": {"gap": "skip"}}, [("BOE073", "dst")]),
        ({**DAILY, "day_match": "or"}, [("BOE073", "day_match")]),
        ({**DAILY, "if_day_off": "next"}, [("BOE073", "if_day_off")]),
        (
            {"frequency": "monthly", "on": {"business_day": 2}},
            [("BOE073", "on")],
        ),
        (
            {**DAILY, "start_at": "2027-01-01T00:00:00Z", "end_at": "2026-01-01T00:00:00Z"},
            [("BOE076", "end_at")],
        ),
        (
            {"once": ["2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"]},
            [("BOE077", "once.1")],
        ),
        (
            {"once": ["2026-01-02T00:00:00Z", "2026-01-02T01:00:00+01:00"]},
            [("BOE077", "once.1")],
        ),
        ({"frequency": "daily", "on": "mon"}, [("BOE074", "on")]),
        ({"frequency": "hourly", "on": 1}, [("BOE074", "on")]),
        ({"frequency": "weekly", "on": ["mon", 3]}, [("BOE074", "on.1")]),
        ({"frequency": "weekly", "on": "last"}, [("BOE074", "on")]),
        ({"frequency": "weekly", "on": "monday"}, [("BOE074", "on")]),
        ({"frequency": "monthly", "on": [0, 32]}, [("BOE074", "on.0"), ("BOE074", "on.1")]),
        ({"frequency": "monthly", "on": "mon"}, [("BOE074", "on")]),
        ({"frequency": "yearly", "on": 1}, [("BOE074", "on")]),
        ({"frequency": "yearly", "on": "02-30"}, [("BOE074", "on")]),
        ({"frequency": "yearly", "on": "13-01"}, [("BOE074", "on")]),
        ({"frequency": "yearly", "on": "3-17"}, [("BOE074", "on")]),
        ({"frequency": "yearly", "on": "00-00"}, [("BOE074", "on")]),
        ({"frequency": "monthly", "on": [28, 29, 31]}, [("BOE079", "on.1"), ("BOE079", "on.2")]),
        ({"frequency": "quarterly", "on": [30, 31]}, [("BOE079", "on.1")]),
        ({"frequency": "yearly", "on": "02-29"}, [("BOE079", "on")]),
        ({"frequency": "daily", "at": "6:30"}, [("BOE075", "at")]),
        ({"frequency": "daily", "at": ["06:30", "24:00"]}, [("BOE075", "at.1")]),
        ({"frequency": "daily", "at": ":15"}, [("BOE075", "at")]),
        ({"frequency": "hourly", "at": "00:15"}, [("BOE075", "at")]),
        ({"frequency": "hourly", "at": ":75"}, [("BOE075", "at")]),
        ({"every": "30s"}, [("BOE072", "every")]),
        ({"once": ["2026-01-01T00:00:00Z", "2026-01-01T00:00:59Z"]}, [("BOE072", "once")]),
        ({"once": ["1969-01-01T00:00:00Z"]}, [("BOE067", "once")]),
        ({"every": "1h", "anchor": "2200-06-01T00:00:00Z"}, [("BOE067", "anchor")]),
        ({"every": "1h", "anchor": "2050-06-01T00:00:00Z"}, []),
        ({"frequency": "daily", "at": ["06:30", "06:30:15"]}, [("BOE072", "frequency")]),
        (
            {"timezone": "Europe/Berln", "cron": "60 * * * *"},
            [("BOE062", "timezone"), ("BOE064", "cron")],
        ),
        ({"cron": ["0 6 * * *", "0 25 * * *"]}, [("BOE064", "cron.1")]),
        (
            {"frequency": "daily", "at": "6:30", "cron": "0 6 * * mon-mon", "every": "1m"},
            [("BOE060", "frequency"), ("BOE060", "every"), ("BOE065", "cron"), ("BOE075", "at")],
        ),
    ],
)  # fmt: skip
def test_every_mistake_is_found_at_its_own_place(
    when: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert found(compiled(**when)) == expected


@pytest.mark.parametrize(
    ("calendar", "when", "expected"),
    [
        ({}, {"once": ["2026-01-01T00:00:00Z"]}, [("BOE073", "calendar")]),
        ({}, {"every": "1h", "if_day_off": "next"}, [("BOE073", "if_day_off")]),
        ({}, {"every": "1h", "if_day_off": "skip"}, []),
        ({}, {"frequency": "monthly", "on": {"business_day": 0}}, [("BOE074", "on")]),
        ({}, {"frequency": "weekly", "on": {"business_day": 8}}, [("BOE074", "on")]),
        ({}, {"frequency": "monthly", "on": {"business_day": 25}}, [("BOE067", "calendar")]),
        ({}, {"cron": "0 6 * * sat"}, [("BOE067", "calendar")]),
        ({}, {"cron": "0 6 * * sat", "if_day_off": "next"}, []),
        (
            {"days_off": [{"from": "1970-01-01", "to": "9999-12-31"}]},
            {"frequency": "daily", "if_day_off": "next"},
            [("BOE067", "calendar")],
        ),
        (
            {"days_off": [{"from": "0001-01-01", "to": "9999-12-31"}]},
            {"frequency": "daily", "if_day_off": "previous"},
            [("BOE067", "calendar")],
        ),
    ],
)  # fmt: skip
def test_mistakes_with_a_calendar_are_found(
    calendar: dict[str, Any], when: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert found(compiled(calendar, calendar="x", **when)) == expected


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"start_at": "2026-01-02T00:00:00Z", "end_at": "2026-01-31T00:00:00Z"}, "end_at"),
        ({"start_at": "2199-12-02T00:00:00Z"}, "start_at"),
        ({"end_at": "1969-12-02T00:00:00Z"}, "end_at"),
        ({"start_at": "2026-01-02T00:00:00Z"}, None),
        ({"end_at": "2026-01-02T00:00:00Z"}, None),
    ],
)  # fmt: skip
def test_bounds_that_leave_nothing_are_refused(
    bounds: dict[str, str], expected: str | None
) -> None:
    result = compiled(frequency="monthly", **bounds)
    assert found(result) == ([("BOE067", expected)] if expected else [])


def test_a_calendar_that_was_not_given_leaves_no_timetable_and_no_finding() -> None:
    when = When.model_validate({**DAILY, "calendar": "unknown"})
    assert compile_when(when) == Compiled(timetable=None, findings=())
    broken = CalendarSpec.model_validate(BACKWARDS)
    assert compile_when(when, calendar=broken).timetable is None


# --- min_interval -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "closest"),
    [
        ({"cron": "*/30 * * * *"}, "30m"),
        ({"cron": ["0 6 * * mon", "30 6 1 * *"]}, "30m"),
        ({"cron": ["30 23 * * mon", "0 0 * * tue"]}, "30m"),
        ({"cron": ["0 6 * * mon", "30 6 * * tue"]}, None),
        ({"cron": ["0 6 * * *", "0 7 * * *"]}, None),
        ({"cron": ["0 6,7 * * mon", "30 6 * * tue"]}, None),
        ({"every": "59m"}, "59m"),
        ({"every": "1h"}, None),
        ({"once": ["2026-01-01T00:00:00Z"]}, None),
        ({"frequency": "daily", "at": ["00:00", "23:30"]}, "30m"),
    ],
)
def test_runs_may_not_come_more_often_than_the_policy_allows(
    when: dict[str, Any], closest: str | None
) -> None:
    result = compiled(min_interval=timedelta(hours=1), **when)
    assert [each.code for each in result.findings] == (["BOE072"] if closest else [])
    if closest:
        assert f"runs come {closest} apart" in result.findings[0].detail


def test_no_policy_allows_less_than_a_second() -> None:
    assert found(compiled(every="1s", min_interval=timedelta(seconds=1))) == []
    assert found(compiled(every="1s", min_interval=timedelta(0))) == []


# --- Zones ------------------------------------------------------------------------


def test_a_zone_is_required_here_or_as_a_default() -> None:
    when = When.model_validate({"frequency": "daily"})
    assert [each.code for each in compile_when(when).findings] == ["BOE061"]
    table = compile_when(when, default_timezone="Asia/Tokyo").timetable
    assert table
    assert table.timezone == "Asia/Tokyo"
    wrong = compile_when(when, default_timezone="Mars")
    assert [each.code for each in wrong.findings] == ["BOE062"]


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("Germany", "Europe/Berlin"),
        ("de", "Europe/Berlin"),
        ("CEST", "Europe/Berlin or Europe/Paris"),
        ("pst", "America/Los_Angeles"),
        ("Londn", "Europe/London"),
        ("Bouvet Island", "IANA name"),
        ("", "IANA name"),
        ("../../etc/passwd", "IANA name"),
        ("+01:00", "IANA name"),
    ],
)
def test_an_unknown_zone_gets_a_suggestion(wrong: str, meant: str) -> None:
    (finding,) = check_timezone(wrong)
    assert finding.code == "BOE062"
    assert meant in finding.help


# --- Calendars --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (BACKWARDS, ["BOE082"]),
        ({"days_off": ["2026-12-25"]}, ["BOE081"]),
        ({"days_off": ["2027-12-25"]}, []),
        ({}, []),
    ],
)
def test_a_calendar_is_checked(spec: dict[str, Any], expected: list[str]) -> None:
    findings = calendar_findings(CalendarSpec.model_validate(spec), date(2026, 11, 23))
    assert [each.code for each in findings] == expected
    assert all(each.help and each.code in CODES for each in findings)
