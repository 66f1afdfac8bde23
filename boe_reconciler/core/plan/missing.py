"""What to do about a name that leads nowhere: told for each of them, in bounded time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field

from boe_reconciler.core.language.suggest import did_you_mean
from boe_reconciler.core.records import dataclass

#: Pairs of names that are compared, some seconds: where thousands of names lead
#: nowhere, they are no slips of the hand.
MOST = 200_000
#: Names that are listed where nothing is near.
_LISTED = 10


@dataclass(kw_only=True, slots=True, eq=False)
class Missing:
    #: The names that there are, of a kind.
    names: Callable[[str], Sequence[str]]
    #: Pairs that may still be compared.
    _left: int = field(init=False, default=MOST)
    #: (kind, name) -> what to do.
    _told: dict[tuple[str, str], str] = field(init=False, default_factory=dict)
    #: kind -> what there is.
    _there: dict[str, str] = field(init=False, default_factory=dict)

    def todo(self, kind: str, name: str) -> str:
        key = kind, name
        if key not in self._told:
            self._told[key] = self._look(kind, name)
        return self._told[key]

    def _look(self, kind: str, name: str) -> str:
        known = self.names(kind)
        if kind not in self._there:
            self._there[kind] = _existing(kind, known)
        self._left -= len(known)
        near = known if self._left >= 0 else ()
        return did_you_mean(name, near, self._there[kind])


def _existing(kind: str, names: Sequence[str]) -> str:
    if not names:
        return f"this repo has no {kind} at all"
    shown = ", ".join(sorted(names)[:_LISTED])
    return f"there is {shown}" + (", …" if len(names) > _LISTED else "")
