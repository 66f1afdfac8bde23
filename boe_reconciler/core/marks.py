"""What sets one delivery apart from an ordinary one, for whoever reads it."""

from __future__ import annotations

from collections.abc import Sequence

from boe_reconciler.core.records import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Marks:
    """A mail says them in its subject, and at the top of its text."""

    #: Why an older report is corrected; None: it corrects none.
    corrected: str | None = None
    #: The run that this one does again.
    rerun_of: str | None = None
    #: The Environment that sends it elsewhere.
    redirected_by: str | None = None
    #: Whom it would have gone to: with `redirected_by`, or where somebody had all of
    #: it sent to one address (`--to`).
    meant_for: Sequence[str] = ()
    #: Somebody had it sent to this one address.
    asked_for: bool = False
    #: There is no file, only this news: "empty" or "unchanged"; None: there is one.
    notice: str | None = None
    #: Sentences about what the report was made without (`send_with_note`).
    notes: Sequence[str] = ()


UNMARKED = Marks()
