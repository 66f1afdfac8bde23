"""New rows in the XML of a template's sheet; all that is not replaced keeps its bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from boe_reconciler.core.errors import Permanent
from boe_reconciler.formats.xlsx.container import Deflated
from boe_reconciler.formats.xlsx.markup import Element, bad, parse, patched
from boe_reconciler.formats.xlsx.names import MAX_ROWS, column_index, column_letters
from boe_reconciler.formats.xlsx.parts import MAIN

_REFERENCE = re.compile(r"\$?([A-Za-z]{1,3})\$?([0-9]{1,7})")
_COLUMN = re.compile(rb"<(?:\w+:)?c(?=[\s/>])")
#: What of a cell is content.
_CONTENT = {"v", "is", "f"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Area:
    """Rows from 1, columns from 0, both ends within."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def read(cls, reference: str) -> Area:
        """`A1` or `$A$1:$C$5`. Permanent `bad_template` for anything else."""
        first, _, last = reference.partition(":")
        match = [_REFERENCE.fullmatch(part) for part in (first, last or first)]
        if match[0] is None or match[1] is None:
            raise bad(f"{reference!r} is not an area of cells")
        return cls(
            top=int(match[0][2]),
            left=column_index(match[0][1]),
            bottom=int(match[1][2]),
            right=column_index(match[1][1]),
        )

    def __str__(self) -> str:
        first, last = cell_name(self.top, self.left), cell_name(self.bottom, self.right)
        return first if first == last else f"{first}:{last}"

    def holds(self, row: int, column: int) -> bool:
        across = self.left <= column <= self.right
        return across and self.top <= row <= self.bottom

    def touches(self, other: Area) -> bool:
        across = self.left <= other.right and other.left <= self.right
        return across and self.top <= other.bottom and other.top <= self.bottom

    def within(self, other: Area) -> bool:
        first = other.holds(self.top, self.left)
        return first and other.holds(self.bottom, self.right)


def cell_name(row: int, column: int) -> str:
    return f"{column_letters(column)}{row}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    column: int
    #: Its XML, with its reference.
    xml: bytes
    style: int
    filled: bool
    formula: Element | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    number: int
    element: Element


class SheetXml:
    """The rows of a sheet as they are in the template."""

    def __init__(self, data: bytes, root: Element, name: str) -> None:
        self.data = data
        self.root = root
        self.name = name
        body = root.find("sheetData")
        if body is None:
            raise bad(f"sheet {name!r} has no cells")
        self.body = body
        self.rows = list(_numbered(body.all("row")))

    def cells(self, row: Row) -> list[Cell]:
        return list(self._cells(row))

    def row(self, number: int) -> Row | None:
        return next((row for row in self.rows if row.number == number), None)

    def styles(self, number: int) -> dict[int, int]:
        """Column -> style, of the cells of one row."""
        row = self.row(number)
        return {cell.column: cell.style for cell in self.cells(row)} if row else {}

    def raw(self, row: Row) -> bytes:
        """The row as it stands, with its number."""
        element = row.element
        if "r" in element.attributes:
            return self.data[element.start : element.end]
        rest = self.data[element.inner : element.end]
        return element.start_tag(r=str(row.number)) + rest

    def merged_areas(self) -> list[Area]:
        merged = self.root.find("mergeCells")
        found = merged.all("mergeCell") if merged else []
        return [Area.read(element.attributes.get("ref", "")) for element in found]

    def _cells(self, row: Row) -> Iterator[Cell]:
        start = row.element.start
        raw = self.data[start : row.element.end]
        column = -1
        for element in parse(raw, f"row {row.number} of {self.name!r}").all("c"):
            reference = element.attributes.get("r")
            column = Area.read(reference).left if reference else column + 1
            name = cell_name(row.number, column).encode()
            xml = raw[element.start : element.end]
            if not reference:
                xml = _COLUMN.sub(rb'\g<0> r="' + name + b'"', xml, count=1)
            yield Cell(
                column=column,
                xml=xml,
                style=element.number("s", 0),
                filled=any(child.name in _CONTENT for child in element.children),
                formula=element.find("f"),
            )


def _numbered(elements: Sequence[Element]) -> Iterator[Row]:
    number = 0
    for element in elements:
        number = element.number("r", number + 1)
        yield Row(number=number, element=element)


