"""Where in a template the rows of a table go: a table, a named range or a sheet."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import Table
from boe_reconciler.formats.xlsx.markup import Element, bad
from boe_reconciler.formats.xlsx.names import MAX_COLUMNS, MAX_ROWS
from boe_reconciler.formats.xlsx.package import Package
from boe_reconciler.formats.xlsx.patch import Area

#: Excel writes a space or a line break in a table's column name as it stands in XML.
_CODED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_PLACE = re.compile(r"('(?:[^']|'')+'|[^'!]+)!([^!]+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class TableColumn:
    name: str
    #: Filled down in each row where the query has no such column.
    formula: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TableSpec:
    """An Excel table: its part, what stands in it, and the rows it ends with."""

    part: str
    data: bytes
    root: Element
    area: Area
    header_rows: int
    totals_rows: int
    columns: tuple[TableColumn, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    #: For messages: "the table 'tSummary'".
    what: str
    sheet: str
    part: str
    #: Where rows may replace what is there. Its first row is the first to be written.
    free: Area
    #: Whether `free` begins with the titles, if there are to be any.
    titled: bool
    table: TableSpec | None = None


class Targets:
    """The sheets, tables and names of a template."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._root = package.xml(package.workbook)[1]
        #: Name -> part, of the sheets that have cells.
        self.sheets = dict(self._sheets())

    def find(self, table: Table) -> Place:
        """Permanent `bad_fill` with the names there are, where it is not found."""
        kind, _, name = (table.fill or "").partition(":")
        if kind == "table":
            return self._table(name)
        if kind == "range":
            return self._range(name, len(table.schema))
        if table.fill:
            raise Permanent(
                "bad_fill",
                f"{table.fill!r} is no place in a template",
                'write "table:NAME" or "range:NAME", or leave it out',
            )
        return self._whole_sheet(table.name, len(table.schema))

    def tables(self) -> Iterable[tuple[str, str, str]]:
        """(name, sheet, part) of each table."""
        for sheet, part in self.sheets.items():
            for table in self._package.related(part, "table"):
                root = self._package.xml(table)[1]
                shown = root.attributes.get("displayName", "")
                yield shown, sheet, table

    def _sheets(self) -> Iterable[tuple[str, str]]:
        parts = {r.id: r for r in self._package.relations(self._package.workbook)}
        listed = self._root.find("sheets")
        for element in listed.all("sheet") if listed else []:
            ids = [v for k, v in element.attributes.items() if k.endswith(":id")]
            relation = parts.get(ids[0]) if ids else None
            if relation and relation.type == "worksheet":
                yield element.attributes.get("name", ""), relation.target

    def _whole_sheet(self, wanted: str, width: int) -> Place:
        name = _chosen(wanted, list(self.sheets), "sheet")
        free = Area(top=1, left=0, bottom=MAX_ROWS, right=max(width, 1) - 1)
        what = f"the sheet {name!r}"
        return Place(
            what=what, sheet=name, part=self.sheets[name], free=free, titled=True
        )

    def _range(self, wanted: str, width: int) -> Place:
        listed = self._root.find("definedNames")
        texts = {
            element.attributes.get("name", ""): self._text(element)
            for element in (listed.all("definedName") if listed else [])
            if not element.attributes.get("name", "").startswith("_xlnm.")
        }
        name = _chosen(wanted, list(texts), "named range")
        match = _PLACE.fullmatch(texts[name].strip())
        if match is None:
            raise bad(f"the name {name!r} is no area of cells but {texts[name]!r}")
        sheet = match[1].strip("'").replace("''", "'")
        if sheet not in self.sheets:
            raise bad(f"the name {name!r} points to {sheet!r}, which is no sheet")
        area = Area.read(match[2])
        right = area.left + max(width, 1) - 1
        if right >= MAX_COLUMNS:
            raise bad(f"the columns do not fit beside the name {name!r}")
        free = Area(top=area.top, left=area.left, bottom=area.bottom, right=right)
        what = f"the range {name!r}"
        return Place(
            what=what, sheet=sheet, part=self.sheets[sheet], free=free, titled=True
        )

    def _text(self, element: Element) -> str:
        data = self._package.read(self._package.workbook)
        text = data[element.inner : element.inner_end].decode()
        for entity, character in (("lt", "<"), ("gt", ">"), ("apos", "'")):
            text = text.replace(f"&{entity};", character)
        return text.replace("&quot;", '"').replace("&amp;", "&")

    def _table(self, wanted: str) -> Place:
        found = {name: (sheet, part) for name, sheet, part in self.tables()}
        name = _chosen(wanted, list(found), "table")
        sheet, part = found[name]
        spec = _spec(part, *self._package.xml(part))
        area = spec.area
        free = Area(
            top=area.top + spec.header_rows,
            left=area.left,
            bottom=area.bottom,
            right=area.right,
        )
        return Place(
            what=f"the table {name!r}",
            sheet=sheet,
            part=self.sheets[sheet],
            free=free,
            titled=False,
            table=spec,
        )


def _spec(part: str, data: bytes, root: Element) -> TableSpec:
    listed = root.find("tableColumns")
    return TableSpec(
        part=part,
        data=data,
        root=root,
        area=Area.read(root.attributes.get("ref", "")),
        header_rows=root.number("headerRowCount", 1),
        totals_rows=root.number("totalsRowCount", 0),
        columns=tuple(
            TableColumn(
                name=_decoded(element.attributes.get("name", "")),
                formula=_inner(data, element.find("calculatedColumnFormula")),
            )
            for element in (listed.all("tableColumn") if listed else [])
        ),
    )


def _inner(data: bytes, element: Element | None) -> str | None:
    """Its text as XML, as it stands."""
    return data[element.inner : element.inner_end].decode() if element else None


def _decoded(text: str) -> str:
    return _CODED.sub(lambda match: chr(int(match[1], 16)), text)


def _chosen(wanted: str, names: Sequence[str], kind: str) -> str:
    """The name as the template writes it; Excel does not mind its case."""
    for name in names:
        if name.lower() == wanted.lower():
            return name
    lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(wanted.lower(), lower, n=1)
    listed = ", ".join(repr(name) for name in names[:20]) or "none"
    raise Permanent(
        "bad_fill",
        f"the template has no {kind} {wanted!r}"
        + (f"; did you mean {lower[close[0]]!r}?" if close else ""),
        f"it has: {listed}",
    )
