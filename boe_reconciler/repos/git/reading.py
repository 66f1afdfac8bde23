"""A commit -> which files of it are read, and why others are not."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.plan.files import (
    CODE_OWNERS,
    FOLDERS,
    IS_LINK,
    MAX_BYTES,
    MAX_FILES,
    MAX_PATH,
    NO_FOLDER,
    POLICY_FILE,
    TOO_LARGE,
    clashes,
    is_ignored,
    is_resource_file,
    shown_path,
    wrong_path,
)
from boe_reconciler.repos._references import References
from boe_reconciler.repos.git.objects import (
    FOLDER,
    LINK,
    SUBMODULE,
    Contents,
    TreeEntry,
    list_lines,
    list_tree,
    tree_entry,
)
from boe_reconciler.repos.git.program import Git

#: Bytes of all files together.
MAX_TOTAL = 500_000_000
#: Modes of files; 100664 stands in trees of old.
_REGULAR = ("100644", "100755", "100664")
_IS_SUBMODULE = "it is a submodule"
#: How a file begins that stands for one that Git LFS keeps.
_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """Of one commit."""

    #: path -> blob id.
    files: Mapping[str, str]
    #: path -> why it cannot be read.
    unreadable: Mapping[str, str]
    #: blob id -> bytes.
    sizes: Mapping[str, int]
    #: blob id -> content, where it was read for the first time.
    fresh: Mapping[str, bytes]


def content_of(contents: Contents, files: Files, path: str) -> bytes:
    """The bytes of one of the files."""
    blob = files.files[path]
    content = files.fresh.get(blob)
    if content is None:
        content = contents.read({blob: files.sizes[blob]})[blob]
    if content.startswith(_LFS):
        raise InputError(f"{path} cannot be read: Git LFS keeps it elsewhere")
    return content


@dataclass(kw_only=True)
class Reader:
    """Reads commit after commit; remembers what it found out of unchanged files."""

    git: Git
    contents: Contents
    _references: References = field(default_factory=References)
    #: Each line of the last listing, and what it means.
    _listed: dict[bytes, _Seen] = field(default_factory=dict)

    def read(self, commit: str) -> Files:
        found = _Found()
        found.see(self._list(commit))
        self._judge_links(commit, found)
        found.leave_out(clashes(found.files))
        found.check_total()
        fresh = self._learn(found)
        self._references.forget_others(found.files)
        others = {*self._references.of(found.files), *CODE_OWNERS}
        self._take_others(commit, sorted(others.difference(found.unreadable)), found)
        found.check_total()
        return Files(
            files=found.files,
            unreadable=found.unreadable,
            sizes=found.sizes,
            fresh=fresh,
        )

    def _list(self, commit: str) -> Sequence[_Seen]:
        """All that the folders of resources hold."""
        before = self._listed
        lines = list_lines(self.git, commit, [*FOLDERS, POLICY_FILE], deep=True)
        self._listed = {
            line: before.get(line) or _seen(tree_entry(line)) for line in lines
        }
        return list(self._listed.values())

    def _judge_links(self, commit: str, found: _Found) -> None:
        """A link may hide YAML where it leads to a folder, or to who knows where."""
        short = {one.blob: one.size for one in found.links if one.size <= MAX_PATH}
        contents = self.contents.read(short)
        targets = {
            one: _target(one.path, os.fsdecode(contents.get(one.blob, b"")))
            for one in found.links
        }
        entries = self._entries(commit, [each for each in targets.values() if each])
        for link, target in targets.items():
            there = entries.get(target)
            is_folder = there is not None and there.mode == FOLDER
            if not target or is_folder or _leads_away(target, entries):
                found.refuse(link.path, IS_LINK)

    def _learn(self, found: _Found) -> dict[str, bytes]:
        """Look into the files that are new; their contents by blob id."""
        new = self._references.unknown(found.files)
        fresh = self.contents.read({blob: found.sizes[blob] for blob in new.values()})
        for path, blob in new.items():
            self._references.learn(path, blob, fresh[blob])
        return fresh

    def _take_others(self, commit: str, paths: Sequence[str], found: _Found) -> None:
        """Files beside the YAML; none of their folders may be a link either."""
        entries = self._entries(commit, paths)
        for path in paths:
            away = _leads_away(path, entries)
            if away is not None:
                found.refuse(path, _refusal(away))
            elif path in entries:
                found.take(entries[path], _refusal(entries[path]))

    def _entries(self, commit: str, paths: Sequence[str]) -> dict[str, TreeEntry]:
        """What stands at these paths, and at the folders above them."""
        asked = sorted({each for path in paths for each in _with_folders(path)})
        listed = list_tree(self.git, commit, asked, deep=False)
        return {entry.path: entry for entry in listed}


@dataclass(frozen=True, slots=True)
class _Seen:
    """What stands in a folder of resources."""

    entry: TreeEntry
    #: Whether it is to be read, or may hide something: only that counts.
    counts: bool
    #: Why it is not read.
    refusal: str
    #: A file that is read.
    plain: bool = False


def _seen(entry: TreeEntry) -> _Seen:
    """Only YAML counts, and what may hide some."""
    if any(map(is_ignored, entry.path.split("/")[1:])):
        return _Seen(entry, counts=False, refusal="")
    if is_resource_file(entry.path):
        refusal = _refusal(entry)
        return _Seen(entry, counts=True, refusal=refusal, plain=not refusal)
    if entry.mode == SUBMODULE:
        return _Seen(entry, counts=True, refusal=_IS_SUBMODULE)
    if entry.path in FOLDERS and entry.mode != LINK:
        return _Seen(entry, counts=True, refusal=NO_FOLDER)
    return _Seen(entry, counts=entry.mode == LINK, refusal="")


@dataclass(kw_only=True, slots=True)
class _Found:
    files: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    #: Beside the YAML; where they lead decides whether they are told.
    links: list[TreeEntry] = field(default_factory=list)

    def see(self, every: Sequence[_Seen]) -> None:
        plain = [one.entry for one in every if one.plain]
        self.files = {entry.path: entry.blob for entry in plain}
        self.sizes = {entry.blob: entry.size for entry in plain}
        self._check_limits()
        for one in every:
            if one.counts and not one.plain:
                self._see_odd(one)

    def _see_odd(self, seen: _Seen) -> None:
        if seen.entry.mode == LINK and not seen.refusal:
            self.links.append(seen.entry)
        else:
            self.take(seen.entry, seen.refusal)

    def take(self, entry: TreeEntry, refusal: str) -> None:
        if refusal:
            self.refuse(entry.path, refusal)
        else:
            self.files[entry.path] = entry.blob
            self.sizes[entry.blob] = entry.size
        self._check_limits()

    def refuse(self, path: str, why: str) -> None:
        self.unreadable[shown_path(path)] = why

    def leave_out(self, reasons: Mapping[str, str]) -> None:
        for path, why in reasons.items():
            del self.files[path]
            self.refuse(path, why)

    def check_total(self) -> None:
        """InputError where a revision is larger than anybody means it to be."""
        if sum(self.sizes.values()) > MAX_TOTAL:
            raise InputError(
                f"The files that BOE reads have more than {MAX_TOTAL:,} bytes.",
                "Remove what does not belong there, or split the repo.",
            )

    def _check_limits(self) -> None:
        if len(self.files) + len(self.unreadable) > MAX_FILES:
            raise InputError(
                f"The revision holds more than {MAX_FILES:,} YAML files.",
                "Remove what does not belong there, or split the repo.",
            )


def _refusal(entry: TreeEntry) -> str:
    """Why it is not read; empty where it is."""
    if entry.mode == LINK:
        return IS_LINK
    if entry.mode == SUBMODULE:
        return _IS_SUBMODULE
    if entry.mode not in _REGULAR:
        return "it is not a regular file"
    if entry.size > MAX_BYTES:
        return TOO_LARGE
    return wrong_path(entry.path)


def _with_folders(path: str) -> list[str]:
    """a, a/b, a/b/c of a/b/c."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _leads_away(path: str, entries: Mapping[str, TreeEntry]) -> TreeEntry | None:
    """A link or a submodule at a path, or at one of the folders above it."""
    way = (entries[each] for each in _with_folders(path) if each in entries)
    return next((entry for entry in way if entry.mode in (LINK, SUBMODULE)), None)


def _target(path: str, link: str) -> str:
    """Where a link at `path` leads, from the root; empty: to it, or who knows where."""
    if link.startswith("/") or "\0" in link:
        return ""
    folders = path.split("/")[:-1]
    for part in link.split("/"):
        if part == ".." and not folders:
            return ""
        if part == "..":
            folders.pop()
        elif part not in ("", "."):
            folders.append(part)
    return "/".join(folders) if link else ""
