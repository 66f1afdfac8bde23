"""Pages to read and print: title, header row on each page, page x of y.

A pdf is for reading, so it is limited in rows; a table begins on a page of its own,
on the smallest paper that it fits on. The bytes depend on the rows and options alone.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from reportlab import rl_config
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A3, A4, landscape
from reportlab.pdfgen.canvas import Canvas
from reportlab.pdfgen.textobject import PDFTextObject

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import Cancel, Format, FormatOptions, Table, Written
from boe_reconciler.formats import _display as display
from boe_reconciler.formats import _values as values
from boe_reconciler.formats._pdf_fonts import BOLD, REGULAR, Fonts

MAX_ROWS = 50_000
#: A longer text is cut, as is one that would fill more lines of its cell.
MAX_TEXT, MAX_LINES = 600, 8
#: (paper, size of the letters), tried in this order until the table fits.
PAPERS = (
    (A4, 8.5),
    (landscape(A4), 8.5),
    (landscape(A4), 7.5),
    (landscape(A3), 8.5),
    (landscape(A3), 7.0),
)
MARGIN, FOOT = 40.0, 34.0
INK, QUIET, ACCENT = HexColor(0x1B2430), HexColor(0x5B6775), HexColor(0x1F4E79)
LINE, HEAD = HexColor(0xDDE2E8), HexColor(0xF0F3F7)
#: In sizes of the letters: between lines; beside and above a cell's text; the widest
#: that a text column is on its own account, the narrowest that it is squeezed to.
LEADING, BESIDE, ABOVE, WIDE, NARROW = 1.3, 0.7, 0.42, 24.0, 6.0
#: A title that is wider breaks between its words.
TITLE = 7.0
#: So many of the longest texts of a column are measured.
MEASURED = 64
ELLIPSIS = "\u2026"

#: reportlab keeps fonts for the process: one document is drawn at a time.
_DRAWING = threading.Lock()
#: Streams stay bytes: as text they are a quarter larger.
rl_config.useA85 = 0


class Pdf:
    extension = "pdf"
    media_type = "application/pdf"
    several_tables = True

    def write(
        self, tables: Sequence[Table], target: BinaryIO, options: FormatOptions
    ) -> Written:
        sheets: list[_Sheet] = []
        for table in tables:
            room = MAX_ROWS - sum(sheet.rows for sheet in sheets)
            sheets.append(_read(table, room, options))
        with _drawing(options.cancel):
            document = _Document(options)
            for sheet in sheets:
                document.add(sheet, alone=len(sheets) == 1)
            content = document.finish()
        target.write(content)
        rows = sum(sheet.rows for sheet in sheets)
        return Written(rows=rows, notes=document.notes)


def create() -> Format:
    return Pdf()


@contextmanager
def _drawing(cancel: Cancel) -> Iterator[None]:
    """Wait until nobody else draws, but not longer than somebody wants the pdf."""
    while not _DRAWING.acquire(timeout=0.2):
        cancel.check()
    try:
        yield
    finally:
        _DRAWING.release()


# --- Reading --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sheet:
    """A table as texts, at most MAX_TEXT characters each."""

    name: str
    columns: Sequence[values.Shown]
    #: Slice after slice, a text column for each column.
    pieces: Sequence[Sequence[pa.Array]]
    rows: int


def _read(table: Table, room: int, options: FormatOptions) -> _Sheet:
    columns = values.shown_columns(table)
    pieces: list[list[pa.Array]] = []
    rows = 0
    for piece in values.slices(table.batches):
        rows += piece.num_rows
        if rows > room:
            raise Permanent(
                "too_many_rows",
                f"a pdf holds {MAX_ROWS:,} rows at most, and this report has more",
                "use xlsx, csv or parquet, or let the query sum up",
            )
        pieces.append([_texts(piece, column, options) for column in columns])
    return _Sheet(name=table.name, columns=columns, pieces=pieces, rows=rows)


def _texts(
    piece: pa.RecordBatch, column: values.Shown, options: FormatOptions
) -> pa.Array:
    texts = display.displayed(
        piece.column(column.index), column.look.format, options.timezone
    )
    # One character more than fits, so that a cut can be seen.
    return pc.utf8_slice_codeunits(texts, 0, MAX_TEXT + 1).fill_null("")


# --- Laying out -----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    paper: tuple[float, float]
    size: float
    widths: Sequence[float]


def _layout(sheet: _Sheet, fonts: Fonts, cancel: Cancel) -> _Layout:
    """The first paper that the table fits on; else its texts are squeezed."""
    natural = []
    for place in range(len(sheet.columns)):
        cancel.check()
        natural.append(_natural(sheet, place, fonts))
    bound = [
        display.on_one_line(column.type) or column.look.width is not None
        for column in sheet.columns
    ]
    for paper, size in PAPERS:
        usable = (paper[0] - 2 * MARGIN) / size
        wanted = [
            width if fixed else min(width, WIDE)
            for width, fixed in zip(natural, bound, strict=True)
        ]
        if sum(wanted) <= usable:
            widths = _stretched(wanted, natural, usable)
            return _Layout(paper=paper, size=size, widths=[w * size for w in widths])
    squeezed = _squeezed(wanted, bound, usable)
    return _Layout(paper=paper, size=size, widths=[w * size for w in squeezed])


def _natural(sheet: _Sheet, place: int, fonts: Fonts) -> float:
    """The width at which nothing in the column wraps, in sizes of the letters."""
    column = sheet.columns[place]
    header = _header_width(column.title, fonts)
    if column.look.width is not None:
        return max(header, column.look.width * 0.58) + 2 * BESIDE
    cells = [
        fonts.width(line, 1)
        for piece in sheet.pieces
        for text in _longest(piece[place])
        for line in text.splitlines()
    ]
    return max(header, *cells, 1.0) + 2 * BESIDE if cells else header + 2 * BESIDE


def _header_width(title: str, fonts: Fonts) -> float:
    """A short title stays on one line; a long one may break between its words."""
    words = [fonts.width(word, 1, BOLD) for word in title.split()]
    return max([min(fonts.width(title, 1, BOLD), TITLE), *words])


def _longest(texts: pa.Array) -> list[str]:
    order = pc.select_k_unstable(
        pc.utf8_length(texts), MEASURED, sort_keys=[("not_used", "descending")]
    )
    return list(texts.take(order).to_pylist())


def _stretched(wanted: list[float], natural: list[float], usable: float) -> list[float]:
    """The room that is left goes to texts that would wrap, then to all alike."""
    left = usable - sum(wanted)
    missing = [full - width for full, width in zip(natural, wanted, strict=True)]
    share = min(1.0, left / sum(missing)) if sum(missing) else 0.0
    widths = [w + m * share for w, m in zip(wanted, missing, strict=True)]
    most = min(usable, sum(widths) * 1.5)
    return [width * most / sum(widths) for width in widths]


def _squeezed(wanted: list[float], bound: list[bool], usable: float) -> list[float]:
    fixed = sum(w for w, stays in zip(wanted, bound, strict=True) if stays)
    flexible = sum(wanted) - fixed
    share = (usable - fixed) / flexible if flexible else 0.0
    widths = [w if stays else w * share for w, stays in zip(wanted, bound, strict=True)]
    if min(widths) < min(NARROW, *wanted):
        raise Permanent(
            "too_wide",
            f"{len(wanted)} columns do not fit on a page",
            "hide some columns, or use xlsx or html",
        )
    return widths


@dataclass(frozen=True, kw_only=True, slots=True)
class _Room:
    """What a line has to fit in."""

    width: float
    size: float
    fonts: Fonts
    font: str = REGULAR

    def holds(self, text: str) -> bool:
        return self.fonts.width(text, self.size, self.font) <= self.width + 0.01


def _wrapped(text: str, room: _Room) -> list[str]:
    """The lines of a cell, broken at spaces, or inside a word that is too long."""
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if room.holds(longer):
                line = longer
                continue
            if line:
                lines.append(line)
            *full, line = _broken(word, room)
            lines += full
        lines.append(line)
    return lines


def _broken(word: str, room: _Room) -> list[str]:
    parts = [""]
    for character in word:
        if parts[-1] and not room.holds(parts[-1] + character):
            parts.append("")
        parts[-1] += character
    return parts


# --- Drawing --------------------------------------------------------------------


class _Document:
    """Draws sheets page by page, top down."""

    def __init__(self, options: FormatOptions) -> None:
        self._options = options
        self._fonts = Fonts()
        self._file = io.BytesIO()
        self._canvas = Canvas(self._file, invariant=1, pageCompression=1, lang="en")
        self._canvas.setTitle(options.title)
        self._canvas.setSubject(options.subtitle)
        self._canvas.setAuthor("")
        self._canvas.setCreator("BOE")
        due = options.occurrence.strftime("D:%Y%m%d%H%M%S+00'00'")
        self._canvas.setDateFormatter(lambda *_now: due)
        self._page = 0
        self._cut = 0
        self._y = 0.0

    @property
    def notes(self) -> list[tuple[str, str]]:
        notes = []
        if self._cut:
            notes.append(("text_cut", f"{self._cut} long texts are cut in the pdf"))
        if self._fonts.missing:
            shown = "".join(sorted(self._fonts.missing)[:20])
            sentence = f"the pdf has no letters for these and shows boxes: {shown}"
            notes.append(("characters_missing", sentence))
        return notes

    def add(self, sheet: _Sheet, *, alone: bool) -> None:
        layout = _layout(sheet, self._fonts, self._options.cancel)
        self._new_page(layout)
        if self._page == 1:
            self._title(layout)
        if not alone:
            self._heading(sheet.name, layout)
        headers = self._headers(sheet, layout)
        self._draw_headers(headers, sheet, layout)
        for row in _rows(sheet):
            self._row(row, headers, sheet, layout)
        count = display.counted(sheet.rows) if sheet.rows else "No rows"
        self._line(count, (MARGIN, self._y - 1.9 * layout.size), layout.size, QUIET)
        self._canvas.showPage()

    def finish(self) -> bytes:
        self._canvas.beginForm("pages")
        self._line(str(self._page), (0, 0), 7.5, QUIET)
        self._canvas.endForm()
        self._canvas.save()
        return self._file.getvalue()

    def _new_page(self, layout: _Layout) -> None:
        """The canvas stands on a fresh page: paper and foot."""
        self._options.cancel.check()
        self._page += 1
        width, height = layout.paper
        self._canvas.setPageSize(layout.paper)
        self._y = height - MARGIN
        page = f"Page {self._page} of "
        self._line(page, (MARGIN, FOOT - 12), 7.5, QUIET)
        self._canvas.saveState()
        after = MARGIN + self._fonts.width(page, 7.5)
        self._canvas.translate(after, FOOT - 12)
        self._canvas.doForm("pages")
        self._canvas.restoreState()
        due = display.occasion(self._options)
        left = width - MARGIN - self._fonts.width(due, 7.5)
        self._line(due, (left, FOOT - 12), 7.5, QUIET)

    def _title(self, layout: _Layout) -> None:
        width = layout.paper[0] - 2 * MARGIN - 12
        room = _Room(width=width, size=17, fonts=self._fonts, font=BOLD)
        top = self._y
        for line in _wrapped(self._options.title, room)[:3]:
            self._y -= 19
            self._line(line, (MARGIN + 12, self._y + 3), 17, INK, BOLD)
        if self._options.subtitle:
            self._y -= 14
            self._line(self._options.subtitle, (MARGIN + 12, self._y + 2), 9.5, QUIET)
        self._canvas.setFillColor(ACCENT)
        self._canvas.rect(MARGIN, self._y - 2, 3, top - self._y, stroke=0, fill=1)
        self._y -= 20

    def _heading(self, name: str, layout: _Layout) -> None:
        self._canvas.bookmarkPage(f"page{self._page}")
        self._canvas.addOutlineEntry(name, f"page{self._page}")
        self._y -= 12
        self._line(name, (MARGIN, self._y), 12, INK, BOLD)
        self._y -= 10

    def _headers(self, sheet: _Sheet, layout: _Layout) -> list[list[str]]:
        if not self._options.include_headers:
            return []
        return [
            _wrapped(column.title, self._room(width, layout, BOLD))[:MAX_LINES]
            for column, width in zip(sheet.columns, layout.widths, strict=True)
        ]

    def _room(self, width: float, layout: _Layout, font: str) -> _Room:
        inside = width - 2 * BESIDE * layout.size
        return _Room(width=inside, size=layout.size, fonts=self._fonts, font=font)

    def _draw_headers(
        self, headers: list[list[str]], sheet: _Sheet, layout: _Layout
    ) -> None:
        if not headers:
            return
        height = _height(headers, layout)
        width = sum(layout.widths)
        self._canvas.setFillColor(HEAD)
        self._canvas.rect(MARGIN, self._y - height, width, height, stroke=0, fill=1)
        # Titles of one line stand at the foot of a header of two.
        lines = max(map(len, headers))
        bottom = [[""] * (lines - len(cell)) + cell for cell in headers]
        self._cells(bottom, sheet, layout, BOLD)
        self._rule(self._y - height, width, ACCENT, 1.1)
        self._y -= height

    def _row(
        self,
        row: Sequence[str],
        headers: list[list[str]],
        sheet: _Sheet,
        layout: _Layout,
    ) -> None:
        cells = [
            self._cell(text, width, layout)
            for text, width in zip(row, layout.widths, strict=True)
        ]
        height = _height(cells, layout)
        if self._y - height < MARGIN + 1.9 * layout.size:
            self._canvas.showPage()
            self._new_page(layout)
            self._draw_headers(headers, sheet, layout)
        self._cells(cells, sheet, layout, REGULAR)
        self._y -= height
        self._rule(self._y, sum(layout.widths), LINE, 0.4)

    def _cell(self, text: str, width: float, layout: _Layout) -> list[str]:
        room = self._room(width, layout, REGULAR)
        # No letter of these fonts is wider than 1.2 of its size.
        if len(text) * 1.2 * layout.size <= room.width and text.isprintable():
            return [text]
        lines = _wrapped(text[:MAX_TEXT], room)
        if len(text) > MAX_TEXT or len(lines) > MAX_LINES:
            self._cut += 1
            lines = lines[:MAX_LINES]
            lines[-1] += ELLIPSIS
        return lines

    def _cells(
        self,
        cells: Sequence[Sequence[str]],
        sheet: _Sheet,
        layout: _Layout,
        font: str,
    ) -> None:
        size, left = layout.size, MARGIN
        drawn = self._canvas.beginText()
        drawn.setFillColor(INK)
        for lines, column, width in zip(
            cells, sheet.columns, layout.widths, strict=True
        ):
            y = self._y - ABOVE * size - size
            for line in lines:
                x = left + BESIDE * size
                if display.aligned_right(column.type):
                    x = left + width - BESIDE * size
                    x -= self._fonts.width(line, size, font)
                drawn.setTextOrigin(x, y)
                self._write(drawn, line, size, font)
                y -= LEADING * size
            left += width
        self._canvas.drawText(drawn)

    def _write(self, drawn: PDFTextObject, text: str, size: float, font: str) -> None:
        for name, part in self._fonts.runs(text, font):
            drawn.setFont(name, size)
            drawn.textOut(part)

    def _line(
        self,
        text: str,
        at: tuple[float, float],
        size: float,
        colour: HexColor,
        font: str = REGULAR,
    ) -> None:
        drawn = self._canvas.beginText(*at)
        drawn.setFillColor(colour)
        self._write(drawn, text, size, font)
        self._canvas.drawText(drawn)

    def _rule(self, y: float, width: float, colour: HexColor, weight: float) -> None:
        self._canvas.setStrokeColor(colour)
        self._canvas.setLineWidth(weight)
        self._canvas.line(MARGIN, y, MARGIN + width, y)


def _height(cells: Sequence[Sequence[str]], layout: _Layout) -> float:
    lines = max(map(len, cells))
    return (lines * LEADING + 2 * ABOVE) * layout.size


def _rows(sheet: _Sheet) -> Iterator[tuple[str, ...]]:
    for piece in sheet.pieces:
        yield from zip(*(texts.to_pylist() for texts in piece), strict=True)
