"""Locks of a state folder, for one process at a time.

`serve.lock`: it reconciles and executes. `sweep.lock`: nothing is swept beside it.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from boe_reconciler.core.errors import InputError


class FolderLock:
    """An flock that ends with its process, however that ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def try_acquire(self) -> bool:
        """Take it, and write who holds it; False when another process does.

        On a full disk it is held without that: a sweep is what makes room there.
        """
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        with suppress(OSError):
            os.ftruncate(fd, 0)
            os.write(fd, f"process {os.getpid()}".encode())
        return True

    def holder(self) -> str:
        return self.path.read_text().strip() or "Another process"

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class ServeLock(FolderLock):
    def __init__(self, state: Path) -> None:
        super().__init__(state / "serve.lock")

    def acquire(self) -> None:
        """Take it, or say which process serves."""
        if not self.try_acquire():
            raise InputError(
                f"{self.holder()} already serves {self.path.parent}.",
                "Stop it first, or give this one its own folder with --state.",
            )

    def seen(self) -> str | None:
        """Its holder, without taking it; None while nobody serves."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return self.holder()
        finally:
            os.close(fd)
        return None


class SweepLock(FolderLock):
    def __init__(self, state: Path) -> None:
        super().__init__(state / "sweep.lock")
