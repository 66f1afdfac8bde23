"""What `boe doctor` finds: one Check a line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    OK = "ok"
    #: It works, and somebody should look at it.
    WARN = "warn"
    #: It is broken.
    BAD = "bad"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    #: What was looked at: "ledger", "files", "clock", …
    name: str
    mark: Mark
    #: A sentence for people.
    text: str
    #: What to do about it.
    help: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerFile:
    """A ledger as a file, looked at without opening it as a ledger."""

    #: Of its tables; None: it has none.
    version: str | None
    #: The version that this BOE makes.
    newest: str
    #: What is damaged, in the database's words.
    damage: tuple[str, ...]
    bytes: int
    #: Of pages that will be used again.
    free: int
    #: Of changes that are not yet in the file itself.
    wal: int


def ok(name: str, text: str) -> Check:
    return Check(name=name, mark=Mark.OK, text=text)


def warn(name: str, text: str, todo: str) -> Check:
    return Check(name=name, mark=Mark.WARN, text=text, help=todo)


def bad(name: str, text: str, todo: str) -> Check:
    return Check(name=name, mark=Mark.BAD, text=text, help=todo)
