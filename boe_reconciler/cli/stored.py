"""Whether the files of a run are still stored, and what to say of those that are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boe_reconciler.core.retention import files_kept, retention_of
from boe_reconciler.core.wording import lasting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boe_reconciler.app import App
    from boe_reconciler.core.runs import RunRecord


def parts_gone(app: App, record: RunRecord) -> Sequence[str]:
    """Its parts whose stored file is not there any more."""
    return [one.part for one in record.artifacts if one.sha256 not in app.blobs]


def why_gone(app: App, record: RunRecord) -> str:
    """Why, in a sentence without an end."""
    keep = files_kept(retention_of(app.ledger.served()))
    ended = record.run.finished_at
    if ended is None or app.clock.now() - ended <= keep:
        return "it is missing from the state folder, as `boe doctor` tells"
    return f"files are kept for {lasting(keep)}"
