"""What a run has made is kept once, and never later than what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from boe_reconciler.core.errors import Temporary
from boe_reconciler.core.runs import DeliveryStatus, RunStatus
from boe_reconciler.destinations.local import LocalDestination
from boe_reconciler.engine import deliver as deliver_module
from boe_reconciler.engine.cancel import CancelToken, Stop
from boe_reconciler.engine.job import Job
from tests.engine.world import World, a_spec

VERBS = ("commit_artifacts", "intend", "settle", "finish", "wait")


@pytest.fixture
def told(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The verbs of a run, in the order in which the ledger hears them."""
    heard: list[str] = []
    for verb in VERBS:
        monkeypatch.setattr(world.ledger, verb, hearing(world, heard, verb))
    return heard


def hearing(world: World, heard: list[str], verb: str) -> Any:
    real = getattr(world.ledger, verb)

    def hear(*given: Any, **named: Any) -> Any:
        heard.append(verb)
        return real(*given, **named)

    return hear


def test_the_only_file_for_a_folder_begins_as_it_is_kept(
    world: World, told: list[str]
) -> None:
    record = world.run_now(a_spec())
    assert told == ["commit_artifacts", "settle"]
    (delivery,) = record.deliveries
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.ACCEPTED, 1)
    assert delivery.first_attempt_at is not None
    assert delivery.intent["name"] == record.artifacts[0].name


def test_its_row_is_sending_before_a_byte_is_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, real = [], LocalDestination.attempt

    def look(self: Any, shipment: Any, intent: Any, cancel: Any) -> Any:
        seen.append(world.ledger.delivery(shipment.key))
        assert world.files() == []
        return real(self, shipment, intent, cancel)

    monkeypatch.setattr(LocalDestination, "attempt", look)
    world.run_now(a_spec())
    ((status, intent),) = [(one.status, one.intent) for one in seen if one]
    assert status is DeliveryStatus.SENDING
    assert intent["temporary"]


@pytest.mark.parametrize(
    "fields",
    [
        {"destinations": [{"type": "local", "name": name} for name in "ab"]},
        {"burst": {"values_from": "one"}},
    ],
)
def test_more_deliveries_begin_one_by_one(
    world: World, told: list[str], fields: dict[str, Any]
) -> None:
    world.run_now(a_spec(**fields))
    assert told[:2] == ["commit_artifacts", "intend"]


def test_it_is_kept_before_somebody_is_asked_for_a_release(
    world: World, told: list[str]
) -> None:
    record = world.run_now(a_spec(approval={"by": ["ops@example.com"]}))
    assert told == ["commit_artifacts"]
    assert [one.attempts for one in record.deliveries] == [0]


def test_a_file_that_goes_nowhere_is_kept_and_never_began(
    world: World, told: list[str]
) -> None:
    record = world.run_now(a_spec("select 1 as one where false", if_empty="skip"))
    assert told == ["commit_artifacts", "settle"]
    (delivery,) = record.deliveries
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.SUPPRESSED, 0)


@pytest.mark.parametrize(
    ("stop", "status"),
    [(Stop.CANCELLED, RunStatus.CANCELLED), (Stop.DRAIN, RunStatus.PENDING)],
)
def test_who_is_stopped_before_the_first_word_keeps_it(
    world: World, monkeypatch: pytest.MonkeyPatch, stop: Stop, status: RunStatus
) -> None:
    def stopped(job: Job) -> None:
        assert isinstance(job.cancel, CancelToken)
        job.cancel.stop(stop)

    before_the_first_word(monkeypatch, stopped)
    world.serve(a_spec())
    run_id = world.ask("daily")
    executor = world.executor()
    executor.step()
    executor.drain(10)
    record = world.record(run_id)
    assert record.run.status is status
    assert len(record.artifacts) == 1
    assert [one.attempts for one in record.deliveries] == [0]
    assert world.files() == []


def test_what_goes_nowhere_any_more_is_kept_and_never_began(
    world: World, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = a_spec(destinations=[{"type": "local", "name": "elsewhere"}])
    before_the_first_word(monkeypatch, lambda _: world.serve(elsewhere))
    record = world.run_now(a_spec())
    assert told == ["commit_artifacts", "settle"]
    (delivery,) = record.deliveries
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.SUPPRESSED, 0)
    assert world.files() == []


def test_who_lost_its_lease_before_the_first_word_writes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, list[str]]] = []

    def lose(_: Job) -> None:
        record = world.ledger.runs()[0]
        seen.append((len(record.artifacts), world.files()))
        if len(seen) == 1:
            world.ledger.expire(now=world.clock.now(), all_leases=True)

    before_the_first_word(monkeypatch, lose)
    record = world.run_now(a_spec())
    assert seen == [(0, []), (0, [])]
    assert (record.run.status, record.run.lost) == (RunStatus.SUCCEEDED, 1)
    assert len(world.files()) == 1


def before_the_first_word(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[Job], object]
) -> None:
    real = deliver_module.shipment

    def later(job: Job, *given: Any) -> Any:
        made = real(job, *given)
        act(job)
        return made

    monkeypatch.setattr(deliver_module, "shipment", later)


def test_what_could_not_be_kept_is_not_told_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def fails(*given: Any, **_: Any) -> Any:
        tries.append(given)
        raise Temporary("ledger_unavailable", "The ledger is full.")

    with monkeypatch.context() as patched:
        patched.setattr(world.ledger, "commit_artifacts", fails)
        record = world.run_now(a_spec())
    assert len(tries) == 1
    assert (record.run.status, record.run.reason) == (
        RunStatus.WAITING,
        "ledger_unavailable",
    )
    assert record.artifacts == ()
    world.clock.move(600)
    world.work()
    assert world.record(record.run.run_id).run.status is RunStatus.SUCCEEDED
    assert len(world.files()) == 1
