"""A plain workbook: a sheet for each table, and further ones where rows run over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC
from itertools import chain
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import FormatOptions, Table, Written
from boe_reconciler.core.resources.report import Column
from boe_reconciler.formats import _values
from boe_reconciler.formats._ahead import ahead
from boe_reconciler.formats.xlsx import names, parts
from boe_reconciler.formats.xlsx.cells import default_format
from boe_reconciler.formats.xlsx.container import Deflated, ZipWriter
from boe_reconciler.formats.xlsx.render import Renderer, chunks, plain

#: Measured widths stay between these, in characters.
NARROW, WIDE = 6.0, 60.0
#: What a filter's button and the edges of a cell take.
BUTTON, EDGE = 3, 1
#: Room for a number or a date; their text may have more digits than are shown.
PLAIN_WIDTH = 12
#: Measuring looks at so many rows.
MEASURED = 1_000

Note = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """What all sheets of one table share."""

    titles: list[str]
    #: In characters.
    widths: list[float]
    hidden: list[bool]
    styles: list[int]
    headers: bool


@dataclass(kw_only=True, slots=True)
class Sheet:
    """A sheet that is being written: its rows are kept until its head is known."""

    name: str
    layout: Layout
    data: Deflated = field(default_factory=Deflated)
    rows: int = 0

    @property
    def room(self) -> int:
        return names.MAX_ROWS - self.rows

    @property
    def area(self) -> str:
        return names.area(self.rows, len(self.layout.titles))

    @property
    def filtered(self) -> str | None:
        """What the filter covers; None without a header."""
        return self.area if self.layout.headers and self.layout.titles else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    """Rows that one sheet has room for."""

    sheet: Sheet
    rows: pa.Table


@dataclass(frozen=True, kw_only=True, slots=True)
class _Done:
    """A piece, rendered."""

    sheet: Sheet
    rows: int
    xml: bytes | memoryview
    #: How many texts were cut, by the title of their column.
    cuts: Mapping[str, int]


def write_workbook(
    tables: Sequence[Table], target: BinaryIO, options: FormatOptions
) -> Written:
    book = _Book(Renderer(options.timezone), options)
    try:
        rows = sum(book.add(table) for table in tables)
        book.write_to(target)
    finally:
        book.discard()
    return Written(rows=rows, notes=tuple(book.notes))


class _Book:
    def __init__(self, renderer: Renderer, options: FormatOptions) -> None:
        self.notes: list[Note] = []
        self._sheets: list[Sheet] = []
        self._renderer = renderer
        self._options = options
        self._styles = parts.Styles()

    def add(self, table: Table) -> int:
        """Read a table to its end; its number of rows."""
        check_columns(table)
        stream = chunks(table.batches)
        first = plain(next(stream, pa.Table.from_batches([], table.schema)))
        layout = self._layout(table, first)
        cuts: Counter[str] = Counter()
        rows = 0
        pieces = self._pieces(table.name, layout, chain([first], stream))
        # The next rows are asked for while those before are rendered, and others packed.
        with closing(ahead(pieces, self._render)) as rendered:
            for done in ahead(rendered, _keep, threads=1):
                cuts.update(done.cuts)
                rows += done.rows
        self.notes += cut_notes(cuts, table.name)
        return rows

    def _pieces(
        self, name: str, layout: Layout, stream: Iterable[pa.Table]
    ) -> Iterator[_Piece]:
        """The rows, each piece with its sheet; a sheet that is full is followed by one."""
        sheet = self._start(name, layout)
        for chunk in stream:
            rest = chunk
            while rest.num_rows:
                if not sheet.room:
                    sheet = self._go_on(name, layout)
                piece, rest = rest.slice(0, sheet.room), rest.slice(sheet.room)
                sheet.rows += piece.num_rows
                yield _Piece(sheet=sheet, rows=piece)

    def write_to(self, target: BinaryIO) -> None:
        count = len(self._sheets)
        listed = [(sheet.name, sheet.filtered) for sheet in self._sheets]
        when = self._options.occurrence.astimezone(UTC)
        with ZipWriter(target, when) as file:
            file.add("[Content_Types].xml", parts.content_types(count))
            file.add("_rels/.rels", parts.root_relations())
            file.add("docProps/core.xml", parts.properties(self._options.title, when))
            file.add("xl/workbook.xml", parts.workbook(listed))
            file.add("xl/_rels/workbook.xml.rels", parts.workbook_relations(count))
            file.add("xl/styles.xml", self._styles.xml())
            for number, sheet in enumerate(self._sheets, 1):
                _close(sheet, first=number == 1)
                file.add_deflated(f"xl/worksheets/sheet{number}.xml", sheet.data)

    def discard(self) -> None:
        for sheet in self._sheets:
            sheet.data.discard()

    def _layout(self, table: Table, first: pa.Table) -> Layout:
        looks = [table.columns.get(name, Column()) for name in table.schema.names]
        titles = [
            name if look.title is None else look.title
            for name, look in zip(table.schema.names, looks, strict=True)
        ]
        formats = [
            look.format or default_format(field.type)
            for field, look in zip(table.schema, looks, strict=True)
        ]
        headers = self._options.include_headers
        return Layout(
            titles=titles,
            widths=[
                look.width or measured(column, title if headers else "", code)
                for column, look, title, code in zip(
                    first.columns, looks, titles, formats, strict=True
                )
            ],
            hidden=[look.hidden for look in looks],
            styles=[
                self._styles.number(code, name)
                for code, name in zip(formats, table.schema.names, strict=True)
            ],
            headers=headers,
        )

    def _start(self, wanted: str, layout: Layout) -> Sheet:
        name = names.sheet_name(wanted, [sheet.name for sheet in self._sheets])
        sheet = Sheet(name=name, layout=layout)
        self._sheets.append(sheet)
        if layout.headers and layout.titles:
            sheet.data.write(self._renderer.header(layout.titles, parts.HEADER))
            sheet.rows += 1
        return sheet

    def _go_on(self, wanted: str, layout: Layout) -> Sheet:
        sheet = self._start(wanted, layout)
        text = f"{wanted!r} has more rows than one sheet holds: they go on in"
        self.notes.append(("sheet_added", f"{text} {sheet.name!r}"))
        return sheet

    def _render(self, piece: _Piece) -> _Done:
        """In any thread."""
        layout, rows = piece.sheet.layout, piece.rows.num_rows
        if not layout.titles:
            return _Done(sheet=piece.sheet, rows=rows, xml=b"", cuts={})
        cells = self._renderer.cells(piece.rows)
        attributes = [f' s="{n}"' if n else "" for n in layout.styles]
        return _Done(
            sheet=piece.sheet,
            rows=rows,
            xml=self._renderer.rows(cells, attributes),
            cuts={
                t: c.cuts for t, c in zip(layout.titles, cells, strict=True) if c.cuts
            },
        )


def _keep(done: _Done) -> _Done:
    """Pack the rows into their sheet: one piece after the other, in any thread."""
    done.sheet.data.write(done.xml)
    return done


def _close(sheet: Sheet, *, first: bool) -> None:
    """Write what stands before and behind the rows."""
    layout = sheet.layout
    view = parts.view(first=first, frozen=sheet.filtered is not None)
    head = (
        f'{parts.DECLARATION}<worksheet xmlns="{parts.MAIN}"><dimension'
        f' ref="{sheet.area}"/>{view}<sheetFormatPr defaultRowHeight="15"/>'
        f"{parts.columns(layout.widths, layout.hidden)}<sheetData>"
    )
    sheet.data.put_before(head.encode())
    filtered = f'<autoFilter ref="{sheet.filtered}"/>' if sheet.filtered else ""
    sheet.data.write(f"</sheetData>{filtered}</worksheet>".encode())
    sheet.data.close()


def check_columns(table: Table) -> None:
    if len(table.schema) > names.MAX_COLUMNS:
        raise Permanent(
            "too_many_columns",
            f"{table.name!r} has {len(table.schema):,} columns,"
            f" and a sheet holds {names.MAX_COLUMNS:,}",
            "select fewer columns, or export csv or parquet",
        )


def cut_notes(cuts: Mapping[str, int], table: str) -> list[Note]:
    return [
        (
            "text_cut",
            f"{table!r}: {count:,} texts in column {title!r} were cut to the"
            f" {names.MAX_TEXT:,} characters that a cell holds",
        )
        for title, count in cuts.items()
    ]


def measured(column: pa.ChunkedArray, title: str, code: str | None) -> float:
    """A width that shows the title and the first rows, of a plain column."""
    shown = max(
        _longest(column.chunk(0).slice(0, MEASURED)),
        len(code or ""),
        len(title) + BUTTON if title else 0,
    )
    return min(max(shown + EDGE, NARROW), WIDE)


def _longest(array: pa.Array) -> int:
    if types.is_large_string(array.type):
        if bytes(_values.raw(array)).isascii():
            return _values.longest(array)
        return pc.max(pc.utf8_length(array)).as_py() or 0
    if types.is_integer(array.type) or types.is_decimal(array.type):
        ends = pc.min_max(array).as_py().values()  # no other has more digits
        return max(0 if end is None else len(str(end)) for end in ends)
    return 0 if types.is_boolean(array.type) else PLAIN_WIDTH
