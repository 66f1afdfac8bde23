"""The sweeper: removes what is kept no longer (docs/operating/retention.md)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from boe_reconciler.core.errors import Temporary
from boe_reconciler.core.facts import Observe, Swept, unobserved
from boe_reconciler.core.ports import Blobs, Clock, Ledger
from boe_reconciler.core.retention import UNNAMED, files_kept, retention_of
from boe_reconciler.core.runs import Event
from boe_reconciler.engine.lock import SweepLock

log = logging.getLogger(__name__)
#: Seconds between two sweeps, and from the start to the first one.
EVERY, FIRST = 3600.0, 5.0
#: Seconds between two steps of a sweep: whoever waits for the ledger gets it.
BREATH = 0.05
#: Steps that wait for due work, at most: a busy house is swept too.
PATIENCE = 100
#: Files looked at in one step.
FILES = 200
#: A wall clock that moved by more than this against the monotonic one is not trusted
#: with what is old, for one round.
JUMP = timedelta(hours=1)
#: Whether to go on, after a wait: a sweep has time.
Turn = Callable[[], bool]


@dataclass(slots=True)
class _Found:
    runs: int = 0
    specs: int = 0
    files: int = 0
    bytes: int = 0

    def __str__(self) -> str:
        return (
            f"Removed what is kept no longer: {self.runs:,} runs, {self.specs:,} specs, "
            f"{self.files:,} stored files of {self.bytes:,} bytes."
        )


@dataclass(kw_only=True, slots=True)
class Sweeper:
    ledger: Ledger
    blobs: Blobs
    clock: Clock
    #: Held while files go: a backup that copies them takes it.
    lock: SweepLock
    observe: Observe = unobserved
    #: Wall clock minus monotonic clock at the last sweep.
    _offset: datetime | None = field(init=False, default=None)

    def sweep(self, turn: Turn) -> bool:
        """Everything that is too old now, in small steps; False when it was put off."""
        now = self.clock.now()
        if self._jumped(now) or not self.lock.try_acquire():
            return False
        found = _Found()
        try:
            self._sweep_runs(found, now, turn)
            self._sweep_files(found, now, turn)
        finally:
            self.lock.release()
            self._tell(found, now)
        return True

    @contextmanager
    def beside(self, busy: Callable[[], bool]) -> Iterator[None]:
        """Sweep soon and then hourly, on a thread of its own, while the context lasts.

        Between two steps it waits for as long as `busy` says, within reason.
        """
        end = threading.Event()
        thread = threading.Thread(
            target=self._keep_on, args=(end, busy), name="sweeper"
        )
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def sweep_safely(self, turn: Turn) -> None:
        """A failure is told, and harms nobody else; the next sweep does the rest."""
        try:
            self.sweep(turn)
        except Temporary as error:
            log.warning("sweep_put_off", extra={"detail": error.message})
        except Exception:
            log.exception("sweep_crashed")

    # --- The steps ------------------------------------------------------------

    def _keep_on(self, end: threading.Event, busy: Callable[[], bool]) -> None:
        def turn() -> bool:
            for _ in range(PATIENCE):
                if end.wait(BREATH) or not busy():
                    break
            return not end.is_set()

        wait = FIRST
        while not end.wait(wait):
            self.sweep_safely(turn)
            wait = EVERY

    def _jumped(self, now: datetime) -> bool:
        offset = now - timedelta(seconds=self.clock.monotonic())
        before, self._offset = self._offset or offset, offset
        return abs(offset - before) > JUMP

    def _sweep_runs(self, found: _Found, now: datetime, turn: Turn) -> None:
        keep = retention_of(self.ledger.served()).runs
        more = True
        while more and turn():
            swept = self.ledger.sweep(keep, now=now)
            found.runs += swept.runs
            found.specs += swept.specs
            more = swept.more

    def _sweep_files(self, found: _Found, now: datetime, turn: Turn) -> None:
        keep = files_kept(retention_of(self.ledger.served()))
        stored = iter(self.blobs)
        while (some := list(islice(stored, FILES))) and turn():
            used = self.ledger.blobs_in_use(some, keep, now=now)
            for sha256 in some:
                if sha256 not in used:
                    freed = self.blobs.remove_older(sha256, now - UNNAMED)
                    found.files += freed > 0
                    found.bytes += freed

    def _tell(self, found: _Found, now: datetime) -> None:
        if found == _Found():
            return
        self.observe(Swept(runs=found.runs, files=found.files, bytes=found.bytes))
        log.info("swept", extra={"detail": str(found)})
        self.ledger.note([Event(at=now, action="swept", message=str(found))])
