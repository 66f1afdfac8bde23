"""A death at each step of a run to five destinations and forty recipients.

Nobody gets two copies by itself, and nothing is lost without a record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core.runs import DeliveryStatus
from boe_reconciler.core.spec import RunSpec
from tests.engine.mails import Post, a_mail, mailing
from tests.engine.world import World


class Death(BaseException):
    """The process dies here: nothing after it is executed."""


VERBS = ("begin_attempt", "commit_artifacts", "intend", "settle", "finish")


def a_far_side(name: str) -> dict[str, Any]:
    spec = {"type": "s3", "connection": "mail", "bucket": name}
    return {"key": f"team/{name}", "distribution": "team", "spec": spec}


def spec() -> RunSpec:
    people = [f"p{number}@example.com" for number in range(20)]
    mails = [a_mail(people, name) for name in ("first", "second")]
    return mailing(*mails, *map(a_far_side, ("one", "two", "three")))


class Steps:
    """Counts what a run does, and dies at one of its steps."""

    def __init__(self, world: World, post: Post, deadly: int = -1) -> None:
        self.count = 0
        self._deadly = deadly
        for name in VERBS:
            real = getattr(world.ledger, name)
            setattr(world.ledger, name, self._watched(real))
        far_side: Any = post.far_side
        far_side._hand_over = self._watched(far_side._hand_over)

    def _watched(self, real: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(real)
        def watched(*given: Any, **named: Any) -> Any:
            self._step()
            found = real(*given, **named)
            self._step()
            return found

        return watched

    def _step(self) -> None:
        self.count += 1
        if self.count == self._deadly:
            raise Death


def test_a_death_at_each_of_two_hundred_steps_doubles_and_loses_nothing(
    tmp_path: Path,
) -> None:
    """All of them under `slow`; a few here."""
    total = steps_of(tmp_path / "whole")
    assert total > 200
    for deadly in range(1, total + 1, 40):
        dies_and_comes_back(tmp_path / f"{deadly}", deadly)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1, 41))
def test_a_death_at_any_step_doubles_and_loses_nothing(
    tmp_path: Path, first: int
) -> None:
    for deadly in range(first, 261, 40):
        dies_and_comes_back(tmp_path / f"{deadly}", deadly)


def steps_of(folder: Path) -> int:
    folder.mkdir()
    world = World(folder)
    steps = Steps(world, Post(world))
    world.run_now(spec())
    world.backends.close()
    return steps.count


def dies_and_comes_back(folder: Path, deadly: int) -> None:
    folder.mkdir()
    world = World(folder)
    post = Post(world)
    Steps(world, post, deadly)
    world.serve(spec())
    run_id = world.ask("daily")
    world.work_until(Death)
    world.ledger.expire(now=world.clock.now(), all_leases=True)
    world.work()
    record = world.record(run_id)
    world.backends.close()
    assert record.run.status.final
    assert len(record.deliveries) == 43
    arrived = Counter(path.parent.name for path in folder.glob("letterbox/*/*"))
    assert max(arrived.values()) == 1
    unknown = []
    for one in record.deliveries:
        if one.status is DeliveryStatus.ACCEPTED:
            assert arrived[one.key.identity] == 1
        else:
            assert one.status is DeliveryStatus.UNCONFIRMED
            unknown.append(one)
    assert len(unknown) <= 1
    assert world.ledger.broken_invariants(now=world.clock.now()) == []
