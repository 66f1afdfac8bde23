"""One comment that is kept up to date, whoever else writes one at the same time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from boe_reconciler.core.errors import Permanent


@dataclass(frozen=True, kw_only=True, slots=True)
class Comment:
    #: Grows with time.
    id: int
    text: str


class Thread(Protocol):
    """The comments of one pull request."""

    def comments(self) -> list[Comment]:
        """Those of our own author."""

    def add(self, text: str) -> None: ...

    def change(self, id_: int, text: str) -> None: ...

    def remove(self, id_: int) -> None: ...


def author(item: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Who wrote it: what stands there, or nobody where that is no person."""
    found = item.get(name)
    return found if isinstance(found, Mapping) else {}


def keep_one(thread: Thread, marker: str, text: str) -> None:
    """The oldest comment with the marker says it; without one a new one does.

    Of two jobs that write at the same time, each sees the other's comment after its
    own: both keep the oldest one, and the last text stays.
    """
    whole = f"{marker}\n{text}"
    if found := _ours(thread, marker):
        _update(thread, found, whole)
        return
    thread.add(whole)
    found = _ours(thread, marker)
    if len(found) > 1:
        _update(thread, found, whole)


def _update(thread: Thread, found: list[Comment], whole: str) -> None:
    oldest, *others = found
    if oldest.text != whole:
        thread.change(oldest.id, whole)
    for one in others:
        with _gone_is_fine():
            thread.remove(one.id)


def _ours(thread: Thread, marker: str) -> list[Comment]:
    found = [one for one in thread.comments() if one.text.startswith(marker)]
    return sorted(found, key=lambda one: one.id)


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except Permanent as error:
        if error.reason != "forge_not_found":
            raise
