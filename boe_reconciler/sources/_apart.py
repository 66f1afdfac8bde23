"""Calls of a driver that may never answer, in a thread that can be left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from boe_reconciler.sources._stream import Watch

T = TypeVar("T")
#: So often a call is interrupted before it is left behind; a second passes meanwhile.
_PATIENCE = 4
#: Seconds that closing may take before nobody waits for it any more.
_CLOSES = 1.0


class Apart:
    """Makes calls, one after the other, in one daemon thread.

    A call that has to stop and does not come back is left behind; what `leave` is
    given is done once it has come back.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._stops = 0
        #: The driver's own way to stop a call; None: it has none.
        self.interrupt: Callable[[], None] | None = None
        self._calls: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._answers: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        Thread(target=self._work, name="driver", daemon=True).start()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Within the context calls are made, and end when the watch has to stop."""
        with self._watch.interrupting(self._stop):
            yield

    def call(self, work: Callable[[], T]) -> T:
        """What `work` gives or raises, or what the watch raises."""
        self._calls.put(work)
        answer: Callable[[], T] = self._answers.get()
        if answer is _left_behind:
            self._watch.check()
        return answer()

    def leave(self, close: Callable[[], Any]) -> None:
        """Nothing more is asked; `close` is the last call."""
        done: SimpleQueue[None] = SimpleQueue()

        def last() -> None:
            try:
                close()
            finally:
                done.put(None)

        self._calls.put(last)
        self._calls.put(None)
        try:
            done.get(timeout=_CLOSES)
        except Empty:
            return

    def _stop(self) -> None:
        """Called again and again while the watch wants a stop."""
        self._stops += 1
        if self.interrupt is None or self._stops > _PATIENCE:
            self._answers.put(_left_behind)
        if self.interrupt is not None:
            self.interrupt()

    def _work(self) -> None:
        while (work := self._calls.get()) is not None:
            self._answers.put(_outcome(work))


def _left_behind() -> Any:
    """Stands for the answer of a call that nobody waits for any more."""
    raise AssertionError("the watch raises before this is asked")


def _outcome(work: Callable[[], T]) -> Callable[[], T]:
    """Gives what the call gave, or raises what it raised."""
    try:
        found = work()
    except Exception as error:
        return _raising(error)
    return lambda: found


def _raising(error: Exception) -> Callable[[], Any]:
    def again() -> Any:
        raise error

    return again
