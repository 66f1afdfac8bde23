"""Rows as XML: the pieces of all cells of a batch joined, column by column, by Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from zoneinfo import ZoneInfo

import pyarrow as pa

from boe_reconciler.core.errors import Permanent
from boe_reconciler.formats import _values
from boe_reconciler.formats.xlsx.cells import (
    ROW,
    Cells,
    Part,
    as_plain,
    cells,
    text_array,
)

#: A chunk that is rendered at once holds no more than this (docs/decisions/0043).
CHUNK_ROWS, CHUNK_BYTES = 8_192, 8 << 20


class Renderer:
    """Renders batches for one file, in any thread."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def cells(self, chunk: pa.Table) -> list[Cells]:
        """For each column of `chunk`."""
        return [cells(one_array(column), self._zone) for column in chunk.columns]

    def rows(self, columns: Sequence[Cells], attributes: Sequence[str]) -> memoryview:
        """The `<row>` elements of a chunk, as UTF-8; a column's cells share attributes."""
        pairs = zip(columns, attributes, strict=True)
        inside = [part for column, text in pairs for part in column.parts(text)]
        return _values.raw(joined(["<row>", *inside, "</row>"]))

    def header(self, titles: Sequence[str], style: int) -> bytes:
        """One `<row>` of texts, all in one style; longer ones than fit are cut."""
        column = cells(text_array(titles), self._zone)
        rendered = _values.raw(joined(column.parts(f' s="{style}"')))
        return b"<row>" + bytes(rendered) + b"</row>"


def joined(parts: Iterable[Part], numbers: pa.Array | None = None) -> pa.Array:
    """For each row its pieces as one text; ROW in them is its number."""
    pieces: list[Part] = []
    for constant, group in groupby(parts, lambda part: isinstance(part, str)):
        found = list(group)
        pieces += _numbered("".join(found), numbers) if constant else found
    try:
        return _values.join(pieces)
    except pa.ArrowException as error:
        raise Permanent(
            "format_failed",
            f"the rows cannot be written as a workbook: {error}",
            "look at the values that the query gives, or export another format",
        ) from error


def _numbered(text: str, numbers: pa.Array | None) -> Iterator[Part]:
    first, *others = text.split(ROW)
    yield first
    for other in others:
        yield numbers
        yield other


def plain(chunk: pa.Table) -> pa.Table:
    """The same rows, each column one array of a type that cells know at once."""
    arrays = [as_plain(one_array(column)) for column in chunk.columns]
    return pa.Table.from_arrays(arrays, names=chunk.column_names)


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """Without a copy where there is one piece."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def chunks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in chunks of a good size: small batches joined, large ones cut."""
    waiting: list[pa.RecordBatch] = []
    for piece in _values.slices(batches, CHUNK_ROWS, CHUNK_BYTES):
        waiting.append(piece)
        rows = sum(batch.num_rows for batch in waiting)
        if rows >= CHUNK_ROWS or _values.larger(waiting, CHUNK_BYTES):
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)
