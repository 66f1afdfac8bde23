"""The Delivery rows that a run's files owe, and who of them is still meant now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from typing import Any

from boe_reconciler.core import burst, gone
from boe_reconciler.core.errors import InputError, Permanent
from boe_reconciler.core.language.addresses import folded
from boe_reconciler.core.outcome import EMPTY, GONE, LEFT_OUT, LISTED, REMOVED, left_out
from boe_reconciler.core.recipients import (
    NOBODY,
    People,
    Recipient,
    recipients,
    refusal,
    same_place,
    too_many,
)
from boe_reconciler.core.runs import (
    ASKED,
    Artifact,
    Delivery,
    DeliveryKey,
    DeliveryStatus,
    NewDelivery,
    Outcome,
    files_by_part,
)
from boe_reconciler.core.spec import PlannedDestination, RunSpec
from boe_reconciler.engine.job import Job

MAIL = "email"
WEBHOOK = "webhook"
_REFUSED = {
    "bad_address": DeliveryStatus.FAILED,
    "not_allowed": DeliveryStatus.SUPPRESSED,
}


def wanted(job: Job) -> list[PlannedDestination]:
    """Where it goes. Permanent `no_destination` where that would be nowhere."""
    options = job.run.options
    found = [
        planned
        for planned in job.spec.destinations
        if options.only is None or options.only in (planned.distribution, planned.key)
    ]
    if not found:
        text = f'{job.spec.schedule} does not deliver to "{options.only}".'
        raise Permanent("no_destination", text, "`boe plan --expand` shows where to.")
    mails = [planned for planned in found if planned.spec.type == MAIL]
    if options.to is not None and not mails:
        text = f"{job.spec.schedule} has no mail that could go to {options.to}."
        raise Permanent("no_destination", text, "Leave --to out.")
    return mails if options.to is not None else found


def owed(
    job: Job, artifacts: Sequence[Artifact], *, unchanged: bool = False
) -> list[NewDelivery]:
    """The rows of these files; `unchanged`: there is only the news that they are so.

    Permanent where it cannot be said who gets them, or they are too many.
    """
    if job.run.options.dry_run:
        return []
    found = [
        new
        for planned in wanted(job)
        for new in _rows(job, planned, artifacts, unchanged=unchanged)
    ]
    wrong = too_many((one.key.recipient for one in found), job.spec.max_recipients)
    if wrong:
        todo = "Take some out, or raise it."
        raise Permanent("too_many_recipients", wrong, todo)
    return found


def _rows(
    job: Job,
    planned: PlannedDestination,
    artifacts: Sequence[Artifact],
    *,
    unchanged: bool,
) -> Iterator[NewDelivery]:
    mail = planned.spec.type == MAIL
    parts = [one.key if mail else one.part for one in artifacts]
    by_part = files_by_part(artifacts)
    for part in dict.fromkeys(parts):
        files = by_part[part]
        for one in _meant(job, planned, files[0]):
            yield NewDelivery(
                key=DeliveryKey(
                    run_id=job.run.run_id,
                    part=part,
                    destination=planned.key,
                    recipient=one.address,
                ),
                type=planned.spec.type,
                role=one.role,
                notice="unchanged" if unchanged else _news(job, planned, files[0]),
            )


def _meant(job: Job, planned: PlannedDestination, file: Artifact) -> list[Recipient]:
    """Whoever is meant; a mail to nobody has a row too, which says so."""
    to = job.run.options.to
    if planned.spec.type == MAIL and to is not None:
        return [Recipient(address=to, role=ASKED)]
    if planned.left_out_by is not None:
        return [Recipient()]
    return recipients(planned, people(job, job.spec, file)) or [Recipient()]


def _news(job: Job, planned: PlannedDestination, file: Artifact) -> str:
    return "empty" if file.rows == 0 and if_empty(job, planned) == "notice" else ""


def if_empty(job: Job, planned: PlannedDestination) -> str:
    wish = job.spec.burst
    of_parts = wish.if_empty if wish else None
    return planned.spec.if_empty or of_parts or job.spec.if_empty


def context_of(job: Job, file: Artifact) -> Mapping[str, Any]:
    """What templates see, of the key of a burst too."""
    part = {"part": dict(file.values)} if file.values else {}
    return {**job.prepared.context, **part}


def people(job: Job, spec: RunSpec, file: Artifact) -> People:
    return People(groups=spec.groups, context=context_of(job, file), day=today(job))


def today(job: Job) -> date:
    """In the schedule's zone: who left yesterday gets nothing, however late it is."""
    return job.tools.clock.now().astimezone(job.zone).date()