class Patch:
    """Writes one sheet anew, row by row downwards; `finish` ends it.

    Within `width` columns, cells of `free` are replaced; others in the way are
    refused. What is beside those columns stays.
    """

    def __init__(self, sheet: SheetXml, free: Area, *, what: str) -> None:
        self.data = Deflated()
        #: Whether a formula of the template is gone from its place.
        self.formulas_gone = False
        self._sheet = sheet
        self._free = free
        self._what = what
        self._waiting = [row for row in sheet.rows if row.number >= free.top]
        self._waiting.reverse()
        self._last = free.top - 1
        head = sheet.body.inner
        for row in sheet.rows:
            if row.number < free.top:
                head = row.element.end
        self.data.write(sheet.data[sheet.body.inner : head])

    @property
    def rows_below(self) -> int:
        """How many rows further down the template's last row is."""
        return max(self._waiting[0].number - self._last, 0) if self._waiting else 0

    @property
    def next_row(self) -> int:
        return self._last + 1

    def add(self, cells: bytes) -> None:
        """The cells of the next row."""
        self._last += 1
        if self._waiting and self._waiting[-1].number == self._last:
            self.data.write(self._merge(self._waiting.pop(), cells))
        else:
            self.data.write(b'<row r="%d">%b</row>' % (self._last, cells))

    def add_rows(self, rows: memoryview, count: int) -> None:
        """Whole `<row>` elements, once no row of the template is left below."""
        self.data.write(rows)
        self._last += count

    def finish(self) -> None:
        """Empty what is left of the old rows, and write what stands around them."""
        written = replace(self._free, bottom=max(self._last, self._free.top))
        self._check_merged(written)
        while self._waiting:
            row = self._waiting.pop()
            if row.number > self._free.bottom:
                self.data.write(self._sheet.raw(row))
            else:
                self.data.write(self._merge(row, self._blanks(row)))
        sheet = self._sheet
        tail = sheet.data[sheet.body.inner_end :]
        if sheet.body.empty:
            tail = f"</{sheet.body.tag}>".encode() + sheet.data[sheet.body.end :]
        self.data.write(tail)
        self.data.close()
        self.data.put_before(self._head(written))

    def _head(self, written: Area) -> bytes:
        body, dimension = self._sheet.body, self._sheet.root.find("dimension")
        head = self._sheet.data[: body.start]
        if dimension is None:
            return head + _opening(body)
        old = Area.read(dimension.attributes.get("ref", "A1"))
        splice = dimension.splice(ref=str(_around(old, written)))
        return patched(head, [splice]) + _opening(body)

    def _merge(self, row: Row, cells: bytes) -> bytes:
        """The template's row with `cells` in the place of its own."""
        old = self._sheet.cells(row)
        for cell in old:
            if self._free.left <= cell.column <= self._free.right:
                self._check_free(row.number, cell)
        left = b"".join(cell.xml for cell in old if cell.column < self._free.left)
        right = b"".join(cell.xml for cell in old if cell.column > self._free.right)
        element = row.element
        tag = element.start_tag(r=str(row.number), spans=None)
        tag = tag.replace(b"/>", b">") if element.empty else tag
        return tag + left + cells + right + f"</{element.tag}>".encode()

    def _blanks(self, row: Row) -> bytes:
        """The row's own cells without their content."""
        return b"".join(
            blank(row.number, cell.column, cell.style).encode()
            for cell in self._sheet.cells(row)
            if self._free.left <= cell.column <= self._free.right
        )

    def _check_free(self, row: int, cell: Cell) -> None:
        if not self._free.holds(row, cell.column) and cell.filled:
            raise self._in_the_way(f"cell {cell_name(row, cell.column)}")
        if cell.formula is None:
            return
        self.formulas_gone = True
        reach = cell.formula.attributes.get("ref")
        if reach and not Area.read(reach).within(self._free):
            raise self._in_the_way(f"the formula that fills {reach}")

    def _check_merged(self, written: Area) -> None:
        for area in self._sheet.merged_areas():
            if area.touches(written):
                raise self._in_the_way(f"the merged cells {area}")

    def _in_the_way(self, thing: str) -> Permanent:
        return Permanent(
            "template_in_the_way",
            f"sheet {self._sheet.name!r} of the template: {thing} is in the way of"
            f" the rows for {self._what}",
            "move it beside or above them, or to another sheet",
        )


def _opening(body: Element) -> bytes:
    """The start tag, with the namespace of the cells that are written into it."""
    tag = body.start_tag(xmlns=MAIN) if ":" in body.tag else body.start_tag()
    return tag.replace(b"/>", b">") if body.empty else tag


def blank(row: int | str, column: int, style: int) -> str:
    look = f' s="{style}"' if style else ""
    return f'<c r="{column_letters(column)}{row}"{look}/>'


def _around(one: Area, other: Area) -> Area:
    return Area(
        top=min(one.top, other.top),
        left=min(one.left, other.left),
        bottom=max(one.bottom, other.bottom),
        right=max(one.right, other.right),
    )


def check_rows(last: int, what: str) -> None:
    if last > MAX_ROWS:
        raise Permanent(
            "too_many_rows",
            f"the rows for {what} need more than {MAX_ROWS:,} rows of a sheet",
            "select fewer rows, or leave the template out: a plain workbook goes on"
            " in further sheets",
        )
