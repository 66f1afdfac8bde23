"""Which runs are done again, and that equal commands name the same rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from boe_reconciler.core.rerun import Command, Range, backfill, failed, rerun_of
from boe_reconciler.core.run_ids import run_id
from boe_reconciler.core.runs import NewRun, Run, RunOptions, RunStatus, Trigger
from tests.builders import at

DUE = at("2026-11-24 05:30")
NOW = at("2026-11-24 12:00")
MINUTE = timedelta(minutes=1)
WANTED = Range(schedule="daily", since=DUE, until=DUE + timedelta(days=1))


def a_run(identity: str = "", **fields: Any) -> Run:
    """The run of 05:30, which failed at 06:00."""
    given: dict[str, Any] = {
        "run_id": identity or run_id("daily", DUE),
        "schedule": "daily",
        "schedule_uid": "1",
        "occurrence": DUE,
        "trigger": Trigger.SCHEDULE,
        "status": RunStatus.FAILED,
        "reason": "",
        "message": "",
        "attempts": 1,
        "not_before": DUE,
        "expires": None,
        "options": RunOptions(),
        "cancel_requested": False,
        "fence": 1,
        "worker": None,
        "lease_until": None,
        "started_at": DUE,
        "finished_at": DUE + 30 * MINUTE,
        "rows": None,
        "revision": "",
        "spec_digest": "",
        "tzdb": "",
        "created_at": DUE,
    }
    return Run(**{**given, **fields})


def inserted(row: NewRun, **fields: Any) -> Run:
    """The row in a ledger, still to start."""
    taken = ("schedule", "occurrence", "trigger", "status", "options", "not_before")
    same = {name: getattr(row, name) for name in taken}
    return a_run(
        row.run_id, **{**same, "created_at": NOW, "finished_at": None, **fields}
    )


def a_command(minutes: int = 0, corrected: str | None = None) -> Command:
    moment = NOW + minutes * MINUTE
    return Command(started=moment, now=moment, corrected=corrected)


# --- One run ------------------------------------------------------------------------


def test_a_rerun_keeps_what_was_asked_and_names_the_older_run() -> None:
    old = a_run(options=RunOptions(parameters={"n": "1"}, only="archive"))
    row = rerun_of(old, [old], a_command(corrected="old rates"))
    assert (row.occurrence, row.trigger) == (DUE, Trigger.RERUN)
    assert row.options == RunOptions(
        parameters={"n": "1"},
        only="archive",
        rerun_of=old.run_id,
        corrected="old rates",
    )


def test_equal_commands_at_the_same_time_name_the_same_row() -> None:
    old = a_run()
    first = rerun_of(old, [old], a_command())
    assert rerun_of(old, [old], a_command(1)).run_id == first.run_id
    there = inserted(first)
    assert rerun_of(old, [old, there], a_command(1)).run_id == first.run_id
    over = inserted(first, status=RunStatus.SUCCEEDED, finished_at=NOW + 2 * MINUTE)
    assert rerun_of(old, [old, over], a_command(1)).run_id == first.run_id


def test_the_same_command_after_its_end_is_another_one() -> None:
    old = a_run()
    first = rerun_of(old, [old], a_command())
    over = inserted(first, status=RunStatus.SUCCEEDED, finished_at=NOW + MINUTE)
    assert rerun_of(old, [old, over], a_command(2)).run_id != first.run_id


def test_a_correction_is_another_command() -> None:
    old = a_run()
    plain = rerun_of(old, [old], a_command())
    corrected = rerun_of(old, [old], a_command(corrected="why"))
    assert plain.run_id != corrected.run_id


# --- A range ------------------------------------------------------------------------


def test_a_range_names_what_each_run_takes_the_place_of() -> None:
    other = DUE + timedelta(days=1)
    manual = a_run("daily.m1", trigger=Trigger.MANUAL)
    rows = backfill(WANTED, [DUE, other], [a_run(), manual], a_command())
    assert [row.options.rerun_of for row in rows] == [run_id("daily", DUE), None]
    assert [row.trigger for row in rows] == [Trigger.BACKFILL] * 2
    assert rows[0].run_id.startswith("daily.20261124T053000Z.b")


def test_a_range_that_was_interrupted_goes_on_with_its_own_rows() -> None:
    other = DUE + timedelta(days=1)
    first, second = backfill(WANTED, [DUE, other], [], a_command())
    done = inserted(first, status=RunStatus.SUCCEEDED, finished_at=NOW + MINUTE)
    again = backfill(WANTED, [DUE, other], [done, inserted(second)], a_command(60))
    assert [row.run_id for row in again] == [first.run_id, second.run_id]


def test_a_range_that_was_done_can_be_done_once_more() -> None:
    (first,) = backfill(WANTED, [DUE], [], a_command())
    done = inserted(first, status=RunStatus.SUCCEEDED, finished_at=NOW + MINUTE)
    (again,) = backfill(WANTED, [DUE], [a_run(), done], a_command(60))
    assert again.run_id != first.run_id
    assert again.options.rerun_of == first.run_id


# --- All that failed ----------------------------------------------------------------


def a_rerun(status: RunStatus, of: str | None = None, **fields: Any) -> Run:
    over = NOW - MINUTE if status.final else None
    given: dict[str, Any] = {
        "status": status,
        "trigger": Trigger.RERUN,
        "created_at": NOW - 2 * MINUTE,
        "finished_at": over,
        "options": RunOptions(rerun_of=of or run_id("daily", DUE)),
    }
    return a_run("daily.m2", **{**given, **fields})


def again(*runs: Run) -> list[str]:
    return [run.run_id for run in failed(runs, a_command()).again]


def test_failed_and_partial_runs_are_done_again_the_oldest_first() -> None:
    earlier = DUE - timedelta(days=1)
    partial = a_run("daily.0", occurrence=earlier, status=RunStatus.PARTIAL)
    missed = a_run("daily.1", occurrence=earlier, status=RunStatus.MISSED)
    assert again(a_run(), partial, missed) == ["daily.0", run_id("daily", DUE)]


def test_a_failure_that_was_mended_is_left_alone() -> None:
    assert again(a_run(), a_rerun(RunStatus.SUCCEEDED)) == []
    assert again(a_run(), a_rerun(RunStatus.SUCCEEDED, trigger=Trigger.BACKFILL)) == []


def test_the_last_try_of_an_occurrence_counts() -> None:
    assert again(a_run(), a_rerun(RunStatus.FAILED)) == ["daily.m2"]
    assert again(a_run(status=RunStatus.SUCCEEDED), a_rerun(RunStatus.FAILED)) == [
        "daily.m2"
    ]


def test_what_was_cancelled_or_only_tried_out_mends_nothing() -> None:
    cancelled = a_rerun(RunStatus.CANCELLED)
    tried = a_rerun(RunStatus.SUCCEEDED, options=RunOptions(dry_run=True))
    assert again(a_run(), cancelled, tried) == [run_id("daily", DUE)]


def test_what_is_being_mended_is_waited_for() -> None:
    at_it = a_rerun(RunStatus.RUNNING)
    found = failed([a_run(), at_it], a_command())
    assert (found.again, found.on_the_way) == ([], [at_it])
    just_failed = a_rerun(RunStatus.FAILED, finished_at=NOW + MINUTE)
    found = failed([a_run(), just_failed], a_command())
    assert (found.again, found.on_the_way) == ([], [just_failed])


def test_a_rerun_of_what_was_good_is_nothing_to_wait_for() -> None:
    good = a_run(status=RunStatus.SUCCEEDED)
    found = failed([good, a_rerun(RunStatus.RUNNING)], a_command())
    assert (found.again, found.on_the_way) == ([], [])


def test_runs_by_hand_count_together_when_they_asked_for_the_same() -> None:
    hand = {"trigger": Trigger.MANUAL}
    first = a_run("daily.m0", **hand)
    second = a_run("daily.m1", occurrence=DUE + MINUTE, created_at=NOW, **hand)
    other = a_run("daily.m3", options=RunOptions(parameters={"n": "2"}), **hand)
    assert again(first, second) == ["daily.m1"]
    assert again(first, other) == ["daily.m0", "daily.m3"]
    mended = a_rerun(RunStatus.SUCCEEDED, of="daily.m0")
    assert again(first, mended) == []
