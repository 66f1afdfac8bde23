"""`wait_for`: a run begins once all is there that it waits for (docs/conditions.md)."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core import waits
from boe_reconciler.core.runs import RunRecord, RunStatus
from tests.engine.mails import ANNA, BOB, BUSY, Post, a_mail, mailing
from tests.engine.world import START, World, a_spec

WAITS, SUCCEEDED, SKIPPED = RunStatus.WAITING, RunStatus.SUCCEEDED, RunStatus.SKIPPED
#: The deadline of `wait_for` where it names none, in the schedule's zone.
UNTIL = "until Tue 2026-11-24 08:00 CET (07:00 UTC) at most."


def begun(world: World, *conditions: dict[str, Any], **fields: Any) -> str:
    """A run of a spec that waits for these; its id, after its first look."""
    world.serve(a_spec(wait_for=list(conditions), **fields))
    run_id = world.ask("daily")
    world.work()
    return run_id


def look(world: World, run_id: str, minutes: float) -> RunRecord:
    world.clock.move(minutes * 60)
    world.work()
    return world.record(run_id)


def put(world: World, path: str, text: str = "a,b\n", age: float = 60) -> Path:
    """A file that was written to so many seconds ago."""
    file = world.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    at = world.clock.now().timestamp() - age
    os.utime(file, (at, at))
    return file


# --- Files --------------------------------------------------------------------


def test_a_run_waits_for_its_file_without_a_lease_and_says_so(world: World) -> None:
    run_id = begun(world, {"file": "in/sales_{date}.csv"})
    run = world.record(run_id).run
    assert (run.status, run.reason, run.lease_until) == (WAITS, "wait_for", None)
    assert run.message == (f"It waits for the file in/sales_2026-11-24.csv, {UNTIL}")
    assert run.not_before == START + timedelta(minutes=5)
    assert (run.attempts, world.record(run_id).attempts) == (0, ())
    put(world, "in/sales_2026-11-24.csv")
    assert look(world, run_id, 5).run.status is SUCCEEDED


def test_a_file_counts_once_it_is_full_and_at_rest(world: World) -> None:
    put(world, "in/a.csv", text="")
    run_id = begun(world, {"file": "in/*.csv", "every": "10m"})
    assert "in/*.csv, which is empty" in world.record(run_id).run.message
    put(world, "in/a.csv", age=-590)
    found = look(world, run_id, 10).run
    assert "which was written to just now" in found.message
    assert found.not_before == world.clock.now() + timedelta(seconds=20)
    assert look(world, run_id, 1).run.status is SUCCEEDED


def test_all_files_of_a_pattern_have_to_be_at_rest(world: World) -> None:
    put(world, "in/a.csv")
    put(world, "in/b.csv", age=1)
    run_id = begun(world, {"file": "in/*.csv"})
    assert world.record(run_id).run.status is WAITS


def test_a_link_that_leads_out_of_the_data_does_not_count(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "a.csv"
    outside.write_text("a\n")
    os.utime(outside, (0, 0))
    (world.root / "in.csv").symlink_to(outside)
    run_id = begun(world, {"file": "in.csv"})
    assert world.record(run_id).run.status is WAITS


# --- Queries and schedules ----------------------------------------------------


def test_a_run_begins_once_its_query_gives_true(world: World) -> None:
    flag = world.root / "ready.csv"
    flag.write_text("ok\nfalse\n")
    connection = {"type": "duckdb", "files": {"ready": "ready.csv"}}
    query = "select exists(from ready where ok)"
    run_id = begun(world, {"query": query}, connection=connection)
    assert world.record(run_id).run.message == f"It waits for its query, {UNTIL}"
    flag.write_text("ok\ntrue\n")
    assert look(world, run_id, 5).run.status is SUCCEEDED


def test_a_query_that_fails_is_a_failed_try_and_no_answer(world: World) -> None:
    broken = {"type": "duckdb", "path": "absent.duckdb"}
    run_id = begun(world, {"query": "select true"}, connection=broken)
    run = world.record(run_id).run
    assert (run.status, run.attempts) == (WAITS, 1)
    assert run.reason != "wait_for"
    for _ in range(5):
        look(world, run_id, 20)
    run = world.record(run_id).run
    assert (run.status, run.reason, run.attempts) == (RunStatus.FAILED, "gave_up", 4)


def test_a_run_waits_for_another_schedule_of_the_same_local_day(world: World) -> None:
    load = a_spec(resolved={"schedule": "load"})
    waiting = a_spec(wait_for=[{"schedule": "load"}])
    world.clock.move(-7 * 3600)
    world.serve(load, waiting)
    world.ask("load")
    world.work()
    world.clock.move(7 * 3600)
    run_id = world.ask("daily")
    world.work()
    assert world.record(run_id).run.message == (
        f"It waits for load of 2026-11-24, which has not succeeded, {UNTIL}"
    )
    world.ask("load", dry_run=True)
    assert look(world, run_id, 5).run.status is WAITS
    world.ask("load")
    world.work()
    assert look(world, run_id, 5).run.status is SUCCEEDED


def test_all_of_them_must_be_there(world: World) -> None:
    put(world, "a.csv")
    run_id = begun(
        world, {"file": "a.csv"}, {"file": "b.csv"}, {"query": "select false"}
    )
    message = f"It waits for the file b.csv and its query, {UNTIL}"
    assert world.record(run_id).run.message == message


# --- In vain ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "status"), [("skip", SKIPPED), ("fail", RunStatus.FAILED)]
)
def test_a_wait_in_vain_ends_as_it_says(
    world: World, how: str, status: RunStatus
) -> None:
    run_id = begun(world, {"file": "a.csv", "deadline": "12m", "on_timeout": how})
    for _ in range(3):
        found = look(world, run_id, 5).run
    assert (found.status, found.reason) == (status, "wait_for")
    assert found.message == "It waited in vain for the file a.csv."


def test_the_deadline_is_kept_to_the_second(world: World) -> None:
    run_id = begun(world, {"file": "a.csv", "every": "1h", "deadline": "90m"})
    first = look(world, run_id, 60).run
    assert first.not_before == START + timedelta(minutes=90)


def test_a_run_that_goes_on_without_it_carries_the_note_once(world: World) -> None:
    run_id = begun(
        world,
        {"file": "a.csv", "deadline": "10m", "on_timeout": "send_with_note"},
        {"file": "b.csv"},
    )
    for _ in range(4):
        assert look(world, run_id, 5).run.status is WAITS
    put(world, "b.csv")
    assert look(world, run_id, 5).run.status is SUCCEEDED
    assert waits.notes(world.ledger.events(run_id)) == [
        "Made without waiting any longer for the file a.csv: not there by "
        "Tue 2026-11-24 06:10 CET (05:10 UTC)."
    ]


def test_its_notes_go_out_with_every_try(world: World) -> None:
    post = Post(world)
    post.answers(anna=[BUSY])
    wait = {"file": "a.csv", "deadline": "10m", "on_timeout": "send_with_note"}
    spec = {"type": "webhook", "url": "https://far.example"}
    hook = {"key": "hook", "distribution": None, "spec": spec}
    world.serve(mailing(a_mail([ANNA, BOB]), hook, wait_for=[wait]))
    run_id = world.ask("daily")
    for _ in range(4):
        look(world, run_id, 5)
    (note,) = waits.notes(world.ledger.events(run_id))
    noted = [(one.key.recipient, one.marks.notes) for one in post.far_side.taken]
    assert sorted(noted) == [
        ("-", [note]),
        (ANNA, [note]),
        (ANNA, [note]),
        (BOB, [note]),
    ]


def test_a_dry_run_waits_for_nothing(world: World) -> None:
    world.serve(a_spec(wait_for=[{"file": "a.csv"}]))
    run_id = world.ask("daily", dry_run=True)
    world.work()
    assert world.record(run_id).run.status is SUCCEEDED


# --- What comes between -------------------------------------------------------


class Death(BaseException):
    """The process dies here: nothing after it is executed."""


def dies(*_: Any, **__: Any) -> Any:
    raise Death


def _back(world: World) -> None:
    world.ledger.expire(now=world.clock.now(), all_leases=True)
    world.work()


@pytest.mark.parametrize("verb", ["wait", "settle", "note"])
def test_a_death_while_it_waits_prolongs_and_doubles_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    spec = a_spec(
        wait_for=[{"file": "a", "deadline": "7m", "on_timeout": "send_with_note"}]
    )
    world.serve(spec)
    run_id = world.ask("daily")
    if verb != "wait":
        world.work()
        world.clock.move(7 * 60)
    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, verb, dies)
        world.work_until(Death)
    _back(world)
    look(world, run_id, 7)
    assert world.record(run_id).run.status is SUCCEEDED
    (note,) = waits.notes(world.ledger.events(run_id))
    assert "06:07 CET" in note


def test_a_run_that_waits_keeps_no_other_run_of_its_schedule_waiting(
    world: World,
) -> None:
    first = begun(world, {"file": "a.csv", "deadline": "3h"})
    second = world.ask("daily")
    world.work()
    put(world, "a.csv")
    for run_id in (first, second):
        assert world.record(run_id).run.status is WAITS
        assert world.record(run_id).run.started_at == START
    world.clock.move(300)
    world.work()
    assert world.record(second).run.status is SUCCEEDED


def test_a_run_that_waits_can_be_cancelled(world: World) -> None:
    run_id = begun(world, {"file": "a.csv"})
    found = world.ledger.cancel(run_id, by="ada", now=world.clock.now())
    assert found is RunStatus.CANCELLED


def test_a_folder_that_cannot_be_looked_into_is_a_failed_try(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "glob", refuses)
    run_id = begun(world, {"file": "a.csv"})
    run = world.record(run_id).run
    assert (run.status, run.reason, run.attempts) == (WAITS, "file_unreadable", 1)
