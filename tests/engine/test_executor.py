"""The executor on a hand-moved clock: what is due starts, once, and can be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from boe_reconciler.core.ports import Cancel
from boe_reconciler.core.runs import AttemptStatus, RunStatus, Trigger
from boe_reconciler.engine import executor as executor_module
from tests.engine.world import World, a_spec

DUE = datetime(2026, 11, 24, 5, 30, tzinfo=UTC)


class Stuck:
    """A source whose query never ends by itself, as a slow database's would not."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.answers = threading.Event()

    def rows(self, query: str, parameters: object, cancel: Cancel) -> _StuckRows:
        self.asked.set()
        return _StuckRows(cancel, self.answers)

    def check(self) -> None: ...

    def close(self) -> None: ...


class _StuckRows:
    count: int | None = None
    schema = pa.schema([("one", pa.int64())])

    def __init__(self, cancel: Cancel, answers: threading.Event) -> None:
        self._cancel = cancel
        self._answers = answers

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        with self._cancel.on_cancel(self._answers.set):
            assert self._answers.wait(10), "nobody interrupted the query"
        self._cancel.check()
        yield pa.record_batch({"one": [1]})

    def close(self) -> None: ...


@pytest.fixture
def stuck(world: World) -> Stuck:
    source = Stuck()
    world.backends.source = lambda spec, **_: nullcontext(source)  # type: ignore[method-assign]  # a slow database
    return source


def test_nothing_starts_before_its_time(world: World) -> None:
    world.serve(a_spec())
    world.clock.wall = DUE - timedelta(seconds=1)
    world.work()
    assert world.ledger.runs() == []


def test_what_is_due_runs_once_under_the_id_of_its_occurrence(world: World) -> None:
    world.serve(a_spec())
    world.clock.wall = DUE
    world.work()
    world.work()
    (record,) = world.ledger.runs()
    assert record.run.run_id == "daily.20261124T053000Z"
    assert record.run.trigger is Trigger.SCHEDULE
    assert record.run.status is RunStatus.SUCCEEDED
    assert record.run.occurrence == DUE


def test_a_start_after_a_night_off_catches_up_the_newest_alone(world: World) -> None:
    world.serve(a_spec())
    world.clock.wall = DUE + timedelta(days=2, hours=1)
    world.work()
    by_status = {one.run.run_id: one.run.status for one in world.ledger.runs()}
    assert by_status == {
        "daily.20261126T053000Z": RunStatus.SUCCEEDED,
        "daily.20261125T053000Z": RunStatus.MISSED,
        "daily.20261124T053000Z": RunStatus.MISSED,
    }


def test_at_rest_nothing_is_claimed_until_something_is_due_or_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "LONGEST_WAIT", 0.01)
    claim, claims = world.ledger.claim, []
    monkeypatch.setattr(
        world.ledger,
        "claim",
        lambda *one, **named: claims.append(1) or claim(*one, **named),
    )
    world.serve(a_spec())
    executor = world.executor()

    def steps(enough: Callable[[], bool]) -> None:
        for _ in range(500):
            if enough():
                return
            executor.step()
            executor._wait()
        raise AssertionError("in vain")

    def ended(count: int) -> bool:
        found = world.ledger.runs()
        return len(found) == count and all(one.run.status.final for one in found)

    steps(lambda: executor._rests)
    before = len(claims)
    for _ in range(5):
        executor.step()
        executor._wait()
    assert len(claims) == before
    world.ask("daily")
    steps(lambda: ended(1))
    steps(lambda: executor._rests)
    world.clock.wall = DUE
    steps(lambda: ended(2))
    executor.drain(0)


def test_a_clock_set_back_repeats_nothing(world: World) -> None:
    world.serve(a_spec())
    world.clock.wall = DUE
    executor = world.executor()
    while executor.step():
        world.ledger.wait_for_change(0.01)
    world.clock.step_wall(-1800)
    executor.step()
    world.clock.step_wall(1800)
    executor.step()
    executor.drain(0)
    assert len(world.ledger.runs()) == 1


