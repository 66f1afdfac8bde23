"""Rows as XML: one vectorised expression of an embedded DuckDB for a whole batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pyarrow as pa

from boe_reconciler.core.errors import Permanent
from boe_reconciler.formats.xlsx.cells import Cells, cells, literal, text_array

if TYPE_CHECKING:
    import duckdb

#: A chunk that is rendered at once holds no more than this: twice as much takes a
#: sixth less of the processor, and 80 MB more (docs/decisions/0043).
CHUNK_ROWS, CHUNK_BYTES = 8_192, 8 << 20


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """In memory, for the process; it can reach nothing outside."""
    import duckdb

    return duckdb.connect(
        ":memory:",
        config={
            "threads": 1,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "enable_external_access": False,
            "lock_configuration": True,
        },
    )


class Renderer:
    """Renders batches for one file, in any thread."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def cells(self, chunk: pa.Table, attributes: Sequence[str]) -> list[Cells]:
        """For each column of `chunk`; all its cells have these attributes."""
        return [
            cells(one_array(column), f"c{number}", text, self._zone)
            for number, (column, text) in enumerate(
                zip(chunk.columns, attributes, strict=True)
            )
        ]

    def rows(self, columns: Sequence[Cells]) -> memoryview:
        """The `<row>` elements of a chunk, as UTF-8."""
        parts = ["'<row>'"] + [sql for c in columns for sql in c.sql()] + ["'</row>'"]
        arrays = {name: a for column in columns for name, a in column.arrays.items()}
        return text_of(self.query(parts, arrays))

    def header(self, titles: Sequence[str], style: int) -> bytes:
        """One `<row>` of texts, all in one style; longer ones than fit are cut."""
        column = cells(text_array(titles), "title", f' s="{style}"', self._zone)
        rendered = text_of(self.query(column.sql(), column.arrays))
        return b"<row>" + bytes(rendered) + b"</row>"

    def query(self, parts: Sequence[str], arrays: dict[str, pa.Array]) -> pa.Array:
        """For each row the texts that these pieces of SQL give, joined."""
        import duckdb

        expression = _joined(parts)
        try:
            with _database().cursor() as cursor:
                cursor.register("chunk", _batch(arrays))
                found = cursor.sql(f"SELECT {expression} FROM chunk")  # noqa: S608 made here, of no outside text
                return one_array(found.to_arrow_table().column(0))
        except (duckdb.Error, pa.ArrowException) as error:
            raise Permanent(
                "format_failed",
                f"the rows cannot be written as a workbook: {error}",
                "look at the values that the query gives, or export another format",
            ) from error


def _batch(arrays: dict[str, pa.Array]) -> pa.RecordBatch:
    """`pa.table` would do, but it loads pandas to see whether it was given some."""
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


def _joined(parts: Sequence[str]) -> str:
    pieces: list[str] = []
    for constant, group in groupby(parts, _is_literal):
        found = list(group)
        pieces += [literal("".join(p[1:-1] for p in found))] if constant else found
    return f"concat({','.join(pieces)})"


def _is_literal(sql: str) -> bool:
    """XML made here holds no quote, so a literal has but its own two."""
    return sql.startswith("'") and sql.endswith("'") and sql.count("'") == 2


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """Without a copy where there is one piece."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def text_of(texts: pa.Array) -> memoryview:
    """The bytes of all texts, one after the other, without a copy."""
    _, offsets, data = texts.buffers()
    if not len(texts) or data is None:
        return memoryview(b"")
    places = memoryview(offsets).cast("i" if texts.type == pa.string() else "q")
    start, end = places[texts.offset], places[texts.offset + len(texts)]
    return memoryview(data)[start:end]


def chunks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in chunks of a good size: small batches joined, large ones cut."""
    waiting: list[pa.RecordBatch] = []
    for piece in _pieces(batches):
        waiting.append(piece)
        rows = sum(batch.num_rows for batch in waiting)
        if rows >= CHUNK_ROWS or sum(b.nbytes for b in waiting) >= CHUNK_BYTES:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _pieces(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        fitting = batch.num_rows * CHUNK_BYTES // max(batch.nbytes, 1)
        step = max(1, min(CHUNK_ROWS, fitting))
        for start in range(0, batch.num_rows, step):
            yield batch.slice(start, step)
