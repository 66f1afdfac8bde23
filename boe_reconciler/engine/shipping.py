"""A Delivery row and its files -> the Shipment that a destination takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from functools import partial

from boe_reconciler.core.bounces import tag_of
from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.facts import Sent
from boe_reconciler.core.marks import Marks
from boe_reconciler.core.ports import Enclosure, Shipment
from boe_reconciler.core.preview import Preview
from boe_reconciler.core.recipients import inputs_of, recipients
from boe_reconciler.core.resources.distribution import DestinationSpec
from boe_reconciler.core.runs import ASKED, Artifact, Delivery, DeliveryStatus
from boe_reconciler.core.spec import PlannedDestination
from boe_reconciler.engine.job import Job
from boe_reconciler.engine.owing import MAIL, context_of, people
from boe_reconciler.engine.previewing import preview_of

#: The part and the destination that mails to several people have in common.
Letter = tuple[str, str]
#: The fields of a mail that its recipients see.
_SEEN = ("to", "cc")
#: Seconds between two words about how far a delivery is.
OFTEN = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """All that makes up one shipment."""

    planned: PlannedDestination
    delivery: Delivery
    #: The file; of a mail all of its files.
    files: Sequence[Artifact]
    #: What its readers have to know of the run: see `core.waits.notes`.
    notes: Sequence[str] = ()
    #: Whom each mail of the run names, to say who else got it.
    named: Mapping[Letter, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    #: Where each file is instead, if the mail only links to them.
    links: Sequence[str] = ()


def shipment(
    job: Job, load: Load, begin: Callable[[Mapping[str, str]], None]
) -> Shipment:
    """Permanent where a file is gone, or its values cannot be made."""
    file, *others = load.files
    context = context_of(job, file)
    inputs = inputs_of(load.planned, context)
    first = _enclosure(job, load, file, 0)
    return Shipment(
        key=load.delivery.key,
        spec=_spec(job, file, load.planned),
        path=first.path,
        filename=first.filename,
        media_type=first.media_type,
        bytes=first.bytes,
        sha256=first.sha256,
        rows=first.rows,
        occurrence=job.run.occurrence,
        timezone=job.zone,
        intent=load.delivery.intent,
        begin=begin,
        sent=Meter(job, load, first.filename),
        beside=[
            _enclosure(job, load, one, number)
            for number, one in enumerate(others, start=1)
        ],
        title=job.spec.heading,
        preview=_preview(job, load),
        context={**context, "inputs": inputs, "rows": _rows(load)},
        provenance=partial(_provenance, job, file),
        link=first.link,
        addressed=_addressed(load),
        marks=_marks(job, load),
        tag=_tag(job, load),
    )


def _rows(load: Load) -> int:
    """Of all files of one format: the others have the same rows."""
    first = load.files[0].format
    return sum(one.rows for one in load.files if one.format == first)


def _enclosure(job: Job, load: Load, file: Artifact, number: int) -> Enclosure:
    pattern = load.planned.spec.filename_pattern
    return Enclosure(
        path=job.tools.blobs.path(file.sha256),
        filename=job.destination_name(file, pattern),
        media_type=file.media_type,
        bytes=file.bytes,
        sha256=file.sha256,
        rows=file.rows,
        link=load.links[number] if load.links else None,
    )


def _spec(job: Job, file: Artifact, planned: PlannedDestination) -> DestinationSpec:
    """The destination's spec, its done_marker filled but for {file}."""
    marker = getattr(planned.spec, "done_marker", None)
    if marker is None:
        return planned.spec
    pattern = job.marker_pattern(marker, file)
    return planned.spec.model_copy(update={"done_marker": pattern})


def _provenance(job: Job, file: Artifact) -> dict[str, str]:
    run = job.run
    found = {
        "run": run.run_id,
        "schedule": run.schedule,
        "occurrence": f"{run.occurrence.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "revision": run.revision,
        "spec": run.spec_digest,
        "sha256": file.sha256,
        "manifest": job.origin.sha256(file),
        "rows": str(file.rows),
    }
    return {
        name: text.encode("ascii", "backslashreplace").decode()
        for name, text in found.items()
    }


class Meter:
    """Tells how far a delivery is, to whoever watches the engine."""

    def __init__(self, job: Job, load: Load, filename: str) -> None:
        self._tools = job.tools
        self._key = load.delivery.key
        self._filename = filename
        self._total = sum(one.bytes for one in load.files)
        self._told = job.tools.clock.monotonic()

    def __call__(self, taken: int) -> None:
        now = self._tools.clock.monotonic()
        if now - self._told < OFTEN:
            return
        self._told = now
        self._tools.observe(
            Sent(
                key=self._key,
                filename=self._filename,
                bytes=taken,
                total=self._total,
            )
        )


# --- Of a mail ----------------------------------------------------------------------


def _preview(job: Job, load: Load) -> Preview | None:
    """What is news of a file that is not there shows no rows either."""
    count = getattr(load.planned.spec, "preview_rows", 0)
    return None if load.delivery.notice else preview_of(job, load.files[0], count)


def _addressed(load: Load) -> dict[str, list[str]]:
    """Whom the mail names: all who get it, or its recipient alone."""
    key = load.delivery.key
    if load.planned.spec.type != MAIL:
        return {}
    if _alone(load) or load.delivery.role == ASKED:
        return {"to": [key.recipient]}
    found = load.named.get((key.part, key.destination), {})
    return {role: list(found.get(role, ())) for role in _SEEN}


def _tag(job: Job, load: Load) -> str:
    if load.planned.spec.type != MAIL:
        return ""
    return tag_of(load.delivery.key.identity, job.tools.ledger.return_key())


def _alone(load: Load) -> bool:
    """Whether no recipient learns of the others."""
    see = getattr(load.planned.spec, "recipients_see", None)
    return see == "only_themselves" or (see is None and load.files[0].key != "-")


def named(rows: Sequence[Delivery]) -> dict[Letter, dict[str, list[str]]]:
    """Who gets each mail, by the field that names them for all to see."""
    found: dict[Letter, dict[str, list[str]]] = {}
    for one in rows:
        gets = one.status is not DeliveryStatus.SUPPRESSED
        if gets and one.role in _SEEN and not one.key.copy:
            letter = found.setdefault((one.key.part, one.key.destination), {})
            letter.setdefault(one.role, []).append(one.key.recipient)
    return found


def _marks(job: Job, load: Load) -> Marks:
    options, planned = job.run.options, load.planned
    asked = load.delivery.role == ASKED
    elsewhere = asked or planned.redirected_by is not None
    return Marks(
        corrected=options.corrected,
        rerun_of=options.rerun_of,
        redirected_by=planned.redirected_by,
        meant_for=_meant_for(job, load) if elsewhere else (),
        asked_for=asked,
        notice=load.delivery.notice or None,
        notes=load.notes,
    )


def _meant_for(job: Job, load: Load) -> list[str]:
    """Its real recipients whom the mail would name.

    Nobody, where they cannot be told, or somebody asked for a copy of a mail whose
    recipients do not learn of each other.
    """
    if load.delivery.role == ASKED and _alone(load):
        return []
    real = load.planned.redirected_from or load.planned.spec
    planned = load.planned.model_copy(update={"spec": real})
    try:
        found = recipients(planned, people(job, job.spec, load.files[0]))
    except Permanent:
        return []
    return [one.address for one in found if one.role in _SEEN]