def test_a_start_with_the_clock_far_behind_starts_nothing(world: World) -> None:
    world.serve(a_spec(), when={"every": "10m"})
    world.clock.move(3600)
    world.work()
    before = len(world.ledger.runs())
    world.clock.wall -= timedelta(hours=3)
    run_id = world.ask("daily")
    executor = world.executor()
    executor.start()
    executor.step()
    executor.drain(0)
    assert len(world.ledger.runs()) == before + 1
    assert world.record(run_id).run.status is RunStatus.PENDING


def test_a_time_out_interrupts_the_query_and_the_run_waits_for_its_retry(
    world: World, stuck: Stuck
) -> None:
    world.serve(a_spec(execution={"timeout": "60s"}))
    run_id = world.ask("daily")
    executor = world.executor()
    executor.step()
    assert stuck.asked.wait(5)
    world.clock.move(61)
    while executor.step():
        world.ledger.wait_for_change(0.01)
    executor.drain(0)
    record = world.record(run_id)
    assert (record.run.status, record.run.reason) == (RunStatus.WAITING, "timeout")
    assert record.attempts[0].status is AttemptStatus.RETRY
    assert record.run.not_before > world.clock.now()


def test_a_cancel_interrupts_the_query(world: World, stuck: Stuck) -> None:
    world.serve(a_spec())
    run_id = world.ask("daily")
    executor = world.executor()
    executor.step()
    assert stuck.asked.wait(5)
    world.ledger.cancel(run_id, by="ada", now=world.clock.now())
    world.clock.move(20)
    while executor.step():
        world.ledger.wait_for_change(0.01)
    executor.drain(0)
    record = world.record(run_id)
    assert record.run.status is RunStatus.CANCELLED
    assert record.attempts[0].status is AttemptStatus.CANCELLED


def test_a_drain_gives_the_claim_back_and_uses_up_no_attempt(
    world: World, stuck: Stuck
) -> None:
    world.serve(a_spec())
    run_id = world.ask("daily")
    executor = world.executor()
    executor.step()
    assert stuck.asked.wait(5)
    executor.drain(0)
    record = world.record(run_id)
    assert record.run.status is RunStatus.PENDING
    assert record.run.attempts == 0
    assert record.attempts[0].status is AttemptStatus.RELEASED


def test_a_drain_ends_with_its_last_run(
    world: World, stuck: Stuck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "LONGEST_WAIT", 600)
    world.serve(a_spec())
    run_id = world.ask("daily")
    executor = world.executor()
    executor.step()
    assert stuck.asked.wait(5)
    threading.Timer(0.2, stuck.answers.set).start()
    executor.drain(600)
    assert world.record(run_id).run.status is RunStatus.SUCCEEDED


def test_a_worker_that_lost_its_lease_writes_nothing_more(
    world: World, stuck: Stuck
) -> None:
    world.serve(a_spec())
    run_id = world.ask("daily")
    executor = world.executor()
    executor.step()
    assert stuck.asked.wait(5)
    world.ledger.expire(now=world.clock.now(), all_leases=True)
    world.clock.move(20)
    executor._watch(world.clock.now())
    executor.drain(0)
    record = world.record(run_id)
    assert record.run.status is RunStatus.PENDING
    assert record.attempts[0].status is AttemptStatus.LOST


def test_a_retry_that_never_helps_is_given_up_with_its_reason(world: World) -> None:
    (world.root / "exports").mkdir()
    spec = a_spec(
        connection={"type": "duckdb", "path": "absent.duckdb"},
        execution={"retry": {"max_retries": 2}},
    )
    world.serve(spec)
    run_id = world.ask("daily")
    for _ in range(6):
        world.work()
        world.clock.move(900)
    record = world.record(run_id)
    assert record.run.status is RunStatus.FAILED
    assert "absent.duckdb" in record.run.message
    assert record.run.attempts == len(record.attempts)
    assert record.run.attempts <= 3
