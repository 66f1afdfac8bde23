"""The rows of a small table as text, for a mail: `core.preview.Preview` as it is stored.

Nobody asks for it in YAML. It shows what html shows: the same columns, titles and formats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from boe_reconciler.core.ports import Format, FormatOptions, Table, Written
from boe_reconciler.core.preview import COLUMNS, Preview, cell
from boe_reconciler.formats import _display as display
from boe_reconciler.formats import _values as values


class PreviewFormat:
    extension = "json"
    media_type = "application/json"
    several_tables = False

    def write(
        self, tables: Sequence[Table], target: BinaryIO, options: FormatOptions
    ) -> Written:
        (table,) = tables
        every = values.shown_columns(table)
        shown = every[:COLUMNS]
        rows: list[list[str]] = []
        for piece in values.slices(table.batches):
            columns = [
                display.displayed(
                    piece.column(one.index), one.look.format, options.timezone
                ).to_pylist()
                for one in shown
            ]
            rows += ([cell(text) for text in row] for row in zip(*columns, strict=True))
        preview = Preview(
            titles=[cell(one.title) for one in shown],
            right=[display.aligned_right(one.type) for one in shown],
            rows=rows,
            columns=len(every),
        )
        target.write(preview.content)
        return Written(rows=len(rows))


def create() -> Format:
    return PreviewFormat()
