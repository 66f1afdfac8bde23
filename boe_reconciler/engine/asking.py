"""Questions to far sides, several at once, each with an end."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from boe_reconciler.core.errors import BoeError, Permanent, Temporary
from boe_reconciler.core.ports import Clock

T = TypeVar("T")
#: Questions at the same time.
AT_ONCE = 16
#: Seconds between two looks at who has answered.
_LOOK = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking(Generic[T]):
    #: Raises a BoeError where the answer is no.
    answer: Callable[[T], None]
    clock: Clock
    #: That one question may take.
    seconds: float

    def all(self, questions: Sequence[T]) -> Iterator[tuple[T, BoeError | None]]:
        """Each question, as soon as it ended, with what is wrong.

        What does not answer in time is left behind: nothing can end a call that hangs.
        """
        waiting, running = deque(questions), list[_Try[T]]()
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                running.append(self._start(waiting.popleft()))
            self.clock.sleep(_LOOK)
            for each in [one for one in running if self._ended(one)]:
                running.remove(each)
                yield each.question, each.error if each.done.is_set() else self._late()

    def _start(self, question: T) -> _Try[T]:
        one = _Try(question=question, until=self.clock.monotonic() + self.seconds)
        threading.Thread(target=one.run, args=(self.answer,), daemon=True).start()
        return one

    def _ended(self, one: _Try[T]) -> bool:
        return one.done.is_set() or self.clock.monotonic() > one.until

    def _late(self) -> BoeError:
        return Temporary("timeout", f"there was no answer within {self.seconds:.0f} s")


@dataclass(kw_only=True, slots=True)
class _Try(Generic[T]):
    question: T
    until: float
    done: threading.Event = field(default_factory=threading.Event)
    error: BoeError | None = None

    def run(self, answer: Callable[[T], None]) -> None:
        try:
            answer(self.question)
        except BoeError as error:
            self.error = error
        except Exception as error:
            # Whatever its words are, nobody has looked through them.
            self.error = Permanent("failed", f"it failed ({type(error).__name__})")
        finally:
            self.done.set()
