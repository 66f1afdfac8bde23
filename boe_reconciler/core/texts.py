"""What is wrong inside one text (a query, a file name), before it has a place in a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from boe_reconciler.core.problems import Severity


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


def suggestion(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or an empty text."""
    by_lower = {each.lower(): each for each in known}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else ""
