"""Rows as JSON objects: what json and jsonl share.

Keys are the column names of the query, not their titles: machines read these files.
A second column of one name gets a number, since an object holds a key once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

import pyarrow as pa

from boe_reconciler.core.ports import Table
from boe_reconciler.formats import _values as values


def objects(
    table: Table, columns: Sequence[values.Shown], zone: ZoneInfo
) -> Iterator[pa.Array]:
    """Each slice of the rows as one JSON text a row."""
    for piece in values.slices(table.batches):
        parts: list[pa.Array | str] = []
        for column in columns:
            before = "," if parts else "{"
            text = values.json_text(piece.column(column.index), zone)
            parts += [f"{before}{values.json_key(column.name)}:", text]
        yield values.join([*parts, "}"])
