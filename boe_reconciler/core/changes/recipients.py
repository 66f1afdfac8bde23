"""Who would get which file of a Schedule's next run, by name and address."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from boe_reconciler.core import names
from boe_reconciler.core.burst import Part
from boe_reconciler.core.changes.masks import masked_text, site_of
from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.plan.world import Key
from boe_reconciler.core.prepare import About, prepare
from boe_reconciler.core.recipients import People, recipients
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.run_ids import run_id
from boe_reconciler.core.spec import PlannedDestination, PlannedSchedule, ServedObject

#: What is served, by kind and name.
Objects = Mapping[Key, ServedObject]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipient:
    """One far side of one destination, and what it would get."""

    schedule: str
    #: The key of its destination.
    destination: str
    #: local, email, s3, …
    type: str
    #: The folder, the address, the bucket, …; without any secret.
    name: str
    #: What may be new to the company as a whole: a domain, a folder, a bucket, a host.
    place: str
    #: Tells two apart that have one name, since parts of them are secret.
    identity: str = ""
    #: The Group through which somebody gets it.
    group: str | None = None
    #: The last day on which they do.
    until: date | None = None
    #: Names of its files, below the folder or the prefix.
    files: Sequence[str] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells one far side of a Schedule from another."""
        return self.schedule, self.name, self.identity


def recipients_of(
    schedule: PlannedSchedule, objects: Objects, occurrence: datetime
) -> list[Recipient]:
    """What the run at an occurrence would deliver, in the order of its destinations."""
    found: dict[tuple[str, str, str, str], Recipient] = {}
    files: dict[tuple[str, str, str, str], list[str]] = {}
    for run in _runs(schedule, objects, occurrence):
        for planned in schedule.spec.destinations:
            for one in _recipients(run, planned):
                at = (*one.key, one.destination)
                found.setdefault(at, one)
                files.setdefault(at, []).extend(one.files)
    return [
        replace(one, files=tuple(dict.fromkeys(files[at]))) for at, one in found.items()
    ]


def _runs(
    schedule: PlannedSchedule, objects: Objects, occurrence: datetime
) -> Iterator[_Run]:
    """One, or one for each part of a burst, as far as they are known."""
    known: Sequence[Part | None] = schedule.parts
    for part in known or [None]:
        yield _Run.of(schedule, objects, occurrence, part)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Run:
    """One run that may never be."""

    schedule: PlannedSchedule
    objects: Objects
    occurrence: datetime
    #: What templates see.
    context: Mapping[str, Any]
    #: What stands for `{part}` in names.
    part: str = ""

    @classmethod
    def of(
        cls,
        schedule: PlannedSchedule,
        objects: Objects,
        occurrence: datetime,
        part: Part | None,
    ) -> _Run:
        spec = schedule.spec
        id_ = run_id(schedule.name, occurrence)
        try:
            values = part.values if part else None
            made = prepare(spec, run_id=id_, occurrence=occurrence, part=values)
            context = made.context
        except Permanent:  # It is about the values of that run; who gets it is known.
            context = About.of(spec).context(id_, occurrence)
        later = "{part}" if spec.burst else ""
        return cls(
            schedule=schedule,
            objects=objects,
            occurrence=occurrence,
            context=context,
            part=part.label if part else later,
        )

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.schedule.spec.timezone)

    def spec_of(self, kind: str, name: str | None) -> Mapping[str, Any]:
        found = self.objects.get((kind, name or ""))
        spec = found.data.get("spec") if found else None
        return spec if isinstance(spec, Mapping) else {}

    def connection(self, name: str | None) -> Mapping[str, Any]:
        """Its fields, as they are in the Environment."""
        overlay = self.spec_of("Environment", self.schedule.spec.environment)
        fields = (overlay.get("connections") or {}).get(name) or {}
        return {**self.spec_of("Connection", name), **fields}


def _recipients(run: _Run, planned: PlannedDestination) -> Iterator[Recipient]:
    target = planned.spec
    if planned.left_out_by is not None:
        return
    files = _files(run, target)
    for where in _FAR_SIDES[target.type](run, planned):
        yield Recipient(
            schedule=run.schedule.name,
            destination=planned.key,
            type=target.type,
            files=files,
            **where,
        )


