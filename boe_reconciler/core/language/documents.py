"""Bytes of a YAML file -> Documents or Problems.

libyaml's events in one pass; scalars as the core schema of YAML 1.2 reads them
(decimal numbers, true, false, null; all else is text), and every key is text.

Places are found by another pass, once somebody asks for one: a file without Problems is
never asked (docs/decisions/0044).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Final

import yaml
from yaml import events

from boe_reconciler.core.language.parser import CParser
from boe_reconciler.core.language.places import Document, Place, Source, text_at
from boe_reconciler.core.language.values import plain, plain_values
from boe_reconciler.core.language.yaml_errors import Flaw, syntax_flaw
from boe_reconciler.core.problems import Path, Position, Problem, Range

__all__ = ["Document", "read_documents", "unreadable"]

MAX_FILE_BYTES: Final = 1_000_000
MAX_NESTING: Final = 50
#: Values that all aliases of a file may repeat together.
MAX_ALIASED_VALUES: Final = 10_000

#: Documents of a file that cannot be read before the rest is left alone.
MAX_UNREADABLE: Final = 100

#: What YAML refuses, and line breaks that editors do not count as such.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]"
)
#: Letters, digits and signs of ASCII, and white space that editors make.
_SIMPLE = bytes([*b"\t\n\r", *range(ord(" "), ord("~") + 1)])
_DOCUMENT_START = re.compile(r"^---(?=\s|\Z)", re.MULTILINE)
_PLAIN_TAGS = {
    "!",
    "tag:yaml.org,2002:str",
    "tag:yaml.org,2002:map",
    "tag:yaml.org,2002:seq",
}


def values_of(content: bytes) -> list[Any] | None:
    """The values of each document; None where it takes a careful look to know them."""
    text, problem = _decode("", content)
    return None if problem else plain_values(text, MAX_NESTING)


def read_documents(
    filename: str, content: bytes
) -> tuple[list[Document], list[Problem]]:
    """See `documents_of`."""
    return documents_of(filename, content, values_of(content))


def documents_of(
    filename: str, content: bytes, values: list[Any] | None
) -> tuple[list[Document], list[Problem]]:
    """All Documents of a file and all Problems of reading it. Never raises.

    A document with a mistake that hides its rest gives Problems alone (with kind
    and name where they were read before it) and reading goes on after the next
    `---`; one with a smaller mistake is there too, with `flawed` paths. Documents
    without content are warned of and left out. `values` are those of `values_of`.
    """
    if values is not None:
        file = _File(filename, content.decode("utf-8-sig"))
        return [_document(file, n, data) for n, data in enumerate(values)], []
    text, problem = _decode(filename, content)
    if problem:
        return [], [problem]
    file = _File(filename, text)
    reader = _Reader(file)
    reader.read()
    return reader.documents, reader.problems


class _File(Source):
    """A file of Documents, which are read again when a place is asked for."""

    @cached_property
    def _places(self) -> dict[int, Place]:
        reader = _Reader(self)
        reader.read()
        return reader.places

    def place(self, index: int) -> Place:
        """Of a Document, by its number."""
        return self._places[index]


def _document(
    file: _File, index: int, data: Any, flawed: tuple[Path, ...] = ()
) -> Document:
    return Document(
        source=file,
        index=index,
        data=data,
        find=partial(file.place, index),
        flawed=flawed,
        own=None,
    )


def unreadable(filename: str, reason: str) -> Problem:
    """The Problem of a file whose bytes cannot be had."""
    return _file_problem(filename, "BOE016", f"the file cannot be read: {reason}")


def _file_problem(filename: str, code: str, detail: str, todo: str = "") -> Problem:
    return Problem(
        code=code, detail=detail, help=todo, range=Range.whole_file(filename)
    )


def _decode(filename: str, content: bytes) -> tuple[str, Problem | None]:
    if len(content) > MAX_FILE_BYTES:
        detail = f"the file has {len(content):,} bytes, {MAX_FILE_BYTES:,} are allowed"
        return "", _file_problem(filename, "BOE003", detail, "split it")
    if not content.translate(None, _SIMPLE):
        return content.decode("ascii"), None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", errors="replace")
        detail = f"byte 0x{content[error.start]:02x} is not valid UTF-8"
        return "", _at_offset(filename, before, len(before), "BOE001", detail)
    found = _INVISIBLE.search(text)
    if found:
        detail = f"the invisible character U+{ord(found[0]):04X} stands here"
        return "", _at_offset(filename, text, found.start(), "BOE002", detail)
    return text, None


def _at_offset(
    filename: str, text: str, offset: int, code: str, detail: str
) -> Problem:
    todo = {"BOE001": "save the file as UTF-8", "BOE002": "remove it"}[code]
    at = Source(filename, text).range(offset, offset)
    end = Position(at.start.line, at.start.column + 1)
    return Problem(code=code, detail=detail, help=todo, range=replace(at, end=end))


class _Frame:
    """A map or list whose end has not come yet."""

    __slots__ = (
        "anchor",
        "children",
        "data",
        "flow",
        "is_map",
        "key",
        "key_span",
        "start",
    )

    def __init__(self, data: Any, start: int, event: Any) -> None:
        self.data = data
        self.is_map = type(data) is dict
        self.children: Any = {} if self.is_map else []
        self.start = start
        self.flow: bool = event.flow_style
        self.anchor: str | None = event.anchor
        #: The key whose value comes next; None: a key comes next.
        self.key: str | None = None
        self.key_span = (start, start)


class _GiveUpError(Exception):
    """The rest of the document cannot be read."""

    def __init__(self, flaw: Flaw) -> None:
        self.flaw = flaw


class _Reader:
    """One file on its way from events to Documents."""

    def __init__(self, source: _File) -> None:
        self.source = source
        self.documents: list[Document] = []
        #: Of each of them, by its number.
        self.places: dict[int, Place] = {}
        self.problems: list[Problem] = []
        self._base = 0
        self._index = 0
        self._handlers: dict[type, Any] = {
            events.ScalarEvent: self._scalar,
            events.MappingStartEvent: self._start_map,
            events.SequenceStartEvent: self._start_list,
            events.MappingEndEvent: self._end,
            events.SequenceEndEvent: self._end,
            events.AliasEvent: self._alias,
            events.DocumentStartEvent: self._start_document,
            events.DocumentEndEvent: self._end_document,
        }
        self._begin(0)

    def _begin(self, start: int) -> None:
        self._stack: list[_Frame] = []
        self._root: tuple[Any, Place] = (None, (self.source, start, start, None))
        self._anchors: dict[str, tuple[Any, Place]] = {}
        self._aliased = 0
        self._flaws: list[tuple[Path, Flaw]] = []
        self._document_start = start

    def read(self) -> None:
        start: int | None = 0
        for _ in range(MAX_UNREADABLE):
            if start is not None:
                self._base = start
                start = self._read_stream()
        if not self._index and not self.problems:
            name = self.source.filename
            warning = _file_problem(name, "BOE030", "the file holds no document")
            self.problems.append(replace(warning, severity="warning"))

    def _read_stream(self) -> int | None:
        """Read to the end (None), or to where reading can start again."""
        text = self.source.text
        parser = CParser(text[self._base :] if self._base else text)
        handlers = self._handlers
        try:
            for event in iter(parser.get_event, None):
                handle = handlers.get(type(event))
                if handle:
                    handle(event)
        except yaml.YAMLError as error:
            flaw = syntax_flaw(error, text, self._base)
        except _GiveUpError as error:
            flaw = error.flaw
        else:
            return None
        self._give_up(flaw)
        again = _DOCUMENT_START.search(text, max(flaw.seen, self._base + 1))
        return again.start() if again else None

    def _give_up(self, flaw: Flaw) -> None:
        if not any(self._same_line(flaw, known) for _, known in self._flaws):
            self._flaws.append((self._path(), flaw))
        data = self._stack[0].data if self._stack else None
        self._report(text_at(data, "kind"), _name_of(data))
        self._index += 1
        self._begin(flaw.seen)

    def _same_line(self, flaw: Flaw, known: Flaw) -> bool:
        """Whether `flaw` only says again that a template stands without quotes."""
        same = self.source.position(flaw.start).line
        return known.code == "BOE008" and self.source.position(known.end).line == same

    def _report(self, kind: str | None, name: str | None) -> None:
        for path, flaw in self._flaws:
            self.problems.append(
                Problem(
                    code=flaw.code,
                    detail=flaw.detail,
                    help=flaw.help,
                    path=path,
                    range=self.source.range(flaw.start, flaw.end),
                    kind=kind,
                    name=name,
                )
            )

    def _start_document(self, event: Any) -> None:
        self._begin(self._base + event.start_mark.index)

    def _end_document(self, event: Any) -> None:
        data, place = self._root
        if data is None and place[1] == place[2]:
            self._empty_document(self._base + event.start_mark.index)
            return
        flawed = tuple(path for path, _ in self._flaws)
        document = _document(self.source, self._index, data, flawed)
        self.places[self._index] = place
        self._index += 1
        self.documents.append(document)
        if self._flaws:
            self._report(document.kind, document.name)

    def _empty_document(self, end: int) -> None:
        """A lone `---` at the end is a habit; one in between may have lost its text."""
        if self.source.text[end:].strip():
            at = self.source.range(self._document_start, self._document_start)
            self.problems.append(
                Problem(
                    code="BOE030",
                    detail="nothing stands between this --- and the next",
                    range=at,
                    severity="warning",
                )
            )

    # Values.

    def _scalar(self, event: Any) -> None:
        start = self._base + event.start_mark.index
        end = self._base + event.end_mark.index
        text: str = event.value
        is_plain, _ = event.implicit
        stack = self._stack
        if event.style in ("|", ">"):
            end = start + len(self.source.text[start:end].rstrip())
        if event.tag is not None:
            self._check_tag(event.tag, start, end)
        if stack and stack[-1].key is None and stack[-1].is_map:
            self._key(text, start, end)
            return
        value = plain(text) if is_plain and event.tag is None else text
        self._add(value, (self.source, start, end, None), event.anchor)

    def _key(self, text: str, start: int, end: int) -> None:
        frame = self._stack[-1]
        frame.key, frame.key_span = text, (start, end)
        if text == "<<":
            self._flaw("BOE014", "merge keys (<<) are not part of YAML 1.2", start, end)
        elif text in frame.data:
            first = self.source.position(frame.children[text][0])
            detail = f'"{text}" stands here a second time, first in line {first.line}'
            self._flaw("BOE010", detail, start, end)

    def _add(self, value: Any, place: Place, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = (value, place)
        if not self._stack:
            self._root = (value, place)
            return
        frame = self._stack[-1]
        if not frame.is_map:
            frame.data.append(value)
            frame.children.append(place)
        elif frame.key is None:
            self._odd_key(frame, place)
        else:
            if frame.key not in frame.data:
                frame.data[frame.key] = value
                frame.children[frame.key] = (*frame.key_span, place)
            frame.key = None

    def _odd_key(self, frame: _Frame, place: Place) -> None:
        """A map or list stands where a key belongs: most often {{ }} without quotes."""
        _, start, end, _ = place
        text = self.source.text
        frame.key, frame.key_span = text[start:end], (start, end)
        if frame.start + 1 == start and text.startswith("{{", frame.start):
            close = text.find("}}", start)
            end = close + 2 if close >= 0 else end
            detail = "a template without quotes reads as a map"
            self._flaw("BOE008", detail, frame.start, end, parent=True)
        else:
            self._flaw("BOE015", "a key is plain text", start, end)

    def _start_map(self, event: Any) -> None:
        self._push({}, event)

    def _start_list(self, event: Any) -> None:
        self._push([], event)

    def _push(self, data: Any, event: Any) -> None:
        start = self._base + event.start_mark.index
        if event.tag is not None:
            self._check_tag(event.tag, start, self._base + event.end_mark.index)
        self._check_depth(len(self._stack) + 1, start)
        self._stack.append(_Frame(data, start, event))

    def _end(self, event: Any) -> None:
        frame = self._stack.pop()
        flow_end = self._base + event.end_mark.index
        end = flow_end if frame.flow else _end_of_block(frame)
        place = (self.source, frame.start, end, frame.children)
        self._add(frame.data, place, frame.anchor)

    def _alias(self, event: Any) -> None:
        start = self._base + event.start_mark.index
        end = self._base + event.end_mark.index
        if event.anchor not in self._anchors:
            detail = (
                f"*{event.anchor} is an alias, and no &{event.anchor} stands before it"
            )
            self._flaw("BOE011", detail, start, end)
            self._add(None, (self.source, start, end, None), None)
            return
        value, (_, _, _, children) = self._anchors[event.anchor]
        count, height = _weigh(value)
        self._aliased += count
        if self._aliased > MAX_ALIASED_VALUES:
            detail = f"aliases repeat more than {MAX_ALIASED_VALUES:,} values"
            raise _GiveUpError(_flaw("BOE012", detail, start, end))
        self._check_depth(len(self._stack) + height, start)
        self._add(value, (self.source, start, end, children), None)

    # Flaws.

    def _check_depth(self, depth: int, start: int) -> None:
        if depth > MAX_NESTING:
            detail = f"values are nested more than {MAX_NESTING} deep"
            raise _GiveUpError(_flaw("BOE004", detail, start, start + 1))

    def _check_tag(self, tag: str, start: int, end: int) -> None:
        if tag not in _PLAIN_TAGS:
            written = tag.replace("tag:yaml.org,2002:", "!!")
            self._flaw("BOE013", f"the tag {written} is not known here", start, end)

    def _flaw(
        self, code: str, detail: str, start: int, end: int, *, parent: bool = False
    ) -> None:
        path = self._path()
        self._flaws.append(
            (path[:-1] if parent else path, _flaw(code, detail, start, end))
        )

    def _path(self) -> Path:
        """Of the value that is being read."""
        return tuple(_steps(self._stack))


_HELP = {
    "BOE004": "build the value up from flatter parts",
    "BOE008": 'put it in quotes: "{{ … }}"',
    "BOE010": "keep one of the two",
    "BOE011": "put the value in quotes, or define the anchor first",
    "BOE012": "write the values out, or share them with a ScheduleTemplate",
    "BOE013": "remove the tag; text in quotes is always text",
    "BOE014": "repeat the fields, or share them with a ScheduleTemplate",
    "BOE015": "write the key in quotes",
}


def _flaw(code: str, detail: str, start: int, end: int) -> Flaw:
    return Flaw(
        code=code, detail=detail, help=_HELP[code], start=start, end=end, seen=end
    )


def _steps(stack: Sequence[_Frame]) -> Iterator[str | int]:
    for frame in stack:
        if isinstance(frame.data, list):
            yield len(frame.data)
        elif frame.key is not None:
            yield frame.key


def _end_of_block(frame: _Frame) -> int:
    """A block ends with its last value; libyaml says where the next token starts."""
    children = frame.children
    ends: list[int]
    if frame.is_map:
        ends = [max(end, place[2]) for _, end, place in children.values()]
    else:
        ends = [place[2] for place in children]
    return max(ends)


def _name_of(data: Any) -> str | None:
    return text_at(data.get("metadata"), "name") if isinstance(data, dict) else None


def _weigh(value: Any) -> tuple[int, int]:
    """(values in it, levels in it)."""
    if not isinstance(value, dict | list) or not value:
        return 1, int(isinstance(value, dict | list))
    children = value.values() if isinstance(value, dict) else value
    counts, heights = zip(*map(_weigh, children), strict=True)
    return 1 + sum(counts), 1 + max(heights)
