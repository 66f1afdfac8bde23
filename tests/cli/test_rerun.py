"""`boe rerun`: what it lists, what it refuses, and that nothing is doubled."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Boe
from tests.folders import BOE, a_folder, schedule, write

DAILY = {"cron": "30 6 * * *", "timezone": "Europe/Berlin"}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return a_folder(
        tmp_path / "repo",
        schedule("good", when=DAILY),
        schedule("broken", query="select * from nowhere"),
        schedule("asleep", paused=True),
    )


def runs(boe: Boe, folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = boe(folder, "runs", "--format", "json").json
    return found


NOVEMBER = ("--from", "2026-10-24", "--to", "2026-10-27")


def test_the_list_is_golden(repo: Path, boe: Boe) -> None:
    """Local times go through the change of clocks; nothing is written."""
    said = boe(repo, "rerun", "good", *NOVEMBER, "--dry-run")
    assert said.code == 0
    assert said.out.splitlines() == [
        "good  Sat 2026-10-24 06:30 CEST (04:30 UTC)  did not run",
        "good  Sun 2026-10-25 06:30 CET (05:30 UTC)  did not run",
        "good  Mon 2026-10-26 06:30 CET (05:30 UTC)  did not run",
    ]
    assert said.err.splitlines() == [
        "--to 2026-10-27 ends as that day begins; --to 2026-10-28 takes it in.",
        "3 runs would start; nothing was.",
    ]
    assert not (repo / ".boe").exists()


def test_the_list_names_what_is_replaced(repo: Path, boe: Boe) -> None:
    assert boe(repo, "rerun", "good", *NOVEMBER).code == 0
    ids = {run["occurrence"]: run["run_id"] for run in runs(boe, repo)}
    found = boe(repo, "rerun", "good", *NOVEMBER, "--dry-run", "--format", "json").json
    assert found["format_version"] == "1.0"
    first = found["runs"][0]
    assert first == {
        "schedule": "good",
        "timezone": "Europe/Berlin",
        "occurrence": "2026-10-24T04:30:00Z",
        "local": "2026-10-24T06:30:00+02:00",
        "trigger": "backfill",
        "replaces": {"run_id": ids["2026-10-24T04:30:00Z"], "status": "succeeded"},
        "corrected": None,
        "paused": False,
    }


def test_a_huge_range_is_refused(repo: Path, boe: Boe) -> None:
    often = schedule("often", when={"every": "1m", "timezone": "UTC"})
    write(repo / "schedules/often.yaml", often)
    said = boe(repo, "rerun", "often", "--from", "2025-01-01", "--to", "2026-01-01")
    assert said.code == 1
    assert "often is due 525,601 times in this range; 1,000 is the most" in said.err
    assert runs(boe, repo) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["good", "--from", "2026-10-24"],
        ["good", "--since", "2026-10-24"],
        ["good", "--failed"],
        ["--failed", *NOVEMBER],
        ["good", "--from", "2026-10-27", "--to", "2026-10-24"],
        ["goood", *NOVEMBER],
        ["good", *NOVEMBER, "--format", "json"],
        ["good", "--from", "yesterday", "--to", "2026-10-24"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_refused(
    repo: Path, boe: Boe, arguments: list[str]
) -> None:
    said = boe(repo, "rerun", *arguments)
    assert said.code == 1
    assert said.err.startswith("boe: ")


def test_a_paused_schedule_is_filled_with_a_warning(repo: Path, boe: Boe) -> None:
    said = boe(repo, "rerun", "asleep", *NOVEMBER)
    assert said.code == 0
    assert "asleep is paused; it runs all the same." in said.err
    assert len(runs(boe, repo)) == 3


def test_both_runs_tell_of_each_other(repo: Path, boe: Boe) -> None:
    boe(repo, "trigger", "good")
    (old,) = runs(boe, repo)
    assert boe(repo, "rerun", old["run_id"], "--corrected", "old rates").code == 0
    new = next(run for run in runs(boe, repo) if run["trigger"] == "rerun")
    shown = boe(repo, "show", new["run_id"], "--format", "json").json
    assert (shown["rerun_of"], shown["corrected"]) == (old["run_id"], "old rates")
    assert any(old["run_id"] in event["message"] for event in shown["events"])
    before = boe(repo, "show", old["run_id"], "--format", "json").json
    assert any(new["run_id"] in event["message"] for event in before["events"])
    assert f"(again of {old['run_id']})" in boe(repo, "runs").out


def test_since_is_read_in_the_zone_of_each_schedule(repo: Path, boe: Boe) -> None:
    boe(repo, "rerun", "broken", "--from", "2026-10-24", "--to", "2026-10-25")
    listed = boe(repo, "rerun", "--failed", "--since", "2026-10-24T06:30", "--dry-run")
    assert len(listed.out.splitlines()) == 1
    later = boe(repo, "rerun", "--failed", "--since", "2026-10-24T06:31", "--dry-run")
    assert later.out == "Nothing to run again.\n"


def test_a_partial_run_has_a_gentler_way(repo: Path, boe: Boe) -> None:
    two = [{"type": "local", "name": n, "base_path": n} for n in ("first", "second")]
    write(repo / "schedules/good.yaml", schedule("good", deliver_to=two))
    (repo / "second").write_text("in the way")
    assert boe(repo, "trigger", "good").code == 1
    said = boe(repo, "rerun", "--failed", "--dry-run")
    assert "`boe resend good.m" in said.err


def test_the_same_command_goes_on_with_what_was_left(repo: Path, boe: Boe) -> None:
    ids = boe(repo, "rerun", "good", *NOVEMBER, "--no-wait").out.split()
    assert len(ids) == 3
    said = boe(repo, "rerun", "good", *NOVEMBER)
    assert said.code == 0
    assert "3 runs of the same command: not started twice." in said.err
    assert sorted(run["run_id"] for run in runs(boe, repo)) == sorted(ids)
    assert {run["status"] for run in runs(boe, repo)} == {"succeeded"}


@pytest.mark.slow
def test_two_at_once_do_it_once(repo: Path, boe: Boe) -> None:
    arguments = [BOE, "-C", str(repo), "rerun", "good", *NOVEMBER]
    both = [
        subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for one in both:
        _, told = one.communicate(timeout=60)
        assert one.returncode == 0, told
    assert len(runs(boe, repo)) == 3
    assert len(list((repo / "exports").rglob("*.csv"))) == 3


def test_what_lies_ahead_is_left_out(repo: Path, boe: Boe) -> None:
    day = datetime.now(UTC) + timedelta(days=3)
    said = boe(
        *(repo, "rerun", "good", "--from", "2026-10-24", "--to", str(day.date())),
        "--dry-run",
    )
    assert "What lies ahead is left out" in said.err
