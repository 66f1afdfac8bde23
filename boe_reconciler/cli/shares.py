"""Work on thousands of things, done by as many processes as there are processors."""

from __future__ import annotations

import marshal
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import zip_longest
from signal import SIGKILL
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

#: A fork takes some 5 ms to start and to answer; so many things take eight times that.
_LEAST = 500
_MOST_FORKS = 7


def in_shares(work: Callable[[Sequence[T]], list[R]], items: Sequence[T], /) -> list[R]:
    """What `work` makes of the items, in their order: plain values, as marshal knows them.

    Forks of this process do it, and nothing but what they found comes back. A share that
    has no answer, whatever became of its fork, is done here.
    """
    count = min(_processors(), 1 + _MOST_FORKS, len(items) // _LEAST)
    if count < 2:
        return work(items)
    cuts = [len(items) * number // count for number in range(count + 1)]
    first, *others = [items[cuts[n] : cuts[n + 1]] for n in range(count)]
    forks: list[_Fork] = []
    try:
        with suppress(OSError):  # there are no more processes, or no memory for them
            for share in others:
                forks.append(_Fork(work, share))
        found = [*work(first)]
        for fork, share in zip_longest(forks, others):
            answer = fork.answer() if fork else None
            found += work(share) if answer is None else answer
    finally:
        for fork in forks:
            fork.end()
    return found


def _processors() -> int:
    """Those that this process may use; 1 where the system does not say."""
    asked = getattr(os, "sched_getaffinity", None)
    return len(asked(0)) if asked else 1


class _Fork:
    def __init__(
        self, work: Callable[[Sequence[T]], list[R]], share: Sequence[T]
    ) -> None:
        ours, theirs = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                with os.fdopen(theirs, "wb") as line:
                    line.write(marshal.dumps(work(share)))
            finally:
                # What is open and what stands in buffers is the parent's.
                os._exit(0)
        os.close(theirs)
        self._line = os.fdopen(ours, "rb")

    def answer(self) -> list[Any] | None:
        """All of it, or None."""
        try:
            found: list[Any] = marshal.loads(self._line.read())  # noqa: S302 our own fork wrote it
        except (EOFError, ValueError, TypeError):
            return None
        return found

    def end(self) -> None:
        self._line.close()
        os.kill(self._pid, SIGKILL)
        os.waitpid(self._pid, 0)
