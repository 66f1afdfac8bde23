"""What waits for a person's `boe release` (docs/operating/holds.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.records import dataclass


class HoldKind(StrEnum):
    #: About a revision: it waits, and another takes its place.
    REWRITTEN_HISTORY = "rewritten_history"
    CHANGE_WINDOW = "change_window"
    #: About a run that goes on when it is released: files that nobody has looked at …
    APPROVAL = "approval"
    #: … or that would go to many more, or fewer, than before.
    RECIPIENTS = "recipients"
    #: About a run that is over: nobody knows whether what it sent has arrived.
    UNCONFIRMED = "unconfirmed"
    #: About a destination whose receiver wants no more: nothing is sent there.
    GONE = "gone"


OF_REVISIONS = (HoldKind.REWRITTEN_HISTORY, HoldKind.CHANGE_WINDOW)
#: The run waits, and this is its reason.
OF_OPEN_RUNS = (HoldKind.APPROVAL, HoldKind.RECIPIENTS)


class HoldEnd(StrEnum):
    #: Somebody released it, and what waited went on.
    TAKEN_UP = "taken_up"
    #: A newer revision came, which has to wait for itself.
    REPLACED = "replaced"
    #: What waited went on, or needs no release any more, without one.
    OVER = "over"
    #: Somebody released it, and there was nothing left to go on.
    RECORDED = "recorded"
    #: Its run ended first.
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Why something has to wait, before the ledger makes a Hold of it."""

    kind: HoldKind
    #: What a release lets go on, and nothing else: a revision, or the id of a run.
    subject: str
    #: A sentence for people.
    message: str
    #: When it goes on by itself; None: never.
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    hold_id: str
    kind: HoldKind
    subject: str
    message: str
    since: datetime
    until: datetime | None = None
    #: Of the release; it counts once, for this subject.
    released_at: datetime | None = None
    released_by: str = ""
    why: str = ""
    ended_at: datetime | None = None
    ended_as: HoldEnd | None = None

    @property
    def waits(self) -> bool:
        """For a person; else it was released and goes on in a moment, or has ended."""
        return self.released_at is None and self.ended_at is None


def begun(wait: Wait, hold_id: str, now: datetime) -> Hold:
    return Hold(
        hold_id=hold_id,
        kind=wait.kind,
        subject=wait.subject,
        message=wait.message,
        since=now,
        until=wait.until,
    )


def released(hold: Hold, *, by: str, why: str, now: datetime) -> Hold:
    """The Hold with its release. InputError where there is nothing to release."""
    if hold.ended_as is HoldEnd.REPLACED:
        raise InputError(
            f"{hold.hold_id} is about {hold.subject}, which a newer revision has replaced.",
            "`boe release` lists what waits now: look at the newer one first.",
        )
    if hold.ended_as is HoldEnd.CANCELLED:
        raise InputError(
            f"{hold.hold_id} waits no longer: {hold.subject} has ended.",
            f"`boe show {hold.subject}` says how.",
        )
    if hold.ended_as is HoldEnd.OVER:
        raise InputError(
            f"{hold.hold_id} waits no longer: {hold.subject} needed no release.",
            "`boe status` says what is served.",
        )
    if hold.released_at is not None:
        raise InputError(
            f"{hold.hold_id} was released already, by {hold.released_by} at "
            f"{hold.released_at:%Y-%m-%d %H:%M:%S}Z: {hold.why}",
            "`boe status` says what is served.",
        )
    return replace(hold, released_at=now, released_by=by, why=why)


def gone_on(hold: Hold, now: datetime) -> HoldEnd | None:
    """How the Hold of an open run ends now; None: it waits."""
    if hold.released_at is not None:
        return HoldEnd.TAKEN_UP
    over = hold.until is not None and hold.until <= now
    return HoldEnd.OVER if over else None


def let_through(holds: Sequence[Hold]) -> bool:
    """Whether one of these, all of one kind and run, has let the run go on before."""
    return any(one.ended_as in (HoldEnd.TAKEN_UP, HoldEnd.OVER) for one in holds)


def after(
    hold: Hold, attempted: str, serving: str | None, waits: Sequence[Wait]
) -> Hold | HoldEnd:
    """The Hold once a revision was looked at: as it stays, or how it has ended.

    A release of a revision that waits for something else as well is kept for it.
    """
    again = [w for w in waits if (w.kind, w.subject) == (hold.kind, hold.subject)]
    if again:
        return replace(hold, message=again[0].message, until=again[0].until)
    if hold.subject != attempted:
        return HoldEnd.REPLACED
    if hold.waits:
        return HoldEnd.OVER
    return HoldEnd.TAKEN_UP if serving else hold
