"""A second opinion on what is served: every choice of versions is tried.

It knows nothing of how a plan is made, and shares no code with it. What is served is
the best choice that is closed over references: nothing is lost, as much as possible is
new, and nothing that was removed stays without need.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

#: A removal of more than so many objects, and of more than this part of all, waits.
MOST, PART = 5, 0.2


@dataclass(frozen=True, kw_only=True)
class Version:
    """What one document says of an object."""

    kind: str
    #: Differs in any two versions that were written apart.
    tag: int
    #: The names of all that it needs.
    refs: frozenset[str] = frozenset()
    good: bool = True
    renamed_from: str | None = None


@dataclass(frozen=True, kw_only=True)
class Held:
    """A version that is served."""

    version: Version
    file: str
    #: The number of the commit that it was last taken from.
    since: int


#: What is served, by name: no two objects of these repos share one.
Serving = Mapping[str, Held]


@dataclass(kw_only=True)
class Repo:
    """One commit: its documents by file, in their order."""

    files: dict[str, list[tuple[str, Version]]] = field(default_factory=dict)
    #: Files that still name their objects, and are no YAML.
    torn: set[str] = field(default_factory=set)
    #: Files that cannot be read.
    locked: set[str] = field(default_factory=set)

    def copy(self) -> Repo:
        files = {path: [*documents] for path, documents in self.files.items()}
        return Repo(files=files, torn={*self.torn}, locked={*self.locked})


@dataclass(frozen=True, kw_only=True)
class Commit:
    repo: Repo
    number: int
    #: The largest number of removals that somebody allowed since what is served.
    allowed: int
    old: Serving
    kinds: Mapping[str, str]

    # --- What can be seen

    @cached_property
    def seen(self) -> dict[str, list[tuple[str, Version]]]:
        """By name, in the order of the files: each file and what it says."""
        found: dict[str, list[tuple[str, Version]]] = {}
        for path in sorted(self.repo.files):
            if path not in self.repo.torn | self.repo.locked:
                for name, version in self.repo.files[path]:
                    found.setdefault(name, []).append((path, version))
        return found

    @cached_property
    def new(self) -> dict[str, Version]:
        return {name: places[0][1] for name, places in self.seen.items()}

    def may_be_hidden(self, name: str) -> bool:
        """A file that cannot be read may hold anything; a torn one what it names, and
        what was served from it."""
        return bool(self.repo.locked) or any(
            path == self.old[name].file or name in self._names(path)
            for path in self.repo.torn
        )

    def _is_expected(self, name: str) -> bool:
        """Where nothing can be read: so nobody is wrong to name it.

        What has another name now is not there, whatever cannot be read.
        """
        if any(version.renamed_from == name for version in self.new.values()):
            return False
        folders = {"Policy": "policy.yaml", "ScheduleTemplate": "templates"}
        kind = self.kinds[name]
        folder = folders.get(kind, f"{kind.lower()}s")
        return any(path.split("/")[0] == folder for path in self.repo.locked) or any(
            name in self._names(path) for path in self.repo.torn
        )

    def _names(self, path: str) -> set[str]:
        return {name for name, _ in self.repo.files[path]}

    # --- What may be served

    def usable(self, name: str) -> bool:
        """By itself, and by what else the commit holds."""
        version = self.new.get(name)
        return (
            version is not None
            and version.good
            and len(self.seen[name]) == 1
            and self._is_heir(version)
            and all(ref in self.new or self._is_expected(ref) for ref in version.refs)
        )

    def _is_heir(self, version: Version) -> bool:
        """Of a name that is gone, and alone in that."""
        former = version.renamed_from
        claims = [one.renamed_from for one in self.new.values()]
        return former is None or (former not in self.new and claims.count(former) == 1)

    @cached_property
    def heirs(self) -> dict[str, list[str]]:
        """By the name that each says it had before."""
        found: dict[str, list[str]] = {name: [] for name in self.old}
        for name, version in self.new.items():
            if version.renamed_from in found and name not in self.old:
                found[version.renamed_from].append(name)
        return found

    @cached_property
    def removed(self) -> set[str]:
        """Gone for good, if nothing speaks against it."""
        return {
            name
            for name in self.old
            if name not in self.new
            and not self.heirs[name]
            and not self.may_be_hidden(name)
        }

    @cached_property
    def stays(self) -> set[str]:
        """Of what is served: what no choice may lack."""
        there = {name for name in self.old if name in self.new}
        hidden = {
            name
            for name in self.old
            if self.may_be_hidden(name) and not self.heirs[name]
        }
        return there | hidden | (self.removed if self.removals_wait else set())

    @cached_property
    def removals_wait(self) -> bool:
        gone = len(self.removed)
        return gone > max(MOST, self.allowed) and gone > PART * len(self.old)

    # --- What is served

    def served(self) -> Serving:
        options = {name: [*self._options(name)] for name in {*self.new, *self.old}}
        open_ = sorted(name for name, some in options.items() if len(some) > 1)
        settled = {
            name: one for name, (one, *more) in options.items() if one and not more
        }
        choices = (
            settled
            | {name: one for name, one in zip(open_, picked, strict=True) if one}
            for picked in product(*(options[name] for name in open_))
        )
        good = [one for one in choices if self._is_closed(one) and self._keeps(one)]
        return max(good, key=self._score)

    def _options(self, name: str) -> Iterator[Held | None]:
        old = self.old.get(name)
        if self.usable(name):
            ((path, version),) = self.seen[name]
            yield Held(version=version, file=path, since=self.number)
            if old and old.version == version:
                return  # Whichever is chosen, it says the same.
        if old:
            yield old
        if name not in self.stays:
            yield None

    def _is_closed(self, choice: Serving) -> bool:
        return all(ref in choice for one in choice.values() for ref in one.version.refs)

    def _keeps(self, choice: Serving) -> bool:
        return all(self._keeps_one(name, choice) for name in self.old)

    def _keeps_one(self, name: str, choice: Serving) -> bool:
        """Nothing is lost, nor kept under an old name only because something new
        still uses that."""
        if name in self.stays:
            return name in choice
        heirs = self.heirs[name]
        if heirs and name not in choice and heirs[0] not in choice:
            return False
        needed = any(
            name in one.version.refs
            for one in choice.values()
            if one.since != self.number
        )
        doubly = name in choice and any(heir in choice for heir in heirs)
        return needed or not doubly

    def _score(self, choice: Serving) -> tuple[int, int]:
        news = [one for one in choice.values() if one.since == self.number]
        return len(news), -len(choice)
