"""A commit -> which files of it are read, and why others are not."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.maps import but
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
    Alike,
    alike,
    clashes,
    is_ignored,
    is_resource_file,
    kind_of_path,
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
    changed_paths,
    list_tree,
)
from boe_reconciler.repos.git.program import Git

#: Paths that are listed one by one; of more, all are.
_FEW = 200
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
    #: path -> bytes.
    sizes: Mapping[str, int]
    #: blob id -> content, where it was read for the first time.
    fresh: Mapping[str, bytes]


def content_of(contents: Contents, files: Files, path: str) -> bytes:
    """The bytes of one of the files."""
    blob = files.files[path]
    content = files.fresh.get(blob)
    if content is None:
        content = contents.read({blob: files.sizes[path]})[blob]
    if content.startswith(_LFS):
        raise InputError(f"{path} cannot be read: Git LFS keeps it elsewhere")
    return content


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


#: What stands at a path, and why that is not read; None: nothing does.
_There = tuple[TreeEntry, str] | None


@dataclass(kw_only=True, slots=True)
class _Beside:
    """What stands at paths beside the YAML, in the commit that was listed last."""

    known: dict[str, _There] = field(default_factory=dict)
    #: The folders above them.
    folders: set[str] = field(default_factory=set)

    def forget(self, touched: Collection[str] | None = None) -> None:
        """What may be another now: where it is, or was, a link or the like that stands
        above some of them, as well as where nobody knows, that is all."""
        if touched is None or not self.folders.isdisjoint(touched):
            self.known.clear()
            self.folders.clear()
            return
        for path in touched:
            # It may be what makes a folder of what stands above it.
            for each in _with_folders(path):
                self.known.pop(each, None)

    def learn(self, path: str, entries: Mapping[str, TreeEntry]) -> None:
        entry = _leads_away(path, entries) or entries.get(path)
        self.known[path] = (entry, _refusal(entry)) if entry else None
        self.folders.update(_with_folders(path)[:-1])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Listed:
    """The folders of resources in one commit; in the beginning in none."""

    commit: str = ""
    #: Of the files that are read: path -> blob id, and bytes.
    files: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    alike: Alike = field(default_factory=dict)
    #: What counts and is none of them.
    odd: Mapping[str, _Seen] = field(default_factory=dict)

    def but(self, commit: str, seen: Iterable[_Seen], gone: Collection[str]) -> _Listed:
        """Another commit, which has these instead of what stands at `gone`."""
        counting = {one.entry.path: one for one in seen if one.counts}
        plain = {path: one.entry for path, one in counting.items() if one.plain}
        odd = {path: one for path, one in counting.items() if not one.plain}
        blobs = {path: entry.blob for path, entry in plain.items()}
        sizes = {path: entry.size for path, entry in plain.items()}
        return _Listed(
            commit=commit,
            files=but(self.files, gone=gone, new=blobs),
            sizes=but(self.sizes, gone=gone, new=sizes),
            alike=alike(
                self.alike,
                gone=[path for path in gone if path in self.files],
                new=plain,
            ),
            odd=but(self.odd, gone=gone, new=odd),
        )

    def found(self) -> _Found:
        found = _Found(files=self.files, sizes=self.sizes)
        found.check_limits()
        for path in sorted(self.odd):
            found.see_odd(self.odd[path])
        return found


@dataclass(kw_only=True)
class Reader:
    """Reads commit after commit; remembers what it found out of unchanged files."""

    git: Git
    contents: Contents
    _references: References = field(default_factory=References)
    _listed: _Listed = field(default_factory=_Listed)
    _beside: _Beside = field(default_factory=_Beside)

    def read(self, commit: str) -> Files:
        before, self._listed = self._listed, _Listed()
        listed = self._list(before, commit)
        found = listed.found()
        self._judge_links(commit, found)
        found.leave_out(clashes(listed.alike, listed.files))
        found.check_total()
        fresh = self._learn(found)
        self._references.forget_others(found.files)
        others = {*self._references.of(found.files), *CODE_OWNERS}
        self._take_others(commit, sorted(others.difference(found.unreadable)), found)
        found.check_total()
        # Only what was read to its end is remembered.
        self._listed = listed
        return Files(
            files=found.files,
            unreadable=found.unreadable,
            sizes=found.sizes,
            fresh=fresh,
        )

    def _list(self, before: _Listed, commit: str) -> _Listed:
        """All that the folders of resources hold."""
        touched = self._touched(before.commit, commit)
        self._beside.forget(touched)
        if touched is None:
            before, ours = _Listed(), [*FOLDERS, POLICY_FILE]
        else:
            ours = [path for path in touched if kind_of_path(path)]
        entries = list_tree(self.git, commit, ours, deep=True)
        return before.but(commit, map(_seen, entries), gone=ours)

    def _touched(self, before: str, commit: str) -> Collection[str] | None:
        """Paths at which they differ; None: anything may, as where nothing is before."""
        if before == commit:
            return ()
        found = changed_paths(self.git, before, commit) if before else None
        return found if found is not None and len(found) <= _FEW else None

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
        sizes = {blob: found.sizes[path] for path, blob in new.items()}
        fresh = self.contents.read(sizes)
        for path, blob in new.items():
            self._references.learn(path, blob, fresh[blob])
        return fresh

    def _take_others(self, commit: str, paths: Sequence[str], found: _Found) -> None:
        """Files beside the YAML; none of their folders may be a link either."""
        known = self._beside.known
        unknown = [path for path in paths if path not in known]
        entries = self._entries(commit, unknown)
        for path in unknown:
            self._beside.learn(path, entries)
        there = {path: one for path in paths if (one := known[path])}
        found.take({p: one for p, (one, why) in there.items() if not why})
        for path, (_, why) in there.items():
            if why:
                found.refuse(path, why)

    def _entries(self, commit: str, paths: Sequence[str]) -> dict[str, TreeEntry]:
        """What stands at these paths, and at the folders above them."""
        asked = sorted({each for path in paths for each in _with_folders(path)})
        listed = list_tree(self.git, commit, asked, deep=False)
        return {entry.path: entry for entry in listed}


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
    #: path -> blob id, and bytes.
    files: Mapping[str, str]
    sizes: Mapping[str, int]
    unreadable: dict[str, str] = field(default_factory=dict)
    #: Beside the YAML; where they lead decides whether they are told.
    links: list[TreeEntry] = field(default_factory=list)

    def see_odd(self, seen: _Seen) -> None:
        if seen.entry.mode == LINK and not seen.refusal:
            self.links.append(seen.entry)
        else:
            self.refuse(seen.entry.path, seen.refusal)

    def take(self, entries: Mapping[str, TreeEntry]) -> None:
        if entries:
            blobs = {path: entry.blob for path, entry in entries.items()}
            sizes = {path: entry.size for path, entry in entries.items()}
            self.files = but(self.files, gone=(), new=blobs)
            self.sizes = but(self.sizes, gone=(), new=sizes)
            self.check_limits()

    def refuse(self, path: str, why: str) -> None:
        self.unreadable[shown_path(path)] = why
        self.check_limits()

    def leave_out(self, reasons: Mapping[str, str]) -> None:
        if reasons:
            self.files = but(self.files, gone=reasons, new={})
            self.sizes = but(self.sizes, gone=reasons, new={})
        for path, why in reasons.items():
            self.refuse(path, why)

    def check_total(self) -> None:
        """InputError where a revision is larger than anybody means it to be."""
        if sum(self.sizes.values()) > MAX_TOTAL:
            raise InputError(
                f"The files that BOE reads have more than {MAX_TOTAL:,} bytes.",
                "Remove what does not belong there, or split the repo.",
            )

    def check_limits(self) -> None:
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
