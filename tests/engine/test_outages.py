"""The executor while its ledger, its clock or its own code lets it down."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from boe_reconciler.core.errors import Temporary
from boe_reconciler.core.runs import Pause, PauseTarget, RunStatus
from boe_reconciler.engine.executor import Executor
from tests.engine.world import World, a_spec

DUE = datetime(2026, 11, 24, 5, 30, tzinfo=UTC)
NOBODY = threading.Event()


def unavailable(*_: Any, **__: Any) -> Any:
    raise Temporary("ledger_unavailable", "The ledger is locked.")


def fail_once(monkeypatch: pytest.MonkeyPatch, world: World, verb: str) -> None:
    """The first call of a verb finds the ledger locked."""
    real = getattr(world.ledger, verb)
    failures = iter([unavailable])

    def flaky(*given: Any, **named: Any) -> Any:
        return next(failures, real)(*given, **named)

    monkeypatch.setattr(world.ledger, verb, flaky)


def finish_all(executor: Executor, within: float = 5) -> None:
    """`--once`, which has to end by itself."""
    stop = threading.Event()
    alarm = threading.Timer(within, stop.set)
    alarm.start()
    executor.finish_all(stop)
    alarm.cancel()
    executor.drain(0)
    assert not stop.is_set(), "it did not end by itself"


@pytest.mark.parametrize("verb", ["materialise", "claim", "expire", "open_runs"])
def test_once_does_what_is_due_though_the_ledger_was_locked(
    world: World, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    world.serve(a_spec())
    world.clock.wall = DUE
    fail_once(monkeypatch, world, verb)
    finish_all(world.executor())
    assert [one.run.status for one in world.ledger.runs()] == [RunStatus.SUCCEEDED]


def test_a_ledger_that_stays_locked_is_not_asked_without_a_pause(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.serve(a_spec())
    executor = world.executor()
    executor.step()
    world.clock.wall = DUE
    asked: list[int] = []

    def counted(*_: Any, **__: Any) -> Any:
        asked.append(1)
        unavailable()

    monkeypatch.setattr(world.ledger, "materialise", counted)
    stop = threading.Event()
    threading.Timer(1.2, stop.set).start()
    executor.serve(stop)
    executor.drain(0)
    assert 1 <= len(asked) <= 4


def test_serving_goes_on_after_a_mistake_of_our_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.serve(a_spec())
    world.clock.wall = DUE
    real = world.ledger.claim
    mistakes = iter([True])

    def mistaken(*given: Any, **named: Any) -> Any:
        if next(mistakes, False):
            raise ZeroDivisionError
        return real(*given, **named)

    monkeypatch.setattr(world.ledger, "claim", mistaken)
    executor, stop = world.executor(), threading.Event()
    threading.Timer(1.5, stop.set).start()
    executor.serve(stop)
    executor.drain(0)
    assert [one.run.status for one in world.ledger.runs()] == [RunStatus.SUCCEEDED]


def test_once_does_not_wait_for_what_a_pause_holds(world: World) -> None:
    world.serve(a_spec())
    world.clock.wall = DUE
    world.ledger.materialise(now=DUE)
    pause = Pause(
        target=PauseTarget.SCHEDULE, value="daily", by="ada", why="test", since=DUE
    )
    world.ledger.pause(pause)
    finish_all(world.executor())
    assert [one.run.status for one in world.ledger.runs()] == [RunStatus.PENDING]


def test_a_clock_that_is_put_right_again_starts_what_is_due(world: World) -> None:
    """A machine may start with a wrong clock, and learn the time a little later."""
    world.serve(a_spec())
    world.clock.wall -= timedelta(days=1)
    executor = world.executor()
    executor.start()
    run_id = world.ask("daily")
    executor.step()
    assert world.record(run_id).run.status is RunStatus.PENDING
    world.clock.step_wall(86_400)
    while executor.step():
        world.ledger.wait_for_change(0.01)
    executor.drain(0)
    assert world.record(run_id).run.status is RunStatus.SUCCEEDED


def test_once_with_a_clock_far_behind_ends(world: World) -> None:
    world.serve(a_spec())
    world.clock.wall -= timedelta(days=1)
    world.ask("daily")
    executor = world.executor()
    executor.start()
    finish_all(executor)


def test_a_drain_outlives_a_locked_ledger(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.serve(a_spec())
    world.ask("daily")
    executor = world.executor()
    executor.step()
    world.clock.move(21)
    monkeypatch.setattr(world.ledger, "heartbeat", unavailable)
    monkeypatch.setattr(world.ledger, "give_back", unavailable)
    executor.drain(0.5)
    world.ledger.expire(now=world.clock.now(), all_leases=True)
    monkeypatch.undo()
    world.work()
    assert [one.run.status for one in world.ledger.runs()] == [RunStatus.SUCCEEDED]


def test_a_command_with_many_rows_asks_for_each_end_once(world: World) -> None:
    world.serve(a_spec())
    ids = [world.ask("daily", parameters={}) for _ in range(30)]
    executor = world.executor()
    executor.only = ids
    looks: list[str] = []
    real = world.ledger.run

    def counted(run_id: str) -> Any:
        looks.append(threading.current_thread().name)
        return real(run_id)

    world.ledger.run = counted  # type: ignore[method-assign]  # counts the looks
    finish_all(executor, within=20)
    mine = looks.count(threading.current_thread().name)
    assert mine <= 4 * len(ids)
