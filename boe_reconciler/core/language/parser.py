"""libyaml's parser, without what PyYAML's own one, in Python, would need.

Its import brings modules along whose patterns are of no use here. To compile one of
them takes longer than all the rest of that import (docs/decisions/0042).
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any


class _Pattern:
    """A regular expression that is compiled when it is first used."""

    def __init__(self, *written: Any) -> None:
        self._written = written

    @cached_property
    def _compiled(self) -> re.Pattern[Any]:
        return _compile(*self._written)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiled, name)


_compile = re.compile
re.compile = _Pattern  # type: ignore[assignment]  # does what is asked of a pattern
try:
    from yaml._yaml import CParser
finally:
    re.compile = _compile

__all__ = ["CParser"]
