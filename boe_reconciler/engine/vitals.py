"""Whether the process lives and does its work, judged from beside its loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from boe_reconciler.core.facts import (
    Draining,
    Fact,
    Reconciled,
    Resumed,
    Stepped,
    Ticked,
)
from boe_reconciler.core.health import Health
from boe_reconciler.core.ports import Clock
from boe_reconciler.core.spec import Activation

#: Seconds without a step after which the loop hangs: a write may wait 30 for a lock.
STUCK = 120.0
#: Seconds without a completed tick after which nothing can be trusted to be on time.
LATE = 60.0


@dataclass(kw_only=True, slots=True)
class Vitals:
    """Listens to the engine; asked from other threads, whatever the loop does."""

    clock: Clock
    #: Whether there is a plan, be it that of an earlier revision.
    served: bool = False
    draining: bool = False
    #: Steps so far: a watchdog sees that there are new ones.
    steps: int = 0
    _stepped: float | None = field(init=False, default=None)
    _ticked: float | None = field(init=False, default=None)
    _behind: datetime | None = field(init=False, default=None)

    def observe(self, fact: Fact) -> None:
        if isinstance(fact, Stepped):
            self.steps += 1
            self._stepped = self.clock.monotonic()
        elif isinstance(fact, Ticked):
            self._behind = fact.tick.clock_behind
            self._ticked = self.clock.monotonic()
        elif isinstance(fact, Reconciled):
            self.served = self.served or _serves(fact.activation)
        elif isinstance(fact, Resumed):
            self.served = True
        elif isinstance(fact, Draining):
            self.draining = True

    def alive(self) -> Health:
        """Not well: only a new process helps. A start may take its time."""
        age = self._age(self._stepped)
        if age is not None and age > STUCK:
            return self._health("loop_stuck", f"The loop hangs for {age:.0f} s.")
        return self._health()

    def ready(self) -> Health:
        """Not well: runs that are due now may not start in time."""
        age = self._age(self._ticked)
        if self.draining:
            return self._health("draining", "It is ending; no run is started any more.")
        if not self.served:
            return self._health("no_plan", "Nothing is served yet.")
        if age is None:
            return self._health("starting", "It has not looked at what is due yet.")
        if age > LATE:
            text = f"What is due was last looked at {age:.0f} s ago."
            return self._health("tick_late", text)
        if self._behind is not None:
            text = f"The clock lies behind {self._behind:%Y-%m-%d %H:%M:%S}Z."
            return self._health("clock_behind", text)
        return self._health()

    def _health(self, reason: str = "", message: str = "") -> Health:
        return Health(
            reason=reason,
            message=message,
            step_age=self._age(self._stepped),
            tick_age=self._age(self._ticked),
        )

    def _age(self, since: float | None) -> float | None:
        return None if since is None else self.clock.monotonic() - since


def _serves(activation: Activation) -> bool:
    """At least something of it, or of an earlier revision."""
    return activation.serving is not None or bool(activation.objects)
