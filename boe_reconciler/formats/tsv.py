"""Values with tabs between them, quoted as in csv where a value holds a tab."""

from __future__ import annotations

from boe_reconciler.core.ports import Format
from boe_reconciler.formats._delimited import Delimited


def create() -> Format:
    return Delimited(
        extension="tsv",
        media_type="text/tab-separated-values; charset=utf-8",
        separator=lambda _dialect: "\t",
    )
