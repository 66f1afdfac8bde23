"""The first rows of a report, as a mail shows them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from boe_reconciler.core.wording import one_line

#: Columns at most, and characters of a cell: a mail is no place for more.
COLUMNS, CELL = 24, 120


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    #: Of the columns that are shown.
    titles: Sequence[str]
    #: Whether a column stands to the right, as numbers do.
    right: Sequence[bool]
    #: Their cells, as many as there are titles.
    rows: Sequence[Sequence[str]]
    #: How many columns the table has.
    columns: int
    #: The sheet that they are from; "": there is only one.
    sheet: str = ""

    def first(self, count: int) -> Preview | None:
        """Not more rows than that; None where there are none to show."""
        rows = self.rows[:count]
        return replace(self, rows=rows) if rows else None

    @property
    def content(self) -> bytes:
        """As it is stored."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()


def stored_preview(content: bytes) -> Preview:
    found: dict[str, Any] = json.loads(content)
    return Preview(**found)


def cell(text: str | None) -> str:
    """On one line, and not too long."""
    line = one_line(text or "")
    return line if len(line) <= CELL else f"{line[: CELL - 1]}…"
