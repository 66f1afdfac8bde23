"""The reconciler: keeps the served plan equal to the repo."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

from boe_reconciler.core.errors import BoeError
from boe_reconciler.core.facts import (
    Observe,
    Reconciled,
    ReconcileFailed,
    unobserved,
)
from boe_reconciler.core.plan import Plan, PlanCache, make_plan
from boe_reconciler.core.ports import Blobs, Clock, Ledger, Repo
from boe_reconciler.core.snapshot import Snapshot

log = logging.getLogger(__name__)
#: Seconds a wait for changes lasts before the stop signal is looked at.
LOOK = 0.5
#: Problems of one revision that are logged; `boe status` has all of them.
PROBLEMS_TOLD = 20


@dataclass(kw_only=True, slots=True)
class Reconciler:
    repo: Repo
    ledger: Ledger
    blobs: Blobs
    clock: Clock
    #: A revision with any Problem is not served at all.
    strict: bool = False
    #: As many removals as somebody allowed for this start.
    allow_removals: int = 0
    observe: Observe = unobserved
    _cache: PlanCache = field(init=False, default_factory=PlanCache)

    def reconcile(self) -> Plan:
        """Read, validate, and make it the served plan, in one transaction."""
        plan = self._plan(self.repo.snapshot())
        # Blobs first: a spec in the ledger may only name bytes that are stored.
        for content in plan.blobs.values():
            self.blobs.put(content)
        self.ledger.activate(plan.activation, now=self.clock.now())
        self.observe(Reconciled(activation=plan.activation))
        log.info(
            "revision_activated",
            extra={
                "revision": plan.activation.attempted,
                "serving": plan.activation.serving,
                "problems": len(plan.problems),
            },
        )
        for problem in plan.problems[:PROBLEMS_TOLD]:
            log.info("problem", extra={"problem": str(problem)})
        return plan

    def watch(self, stop: threading.Event) -> None:
        """Reconcile after each change until asked to stop; a failure never ends it."""
        while not stop.is_set():
            if not self.repo.wait(LOOK):
                continue
            try:
                self.reconcile()
            except Exception as error:
                self._tell(error)

    def _tell(self, error: Exception) -> None:
        self.observe(ReconcileFailed())
        if isinstance(error, BoeError):
            log.warning("reconcile_failed", extra={"detail": error.message})
        else:
            log.error("reconcile_crashed", exc_info=error)

    def _plan(self, snapshot: Snapshot) -> Plan:
        return make_plan(
            snapshot,
            served=self.ledger.served(),
            now=self.clock.now(),
            strict=self.strict,
            allow_removals=self.allow_removals,
            cache=self._cache,
            read_blob=self.blobs.read,
        )
