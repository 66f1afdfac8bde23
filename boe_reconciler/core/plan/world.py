"""A World: one version of each object, and what became of looking at it.

A revision is a World; so is what will be served, where some objects keep an older
version. Both are judged by the same checks.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import (
    Callable,
    Hashable,
    Iterable,
    Mapping,
    MutableMapping,
    Sequence,
)
from dataclasses import field, replace
from functools import cached_property, partial
from hashlib import sha256
from typing import Any, cast

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.load import load_resource
from boe_reconciler.core.language.places import Document, Place, Source, text_at
from boe_reconciler.core.plan.missing import Missing
from boe_reconciler.core.problems import Problem
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.envelope import KINDS, Policy, Resource
from boe_reconciler.core.resources.others import PolicySpec
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.core.spec import ServedObject

#: (kind, name).
Key = tuple[str, str]

#: The kinds in an order in which each comes after those it refers to.
ORDER = (
    "Policy",
    "Group",
    "Calendar",
    "Connection",
    "Environment",
    "Distribution",
    "Report",
    "ScheduleTemplate",
    "Schedule",
)
RANKS = {kind: number for number, kind in enumerate(ORDER)}


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Entry:
    """One version of one object."""

    document: Document
    kind: str
    name: str
    #: As it was served, if this is not a version of the attempted revision.
    served: ServedObject | None = None
    #: What loading gave; a Schedule is loaded later, over its template.
    resource: Resource | None = None
    problems: Sequence[Problem] = ()
    #: Verdicts of earlier looks, by what was looked up.
    memory: list[Verdict] = field(default_factory=list)

    @cached_property
    def key(self) -> Key:
        return self.kind, self.name

    @property
    def place(self) -> tuple[str, int]:
        return self.document.filename, self.document.index

    @property
    def metadata(self) -> Mapping[str, Any]:
        found = self.document.data.get("metadata")
        return found if isinstance(found, dict) else {}

    @property
    def owner(self) -> str | None:
        return text_at(self.metadata, "owner")

    @property
    def renamed_from(self) -> str | None:
        return text_at(self.metadata, "renamed_from")


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Verdict:
    """What looking at an Entry in a World gave."""

    entry: Entry
    problems: Sequence[Problem]
    #: An object that it needs and that cannot be used.
    blocked_by: Key | None
    #: What others need of it: a PlannedSchedule, a resolved Report, else its Resource.
    product: Any
    #: What was looked up, and what was found: while that stays, so does the Verdict.
    lookups: Mapping[Key, object]
    #: What else it depends on: the date, the Policy that judges.
    context: object
    #: Path of each file it refers to -> its bytes; None: they cannot be had.
    files: Mapping[str, bytes | None]
    #: Path of each file it refers to -> `World.stamp` of it.
    stamps: Mapping[str, str | None]
    #: Whether one of its Problems is an error.
    faulty: bool
    #: Whether it can be used.
    good: bool

    @cached_property
    def contents(self) -> Mapping[str, tuple[str, bytes]]:
        """Path of each file that could be had -> its sha256, and its bytes."""
        return {
            path: (sha256(content).hexdigest(), content)
            for path, content in self.files.items()
            if content is not None
        }

    @cached_property
    def as_served(self) -> ServedObject:
        """What is served of a version of the attempted revision."""
        entry = self.entry
        return ServedObject(
            kind=entry.kind,
            name=entry.name,
            file=entry.document.filename,
            index=entry.document.index,
            data=entry.document.data,
            files={path: sha256 for path, (sha256, _) in self.contents.items()},
        )

    @property
    def at_fault(self) -> bool:
        """Not only by what it refers to."""
        return self.faulty or self.blocked_by is None


def entry_of(document: Document) -> Entry | None:
    """The Entry of a document that says what it is; None where it does not."""
    kind, name = document.kind, document.name
    if kind not in KINDS or name is None:
        return None
    resource: Resource | None = None
    problems: list[Problem] = []
    if kind != "Schedule":
        resource, problems = load_resource(document)
    return Entry(
        document=document,
        kind=kind,
        name=name,
        resource=resource,
        problems=tuple(problems),
    )


def served_entry(served: ServedObject) -> Entry:
    """The version of an object that is served."""
    source = Source(served.file, "")
    document = Document(
        source=source,
        index=served.index,
        data=dict(served.data),
        find=partial(_nowhere, source, served.data),
    )
    resource = None
    if served.kind != "Schedule":
        resource, _ = load_resource(document)
    return Entry(
        document=document,
        kind=served.kind,
        name=served.name,
        served=served,
        resource=resource,
    )


def _nowhere(source: Source, value: Any) -> Place:
    """Places for a value that has no text any more."""
    if isinstance(value, dict):
        fields = {key: (0, 0, _nowhere(source, item)) for key, item in value.items()}
        return source, 0, 0, fields
    if isinstance(value, list):
        return source, 0, 0, [_nowhere(source, item) for item in value]
    return source, 0, 0, None


def _digest(served: ServedObject, path: str) -> str:
    digest = served.files.get(path)
    if digest is None:
        raise InputError(f"{path} was not part of what is served")
    return digest


#: What a lookup finds where there is no such object, or where it may be hidden.
MISSING = "missing"
HIDDEN = "hidden"


def hides_nothing(key: Key) -> bool:
    """Where all could be read."""
    return False


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Each after those that it refers to, else as they stand in the files."""
    return sorted(entries, key=lambda entry: (RANKS[entry.kind], *entry.place))


