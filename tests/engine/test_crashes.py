"""What becomes of a run when something dies, fails or vanishes between two steps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core.errors import Temporary
from boe_reconciler.core.runs import AttemptStatus, DeliveryStatus, RunStatus
from boe_reconciler.destinations.local import LocalDestination
from tests.engine.world import World, a_spec

BROKEN = {"type": "duckdb", "path": "absent.duckdb"}


class Death(BaseException):
    """The process dies here: nothing after it is executed."""


def dies(*_: Any, **__: Any) -> Any:
    raise Death


def come_back(world: World) -> None:
    """Another process takes over all that the dead one left."""
    world.ledger.expire(now=world.clock.now(), all_leases=True)
    world.work()


def work_for(world: World, hours: float) -> None:
    for _ in range(int(hours * 4)):
        world.work()
        world.clock.move(900)


def test_a_death_while_a_failure_is_recorded_does_not_hide_its_cause(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = a_spec(
        "select nothing from nowhere", execution={"retry": {"max_retries": 0}}
    )
    world.serve(spec)
    run_id = world.ask("daily")
    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "finish", dies)
        world.work_until(Death)
    come_back(world)
    record = world.record(run_id)
    assert record.run.status is RunStatus.FAILED
    assert "nowhere" in record.run.message


def test_a_death_while_a_skip_is_recorded_skips_after_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = a_spec(
        only_if={"query": "select false"}, execution={"retry": {"max_retries": 0}}
    )
    world.serve(spec)
    run_id = world.ask("daily")
    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "finish", dies)
        world.work_until(Death)
    come_back(world)
    record = world.record(run_id)
    assert (record.run.status, record.run.reason) == (RunStatus.SKIPPED, "only_if")


def test_a_ledger_that_refuses_an_end_does_not_end_the_process(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.serve(a_spec("select nothing from nowhere"))
    run_id = world.ask("daily")

    def refuses(*_: Any, **__: Any) -> None:
        raise ValueError("the ledger refuses it")

    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "finish", refuses)
        world.work()
    assert world.record(run_id).run.status is RunStatus.RUNNING
    come_back(world)
    assert world.record(run_id).run.status is RunStatus.FAILED


def test_no_folder_for_unfinished_files_uses_up_attempts_and_is_given_up(
    world: World,
) -> None:
    world.serve(a_spec(execution={"retry": {"max_retries": 2}}))
    run_id = world.ask("daily")
    (world.root / ".boe" / "scratch").write_text("a file stands in its place")
    work_for(world, 2)
    record = world.record(run_id)
    assert (record.run.status, record.run.reason) == (RunStatus.FAILED, "gave_up")
    assert len(record.attempts) == 3


def test_a_stored_file_that_vanished_fails_its_own_deliveries_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = a_spec(export={"format": ["csv", "json"]})
    world.serve(spec)
    run_id = world.ask("daily")
    with monkeypatch.context() as patch:
        patch.setattr(world.backends, "destination", dies)
        world.work_until(Death)
    world.blobs.remove(world.record(run_id).artifacts[0].sha256)
    come_back(world)
    record = world.record(run_id)
    assert {one.key.part: one.status for one in record.deliveries} == {
        "csv": DeliveryStatus.FAILED,
        "json": DeliveryStatus.ACCEPTED,
    }
    assert (record.run.status, record.run.reason) == (RunStatus.PARTIAL, "blob_missing")


def each_delivery(
    monkeypatch: pytest.MonkeyPatch, before: Callable[[Any, Any], None]
) -> None:
    """`before(shipment, cancel)` happens whenever something is delivered."""
    real = LocalDestination.attempt

    def attempt(self: Any, shipment: Any, intent: Any, cancel: Any) -> Any:
        before(shipment, cancel)
        return real(self, shipment, intent, cancel)

    monkeypatch.setattr(LocalDestination, "attempt", attempt)


def test_deliveries_that_time_out_for_ever_are_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    destinations = [
        {"type": "local", "name": "good"},
        {"type": "local", "name": "slow", "base_path": "other"},
    ]
    world.serve(a_spec(destinations=destinations))
    run_id = world.ask("daily")

    def slow(shipment: Any, cancel: Any) -> None:
        if shipment.key.destination == "archive/slow":
            raise Temporary("timeout", "The run took longer than its time-out.")

    each_delivery(monkeypatch, slow)
    work_for(world, 6)
    record = world.record(run_id)
    assert (record.run.status, record.run.reason) == (RunStatus.PARTIAL, "gave_up")
    assert record.deliveries[0].status is DeliveryStatus.ACCEPTED
    assert [one.status for one in record.attempts] == [AttemptStatus.SUCCEEDED]


def test_a_delivery_cut_off_by_a_time_out_arrives_once_in_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.serve(a_spec())
    run_id = world.ask("daily")
    times = iter([True, True])

    def slow_twice(shipment: Any, cancel: Any) -> None:
        if next(times, False):
            raise Temporary("timeout", "The run took longer than its time-out.")

    each_delivery(monkeypatch, slow_twice)
    work_for(world, 1)
    assert world.record(run_id).run.status is RunStatus.SUCCEEDED
    assert len(world.files()) == 1


def test_a_drain_between_two_deliveries_sends_each_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    destinations = [
        {"type": "local", "name": "one"},
        {"type": "local", "name": "two", "base_path": "exports/two"},
    ]
    world.serve(a_spec(destinations=destinations))
    run_id = world.ask("daily")
    under_way, go_on = threading.Event(), threading.Event()

    def waits(shipment: Any, cancel: Any) -> None:
        under_way.set()
        assert go_on.wait(10)

    with monkeypatch.context() as patch:
        each_delivery(patch, waits)
        executor = world.executor()
        executor.step()
        assert under_way.wait(10)
        threading.Timer(0.1, go_on.set).start()
        executor.drain(0)
    assert world.record(run_id).run.status is RunStatus.PENDING
    world.work()
    assert world.record(run_id).run.status is RunStatus.SUCCEEDED
    assert len(world.files()) == 2


def test_a_run_for_a_distribution_that_is_gone_fails_and_says_so(world: World) -> None:
    record = world.run_now(a_spec(), only="yesterdays")
    assert (record.run.status, record.run.reason) == (
        RunStatus.FAILED,
        "no_destination",
    )
    assert "yesterdays" in record.run.message
    assert record.artifacts == ()


def test_the_time_out_of_a_connection_is_not_that_of_the_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is for one query or one delivery."""
    world.serve(a_spec(connection={"type": "duckdb", "timeout": "5s"}))
    run_id = world.ask("daily")
    executor = world.executor()

    def slow(shipment: Any, cancel: Any) -> None:
        cancel.expire(world.clock.monotonic() + 10)

    each_delivery(monkeypatch, slow)
    while executor.step():
        world.ledger.wait_for_change(0.01)
    executor.drain(0)
    assert world.record(run_id).run.status is RunStatus.SUCCEEDED


