"""One address for another, in the files: nothing else in them changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.addresses import address_flaw
from boe_reconciler.core.people import People, Use
from boe_reconciler.core.plan import PlanCache, make_plan
from boe_reconciler.core.plan.reading import read, with_files
from boe_reconciler.core.problems import Problem
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.core.wording import sentence

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One line that changes."""

    file: str
    #: 1-based.
    line: int
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Replacement:
    #: path -> its bytes as they would be.
    files: Mapping[str, bytes]
    edits: Sequence[Edit]
    #: Where the older address would still be used.
    left: Sequence[Use]
    #: Uses that would be none of the newer address.
    lost: Sequence[Use]
    #: Errors that were not there before.
    problems: Sequence[Problem]
    #: Uses of the newer address that stand beside one it had already.
    doubled: Sequence[Use]

    @property
    def sound(self) -> bool:
        return not (self.left or self.lost or self.problems)


def people_of(snapshot: Snapshot, now: datetime) -> People:
    documents = [entry.document for entry in read(snapshot, PlanCache()).entries]
    return People(documents=documents, read=snapshot.read, today=now.date())


def replacement(
    snapshot: Snapshot, old: str, new: str, *, now: datetime
) -> Replacement:
    """What it takes to put `new` wherever `old` is used; InputError for no address."""
    flaw = address_flaw(new)
    if flaw:
        raise InputError(sentence(flaw))
    before = people_of(snapshot, now)
    spans = _spans(_used(before, old))
    files = {
        path: _edited(snapshot.read(path), each, new) for path, each in spans.items()
    }
    changed = with_files(snapshot, files)
    after = people_of(changed, now)
    return Replacement(
        files=files,
        edits=[edit for path in files for edit in _edits(path, snapshot, files[path])],
        left=[use for use in _used(after, old) if use.address != new],
        lost=_missing(_used(before, old), _used(after, new)),
        problems=_fresh(snapshot, changed, now),
        doubled=_doubled(_used(before, new), _used(after, new)),
    )


def _used(people: People, address: str) -> list[Use]:
    return [use for use in people.of(address) if use.role != "mentioned"]


#: (start, end) in a file's text, from its end to its beginning.
_Spans = Sequence[tuple[int, int]]


def _spans(uses: Sequence[Use]) -> dict[str, _Spans]:
    found: dict[str, set[tuple[int, int]]] = {}
    for use in uses:
        if use.span:
            found.setdefault(use.spot.source.filename, set()).add(use.span)
    return {path: sorted(spans, reverse=True) for path, spans in sorted(found.items())}


def _edited(content: bytes, spans: _Spans, new: str) -> bytes:
    text = content.decode("utf-8-sig")
    for start, end in spans:
        text = f"{text[:start]}{new}{text[end:]}"
    return (_BOM if content.startswith(_BOM) else b"") + text.encode()


def _edits(path: str, snapshot: Snapshot, content: bytes) -> list[Edit]:
    old = snapshot.read(path).decode("utf-8-sig").splitlines()
    new = content.decode("utf-8-sig").splitlines()
    lines = enumerate(zip(old, new, strict=True), 1)
    return [
        Edit(file=path, line=number, before=was, after=will)
        for number, (was, will) in lines
        if was != will
    ]


def _missing(old: Sequence[Use], new: Sequence[Use]) -> list[Use]:
    """Uses that the files no longer have, though only an address was to change."""
    there = Counter(map(_what, new))
    gone = Counter(map(_what, old)) - there
    return [use for use in old if _what(use) in gone]


def _doubled(old: Sequence[Use], new: Sequence[Use]) -> list[Use]:
    had, has = Counter(map(_what, old)), Counter(map(_what, new))
    return [use for use in new if 0 < had[_what(use)] < has[_what(use)]]


def _what(use: Use) -> tuple[object, ...]:
    place = use.spot.source.filename
    return use.role, use.kind, use.name, use.destination, use.through, place


def _fresh(snapshot: Snapshot, changed: Snapshot, now: datetime) -> list[Problem]:
    """Errors of the changed files that were not there before, wherever they stood."""
    known = Counter(map(_about, _errors(snapshot, now)))
    found = []
    for problem in _errors(changed, now):
        if known[_about(problem)]:
            known[_about(problem)] -= 1
        else:
            found.append(problem)
    return found


def _errors(snapshot: Snapshot, now: datetime) -> list[Problem]:
    plan = make_plan(snapshot, served=None, now=now)
    return [each for each in plan.problems if each.severity == "error"]


def _about(problem: Problem) -> tuple[object, ...]:
    return (
        problem.code,
        problem.kind,
        problem.name,
        problem.path,
        problem.range.filename,
    )
