"""A process that serves for months must not grow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.many_runs import LOOK
from tests.folders import a_folder, boe_json, schedule

ROOT = Path(__file__).parents[2]
SCHEDULES = 10
#: Seconds: as many occurrences of each schedule.
SERVED = 160
#: Bytes that it may have grown by, once everything has been loaded and used.
GROWTH = 4 << 20
#: Each worker's share of the allocators' pools needs thousands of runs until it is as
#: large as it gets. What a run leaves behind, it leaves whoever did it.
WORKERS = "2"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/statm")
def test_sixteen_hundred_runs_leave_no_memory_behind(tmp_path: Path) -> None:
    names = [f"each-second-{number}" for number in range(SCHEDULES)]
    every_second = {"every": "1s", "timezone": "UTC"}
    folder = a_folder(
        tmp_path / "repo",
        *(schedule(name, when=every_second) for name in names),
        policy={"limits": {"min_interval": "1s", "schedules_per_owner": 100}},
    )
    told = subprocess.run(
        [sys.executable, "-m", "tests.engine.many_runs", folder, str(SERVED)],
        cwd=ROOT,
        env=os.environ | {"BOE_WORKERS": WORKERS},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    sizes = [int(line) for line in told.split()]
    assert len(sizes) == SERVED // LOOK
    runs = boe_json(folder, "runs", "--status", "succeeded", "--limit", "100000")
    assert len(runs) == SCHEDULES * SERVED
    half = len(sizes) // 2
    assert max(sizes[half:]) - min(sizes[:half]) < GROWTH, sizes
