"""What people see of runs and files that are kept no longer."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Boe
from tests.folders import a_folder, schedule

DAY = 86_400


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    policy = {"retention": {"artifacts": "2d"}}
    return a_folder(tmp_path / "repo", schedule("good"), policy=policy)


def years_pass(folder: Path, days: int) -> None:
    """All that is in the state folder becomes so much older."""
    ledger = folder / ".boe/ledger.sqlite"
    back = days * DAY * 1_000_000
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute(
            f"UPDATE runs SET occurrence = occurrence - {back}, created_at = created_at "
            f"- {back}, started_at = started_at - {back}, finished_at = finished_at - {back}"
        )
    then = time.time() - days * DAY
    for blob in (folder / ".boe/blobs").rglob("*/*"):
        os.utime(blob, (then, then))


def runs(boe: Boe, folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = boe(folder, "runs", "--format", "json").json
    return found


def test_a_file_that_was_kept_for_its_time_is_told_of(repo: Path, boe: Boe) -> None:
    boe(repo, "trigger", "good")
    (run,) = runs(boe, repo)
    shown = boe(repo, "show", "good", "--format", "json").json
    assert shown["files_gone"] == []
    assert "stored" not in boe(repo, "show", "good").out
    years_pass(repo, 3)
    assert boe(repo, "run", "--once").code == 0
    assert list((repo / ".boe/blobs").rglob("*/" + "?" * 64)) == []
    shown = boe(repo, "show", "good", "--format", "json").json
    assert shown["files_gone"] == ["-"]
    text = boe(repo, "show", "good").out
    assert "not stored any more: files are kept for 2 days;" in text
    assert f"`boe rerun {run['run_id']}` builds it anew" in text
    said = boe(repo, "resend", "good", "--all")
    assert said.code == 1
    assert "is not stored any more: files are kept for 2 days." in said.err
    assert f"`boe rerun {run['run_id']}` builds it anew." in said.err
    assert boe(repo, "doctor").code == 0
    assert boe(repo, "rerun", "good").code == 0


def test_a_file_that_vanished_before_its_time_is_no_retention(
    repo: Path, boe: Boe
) -> None:
    boe(repo, "trigger", "good")
    sha256 = runs(boe, repo)[0]["artifacts"][0]["sha256"]
    (repo / ".boe/blobs" / sha256[:2] / sha256).unlink()
    assert "it is missing from the state folder" in boe(repo, "show", "good").out
    assert "as `boe doctor` tells" in boe(repo, "resend", "good", "--all").err
    assert boe(repo, "doctor").code == 1


def test_old_runs_leave_the_history_and_the_newest_stays(repo: Path, boe: Boe) -> None:
    for _ in range(2):
        boe(repo, "trigger", "good")
    before = runs(boe, repo)
    years_pass(repo, 401)
    boe(repo, "run", "--once")
    assert [one["run_id"] for one in runs(boe, repo)] == [before[0]["run_id"]]
    status = boe(repo, "status", "--format", "json").json
    last = [one["last_run"] for one in status["objects"] if one["name"] == "good"]
    assert last == [{"run_id": before[0]["run_id"], "status": "succeeded"}]
    assert boe(repo, "doctor").code == 0
