"""Where a Schedule delivers to, and what that uses: Connections, Groups, texts of mails."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.files import in_repo
from boe_reconciler.core.plan.sops import pinned_files
from boe_reconciler.core.plan.world import Verdict
from boe_reconciler.core.problems import Path
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.distribution import Attach, FileText, GroupRef, Input
from boe_reconciler.core.spec import PlannedDestination, PlannedLink

#: Fields of a mail that may be a file of the repo, and those that name people.
_TEXTS = ("text", "html")
_PEOPLE = ("to", "cc", "bcc")


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Destinations that stand together: in a Distribution, or in the Schedule itself."""

    targets: Sequence[Any]
    #: The file in which they stand, and what it refers to.
    file: str
    contents: Mapping[str, bytes | None]
    #: The Distribution's name or `as`; None: they stand in the Schedule.
    label: str | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    #: Those that the Distribution declares.
    declared: dict[str, Input] = field(default_factory=dict)

    def one(self, check: Check, target: Any) -> PlannedDestination:
        return PlannedDestination.model_construct(
            key=self._key(target),
            distribution=self.label,
            spec=self._from_root(target),
            inputs=self.inputs,
            declared=self.declared,
            link=_link(check, self, target),
        )

    def link(self, name: str | None = None) -> PlannedLink | None:
        """To the destination of this name among them, or to the only one."""
        named = [each for each in self.targets if name == (each.name or each.type)]
        found = self.targets if name is None else named
        if len(found) != 1:
            return None
        return PlannedLink.model_construct(key=self._key(found[0]), spec=found[0])

    def _key(self, target: Any) -> str:
        name = target.name or target.type
        return f"{self.label}/{name}" if self.label else str(name)

    def _from_root(self, target: Any) -> Any:
        """With the paths of its texts from the root of the repo."""
        paths = {name: in_repo(self.file, at)[0] for name, at in _texts(target)}
        changes = {name: FileText(file=path) for name, path in paths.items() if path}
        return target.model_copy(update=changes) if changes else target

    def files(self) -> Iterator[tuple[str, str]]:
        """Path of each text from the root, and its sha256."""
        for target in self.targets:
            for _, at in _texts(target):
                path, _ = in_repo(self.file, at)
                content = self.contents.get(path)
                if content is not None:
                    yield path, hashlib.sha256(content).hexdigest()


def _texts(target: Any) -> Iterator[tuple[str, str]]:
    for name in _TEXTS:
        value = getattr(target, name, None)
        if isinstance(value, FileText):
            yield name, value.file


def distribution(check: Check, name: str) -> Holder | None:
    """That of a Distribution that can be used."""
    found = check.look_up(("Distribution", name))
    if not isinstance(found, Verdict) or not found.good:
        return None
    return Holder(
        targets=found.product.spec.destinations,
        file=found.entry.document.filename,
        contents=found.files,
        label=name,
        declared=found.product.spec.inputs,
    )


def _link(check: Check, beside: Holder, target: Any) -> PlannedLink | None:
    """Where a mail that would be too big puts its file."""
    attach = getattr(target, "attach", None)
    if not isinstance(attach, Attach) or attach.over_max is None:
        return None
    name = attach.over_max.link_to
    near = beside.link(name)
    if near is not None:
        return near
    other = distribution(check, name)
    return other.link() if other else None


# --- What they use ------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Used:
    #: Name -> spec, as it is in the Environment.
    connections: dict[str, Any]
    groups: dict[str, Any]
    #: Path from the root -> sha256.
    files: dict[str, str]


def used(
    check: Check, holders: Iterable[Holder], planned: Iterable[PlannedDestination]
) -> Used:
    found = Used(connections={}, groups={}, files={})
    for holder in holders:
        found.files.update(holder.files())
    at: Path = ("spec", "deliver_to")
    for one in planned:
        for target in (one.spec, one.link.spec if one.link else None):
            _connection(check, found, getattr(target, "connection", None), at)
        for target in (one.spec, one.redirected_from):
            for group in _groups(target):
                _group(check, found, group, at)
    return found


def _connection(check: Check, found: Used, name: str | None, at: Path) -> None:
    """With those that a mail goes through when it cannot be reached."""
    if name is None or name in found.connections or not check.knows("Connection", name):
        return
    resource = check.use("Connection", name, at)
    if resource is None:
        return
    found.connections[name] = resource.spec
    found.files.update(pinned_files(resource.spec))
    for other in getattr(resource.spec, "fallback", ()):
        _connection(check, found, other, at)


def _groups(target: Any) -> Iterator[str]:
    for name in _PEOPLE:
        value = getattr(target, name, None)
        for one in value if isinstance(value, list) else ():
            if isinstance(one, GroupRef):
                yield one.group


def _group(check: Check, found: Used, name: str, at: Path) -> None:
    if name not in found.groups and check.knows("Group", name):
        resource = check.use("Group", name, at)
        if resource is not None:
            found.groups[name] = resource.spec
