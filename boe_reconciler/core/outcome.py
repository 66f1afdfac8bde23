"""What a run became, from what became of its deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from boe_reconciler.core.runs import Delivery, DeliveryStatus, RunStatus

#: A delivery that was left out because the report has no rows.
EMPTY = "empty"
#: One that an Environment leaves out.
LEFT_OUT = "environment"


def left_out(environment: str) -> str:
    return (
        f"The Environment {environment} delivers nothing there: its `redirect` names "
        "no other place."
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    status: RunStatus
    reason: str = ""
    message: str = ""


def verdict(deliveries: Sequence[Delivery]) -> Verdict:
    """Succeeded only if every planned delivery was accepted; all are final."""
    planned = [one for one in deliveries if one.reason not in (EMPTY, LEFT_OUT)]
    if deliveries and not planned:
        return _nothing_sent(deliveries)
    bad = [one for one in planned if one.status is not DeliveryStatus.ACCEPTED]
    if not bad:
        return Verdict(status=RunStatus.SUCCEEDED)
    status = RunStatus.PARTIAL if len(bad) < len(planned) else RunStatus.FAILED
    worst = next(
        (one for one in bad if one.status is DeliveryStatus.UNCONFIRMED), bad[0]
    )
    return Verdict(
        status=status,
        reason=_reason(worst),
        message=f"{worst.key.destination}: {worst.message or worst.reason}",
    )


def _nothing_sent(deliveries: Sequence[Delivery]) -> Verdict:
    omitted = next((one for one in deliveries if one.reason == LEFT_OUT), None)
    return Verdict(
        status=RunStatus.SKIPPED,
        reason=omitted.reason if omitted else EMPTY,
        message=omitted.message if omitted else "The report has no rows.",
    )


def _reason(delivery: Delivery) -> str:
    if delivery.status is DeliveryStatus.UNCONFIRMED:
        return "unconfirmed"
    return delivery.reason or delivery.status.value
