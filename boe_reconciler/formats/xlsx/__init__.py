"""Excel workbooks: streamed, several sheets, or patched into a template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from boe_reconciler.core.ports import FormatOptions, Table, Written


class Xlsx:
    extension = "xlsx"
    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    several_tables = True

    def write(
        self, tables: Sequence[Table], target: BinaryIO, options: FormatOptions
    ) -> Written:
        if options.template is None:
            from boe_reconciler.formats.xlsx.book import write_workbook

            return write_workbook(tables, target, options)
        from boe_reconciler.formats.xlsx.template import fill_template

        return fill_template(tables, target, options)


def create() -> Xlsx:
    return Xlsx()
