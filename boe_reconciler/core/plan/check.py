"""Looking at one object: what is wrong with it, and what it refers to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace
from datetime import datetime
from typing import Any

from boe_reconciler.core.errors import BoeError
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.language.load import problem_at
from boe_reconciler.core.language.places import Document, Source
from boe_reconciler.core.language.texts import TextFinding
from boe_reconciler.core.language.within import within
from boe_reconciler.core.plan.files import in_repo
from boe_reconciler.core.plan.policy import Judge
from boe_reconciler.core.plan.world import HIDDEN, MISSING, Entry, Key, Verdict, World
from boe_reconciler.core.problems import Path, Problem, Range
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.others import PolicySpec

#: Kinds that see Connections as they stand: an Environment is laid over those.
_BEFORE_OVERLAYS = ("Connection", "Environment")


@dataclass(kw_only=True, eq=False)
class Check:
    """Collects what the checks of one object find."""

    entry: Entry
    world: World
    #: The Policy by which a run is limited.
    policy: PolicySpec
    #: None: nothing is judged, since what is served already was judged before.
    judge: Judge | None
    now: datetime
    #: The object's document; a Schedule's is laid over its template's.
    document: Document
    #: Whether Problems are all that is asked for, and nothing is planned.
    only_problems: bool = False
    problems: list[Problem] = field(default_factory=list)
    blocked_by: Key | None = None
    lookups: dict[Key, object] = field(default_factory=dict)
    files: dict[str, bytes | None] = field(default_factory=dict)
    #: What others need of it; None: it, or what it needs, cannot be used.
    product: Any = None

    @property
    def faulty(self) -> bool:
        found = self.problems
        return bool(found) and any(one.severity == "error" for one in found)

    # What is found.

    def find(self, findings: Iterable[Finding], at: Path = ()) -> None:
        """Findings whose paths are below `at`."""
        for finding in findings:
            placed = replace(finding, path=(*at, *finding.path))
            self.problems.append(problem_at(self.document, placed))

    def add(self, code: str, path: Path, detail: str, todo: str = "") -> None:
        self.find([Finding(code=code, path=path, detail=detail, help=todo)])

    def find_in_text(self, findings: Iterable[TextFinding], path: Path) -> None:
        """Findings in the text at `path`, each where it stands in that text."""
        for found in findings:
            part = self.document.part(path)
            problem = problem_at(self.document, _finding(found, path))
            part = self.document.part(path)
            place = within(part, found.offset, found.length) if part else problem.range
            self.problems.append(replace(problem, range=place))

    def find_in_file(
        self, findings: Iterable[TextFinding], path: Path, source: Source
    ) -> None:
        """Findings in a file that the field at `path` names."""
        for found in findings:
            problem = problem_at(self.document, _finding(found, path))
            end = found.offset + found.length
            place = source.range(found.offset, end)
            self.problems.append(replace(problem, range=place))

    # What it refers to.

    def use(self, kind: str, name: str, path: Path) -> Any:
        """What others need of an object (its Resource, …); None where it cannot be had.

        A name that leads nowhere is a Problem at `path`; an object that has Problems
        itself is not told again.
        """
        found = self.look_up((kind, name))
        if isinstance(found, Verdict):
            if not found.good:
                self.blocked_by = self.blocked_by or (kind, name)
                return None
            return self._as_it_is_there(kind, name, found.product)
        if isinstance(found, Entry):
            return found.resource
        if found == HIDDEN:
            self.blocked_by = self.blocked_by or (kind, name)
        else:
            todo = self.world.missing.todo(kind, name)
            self.add("BOE100", path, f'there is no {kind} "{name}"', todo)
        return None

    def _as_it_is_there(self, kind: str, name: str, product: Any) -> Any:
        """A Connection is that of the Environment; without one it cannot be used."""
        key = self.world.environment
        if kind != "Connection" or key is None or self.entry.kind in _BEFORE_OVERLAYS:
            return product
        found = self.look_up(key)
        if not isinstance(found, Verdict) or not found.good:
            self.blocked_by = self.blocked_by or key
            return None
        return found.product.connections.get(name, product)

    def look_up(self, key: Key) -> Verdict | Entry | str:
        found = self.world.look_up(key, self.entry.kind)
        self.lookups[key] = found
        return found

    def knows(self, kind: str, name: str) -> bool:
        """Whether there is such an object, whatever its state."""
        return self.look_up((kind, name)) != MISSING

    def file(
        self, reference: str, path: Path, *, from_root: bool = False
    ) -> tuple[str, bytes] | None:
        """(path from the root, bytes) of the file that the field at `path` names.

        References are relative to the document's file, or else to the root.
        """
        home = "" if from_root else self.document.file(path)
        target, wrong = in_repo(home, reference)
        if wrong:
            todo = "write a path from the YAML file, such as sales.sql"
            self.add("BOE104", path, f'"{reference}": {wrong}', todo)
            return None
        self.files[target] = None
        try:
            content = self.world.read(target, self.entry)
        except BoeError as error:
            self.add("BOE103", path, error.message.removesuffix("."), error.help)
            return None
        self.files[target] = content
        return target, content

    def verdict(self, context: object) -> Verdict:
        faulty, product = self.faulty, self.product
        return Verdict(
            entry=self.entry,
            problems=tuple(self.problems),
            blocked_by=self.blocked_by,
            product=product,
            lookups=self.lookups,
            context=context,
            files=self.files,
            stamps={path: self.world.stamp(path) for path in self.files},
            faulty=faulty,
            good=not faulty and self.blocked_by is None and product is not None,
        )


def overlap(one: Range, other: Range) -> bool:
    if one.filename != other.filename:
        return False
    return one.start == other.start or (one.start < other.end and other.start < one.end)


def _finding(found: TextFinding, path: Path) -> Finding:
    return Finding(
        code=found.code,
        path=path,
        detail=found.detail,
        help=found.help,
        severity=found.severity,
    )