# --- Files ------------------------------------------------------------------------


def _files(run: _Run, target: Any) -> tuple[str, ...]:
    """Their names; the day's folder goes before them."""
    if getattr(target, "send", "file") != "file":
        return ()
    export = run.schedule.spec.export
    pattern = target.filename_pattern or export.filename_pattern
    dated = getattr(target, "create_subdirs", False)
    folder = f"{names.dated_folder(run.occurrence, run.zone)}/" if dated else ""
    return tuple(
        folder + _file(run, pattern or names.DEFAULT_PATTERN, each)
        for each in export.formats
    )


def _file(run: _Run, pattern: str, extension: str) -> str:
    spec = run.schedule.spec
    period = run.context.get("period")
    values = names.NameValues(
        report=spec.report_title,
        schedule=spec.schedule,
        occurrence=run.occurrence,
        timezone=run.zone,
        run_id=run.context["run_id"],
        extension=extension,
        period=period.label if period else "",
        part=run.part,
    )
    name, export = names.file_name(pattern, values), spec.export
    return names.compressed(name, export.compress, several=export.several)


# --- Far sides --------------------------------------------------------------------

#: Fields of a Recipient.
_Fields = Mapping[str, Any]


def _local(run: _Run, planned: PlannedDestination) -> Iterator[_Fields]:
    path = planned.spec.base_path  # type: ignore[union-attr]  # chosen by its type
    yield {"name": path, "place": f"folder {path}"}


def _bucket(run: _Run, planned: PlannedDestination) -> Iterator[_Fields]:
    target: Any = planned.spec
    connection = run.connection(target.connection)
    endpoint = connection.get("endpoint_url") or connection.get("endpoint")
    scheme = "gs" if target.type == "gcs" else target.type
    at = f" at {site_of(endpoint)}" if isinstance(endpoint, str) else ""
    bucket = f"{scheme}://{target.bucket}"
    yield {"name": f"{bucket}/{target.prefix}{at}", "place": f"bucket {bucket}{at}"}


def _container(run: _Run, planned: PlannedDestination) -> Iterator[_Fields]:
    target: Any = planned.spec
    url = run.connection(target.connection).get("account_url")
    account = site_of(url).removesuffix("/…") if isinstance(url, str) else "azure:/"
    container = f"{account}/{target.container}"
    name = f"{container}/{target.prefix}"
    yield {"name": name, "place": f"container {container}"}


def _sftp(run: _Run, planned: PlannedDestination) -> Iterator[_Fields]:
    target: Any = planned.spec
    connection = run.connection(target.connection)
    port = connection.get("port", 22)
    host = f"{connection.get('host', target.connection)}"
    there = names.sftp_url(host, port, "/").rstrip("/")
    name = names.sftp_url(host, port, target.base_path)
    yield {"name": name, "place": f"host {there}"}


def _webhook(run: _Run, planned: PlannedDestination) -> Iterator[_Fields]:
    target: Any = planned.spec
    found = target.url or run.connection(target.connection).get("url")
    url = found if isinstance(found, str) else ""
    name = site_of(url)
    host = name.removesuffix("/…")
    digest = hashlib.sha256(url.encode()).hexdigest()
    yield {"name": name, "place": f"host {host}", "identity": digest}


def _email(run: _Run, planned: PlannedDestination) -> Iterator[_Fields]:
    people = People(
        groups=run.schedule.spec.groups,
        context=run.context,
        day=run.occurrence.astimezone(run.zone).date(),
        unknown=masked_text,
    )
    for one in recipients(planned, people):
        domain = one.address.rpartition("@")[2].lower()
        yield {
            "name": one.address,
            "place": f"domain {domain}",
            "group": one.group,
            "until": one.until,
        }


_FAR_SIDES: Mapping[str, Callable[[_Run, PlannedDestination], Iterator[_Fields]]] = {
    "local": _local,
    "email": _email,
    "s3": _bucket,
    "gcs": _bucket,
    "azure": _container,
    "sftp": _sftp,
    "webhook": _webhook,
}
