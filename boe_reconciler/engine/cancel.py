"""Stopping work that is under way: a person, a time-out, a drain, a lost lease."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum

from boe_reconciler.core.errors import Cancelled, LeaseLost, Temporary


class Stop(StrEnum):
    """Why work has to stop; the first reason stays."""

    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    DRAIN = "drain"
    LEASE_LOST = "lease_lost"


class Drained(Exception):
    """The executor shuts down: give the claim back, use up no attempt."""


class CancelToken:
    """One run's `Cancel`: asked from the executor's thread, obeyed in the run's own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._stop: Stop | None = None
        #: An instant of the monotonic clock after which `expire` times out.
        self.deadline: float | None = None

    def stop(self, reason: Stop) -> None:
        with self._lock:
            if self._stop is not None:
                return
            self._stop = reason
            callbacks = list(self._callbacks)
        for interrupt in callbacks:
            # The work may just have ended by itself; then there is nothing to interrupt.
            with suppress(Exception):
                interrupt()

    def expire(self, monotonic: float) -> None:
        """Time out when the deadline has passed."""
        if self.deadline is not None and monotonic >= self.deadline:
            self.stop(Stop.TIMEOUT)

    def check(self) -> None:
        match self._stop:
            case Stop.CANCELLED:
                raise Cancelled("cancelled", "Cancelled on request.")
            case Stop.TIMEOUT:
                raise Temporary("timeout", "The run took longer than its time-out.")
            case Stop.DRAIN:
                raise Drained
            case Stop.LEASE_LOST:
                raise LeaseLost

    @contextmanager
    def on_cancel(self, callback: Callable[[], None]) -> Iterator[None]:
        with self._lock:
            self._callbacks.append(callback)
            stopped = self._stop is not None
        if stopped:
            callback()
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)
