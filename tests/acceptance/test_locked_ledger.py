"""Another process holds the ledger longer than BOE waits for it: all of it runs later."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.folders import a_folder, boe_json, run_boe, schedule, serving, until

#: Seconds; the ledger itself gives up after 30.
HELD = 33
SPEC = {
    "when": {"every": "1s", "timezone": "UTC"},
    "execution": {
        "catchup": "all",
        "catchup_max_runs": 1000,
        "overlap": "buffer_all",
        "retry": {"initial": "1s", "max": "2s"},
    },
}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_ledger_locked_for_half_a_minute_loses_nothing(tmp_path: Path) -> None:
    folder = a_folder(
        tmp_path / "repo",
        schedule("each-second", **SPEC),
        policy={"limits": {"min_interval": "1s"}},
    )
    with serving(folder) as served:
        until(lambda: boe_json(folder, "runs", "--status", "succeeded"))
        with closing(
            sqlite3.connect(folder / ".boe/ledger.sqlite", isolation_level=None)
        ) as other:
            other.execute("PRAGMA busy_timeout = 10000")
            other.execute("BEGIN IMMEDIATE")
            time.sleep(HELD)
            assert served.process.poll() is None
            # Whoever only reads is not held up.
            assert run_boe(folder, "runs").returncode == 0
            other.execute("ROLLBACK")
        released = datetime.now().astimezone()
        until(lambda: newest(folder) > released + timedelta(seconds=2))
        assert served.end() == 0
    runs = boe_json(folder, "runs", "--limit", "100000")
    moments = sorted(datetime.fromisoformat(run["occurrence"]) for run in runs)
    span = (moments[-1] - moments[0]) // timedelta(seconds=1)
    assert span >= HELD
    assert moments == [moments[0] + timedelta(seconds=n) for n in range(span + 1)]
    ends = Counter(run["status"] for run in runs)
    assert set(ends) <= {"succeeded", "pending"}
    assert ends["pending"] < 20
    files = [path for path in (folder / "exports").rglob("*") if path.is_file()]
    assert len(files) == ends["succeeded"]
    assert run_boe(folder, "doctor").returncode == 0


def newest(folder: Path) -> datetime:
    runs = boe_json(folder, "runs", "--status", "succeeded", "--limit", "1")
    return datetime.fromisoformat(runs[0]["occurrence"])
