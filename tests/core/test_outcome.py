"""What a run became, from what became of its deliveries: the whole table."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from boe_reconciler.core.outcome import Ending, Verdict, verdict
from boe_reconciler.core.runs import Delivery, DeliveryKey, DeliveryStatus, RunStatus

ACCEPTED, FAILED = DeliveryStatus.ACCEPTED, DeliveryStatus.FAILED
UNCONFIRMED, SUPPRESSED = DeliveryStatus.UNCONFIRMED, DeliveryStatus.SUPPRESSED


def a_delivery(
    number: int, status: DeliveryStatus, reason: str = "", message: str = ""
) -> Delivery:
    return Delivery(
        key=DeliveryKey(run_id="daily.m1", part="-", destination=f"to-{number}"),
        type="local",
        status=status,
        attempts=1,
        reason=reason,
        message=message,
        receipt=None,
        remote=None,
        intent={},
        first_attempt_at=None,
        next_attempt_at=None,
        at=datetime(2026, 11, 24, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("ends", "status", "reason"),
    [
        ([], RunStatus.SUCCEEDED, ""),
        ([(ACCEPTED, "")], RunStatus.SUCCEEDED, ""),
        ([(ACCEPTED, ""), (SUPPRESSED, "empty")], RunStatus.SUCCEEDED, ""),
        ([(SUPPRESSED, "empty")], RunStatus.SKIPPED, "empty"),
        ([(ACCEPTED, ""), (SUPPRESSED, "environment")], RunStatus.SUCCEEDED, ""),
        ([(SUPPRESSED, "environment")], RunStatus.SKIPPED, "environment"),
        ([(ACCEPTED, ""), (FAILED, "no_space")], RunStatus.PARTIAL, "no_space"),
        ([(FAILED, "no_space"), (FAILED, "other")], RunStatus.FAILED, "no_space"),
        ([(UNCONFIRMED, "silence")], RunStatus.FAILED, "unconfirmed"),
        ([(FAILED, "x"), (UNCONFIRMED, "")], RunStatus.FAILED, "unconfirmed"),
        ([(ACCEPTED, ""), (UNCONFIRMED, "")], RunStatus.PARTIAL, "unconfirmed"),
        ([(SUPPRESSED, "")], RunStatus.FAILED, "suppressed"),
    ],
)
def test_a_run_succeeds_only_if_every_planned_delivery_was_accepted(
    ends: list[tuple[DeliveryStatus, str]], status: RunStatus, reason: str
) -> None:
    found = verdict([a_delivery(n, state, why) for n, (state, why) in enumerate(ends)])
    assert (found.status, found.reason) == (status, reason)


def test_what_else_is_known_is_told_behind_it() -> None:
    bad = [a_delivery(1, FAILED, "no_space", "The disk is full.")]
    said = Ending(rows=3, addition="Two went to nobody.").of(bad)
    assert said.message == "to-1: The disk is full. Two went to nobody."
    assert Ending(rows=3).of(bad) == verdict(bad)


def test_the_message_names_the_destination() -> None:
    found = verdict([a_delivery(1, FAILED, "no_space", "The disk is full.")])
    assert found == Verdict(
        status=RunStatus.FAILED, reason="no_space", message="to-1: The disk is full."
    )