def test_history_tells_the_parameters_that_a_run_was_made_with(world: World) -> None:
    spec = a_spec(
        "select :year as year, :since as since",
        report={
            "parameters": {
                "year": {"type": "int", "default": 2013},
                "since": {
                    "type": "date",
                    "default": "{{ occurrence.strftime('%Y-%m-%d') }}",
                },
                "none": {"type": "string", "required": False},
            }
        },
    )
    record = world.run_now(spec, parameters={"year": "2014"})
    assert record.run.parameters == {"year": "2014", "since": "2026-11-24"}


def test_a_file_on_its_way_when_the_process_died_is_not_sent_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.serve(a_spec())
    run_id = world.ask("daily")
    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "settle", dies)
        world.work_until(Death)
    assert world.record(run_id).deliveries[0].status is DeliveryStatus.SENDING
    come_back(world)
    assert world.record(run_id).run.status is RunStatus.SUCCEEDED
    assert [Path(one).suffix for one in world.files()] == [".csv"]


def test_a_cancel_that_meets_a_failure_is_not_put_off_to_the_next_try(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.serve(a_spec(connection=BROKEN))
    run_id = world.ask("daily")
    real = world.ledger.claim

    def cancelled_meanwhile(*given: Any, **named: Any) -> Any:
        found = real(*given, **named)
        world.ledger.cancel(run_id, by="ada", now=world.clock.now())
        return found

    monkeypatch.setattr(world.ledger, "claim", cancelled_meanwhile)
    world.work()
    record = world.record(run_id)
    assert record.run.status is RunStatus.CANCELLED
    assert record.attempts[0].status is AttemptStatus.RETRY
