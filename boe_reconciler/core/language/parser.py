"""libyaml's parser, without a pattern that only PyYAML's own one, in Python, needs.

Its import brings that pattern along: all that may be printed, of all of Unicode. To
compile it takes longer than the rest of that import (docs/decisions/0042).
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

#: What the pattern in yaml.reader begins with; another one is compiled at once.
_PRINTABLE = "[^\x09\x0a\x0d\x20-\x7e"


class _Pattern:
    """A regular expression that is compiled when it is first used."""

    def __init__(self, *written: Any) -> None:
        self._written = written

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return _compile(*self._written)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiled, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _compile, self._written


_compile = re.compile


def _compile_later(pattern: Any, flags: Any = 0) -> Any:
    """As `re.compile` for all others: threads may compile theirs meanwhile."""
    is_known = isinstance(pattern, str) and pattern.startswith(_PRINTABLE)
    return (_Pattern if is_known else _compile)(pattern, flags)


re.compile = _compile_later
try:
    from yaml._yaml import CParser
finally:
    re.compile = _compile

__all__ = ["CParser"]