@dataclass(kw_only=True, eq=False)
class World:
    entries: Mapping[Key, Entry]
    snapshot: Snapshot
    #: Bytes in the Blobs store by sha256: files of what is served.
    read_blob: Callable[[str], bytes]
    #: Whether an object seems to stand where nothing could be read.
    hides: Callable[[Key], bool] = hides_nothing
    #: Problems of an object that only a look at all of them shows.
    extra: Mapping[Entry, Sequence[Problem]] = field(default_factory=dict)
    #: The Environment that is laid over it; None: nothing is.
    environment: Key | None = None
    #: Where no Policy is served, though there is one: nothing can be judged.
    without_policy: bool = False
    verdicts: MutableMapping[Key, Verdict] = field(default_factory=dict)
    #: While it is judged: what each `when` says, by its text and by who judges it.
    whens: dict[Hashable, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        snapshot: Snapshot,
        read_blob: Callable[[str], bytes],
        environment: Key | None,
    ) -> World:
        """Without any object yet."""
        return cls(
            entries={},
            snapshot=snapshot,
            read_blob=read_blob,
            environment=environment,
        )

    def read(self, path: str, entry: Entry) -> bytes:
        """A file that an object refers to; InputError where it cannot be had."""
        if entry.served is not None:
            return self.read_blob(_digest(entry.served, path))
        if path in self.snapshot.files:
            return self.snapshot.read(path)
        why = self.snapshot.unreadable.get(path)
        if why is not None:
            raise InputError(f"{path} cannot be read: {why}")
        todo = "paths are relative to the YAML file that names them"
        raise InputError(f"there is no file {path}", todo)

    def stamp(self, path: str) -> str | None:
        """Changes with the bytes of a file, and with the reason why it has none."""
        found = self.snapshot.files.get(path)
        return found or self.snapshot.unreadable.get(path)

    def with_instead(self, entries: Iterable[Entry]) -> World:
        """The same with other versions of what something refers to; no copy of all."""
        others = {entry.key: entry for entry in entries}
        found = replace(
            self,
            entries=ChainMap(others, cast("dict[Key, Entry]", self.entries)),
            verdicts=ChainMap({}, self.verdicts),
        )
        # All of it would be searched for these; nothing refers to a Policy.
        found.missing, found.policy = self.missing, self.policy
        return found

    def look_up(self, key: Key, kind: str) -> Verdict | Entry | str:
        """What an object of a kind sees of another: the Verdict on one of a kind that
        comes before its own, else the Entry; else why there is none."""
        entry = self.entries.get(key)
        if entry is None:
            return HIDDEN if self.hides(key) else MISSING
        return self.verdicts[key] if RANKS[key[0]] < RANKS[kind] else entry

    @property
    def references(self) -> dict[Key, list[Key]]:
        """Each object -> those that it refers to."""
        return {
            key: [other for other in verdict.lookups if other in self.entries]
            for key, verdict in self.verdicts.items()
        }

    def names(self, kind: str) -> Sequence[str]:
        return self._by_kind.get(kind, ())

    @cached_property
    def _by_kind(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for kind, name in sorted(self.entries):
            found.setdefault(kind, []).append(name)
        return found

    @cached_property
    def missing(self) -> Missing:
        return Missing(names=self.names)

    @cached_property
    def policy(self) -> Entry | None:
        return next((e for e in self.entries.values() if e.kind == "Policy"), None)

    @cached_property
    def limits(self) -> PolicySpec:
        """By which runs are limited; a Policy that is broken is never served."""
        found = self.policy.resource if self.policy else None
        return found.spec if isinstance(found, Policy) else PolicySpec()
