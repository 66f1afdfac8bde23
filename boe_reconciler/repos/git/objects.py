"""Reading commits out of git's object database; there is never a work tree."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from boe_reconciler.core.errors import Temporary
from boe_reconciler.repos.git.program import LOCAL, Git, TooMuch, end_group

#: Paths in one call: far below what a command line may hold.
_AT_ONCE = 200
#: Requests on their way at once: less than a pipe holds, so that neither side waits.
_AHEAD = 64
#: What git takes for something else than a name.
_NO_NAMES = frozenset(("", ".", ".."))
LINK, SUBMODULE, FOLDER = "120000", "160000", "040000"


class Damaged(Exception):
    """The mirror does not hold what it should; a new one will."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeEntry:
    #: Bytes that are no text stand in it as surrogates.
    path: str
    mode: str
    blob: str
    #: Of a file; 0 of anything else.
    size: int


_ENTRY = re.compile(
    rb"(?P<mode>[0-7]{6}) [a-z]+ (?P<blob>[0-9a-f]{40}) +(?P<size>\d+|-)\t(?P<path>.+)",
    re.DOTALL,
)


def list_tree(
    git: Git, commit: str, paths: Sequence[str], *, deep: bool
) -> Iterator[TreeEntry]:
    """What a commit has at these paths; `deep`: all that is below, instead of folders."""
    for start in range(0, len(paths), _AT_ONCE):
        some = paths[start : start + _AT_ONCE]
        flags = ["-r"] if deep else []
        command = ["ls-tree", *flags, "-z", "-l", "--full-tree", commit, "--", *some]
        done = git.run(command)
        if done.code:
            raise Damaged(done.complaint)
        yield from map(_tree_entry, done.out.split(b"\0")[:-1])


def changed_paths(git: Git, before: str, after: str) -> list[str] | None:
    """Where two commits hold other files, links or submodules; None: who knows.

    The older one may be gone, so much may have changed that git's answer is cut off, and
    a tree that git has not checked may hold names that lead out of it.
    """
    flags = ["-r", "-z", "--name-only", "--no-renames", "--ignore-submodules=none"]
    try:
        done = git.run(["diff-tree", *flags, before, after, "--"])
    except TooMuch:
        return None
    paths = [os.fsdecode(path) for path in done.out.split(b"\0")[:-1]]
    odd = any(not _NO_NAMES.isdisjoint(path.split("/")) for path in paths)
    return None if done.code or odd else paths


def _tree_entry(line: bytes) -> TreeEntry:
    found = _ENTRY.fullmatch(line)
    if found is None:
        raise Damaged(f"git lists {line[:100]!r}")
    size = found["size"]
    return TreeEntry(
        path=os.fsdecode(found["path"]),
        mode=found["mode"].decode(),
        blob=found["blob"].decode(),
        size=int(size) if size != b"-" else 0,
    )


@dataclass(kw_only=True)
class Contents:
    """Bytes by blob id, from one git that is kept; any thread may ask."""

    git: Git
    _process: subprocess.Popen[bytes] | None = None
    _buffer: bytearray = field(default_factory=bytearray)
    _lock: Lock = field(default_factory=Lock)

    def read(self, sizes: Mapping[str, int]) -> dict[str, bytes]:
        """The contents of blobs whose sizes are known. Damaged where one is missing."""
        blobs = list(sizes)
        found: dict[str, bytes] = {}
        with self._lock:
            try:
                for start in range(0, len(blobs), _AHEAD):
                    some = blobs[start : start + _AHEAD]
                    self._ask(some)
                    for blob in some:
                        found[blob] = self._answer(blob, sizes[blob])
            except BaseException:
                # What is still on its way would be taken for a later answer.
                self._end()
                raise
        return found

    def close(self) -> None:
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            end_group(self._process)
            self._process = None
        self._buffer.clear()

    def _ask(self, blobs: Sequence[str]) -> None:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = self.git.start(["cat-file", "--batch"], asked=True)
        asked = self._process.stdin
        assert asked is not None  # noqa: S101 it was asked for
        try:
            asked.write("".join(f"{blob}\n" for blob in blobs).encode())
            asked.flush()
        except OSError as error:
            raise Damaged(f"git cat-file ended: {error.strerror}") from error

    def _answer(self, blob: str, size: int) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            self._more()
        header = bytes(self._buffer[:end]).decode(errors="replace")
        if header != f"{blob} blob {size}":
            raise Damaged(f"git answers {header[:100]!r}")
        begin = end + 1
        while len(self._buffer) < begin + size + 1:
            self._more()
        content = bytes(self._buffer[begin : begin + size])
        del self._buffer[: begin + size + 1]
        return content

    def _more(self) -> None:
        assert self._process is not None  # noqa: S101 somebody asked it
        pipe = self._process.stdout
        assert pipe is not None  # noqa: S101 it was asked for
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            if not selector.select(LOCAL):
                raise Temporary("git_timeout", "git cat-file does not answer")
        chunk = os.read(pipe.fileno(), 1 << 18)
        if not chunk:
            raise Damaged("git cat-file ended")
        self._buffer += chunk
