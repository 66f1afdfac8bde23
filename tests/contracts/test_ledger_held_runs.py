"""Holds of runs: made once, released once, over with their run (docs/operating/holds.md)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from boe_reconciler.core.errors import InputError, LeaseLost
from boe_reconciler.core.holds import HoldEnd, HoldKind, Wait
from boe_reconciler.core.ports import Claimed, Ledger
from boe_reconciler.core.runs import DeliveryStatus, Outcome, Resend, RunStatus
from tests.builders import (
    REVISION,
    a_delivery,
    a_manual_run,
    a_schedule,
    a_wait,
    an_activation,
    an_artifact,
    at,
)

START = at("2026-03-01 06:30")
MINUTE = timedelta(minutes=1)
RUN = a_manual_run().run_id


@pytest.fixture
def ledger(ledger: Ledger) -> Iterator[Ledger]:
    """One that serves `daily`, with a run asked for."""
    ledger.activate(an_activation(a_schedule()), now=START)
    ledger.enqueue([a_manual_run(now=START)], now=START)
    yield ledger
    assert ledger.broken_invariants(now=START + timedelta(days=9)) == []


def claim(ledger: Ledger, minutes: int = 0) -> Claimed:
    (claimed,) = ledger.claim("worker", now=START + minutes * MINUTE, limit=9)
    return claimed


def wait(kind: HoldKind = HoldKind.RECIPIENTS, minutes: int | None = None) -> Wait:
    until = None if minutes is None else START + minutes * MINUTE
    return Wait(kind=kind, subject=RUN, message="Many more.", until=until)


def hold(ledger: Ledger, asked: Wait | None = None) -> str:
    """The run is held; the id of its Hold."""
    claimed = claim(ledger)
    assert not ledger.await_release(claimed.claim, asked or wait(), now=START)
    return ledger.holds()[-1].hold_id


def release(ledger: Ledger, hold_id: str, minutes: int = 1) -> None:
    now = START + minutes * MINUTE
    ledger.release(hold_id, by="ada", why="fine", now=now)


def deliver(ledger: Ledger, status: DeliveryStatus, minutes: int = 0) -> None:
    """The run ends with one delivery of this status."""
    now = START + minutes * MINUTE
    claimed = claim(ledger, minutes)
    owed = a_delivery(RUN)
    if not claimed.record.artifacts:
        ledger.begin_attempt(claimed.claim, parameters={}, now=now)
        ledger.commit_artifacts(claimed.claim, [an_artifact()], [owed], now=now)
    ledger.intend(claimed.claim, owed.key, {}, now=now)
    ledger.settle(claimed.claim, owed.key, Outcome(status=status), now=now)
    ended = RunStatus.SUCCEEDED if status == "accepted" else RunStatus.FAILED
    ledger.finish(claimed.claim, ended, "", "", now=now)


def test_a_held_run_has_no_lease_and_is_not_looked_at(ledger: Ledger) -> None:
    hold_id = hold(ledger)
    record = ledger.run(RUN)
    assert record is not None
    assert record.run.held
    assert (record.run.lease_until, record.run.attempts) == (None, 0)
    assert f'`boe release {hold_id} --why "…"`' in record.run.message
    assert ledger.claim("worker", now=START + timedelta(days=800), limit=9) == []
    assert ledger.open_runs() == 0
    assert ledger.census(now=START).holds == {HoldKind.RECIPIENTS: 1}


def test_a_released_run_is_claimed_at_once_and_goes_on(ledger: Ledger) -> None:
    release(ledger, hold(ledger))
    assert ledger.open_runs() == 1
    claimed = claim(ledger, 1)
    for _ in range(2):
        assert ledger.await_release(claimed.claim, wait(), now=START + 2 * MINUTE)
    (found,) = ledger.holds_of(RUN)
    assert (found.ended_as, found.released_by) == (HoldEnd.TAKEN_UP, "ada")
    assert ledger.holds() == []


def test_a_hold_with_an_end_lets_the_run_go_on_then(ledger: Ledger) -> None:
    hold(ledger, wait(minutes=5))
    assert ledger.claim("worker", now=START + 4 * MINUTE, limit=9) == []
    claimed = claim(ledger, 5)
    assert ledger.await_release(claimed.claim, wait(minutes=99), now=START + 5 * MINUTE)
    assert [one.ended_as for one in ledger.holds_of(RUN)] == [HoldEnd.OVER]


def test_only_who_has_the_run_may_hold_it(ledger: Ledger) -> None:
    old = claim(ledger)
    ledger.expire(now=START, all_leases=True)
    with pytest.raises(LeaseLost):
        ledger.await_release(old.claim, wait(), now=START)
    assert ledger.holds_of(RUN) == []


def test_a_lost_lease_after_the_release_needs_no_other(ledger: Ledger) -> None:
    release(ledger, hold(ledger))
    claim(ledger, 1)
    ledger.expire(now=START + MINUTE, all_leases=True)
    claimed = claim(ledger, 2)
    assert ledger.await_release(claimed.claim, wait(), now=START + 2 * MINUTE)


def test_a_hold_ends_with_its_run(ledger: Ledger) -> None:
    hold_id = hold(ledger)
    ledger.cancel(RUN, by="ada", now=START)
    assert ledger.holds() == []
    with pytest.raises(InputError, match=f"{RUN} has ended"):
        release(ledger, hold_id)


def test_a_removed_schedule_ends_the_holds_of_its_runs(ledger: Ledger) -> None:
    hold(ledger)
    ledger.activate(an_activation(), now=START + MINUTE)
    assert ledger.holds() == []


def test_a_revision_leaves_the_holds_of_runs_alone(ledger: Ledger) -> None:
    hold(ledger)
    other = REVISION.replace("1", "2")
    held = an_activation(revision=other, serving=None, waits=[a_wait(other)])
    ledger.activate(held, now=START)
    ledger.activate(an_activation(a_schedule()), now=START)
    assert [one.kind for one in ledger.holds()] == [HoldKind.RECIPIENTS]


def test_a_run_is_held_for_each_reason_by_itself(ledger: Ledger) -> None:
    release(ledger, hold(ledger))
    other = wait(HoldKind.APPROVAL)
    claimed = claim(ledger, 1)
    assert not ledger.await_release(claimed.claim, other, now=START + MINUTE)
    assert [one.kind for one in ledger.holds_of(RUN)] == [
        HoldKind.RECIPIENTS,
        HoldKind.APPROVAL,
    ]
    ledger.cancel(RUN, by="ada", now=START + MINUTE)


# --- What nobody knows to have arrived ----------------------------------------


def test_a_run_that_ends_unconfirmed_leaves_one_hold(ledger: Ledger) -> None:
    deliver(ledger, DeliveryStatus.UNCONFIRMED)
    (found,) = ledger.holds()
    assert (found.kind, found.subject, found.until) == ("unconfirmed", RUN, None)


def test_a_delivery_cut_short_is_unconfirmed_and_leaves_one(ledger: Ledger) -> None:
    claimed = claim(ledger)
    owed = a_delivery(RUN)
    ledger.begin_attempt(claimed.claim, parameters={}, now=START)
    ledger.commit_artifacts(claimed.claim, [an_artifact()], [owed], now=START)
    ledger.intend(claimed.claim, owed.key, {}, now=START)
    ledger.finish(claimed.claim, RunStatus.FAILED, "timeout", "", now=START)
    assert [one.kind for one in ledger.holds()] == [HoldKind.UNCONFIRMED]


def test_its_release_is_recorded_and_counts_once(ledger: Ledger) -> None:
    deliver(ledger, DeliveryStatus.UNCONFIRMED)
    (found,) = ledger.holds()
    release(ledger, found.hold_id)
    (found,) = ledger.holds_of(RUN)
    assert (found.ended_as, ledger.holds()) == (HoldEnd.RECORDED, [])
    assert ledger.claim("worker", now=START + MINUTE, limit=9) == []
    assert [one.action for one in ledger.events(RUN)][-1] == "released"
    with pytest.raises(InputError, match="released already"):
        release(ledger, found.hold_id)


@pytest.mark.parametrize("status", ["accepted", "unconfirmed"])
def test_sent_again_it_waits_only_if_nobody_knows_again(
    ledger: Ledger, status: str
) -> None:
    deliver(ledger, DeliveryStatus.UNCONFIRMED)
    ledger.reopen(RUN, now=START + MINUTE)
    assert ledger.holds() == []
    deliver(ledger, DeliveryStatus(status), minutes=2)
    assert len(ledger.holds()) == (status == "unconfirmed")


def test_what_was_left_at_that_is_not_asked_about_again(ledger: Ledger) -> None:
    claimed = claim(ledger)
    lost, other = (a_delivery(RUN, recipient=each) for each in "ab")
    ledger.begin_attempt(claimed.claim, parameters={}, now=START)
    ledger.commit_artifacts(claimed.claim, [an_artifact()], [lost, other], now=START)
    unknown = Outcome(status=DeliveryStatus.UNCONFIRMED)
    for one in (lost, other):
        ledger.settle(claimed.claim, one.key, unknown, now=START)
    ledger.finish(claimed.claim, RunStatus.FAILED, "", "", now=START)
    (found,) = ledger.holds()
    release(ledger, found.hold_id)
    ledger.reopen(RUN, Resend(recipient="b"), now=START + 2 * MINUTE)
    again = claim(ledger, 3)
    taken = Outcome(status=DeliveryStatus.ACCEPTED)
    ledger.settle(again.claim, other.key, taken, now=START + 3 * MINUTE)
    ledger.finish(again.claim, RunStatus.PARTIAL, "", "", now=START + 3 * MINUTE)
    assert ledger.holds() == []


def test_a_place_that_wants_no_more_has_one_hold_however_often_it_says_so(
    ledger: Ledger,
) -> None:
    claimed = claim(ledger)
    gone = Wait(kind=HoldKind.GONE, subject="daily hooks/hook 1234abcd", message="410")
    for _ in range(2):
        ledger.switch_off(claimed.claim, gone, now=START)
    [hold] = ledger.holds()
    assert (hold.kind, hold.subject) == (gone.kind, gone.subject)
    ledger.release(hold.hold_id, by="ada", why="it is back", now=START)
    assert ledger.holds() == []
    ledger.switch_off(claimed.claim, gone, now=START + MINUTE)
    assert [one.subject for one in ledger.holds()] == [gone.subject]
    assert ledger.broken_invariants(now=START + MINUTE) == []
