"""Whether it lives and is ready: told even while the loop itself hangs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from boe_reconciler.core.facts import Draining, Reconciled, Resumed
from boe_reconciler.core.runs import Tick
from boe_reconciler.engine.vitals import LATE, STUCK, Vitals
from boe_reconciler.ledgers.memory import MemoryLedger
from tests.builders import an_activation
from tests.engine.world import World, a_spec


class SlowLedger(MemoryLedger):
    """Answers what is due only while it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.free.set()
        self.asked = threading.Event()

    def materialise(self, *, now: datetime, limit: int = 500) -> Tick:
        self.asked.set()
        self.free.wait(60)
        return super().materialise(now=now, limit=limit)


@pytest.fixture
def vitals(world: World) -> Vitals:
    found = Vitals(clock=world.clock)
    world.observers.append(found.observe)
    return found


@pytest.fixture
def hanging(world: World, vitals: Vitals) -> Iterator[SlowLedger]:
    """An executor whose loop hangs in its second look at what is due."""
    world.ledger = ledger = SlowLedger()
    world.serve(a_spec())
    vitals.observe(Reconciled(activation=an_activation()))
    executor, stop = world.executor(), threading.Event()
    executor.step()
    ledger.free.clear()
    ledger.asked.clear()
    thread = threading.Thread(target=executor.serve, args=(stop,))
    world.clock.move(25)
    thread.start()
    assert ledger.asked.wait(10)
    yield ledger
    stop.set()
    ledger.free.set()
    thread.join(10)
    executor.drain(0)


def reasons(vitals: Vitals) -> tuple[str, str]:
    return vitals.alive().reason, vitals.ready().reason


def test_before_anything_is_served_it_lives_and_is_not_ready(vitals: Vitals) -> None:
    assert reasons(vitals) == ("", "no_plan")
    vitals.observe(Reconciled(activation=an_activation()))
    assert reasons(vitals) == ("", "starting")


def test_what_an_earlier_process_served_is_a_plan(vitals: Vitals) -> None:
    vitals.observe(Resumed())
    assert reasons(vitals) == ("", "starting")


def test_nothing_but_problems_is_no_plan(vitals: Vitals) -> None:
    vitals.observe(Reconciled(activation=an_activation(serving=None)))
    assert vitals.ready().reason == "no_plan"


def test_with_a_plan_and_a_tick_it_is_ready(world: World, vitals: Vitals) -> None:
    vitals.observe(Reconciled(activation=an_activation()))
    world.work()
    vitals.draining = False
    assert reasons(vitals) == ("", "")
    assert (vitals.alive().step_age, vitals.ready().tick_age) == (0, 0)


def test_a_loop_that_hangs_is_seen_from_beside_it(
    world: World, vitals: Vitals, hanging: SlowLedger
) -> None:
    assert reasons(vitals) == ("", "")
    world.clock.move(LATE)
    assert reasons(vitals) == ("", "tick_late")
    assert "85 s ago" in vitals.ready().message
    world.clock.move(STUCK)
    assert reasons(vitals) == ("loop_stuck", "tick_late")


def test_a_drain_is_no_time_for_more_runs(vitals: Vitals) -> None:
    vitals.observe(Draining())
    assert reasons(vitals) == ("", "draining")


def test_a_clock_that_is_set_far_back_starts_nothing(
    world: World, vitals: Vitals
) -> None:
    world.serve(a_spec())
    vitals.observe(Reconciled(activation=an_activation()))
    executor = world.executor()
    executor.step()
    world.clock.step_wall(-7200)
    world.clock.move(25)
    executor.step()
    executor.drain(0)
    vitals.draining = False
    assert vitals.ready().reason == "clock_behind"
    world.clock.step_wall(timedelta(hours=2).total_seconds())
