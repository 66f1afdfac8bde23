"""What a repo holds at one Revision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from boe_reconciler.core.records import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """How a Revision came from an older one."""

    #: The older one is among its ancestors.
    descends: bool
    #: The largest `Boe-Allow-Removals: N` of the commits in between.
    allow_removals: int


def no_history(revision: str) -> None:
    """What a plain folder knows of older revisions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """All files of a Revision that BOE reads, by path relative to the repo's root."""

    #: `main@sha1:<40 hex>`, or `folder@sha1:<hash of its resources>`.
    revision: str
    #: path -> blob id (git's sha1 of the content).
    files: Mapping[str, str]
    #: path -> why it cannot be read (permission, too large, a symlink).
    unreadable: Mapping[str, str] = field(default_factory=dict)
    #: Bytes of a path in `files`. InputError where it cannot be read after all.
    read: Callable[[str], bytes]
    #: How it came from an older Revision; None where that cannot be said of the two.
    since: Callable[[str], History | None] = no_history
