"""What is wrong inside one text, a query or a file name, before it has a place."""

from __future__ import annotations

from boe_reconciler.core.problems import Severity
from boe_reconciler.core.records import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class TextFinding:
    #: A key of `codes.CODES`.
    code: str
    #: What is wrong, with the values at hand.
    detail: str
    #: What to do about it; may be empty.
    help: str = ""
    #: Where in the text it begins, in characters, and how far it goes.
    offset: int = 0
    length: int = 0
    severity: Severity = "error"
