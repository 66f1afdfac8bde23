"""What a run became, from what became of its deliveries."""

from __future__ import annotations

from collections.abc import Sequence

from boe_reconciler.core.records import dataclass
from boe_reconciler.core.runs import ASKED, Delivery, DeliveryStatus, RunStatus

#: Deliveries that were left out because the report has no rows, or those of last time.
EMPTY = "empty"
UNCHANGED = "unchanged"
#: One that an Environment leaves out.
LEFT_OUT = "environment"
#: One that git no longer names, or whose address wants or takes no more mails.
REMOVED = "removed"
LISTED = "suppression_list"
#: One whose receiver said that it wants no more.
GONE = "gone"
#: Suppressed for one of these, nobody misses it: somebody decided that it is not sent.
_SAID = {
    EMPTY: "The report has no rows.",
    UNCHANGED: "The rows are those that were last delivered.",
    LEFT_OUT: "The Environment delivers nothing there.",
    REMOVED: "Nobody is a recipient of it any more.",
    GONE: "Its receiver wants no more, and a Hold waits for a release.",
    LISTED: "Its recipients are on the suppression list.",
}


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """What is known of a run's end while a last delivery is open."""

    #: In its files.
    rows: int | None
    #: Told behind what came of its deliveries.
    addition: str = ""

    def of(self, deliveries: Sequence[Delivery]) -> Verdict:
        """What it became; all are final."""
        found = verdict(deliveries)
        told = " ".join(filter(None, [found.message, self.addition]))
        return Verdict(status=found.status, reason=found.reason, message=told)


def verdict(deliveries: Sequence[Delivery]) -> Verdict:
    """Succeeded only if every planned delivery was accepted; all are final.

    What somebody had sent to an address of his own changes nothing for the others.
    """
    own = [one for one in deliveries if one.role != ASKED] or deliveries
    planned = [one for one in own if not unwanted(one)]
    if own and not planned:
        return _nothing_sent(own)
    bad = [one for one in planned if one.status is not DeliveryStatus.ACCEPTED]
    if not bad:
        return Verdict(status=RunStatus.SUCCEEDED)
    status = RunStatus.PARTIAL if len(bad) < len(planned) else RunStatus.FAILED
    worst = next(
        (one for one in bad if one.status is DeliveryStatus.UNCONFIRMED), bad[0]
    )
    return Verdict(status=status, reason=_reason(worst), message=_told(worst, bad))


def unwanted(delivery: Delivery) -> bool:
    """Whether nobody expects it to arrive."""
    return delivery.status is DeliveryStatus.SUPPRESSED and delivery.reason in _SAID


def _nothing_sent(deliveries: Sequence[Delivery]) -> Verdict:
    first = next((one for one in deliveries if one.reason == LEFT_OUT), deliveries[0])
    return Verdict(
        status=RunStatus.SKIPPED,
        reason=first.reason,
        message=first.message or _SAID[first.reason],
    )


def _told(worst: Delivery, bad: Sequence[Delivery]) -> str:
    key = worst.key
    who = (
        key.destination
        if key.recipient == "-"
        else f"{key.recipient} of {key.destination}"
    )
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return f"{who}: {worst.message or worst.reason}{more}"


def _reason(delivery: Delivery) -> str:
    if delivery.status is DeliveryStatus.UNCONFIRMED:
        return "unconfirmed"
    return delivery.reason or delivery.status.value
