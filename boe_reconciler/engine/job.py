"""One run under way: what every step of it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from boe_reconciler.core import names
from boe_reconciler.core.facts import Observe, unobserved
from boe_reconciler.core.manifest import Origin
from boe_reconciler.core.names import NameValues
from boe_reconciler.core.parameters import parameter_text
from boe_reconciler.core.ports import (
    Blobs,
    Claimed,
    Clock,
    Destination,
    Format,
    Ledger,
    Protection,
    SecretResolver,
    Source,
    Transforms,
)
from boe_reconciler.core.prepare import Prepared, prepare
from boe_reconciler.core.runs import Artifact, Event, Run
from boe_reconciler.core.spec import RunSpec
from boe_reconciler.engine.cancel import CancelToken
from boe_reconciler.engine.pacing import Slots


class Backends(Protocol):
    """The families that a run uses, as `app` wires them."""

    def source(
        self, spec: RunSpec, *, for_file: bool = False
    ) -> AbstractContextManager[Source]:
        """`for_file`: its rows go into one file, and nobody else looks at them."""

    def format(self, name: str, *, isolate: bool = False) -> Format: ...

    def protection(self, kind: str) -> Protection: ...

    @property
    def transforms(self) -> Transforms: ...

    @property
    def secrets(self) -> SecretResolver: ...

    def destination(self, kind: str, spec: RunSpec, blobs: Blobs) -> Destination: ...

    def redact(self, text: str) -> str:
        """The text without any secret's value."""


def _nobody(address: str) -> str | None:
    """Is on no list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """What all runs share."""

    ledger: Ledger
    blobs: Blobs
    backends: Backends
    clock: Clock
    #: `wait_for` looks for files below it.
    data_root: Path
    #: Where runs build their files; emptied at start.
    scratch: Path
    #: A number in [0, 1), for the jitter of retries.
    random: Callable[[], float]
    observe: Observe = unobserved
    #: Of this BOE.
    version: str = "0"
    slots: Slots = field(default_factory=Slots)
    #: Why an address gets no mail any more (it bounced, it asked for that); None: it does.
    listed: Callable[[str], str | None] = _nobody


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    tools: Tools
    claimed: Claimed
    cancel: CancelToken
    prepared: Prepared
    #: The version of the BOE that writes, or wrote, its files.
    built_by: str
    #: Where this claim has made files: what still lies there goes with it.
    unfinished: set[Path] = field(default_factory=set)

    def about(self, part: Mapping[str, str]) -> Job:
        """The same for one part of a burst that has a query of its own."""
        prepared = prepare(
            self.spec,
            run_id=self.run.run_id,
            occurrence=self.run.occurrence,
            options=self.run.options,
            part=part,
        )
        return replace(self, prepared=prepared)

    def room(self, name: str) -> Path:
        """Where this claim, and no other, can make a file."""
        claim = self.claimed.claim
        path = self.tools.scratch / f"{claim.run_id}.{claim.fence}.{name}"
        self.unfinished.add(path)
        return path

    @property
    def spec(self) -> RunSpec:
        return self.claimed.spec

    @property
    def run(self) -> Run:
        return self.claimed.record.run

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.spec.timezone)

    @property
    def parameters(self) -> dict[str, str]:
        """As text; without those that have no value."""
        given = self.prepared.parameters.items()
        return {key: parameter_text(value) for key, value in given if value is not None}

    @property
    def origin(self) -> Origin:
        """What the manifests of its files have in common."""
        return Origin(
            run=self.run,
            spec=self.spec,
            parameters=self.parameters,
            version=self.built_by,
        )

    @property
    def formats(self) -> list[str]:
        return self.spec.export.formats

    def writer(self, name: str) -> Format:
        """What writes a file of this run."""
        isolate = self.spec.execution.isolate
        return self.tools.backends.format(name, isolate=isolate)

    def file_name(self, pattern: str | None, extension: str, part: str = "") -> str:
        """The name of a file of this run before compression."""
        chosen = pattern or self.spec.export.filename_pattern or names.DEFAULT_PATTERN
        return names.file_name(chosen, self._name_values(extension, part))

    def compressed(self, name: str) -> str:
        """The name of a file of this run after compression."""
        export = self.spec.export
        return names.compressed(name, export.compress, several=export.several)

    def marker_pattern(self, pattern: str, artifact: Artifact) -> str:
        """A done_marker in which only {file} is left to fill."""
        values = self._name_values(self.extension(artifact), self.piece(artifact))
        return names.fill(pattern, values)

    def part(self, format_name: str, piece: str) -> str:
        """What tells a file from all others of this run; "-" where there is no other."""
        told = f"{format_name} {piece}" if self.spec.export.several else piece
        return told.strip() or "-"

    def format_of(self, artifact: Artifact) -> str:
        several = self.spec.export.several
        told = artifact.part.split(" ")[0] if several else self.formats[0]
        return artifact.format or told

    def piece(self, artifact: Artifact) -> str:
        """What tells it from other files of its format; "" where there is no other."""
        if self.spec.export.several:
            return artifact.part.partition(" ")[2]
        return "" if artifact.part == "-" else artifact.part

    def filled(self, pattern: str) -> str:
        """A path whose tokens are those of file names."""
        return names.fill(pattern, self._name_values("", ""))

    def _name_values(self, extension: str, part: str) -> NameValues:
        return NameValues(
            report=self.spec.report_title,
            schedule=self.spec.schedule,
            occurrence=self.run.occurrence,
            timezone=self.zone,
            run_id=self.run.run_id,
            extension=extension,
            period=self.prepared.period.label if self.prepared.period else "",
            part=part,
        )

    def note(self, action: str, message: str) -> None:
        """Add an event to the run's history, without any secret in it."""
        self.tools.ledger.note([self.event(action, message)])

    def event(self, action: str, message: str) -> Event:
        return Event(
            at=self.tools.clock.now(),
            action=action,
            message=self.tools.backends.redact(message),
            run_id=self.run.run_id,
            schedule=self.run.schedule,
        )

    def destination_name(self, artifact: Artifact, pattern: str | None) -> str:
        """The artifact's name at a destination with a pattern of its own."""
        if pattern is None:
            return artifact.name
        extension, piece = self.extension(artifact), self.piece(artifact)
        return self.compressed(self.file_name(pattern, extension, piece))

    def extension(self, artifact: Artifact) -> str:
        """Of the artifact's format, before compression."""
        return self.tools.backends.format(self.format_of(artifact)).extension
