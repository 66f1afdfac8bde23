"""One array of objects, an object a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from boe_reconciler.core.ports import Format, FormatOptions, Table, Written
from boe_reconciler.formats import _objects
from boe_reconciler.formats import _values as values


class Json:
    extension = "json"
    media_type = "application/json"
    several_tables = False

    def write(
        self, tables: Sequence[Table], target: BinaryIO, options: FormatOptions
    ) -> Written:
        table = values.only_table(tables, self.extension)
        columns = values.shown_columns(table)
        rows = 0
        for lines in _objects.objects(table, columns, options.timezone):
            target.write(b",\n" if rows else b"[\n")
            target.write(values.raw(values.join([",\n", lines]))[2:])
            rows += len(lines)
        target.write(b"\n]\n" if rows else b"[]\n")
        return Written(rows=rows, notes=values.renamed(columns, table))


def create() -> Format:
    return Json()
