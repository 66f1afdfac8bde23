"""Parquet with zstd: exact values and types, NaN and infinity too.

Columns keep their names of the query, not their titles: machines read these files.
Aware timestamps keep their instant and are labelled with the schedule's zone.
Intervals of months and days and unions, which Parquet has no type for, are text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from boe_reconciler.core.ports import Format, FormatOptions, Table, Written
from boe_reconciler.formats import _values as values
from boe_reconciler.formats._ahead import ahead

#: A row group has this many rows, fewer where they are very wide.
GROUP_ROWS, GROUP_BYTES = 131_072, 64 << 20
#: Bytes of the values of a column, each once, after which it goes on without such a list:
#: fewer than a group of whole numbers has. For the last of them Arrow would make its table
#: of values four times as large, a tenth of all time.
_LISTED = 1_000_000


class Parquet:
    extension = "parquet"
    media_type = "application/vnd.apache.parquet"
    several_tables = False

    def write(
        self, tables: Sequence[Table], target: BinaryIO, options: FormatOptions
    ) -> Written:
        table = values.only_table(tables, self.extension)
        columns = values.shown_columns(table)
        schema = _schema(columns, options.timezone)
        with pq.ParquetWriter(
            _Sink(target),
            schema,
            compression="zstd",
            dictionary_pagesize_limit=_LISTED,
        ) as writer:

            def put(piece: pa.Table) -> int:
                arrays = [
                    _stored(piece.column(column.index), field.type, options.timezone)
                    for column, field in zip(columns, schema, strict=True)
                ]
                group = pa.Table.from_arrays(arrays, schema=schema)
                writer.write_table(group, row_group_size=GROUP_ROWS)
                return int(piece.num_rows)

            # One group is written while the next is read.
            rows = sum(ahead(_groups(table.batches), put, threads=1))
        return Written(rows=rows, notes=values.renamed(columns, table))


def create() -> Format:
    return Parquet()


class _Sink:
    """The target as Arrow wants it: it asks for the position, and would close it."""

    closed = False

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._position = 0

    def write(self, data: Any) -> int:
        self._target.write(data)
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        self._target.flush()

    def close(self) -> None:
        """The target is closed by who opened it."""


def _schema(columns: Sequence[values.Shown], zone: ZoneInfo) -> pa.Schema:
    return pa.schema([pa.field(c.name, _stored_type(c.type, zone)) for c in columns])


def _stored_type(kind: pa.DataType, zone: ZoneInfo) -> pa.DataType:
    """The type in the file: without encodings, which Parquet chooses by itself."""
    kind = values.plain(pa.array([], kind)).type
    if types.is_timestamp(kind) and kind.tz:
        return pa.timestamp(kind.unit, zone.key or kind.tz)
    if not _fits(kind):
        return values.TEXT
    return kind


def _fits(kind: pa.DataType) -> bool:
    if types.is_struct(kind) and not kind.num_fields:
        return False
    inside = [kind.field(i).type for i in range(kind.num_fields)]
    return not (types.is_interval(kind) or types.is_union(kind)) and all(
        _fits(child) for child in inside
    )


def _stored(column: pa.ChunkedArray, kind: pa.DataType, zone: ZoneInfo) -> pa.Array:
    array = values.plain(column.combine_chunks())
    if array.type == kind:
        return array
    return values.text(array, zone) if kind == values.TEXT else array.cast(kind)


def _groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows in groups of equal size, however the source cut them."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for piece in values.slices(batches):
        rest = piece
        while rest.num_rows:
            part = rest.slice(0, GROUP_ROWS - rows)
            rest = rest.slice(part.num_rows)
            waiting.append(part)
            rows, size = rows + part.num_rows, size + part.nbytes
            if rows == GROUP_ROWS or size >= GROUP_BYTES:
                yield pa.Table.from_batches(waiting)
                waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.Table.from_batches(waiting)
