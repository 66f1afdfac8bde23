"""A Finding: a Problem that does not know yet where in its file it stands."""

from __future__ import annotations

from boe_reconciler.core.problems import Path, Severity
from boe_reconciler.core.records import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    #: A key of `codes.CODES`.
    code: str
    #: Path below the value that was checked, such as ("cron", 1).
    path: Path
    #: What is wrong, with the values at hand.
    detail: str
    #: What to do about it; may be empty.
    help: str = ""
    severity: Severity = "error"
    #: The key at `path` is meant, not its value.
    at_key: bool = False
