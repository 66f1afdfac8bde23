"""Maps of thousands of which a few values change at a time.

A copy of a dict costs little; a look into each of its values would cost most of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def but(before: Mapping[K, V], *, gone: Iterable[K], new: Mapping[K, V]) -> dict[K, V]:
    """A copy without some keys, and with others."""
    made = {**before}
    for key in gone:
        made.pop(key, None)
    made |= new
    return made


def differing(before: Mapping[K, V], after: Mapping[K, V]) -> set[K]:
    """The keys of all that is not the same object in both."""
    was = before.get
    found = {key for key, value in after.items() if was(key) is not value}
    return found.union(before.keys() - after.keys())
