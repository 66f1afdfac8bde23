"""What is served: resolved specs, the objects they came from, and their status.

All of it goes through JSON unchanged, because it lives in the ledger: a worker,
and a restart before the first look at git, need nothing else.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from operator import attrgetter
from typing import Any, Literal, TypeVar

from boe_reconciler.core.burst import Part
from boe_reconciler.core.holds import Wait
from boe_reconciler.core.maps import differing
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.base import Field, Model
from boe_reconciler.core.resources.connection import ConnectionSpec
from boe_reconciler.core.resources.distribution import DestinationSpec, IfEmpty, Input
from boe_reconciler.core.resources.others import CalendarSpec, GroupSpec
from boe_reconciler.core.resources.report import ReportSpec
from boe_reconciler.core.resources.schedule import (
    Approval,
    Burst,
    Execution,
    Export,
    OnlyIf,
    Period,
    Ping,
    WaitFor,
)
from boe_reconciler.core.resources.when import When
from boe_reconciler.core.wording import title_of

V = TypeVar("V")


class OccurrenceSet(Model):
    """All that decides at which instants a Schedule is due."""

    when: When
    #: The `when` zone, or Policy's default.
    timezone: str
    calendar: CalendarSpec | None = None


class PlannedLink(Model):
    """A destination that takes the file of a mail that would be too big."""

    #: As that of a PlannedDestination, which may have the same.
    key: str
    spec: DestinationSpec


class PlannedDestination(Model):
    #: "{as or Distribution}/{destination's name}"; an inline one: its name alone.
    key: str
    #: The Distribution's name or `as`; None for an inline destination.
    distribution: str | None
    spec: DestinationSpec
    inputs: dict[str, Any] = {}
    #: The inputs that its Distribution declares.
    declared: dict[str, Input] = {}
    #: The Environment that sends it to `spec` instead of to its own recipients.
    redirected_by: str | None = None
    #: What `spec` would be without it.
    redirected_from: DestinationSpec | None = None
    #: The Environment in which nothing is delivered to it.
    left_out_by: str | None = None
    #: Where a mail that would be too big puts its file.
    link: PlannedLink | None = None


class RunSpec(Model):
    """Everything that a run needs: it never looks at git again."""

    version: Literal[1] = 1
    schedule: str
    title: str
    owner: str
    labels: dict[str, str] = {}
    timezone: str
    report_name: str
    report_title: str
    #: `query_file` is replaced by the query's text; paths are relative to the root.
    report: ReportSpec
    connection_name: str
    connection: ConnectionSpec
    period: Period | None = None
    parameters: dict[str, Any] = {}
    export: Export
    if_empty: IfEmpty = "send"
    if_unchanged: IfEmpty = "send"
    only_if: OnlyIf | None = None
    wait_for: list[WaitFor] = []
    approval: Approval | None = None
    #: `recipients_file` is its path from the root.
    burst: Burst | None = None
    execution: Execution
    #: A URL that is told how its runs go.
    ping: Ping | None = None
    destinations: list[PlannedDestination] = Field(min_length=1)
    #: Name -> spec of each Connection that destinations use, and of each Group that they
    #: or an approval name.
    connections: dict[str, ConnectionSpec] = {}
    groups: dict[str, GroupSpec] = {}
    #: Path in the repo -> sha256 of its bytes in the Blobs store.
    files: dict[str, str] = {}
    #: Path in the repo -> git's id of the bytes, of all files beside the YAML that it was
    #: made of: those, and its queries.
    blob_ids: dict[str, str] = {}
    #: Policy's limits.
    max_rows: int | None = None
    max_artifact: int | None = None
    #: Folders below the local root, or absolute ones, that `local` may write to.
    local_roots: list[str] | None = None
    #: Where data may go, as Policy's `allow` says; None: anywhere.
    email_domains: list[str] | None = None
    hosts: list[str] | None = None
    private_addresses: bool = False
    max_recipients: int | None = None
    #: The Environment that it belongs to; None: there is none.
    environment: str | None = None

    @property
    def heading(self) -> str:
        """What its readers know it by: the title that the Schedule was given, or its
        Report's."""
        own = self.title != title_of(self.schedule)
        return self.title if own else self.report_title

    @property
    def used_connections(self) -> Mapping[str, ConnectionSpec]:
        """By name: where it reads from, and those that its destinations use."""
        return {**self.connections, self.connection_name: self.connection}

    @property
    def digest(self) -> str:
        """Hex sha256 of the canonical JSON: one spec, one digest."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()


class Timing(Model):
    """All of a spec that a tick needs, so that it need not read the rest."""

    occurrences: OccurrenceSet
    execution: Execution


def timing_json(occurrences: OccurrenceSet, rules: Execution) -> str:
    timing = Timing(occurrences=occurrences, execution=rules)
    return timing.model_dump_json(by_alias=True, exclude_none=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedSchedule:
    """Kept from plan to plan while nothing it depends on changes, with its texts."""

    name: str
    spec: RunSpec
    occurrences: OccurrenceSet
    #: `paused: true` in git.
    paused: bool
    renamed_from: str | None = None
    #: Of a burst with a `recipients_file`; empty: they are known only as it runs.
    parts: Sequence[Part] = ()

    @cached_property
    def digest(self) -> str:
        """`spec.digest`."""
        return self.spec.digest

    @cached_property
    def timing(self) -> str:
        """JSON of its `Timing`."""
        return timing_json(self.occurrences, self.spec.execution)


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectStatus:
    """One object of the attempted revision, or one that goes on being served."""

    kind: str
    name: str
    ready: bool
    #: Served, Invalid, DependencyInvalid, Duplicate, Unreadable, RemovalHeld, …
    reason: str
    message: str
    #: The revision in which its document was last looked at.
    observed_revision: str
    #: The revision whose version is served; None: none is.
    serving_revision: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedObject:
    """The served version of one object, as it stood in its document."""

    kind: str
    name: str
    file: str
    #: Position of its document in the file.
    index: int
    #: The document's plain values, before templates and defaults.
    data: Mapping[str, Any]
    #: Path of each file it refers to -> sha256 in the Blobs store.
    files: Mapping[str, str] = field(default_factory=dict)
    #: The older revision it was activated from; None: it is from the one that is served.
    revision: str | None = None


class Keyed(Sequence[V]):
    """Values in the order of their keys, and by their keys; a list of them where that is
    asked for."""

    __slots__ = ("_values", "by_key")

    def __init__(self, by_key: Mapping[Any, V]) -> None:
        #: Never changed any more.
        self.by_key = by_key
        self._values: list[V] | None = None

    def __len__(self) -> int:
        return len(self.by_key)

    def __getitem__(self, at: Any) -> Any:
        if self._values is None:
            self._values = [self.by_key[key] for key in sorted(self.by_key)]
        return self._values[at]

    def __iter__(self) -> Iterator[V]:
        return iter(self[:])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Keyed):
            return self.by_key == other.by_key
        return isinstance(other, Sequence) and [*self] == [*other]

    __hash__ = None  # type: ignore[assignment]  # as that of a list

    def __repr__(self) -> str:
        return repr([*self])


class Objects(Keyed["ServedObject"]):
    """What is served, and which of it is the Policy."""

    __slots__ = ("policy",)

    def __init__(
        self,
        by_key: Mapping[tuple[str, str], ServedObject],
        policy: ServedObject | None,
    ) -> None:
        super().__init__(by_key)
        self.policy = policy


@dataclass(frozen=True, kw_only=True, slots=True)
class Connections:
    """Those that Schedules use; in the beginning none."""

    specs: Mapping[str, ConnectionSpec] = field(default_factory=dict)
    #: By how many each is used.
    users: Mapping[str, int] = field(default_factory=dict)

    def of(
        self,
        before: Mapping[str, PlannedSchedule],
        after: Mapping[str, PlannedSchedule],
    ) -> "Connections":
        """Those of other Schedules, where these are those of the ones before."""
        users, specs = Counter(self.users), {**self.specs}
        for name in differing(before, after):
            if name in before:
                users.subtract([*before[name].spec.used_connections])
            if name in after:
                used = after[name].spec.used_connections
                users.update([*used])
                specs |= used
        kept = {name: spec for name, spec in specs.items() if users[name] > 0}
        return Connections(specs=kept, users=+users)


class Schedules(Keyed["PlannedSchedule"]):
    """What is served of Schedules, and the Connections that they use."""

    __slots__ = ("connections",)

    def __init__(
        self, by_key: Mapping[str, PlannedSchedule], connections: Connections
    ) -> None:
        super().__init__(by_key)
        self.connections = connections


def keyed(values: Sequence[V], key: Callable[[V], Any]) -> Mapping[Any, V]:
    """Values by their keys."""
    if isinstance(values, Keyed):
        return values.by_key
    return {key(one): one for one in values}


def _statuses(
    found: "Activation | Served", served_from: str | None
) -> Sequence[ObjectStatus]:
    """Of each object in the files, and of each that is served beyond those, in order.

    Made when they are asked for: a new revision changes all of them.
    """
    served = {
        (one.kind, one.name): ObjectStatus(
            kind=one.kind,
            name=one.name,
            ready=True,
            reason="Served",
            message="",
            observed_revision=found.attempted or "",
            serving_revision=one.revision or served_from,
        )
        for one in found.objects
    }
    every = served | {(one.kind, one.name): one for one in found.stalled}
    return [every[key] for key in sorted(every)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Activation:
    """One revision's outcome, for one transaction of the ledger."""

    attempted: str
    #: None: nothing of it is served, all goes on as before.
    serving: str | None
    #: What is served then.
    objects: Sequence[ServedObject]
    #: Objects that are not served as they stand in it; all others are.
    stalled: Sequence[ObjectStatus]
    schedules: Sequence[PlannedSchedule]
    #: `Problem.as_diagnostic()` of each Problem.
    problems: Sequence[Mapping[str, Any]]
    #: What of the revision waits for a person: each becomes a Hold.
    waits: Sequence[Wait] = ()
    #: The Environment that is laid over it; None: nothing is.
    environment: str | None = None
    #: The Policy that was served before, which judged it; None: its own did, or nobody's.
    judge: ServedObject | None = None
    #: The revision that was served before it; None: none was.
    before: str | None = None

    @property
    def by_key(self) -> Mapping[tuple[str, str], ServedObject]:
        """The objects by kind and name."""
        return keyed(self.objects, attrgetter("kind", "name"))

    @property
    def planned(self) -> Mapping[str, PlannedSchedule]:
        """The schedules by name."""
        return keyed(self.schedules, attrgetter("name"))

    @property
    def connections(self) -> Mapping[str, ConnectionSpec]:
        """Those that its schedules use, by name."""
        if isinstance(self.schedules, Schedules):
            return self.schedules.connections.specs
        return Connections().of({}, self.planned).specs

    @property
    def statuses(self) -> Sequence[ObjectStatus]:
        return _statuses(self, self.serving or self.before)

    @property
    def total(self) -> int:
        """How many statuses there are."""
        new = sum(one.serving_revision is None for one in self.stalled)
        return len(self.objects) + new


@dataclass(frozen=True, kw_only=True)
class Served:
    """The last activation, as the ledger keeps it."""

    attempted: str | None
    serving: str | None
    objects: Sequence[ServedObject] = ()
    #: Objects that are not served as they stand in the attempted revision.
    stalled: Sequence[ObjectStatus] = ()
    problems: Sequence[Mapping[str, Any]] = ()
    environment: str | None = None
    #: The Policy that judged what is served: looked at again, it is judged by the same.
    judge: ServedObject | None = None

    @property
    def statuses(self) -> Sequence[ObjectStatus]:
        return _statuses(self, self.serving)

    @cached_property
    def by_key(self) -> Mapping[tuple[str, str], ServedObject]:
        """The objects by kind and name."""
        return keyed(self.objects, attrgetter("kind", "name"))

    @cached_property
    def policy(self) -> ServedObject | None:
        """There is one at most."""
        if isinstance(self.objects, Objects):
            return self.objects.policy
        key = next((key for key in self.by_key if key[0] == "Policy"), None)
        return self.by_key[key] if key else None
