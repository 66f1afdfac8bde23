"""Fills a template workbook: only the cells of the rows are written anew.

All parts but these stay byte for byte: the sheets that are filled (outside the rows
their bytes stay too), the parts of filled tables (their area). And, only where it is
needed: the style table (dates without a date format, a format that the report
names), the workbook part (asks Excel to calculate, if the template has formulas),
the calculation chain (dropped, if a formula had to go).
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import BinaryIO

import pyarrow as pa

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import FormatOptions, Table, Written
from boe_reconciler.core.resources.report import Column
from boe_reconciler.formats import _values
from boe_reconciler.formats.xlsx.book import check_columns, cut_notes
from boe_reconciler.formats.xlsx.cells import ROW, Part, text_array
from boe_reconciler.formats.xlsx.markup import patched
from boe_reconciler.formats.xlsx.names import column_letters
from boe_reconciler.formats.xlsx.package import Package
from boe_reconciler.formats.xlsx.parts import MAIN
from boe_reconciler.formats.xlsx.patch import (
    Area,
    Cell,
    Patch,
    SheetXml,
    blank,
    cell_name,
    check_rows,
)
from boe_reconciler.formats.xlsx.render import Renderer, chunks, joined
from boe_reconciler.formats.xlsx.restyle import TemplateStyles
from boe_reconciler.formats.xlsx.target import Place, TableSpec, Targets

_FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")
_VALUE = re.compile(rb"<(?:\w+:)?v>[^<]*</(?:\w+:)?v>")
#: A formula of a table's column that names single cells differs from row to row.
_SINGLE_CELL = re.compile(r"(?<![\w.\[$])\$?[A-Za-z]{1,3}[1-9][0-9]*(?![\w.(\]])")


def fill_template(
    tables: Sequence[Table], target: BinaryIO, options: FormatOptions
) -> Written:
    package = Package(options.template or b"")
    try:
        filling = _Filling(package, Renderer(options.timezone), options)
        rows = sum(filling.fill(table) for table in tables)
        filling.finish()
        package.write_to(target, options.occurrence.astimezone(UTC))
    finally:
        package.discard()
    return Written(rows=rows, notes=tuple(filling.notes))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Slot:
    """One column of the sheet."""

    column: int
    style: int
    #: The column of the query; None is filled by `formula`, or left blank.
    source: int | None
    formula: str | None = None

    @property
    def attributes(self) -> str:
        look = f' s="{self.style}"' if self.style else ""
        return f' r="{column_letters(self.column)}{ROW}"{look}'

    @property
    def constant(self) -> str:
        """The XML of a cell that holds no value of the query."""
        content = f"<f>{self.formula}</f>" if self.formula else ""
        return f"<c{self.attributes}>{content}</c>"


class _Filling:
    def __init__(
        self, package: Package, renderer: Renderer, options: FormatOptions
    ) -> None:
        self.notes: list[tuple[str, str]] = []
        self._package = package
        self._renderer = renderer
        self._options = options
        self._targets = Targets(package)
        self._styles = TemplateStyles(package)
        self._formulas_gone = False
        parts = self._targets.sheets.values()
        self._has_formulas = any(_FORMULA.search(package.read(p)) for p in parts)

    def fill(self, table: Table) -> int:
        """Read a table to its end into its place; its number of rows."""
        check_columns(table)
        place = self._targets.find(table)
        data, root = self._package.xml(place.part, leaf="row")
        sheet = SheetXml(data, root, place.sheet)
        patch = Patch(sheet, place.free, what=place.what)
        totals = _totals(sheet, place)
        self._package.put(place.part, patch.data)
        titled = place.titled and self._options.include_headers
        if titled:
            self._add_titles(patch, sheet, place, table)
        slots = self._slots(sheet, place, table, patch.next_row)
        rows = self._add_rows(patch, slots, table, place)
        if place.table:
            if not rows:  # a table has one row at least
                patch.add(_blank_row(slots, patch.next_row))
            _end_table(self._package, place.table, patch, totals)
        patch.finish()
        self._formulas_gone |= patch.formulas_gone
        self._has_formulas |= any(slot.formula for slot in slots)
        return rows

    def finish(self) -> None:
        """What the workbook as a whole has to know."""
        self._styles.save()
        if self._formulas_gone:
            for chain in self._package.related(self._package.workbook, "calcChain"):
                self._package.drop(chain)
        if self._has_formulas:
            _calculate_on_load(self._package)

    def _slots(
        self, sheet: SheetXml, place: Place, table: Table, row: int
    ) -> list[_Slot]:
        old = sheet.styles(row)
        fields = list(table.schema)
        looks = [table.columns.get(field.name, Column()) for field in fields]
        spec = place.table
        sources = _sources(spec, fields, looks, place) if spec else range(len(fields))
        slots = []
        for offset, source in enumerate(sources):
            column = place.free.left + offset
            style = old.get(column, 0)
            if source is not None:
                field, look = fields[source], looks[source]
                style = self._styles.of(style, look.format, field)
            formula = spec.columns[offset].formula if spec and source is None else None
            _check_formula(formula, place)
            slots.append(
                _Slot(column=column, style=style, source=source, formula=formula)
            )
        return slots

    def _add_titles(
        self, patch: Patch, sheet: SheetXml, place: Place, table: Table
    ) -> None:
        old = sheet.styles(place.free.top)
        looks = [table.columns.get(name, Column()) for name in table.schema.names]
        titles = [
            name if look.title is None else look.title
            for name, look in zip(table.schema.names, looks, strict=True)
        ]
        left = place.free.left
        slots = [
            _Slot(column=left + n, style=old.get(left + n, 0), source=n)
            for n in range(len(titles))
        ]
        if slots:
            self._add_chunk(patch, slots, _one_row(titles))

    def _add_rows(
        self, patch: Patch, slots: Sequence[_Slot], table: Table, place: Place
    ) -> int:
        rows, cuts = 0, Counter[int]()
        for chunk in chunks(table.batches):
            rows += chunk.num_rows
            check_rows(patch.next_row - 1 + chunk.num_rows, place.what)
            beside = min(patch.rows_below, chunk.num_rows)
            for piece in (chunk.slice(0, beside), chunk.slice(beside)):
                if piece.num_rows and slots:
                    cuts.update(self._add_chunk(patch, slots, piece))
        named = {table.schema.names[n]: count for n, count in cuts.items()}
        self.notes += cut_notes(named, table.name)
        return rows

    def _add_chunk(
        self, patch: Patch, slots: Sequence[_Slot], chunk: pa.Table
    ) -> dict[int, int]:
        """How many texts were cut, by the number of their column."""
        filled = [slot for slot in slots if slot.source is not None]
        chosen = chunk.select([slot.source for slot in filled])
        ready = dict(zip(filled, self._renderer.cells(chosen), strict=True))
        parts: list[Part] = []
        for slot in slots:
            known = ready.get(slot)
            parts += known.parts(slot.attributes) if known else [slot.constant]
        first = patch.next_row
        numbers = row_numbers(range(first, first + chunk.num_rows))
        if patch.rows_below:
            for text in joined(parts, numbers).to_pylist():
                patch.add(text.encode())
        else:
            whole = [f'<row r="{ROW}">', *parts, "</row>"]
            patch.add_rows(_values.raw(joined(whole, numbers)), chunk.num_rows)
        return {s.source or 0: c.cuts for s, c in ready.items() if c.cuts}


def _one_row(texts: Sequence[str]) -> pa.Table:
    arrays = [text_array([text]) for text in texts]
    return pa.Table.from_arrays(arrays, names=[""] * len(texts))


def _blank_row(slots: Sequence[_Slot], row: int) -> bytes:
    return "".join(blank(row, slot.column, slot.style) for slot in slots).encode()


def row_numbers(numbers: range) -> pa.Array:
    """As texts. `pa.array` would do, but it loads pandas."""
    buffers = [None, pa.py_buffer(array("q", numbers))]
    found = pa.Array.from_buffers(pa.int64(), len(numbers), buffers)
    return found.cast(_values.TEXT)


# --- Tables ---------------------------------------------------------------------


def _sources(
    spec: TableSpec,
    fields: Sequence[pa.Field],
    looks: Sequence[Column],
    place: Place,
) -> list[int | None]:
    """For each column of the table the query's: by name, or else by place."""
    known = {column.name.casefold(): n for n, column in enumerate(spec.columns)}
    wanted = [
        known.get((look.title or "").casefold(), known.get(field.name.casefold()))
        for field, look in zip(fields, looks, strict=True)
    ]
    found: dict[int | None, int] = {column: n for n, column in enumerate(wanted)}
    if None not in found and len(found) == len(fields):
        return [found.get(n) for n in range(len(spec.columns))]
    if len(fields) == len(spec.columns):
        return list(range(len(fields)))
    raise Permanent(
        "columns_do_not_fit",
        f"{place.what} has the columns {', '.join(c.name for c in spec.columns)};"
        f" the query gives {', '.join(field.name for field in fields)}",
        "name the query's columns (or their titles) like the table's,"
        " or select as many as it has",
    )


