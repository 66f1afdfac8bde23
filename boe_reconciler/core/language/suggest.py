"""What somebody may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` is most likely a slip of, if one is near."""
    by_fold = {candidate.replace("_", "-").lower(): candidate for candidate in known}
    if len(word) > 100:
        return None
    found = get_close_matches(word.replace("_", "-").lower(), by_fold, n=1, cutoff=0.7)
    return by_fold[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """`did you mean "x"?`, or what to say where nothing is near."""
    found = closest(word, known)
    return f'did you mean "{found}"?' if found and found != word else otherwise


def listed(words: Iterable[str], join: str = "or") -> str:
    """a, b or c."""
    *some, last = words
    return f"{', '.join(some)} {join} {last}" if some else last
