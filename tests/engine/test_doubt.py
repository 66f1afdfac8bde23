"""What may have arrived is never called failed or cancelled: `unconfirmed` is a state."""

from __future__ import annotations

from typing import Any

import pytest

from boe_reconciler.core.holds import HoldKind
from boe_reconciler.core.ports import Shipment
from boe_reconciler.core.runs import Delivery, DeliveryStatus, Outcome, Resend
from boe_reconciler.core.spec import RunSpec
from boe_reconciler.core.troubles import of_holds
from boe_reconciler.destinations.blind import BlindDestination
from tests.engine.mails import ANNA, REFUSED, SILENT, Post, a_mail, mailing, states
from tests.engine.world import World

HOOK = {"type": "webhook", "url": "https://hooks.example.com/x", "send": "event"}


def later(reason: str) -> Outcome:
    return Outcome(status=DeliveryStatus.DEFERRED, reason=reason, message="…")


def failed(reason: str) -> Outcome:
    return Outcome(status=DeliveryStatus.FAILED, reason=reason, message="…")


@pytest.fixture
def post(world: World) -> Post:
    return Post(world)


def told(world: World, post: Post, *answers: Outcome) -> Delivery:
    """What became of a webhook that answers like this for as long as it is tried."""
    post.far_side.answers = {"-": list(answers)}
    hook = {"key": "hooks/webhook", "distribution": "hooks", "spec": HOOK}
    world.serve(mailing(hook))
    run_id = world.ask("daily")
    for _ in range(30):
        world.work()
        world.clock.move(3600)
    [row] = world.record(run_id).deliveries
    return row


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([later("connection_lost")] * 99, "unconfirmed"),
        ([later("timeout"), *[later("http_503")] * 99], "unconfirmed"),
        ([later("timeout"), failed("http_404")], "unconfirmed"),
        ([later("timeout"), failed("exists")], "failed"),
        ([later("timeout")], "accepted"),
        ([later("http_503")] * 99, "failed"),
    ],
)
def test_what_is_given_up_after_a_lost_answer_is_not_called_failed(
    world: World, post: Post, answers: list[Outcome], status: str
) -> None:
    assert told(world, post, *answers).status == status


class Swept(BlindDestination):
    """A look removes what is unfinished there, and says so in the intent."""

    def probe(self, shipment: Shipment) -> Outcome | None:
        shipment.begin({"step": "removed"})
        return None


def test_what_a_look_has_stored_is_what_the_next_try_goes_by(
    world: World, post: Post
) -> None:
    class Death(BaseException): ...

    def dies(*given: Any, **named: Any) -> None:
        raise Death

    post.far_side = Swept(world.root / "letterbox")
    hook = {"key": "hooks/webhook", "distribution": "hooks", "spec": HOOK}
    world.serve(mailing(hook))
    world.ask("daily")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.ledger, "settle", dies)
        world.work_until(Death)
    world.ledger.expire(now=world.clock.now(), all_leases=True)
    world.work()
    assert [one.intent for one in post.far_side.taken] == [{}, {"step": "removed"}]


def test_what_met_nobody_is_given_up_as_failed(world: World, post: Post) -> None:
    post.far_side.unreachable = {"-"}
    row = told(world, post)
    assert (row.status, row.reason) == ("failed", "gave_up")


def in_doubt(world: World, post: Post, *after: Outcome) -> str:
    """A run whose mail waits to be sent again, though it may have arrived."""
    post.answers(anna=[SILENT, *after])
    world.serve(mailing(a_mail(ANNA, on_unconfirmed="resend")))
    run_id = world.ask("daily")
    world.work()
    assert states(world.record(run_id)) == {ANNA: "deferred"}
    return run_id


def test_a_cancel_of_what_may_have_arrived_says_that_nobody_knows(
    world: World, post: Post
) -> None:
    run_id = in_doubt(world, post)
    world.ledger.cancel(run_id, by="ada", now=world.clock.now())
    assert states(world.record(run_id)) == {ANNA: "unconfirmed"}
    assert [one.subject for one in world.ledger.holds()] == [run_id]
    world.ledger.reopen(run_id, Resend(), now=world.clock.now())
    world.work()
    assert states(world.record(run_id)) == {ANNA: "accepted"}


@pytest.mark.parametrize("answer", [REFUSED, failed("login_refused")])
def test_a_refusal_of_the_second_mail_says_nothing_of_the_first(
    world: World, post: Post, answer: Any
) -> None:
    run_id = in_doubt(world, post, answer)
    world.clock.move(3600)
    world.work()
    [row] = world.record(run_id).deliveries
    assert (row.status, row.reason) == ("unconfirmed", answer.reason)
    assert row.message.startswith("An earlier try may have arrived.")


# --- What wants no more -----------------------------------------------------------------


def hooked(url: str = HOOK["url"]) -> RunSpec:
    spec = {**HOOK, "url": url}
    return mailing({"key": "hooks/hook", "distribution": "hooks", "spec": spec})


def ends(world: World, spec: RunSpec) -> tuple[str, str, str]:
    record = world.run_now(spec)
    world.clock.move(60)
    [row] = record.deliveries
    return record.run.status.value, row.status.value, row.reason


def test_a_webhook_that_wants_no_more_is_switched_off_until_it_is_released(
    world: World, post: Post
) -> None:
    post.far_side.answers = {"-": [failed("gone"), failed("gone")]}
    assert ends(world, hooked()) == ("failed", "failed", "gone")
    assert ends(world, hooked()) == ("skipped", "suppressed", "gone")
    [hold] = world.ledger.holds()
    assert (hold.kind, len(post.far_side.taken)) == (HoldKind.GONE, 1)
    now = world.clock.now()
    world.ledger.release(hold.hold_id, by="ada", why="it is back", now=now)
    assert ends(world, hooked()) == ("failed", "failed", "gone")
    assert [one.hold_id for one in world.ledger.holds()] != [hold.hold_id]


def test_a_new_address_in_git_switches_a_webhook_on_again(
    world: World, post: Post
) -> None:
    post.far_side.answers = {"-": [failed("gone")]}
    ends(world, hooked())
    new = hooked("https://hooks.example.com/new")
    assert ends(world, new) == ("succeeded", "accepted", "")
    assert world.ledger.holds() == []


def test_the_listeners_of_a_schedule_hear_that_its_webhook_is_switched_off(
    world: World, post: Post
) -> None:
    post.far_side.answers = {"-": [failed("gone")]}
    ends(world, hooked())
    [trouble] = of_holds(world.ledger.holds(), world.clock.now())
    assert (trouble.schedule, trouble.cause, trouble.run_id) == ("daily", "gone", "")
    assert "wants no more" in trouble.what
