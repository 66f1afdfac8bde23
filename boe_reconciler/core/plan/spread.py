"""Work on many things, which whoever asks for it may have done by several processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Spread(Protocol):
    """What work makes of items, in their order; it does not depend on how they are cut."""

    def __call__(
        self, work: Callable[[Sequence[T]], list[R]], items: Sequence[T], /
    ) -> list[R]: ...


def alone(work: Callable[[Sequence[T]], list[R]], items: Sequence[T], /) -> list[R]:
    return work(items)
