"""Artifacts -> destinations: each Delivery row through begin, deliver, settle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

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
    RunRecord,
)
from boe_reconciler.core.spec import PlannedDestination
from boe_reconciler.engine.job import Job


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
    """Try what is open and due; the instant of the next try, None when all are final.

    What goes to one destination goes over one connection, one after the other.
    """
    by_part = {artifact.part: artifact for artifact in artifacts}
    open_ = [one for one in deliveries if not one.status.final]
    now = job.tools.clock.now()
    later = [one for one in open_ if one.next_attempt_at and one.next_attempt_at > now]
    waits = [one.next_attempt_at for one in later]
    for key in dict.fromkeys(one.key.destination for one in open_):
        due = [one for one in open_ if one.key.destination == key and one not in later]
        waits += _Counter(job, key, by_part).serve(due)
    return min((wait for wait in waits if wait is not None), default=None)


def leaves(job: Job, record: RunRecord) -> bool:
    """Whether something of it is still to be sent."""
    by_part = {artifact.part: artifact for artifact in record.artifacts}
    planned = {one.key: one for one in job.spec.destinations}
    return any(
        not one.status.final
        and not _omission(job, by_part[one.key.part], planned.get(one.key.destination))
        for one in record.deliveries
    )


class _Counter:
    """Where the deliveries to one destination are handed over."""

    def __init__(self, job: Job, key: str, by_part: Mapping[str, Artifact]) -> None:
        self._job = job
        self._by_part = by_part
        self._planned = next(
            (one for one in job.spec.destinations if one.key == key), None
        )
        self._waits: list[datetime | None] = []
        #: The delivery that the destination has taken.
        self._taken: Delivery | None = None

    def serve(self, due: Sequence[Delivery]) -> list[datetime | None]:
        """When each that is not final then is tried again."""
        left = [one for one in due if not self._omitted(one)]
        if self._planned is not None and left:
            tools, kind = self._job.tools, self._planned.spec.type
            destination = tools.backends.destination(kind, self._job.spec, tools.blobs)
            shipments = self._shipments(destination, self._planned, left)
            for outcome in destination.deliver(shipments, self._job.cancel):
                assert self._taken is not None  # noqa: S101 one outcome for each
                self._settle(self._taken, outcome)
        return self._waits

    def _omitted(self, delivery: Delivery) -> bool:
        artifact = self._by_part[delivery.key.part]
        omission = _omission(self._job, artifact, self._planned)
        if omission is not None:
            self._settle(delivery, omission)
        return omission is not None

    def _shipments(
        self,
        destination: Destination,
        planned: PlannedDestination,
        deliveries: Sequence[Delivery],
    ) -> Iterator[Shipment]:
        """One after the other, as the destination takes them."""
        for delivery in deliveries:
            self._job.cancel.check()
            try:
                shipment = _shipment(
                    self._job, self._by_part[delivery.key.part], delivery, planned
                )
                known = self._known(destination, delivery, shipment)
            except Permanent as error:
                # Such as a stored file that is gone: the others may still arrive.
                known = Outcome(
                    status=_failed(delivery), reason=error.reason, message=error.told
                )
            if known is not None:
                self._settle(delivery, known)
                continue
            self._taken = delivery
            yield shipment

    def _known(
        self, destination: Destination, delivery: Delivery, shipment: Shipment
    ) -> Outcome | None:
        """What became of an interrupted attempt."""
        if delivery.status is not DeliveryStatus.SENDING:
            return None
        return destination.probe(shipment)

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        self._waits.append(_settle(self._job, delivery, outcome))


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


def _skips_empty(job: Job, planned: PlannedDestination) -> bool:
    return (planned.spec.if_empty or job.spec.if_empty) == "skip"


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
        begin=partial(_begin, job, delivery.key),
        context=job.prepared.context,
        provenance=_provenance(job, artifact),
    )


def _provenance(job: Job, artifact: Artifact) -> dict[str, str]:
    run = job.run
    found = {
        "run": run.run_id,
        "schedule": run.schedule,
        "occurrence": f"{run.occurrence.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "revision": run.revision,
        "spec": run.spec_digest,
        "sha256": artifact.sha256,
        "manifest": job.origin.sha256(artifact),
        "rows": str(artifact.rows),
    }
    return {
        name: text.encode("ascii", "backslashreplace").decode()
        for name, text in found.items()
    }


def _begin(job: Job, key: DeliveryKey, intent: Mapping[str, str]) -> None:
    """The row, then the act."""
    now = job.tools.clock.now()
    job.tools.ledger.intend(job.claimed.claim, key, intent, now=now)


def _spec(job: Job, artifact: Artifact, planned: PlannedDestination) -> DestinationSpec:
    """The destination's spec, its done_marker filled but for {file}."""
    marker = getattr(planned.spec, "done_marker", None)
    if marker is None:
        return planned.spec
    pattern = job.marker_pattern(marker, artifact)
    return planned.spec.model_copy(update={"done_marker": pattern})
