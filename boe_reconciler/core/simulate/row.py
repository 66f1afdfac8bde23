"""A run row on its way through a simulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from boe_reconciler.core.overlap import Candidate
from boe_reconciler.core.runs import NewRun, RunStatus, Trigger
from boe_reconciler.core.simulate.model import LAST, OUTAGE, PAUSED, WORKERS, Simulated
from boe_reconciler.core.spec import PlannedSchedule

#: [since, until) of a pause; None: it lasts.
Held = tuple[datetime, datetime | None]


class Row:
    """A run row on its way."""

    __slots__ = (
        "arrives",
        "candidate",
        "expires",
        "finished_at",
        "held",
        "new",
        "place",
        "planned",
        "reason",
        "started_at",
        "status",
        "waited_for",
    )

    def __init__(
        self,
        new: NewRun,
        planned: PlannedSchedule,
        uid: str,
        made: datetime,
        held: Sequence[Held],
    ) -> None:
        self.new = new
        self.planned = planned
        self.held = held
        #: When it may start, once it is there.
        self.arrives = (
            max(new.not_before, made)
            if new.trigger is Trigger.CATCHUP
            else new.not_before
        )
        self.expires = new.expires or LAST
        self.place = (new.not_before, new.occurrence, new.run_id)
        self.status = new.status
        self.reason = new.reason
        self.started_at: datetime | None = None
        self.finished_at: datetime | None = None
        self.waited_for = ""
        rules = planned.spec.execution
        self.candidate = Candidate(
            run_id=new.run_id,
            schedule_uid=uid,
            not_before=new.not_before,
            occurrence=new.occurrence,
            overlap=rules.overlap,
            max_concurrent=rules.max_concurrent_runs,
            skippable=True,
            connection=planned.spec.connection_name,
        )

    def paused(self, now: datetime) -> bool:
        return any(
            since <= now and (until is None or now < until)
            for since, until in self.held
        )

    def miss(self, noticed: datetime, held: str) -> None:
        """Not started in time; `held`: what its Connection had against it then."""
        by_pause = PAUSED if self.paused(noticed) else ""
        self.status = RunStatus.MISSED
        self.reason = by_pause or held or self.new.expires_reason

    def start(self, now: datetime, duration: timedelta) -> None:
        if now > self.arrives and not self.waited_for:
            self.waited_for = WORKERS
        self.status = RunStatus.RUNNING
        self.started_at = self.started_at or now
        self.finished_at = now + duration

    def end(self, status: RunStatus, reason: str, now: datetime | None) -> None:
        self.status, self.reason, self.finished_at = status, reason, now

    def interrupt(self) -> None:
        """Its worker is gone: it goes on later, and is not skipped."""
        self.status = RunStatus.PENDING
        self.waited_for = OUTAGE
        self.candidate = replace(self.candidate, skippable=False)

    def outcome(self) -> Simulated:
        new = self.new
        return Simulated(
            schedule=new.schedule,
            occurrence=new.occurrence,
            trigger=new.trigger,
            status=self.status,
            reason=self.reason,
            started_at=self.started_at,
            finished_at=self.finished_at,
            waited_for=self.waited_for,
            late=self._late(),
        )

    def _late(self) -> bool:
        grace = self.planned.spec.execution.grace
        if grace is None or self.status is RunStatus.CANCELLED:
            return False
        if self.status is not RunStatus.SUCCEEDED or self.finished_at is None:
            return True
        return self.finished_at > self.new.occurrence + grace
