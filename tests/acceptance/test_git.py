"""`boe run --git` as its users have it: pushes, outages, restarts, kills."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.folders import (
    BOE,
    boe_json,
    document,
    run_boe,
    schedule,
    serving,
    until,
)
from tests.gits import Upstream


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream.git")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Where BOE runs: no YAML, only its state folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def push(upstream: Upstream, *schedules: Any) -> str:
    upstream.tree.clear()
    connection = document("Connection", "none", {"type": "duckdb"})
    upstream.write("connections/none.yaml", json.dumps(connection))
    for one in schedules:
        path = f"schedules/{one['metadata']['name']}.yaml"
        upstream.write(path, json.dumps(one))
    return f"main@sha1:{upstream.commit()}"


def revision(folder: Path) -> dict[str, str]:
    found: dict[str, str] = boe_json(folder, "status")["revision"]
    return found


@pytest.mark.slow
def test_a_hangup_fetches_at_once_and_a_restart_needs_no_git(
    upstream: Upstream, here: Path, tmp_path: Path
) -> None:
    first = push(upstream, schedule("a"))
    options = ("--git", str(upstream.path), "--poll", "1h")
    with serving(here, *options) as served:
        assert revision(here)["serving"] == first
        second = push(upstream, schedule("a"), schedule("b"))
        served.process.send_signal(signal.SIGHUP)
        until(lambda: revision(here)["serving"] == second)
        assert served.end() == 0
    upstream.path.rename(tmp_path / "away")
    with serving(here, *options) as served:
        until(lambda: "reconcile_failed" in served.log.read_text())
        assert run_boe(here, "trigger", "b").returncode == 0
        assert revision(here)["serving"] == second
        assert served.end() == 0
        assert served.log.read_text().count("reconcile_failed") == 1


def hanging(tmp_path: Path) -> tuple[str, Path]:
    """A PATH whose git asks no far side and does not end, and what shows that it began."""
    script, asked = tmp_path / "bin/git", tmp_path / "asked"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\n[ "$1" = ls-remote ] && touch {asked} && sleep 600\n'
        f'exec {shutil.which("git")} "$@"\n'
    )
    script.chmod(0o755)
    return f"{script.parent}:{os.environ['PATH']}", asked


@pytest.mark.slow
def test_a_git_that_hangs_delays_neither_the_start_nor_the_end(
    upstream: Upstream, here: Path, tmp_path: Path
) -> None:
    push(upstream, schedule("a"))
    done = run_boe(here, "run", "--git", str(upstream.path), "--once", "--now", "a")
    assert done.returncode == 0, done.stderr
    path, asked = hanging(tmp_path)
    with serving(here, "--git", str(upstream.path), PATH=path) as served:
        until(asked.exists)
        begin = time.monotonic()
        assert served.end() == 0
        assert time.monotonic() - begin < 15


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)]
)
def test_a_first_start_can_be_ended_while_git_hangs(
    here: Path, tmp_path: Path, number: int, code: int
) -> None:
    path, asked = hanging(tmp_path)
    process = subprocess.Popen(
        [BOE, "-C", str(here), "run", "--git", str(tmp_path)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PATH": path},
    )
    until(asked.exists)
    process.send_signal(number)
    assert process.wait(20) == code


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_at_any_moment_leave_one_whole_plan(
    upstream: Upstream, here: Path
) -> None:
    """All schedules of a revision have one query: a mix of two would show."""

    def push_number(number: int) -> str:
        query = f"select {number} as number"
        return push(upstream, *(schedule(f"s{n}", query=query) for n in range(9)))

    push_number(0)
    options = ["--git", str(upstream.path), "--poll", "1s"]
    assert run_boe(here, "run", *options, "--once").returncode == 0
    chance = random.Random(7)
    for number in range(1, 13):
        last = push_number(number)
        process = subprocess.Popen(
            [BOE, "-C", str(here), "run", *options],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        time.sleep(chance.uniform(0.3, 4))
        process.kill()
        process.wait()
        found = boe_json(here, "status")
        assert {one["serving_revision"] for one in found["objects"]} == {
            found["revision"]["serving"]
        }
        assert len(found["objects"]) == 10
    done = run_boe(here, "run", *options, "--once")
    assert done.returncode == 0, done.stderr
    assert revision(here)["serving"] == last
    assert run_boe(here, "doctor").returncode == 0
