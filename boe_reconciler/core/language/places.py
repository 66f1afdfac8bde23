"""Documents: plain values, and for each the place where it stands.

Places are offsets into the text of a file. They, and lines and columns, are found
on demand.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import field
from functools import cached_property
from typing import Any

from boe_reconciler.core.problems import Path, Position, Range
from boe_reconciler.core.records import dataclass

LINE_BREAK = re.compile("\r\n|\r|\n")

#: (source, start, end, children): where a value stands. Children of a map are
#: key -> (start of the key, end of the key, place of the value).
Place = tuple[
    "Source", int, int, "dict[str, tuple[int, int, Place]] | list[Place] | None"
]


class Source:
    """The text of one file."""

    def __init__(self, filename: str, text: str) -> None:
        self.filename = filename
        self.text = text

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(found.end() for found in LINE_BREAK.finditer(self.text))]

    def position(self, offset: int) -> Position:
        line = bisect_right(self._line_starts, offset)
        return Position(line, offset - self._line_starts[line - 1] + 1)

    def range(self, start: int, end: int) -> Range:
        return Range(self.filename, self.position(start), self.position(end))


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A value of a Document, with its place."""

    data: Any
    place: Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    #: The file that it is of.
    source: Source
    #: Its number in the file, from 0.
    index: int
    #: dict (its keys are text), list, str, int, float, bool or None.
    data: Any
    #: Gives `place`.
    find: Callable[[], Place] = field(compare=False)
    #: Paths with Problems found while reading: the document may be looked at for
    #: more Problems, but must not be used.
    flawed: tuple[Path, ...] = ()
    #: Where some of it is of other files: values that are of its own without doubt.
    own: Any = None

    @cached_property
    def place(self) -> Place:
        return self.find()

    @property
    def filename(self) -> str:
        return self.source.filename

    @property
    def kind(self) -> str | None:
        return text_at(self.data, "kind")

    @property
    def name(self) -> str | None:
        metadata = self.data.get("metadata") if isinstance(self.data, dict) else None
        return text_at(metadata, "name")

    def range(self, path: Path = ()) -> Range:
        """Where the value at `path` stands, else its nearest ancestor that is there."""
        source, start, end, _ = self._nearest(path)[-1]
        return source.range(start, end)

    def file(self, path: Path = ()) -> str:
        """The name of the file that `range` is in."""
        if self.own is None or _value(self.own, path) is not None:
            return self.filename
        return self._nearest(path)[-1][0].filename

    def key_range(self, path: Path) -> Range:
        """Where the key of `path` stands; as `range` where it has none."""
        places = self._nearest(path)
        if len(places) == len(path) + 1 and len(path) > 0:
            children = places[-2][3]
            if isinstance(children, dict):
                start, end, (source, *_) = children[str(path[-1])]
                return source.range(start, end)
        return self.range(path)

    def value(self, path: Path) -> Any:
        """That at `path`; None where there is none."""
        return _value(self.data, path)

    def part(self, path: Path) -> Part | None:
        """The value at `path` with its place, if it is there."""
        places = self._nearest(path)
        if len(places) != len(path) + 1:
            return None
        return Part(data=self.value(path), place=places[-1])

    def _nearest(self, path: Path) -> list[Place]:
        places = [self.place]
        for key in path:
            inner = child(places[-1], key)
            if inner is None:
                break
            places.append(inner)
        return places


def _value(data: Any, path: Path) -> Any:
    for key in path:
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and key in range(len(data)):
            data = data[int(key)]
        else:
            return None
    return data


def child(place: Place, key: str | int) -> Place | None:
    children = place[3]
    if isinstance(children, dict):
        entry = children.get(key) if isinstance(key, str) else None
        return entry[2] if entry else None
    if children and isinstance(key, int) and 0 <= key < len(children):
        return children[key]
    return None


def text_at(data: Any, key: str) -> str | None:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else None
