"""Holds of runs: an approval, a jump in recipients, what nobody knows to have arrived."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.holds import Hold, HoldEnd, HoldKind, Wait
from boe_reconciler.core.runs import DeliveryStatus, Outcome, Resend, RunStatus
from boe_reconciler.destinations.local import LocalDestination
from tests.engine.world import START, World, a_spec

ADA = "ada@example.com"
WAITS, SUCCEEDED = RunStatus.WAITING, RunStatus.SUCCEEDED
GROUP = {
    "members": [
        "bob@example.com",
        {"email": "eve@example.com", "until": "2026-11-23"},
        {"email": "max@example.com", "until": "2026-11-24"},
    ]
}


def held(world: World, options: dict[str, Any] | None = None, **approval: Any) -> str:
    """A run whose files wait for a release; its id."""
    spec = a_spec(
        approval={"by": [ADA, "finance"], **approval},
        resolved={"groups": {"finance": GROUP}},
    )
    world.serve(spec)
    run_id = world.ask("daily", **(options or {}))
    world.work()
    return run_id


def hold_of(world: World, run_id: str) -> Hold:
    return world.ledger.holds_of(run_id)[-1]


def release(world: World, run_id: str, by: str = ADA) -> Hold:
    found = hold_of(world, run_id).hold_id
    return world.ledger.release(found, by=by, why="seen", now=world.clock.now())


def test_files_wait_for_a_release_before_anything_leaves(world: World) -> None:
    run_id = held(world)
    record, hold = world.record(run_id), hold_of(world, run_id)
    assert (record.run.status, record.run.reason) == (WAITS, "approval")
    assert record.run.lease_until is None
    assert f'`boe release {hold.hold_id} --why "…"` lets it go on' in record.run.message
    assert (len(record.artifacts), world.files()) == (1, [])
    assert (hold.kind, hold.waits) == (HoldKind.APPROVAL, True)
    world.clock.move(86_400)
    world.work()
    assert world.files() == []


def test_a_released_run_goes_on_at_once(world: World) -> None:
    run_id = held(world)
    release(world, run_id)
    world.work()
    assert world.record(run_id).run.status is SUCCEEDED
    assert len(world.files()) == 1
    assert hold_of(world, run_id).ended_as is HoldEnd.TAKEN_UP
    actions = [one.action for one in world.ledger.events(run_id)]
    assert actions.index("held") < actions.index("released")


@pytest.mark.parametrize(
    "who", ["bob@example.com", "ADA@example.com", "max@example.com"]
)
def test_a_member_or_an_address_may_release(world: World, who: str) -> None:
    run_id = held(world)
    assert release(world, run_id, who).released_by == who


@pytest.mark.parametrize("who", ["root", "eve@example.com", "finance"])
def test_nobody_else_may_and_hears_who_may(world: World, who: str) -> None:
    run_id = held(world)
    with pytest.raises(InputError) as error:
        release(world, run_id, who)
    assert (
        f"approval is by {ADA}, bob@example.com, max@example.com" in error.value.message
    )
    assert "--by" in error.value.help
    assert hold_of(world, run_id).waits


def test_who_left_the_group_since_may_not(world: World) -> None:
    run_id = held(world)
    world.serve(
        a_spec(approval={"by": ["finance"]}, resolved={"groups": {"finance": {}}})
    )
    with pytest.raises(InputError, match="nobody"):
        release(world, run_id)


def test_an_approval_can_end_by_itself(world: World) -> None:
    run_id = held(world, before="08:00", otherwise="send")
    assert hold_of(world, run_id).until == START + timedelta(hours=2)
    world.clock.move(2 * 3600)
    world.work()
    assert world.record(run_id).run.status is SUCCEEDED
    assert hold_of(world, run_id).ended_as is HoldEnd.OVER


def test_a_time_of_day_that_is_over_is_tomorrows(world: World) -> None:
    run_id = held(world, before="05:00", otherwise="send")
    assert hold_of(world, run_id).until == START + timedelta(hours=23)


def test_an_approval_that_holds_says_until_when_it_is_asked_for(world: World) -> None:
    run_id = held(world, before="4h")
    hold = hold_of(world, run_id)
    assert hold.until is None
    assert "asked for by Tue 2026-11-24 10:00 CET (09:00 UTC)" in hold.message
    world.clock.move(5 * 3600)
    world.work()
    assert world.record(run_id).run.status is WAITS


def test_a_refusal_ends_the_run_and_its_hold(world: World) -> None:
    run_id = held(world)
    world.ledger.cancel(run_id, by=ADA, now=world.clock.now())
    assert world.record(run_id).run.status is RunStatus.CANCELLED
    assert hold_of(world, run_id).ended_as is HoldEnd.CANCELLED
    with pytest.raises(InputError, match="has ended"):
        release(world, run_id)
    assert world.ledger.broken_invariants(now=world.clock.now()) == []


def test_what_was_refused_waits_again_when_it_is_sent_again(world: World) -> None:
    run_id = held(world)
    world.ledger.cancel(run_id, by=ADA, now=world.clock.now())
    world.ledger.reopen(run_id, now=world.clock.now())
    world.clock.move(1)
    world.work()
    assert world.record(run_id).run.reason == "approval"
    assert len(world.ledger.holds_of(run_id)) == 2


def test_what_was_released_is_sent_again_without_another(world: World) -> None:
    run_id = held(world)
    release(world, run_id)
    world.work()
    world.ledger.reopen(run_id, Resend(everything=True), now=world.clock.now())
    world.work()
    assert len(world.record(run_id).deliveries) == 2
    assert world.record(run_id).run.status is SUCCEEDED


def test_a_dry_run_needs_no_release(world: World) -> None:
    run_id = held(world, {"dry_run": True})
    assert world.record(run_id).run.status is SUCCEEDED


def test_nothing_to_send_needs_no_release(world: World) -> None:
    spec = a_spec(
        "select 1 as one where false", if_empty="skip", approval={"by": [ADA]}
    )
    record = world.run_now(spec)
    assert (record.run.status, record.run.reason) == (RunStatus.SKIPPED, "empty")


def test_a_command_that_does_one_run_does_not_wait_for_people(world: World) -> None:
    held(world)
    assert world.ledger.open_runs() == 0


class Death(BaseException):
    """The process dies here: nothing after it is executed."""


def dies(*_: Any, **__: Any) -> Any:
    raise Death


def _back(world: World) -> None:
    world.ledger.expire(now=world.clock.now(), all_leases=True)
    world.work()


def test_a_death_before_the_hold_stands_asks_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.serve(a_spec(approval={"by": [ADA]}))
    run_id = world.ask("daily")
    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "await_release", dies)
        world.work_until(Death)
    _back(world)
    assert len(world.ledger.holds_of(run_id)) == 1
    assert world.files() == []


@pytest.mark.parametrize("step", ["await_release", "intend", "settle"])
def test_a_death_after_the_release_sends_once_and_asks_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    run_id = held(world)
    release(world, run_id)
    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, step, dies)
        world.work_until(Death)
    _back(world)
    assert world.record(run_id).run.status is SUCCEEDED
    assert len(world.files()) == 1
    assert len(world.ledger.holds_of(run_id)) == 1
    assert world.ledger.broken_invariants(now=world.clock.now()) == []


# --- What nobody knows to have arrived ------------------------------------------


def unconfirmed(world: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run that ended with a delivery of which nobody knows more."""
    world.serve(a_spec())
    run_id = world.ask("daily")

    def lost(self: Any, shipments: Any, cancel: Any) -> Any:
        for shipment in shipments:
            shipment.begin({})
            yield Outcome(
                status=DeliveryStatus.UNCONFIRMED,
                reason="answer_lost",
                message="Lost.",
            )

    with monkeypatch.context() as patch:
        patch.setattr(LocalDestination, "deliver", lost)
        world.work()
    return run_id


