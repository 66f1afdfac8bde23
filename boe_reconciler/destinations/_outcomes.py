"""How an error of ours ends one try of one delivery."""

from __future__ import annotations

from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.runs import DeliveryStatus, Outcome


def outcome_of(error: RunError) -> Outcome:
    """Deferred for a Temporary error, failed for any other."""
    delay = error.delay if isinstance(error, Temporary) else None
    later = isinstance(error, Temporary)
    return Outcome(
        status=DeliveryStatus.DEFERRED if later else DeliveryStatus.FAILED,
        reason=error.reason,
        message=f"{error.message} ({error.help})" if error.help else error.message,
        retry_after=delay.total_seconds() if delay is not None else None,
    )


def conflict(place: str, choices: str = "overwrite", run: str = "") -> Permanent:
    """Something else has the name; `run`: the one that put it there, if that is known.

    What is sent again has the names of its run: only a new one has those of an edit.
    """
    whose = f"the file of {run}" if run else "with other content"
    return Permanent(
        "exists",
        f"{place} is already there, {whose}",
        "to keep both, put {time} or {run_id} into filename_pattern; to replace it, set "
        f"if_exists to {choices}; then `boe rerun`. Or remove it there, then `boe resend`",
    )