# --- Who is meant now ---------------------------------------------------------------


def omission(
    job: Job, planned: PlannedDestination | None, delivery: Delivery, file: Artifact
) -> Outcome | None:
    """Why it is not delivered at all, whatever is served now; None: it is."""
    if planned is None:
        return _suppressed(REMOVED, "The run's spec has no such destination.")
    if planned.left_out_by is not None:
        return _suppressed(LEFT_OUT, left_out(planned.left_out_by))
    if delivery.notice and planned.spec.type != MAIL:
        return _suppressed(delivery.notice, "")
    if file.rows == 0 and if_empty(job, planned) == "skip":
        return _suppressed(EMPTY, "")
    if planned.spec.type == MAIL and delivery.key.recipient == NOBODY:
        text = "The mail names no recipient."
        return Outcome(
            status=DeliveryStatus.FAILED, reason="no_recipients", message=text
        )
    return None


class Meant:
    """Holds recipients against the plan that is served at this moment."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._known: dict[tuple[str, str, date], set[tuple[str, str]]] = {}
        #: The spec that is served, for which they are known.
        self._spec: RunSpec | None = None
        #: Of files with recipients, by their sha256: key -> what templates see.
        self._parts: dict[str, Mapping[str, Mapping[str, str]]] = {}

    def refusal(
        self, planned: PlannedDestination, delivery: Delivery, file: Artifact
    ) -> Outcome | None:
        """Why it is not sent now; None: it is. Permanent where nobody can say."""
        spec = self._job.tools.ledger.served_spec(self._job.run)
        if delivery.role != ASKED and not self._still(spec, planned, delivery, file):
            revision = self._job.tools.ledger.served().serving
            return _suppressed(REMOVED, f"Removed in {revision}.")
        if planned.spec.type == WEBHOOK:
            return self._gone(planned)
        if planned.spec.type != MAIL:
            return None
        address = delivery.key.recipient
        why = refusal(address, (spec or self._job.spec).email_domains)
        if why is not None:
            return Outcome(status=_REFUSED[why[0]], reason=why[0], message=why[1])
        listed = self._job.tools.listed(address)
        return None if listed is None else _suppressed(LISTED, listed)

    def _gone(self, planned: PlannedDestination) -> Outcome | None:
        """Whether its receiver wants no more; a Hold of an address it had is over."""
        ledger, subject = self._job.tools.ledger, gone.subject(planned, self._job.spec)
        holds = ledger.holds()
        for one in gone.outdated(holds, subject):
            why, now = "It has another address now.", self._job.tools.clock.now()
            with suppress(InputError):  # another run was quicker
                ledger.release(one.hold_id, by="boe", why=why, now=now)
        hold = gone.stands(holds, subject)
        return None if hold is None else _suppressed(GONE, hold.message)

    def _still(
        self,
        spec: RunSpec | None,
        planned: PlannedDestination,
        delivery: Delivery,
        file: Artifact,
    ) -> bool:
        now = same_place(planned, spec) if spec else None
        if spec is None or now is None or now.left_out_by is not None:
            return False
        if planned.spec.type != MAIL:
            return True
        part = self._part(spec, file)
        if part is None:
            return False
        if spec is not self._spec:
            self._spec, self._known = spec, {}
        at = (planned.key, file.part, today(self._job))
        if at not in self._known:
            meant = recipients(now, people(self._job, spec, part))
            self._known[at] = {folded(one.address) for one in meant}
        return folded(delivery.key.recipient) in self._known[at]

    def _part(self, spec: RunSpec, file: Artifact) -> Artifact | None:
        """As the file with recipients has it now; None: it is not there any more."""
        wish = spec.burst
        if wish is None or wish.recipients_file is None or not file.values:
            return file
        sha256 = spec.files[wish.recipients_file]
        if sha256 not in self._parts:
            text = self._job.tools.blobs.read(sha256).decode("utf-8-sig")
            rows, _ = burst.rows_of(text, wish.key)
            found = burst.parts(rows, wish.key, None)
            self._parts[sha256] = {one.key: one.values for one in found}
        values = self._parts[sha256].get(file.values.get(wish.key, ""))
        return None if values is None else replace(file, values=values)


def _suppressed(reason: str, message: str) -> Outcome:
    return Outcome(status=DeliveryStatus.SUPPRESSED, reason=reason, message=message)
