"""A maildir that a mail server delivers bounces into.

What was understood goes to `cur` as seen, the rest as flagged, for a person to look at;
nothing is deleted.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from boe_reconciler.core.bounces import MOST, read_mail
from boe_reconciler.core.errors import Permanent, Temporary
from boe_reconciler.core.ports import Returned

_FOLDERS = ("new", "cur", "tmp")


def create(folder: Path) -> Maildir:
    return Maildir(folder)


class Maildir:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        #: Files that cannot be moved: they stay, and hold up no other.
        self._stuck: set[str] = set()

    def check(self) -> None:
        for name in _FOLDERS:
            if not os.access(self._folder / name, os.R_OK | os.W_OK | os.X_OK):
                todo = "name a maildir that BOE may read and write"
                detail = f"{self._folder} has no folder {name} that can be used"
                raise Permanent("maildir_unusable", detail, todo)

    def arrived(self, most: int) -> Iterator[Returned]:
        """The oldest first, as mail servers name them.

        Permanent `mail_unreadable` at the end, where some are not ours to read: they
        hold up no other.
        """
        unreadable, left = [], most
        for name in self._names():
            content = self._read(name)
            if content is None:
                unreadable.append(name)
                continue
            digest = hashlib.sha256(content).hexdigest()
            yield Returned(name=name, digest=digest, report=read_mail(content))
            left -= 1
            if not left:
                break
        if unreadable:
            detail = f"{self._folder}/new has mails that cannot be read, such as {unreadable[0]}"
            todo = "let the mail server deliver them so that BOE may read them"
            raise Permanent("mail_unreadable", detail, todo)

    def _names(self) -> list[str]:
        self.check()
        try:
            there = {one.name for one in (self._folder / "new").iterdir()}
        except OSError as error:
            detail = f"{self._folder}/new cannot be read: {error.strerror}"
            raise Temporary("maildir_unreadable", detail) from error
        return sorted(there - self._stuck)

    def put_away(self, one: Returned, *, understood: bool) -> None:
        flag = "S" if understood else "F"
        base = one.name.partition(":")[0]
        try:
            source = self._folder / "new" / one.name
            source.rename(self._folder / "cur" / f"{base}:2,{flag}")
        except FileNotFoundError:
            return  # somebody else took it
        except OSError:
            self._stuck.add(one.name)

    def close(self) -> None:
        """Nothing is open."""

    def _read(self, name: str) -> bytes | None:
        """Its beginning; None where it is no plain file, or not ours to read."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        with suppress(OSError):
            handle = os.open(self._folder / "new" / name, flags)
            with os.fdopen(handle, "rb") as file:
                if stat.S_ISREG(os.fstat(handle).st_mode):
                    return file.read(MOST)
        return None
