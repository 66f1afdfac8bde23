"""The sweeper removes what is kept no longer, in small steps, beside everything else."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from boe_reconciler.core.errors import Temporary
from boe_reconciler.core.retention import Swept, files_kept, retention_of
from boe_reconciler.core.runs import Resend, RunRecord, RunStatus
from boe_reconciler.core.spec import Served, ServedObject
from boe_reconciler.engine import sweeper as module
from boe_reconciler.engine.lock import SweepLock
from boe_reconciler.engine.sweeper import Sweeper
from tests.crashes.points import OTHERS, trap
from tests.engine.world import World, a_spec

DAY = 86_400.0
#: Nothing is due by itself.
FAR = {"once": ["2099-01-01T00:00:00Z"]}


@pytest.fixture
def sweeper(world: World) -> Sweeper:
    return Sweeper(
        ledger=world.ledger,
        blobs=world.blobs,
        clock=world.clock,
        lock=SweepLock(world.root),
    )


def always() -> bool:
    return True


def stored(world: World) -> list[str]:
    return list(world.blobs)


def age(world: World, new: Iterable[str]) -> None:
    """Files were stored when the world's clock said so, not the machine's."""
    seconds = world.clock.now().timestamp()
    for sha256 in new:
        os.utime(world.blobs.path(sha256), (seconds, seconds))


def policy(retention: object) -> Served:
    data = {"spec": {"retention": retention}}
    one = ServedObject(
        kind="Policy",
        name="policy",
        file="policy.yaml",
        index=0,
        data=data,
        revision="r",
    )
    return Served(attempted="r", serving="r", objects=[one])


def run_some(world: World, *numbers: int) -> list[RunRecord]:
    """A run each day, each with a file of its own."""
    found = []
    for number in numbers:
        world.serve(a_spec(f"select {number} as n"), when=FAR)
        run_id = world.ask("daily")
        before = {*world.blobs}
        world.work()
        age(world, {*world.blobs} - before)
        found.append(world.record(run_id))
        world.clock.move(DAY)
    return found


# --- Files and runs -----------------------------------------------------------------


def test_files_go_after_30_days_and_runs_after_400(
    world: World, sweeper: Sweeper
) -> None:
    _, second = run_some(world, 1, 2)
    world.clock.move(28 * DAY + 1)
    sweeper.sweep(always)
    assert stored(world) == [second.artifacts[0].sha256]
    assert len(world.ledger.runs()) == 2
    world.clock.move(371 * DAY)
    sweeper.sweep(always)
    assert stored(world) == []
    assert [one.run.run_id for one in world.ledger.runs()] == [second.run.run_id]


def test_what_it_did_is_an_event_and_nothing_is_none(
    world: World, sweeper: Sweeper
) -> None:
    run_some(world, 1, 2)
    before = list(world.ledger._backend.read(lambda store: store._t.events))
    sweeper.sweep(always)
    assert world.ledger._backend.read(lambda store: store._t.events) == before
    world.clock.move(500 * DAY)
    sweeper.sweep(always)
    after = world.ledger._backend.read(lambda store: store._t.events)
    (event,) = [one for one in after if one not in before]
    assert event.action == "swept"
    assert "1 runs, 1 specs, 2 stored files of 8 bytes" in event.message


def test_a_file_that_nobody_named_goes_after_a_day(
    world: World, sweeper: Sweeper
) -> None:
    """A crash came between the file and its row."""
    world.blobs.put(b"left behind")
    age(world, world.blobs)
    world.clock.move(DAY - 1)
    sweeper.sweep(always)
    assert len(stored(world)) == 1
    world.clock.move(2)
    sweeper.sweep(always)
    assert stored(world) == []


def test_bytes_that_are_stored_again_stay(world: World, sweeper: Sweeper) -> None:
    """An export builds the same bytes as an older one, just as that goes."""
    world.blobs.put(b"the same")
    age(world, world.blobs)
    world.clock.move(40 * DAY)

    def turn() -> bool:
        if stored(world):
            world.blobs.put(b"the same")
            age(world, world.blobs)
        return True

    sweeper.sweep(turn)
    assert len(stored(world)) == 1


def test_the_stored_file_of_an_open_delivery_stays(
    world: World, sweeper: Sweeper
) -> None:
    (record,) = run_some(world, 1)
    world.clock.move(500 * DAY)
    world.ledger.reopen(
        record.run.run_id, Resend(everything=True), now=world.clock.now()
    )
    sweeper.sweep(always)
    assert stored(world) == [record.artifacts[0].sha256]
    world.work()
    assert world.record(record.run.run_id).run.status is RunStatus.SUCCEEDED


# --- Policy -------------------------------------------------------------------------


def test_the_served_policy_says_how_long() -> None:
    found = retention_of(policy({"artifacts": "90d", "runs": "60d"}))
    assert (found.artifacts, found.runs) == (timedelta(days=90), timedelta(days=60))
    assert files_kept(found) == timedelta(days=60)


@pytest.mark.parametrize("given", [None, {}, {"artifacts": "soon"}, "30d", ["x"]])
def test_without_a_policy_that_says_so_the_defaults_hold(given: object) -> None:
    found = retention_of(policy(given))
    assert (found.artifacts, found.runs) == (timedelta(days=30), timedelta(days=400))
    none = replace(policy(given), objects=())
    assert retention_of(none) == found
    odd = replace(policy(given).objects[0], data={"spec": "x"})
    assert retention_of(replace(none, objects=[odd])) == found


# --- Beside the others --------------------------------------------------------------


def test_it_stops_between_two_steps_when_it_is_asked_to(
    world: World, sweeper: Sweeper
) -> None:
    run_some(world, *range(3))
    world.clock.move(500 * DAY)
    sweeper.sweep(lambda: False)
    assert len(world.ledger.runs()) == 3
    assert len(stored(world)) == 3


def test_nothing_is_swept_beside_a_backup(world: World, sweeper: Sweeper) -> None:
    run_some(world, 1)
    world.clock.move(500 * DAY)
    backup = SweepLock(world.root)
    assert backup.try_acquire()
    assert not sweeper.sweep(always)
    assert len(stored(world)) == 1
    backup.release()
    assert sweeper.sweep(always)
    assert stored(world) == []


def test_a_full_disk_is_swept(world: World, sweeper: Sweeper) -> None:
    """Where not even the lock's few bytes can be written, room is needed most."""
    lock = SweepLock(world.root)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        assert lock.try_acquire()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert lock.holder() == "Another process"
    lock.release()
    assert sweeper.sweep(always)


