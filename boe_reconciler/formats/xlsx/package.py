"""A template's zip: its parts, how they hang together, and what replaces them."""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from boe_reconciler.core.errors import Permanent
from boe_reconciler.formats.xlsx.container import Deflated, ZipWriter
from boe_reconciler.formats.xlsx.markup import Element, bad, parse, patched
from boe_reconciler.formats.xlsx.parts import CONTENT

#: Of a template, unpacked: parts, bytes in all, bytes of a part that is read.
MAX_PARTS, MAX_BYTES, MAX_XML = 10_000, 512 << 20, 64 << 20
TYPES = "[Content_Types].xml"
_MAIN = f"{CONTENT}.sheet.main+xml"
#: Where a file begins with these bytes, it is the old binary kind, or encrypted.
_COMPOUND = b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation:
    id: str
    #: The last word of its type: worksheet, table, styles.
    type: str
    #: The part's name.
    target: str


class Package:
    """The parts by name. What is put replaces; all others are copied as they are."""

    def __init__(self, content: bytes) -> None:
        self._zip = _opened(content)
        self._put: dict[str, bytes | Deflated] = {}
        self._dropped: set[str] = set()
        self.workbook = self._main_part()

    def __contains__(self, name: str) -> bool:
        return name in self._zip.namelist()

    def read(self, name: str) -> bytes:
        """The part as it is now. Permanent where it is missing or damaged."""
        found = self._put.get(name)
        if isinstance(found, Deflated):
            return found.content()
        return found if found is not None else self._original(name)

    def xml(self, name: str, *, leaf: str = "") -> tuple[bytes, Element]:
        data = self.read(name)
        if len(data) > MAX_XML:
            raise bad(f"{name} has more than {MAX_XML >> 20} MB")
        return data, parse(data, name, leaf=leaf)

    def put(self, name: str, content: bytes | Deflated) -> None:
        before = self._put.get(name)
        if isinstance(before, Deflated):
            before.discard()
        self._put[name] = content

    def drop(self, name: str) -> None:
        """The part, its content type and the workbook's relation to it."""
        self._dropped.add(name)
        self._remove(TYPES, "PartName", {f"/{name}"})
        targets = {
            posixpath.relpath(name, posixpath.dirname(self.workbook)),
            f"/{name}",
        }
        self._remove(_relations_of(self.workbook), "Target", targets)

    def relations(self, part: str) -> list[Relation]:
        name = _relations_of(part)
        if name not in self:
            return []
        return [
            Relation(
                id=element.attributes.get("Id", ""),
                type=element.attributes.get("Type", "").rpartition("/")[2],
                target=_resolved(part, element.attributes.get("Target", "")),
            )
            for element in self.xml(name)[1].all("Relationship")
            if element.attributes.get("TargetMode") != "External"
        ]

    def related(self, part: str, kind: str) -> list[str]:
        """The parts of one type that `part` relates to, if they are there."""
        found = [r.target for r in self.relations(part) if r.type == kind]
        return [target for target in found if target in self]

    def write_to(self, target: BinaryIO, when: datetime) -> None:
        """All parts in the template's order."""
        with ZipWriter(target, when) as file:
            for name in self._zip.namelist():
                content = self._put.get(name)
                if isinstance(content, Deflated):
                    file.add_deflated(name, content)
                elif name not in self._dropped:
                    file.add(name, self._original(name) if content is None else content)

    def discard(self) -> None:
        for content in self._put.values():
            if isinstance(content, Deflated):
                content.discard()
        self._zip.close()

    def _original(self, name: str) -> bytes:
        try:
            return self._zip.read(name)
        except KeyError:
            raise bad(f"it has no part {name}") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise bad(f"its part {name} is damaged: {error}") from None
        except NotImplementedError:
            raise bad(f"its part {name} is packed in an unusual way") from None

    def _main_part(self) -> str:
        found = [r.target for r in self.relations("") if r.type == "officeDocument"]
        kinds = {
            element.attributes.get("PartName"): element.attributes.get("ContentType")
            for element in self.xml(TYPES)[1].all("Override")
        }
        kind = kinds.get(f"/{found[0]}", "") if found else ""
        if kind and "macroEnabled" in kind:
            raise Permanent(
                "bad_template",
                "the template holds macros (.xlsm), and a report may not",
                "save it in Excel as a workbook without macros (.xlsx)",
            )
        if kind != _MAIN:
            raise bad("it is not an Excel workbook (.xlsx)")
        return found[0]

    def _remove(self, name: str, attribute: str, values: set[str]) -> None:
        data, root = self.xml(name)
        gone = [e for e in root.children if e.attributes.get(attribute) in values]
        self.put(name, patched(data, [(e.start, e.end, b"") for e in gone]))


def _opened(content: bytes) -> zipfile.ZipFile:
    if content.startswith(_COMPOUND):
        raise bad("it is encrypted, or an old .xls file")
    try:
        file = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise bad("it is not an .xlsx file") from None
    entries = file.infolist()
    if len({entry.filename for entry in entries}) != len(entries):
        raise bad("it holds the same part twice")
    if len(entries) > MAX_PARTS or sum(e.file_size for e in entries) > MAX_BYTES:
        raise bad(
            f"unpacked it has more than {MAX_BYTES >> 20} MB or {MAX_PARTS} parts"
        )
    if TYPES not in file.namelist():
        raise bad("it is a zip file, but not a workbook")
    return file


def _relations_of(part: str) -> str:
    folder, name = posixpath.split(part)
    return posixpath.join(folder, "_rels", f"{name}.rels")


def _resolved(part: str, target: str) -> str:
    if target.startswith("/"):
        return target.lstrip("/")
    return posixpath.normpath(posixpath.join(posixpath.dirname(part), target))
