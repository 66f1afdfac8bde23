"""Maps of thousands of which a few values change at a time.

A copy of a dict costs little, a look at each of its values most of all. So a map that
was made out of another knows what became different.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import TypeVar
from weakref import ref

K = TypeVar("K")
V = TypeVar("V")


class Edition(dict[K, V]):
    """Changed by `put` and `drop` alone, and by nobody once others have it."""

    __slots__ = ("__weakref__", "_before", "_touched")

    def __init__(self, before: Mapping[K, V] | None = None) -> None:
        super().__init__(before or {})
        self._touched: set[K] = set()
        #: Kept by others, or by nobody.
        self._before = ref(before) if isinstance(before, Edition) else None

    def put(self, key: K, value: V) -> None:
        self[key] = value
        self._touched.add(key)

    def drop(self, key: K) -> None:
        """It need not be there."""
        if key in self:
            del self[key]
            self._touched.add(key)

    def touched_since(self, before: Mapping[K, V]) -> AbstractSet[K] | None:
        """The keys that were changed; None: this was not made out of the other."""
        if before is self:
            return frozenset()
        made_of_it = self._before is not None and self._before() is before
        return self._touched if made_of_it else None


def but(
    before: Mapping[K, V], *, gone: Iterable[K], new: Mapping[K, V]
) -> Edition[K, V]:
    """Another without some keys, and with others."""
    made = Edition(before)
    for key in gone:
        made.drop(key)
    for key, value in new.items():
        made.put(key, value)
    return made


def differing(before: Mapping[K, V], after: Mapping[K, V]) -> AbstractSet[K]:
    """The keys of all that is not the same object in both; there may be a few more."""
    known = after.touched_since(before) if isinstance(after, Edition) else None
    if known is not None:
        return known
    was = before.get
    found = {key for key, value in after.items() if was(key) is not value}
    return found.union(before.keys() - after.keys())
