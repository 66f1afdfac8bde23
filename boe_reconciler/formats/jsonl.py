"""One object a line, nothing around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from boe_reconciler.core.ports import Format, FormatOptions, Table, Written
from boe_reconciler.formats import _objects
from boe_reconciler.formats import _values as values


class JsonLines:
    extension = "jsonl"
    media_type = "application/x-ndjson"
    several_tables = False

    def write(
        self, tables: Sequence[Table], target: BinaryIO, options: FormatOptions
    ) -> Written:
        table = values.only_table(tables, self.extension)
        columns = values.shown_columns(table)
        rows = 0
        for lines in _objects.objects(table, columns, options.timezone):
            target.write(values.raw(values.join([lines, "\n"])))
            rows += len(lines)
        return Written(rows=rows, notes=values.renamed(columns, table))


def create() -> Format:
    return JsonLines()
