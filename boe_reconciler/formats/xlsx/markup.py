"""XML of a template: where each element stands in the bytes, so that all others stay.

Only what is changed is written anew. A document type is refused, and with it every
entity that could grow; sizes are limited before anything is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from xml.parsers import expat

from boe_reconciler.core.errors import Permanent
from boe_reconciler.formats.xlsx.escapes import quoteattr

#: Elements inside each other.
MAX_DEPTH = 100
_TAG = re.compile(rb"""<(?:[^>"']|"[^"]*"|'[^']*')*>""")
_NUMBER = re.compile(r"[0-9]{1,7}")

#: (first byte, byte behind the last, what stands there instead).
Splice = tuple[int, int, bytes]


@dataclass(kw_only=True, slots=True)
class Element:
    #: With its prefix, as it is written.
    tag: str
    attributes: dict[str, str]
    #: The whole element, and what is between its tags.
    start: int
    inner: int
    inner_end: int = 0
    end: int = 0
    children: list[Element] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.tag.rpartition(":")[2]

    @property
    def empty(self) -> bool:
        """Written as `<a/>`."""
        return self.inner_end == self.end

    def number(self, attribute: str, default: int) -> int:
        """A whole number below ten million. Permanent `bad_template` if it is not."""
        text = self.attributes.get(attribute)
        if text is not None and not _NUMBER.fullmatch(text):
            raise bad(f"{attribute}={text!r} of {self.name} is no number")
        return default if text is None else int(text)

    def all(self, name: str) -> list[Element]:
        return [child for child in self.children if child.name == name]

    def find(self, *path: str) -> Element | None:
        here: Element | None = self
        for name in path:
            here = next(iter(here.all(name)), None) if here else None
        return here

    def walk(self) -> Iterator[Element]:
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting += reversed(element.children)

    def start_tag(self, **changed: str | None) -> bytes:
        """The start tag with some attributes changed, or left out where None."""
        merged: Mapping[str, str | None] = {**self.attributes, **changed}
        kept = "".join(
            f" {name}={quoteattr(value)}"
            for name, value in merged.items()
            if value is not None
        )
        return f"<{self.tag}{kept}{'/' if self.empty else ''}>".encode()

    def splice(self, **changed: str | None) -> Splice:
        """Writes the start tag anew."""
        return self.start, self.inner, self.start_tag(**changed)


class _Builder:
    def __init__(self, data: bytes, where: str, leaf: str) -> None:
        self._data = data
        self._where = where
        self._leaf = leaf
        self._open: list[Element] = []
        self._skipped = 0
        self.root: Element | None = None
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.XmlDeclHandler = self._declaration

    def run(self) -> Element:
        try:
            self._parser.Parse(self._data, True)
        except expat.ExpatError as error:
            raise bad(f"{self._where} is not well-formed: {error}") from None
        assert self.root is not None  # noqa: S101  # expat wants one root
        return self.root

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._skipped or (self._open and self._open[-1].name == self._leaf):
            self._skipped += 1
            return
        at = self._parser.CurrentByteIndex
        match = _TAG.match(self._data, at)
        if match is None or len(self._open) >= MAX_DEPTH:
            raise bad(f"{self._where} cannot be read")
        element = Element(tag=tag, attributes=attributes, start=at, inner=match.end())
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _end(self, _tag: str) -> None:
        if self._skipped:
            self._skipped -= 1
            return
        element = self._open.pop()
        if self._data[element.inner - 2 : element.inner] == b"/>":
            element.inner_end = element.end = element.inner
            return
        element.inner_end = self._parser.CurrentByteIndex
        element.end = self._data.index(b">", element.inner_end) + 1

    def _doctype(self, *_: object) -> None:
        raise bad(f"{self._where} has a document type, which no workbook needs")

    def _declaration(self, _version: str, encoding: str | None, _alone: int) -> None:
        if encoding and encoding.lower() not in {"utf-8", "us-ascii"}:
            raise bad(f"{self._where} is written in {encoding}, not in UTF-8")


def parse(data: bytes, where: str, *, leaf: str = "") -> Element:
    """The tree of `data`; children of `leaf` elements are left out.

    Permanent `bad_template` where it is not well-formed, or could be dangerous.
    """
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise bad(f"{where} is written in UTF-16, not in UTF-8")
    return _Builder(data, where, leaf).run()


def patched(data: bytes, splices: Sequence[Splice]) -> bytes:
    pieces, at = [], 0
    for start, end, text in sorted(splices):
        pieces += [data[at:start], text]
        at = end
    return b"".join([*pieces, data[at:]])


def bad(what: str) -> Permanent:
    return Permanent(
        "bad_template",
        f"the template cannot be used: {what}",
        "open it in Excel and save it again as .xlsx",
    )
