"""The reconciler: keeps the served plan equal to the repo."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from boe_reconciler.core.errors import BoeError, Refused, RunError, Temporary
from boe_reconciler.core.facts import (
    Observe,
    Reconciled,
    ReconcileFailed,
    Resumed,
    unobserved,
)
from boe_reconciler.core.holds import OF_REVISIONS, Hold
from boe_reconciler.core.plan import Plan, PlanCache, make_plan, unusable
from boe_reconciler.core.plan.past import (
    Past,
    Released,
    in_its_window,
    past_of,
    refused_plan,
)
from boe_reconciler.core.ports import Blobs, Clock, Ledger, Repo
from boe_reconciler.core.runs import Event
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.core.spec import Served
from boe_reconciler.engine.telling import Teller

log = logging.getLogger(__name__)
#: Seconds a wait for changes lasts before the stop signal is looked at.
LOOK = 0.5
#: Seconds until a revision that could not be activated is tried again.
AGAIN = 15.0
#: Problems of one revision that are logged; `boe status` has all of them.
PROBLEMS_TOLD = 20


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's collector: what a plan makes stays, and looking through all that is
    remembered takes longer than the rest."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


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
    #: Tells people how revisions fare; None: nobody is told.
    teller: Teller | None = None
    #: The Environment that is laid over each revision.
    environment: str | None = None
    _cache: PlanCache = field(init=False, default_factory=PlanCache)
    #: Why the last look failed, as it was told; empty: it did not.
    _failure: str = field(init=False, default="")
    #: A revision was read and not activated: the repo will not tell of it again.
    _owed: bool = field(init=False, default=False)
    #: When to try that again, on the monotonic clock.
    _try_at: float = field(init=False, default=0.0)
    #: Something may wait for a release, or for its time.
    _holding: bool = field(init=False, default=True)
    #: When to look at that again, on the monotonic clock: a failure waits a little.
    _let_at: float = field(init=False, default=0.0)
    #: Ids of the released Holds that the last look knew of.
    _known: frozenset[str] = field(init=False, default=frozenset())

    def resume(self) -> bool:
        """Go on with what is served, whatever the repo holds; False: nothing is."""
        served = self.ledger.served().serving is not None
        if served:
            self.observe(Resumed())
        return served

    def reconcile(self) -> Plan:
        """Read, validate, and make it the served plan, in one transaction."""
        with _uncollected():
            return self._reconcile(self.repo.snapshot)

    def _reconcile(self, read: Callable[[], Snapshot]) -> Plan:
        plan = self._plan(read)
        refusal = unusable(plan)
        if refusal is not None:
            raise refusal
        # Blobs first: a spec in the ledger may only name bytes that are stored.
        for content in plan.blobs.values():
            self.blobs.put(content)
        self.ledger.activate(plan.activation, now=self.clock.now())
        self._owed = False
        self._holding = plan.activation.serving is None
        self._let_at = 0.0
        self.observe(Reconciled(activation=plan.activation))
        if self.teller:
            self.teller.found(plan.activation)
        told = {
            "revision": plan.activation.attempted,
            "serving": plan.activation.serving,
            "environment": plan.activation.environment,
            "problems": len(plan.problems),
        }
        known = {name: value for name, value in told.items() if value is not None}
        log.info("revision_activated", extra=known)
        for problem in plan.problems[:PROBLEMS_TOLD]:
            log.info("problem", extra={"problem": str(problem)})
        return plan

    def watch(self, stop: threading.Event) -> None:
        """Reconcile after each change until asked to stop; a failure never ends it."""
        while not stop.is_set():
            if self.teller:
                self.teller.look()
            try:
                if self._is_let_go():
                    with _uncollected():
                        self._reconcile(self.repo.last)
                elif self.repo.wait(LOOK) or self._is_due():
                    self.reconcile()
                    self._recovered()
            except BoeError as error:
                if not stop.is_set():
                    self.failed(error)
            except Exception:
                self._put_off()
                log.exception("reconcile_crashed")
                stop.wait(LOOK)

    def failed(self, error: BoeError) -> None:
        """Tell that what is served stays as it is; each cause once until it changes."""
        self._put_off()
        if error.message == self._failure:
            return
        self._failure = error.message
        reason = error.reason if isinstance(error, RunError) else "input"
        details = {"reason": reason, "detail": error.message, "help": error.help}
        log.warning("reconcile_failed", extra=details)
        self._note("reconcile_failed", error.message)

    def _put_off(self) -> None:
        self._try_at = self.clock.monotonic() + AGAIN
        self.observe(ReconcileFailed())

    def _is_due(self) -> bool:
        return self._owed and self.clock.monotonic() >= self._try_at

    def _is_let_go(self) -> bool:
        """Whether somebody released what waits, or its time has come."""
        if not self._holding or self.clock.monotonic() < self._let_at:
            return False
        self._let_at = self.clock.monotonic() + AGAIN
        holds, now = self._holds(), self.clock.now()
        self._holding = bool(holds)
        found = any(
            one.until is not None and one.until <= now
            if one.waits
            else one.hold_id not in self._known
            for one in holds
        )
        if not found:
            self._let_at = 0.0
        return found

    def _recovered(self) -> None:
        if self._failure:
            self._failure = ""
            log.info("reconcile_recovered")
            self._note("reconcile_recovered", "The repo can be read again.")

    def _plan(self, read: Callable[[], Snapshot]) -> Plan:
        served, released = self.ledger.served(), self._released()
        try:
            snapshot = read()
            self._owed = True
            if self.teller and snapshot.revision != served.attempted:
                self.teller.begun(snapshot.revision)
            past = self._past(snapshot, served, released)
        except Refused as refusal:
            if served.serving is None:
                raise
            self._owed = True
            if refusal.revision != served.attempted:
                self._alert("revision_refused", refusal.message)
            return refused_plan(served, refusal)
        now = self.clock.now()
        plan = make_plan(
            snapshot,
            served=served,
            now=now,
            strict=self.strict,
            allow_removals=max(self.allow_removals, past.allow_removals),
            cache=self._cache,
            read_blob=self.blobs.read,
            environment=self.environment,
        )
        plan = in_its_window(plan, served, released=released, now=now)
        if plan.activation.waits and plan.revision != served.attempted:
            log.info(
                "revision_waits", extra={"detail": plan.activation.waits[0].message}
            )
        return plan

    def _holds(self) -> list[Hold]:
        return [one for one in self.ledger.holds() if one.kind in OF_REVISIONS]

    def _released(self) -> Released:
        holds = [one for one in self._holds() if not one.waits]
        self._known = frozenset(one.hold_id for one in holds)
        return {(one.kind, one.subject) for one in holds}

    def _past(self, snapshot: Snapshot, served: Served, released: Released) -> Past:
        """What the revision came from; a rewritten history is told, once a revision."""
        past = past_of(snapshot, served, released)
        if past.lost and snapshot.revision != served.attempted:
            told = f"{snapshot.revision} does not descend from {past.lost}."
            self._alert("history_rewritten", told)
        if past.refusal:
            raise past.refusal
        return past

    def _alert(self, action: str, message: str) -> None:
        log.warning(action, extra={"detail": message})
        self._note(action, message)

    def _note(self, action: str, message: str) -> None:
        """A ledger that cannot be written now ends no watch; the log has it all the same."""
        event = Event(at=self.clock.now(), action=action, message=message)
        try:
            self.ledger.note([event])
        except Temporary as error:
            log.warning("ledger_unavailable", extra={"detail": error.message})
