"""Artifacts -> destinations: each Delivery row through intend, deliver, settle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from boe_reconciler.core import retry
from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.facts import Delivered
from boe_reconciler.core.outcome import EMPTY, LEFT_OUT, left_out
from boe_reconciler.core.ports import Destination, Shipment
from boe_reconciler.core.resources.distribution import DestinationSpec
from boe_reconciler.core.resources.schedule import DeliveryRetry
from boe_reconciler.core.runs import (
    Artifact,
    Delivery,
    DeliveryKey,
    DeliveryStatus,
    NewDelivery,
    Outcome,
)
from boe_reconciler.core.spec import PlannedDestination
from boe_reconciler.engine.job import Job

#: A name that others keep taking is left to the ordinary retry after as many tries.
_AT_ONCE = 20


def owed(job: Job, artifacts: Sequence[Artifact]) -> list[NewDelivery]:
    """The Delivery rows that these artifacts owe."""
    if job.run.options.dry_run:
        return []
    return [
        NewDelivery(
            key=DeliveryKey(
                run_id=job.run.run_id, part=artifact.part, destination=planned.key
            ),
            type=planned.spec.type,
        )
        for planned in wanted(job)
        for artifact in artifacts
    ]


def wanted(job: Job) -> list[PlannedDestination]:
    """Where it goes. Permanent `no_destination` where that would be nowhere."""
    only = job.run.options.only
    found = [
        planned
        for planned in job.spec.destinations
        if only is None or only in (planned.distribution, planned.key)
    ]
    if not found:
        text = f'{job.spec.schedule} does not deliver to "{only}".'
        raise Permanent("no_destination", text, "`boe plan --expand` shows where to.")
    return found


def deliver(
    job: Job, artifacts: Sequence[Artifact], deliveries: Sequence[Delivery]
) -> datetime | None:
    """Try what is open and due; the instant of the next try, None when all are final."""
    by_part = {artifact.part: artifact for artifact in artifacts}
    waits = [
        _one(job, by_part[delivery.key.part], delivery)
        for delivery in deliveries
        if not delivery.status.final
    ]
    return min((wait for wait in waits if wait is not None), default=None)


def _one(job: Job, artifact: Artifact, delivery: Delivery) -> datetime | None:
    due = delivery.next_attempt_at
    if due is not None and due > job.tools.clock.now():
        return due
    planned = next(
        (one for one in job.spec.destinations if one.key == delivery.key.destination),
        None,
    )
    omission = _omission(job, artifact, planned)
    if omission is not None:
        return _settle(job, delivery, omission)
    assert planned is not None  # noqa: S101 else it was omitted
    job.cancel.check()
    try:
        outcome = _act(job, artifact, delivery, planned)
    except Permanent as error:
        # Such as a stored file that is gone: the others may still arrive.
        outcome = Outcome(
            status=_failed(delivery), reason=error.reason, message=error.told
        )
    return _settle(job, delivery, outcome)


def _omission(
    job: Job, artifact: Artifact, planned: PlannedDestination | None
) -> Outcome | None:
    """Why it is not delivered at all; None: it is."""
    reason, message = "", ""
    if planned is None:
        reason = "removed"
    elif planned.left_out_by is not None:
        reason, message = LEFT_OUT, left_out(planned.left_out_by)
    elif artifact.rows == 0 and _skips_empty(job, planned):
        reason = EMPTY
    else:
        return None
    return Outcome(status=DeliveryStatus.SUPPRESSED, reason=reason, message=message)


def _failed(delivery: Delivery) -> DeliveryStatus:
    """Of what was on its way nobody can know more."""
    sending = delivery.status is DeliveryStatus.SENDING
    return DeliveryStatus.UNCONFIRMED if sending else DeliveryStatus.FAILED


def _act(
    job: Job, artifact: Artifact, delivery: Delivery, planned: PlannedDestination
) -> Outcome:
    """What became of an interrupted attempt; else another one."""
    destination = job.tools.backends.destination(planned.spec.type, job.spec)
    shipment = _shipment(job, artifact, delivery, planned)
    if delivery.status is DeliveryStatus.SENDING:
        known = destination.probe(shipment)
        if known is not None:
            return known
    return _send(job, destination, shipment)


def _skips_empty(job: Job, planned: PlannedDestination) -> bool:
    return (planned.spec.if_empty or job.spec.if_empty) == "skip"


def _send(job: Job, destination: Destination, shipment: Shipment) -> Outcome:
    """The row, then the act; at once again while the chosen name is taken by others."""
    for _ in range(_AT_ONCE):
        intent = destination.intend(shipment)
        now = job.tools.clock.now()
        job.tools.ledger.intend(job.claimed.claim, shipment.key, intent, now=now)
        (outcome,) = destination.deliver([replace(shipment, intent=intent)], job.cancel)
        if outcome.reason != "name_taken":
            break
    return outcome


def _settle(job: Job, delivery: Delivery, outcome: Outcome) -> datetime | None:
    now = job.tools.clock.now()
    until = None
    if outcome.status is DeliveryStatus.DEFERRED:
        outcome, until = _deferred(job, delivery, outcome, now)
    outcome = replace(outcome, message=job.tools.backends.redact(outcome.message))
    job.tools.ledger.settle(
        job.claimed.claim, delivery.key, outcome, next_attempt_at=until, now=now
    )
    job.tools.observe(Delivered(type=delivery.type, outcome=outcome))
    return until


def _deferred(
    job: Job, delivery: Delivery, outcome: Outcome, now: datetime
) -> tuple[Outcome, datetime | None]:
    """When to try again, or that the time for it is over."""
    again = Again(
        tries=delivery.attempts + 1,
        since=delivery.first_attempt_at or now,
        least=timedelta(seconds=outcome.retry_after or 0),
    )
    until = again.at(job.spec.execution.delivery_retry, now, job.tools.random())
    if until is not None:
        return outcome, until
    return replace(
        outcome,
        status=DeliveryStatus.FAILED,
        reason="gave_up",
        message=f"Given up: {outcome.message}",
    ), None


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """What decides when a delivery is tried again."""

    tries: int
    since: datetime
    least: timedelta

    @classmethod
    def of_open(
        cls, deliveries: Sequence[Delivery], least: timedelta, now: datetime
    ) -> Again:
        """For all that are open, when something else than a destination held them up."""
        tried = [
            (one.first_attempt_at, one.attempts)
            for one in deliveries
            if not one.status.final and one.first_attempt_at
        ]
        first = [since for since, _ in tried]
        tries = [attempts for _, attempts in tried]
        return cls(
            tries=max(tries, default=1), since=min(first, default=now), least=least
        )

    def at(
        self, policy: DeliveryRetry, now: datetime, random: float
    ) -> datetime | None:
        """The instant of the next try; None when the time for it is over."""
        delay = retry.delay(
            self.tries, initial=policy.initial, most=policy.max, random=random
        )
        until = now + max(delay, self.least)
        return until if until <= self.since + policy.give_up_after else None


def _shipment(
    job: Job, artifact: Artifact, delivery: Delivery, planned: PlannedDestination
) -> Shipment:
    return Shipment(
        key=delivery.key,
        spec=_spec(job, artifact, planned),
        path=job.tools.blobs.path(artifact.sha256),
        filename=job.destination_name(artifact, planned.spec.filename_pattern),
        media_type=artifact.media_type,
        bytes=artifact.bytes,
        sha256=artifact.sha256,
        rows=artifact.rows,
        occurrence=job.run.occurrence,
        timezone=job.zone,
        intent=delivery.intent,
    )


def _spec(job: Job, artifact: Artifact, planned: PlannedDestination) -> DestinationSpec:
    """The destination's spec, its done_marker filled but for {file}."""
    marker = getattr(planned.spec, "done_marker", None)
    if marker is None:
        return planned.spec
    pattern = job.marker_pattern(marker, job.extension(artifact))
    return planned.spec.model_copy(update={"done_marker": pattern})
