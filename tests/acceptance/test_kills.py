"""SIGKILL at any moment: nothing is lost, nothing is doubled, nothing is half there."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.folders import BOE, a_folder, boe_json, run_boe, schedule, write

KILLS = 100
SCHEDULES = 25
CONTENT = b"number,name\n1,one\n2,two\n"
EVERY_SECOND = {
    "when": {"every": "1s", "timezone": "UTC"},
    "execution": {
        "catchup": "all",
        "catchup_window": "7d",
        "catchup_max_runs": 1_000_000,
        "overlap": "buffer_all",
    },
    "deliver_to": [
        {
            "type": "local",
            "base_path": "exports",
            "create_subdirs": False,
            "filename_pattern": "{schedule_name}_{timestamp}.{format}",
        }
    ],
    "query": "select * from (values (1, 'one'), (2, 'two')) t(number, name) order by 1",
}
POLICY = {"limits": {"min_interval": "1s", "schedules_per_owner": 100}}


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_occurrence_has_one_row_and_one_file_after_a_hundred_kills(
    tmp_path: Path,
) -> None:
    names = [f"each-second-{number:02d}" for number in range(SCHEDULES)]
    folder = a_folder(
        tmp_path / "repo",
        *(schedule(name, **EVERY_SECOND) for name in names),
        policy=POLICY,
    )
    chance = random.Random(20261124)
    for _ in range(KILLS):
        _run_and_kill(folder, chance.uniform(0.1, 3.0))
        assert _broken_files(folder) == []

    _stop_scheduling(folder, names)
    done = subprocess.run(
        [BOE, "-C", str(folder), "run", "--once"], check=False, timeout=1200
    )
    assert done.returncode == 0

    runs = boe_json(folder, "runs", "--limit", "1000000")
    assert Counter(run["status"] for run in runs) == {"succeeded": len(runs)}
    occurrences = defaultdict(list)
    for run in runs:
        occurrences[run["schedule"]].append(datetime.fromisoformat(run["occurrence"]))
    assert sorted(occurrences) == names
    for moments in occurrences.values():
        moments.sort()
        span = (moments[-1] - moments[0]) // timedelta(seconds=1)
        assert moments == [moments[0] + timedelta(seconds=n) for n in range(span + 1)]
    expected = {
        f"{name}_{moment:%Y%m%d_%H%M%S}.csv"
        for name, moments in occurrences.items()
        for moment in moments
    }
    files = {path.name for path in (folder / "exports").iterdir()}
    assert files == expected
    assert _broken_files(folder) == []
    assert list((folder / ".boe/scratch").rglob("*")) == []
    assert [path for path in (folder / ".boe").rglob("*") if "tmp" in path.name] == []
    checked = run_boe(folder, "doctor")
    assert checked.returncode == 0
    assert checked.stdout.endswith("All is sound.\n")
    lost = (tmp_path / "log.txt").read_text().count("run_taken_over")
    sys.stdout.write(
        f"{KILLS} kills, {SCHEDULES} schedules: {len(runs)} occurrences, "
        f"{len(files)} files, {lost} runs were taken over\n"
    )


def _run_and_kill(folder: Path, seconds: float) -> None:
    """Killed some time after its start, which itself takes about a second."""
    with (folder.parent / "log.txt").open("a") as log:
        process = subprocess.Popen(
            [BOE, "-C", str(folder), "run"], stdout=log, stderr=log, env=os.environ
        )
        try:
            process.wait(seconds + 0.7)
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
    assert process.returncode == -9, (folder.parent / "log.txt").read_text()[-2000:]


def _broken_files(folder: Path) -> list[str]:
    """Files under a final name that are not whole."""
    exports = folder / "exports"
    found = exports.glob("*.csv") if exports.exists() else ()
    return [path.name for path in found if path.read_bytes() != CONTENT]


def _stop_scheduling(folder: Path, names: list[str]) -> None:
    """From now on nothing is due any more; what was owed stays owed."""
    end = datetime.now(UTC).replace(microsecond=0).isoformat()
    for name in names:
        spec = {**EVERY_SECOND, "when": {**EVERY_SECOND["when"], "end_at": end}}
        write(folder / f"schedules/{name}.yaml", schedule(name, **spec))
