"""`boe simulate`: golden timelines, JSON, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Boe
from tests.folders import a_folder, schedule

NIGHTLY = {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}
MARCH = ("--from", "2026-03-28", "--to", "2026-03-31")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return a_folder(
        tmp_path / "repo",
        schedule("nightly", when=NIGHTLY),
        schedule("asleep", paused=True),
    )


def test_a_timeline_through_a_change_of_clocks_is_golden(repo: Path, boe: Boe) -> None:
    said = boe(repo, "simulate", *MARCH, "--workers", "2")
    assert (said.code, said.err) == (0, "")
    lines = [line.rstrip() for line in said.out.splitlines()]
    assert lines == [
        "due, local time            UTC                   schedule  starts  what  note",
        "Sat 2026-03-28 02:30 CET   2026-03-28T01:30:00Z  nightly           runs",
        "Sun 2026-03-29 03:30 CEST  2026-03-29T01:30:00Z  nightly           runs"
        "  moved from 02:30: clock change",
        "Mon 2026-03-30 02:30 CEST  2026-03-30T00:30:00Z  nightly           runs",
        "",
        "schedule  runs  paused",
        "asleep    0     3",
        "nightly   3     0",
        "",
        "Most start at 2026-03-28 01:30 UTC: 1 in a minute. At most 1 run at once, "
        "first at 2026-03-28 01:30:00 UTC (2 workers).",
        "Assumed: a run takes 1m, and every one succeeds.",
    ]
    assert not (repo / ".boe").exists()


def test_the_timeline_in_json(repo: Path, boe: Boe) -> None:
    out = "2026-03-29T00:00/2026-03-29T12:00"
    found = boe(
        *(repo, "simulate", "nightly", *MARCH, "--outage", out, "--duration", "2h"),
        *("--format", "json"),
    ).json
    assert list(found) == [
        *("format_version", "from", "to", "assumed", "runs", "gaps", "schedules"),
        "load",
    ]
    assert found["from"] == "2026-03-27T23:00:00Z"
    assert found["assumed"]["duration_seconds"] == {"nightly": 7200.0}
    assert found["runs"][1] == {
        "schedule": "nightly",
        "occurrence": "2026-03-29T01:30:00Z",
        "local": "2026-03-29T03:30:00+02:00",
        "timezone": "Europe/Berlin",
        "trigger": "catchup",
        "outcome": "runs",
        "reason": "",
        "starts_at": "2026-03-29T10:00:00Z",
        "ends_at": "2026-03-29T12:00:00Z",
        "waited_for": "",
        "late": False,
        "note": "moved from 02:30: clock change",
    }
    assert found["schedules"] == [
        {
            "schedule": "nightly",
            "runs": 3,
            "skipped": 0,
            "missed": 0,
            "cancelled": 0,
            "late": 0,
        }
    ]
    assert found["load"]["at_once"] == {"at": "2026-03-28T01:30:00Z", "count": 1}


def test_what_runs_usually_take_is_taken(repo: Path, boe: Boe) -> None:
    boe(repo, "trigger", "nightly")
    found = boe(repo, "simulate", "nightly", *MARCH, "--format", "json").json
    assert 1 <= found["assumed"]["duration_seconds"]["nightly"] < 60


def test_a_pause_of_the_state_folder_counts(repo: Path, boe: Boe) -> None:
    boe(repo, "pause", "nightly", "--why", "a test", "--until", "2099-01-02T00:00")
    span = ("--from", "2099-01-01", "--to", "2099-01-04")
    found = boe(repo, "simulate", "nightly", *span, "--format", "json").json
    assert found["gaps"][0]["count"] == 1
    assert [run["occurrence"] for run in found["runs"]] == [
        "2099-01-02T01:30:00Z",
        "2099-01-03T01:30:00Z",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--from", "2026-03-31", "--to", "2026-03-28"], "--to lies before --from"),
        (["--outage", "2026-03-28"], "is not FROM/TO"),
        (["--outage", "2026-03-29/2026-03-28"], "ends before it begins"),
        (
            ["--outage", "2026-03-28/2026-03-30", "--outage", "2026-03-29/2026-03-31"],
            "Two --outage overlap",
        ),
        (["--duration", "long"], "--duration"),
        (["nightlyy"], 'There is no schedule "nightlyy"'),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_what_cannot_be_meant_is_refused(
    repo: Path, boe: Boe, arguments: list[str], told: str
) -> None:
    said = boe(repo, "simulate", *arguments)
    assert said.code == 1
    assert told in said.err


def test_too_much_is_refused(tmp_path: Path, boe: Boe) -> None:
    often = schedule("often", when={"every": "1s", "timezone": "UTC"})
    folder = a_folder(tmp_path, often, policy={"limits": {"min_interval": "1s"}})
    said = boe(folder, "simulate", "--to", "2099-01-01")
    assert said.code == 1
    assert "500,000 is the most" in said.err
