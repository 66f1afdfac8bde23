"""Values of YAML: what a scalar says, and all that a file says in which nothing is odd.

Nearly all files are such, and are read in half the time of a careful look. Whatever a
Problem may be told of, and what is rare, is left to `documents.py`, which knows each
mistake and the place of each value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import yaml
from yaml.events import (
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from boe_reconciler.core.language.parser import CParser

_INT = re.compile(r"[-+]?[0-9]{1,40}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,2})?\Z")
_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
#: What a scalar that is neither a word above nor text begins with.
_NUMBER_STARTS = frozenset("+-.0123456789")

_Events = Callable[[], Any]


def plain(text: str) -> Any:
    """A scalar without quotes, as the core schema of YAML 1.2 reads it.

    Octal, hexadecimal, infinite and very long numbers stay text.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if _INT.match(text):
        return int(text)
    if len(text) <= 40 and _FLOAT.match(text):
        return float(text)
    return text


class _OddError(Exception):
    """A mistake, an alias, a tag: it takes a careful look."""


def plain_values(text: str, depth: int) -> list[Any] | None:
    """One for each document; None where that takes a careful look.

    `depth`: how deep values may be nested.
    """
    following = CParser(text).get_event
    try:
        following()
        return _documents(following, depth)
    except (yaml.YAMLError, _OddError):
        return None


def _documents(following: _Events, depth: int) -> list[Any]:
    found = []
    while type(following()) is DocumentStartEvent:
        value = _value(following(), following, depth)
        if value is None:
            raise _OddError
        found.append(value)
        following()
    if not found:
        raise _OddError
    return found


def _value(event: Any, following: _Events, depth: int) -> Any:
    if event.anchor is not None or event.tag is not None:
        raise _OddError
    kind = type(event)
    if kind is ScalarEvent:
        return plain(event.value) if event.implicit[0] else event.value
    if not depth:
        raise _OddError
    inner = _map if kind is MappingStartEvent else _list
    return inner(following, depth - 1)


def _map(following: _Events, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while type(event := following()) is not MappingEndEvent:
        if type(event) is not ScalarEvent or event.tag is not None:
            raise _OddError
        key = _shared(event.value)
        if event.anchor is not None or key == "<<" or key in found:
            raise _OddError
        found[key] = _value(following(), following, depth)
    return found


@lru_cache(maxsize=4096)
def _shared(key: str) -> str:
    """One text for all files: there are few keys, and each file has them."""
    return key


def _list(following: _Events, depth: int) -> list[Any]:
    found = []
    while type(event := following()) is not SequenceEndEvent:
        found.append(_value(event, following, depth))
    return found
