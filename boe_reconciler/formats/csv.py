"""Values with commas between them; semicolons where the decimal mark is a comma."""

from __future__ import annotations

from boe_reconciler.core.ports import Format
from boe_reconciler.formats._delimited import Delimited


def create() -> Format:
    return Delimited(
        extension="csv",
        media_type="text/csv; charset=utf-8",
        separator=lambda dialect: ";" if dialect.decimal == "," else ",",
    )