def test_an_unconfirmed_delivery_waits_for_somebody_to_find_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = unconfirmed(world, monkeypatch)
    hold = hold_of(world, run_id)
    assert (hold.kind, hold.waits) == (HoldKind.UNCONFIRMED, True)
    assert f"`boe resend {run_id} --unconfirmed`" in hold.message
    assert "archive/local" in hold.message


def test_to_leave_it_at_that_is_recorded_and_sends_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = unconfirmed(world, monkeypatch)
    release(world, run_id, by="root")
    world.work()
    hold = hold_of(world, run_id)
    assert (hold.ended_as, hold.released_by) == (HoldEnd.RECORDED, "root")
    assert (world.record(run_id).run.status, world.files()) == (RunStatus.FAILED, [])


def test_sending_it_again_ends_the_hold(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = unconfirmed(world, monkeypatch)
    world.clock.move(1)
    world.ledger.reopen(run_id, now=world.clock.now())
    world.work()
    assert world.record(run_id).run.status is SUCCEEDED
    assert hold_of(world, run_id).ended_as is HoldEnd.OVER


# --- For others that hold a run -------------------------------------------------


def test_a_run_can_be_held_for_another_reason_as_well(world: World) -> None:
    world.serve(a_spec())
    run_id = world.ask("daily")
    (claimed,) = world.ledger.claim("tests", now=START, limit=1)
    wait = Wait(kind=HoldKind.RECIPIENTS, subject=run_id, message="9 parts, 3 before.")
    claim = claimed.claim
    world.ledger.begin_attempt(claim, parameters={}, now=START)
    assert not world.ledger.await_release(claim, wait, now=START)
    record = world.record(run_id)
    assert (record.run.reason, record.run.attempts) == ("recipients", 0)
    release(world, run_id, by="root")
    (claimed,) = world.ledger.claim("tests", now=START, limit=1)
    assert world.ledger.await_release(claimed.claim, wait, now=START)