def test_a_clock_that_jumped_is_not_trusted_for_one_round(
    world: World, sweeper: Sweeper
) -> None:
    run_some(world, 1)
    assert sweeper.sweep(always)
    world.clock.step_wall(900 * DAY)
    assert not sweeper.sweep(always)
    assert len(stored(world)) == 1
    assert sweeper.sweep(always)


def test_a_ledger_that_is_locked_puts_it_off(
    world: World, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: Iterator[Exception] = iter([Temporary("locked", "Locked."), KeyError("x")])

    def refuse(*_: object, **__: object) -> Swept:
        raise next(answers)

    monkeypatch.setattr(world.ledger, "sweep", refuse)
    sweeper.sweep_safely(always)
    sweeper.sweep_safely(always)
    assert next(answers, None) is None
    assert sweeper.lock.try_acquire(), "the lock was kept"
    sweeper.lock.release()


def test_it_makes_way_while_something_is_due(
    world: World, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_some(world, 1)
    world.clock.move(500 * DAY)
    monkeypatch.setattr(module, "FIRST", 0.0)
    monkeypatch.setattr(module, "BREATH", 0.01)
    idle, asked = threading.Event(), threading.Event()

    def busy() -> bool:
        asked.set()
        return not idle.is_set()

    with sweeper.beside(busy):
        assert asked.wait(10)
        assert len(stored(world)) == 1
        idle.set()
        for _ in range(1000):
            if not stored(world):
                break
            threading.Event().wait(0.01)
    assert stored(world) == []


def test_an_executor_that_ends_when_all_is_done_sweeps_at_its_end(
    world: World, sweeper: Sweeper
) -> None:
    run_some(world, 1)
    world.clock.move(500 * DAY)
    executor = world.executor()
    executor.sweeper = sweeper
    executor.finish_all(threading.Event())
    executor.drain(0)
    assert stored(world) == []


def test_an_executor_that_serves_sweeps_soon(
    world: World, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_some(world, 1)
    world.clock.move(500 * DAY)
    monkeypatch.setattr(module, "FIRST", 0.0)
    executor, stop = world.executor(), threading.Event()
    executor.sweeper = sweeper
    thread = threading.Thread(target=executor.serve, args=(stop,))
    thread.start()
    for _ in range(1000):
        if not stored(world):
            break
        stop.wait(0.01)
    stop.set()
    thread.join()
    executor.drain(0)
    assert stored(world) == []


# --- Deaths -------------------------------------------------------------------------


class Death(BaseException):
    """The process dies here: nothing after it is executed."""


@pytest.mark.parametrize("point", [one for one in OTHERS if one.startswith("sweep")])
def test_what_a_death_left_of_a_sweep_the_next_one_does(
    world: World, sweeper: Sweeper, point: str
) -> None:
    _, second = run_some(world, 1, 2)
    world.clock.move(398 * DAY)
    third = run_some(world, 3)[0]
    kept = [third.run.run_id, second.run.run_id]

    def death() -> None:
        raise Death

    with trap(point, death), pytest.raises(Death):
        sweeper.sweep(always)
    assert world.ledger.broken_invariants(now=world.clock.now()) == []
    assert third.artifacts[0].sha256 in stored(world)
    sweeper.sweep(always)
    assert [one.run.run_id for one in world.ledger.runs()] == kept
    assert stored(world) == [third.artifacts[0].sha256]
