"""Text with separators: what csv and tsv share.

Null is nothing, empty text is `""`. A table of one column writes null as `""` too:
an empty line would be no row to most readers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import BinaryIO
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import FormatOptions, Table, Written
from boe_reconciler.core.resources.schedule import Dialect
from boe_reconciler.formats import _values as values
from boe_reconciler.formats._ahead import ahead

LINE_ENDS = {"lf": "\n", "crlf": "\r\n"}


@dataclass(kw_only=True, slots=True)
class Delimited:
    extension: str
    media_type: str
    several_tables: bool = False
    #: What stands between two values unless the dialect says otherwise.
    separator: Callable[[Dialect], str]

    def write(
        self, tables: Sequence[Table], target: BinaryIO, options: FormatOptions
    ) -> Written:
        table = values.only_table(tables, self.extension)
        columns = values.shown_columns(table)
        dialect = options.dialect
        line = _Line(
            dialect=dialect,
            separator=_checked(dialect.separator or self.separator(dialect)),
            end=LINE_ENDS[dialect.line_end],
            alone=len(columns) == 1,
            zone=options.timezone,
        )
        target.write("\ufeff".encode() if dialect.bom else b"")
        if options.include_headers:
            target.write(line.header([column.title for column in columns]))
        chosen = [column.index for column in columns]
        rows = 0
        for lines in ahead(
            values.slices(table.batches),
            lambda piece: line.of([piece.column(index) for index in chosen]),
        ):
            target.write(values.raw(lines))
            rows += len(lines)
        return Written(rows=rows)


def _checked(separator: str) -> str:
    if separator in '"\r\n\0':
        raise Permanent(
            "bad_dialect",
            f"{separator!r} cannot separate values",
            'use "," ";" "|" or a tab',
        )
    return separator


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    """How a row becomes a line."""

    dialect: Dialect
    separator: str
    end: str
    #: The only column: its null must leave something on the line.
    alone: bool
    zone: ZoneInfo

    def header(self, titles: list[str]) -> bytes:
        fields = self._field(pa.array(titles, values.TEXT)).to_pylist()
        return (self.separator.join(fields) + self.end).encode()

    def of(self, columns: Sequence[pa.Array]) -> pa.Array:
        *others, last = (self._field(column) for column in columns)
        return values.join([*others, values.join([last, self.end])], self.separator)

    def _field(self, array: pa.Array) -> pa.Array:
        array = values.plain(array)
        number = values.is_number(array.type)
        texts = self._text(array)
        if self.dialect.escape_formulas and not number and not _is_time(array.type):
            texts = pc.replace_substring_regex(texts, r"^([=+\-@\t\r])", r"'\1")
        if not number or self.dialect.quote == "all" or self.separator in self._digits:
            texts = self._quoted(texts)
        return texts.fill_null('""') if self.alone else texts

    @property
    def _digits(self) -> str:
        """What a number is written with."""
        return f"0123456789+-e{self.dialect.decimal}"

    def _text(self, array: pa.Array) -> pa.Array:
        pattern = self.dialect.date_format
        if pattern and (types.is_date(array.type) or types.is_timestamp(array.type)):
            return values.moments(array, self.zone, lambda at: strftime(at, pattern))
        texts = values.text(array, self.zone)
        if self.dialect.decimal == "," and values.is_fraction(array.type):
            return pc.replace_substring(texts, ".", ",", max_replacements=1)
        return texts

    def _quoted(self, texts: pa.Array) -> pa.Array:
        needs = self._needs_quotes(texts)
        if needs is None:
            return texts
        inner = pc.replace_substring(texts.filter(needs), '"', '""')
        return pc.replace_with_mask(texts, needs, values.join(['"', inner, '"']))

    def _needs_quotes(self, texts: pa.Array) -> pa.Array | None:
        """Which of them, as booleans; None where that is sure to be none."""
        if self.dialect.quote == "all":
            return texts.is_valid()
        quotes = values.contain(texts, *'"\r\n', self.separator)
        if not quotes and not values.some_empty(texts):
            return None
        special = f'^$|["\r\n{re.escape(self.separator)}]'
        return pc.match_substring_regex(texts, special).fill_null(False)


def _is_time(kind: pa.DataType) -> bool:
    return bool(types.is_temporal(kind))


def strftime(day: date | datetime, pattern: str) -> str:
    """With four digits for the years before 1000, which the C library shortens."""
    if day.year < 1000:
        pattern = re.sub(
            r"%(%|Y)", lambda m: "%%" if m[1] == "%" else f"{day.year:04}", pattern
        )
    return day.strftime(pattern)
