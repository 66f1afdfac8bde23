"""What the engine tells of a delivery that takes a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core.facts import Delivered, Fact, Sent
from boe_reconciler.core.ports import Cancel, Shipment
from boe_reconciler.core.runs import DeliveryStatus, Outcome
from tests.engine.mails import a_folder, mailing
from tests.engine.world import World


class Slow:
    """Takes a file in quarters, each in as many seconds."""

    def __init__(self, world: World, seconds: float) -> None:
        self._clock = world.clock
        self._seconds = seconds

    def deliver(
        self, shipments: Iterable[Shipment], cancel: Cancel
    ) -> Iterator[Outcome]:
        for shipment in shipments:
            for quarter in range(1, 5):
                self._clock.move(self._seconds)
                shipment.sent(shipment.bytes * quarter // 4)
            yield Outcome(status=DeliveryStatus.ACCEPTED)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.backends.close()


def told(world: World, seconds: float) -> list[Fact]:
    """What is observed of one delivery in quarters."""
    facts: list[Fact] = []
    world.observers.append(facts.append)

    def slow(*given: Any) -> Any:
        return Slow(world, seconds)

    world.backends.destination = slow  # type: ignore[method-assign]  # of this world
    record = world.run_now(mailing(a_folder()))
    assert record.deliveries[0].status is DeliveryStatus.ACCEPTED
    return [one for one in facts if isinstance(one, Sent | Delivered)]


def test_a_delivery_that_takes_seconds_is_told_as_it_grows_and_then_as_done(
    world: World,
) -> None:
    *facts, done = told(world, 1.0)
    assert isinstance(done, Delivered)
    sent = [one for one in facts if isinstance(one, Sent)]
    total = sent[-1].total
    assert [one.bytes for one in sent] == [total * part // 4 for part in range(1, 5)]
    assert {one.key for one in sent} == {done.key}


def test_it_is_told_once_a_second_at_most(world: World) -> None:
    assert len(told(world, 0.5)) == 2 + 1


def test_a_quick_one_is_told_when_it_is_done(world: World) -> None:
    (done,) = told(world, 0.2)
    assert isinstance(done, Delivered)