def _check_formula(formula: str | None, place: Place) -> None:
    if formula and _SINGLE_CELL.search(re.sub(r"\[[^\]]*\]|\"[^\"]*\"", "", formula)):
        raise Permanent(
            "template_formula",
            f"{place.what} has the formula {formula!r}, which names single cells",
            "write it with the table's own columns, as in [@amount] * 2",
        )


def _totals(sheet: SheetXml, place: Place) -> list[Cell]:
    """The cells of a table's last row of totals; they move with its end."""
    if place.table is None or not place.table.totals_rows:
        return []
    row = sheet.row(place.free.bottom)
    cells = sheet.cells(row) if row else []
    return [c for c in cells if place.free.holds(place.free.bottom, c.column)]


def _end_table(
    package: Package, spec: TableSpec, patch: Patch, totals: Sequence[Cell]
) -> None:
    """Write the totals, and make the table as long as its rows."""
    data_end = patch.next_row - 1
    if spec.totals_rows:
        check_rows(patch.next_row, "the totals")
        patch.add(b"".join(_moved(cell, patch.next_row) for cell in totals))
    end = patch.next_row - 1
    areas = {"table": replace(spec.area, bottom=end)}
    areas["autoFilter"] = replace(spec.area, bottom=data_end)
    first = spec.area.top + spec.header_rows
    splices = []
    for found in spec.root.walk():
        reference = found.attributes.get("ref")
        if found.name in {"sortState", "sortCondition"} and reference:
            old = Area.read(reference)
            areas[found.name] = replace(old, top=first, bottom=data_end)
        new = areas.get(found.name)
        if new and str(new) != reference:
            splices.append(found.splice(ref=str(new)))
    if splices:
        package.put(spec.part, patched(spec.data, splices))


def _moved(cell: Cell, row: int) -> bytes:
    """A formula has no value until Excel calculates it."""
    place = f' r="{cell_name(row, cell.column)}"'.encode()
    moved = re.sub(rb"""\sr=["'][^"']*["']""", place, cell.xml, count=1)
    return _VALUE.sub(b"", moved) if cell.formula is not None else moved


# --- The workbook ---------------------------------------------------------------

#: What stands before `calcPr` in a workbook part.
_BEFORE_CALC = ("definedNames", "externalReferences", "functionGroups", "sheets")


def _calculate_on_load(package: Package) -> None:
    """Values of formulas are those of the template's own rows: ask for new ones."""
    data, root = package.xml(package.workbook)
    old = root.find("calcPr")
    if old is not None:
        if old.attributes.get("fullCalcOnLoad") not in {"1", "true"}:
            changed = patched(data, [old.splice(fullCalcOnLoad="1")])
            package.put(package.workbook, changed)
        return
    before = next(e for name in _BEFORE_CALC for e in root.all(name))
    element = f'<calcPr xmlns="{MAIN}" fullCalcOnLoad="1"/>'.encode()
    package.put(package.workbook, patched(data, [(before.end, before.end, element)]))
