"""SIGTERM to a `boe run` that is at work: it lets go of everything, and says 0."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.folders import Served, a_folder, boe_json, run_boe, schedule, serving, until
from tests.transforms.test_transforms import alive

ENDLESS = "select sum(a.range * b.range) as n from range(100000000) a, range(9999) b"
PAGES = (
    "select range as n, repeat('x', 90) as a, repeat('y', 90) as b from range(49000)"
)
TRANSFORM = {
    "connection": "none",
    "query": "select 1 as one",
    "transform": "shapes.slow:wait",
}
SLOW = """
import re, subprocess

def wait(frame):
    subprocess.Popen(["sleep", "600"])
    re.match("(a+)+$", "a" * 64 + "b")
"""
REPO = (
    schedule("query", query=ENDLESS),
    schedule("isolated", query=ENDLESS, execution={"isolate": True}),
    schedule("pages", query=PAGES, export={"format": "pdf"}),
    schedule("transform", report=TRANSFORM),
)
pytestmark = pytest.mark.slow
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    policy = {"allow": {"transforms": ["shapes/slow.py"]}}
    made = a_folder(tmp_path / "repo", *REPO, policy=policy)
    (made / "shapes").mkdir()
    (made / "shapes/slow.py").write_text(SLOW)
    return made


def descendants(pid: int) -> set[int]:
    found = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (thread / "children").read_text().split()):
            found |= {child, *descendants(child)}
    return found


def at_work(folder: Path, served: Served) -> set[int]:
    """All are triggered and running; the processes that were started for them."""
    for one in REPO:
        run_boe(folder, "trigger", one["metadata"]["name"], "--no-wait")
    # The fork server, a child for the query, one for the transform and what it started.
    until(lambda: len(descendants(served.process.pid)) >= 4)
    time.sleep(1)
    running = boe_json(folder, "runs", "--status", "running")
    assert len(running) == len(REPO)
    return descendants(served.process.pid)


@LINUX
def test_a_sigterm_interrupts_all_and_leaves_no_process_and_no_claim(
    folder: Path,
) -> None:
    with serving(folder, "--drain-timeout", "1s", BOE_WORKERS="4") as served:
        children = at_work(folder, served)
        began = time.monotonic()
        assert served.end(signal.SIGTERM) == 0, served.log.read_text()
        took = time.monotonic() - began
    assert 1 <= took < 1 + 4
    until(lambda: not any(map(alive, children)), 2)
    assert_given_back(folder)


@LINUX
def test_a_sigkill_leaves_no_process_and_the_next_start_goes_on(folder: Path) -> None:
    with serving(folder, BOE_WORKERS="4") as served:
        children = at_work(folder, served)
        os.kill(served.process.pid, signal.SIGKILL)
        until(lambda: not any(map(alive, children)), 2)
    with serving(folder, "--drain-timeout", "1s", BOE_WORKERS="4") as served:
        until(lambda: len(boe_json(folder, "runs", "--status", "running")) == len(REPO))
        assert served.end(signal.SIGTERM) == 0
    assert_given_back(folder, attempts={"lost", "released"})


def assert_given_back(folder: Path, attempts: set[str] | None = None) -> None:
    """As if they had not begun: nothing failed, no attempt was used up."""
    found: list[dict[str, Any]] = boe_json(folder, "runs")
    assert {run["status"] for run in found} == {"pending"}, found
    assert len(found) == len(REPO)
    assert list((folder / ".boe/scratch").iterdir()) == []
    assert not (folder / "exports").exists()
    assert run_boe(folder, "doctor").stdout.endswith("All is sound.\n")


def test_a_run_that_ends_in_time_is_not_interrupted(tmp_path: Path) -> None:
    query = "select count(*) as n from range(400000000) t where hash(range) % 7 = 3"
    folder = a_folder(tmp_path / "repo", schedule("soon", query=query))
    with serving(folder, "--drain-timeout", "60s") as served:
        run_boe(folder, "trigger", "soon", "--no-wait")
        until(lambda: boe_json(folder, "runs", "--status", "running"))
        assert served.end(signal.SIGTERM) == 0
    (run,) = boe_json(folder, "runs")
    assert run["status"] == "succeeded"
