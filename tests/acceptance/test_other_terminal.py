"""While `boe run` serves, and while nobody does: the same commands do the same."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.folders import (
    BOE,
    a_folder,
    boe_json,
    run_boe,
    schedule,
    serving,
    until,
)

ENDLESS = "select sum(a.range * b.range) as n from range(100000000) a, range(9999) b"
REPO = (
    schedule("quick"),
    schedule("endless", query=ENDLESS),
    schedule("broken", query="select * from nowhere"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return a_folder(tmp_path / "repo", *REPO)


@pytest.fixture(params=["served", "alone"])
def anywhere(request: pytest.FixtureRequest, folder: Path) -> Iterator[Path]:
    """The folder, once while another process serves it and once while none does."""
    if request.param == "alone":
        yield folder
        return
    with serving(folder):
        yield folder


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "exports").rglob("*.csv"))


def runs(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = boe_json(folder, "runs", *arguments)
    return found


def status_of(folder: Path, name: str) -> dict[str, Any]:
    objects = boe_json(folder, "status")["objects"]
    return next(one for one in objects if one["name"] == name)


def test_trigger_runs_and_delivers(anywhere: Path) -> None:
    done = run_boe(anywhere, "trigger", "quick")
    assert done.returncode == 0, done.stderr
    assert "succeeded" in done.stdout
    assert len(files(anywhere)) == 1
    (run,) = runs(anywhere)
    assert (run["status"], run["trigger"], run["rows"]) == ("succeeded", "manual", 1)
    assert status_of(anywhere, "quick")["last_run"]["run_id"] == run["run_id"]
    shown = boe_json(anywhere, "show", run["run_id"])
    assert "events" in shown


@pytest.mark.slow
def test_a_dry_run_builds_the_file_and_delivers_nothing(anywhere: Path) -> None:
    assert run_boe(anywhere, "trigger", "quick", "--dry-run").returncode == 0
    assert files(anywhere) == []
    (run,) = runs(anywhere)
    assert (run["reason"], len(run["artifacts"]), run["deliveries"]) == (
        "dry_run",
        1,
        [],
    )


@pytest.mark.slow
def test_a_failed_run_is_told_by_the_exit_code_and_run_again(anywhere: Path) -> None:
    done = run_boe(anywhere, "trigger", "broken")
    assert done.returncode == 1
    (run,) = runs(anywhere, "--status", "failed")
    again = run_boe(anywhere, "rerun", run["run_id"])
    assert again.returncode == 1
    newest, oldest = runs(anywhere)
    assert newest["trigger"] == "rerun" or oldest["trigger"] == "rerun"
    rerun = newest if newest["trigger"] == "rerun" else oldest
    assert boe_json(anywhere, "show", rerun["run_id"])["rerun_of"] == run["run_id"]


@pytest.mark.slow
def test_a_stored_file_is_sent_again(anywhere: Path) -> None:
    run_boe(anywhere, "trigger", "quick")
    again = run_boe(anywhere, "resend", "quick")
    assert again.returncode == 0
    assert "already" in again.stdout
    assert run_boe(anywhere, "resend", "quick", "--all").returncode == 0
    assert len(files(anywhere)) == 2
    (run,) = runs(anywhere)
    assert [one["status"] for one in run["deliveries"]] == ["accepted", "accepted"]


@pytest.mark.slow
def test_a_pause_holds_and_a_trigger_by_hand_still_runs(anywhere: Path) -> None:
    done = run_boe(anywhere, "pause", "quick", "--why", "the source is rebuilt")
    assert done.returncode == 0, done.stderr
    found = status_of(anywhere, "quick")
    assert found["paused"] is True
    assert found["pause"]["why"] == "the source is rebuilt"
    assert found["next"] is None
    triggered = run_boe(anywhere, "trigger", "quick")
    assert triggered.returncode == 0
    assert "paused" in triggered.stdout + triggered.stderr
    assert run_boe(anywhere, "resume", "quick").returncode == 0
    found = status_of(anywhere, "quick")
    assert (found["paused"], found["pause"]) == (False, None)
    assert found["next"] is not None


@pytest.mark.slow
def test_a_run_that_waits_is_cancelled(anywhere: Path) -> None:
    """With nobody serving the row waits; else it is already at work."""
    run_id = run_boe(anywhere, "trigger", "endless", "--no-wait").stdout.split()[-1]
    done = run_boe(anywhere, "cancel", run_id)
    assert done.returncode == 0, done.stderr
    assert f"{run_id} is cancelled" in done.stdout
    assert [run["status"] for run in runs(anywhere)] == ["cancelled"]


@pytest.mark.slow
def test_a_run_at_work_is_cancelled(folder: Path) -> None:
    with serving(folder):
        run_id = run_boe(folder, "trigger", "endless", "--no-wait").stdout.split()[-1]
        until(lambda: runs(folder, "--status", "running"))
        assert "is cancelled" in run_boe(folder, "cancel", run_id).stdout


@pytest.mark.slow
def test_all_of_it_survives_a_restart(folder: Path) -> None:
    with serving(folder) as first:
        run_boe(folder, "trigger", "quick")
        run_boe(folder, "trigger", "broken")
        run_boe(folder, "pause", "endless", "--why", "slow")
        before = runs(folder), boe_json(folder, "status")
        assert first.end(signal.SIGTERM) == 0
    with serving(folder) as second:
        assert (runs(folder), boe_json(folder, "status")) == before
        assert second.end(signal.SIGTERM) == 0
    assert (runs(folder), boe_json(folder, "status")) == before


@pytest.mark.slow
def test_what_was_asked_for_while_nobody_served_is_done_by_the_next(
    folder: Path,
) -> None:
    assert run_boe(folder, "trigger", "quick", "--no-wait").returncode == 0
    with serving(folder):
        until(lambda: len(files(folder)) == 1)


@pytest.mark.slow
def test_a_second_boe_run_names_the_first(folder: Path) -> None:
    with serving(folder) as first:
        second = run_boe(folder, "run")
        assert second.returncode == 1
        assert f"process {first.process.pid}" in second.stderr
        assert first.process.poll() is None


def test_ctrl_c_ends_it_with_130(folder: Path) -> None:
    with serving(folder) as served:
        assert served.end(signal.SIGINT) == 130


@pytest.mark.slow
def test_a_drain_gives_a_run_back_without_using_up_an_attempt(folder: Path) -> None:
    with serving(folder, "--drain-timeout", "1s") as served:
        run_boe(folder, "trigger", "endless", "--no-wait")
        until(lambda: runs(folder, "--status", "running"))
        assert served.end(signal.SIGTERM) == 0
    (run,) = runs(folder)
    assert (run["status"], run["attempts"]) == ("pending", 0)


@pytest.mark.slow
def test_an_impatient_ctrl_c_interrupts_what_runs(folder: Path) -> None:
    with serving(folder) as served:
        run_boe(folder, "trigger", "endless", "--no-wait")
        until(lambda: runs(folder, "--status", "running"))
        served.process.send_signal(signal.SIGINT)
        until(lambda: "again" in served.log.read_text())
        assert served.end(signal.SIGINT) == 130
    assert [run["status"] for run in runs(folder)] == ["pending"]


@pytest.mark.slow
def test_ctrl_c_at_a_trigger_leaves_its_run_to_the_next(folder: Path) -> None:
    process = subprocess.Popen(
        [BOE, "-C", str(folder), "trigger", "endless"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            until(
                lambda: (
                    (folder / ".boe").exists() and runs(folder, "--status", "running")
                )
            )
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert [run["status"] for run in runs(folder)] == ["pending"]


@pytest.mark.slow
def test_the_log_is_json_with_an_action_and_the_run(folder: Path) -> None:
    done = run_boe(folder, "--log-format", "json", "run", "--once", "--now", "quick")
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    finished = next(one for one in lines if one["action"] == "run_finished")
    assert re.fullmatch(r"quick\.m[0-9a-f]{32}", finished["run_id"])
    assert finished["status"] == "succeeded"
