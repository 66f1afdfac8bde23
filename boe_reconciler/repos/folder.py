"""A plain folder as a repo: read as it stands, watched for changes."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from boe_reconciler.core.errors import InputError, Temporary
from boe_reconciler.core.plan.files import (
    CODE_OWNERS,
    FOLDERS,
    IS_LINK,
    MAX_BYTES,
    MAX_FILES,
    NO_FOLDER,
    POLICY_FILE,
    alike,
    blob_id,
    clashes,
    is_ignored,
    is_resource_file,
    shown_path,
    wrong_path,
)
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.repos._references import References
from boe_reconciler.repos._watch import Watcher

#: What a file is recognised by, without reading it: times, size, inode.
_Stamp = tuple[int, ...]
#: path -> its stamp, or why it cannot be read; None: it is not there.
_Survey = dict[str, _Stamp | str | None]

#: Kubernetes swaps this link when a ConfigMap changes.
_KUBERNETES = "..data"
#: Seconds that a file adds to the time between two looks: a look at 10,000 files takes a
#: tenth of a second, which is all that an idle process may use in ten.
_PER_FILE = 0.002
#: What a link says that is not to be followed: Linux and macOS, FreeBSD.
_LINKED = (errno.ELOOP, errno.EMLINK)
#: Bytes of files that a snapshot keeps until they are asked for.
_KEPT = 64_000_000
#: Looks at a folder out of which one file after the other vanishes.
_LOOKS = 10


class FolderRepo:
    """Reads `root`; `poll`, `settle` and `doubt` are in seconds. Of many files,
    `poll` is longer.

    A file that was there at the last snapshot is gone only where a second look, after
    `doubt`, does not find it either: many a program deletes a file to write it anew.

    Symbolic links are not followed, but for those by which Kubernetes mounts a
    ConfigMap: so a path cannot lead out of the folder.
    """

    def __init__(
        self, root: Path, *, poll: float = 10, settle: float = 0.2, doubt: float = 1
    ) -> None:
        self._root = root.absolute()
        self._poll = poll
        self._settle = settle
        self._doubt = doubt
        self._blobs: dict[str, tuple[_Stamp, str]] = {}
        self._fresh = _Fresh()
        self._references = References()
        self._others: frozenset[str] = frozenset(CODE_OWNERS)
        #: As the last snapshot found them: the YAML, and what is beside it.
        self._surveyed: _Survey = {}
        self._beside: _Survey = {}
        self._watcher: Watcher | None = None
        #: Seconds since a look found nothing new. After a snapshot the first wait looks:
        #: what happens before a folder is watched is seen by nobody.
        self._unlooked = math.inf
        self._hurried = threading.Event()
        self._interrupted = threading.Event()

    def snapshot(self) -> Snapshot:
        self._unlooked = math.inf
        real, survey = self._look()
        self._fresh = fresh = _Fresh()
        files, unreadable = self._read_all(real, survey)
        unreadable |= (clashing := clashes(alike({}, new=files), files))
        files = {path: files[path] for path in files if path not in clashing}
        wanted = frozenset([*self._references.of(files), *CODE_OWNERS])
        others: _Survey = {
            path: _stamp_strict(real, path) for path in wanted - unreadable.keys()
        }
        more, unreadable_too = self._read_all(real, others)
        files |= more
        self._surveyed, self._beside, self._others = survey, others, wanted
        self._forget(files)
        return Snapshot(
            revision=_revision(files),
            files=files,
            unreadable={**unreadable_too, **unreadable},
            read=lambda path: fresh.take(path) or _content(real, path, files),
        )

    def last(self) -> Snapshot:
        """There is no far side."""
        return self.snapshot()

    def wait(self, timeout: float) -> bool:
        """True as soon as something may have changed since the last snapshot."""
        if self._watcher is None:
            self._watcher = Watcher(self._is_interesting)
        self._watcher.watch(self._watched_folders())
        while timeout > 0:
            pause = min(timeout, self._poll)
            if self._watcher.wait(pause, self._settle):
                return True
            self._unlooked += pause
            if self._is_time() and self._has_changed():
                return True
            timeout -= pause
        hurried = self._hurried.is_set()
        self._hurried.clear()
        return hurried

    def hurry(self) -> None:
        self._hurried.set()

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    # Reading.

    def _look(self) -> tuple[Path, _Survey]:
        """The real root, and what is there without doubt."""
        lost: set[str] = set()
        for _ in range(_LOOKS):
            real = self._real_root()
            survey = _survey(real)
            before, lost = lost, self._lost(survey | self._survey_others(real))
            if lost <= before:
                return real, survey
            if self._interrupted.wait(self._doubt):
                raise Temporary("interrupted", "the look at the folder was interrupted")
        raise InputError(
            f"Files keep vanishing from {self._root}: {min(lost)} is the latest.",
            "It is read again once they no longer do.",
        )

    def _lost(self, survey: _Survey) -> set[str]:
        """What was there at the last snapshot, and is not now."""
        return {
            path
            for path, stamp in (self._surveyed | self._beside).items()
            if stamp is not None and survey.get(path) is None
        }

    def _survey_others(self, real: Path) -> _Survey:
        """The files beside the YAML that the last snapshot looked for."""
        return {path: _stamp_strict(real, path) for path in self._others}

    def _real_root(self) -> Path:
        if not self._root.is_dir():
            raise InputError(
                f"{self._root} is not a folder.",
                "Name the folder that holds schedules/, reports/ and the others with -C.",
            )
        return self._root.resolve()

    def _read_all(
        self, real: Path, survey: _Survey
    ) -> tuple[dict[str, str], dict[str, str]]:
        """path -> blob id of what can be read, path -> reason of what cannot."""
        files: dict[str, str] = {}
        unreadable: dict[str, str] = {}
        for path in sorted(survey):
            stamp = survey[path]
            if isinstance(stamp, str):
                unreadable[path] = stamp
            elif stamp is not None:
                try:
                    files[path] = self._blob(real, path, stamp)
                except OSError as error:
                    unreadable[path] = _reason(error)
        return files, unreadable

    def _blob(self, real: Path, path: str, stamp: _Stamp) -> str:
        known = self._blobs.get(path)
        if known and known[0] == stamp:
            return known[1]
        content = _read(f"{real}/{path}")
        blob = blob_id(content)
        self._blobs[path] = (stamp, blob)
        self._references.learn(path, blob, content)
        self._fresh.keep(path, content)
        return blob

    def _forget(self, files: dict[str, str]) -> None:
        """What is no longer there need not be remembered."""
        self._blobs = {path: self._blobs[path] for path in files}
        self._references.forget_others(files)

    # Watching.

    def _is_time(self) -> bool:
        files = len(self._surveyed) + len(self._beside)
        return self._unlooked >= self._poll + _PER_FILE * files

    def _has_changed(self) -> bool:
        """The net below the watcher: compare times and sizes."""
        with suppress(OSError):
            real = self._root.resolve(strict=True)
            now = _survey(real, self._surveyed), self._survey_others(real)
            changed = now != (self._surveyed, self._beside)
            self._unlooked = math.inf if changed else 0.0
            return changed
        return True

    def _is_interesting(self, path: str) -> bool:
        relative = os.path.relpath(path, self._root)
        name = Path(path).name
        return (
            is_resource_file(relative)
            or relative in self._others
            or name == _KUBERNETES
            or (relative.split("/")[0] in FOLDERS and not is_ignored(name))
        )

    def _watched_folders(self) -> dict[Path, bool]:
        """Each with whether what is below it counts as well."""
        outside = {(self._root / path).parent: False for path in self._others}
        return outside | {self._root / folder: True for folder in FOLDERS}


class _Fresh:
    """What was read for its blob id, until it is asked for: most is, and once."""

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}
        self._room = _KEPT

    def keep(self, path: str, content: bytes) -> None:
        if len(content) <= self._room:
            self._contents[path] = content
            self._room -= len(content)

    def take(self, path: str) -> bytes | None:
        return self._contents.pop(path, None)


def _revision(files: dict[str, str]) -> str:
    lines = "".join(f"{files[path]} {path}\n" for path in sorted(files))
    return (
        f"folder@sha1:{hashlib.sha1(lines.encode(), usedforsecurity=False).hexdigest()}"
    )


# --- Looking ------------------------------------------------------------------


def _survey(real: Path, known: _Survey | None = None) -> _Survey:
    """All YAML files that count, and what may hide some, by path from the root.

    A file that has the stamp by which it is known is not judged again.
    """
    found: _Survey = {POLICY_FILE: _stamp(real, POLICY_FILE)}
    for folder in FOLDERS:
        for path, stamp in _below(real, folder, known or {}):
            found[path] = stamp
            if len(found) > MAX_FILES:
                raise InputError(
                    f"{real} holds more than {MAX_FILES:,} YAML files.",
                    "Remove what does not belong there, or split the repo.",
                )
    return found


def _below(
    real: Path, folder: str, known: _Survey
) -> Iterator[tuple[str, _Stamp | str | None]]:
    info = _info(real, f"{real}/{folder}")
    if info is None:
        return
    if why := _closed(folder, info):
        yield shown_path(folder), why
        return
    try:
        with os.scandir(real / folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield folder, _reason(error)
        return
    for entry in inside:
        below = f"{folder}/{entry.name}"
        if below in known and _is_same(entry, known[below]):
            yield below, known[below]
        elif not is_ignored(entry.name):
            yield from _judged(real, below, entry, known)


def _judged(
    real: Path, path: str, entry: os.DirEntry[str], known: _Survey
) -> Iterator[tuple[str, _Stamp | str | None]]:
    if _may_be_folder(entry):
        yield from _below(real, path, known)
    elif is_resource_file(path):
        yield shown_path(path), _stamp(real, path)


def _may_be_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link to itself.
        return True


def _closed(folder: str, info: os.stat_result | str) -> str:
    """Why a folder is not entered; empty where it is."""
    if isinstance(info, str):
        return info
    return wrong_path(folder) if stat.S_ISDIR(info.st_mode) else NO_FOLDER


def _stamp(real: Path, path: str) -> _Stamp | str | None:
    """Of a file whose folder has been looked at."""
    info = _info(real, f"{real}/{path}")
    if info is None or isinstance(info, str):
        return info
    return _refusal(path, info) or _stamp_of(info)


def _stamp_of(info: os.stat_result) -> _Stamp:
    return info.st_mtime_ns, info.st_ctime_ns, info.st_size, info.st_ino


def _is_same(entry: os.DirEntry[str], stamp: _Stamp | str | None) -> bool:
    try:
        return _stamp_of(entry.stat(follow_symlinks=False)) == stamp
    except OSError:  # It vanished.
        return False


def _info(real: Path, full: str) -> os.stat_result | str | None:
    """Of what stands there, or why it is not looked at; None: nothing does."""
    try:
        info = os.lstat(full)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return _reason(error)
    if not stat.S_ISLNK(info.st_mode):
        return info
    if not _is_mounted(real, full):
        return IS_LINK
    try:
        return os.lstat(os.path.realpath(full))
    except OSError as error:
        return _reason(error)


def _refusal(path: str, info: os.stat_result) -> str:
    if not stat.S_ISREG(info.st_mode):
        return "it is not a regular file"
    if info.st_size > MAX_BYTES:
        return f"it has more than {MAX_BYTES:,} bytes"
    return wrong_path(path)


def _stamp_strict(real: Path, path: str) -> _Stamp | str | None:
    """Of any file: none of its folders may be a link either."""
    full = f"{real}/{path}"
    if os.path.realpath(full) != full and not _is_mounted(real, full):
        return IS_LINK
    return _stamp(real, path)


def _is_mounted(real: Path, full: str) -> bool:
    """Whether a link leads to where Kubernetes keeps a ConfigMap, inside the root."""
    below = os.path.relpath(os.path.realpath(full), real)
    return not below.startswith("../") and any(
        part.startswith("..") for part in below.split("/")
    )


def _read(path: str) -> bytes:
    """The bytes of a regular file; OSError otherwise."""
    file = _open(path)
    try:
        info = os.fstat(file)
        if not stat.S_ISREG(info.st_mode):
            raise OSError("it is not a regular file")
        return os.read(file, min(info.st_size, MAX_BYTES) + 1)
    finally:
        os.close(file)


def _open(path: str) -> int:
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except OSError as error:
        if error.errno not in _LINKED:
            raise
        return os.open(os.path.realpath(path), flags)


def _content(real: Path, path: str, files: dict[str, str]) -> bytes:
    """What the snapshot saw, never something newer."""
    try:
        content = _read(f"{real}/{path}")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {_reason(error)}.") from error
    if blob_id(content) != files.get(path):
        raise InputError(f"{path} changed while it was being read.", "Look again.")
    return content


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
