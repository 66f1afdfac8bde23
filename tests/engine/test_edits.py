"""R6: whatever is merged, and whenever, no occurrence vanishes.

A folder, its reconciler, its executor and a ledger file, as `boe run` has them; only
the clock is moved by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from boe_reconciler.core.runs import RunStatus
from tests.engine.serving import Folder
from tests.folders import schedule, write


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path)
    yield made
    made.stop()


SUCCEEDED, MISSED = RunStatus.SUCCEEDED.value, RunStatus.MISSED.value


def test_an_edit_of_a_description_moves_no_occurrence(folder: Folder) -> None:
    serving = folder.start("05:00:00")
    serving.set("05:29:59")
    folder.merge(metadata={"description": "Better words."})
    serving.reconcile()
    serving.serve_until("06:31:00")
    assert serving.outcomes() == {"05:30": SUCCEEDED, "06:30": SUCCEEDED}


def test_an_edit_of_a_description_between_the_occurrence_and_its_tick_loses_nothing(
    folder: Folder,
) -> None:
    serving = folder.start("05:00:00")
    serving.set("05:30:00")
    folder.merge(metadata={"description": "Better words."})
    serving.reconcile()
    serving.work()
    assert serving.outcomes() == {"05:30": SUCCEEDED}


@pytest.mark.parametrize("second", ["05:30:00", "05:30:01", "05:30:59"])
def test_a_merge_in_the_minute_of_a_run_lets_the_old_time_run_once(
    folder: Folder, second: str
) -> None:
    """The old `when` was owed up to the merge; the new one begins with it."""
    serving = folder.start("05:00:00")
    serving.set(second)
    folder.merge(when={"cron": "45 * * * *", "timezone": "UTC"})
    serving.reconcile()
    serving.serve_until("05:46:00")
    assert serving.outcomes() == {"05:30": SUCCEEDED, "05:45": SUCCEEDED}


def test_a_merge_in_the_minute_of_a_run_to_a_time_in_that_minute_runs_once(
    folder: Folder,
) -> None:
    serving = folder.start("05:00:00")
    serving.set("05:30:20")
    folder.merge(when={"cron": ["30 * * * *", "31 * * * *"], "timezone": "UTC"})
    serving.reconcile()
    serving.work()
    serving.serve_until("05:32:00")
    assert serving.outcomes() == {"05:30": SUCCEEDED, "05:31": SUCCEEDED}


def test_a_merge_while_the_run_is_under_way_neither_stops_nor_repeats_it(
    folder: Folder,
) -> None:
    serving = folder.start("05:00:00")
    serving.set("05:30:00")
    serving.begin()
    when = {"cron": "31 * * * *", "timezone": "UTC"}
    folder.merge(query="select 2 as two", when=when)
    serving.reconcile()
    serving.serve_until("05:32:00")
    assert serving.outcomes() == {"05:30": SUCCEEDED, "05:31": SUCCEEDED}


@pytest.mark.parametrize(
    ("catchup", "expected"),
    [
        ("latest", {"05:30": MISSED, "06:30": SUCCEEDED}),
        ("all", {"05:30": SUCCEEDED, "06:30": SUCCEEDED}),
        ("none", {"05:30": MISSED, "06:30": MISSED}),
    ],
)
def test_a_restart_with_a_new_time_after_two_hours_accounts_for_the_old_ones(
    folder: Folder, catchup: str, expected: dict[str, str]
) -> None:
    folder.merge(execution={"catchup": catchup, "overlap": "buffer_all"})
    folder.start("05:00:00").serve_until("05:01:00")
    folder.stop()
    folder.merge(
        when={"cron": "10 * * * *", "timezone": "UTC"},
        execution={"catchup": catchup, "overlap": "buffer_all"},
    )
    serving = folder.start("07:01:00")
    serving.serve_until("07:11:00")
    assert serving.outcomes() == {**expected, "07:10": SUCCEEDED}


def test_a_restart_with_a_new_description_after_two_hours_catches_up(
    folder: Folder,
) -> None:
    folder.start("05:00:00").serve_until("05:01:00")
    folder.stop()
    folder.merge(metadata={"description": "Better words."})
    serving = folder.start("07:01:00")
    serving.serve_until("07:31:00")
    expected = {"05:30": MISSED, "06:30": SUCCEEDED, "07:30": SUCCEEDED}
    assert serving.outcomes() == expected


def test_a_restart_without_the_schedule_after_two_hours_says_what_became_of_it(
    folder: Folder,
) -> None:
    folder.start("05:00:00").serve_until("05:01:00")
    folder.stop()
    (folder.path / "schedules/report.yaml").unlink()
    write(folder.path / "schedules/other.yaml", schedule("other"))
    serving = folder.start("07:01:00")
    serving.work()
    assert serving.outcomes() == {"05:30": MISSED, "06:30": "cancelled"}
