"""How fast, and how many at once, deliveries of all runs together use a Connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from boe_reconciler.core.limits import Budget, next_free, spent
from boe_reconciler.core.ports import Cancel, Clock

#: Seconds of one wait, at most: a cancel is looked for in between.
_LOOK = 0.25


class Paces:
    """How fast (`rate_limit.per_second`).

    One for each process that executes: there is only one at a time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._budgets: dict[str, Budget] = {}
        self._lock = Lock()

    def wait(self, connection: str, per_second: float, cancel: Cancel) -> None:
        """Until one more may go, which then counts."""
        while (seconds := self._take(connection, per_second)) > 0:
            cancel.check()
            self._clock.sleep(min(seconds, _LOOK))

    def _take(self, connection: str, per_second: float) -> float:
        """The seconds until there is room; 0.0 once it was taken."""
        with self._lock:
            now, known = self._clock.now(), self._budgets.get(connection)
            free = next_free(known, per_second, now)
            if free <= now:
                self._budgets[connection] = spent(known, per_second, 1, now)
            return (free - now).total_seconds()


class Slots:
    """How many destinations work with a Connection at once (`max_concurrent`)."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._lock = Lock()

    @contextmanager
    def one_of(
        self, most: int | None, connection: str, clock: Clock, cancel: Cancel
    ) -> Iterator[None]:
        """Wait for a free one, and have it for as long as the context lasts."""
        while not self._take(connection, most):
            cancel.check()
            clock.sleep(_LOOK)
        try:
            yield
        finally:
            with self._lock:
                self._taken[connection] -= 1

    def _take(self, connection: str, most: int | None) -> bool:
        with self._lock:
            free = most is None or self._taken[connection] < most
            self._taken[connection] += free
            return free
