"""A folder of files, each under the sha256 of its bytes: `ab/abcdef…`."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from secrets import token_hex
from threading import Lock

from boe_reconciler.core.errors import Permanent

_HASH = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


def create(root: Path) -> FolderBlobs:
    return FolderBlobs(root)


class FolderBlobs:
    """Files only their owner can read; whole and synced before they have their name.

    `incoming` in it is for files in the making: one that is adopted from there is
    renamed, not copied.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.incoming = root / "incoming"
        self._placing = Lock()
        #: Folders in it whose names are known to be on disk.
        self._there: set[str] = set()
        for folder in (root, self.incoming):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, content: bytes) -> str:
        """Store bytes durably; the sha256 in hex."""
        temporary = self._temporary()
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        return self.adopt(temporary)

    def adopt(self, path: Path) -> str:
        """Move a finished file into the store durably; the sha256 in hex."""
        with self.adopting() as adopt:
            return adopt(path)

    @contextmanager
    def adopting(self) -> Iterator[Callable[[Path], str]]:
        """Adopt many with few waits for the disk: they are stored once it is left."""
        waiting: dict[Path, str] = {}
        try:
            yield partial(self._taken, waiting)
            self._store(waiting)
        finally:
            for path in waiting:
                path.unlink(missing_ok=True)

    def _taken(self, waiting: dict[Path, str], path: Path) -> str:
        """Its sha256; until it is stored it lies where a start would remove it."""
        mine = _moved(path, self._temporary())
        with mine.open("rb", buffering=0) as file:
            waiting[mine] = hashlib.file_digest(file, "sha256").hexdigest()
        return waiting[mine]

    def _store(self, waiting: dict[Path, str]) -> None:
        """First the bytes of all, then their names, and each folder once."""
        for path in waiting:
            path.chmod(0o600)
            _sync(path)
        folders = {sha256[:2] for sha256 in waiting.values()}
        new = folders - self._there
        for folder in new:
            (self._root / folder).mkdir(mode=0o700, exist_ok=True)
        for path, sha256 in waiting.items():
            # When it was stored, which may be again: see `remove_older`.
            os.utime(path)
            with self._placing:
                path.replace(self._target(sha256))
        waiting.clear()
        for folder in folders:
            _sync(self._root / folder)
        if new:
            _sync(self._root)
            self._there |= new

    def path(self, sha256: str) -> Path:
        """Where it is, to read only. Permanent `blob_missing` if it is not."""
        target = self._target(sha256)
        if not target.is_file():
            detail = f"the stored file {sha256[:12]}… is not there any more"
            raise Permanent("blob_missing", detail, "run `boe rerun` to make it again")
        return target

    def read(self, sha256: str) -> bytes:
        """Its bytes, verified. Permanent `blob_missing`, `blob_damaged`."""
        content = self.path(sha256).read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            detail = f"the stored file {sha256[:12]}… is not what it was"
            raise Permanent("blob_damaged", detail, "run `boe rerun` to make it again")
        return content

    def is_whole(self, sha256: str) -> bool:
        """Whether its bytes are still what they were. Permanent `blob_missing`."""
        with self.path(sha256).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256

    def remove(self, sha256: str) -> None:
        with suppress(FileNotFoundError):
            self._target(sha256).unlink()

    def remove_older(self, sha256: str, before: datetime) -> int:
        """Remove it unless it was stored since; the bytes that this freed.

        What is being stored again at this moment, because somebody is about to name
        it, stays.
        """
        target = self._target(sha256)
        with self._placing, suppress(FileNotFoundError):
            found = target.stat()
            if found.st_mtime < before.timestamp():
                target.unlink()
                return found.st_size
        return 0

    def __contains__(self, sha256: str) -> bool:
        return bool(_HASH.fullmatch(sha256)) and self._target(sha256).is_file()

    def __iter__(self) -> Iterator[str]:
        for folder in sorted(self._root.glob("[0-9a-f][0-9a-f]")):
            for path in sorted(folder.iterdir()):
                if _HASH.fullmatch(path.name):
                    yield path.name

    def sweep_incoming(self) -> int:
        """Remove what a crash left in the making; only while nobody writes. How many."""
        left = [path for path in self.incoming.iterdir() if path.is_file()]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def _target(self, sha256: str) -> Path:
        if not _HASH.fullmatch(sha256):
            raise Permanent("blob_missing", f"{sha256!r} is no sha256")
        return self._root / sha256[:2] / sha256

    def _temporary(self) -> Path:
        return self.incoming / token_hex(16)


def _moved(path: Path, target: Path) -> Path:
    """Across file systems it is copied, and then the original goes."""
    try:
        return path.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with path.open("rb") as source, os.fdopen(fd, "wb") as copy:
        shutil.copyfileobj(source, copy, _CHUNK)
    path.unlink()
    return target


def _sync(path: Path) -> None:
    """Of a file its bytes, of a folder its names."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
