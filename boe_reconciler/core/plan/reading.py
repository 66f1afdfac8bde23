"""A Snapshot -> the versions of objects that its files hold, and what they may hide."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.documents import read_documents, unreadable
from boe_reconciler.core.language.load import load_resource
from boe_reconciler.core.language.places import Document
from boe_reconciler.core.plan.code_owners import CodeOwners, code_owners
from boe_reconciler.core.plan.files import (
    CODE_OWNERS,
    POLICY_FILE,
    blob_id,
    is_resource_file,
    kind_of_path,
    referenced_files,
)
from boe_reconciler.core.plan.policy import Judge, judge_of
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


@dataclass(kw_only=True, slots=True)
class PlanCache:
    """What one plan learnt and the next need not learn again."""

    #: path -> what the file holds.
    files: dict[str, Loaded] = field(default_factory=dict)
    #: The served version of objects that fell back to it.
    served: dict[Key, Entry] = field(default_factory=dict)
    #: The one of the last plan: while it is the same, so are its judgements.
    judge: Judge | None = None
    code_owners: CodeOwners | None = None

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a revision holds."""

    entries: Sequence[Entry]
    problems: Sequence[Problem]
    hidden: Sequence[Hidden]

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


def read(snapshot: Snapshot, cache: PlanCache) -> Reading:
    """Every YAML file, in the order of their paths; unchanged ones come from the cache."""
    files: dict[str, Loaded] = {}
    for path, blob in sorted(snapshot.files.items()):
        known = cache.files.get(path)
        if known and known.blob == blob:
            files[path] = known
        elif is_resource_file(path):
            files[path] = _load(path, blob, snapshot.read)
    found = list(files.values())
    # What could not be read is tried again.
    cache.files = {path: each for path, each in files.items() if each.entries}
    if snapshot.unreadable:
        found += _unreadable(snapshot, found)
    return Reading(
        entries=[entry for each in found for entry in each.entries],
        problems=[problem for each in found for problem in each.problems],
        hidden=[hidden for each in found for hidden in each.hidden],
    )


def _load(path: str, blob: str, read_file: Callable[[str], bytes]) -> Loaded:
    try:
        content = read_file(path)
    except InputError as error:
        return _unread(path, error.message)
    documents, problems = read_documents(path, content)
    text = content.decode(errors="replace")
    hidden = [
        _anonymous(path, text, problem.kind, problem.name)
        for problem in problems
        if problem.severity == "error"
    ]
    entries, stray = [], []
    for document in documents:
        entry = entry_of(document)
        if entry is not None:
            entries.append(entry)
        else:
            hidden.append(_anonymous(path, text, document.kind, document.name))
            stray += load_resource(document)[1]
    known = {entry.key for entry in entries}
    return Loaded(
        blob=blob,
        entries=entries,
        problems=[*problems, *stray],
        hidden=[each for each in hidden if each.known not in known],
    )


def _anonymous(path: str, text: str, kind: str | None, name: str | None) -> Hidden:
    """A document of which only a Problem is left; what is no kind may be a misspelt one."""
    kind = kind if kind in KINDS else None
    return Hidden(path=path, kind=kind, name=name, text=text)


def _unreadable(snapshot: Snapshot, found: Sequence[Loaded]) -> list[Loaded]:
    """YAML files, and folders that may hold some.

    A file that is only referred to is told where it is named; CODEOWNERS where it is
    missed.
    """
    documents = [entry.document for each in found for entry in each.entries]
    referred = {*CODE_OWNERS} | {
        target
        for document in documents
        for target in referenced_files(document.filename, document.data)
    }
    return [
        _unread(path, reason)
        for path, reason in sorted(snapshot.unreadable.items())
        if is_resource_file(path) or path not in referred
    ]


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
