"""The suppression list: addresses that get no mail, and how they came there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from boe_reconciler.core.language.addresses import folded
from boe_reconciler.core.outcome import LISTED
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.runs import Delivery, DeliveryEvent, DeliveryKey, Event, News
from boe_reconciler.core.wording import sentence

#: Who puts an address on the list by itself.
BOE = "boe"
_SAID = {
    News.DELIVERED: "was delivered",
    News.DELAYED: "is delayed, and still tried",
    News.BOUNCED: "bounced",
    News.COMPLAINED: "was reported as spam",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Suppression:
    """An address on the list, or one that was on it."""

    suppression_id: str
    #: As it was given.
    address: str
    #: What it has in common with all that mean the same mailbox.
    mailbox: str
    by: str
    why: str
    since: datetime
    #: The run whose mail bounced; None: a person put it there.
    run_id: str | None = None
    #: When it was taken off, by whom and why.
    ended_at: datetime | None = None
    ended_by: str | None = None
    ended_why: str | None = None

    @property
    def told(self) -> str:
        """Why it gets no mail, and what to do."""
        return (
            f"{self.address} is on the suppression list since "
            f"{self.since:%Y-%m-%d %H:%M} UTC: {sentence(self.why)} "
            f'`boe unsuppress {self.address} --why "…"` takes it off.'
        )

    def ended(self, *, by: str, why: str, now: datetime) -> Suppression:
        return replace(self, ended_at=now, ended_by=by, ended_why=why)


def mailbox(address: str) -> str:
    """The same for all addresses that mean the same mailbox to people."""
    return "@".join(folded(address.strip()))


def why_none(found: Sequence[Suppression]) -> str | None:
    """Why an address gets no mail, of all that is known of it; None: it gets them."""
    return next((one.told for one in found if one.ended_at is None), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What one message tells of one mail."""

    kind: News
    lasting: bool
    code: str
    message: str
    #: As in `DeliveryEvent`.
    digest: str
    #: How the identity of its delivery begins, authenticated; None: it names none.
    identity: str | None = None
    #: The provider's id of the mail, from a channel of its own.
    receipt: str | None = None

    def event(self, key: DeliveryKey, now: datetime) -> DeliveryEvent:
        return DeliveryEvent(
            digest=self.digest,
            key=key,
            kind=self.kind,
            lasting=self.lasting,
            code=self.code,
            message=self.message,
            at=now,
        )


def said(event: DeliveryEvent) -> str:
    """bounced for good: 5.1.1 No such user."""
    lasting = " for good" if event.kind is News.BOUNCED and event.lasting else ""
    code = "" if event.code in event.message else event.code
    why = " ".join(one for one in (code, event.message) if one)
    return f"{_SAID[event.kind]}{lasting}" + (f": {why}" if why else "")


def bounces(news: Sequence[DeliveryEvent]) -> str:
    """The mail to anna@example.com bounced for good: 5.1.1 Unknown, and 2 others."""
    bad = {one.key: one for one in news if one.kind.bad}
    if not bad:
        return ""
    first, *others = bad.values()
    more = f" (and {len(others)} more)" if others else ""
    told = f"The mail to {first.key.recipient} {said(first)}"
    return f" {sentence(told.rstrip('.') + more)}"


def left_out(deliveries: Sequence[Delivery]) -> str:
    """Left out: anna@example.com is on the suppression list. (And 2 more.)"""
    listed = [one for one in deliveries if one.reason == LISTED]
    if not listed:
        return ""
    more = f" (And {len(listed) - 1} more.)" if len(listed) > 1 else ""
    return f" Left out: {sentence(listed[0].message)}{more}"


def suppresses(event: DeliveryEvent) -> bool:
    """Whether its recipient gets no more mail."""
    complained = event.kind is News.COMPLAINED
    return complained or (event.kind is News.BOUNCED and event.lasting)


def heard(event: DeliveryEvent, schedule: str) -> Event:
    """As the run's history tells it."""
    key = event.key
    return Event(
        at=event.at,
        action=f"mail_{event.kind}",
        message=sentence(f"The mail to {key.recipient} {said(event)}"),
        run_id=key.run_id,
        schedule=schedule,
    )
