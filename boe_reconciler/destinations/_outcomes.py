"""How an error of ours ends one try of one delivery."""

from __future__ import annotations

from boe_reconciler.core.errors import RunError, Temporary
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
