"""`boe next`: when schedules are due, from the files alone."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tests.cli.conftest import Boe
from tests.folders import a_folder, schedule


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_folder(
        tmp_path_factory.mktemp("next") / "repo",
        schedule("daily"),
        schedule("night", when={"cron": "30 2 * * *", "timezone": "Europe/Berlin"}),
        schedule("paused", paused=True),
        schedule("over", when={"once": ["2020-01-01T00:00:00Z"], "timezone": "UTC"}),
    )


def test_json_has_the_keys_that_scripts_rely_on(folder: Path, boe: Boe) -> None:
    arguments = ("--after", "2026-11-23T12:00", "-n", "2", "--format", "json")
    assert boe(folder, "next", "daily", *arguments).json == [
        {
            "schedule": "daily",
            "timezone": "Europe/Berlin",
            "occurrences": [
                {
                    "utc": "2026-11-24T05:30:00Z",
                    "local": "2026-11-24T06:30:00+01:00",
                    "note": None,
                },
                {
                    "utc": "2026-11-25T05:30:00Z",
                    "local": "2026-11-25T06:30:00+01:00",
                    "note": None,
                },
            ],
        }
    ]


def test_the_range_leaves_its_start_out_and_takes_its_end_in(
    folder: Path, boe: Boe
) -> None:
    """Times without an offset are in the schedule's zone."""
    arguments = ("--after", "2026-11-24T06:30", "--until", "2026-11-26T06:30")
    (found,) = boe(folder, "next", "daily", *arguments, "--format", "json").json
    assert [one["utc"] for one in found["occurrences"]] == [
        "2026-11-25T05:30:00Z",
        "2026-11-26T05:30:00Z",
    ]


def test_an_offset_counts_as_it_is_written(folder: Path, boe: Boe) -> None:
    arguments = ("--after", "2026-11-24T05:29:59Z", "-n", "1", "--format", "json")
    (found,) = boe(folder, "next", "daily", *arguments).json
    assert found["occurrences"][0]["utc"] == "2026-11-24T05:30:00Z"


def test_ten_are_told_unless_somebody_asks_for_more(folder: Path, boe: Boe) -> None:
    (found,) = boe(folder, "next", "daily", "--format", "json").json
    assert len(found["occurrences"]) == 10
    arguments = ("--after", "2026-01-01", "--until", "2026-02-01", "--format", "json")
    (found,) = boe(folder, "next", "daily", *arguments).json
    assert len(found["occurrences"]) == 31


def test_a_clock_change_is_noted(folder: Path, boe: Boe) -> None:
    arguments = ("--after", "2026-03-29", "-n", "1", "--format", "json")
    (found,) = boe(folder, "next", "night", *arguments).json
    (one,) = found["occurrences"]
    assert one["local"] == "2026-03-29T03:30:00+02:00"
    assert one["note"]


def test_paused_ones_are_noted(folder: Path, boe: Boe) -> None:
    (found,) = boe(folder, "next", "paused", "-n", "1", "--format", "json").json
    assert found["occurrences"][0]["note"] == "paused"


def test_what_says_the_same_has_its_own_notes_each(tmp_path: Path, boe: Boe) -> None:
    night = {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}
    repo = a_folder(
        tmp_path / "repo",
        schedule("at-night", when=night),
        schedule("in-berlin", when=night, paused=True),
        schedule("in-tokyo", when={**night, "timezone": "Asia/Tokyo"}),
    )
    arguments = ("--after", "2027-03-27T12:00", "-n", "1", "--format", "json")
    one, paused, other = boe(repo, "next", "--all", *arguments).json
    [moved], [moved_too] = one["occurrences"], paused["occurrences"]
    assert moved["note"] is not None
    assert moved_too == {**moved, "note": f"{moved['note']}; paused"}
    assert other["occurrences"][0]["local"] == "2027-03-28T02:30:00+09:00"


def test_all_of_them_are_told_in_the_order_of_their_names(
    folder: Path, boe: Boe
) -> None:
    found = boe(folder, "next", "--all", "-n", "1", "--format", "json").json
    names = [one["schedule"] for one in found]
    assert names == ["daily", "night", "over", "paused"]
    assert found[2]["occurrences"] == []


def test_text_shows_both_zones(folder: Path, boe: Boe) -> None:
    said = boe(folder, "next", "daily", "--after", "2026-11-23T12:00", "-n", "1")
    header, row = said.out.splitlines()
    assert header.split() == ["schedule", "local", "time", "UTC", "note"]
    assert row == "daily     Tue 2026-11-24 06:30 CET  2026-11-24T05:30:00Z"


def test_nothing_due_is_told(folder: Path, boe: Boe) -> None:
    assert boe(folder, "next", "over").out == "Nothing is due.\n"


def test_no_time_is_too_far_away(folder: Path, boe: Boe) -> None:
    for far in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        arguments = ("--after", far, "-n", "1", "--format", "json")
        assert boe(folder, "next", "daily", *arguments).code == 0


def test_a_schedule_that_is_not_valid_is_told_apart_from_none(
    tmp_path: Path, boe: Boe
) -> None:
    repo = a_folder(tmp_path, schedule("good"), schedule("bad", when={"cron": "? ?"}))
    said = boe(repo, "next", "bad")
    assert said.code == 1
    assert 'The schedule "bad" is not valid' in said.err
    said = boe(repo, "next", "--all", "-n", "1", "--format", "json")
    assert [one["schedule"] for one in said.json] == ["good"]
    assert 'The schedule "bad" is not valid' in said.err


def test_several_names_are_told_together(tmp_path: Path, boe: Boe) -> None:
    bad = [schedule(name, when={"cron": "? ?"}) for name in ("a", "b", "c")]
    repo = a_folder(tmp_path, schedule("good"), *bad)
    said = boe(repo, "next", "a", "good", "b", "c")
    assert 'The schedules "a", "b" and "c" are not valid.' in said.err
    said = boe(repo, "next", "x1", "good", "y2")
    assert 'There is no schedule "x1" or "y2".' in said.err


def test_the_same_moments_are_told_whenever_it_is_asked(folder: Path, boe: Boe) -> None:
    whole = ("--after", "2026-01-01", "--until", "2026-04-01", "--format", "json")
    (found,) = boe(folder, "next", "night", *whole).json
    months = []
    for start, end in (("01", "02"), ("02", "03"), ("03", "04")):
        part = ("--after", f"2026-{start}-01", "--until", f"2026-{end}-01")
        (piece,) = boe(folder, "next", "night", *part, "--format", "json").json
        months += piece["occurrences"]
    assert months == found["occurrences"]
    assert all(datetime.fromisoformat(one["utc"]) for one in months)
