"""The executor: ticks, claims what is due, hands it to workers, keeps leases alive."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from boe_reconciler.core.due import BEHIND
from boe_reconciler.core.errors import Temporary
from boe_reconciler.core.facts import (
    ClockJumped,
    Draining,
    LeasesLost,
    Observe,
    RunStarted,
    Stepped,
    Ticked,
    unobserved,
)
from boe_reconciler.core.ports import Claimed, Clock, Ledger
from boe_reconciler.core.runs import Claim, Event
from boe_reconciler.engine.cancel import CancelToken, Stop
from boe_reconciler.engine.runner import Runner
from boe_reconciler.engine.sweeper import Sweeper

log = logging.getLogger(__name__)
#: Seconds between two renewals of the leases, and between two looks for lost ones.
HEARTBEAT = 20.0
#: Seconds without a tick, at most: an outage is a minute without one.
LONGEST_IDLE = 20.0
#: Seconds after which a cancel by somebody else is looked for.
LOOK_AGAIN = 0.5
#: Seconds between two looks at the ledger while runs are at work.
LOOK = 0.05
#: Seconds between two ticks for which something was written, and nothing is known to be
#: due: our own runs write all the time.
TICK_AGAIN = 0.2
#: Claims in one step, at most: leases and time-outs must get their turn.
CLAIMS = 50
#: The longest wait, in seconds: the wall clock is read again at least as often.
LONGEST_WAIT = 0.5
#: Seconds that `--once` sweeps, at most.
ONCE_SWEEP = 5.0
#: Something is due so soon that a sweep makes way.
SOON = timedelta(seconds=1)
#: Wall and monotonic clock may differ by this much between two steps.
DRIFT = timedelta(seconds=2)


@dataclass(slots=True)
class _Active:
    claim: Claim
    cancel: CancelToken
    future: Future[None]


@dataclass(slots=True)
class _Clocks:
    """The last reading of both clocks."""

    wall: datetime
    monotonic: float


@dataclass(kw_only=True, slots=True)
class Executor:
    """Runs on one thread; the runs on `workers` others."""

    ledger: Ledger
    runner: Runner
    clock: Clock
    worker: str
    workers: int
    #: Only these runs, and no tick: a command that executes its own rows.
    only: Collection[str] | None = None
    observe: Observe = unobserved
    #: Removes what is kept no longer, while nothing is due.
    sweeper: Sweeper | None = None
    _pool: ThreadPoolExecutor = field(init=False)
    _active: dict[str, _Active] = field(init=False, default_factory=dict)
    #: Set whenever a run has ended.
    _freed: threading.Event = field(init=False, default_factory=threading.Event)
    _last_heartbeat: float = field(init=False, default=0.0)
    _next_heartbeat: float = field(init=False, default=0.0)
    _next_due: datetime | None = field(init=False, default=None)
    #: Somebody has written since the last tick: something may be due earlier.
    _written: bool = field(init=False, default=False)
    #: No run is open: there is nothing to claim until a tick, or until somebody writes.
    _rests: bool = field(init=False, default=False)
    _last_tick: float = field(init=False, default=0.0)
    _last: _Clocks = field(init=False)
    #: The clock is wrong before it: nothing is started.
    _earliest: datetime | None = field(init=False, default=None)
    #: Of `only`, those that have not ended as far as is known.
    _open: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="run")
        self._last = _Clocks(self.clock.now(), self.clock.monotonic())
        self._open = list(self.only or ())

    def start(self) -> None:
        """Take over what an earlier process left, having taken `serve.lock`."""
        now = self.clock.now()
        taken = self.ledger.expire(now=now, all_leases=True)
        self.observe(LeasesLost(count=len(taken)))
        for run_id in taken:
            log.warning("run_taken_over", extra={"run_id": run_id})
        mark = self.ledger.high_water()
        if mark is not None and now < mark - BEHIND:
            self._earliest = mark - BEHIND
            self._alert(
                "clock_behind",
                f"The clock shows {now:%Y-%m-%d %H:%M:%S}Z, but occurrences up to "
                f"{mark:%Y-%m-%d %H:%M:%S}Z are done: nothing is started "
                "until it is right.",
            )

    def step(self) -> bool:
        """One pass over everything that may be due; True while there is work in hand."""
        try:
            busy = self._pass()
        except Temporary as error:
            self._put_off(error)
            busy = True
        self.observe(Stepped())
        return busy

    def serve(self, stop: threading.Event, until: datetime | None = None) -> None:
        """Step until asked to stop, or until an instant; a failure never ends it."""
        with self.sweeper.beside(self._busy) if self.sweeper else nullcontext():
            while not stop.is_set() and (until is None or self.clock.now() < until):
                try:
                    self.step()
                except Exception:
                    log.exception("step_crashed")
                    self._next_due = None
                self._wait()

    def finish_all(self, stop: threading.Event) -> None:
        """Step until nothing goes on by itself and nothing is due (`--once`)."""
        while not stop.is_set():
            busy = self.step()
            if not busy and (self._behind(self.clock.now()) or not self._left()):
                break
            self._wait()
        if self.sweeper is not None and not stop.is_set():
            end = self.clock.monotonic() + ONCE_SWEEP
            self.sweeper.sweep_safely(lambda: self.clock.monotonic() < end)

    def drain(self, seconds: float, hurry: threading.Event | None = None) -> None:
        """Let runs end for so long, or until `hurry`; then interrupt them and give
        their claims back."""
        self.observe(Draining())
        end = self.clock.monotonic() + seconds
        while self._active and self.clock.monotonic() < end:
            if hurry is not None and hurry.is_set():
                break
            self._keep_leases()
            if self._active:
                self._freed.wait(LONGEST_WAIT)
        for active in self._active.values():
            active.cancel.stop(Stop.DRAIN)
        self._pool.shutdown(wait=True)
        self._reap()

    # --- The parts of a step --------------------------------------------------

    def _pass(self) -> bool:
        now = self._read_clocks()
        self._reap()
        self._watch(now)
        if not self._behind(now):
            self._advance(now)
        return bool(self._active)

    def _behind(self, now: datetime) -> bool:
        return self._earliest is not None and now < self._earliest

    def _read_clocks(self) -> datetime:
        """Now; a jump of the wall clock against the monotonic one becomes an event."""
        now, monotonic = self.clock.now(), self.clock.monotonic()
        passed = timedelta(seconds=monotonic - self._last.monotonic)
        drift = (now - self._last.wall) - passed
        self._last = _Clocks(now, monotonic)
        if abs(drift) > DRIFT:
            self.observe(ClockJumped(seconds=drift.total_seconds()))
            self._alert(
                "clock_jumped",
                f"The wall clock moved {drift.total_seconds():+.1f} s against the "
                "monotonic clock.",
            )
        return now

    def _advance(self, now: datetime) -> None:
        """Make the rows that are due, batch by batch, and start what may start."""
        while self.only is None and self._may_tick(now):
            tick = self.ledger.materialise(now=now)
            self._last_tick, self._next_due = self._last.monotonic, tick.next_due
            self._written = self._rests = False
            self.observe(Ticked(tick=tick))
            for late in tick.late:
                log.warning(
                    "run_late", extra={"run_id": late.run_id, "detail": late.message}
                )
            if not tick.more:
                break
            self._next_due = now
            self._claim(now)
        if not self._rests:
            self._claim(now)

    def _may_tick(self, now: datetime) -> bool:
        """When something is due, and often enough to show that somebody serves."""
        idle = self._last.monotonic - self._last_tick
        due = self._next_due is None or now >= self._next_due
        return due or idle >= (TICK_AGAIN if self._written else LONGEST_IDLE)

    def _claim(self, now: datetime) -> None:
        """Fill the workers; once more where runs end as soon as they start."""
        for _ in range(CLAIMS):
            self._reap()
            free = self.workers - len(self._active)
            if free <= 0:
                return
            claims = self.ledger.claim(
                self.worker, now=now, limit=free, only=self.only, begin=True
            )
            for claimed in claims:
                self._start(claimed)
            if len(claims) < free:
                return

    def _start(self, claimed: Claimed) -> None:
        cancel = CancelToken()
        self.observe(RunStarted(claimed=claimed))
        run = claimed.record.run
        log.info("run_started", extra={"run_id": run.run_id, "schedule": run.schedule})
        future = self._pool.submit(self.runner.run, claimed, cancel)
        future.add_done_callback(self._free)
        self._active[claimed.claim.run_id] = _Active(claimed.claim, cancel, future)

    def _free(self, _: Future[None]) -> None:
        self._freed.set()

    def _reap(self) -> None:
        self._freed.clear()
        for run_id, active in list(self._active.items()):
            if active.future.done():
                del self._active[run_id]
                active.future.result()

    def _watch(self, now: datetime) -> None:
        """Time-outs at once; leases, lost runs and cancels with each heartbeat."""
        monotonic = self.clock.monotonic()
        for active in self._active.values():
            active.cancel.expire(monotonic)
        if monotonic < self._next_heartbeat:
            return
        self._last_heartbeat = monotonic
        self._next_heartbeat = monotonic + HEARTBEAT
        # Our own leases first: a machine that slept still holds what nobody took.
        self._heartbeat(now)
        self.observe(LeasesLost(count=len(self.ledger.expire(now=now))))

    def _keep_leases(self) -> None:
        self._reap()
        self.observe(Stepped())
        try:
            self._watch(self.clock.now())
        except Temporary as error:
            self._put_off(error)

    def _heartbeat(self, now: datetime) -> None:
        claims = [active.claim for active in self._active.values()]
        if not claims:
            return
        signals = self.ledger.heartbeat(claims, now=now)
        for run_id, active in self._active.items():
            if run_id not in signals:
                active.cancel.stop(Stop.LEASE_LOST)
            elif signals[run_id]:
                active.cancel.stop(Stop.CANCELLED)

    # --- Small words ----------------------------------------------------------

    def _busy(self) -> bool:
        """Whether all workers are at work, or something is due now or soon."""
        due = self._next_due
        soon = due is not None and due - self.clock.now() < SOON
        return soon or len(self._active) >= self.workers

    def _wait(self) -> None:
        """Until something is due, a run has ended, or somebody has written."""
        seconds = self._wait_seconds()
        if self._active:
            # The ledger is only asked now and then; a free worker is not to wait for that.
            self._freed.wait(min(seconds, LOOK))
            seconds = 0.0
        if self.ledger.wait_for_change(seconds):
            self._written, self._rests = True, False
            soon = self._last_heartbeat + LOOK_AGAIN
            self._next_heartbeat = min(self._next_heartbeat, soon)
        elif not self._rests:
            self._rests = not self._active and not self._left()

    def _left(self) -> bool:
        """Whether a row is open, as far as this executor is concerned."""
        try:
            if self.only is None:
                return self.ledger.open_runs() > 0
            while self._open and self._ended(self._open[-1]):
                self._open.pop()
        except Temporary as error:
            self._put_off(error)
            return True
        return bool(self._open)

    def _ended(self, run_id: str) -> bool:
        """Or waits for a person, which may take days."""
        record = self.ledger.run(run_id)
        return record is None or record.run.status.final or record.run.held

    def _put_off(self, error: Temporary) -> None:
        """A locked or full ledger: all of it is still there a little later."""
        log.warning("ledger_unavailable", extra={"detail": error.message})
        self._next_due = None

    def _wait_seconds(self) -> float:
        if self._next_due is None:
            return LONGEST_WAIT
        left = (self._next_due - self.clock.now()).total_seconds()
        return min(max(left, 0.0), TICK_AGAIN if self._written else LONGEST_WAIT)

    def _alert(self, action: str, message: str) -> None:
        log.error(action, extra={"detail": message})
        event = Event(at=self.clock.now(), action=action, message=message)
        self.ledger.note([event])
