"""A Snapshot -> the versions of objects that its files hold, and what they may hide."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import field, replace
from operator import attrgetter
from typing import Any

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.documents import (
    documents_of,
    unreadable,
    values_of,
)
from boe_reconciler.core.language.load import load_resource
from boe_reconciler.core.language.places import Document
from boe_reconciler.core.maps import but, differing
from boe_reconciler.core.plan.code_owners import CodeOwners, code_owners
from boe_reconciler.core.plan.evaluate import Judged
from boe_reconciler.core.plan.files import (
    CODE_OWNERS,
    POLICY_FILE,
    blob_id,
    is_resource_file,
    kind_of_path,
    referenced_files,
)
from boe_reconciler.core.plan.outcome import Outcome
from boe_reconciler.core.plan.policy import Judge, judge_of
from boe_reconciler.core.plan.spread import Spread, alone
from boe_reconciler.core.plan.world import Entry, Key, entry_of, served_entry
from boe_reconciler.core.problems import Problem
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.envelope import KINDS
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.core.spec import ServedObject


@dataclass(frozen=True, kw_only=True, slots=True)
class Hidden:
    """A document, or a whole file, that does not say what it describes."""

    path: str
    kind: str | None = None
    name: str | None = None
    #: Its file's text; None: not even that is known.
    text: str | None = None

    def may_hold(self, key: Key) -> bool:
        """Whether the object may be there: it must not be taken as deleted."""
        kind, name = key
        if self.text is None or (kind == "Policy" and self.path == POLICY_FILE):
            return True
        if self.kind not in (None, kind):
            return False
        if self.name is not None:
            return self.name == name
        word = rf"(?<![-\w]){re.escape(name)}(?![-\w])"
        return re.search(word, self.text) is not None

    def seems_to_hold(self, key: Key) -> bool:
        """Whether it is to be expected there: then it is no Problem of those who name it."""
        if self.text is None:
            return kind_of_path(self.path) == key[0]
        return self.may_hold(key)

    @property
    def known(self) -> Key | None:
        """Which object it is, if that could be read."""
        return (self.kind, self.name) if self.kind and self.name else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What one file holds."""

    blob: str = ""
    entries: Sequence[Entry] = ()
    problems: Sequence[Problem] = ()
    hidden: Sequence[Hidden] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a revision holds; in the beginning nothing."""

    #: All that there is: path -> blob id.
    paths: Mapping[str, str] = field(default_factory=dict)
    #: path -> what a file holds that holds something.
    files: Mapping[str, Loaded] = field(default_factory=dict)
    #: Those of which there is something to tell.
    odd: Mapping[str, Loaded] = field(default_factory=dict)
    #: Files that do not say what they hold, and what cannot be read.
    unread: Mapping[str, Loaded] = field(default_factory=dict)
    #: One version of each object, the first; there is one Policy, whatever its name.
    first: Mapping[Key, Entry] = field(default_factory=dict)
    policy: Entry | None = None
    #: The further ones, in the order of their places.
    others: Sequence[Entry] = ()
    #: Of the first ones: those that had another name, and how many Schedules each owner has.
    heirs: Mapping[Key, Entry] = field(default_factory=dict)
    owners: Mapping[str, int] = field(default_factory=dict)

    @property
    def entries(self) -> Sequence[Entry]:
        return sorted([*self.first.values(), *self.others], key=attrgetter("place"))

    @property
    def problems(self) -> Sequence[Problem]:
        return [problem for each in self._told for problem in each.problems]

    @property
    def hidden(self) -> Sequence[Hidden]:
        return [hidden for each in self._told for hidden in each.hidden]

    @property
    def _told(self) -> list[Loaded]:
        found = {**self.odd, **self.unread}
        return [found[path] for path in sorted(found)]

    def rival(self, entry: Entry) -> Entry | None:
        """The first of its name."""
        return self.policy if entry.kind == "Policy" else self.first.get(entry.key)

    def may_hide(self, key: Key, file: str) -> bool:
        """Whether an object that was served from `file` may still be somewhere.

        What cannot be read in its own file may well be the object, cut off.
        """
        return any(
            each.may_hold(key) or (each.path == file and each.known is None)
            for each in self.hidden
        )

    def seems_to_hide(self, key: Key) -> bool:
        return any(each.seems_to_hold(key) for each in self.hidden)


@dataclass(kw_only=True, slots=True)
class PlanCache:
    """What one plan learnt and the next need not learn again."""

    #: What the last revision held.
    reading: Reading = field(default_factory=Reading)
    #: The served version of objects that fell back to it.
    served: dict[Key, Entry] = field(default_factory=dict)
    #: The one of the last plan: while it is the same, so are its judgements.
    judge: Judge | None = None
    code_owners: CodeOwners | None = None
    #: The last revision, and what was served of it; None while that is looked at.
    revision: Judged | None = None
    chosen: Judged | None = None
    outcome: Outcome = field(default_factory=Outcome)

    def entry(self, served: ServedObject) -> Entry:
        key = (served.kind, served.name)
        known = self.served.get(key)
        if known is None or known.served != served:
            self.served[key] = known = served_entry(served)
        return known

    def judge_by(self, document: Document | None, shown: Document | None) -> Judge:
        known = self.judge
        if known is None or known.document is not document or known.shown is not shown:
            self.judge = known = judge_of(document, shown)
        return known

    def code_owners_of(self, snapshot: Snapshot) -> CodeOwners:
        self.code_owners = code_owners(snapshot, self.code_owners)
        return self.code_owners


def read(snapshot: Snapshot, cache: PlanCache, spread: Spread = alone) -> Reading:
    """Every YAML file; what has not changed since the last Reading is taken from it."""
    cache.reading = reading = _read_on(cache.reading, snapshot, spread)
    if not snapshot.unreadable:
        return reading
    unread = {**reading.unread, **_unreadable(snapshot, reading)}
    return replace(reading, unread=unread)


def _read_on(last: Reading, snapshot: Snapshot, spread: Spread) -> Reading:
    """What could not be read is tried again."""
    paths = differing(last.paths, snapshot.files)
    touched = {p for p in paths if last.paths.get(p) != snapshot.files.get(p)}
    touched |= last.unread.keys()
    loaded = _loaded(
        [
            path
            for path in sorted(touched)
            if path in snapshot.files and is_resource_file(path)
        ],
        snapshot,
        spread,
    )
    holding = {path: one for path, one in loaded.items() if one.entries}
    odd = {p: one for p, one in holding.items() if one.problems or one.hidden}
    before = (last.files[path] for path in touched if path in last.files)
    return replace(
        _sorted_out(
            last,
            {entry for each in before for entry in each.entries},
            [entry for each in holding.values() for entry in each.entries],
        ),
        paths=snapshot.files,
        files=but(last.files, gone=touched, new=holding),
        odd=but(last.odd, gone=touched, new=odd),
        unread={path: one for path, one in loaded.items() if not one.entries},
    )


# --- Which of several is the one ------------------------------------------------------

_POLICY = ("Policy", "")


def _name(entry: Entry) -> Key:
    """What no two may share."""
    return _POLICY if entry.kind == "Policy" else entry.key


def _sorted_out(
    last: Reading, gone: AbstractSet[Entry], new: Sequence[Entry]
) -> Reading:
    """Who is the first of each name, once these are gone and there are those."""
    looked = {_name(one): last.rival(one) for one in (*gone, *new)}
    before = [one for one in looked.values() if one]
    rivals: dict[Key, list[Entry]] = {}
    for one in (*before, *last.others, *new):
        if one not in gone and _name(one) in looked:
            rivals.setdefault(_name(one), []).append(one)
    first = [min(several, key=_precedence) for several in rivals.values()]
    losers = {one for several in rivals.values() for one in several}.difference(first)
    others = [one for one in last.others if _name(one) not in looked]
    policies = [one for one in first if one.kind == "Policy"]
    was = [one.key for one in before]
    return Reading(
        first=but(last.first, gone=was, new={one.key: one for one in first}),
        policy=next(iter(policies), None) if _POLICY in looked else last.policy,
        others=sorted([*others, *losers], key=attrgetter("place")),
        heirs=but(
            last.heirs,
            gone=was,
            new={one.key: one for one in first if one.renamed_from is not None},
        ),
        owners=_counted(last.owners, before, first),
    )


def _precedence(entry: Entry) -> tuple[bool, str, int]:
    """A Policy elsewhere does no harm to that in policy.yaml."""
    strays = entry.kind == "Policy" and entry.document.filename != POLICY_FILE
    return (strays, *entry.place)


def _counted(
    before: Mapping[str, int], gone: Iterable[Entry], new: Iterable[Entry]
) -> Mapping[str, int]:
    owners = Counter(before)
    owners.subtract(_owners(gone))
    owners.update(_owners(new))
    return +owners


def _owners(entries: Iterable[Entry]) -> list[str]:
    owners = (one.owner for one in entries if one.kind == "Schedule")
    return [owner for owner in owners if owner]


# --- One file -------------------------------------------------------------------------


def _loaded(
    paths: Sequence[str], snapshot: Snapshot, spread: Spread
) -> dict[str, Loaded]:
    loaded, contents = {}, {}
    for path in paths:
        try:
            contents[path] = snapshot.read(path)
        except InputError as error:
            loaded[path] = _unread(path, error.message)
    values = spread(_values, [*contents.values()])
    for (path, content), found in zip(contents.items(), values, strict=True):
        loaded[path] = _load(path, snapshot.files[path], content, found)
    return loaded


def _values(contents: Sequence[bytes]) -> list[list[Any] | None]:
    return [values_of(content) for content in contents]


def _load(path: str, blob: str, content: bytes, values: list[Any] | None) -> Loaded:
    documents, problems = documents_of(path, content, values)
    found = [(document, entry_of(document)) for document in documents]
    entries = [entry for _, entry in found if entry]
    if not problems and len(entries) == len(found):
        return Loaded(blob=blob, entries=entries)
    text = content.decode(errors="replace")
    nameless = [document for document, entry in found if entry is None]
    flawed = [problem for problem in problems if problem.severity == "error"]
    hidden = [_anonymous(path, text, one.kind, one.name) for one in flawed + nameless]
    known = {entry.key for entry in entries}
    return Loaded(
        blob=blob,
        entries=entries,
        problems=[*problems, *(p for one in nameless for p in load_resource(one)[1])],
        hidden=[each for each in hidden if each.known not in known],
    )


def _anonymous(path: str, text: str, kind: str | None, name: str | None) -> Hidden:
    """A document of which only a Problem is left; what is no kind may be a misspelt one."""
    kind = kind if kind in KINDS else None
    return Hidden(path=path, kind=kind, name=name, text=text)


def _unreadable(snapshot: Snapshot, reading: Reading) -> dict[str, Loaded]:
    """YAML files, and folders that may hold some.

    A file that is only referred to is told where it is named; CODEOWNERS where it is
    missed.
    """
    others = {path for path in snapshot.unreadable if not is_resource_file(path)}
    others -= {*CODE_OWNERS}
    if others:
        others -= _referred(reading.entries)
    return {
        path: _unread(path, reason)
        for path, reason in snapshot.unreadable.items()
        if is_resource_file(path) or path in others
    }


def _referred(entries: Iterable[Entry]) -> set[str]:
    documents = [entry.document for entry in entries]
    return {
        target
        for document in documents
        for target in referenced_files(document.filename, document.data)
    }


def _unread(path: str, reason: str) -> Loaded:
    return Loaded(problems=[unreadable(path, reason)], hidden=[Hidden(path=path)])


def with_files(snapshot: Snapshot, files: Mapping[str, bytes]) -> Snapshot:
    """The snapshot as it would be with these files."""
    ids = {path: blob_id(content) for path, content in files.items()}
    return replace(
        snapshot,
        files={**snapshot.files, **ids},
        read=lambda path: files[path] if path in files else snapshot.read(path),
    )
