"""The styles of a template's cells, with another number format where they need one."""

from __future__ import annotations

import pyarrow as pa
from pyarrow import types

from boe_reconciler.formats.xlsx.cells import default_format
from boe_reconciler.formats.xlsx.escapes import quoteattr
from boe_reconciler.formats.xlsx.markup import Element, patched
from boe_reconciler.formats.xlsx.package import Package
from boe_reconciler.formats.xlsx.parts import FIRST_FORMAT, MAIN, check_format


class TemplateStyles:
    """The template's style table; it only grows, and only if it must."""

    def __init__(self, package: Package) -> None:
        self._package = package
        found = package.related(package.workbook, "styles")
        self._part = found[0] if found else None
        self._formats: list[str] = []
        self._added: list[bytes] = []
        self._known: dict[tuple[int, str], int] = {}
        self._read()

    def of(self, base: int, code: str | None, field: pa.Field) -> int:
        """The template's own style; with another format where it has to have one."""
        if code is not None:
            check_format(code, field.name)
        elif base < len(self._xfs) and not _is_general(self._xfs[base]):
            return base
        elif _is_temporal(field.type):
            code = default_format(field.type)
        if code is None or not self._xfs:
            return base
        return self._with_format(base, code)

    def save(self) -> None:
        if not self._added or self._part is None:
            return
        data, root = self._package.xml(self._part)
        xfs = root.find("cellXfs")
        assert xfs is not None  # noqa: S101  # _read found some in it
        count = str(len(self._xfs) + len(self._added))
        splices = [
            xfs.splice(count=count),
            (xfs.inner_end, xfs.inner_end, b"".join(self._added)),
            self._new_formats(root),
        ]
        self._package.put(self._part, patched(data, splices))

    def _read(self) -> None:
        self._data, self._xfs, self._first_format = b"", list[Element](), FIRST_FORMAT
        if self._part is None:
            return
        self._data, root = self._package.xml(self._part)
        found = root.find("cellXfs")
        self._xfs = found.all("xf") if found else []
        formats = root.find("numFmts")
        used = [e.number("numFmtId", 0) for e in (formats.children if formats else [])]
        self._first_format = max([FIRST_FORMAT - 1, *used]) + 1

    def _with_format(self, base: int, code: str) -> int:
        known = self._known.get((base, code))
        if known is not None:
            return known
        if code not in self._formats:
            self._formats.append(code)
        number = self._first_format + self._formats.index(code)
        xf = self._xfs[base if base < len(self._xfs) else 0]
        tag = xf.start_tag(numFmtId=str(number), applyNumberFormat="1")
        self._added.append(tag + self._data[xf.inner : xf.end])
        self._known[base, code] = len(self._xfs) + len(self._added) - 1
        return self._known[base, code]

    def _new_formats(self, root: Element) -> tuple[int, int, bytes]:
        written = "".join(
            f'<numFmt xmlns="{MAIN}" numFmtId="{self._first_format + n}"'
            f" formatCode={quoteattr(code)}/>"
            for n, code in enumerate(self._formats)
        )
        old = root.find("numFmts")
        if old is None:
            count = len(self._formats)
            whole = f'<numFmts xmlns="{MAIN}" count="{count}">{written}</numFmts>'
            return root.inner, root.inner, whole.encode()
        count = len(old.children) + len(self._formats)
        tag = old.start_tag(count=str(count)).replace(b"/>", b">")
        kept = self._data[old.inner : old.inner_end]
        end = f"</{old.tag}>".encode()
        return old.start, old.end, tag + kept + written.encode() + end


def _is_general(xf: Element) -> bool:
    return xf.attributes.get("numFmtId", "0") == "0"


def _is_temporal(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_temporal(kind)) and not types.is_interval(kind)
