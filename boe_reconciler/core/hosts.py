"""Which hosts Policy's `allow.hosts` lets be reached."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase


def is_allowed(host: str, patterns: Sequence[str] | None) -> bool:
    """Whether a pattern, such as `*.internal`, matches; without a list any host may be."""
    return patterns is None or any(
        fnmatchcase(host.lower(), pattern.lower()) for pattern in patterns
    )
