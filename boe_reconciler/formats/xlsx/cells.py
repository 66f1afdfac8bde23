"""Columns as cells: for each column of a batch, the SQL that renders its cells as XML.

What a batch holds decides how much has to be asked of each cell: text without a
single `&` is not escaped, numbers that all fit are not looked at one by one.
Cells carry no reference (they stand in order) and text stands in place, so that
nothing in it is ever a formula. A null is `<c/>`.
"""

from __future__ import annotations

from array import array as packed
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from boe_reconciler.formats import _values
from boe_reconciler.formats.xlsx.names import MAX_TEXT, cut

#: Excel's day 0, in days of the Unix epoch, turned around.
EPOCH_SERIAL = (date(1970, 1, 1) - date(1899, 12, 30)).days
#: Excel believes in a 29 February 1900: what lies before it is told by other
#: programs as another day, so such dates are written as text.
FIRST_DAY = (date(1900, 3, 1) - date(1970, 1, 1)).days
LAST_DAY = (date(9999, 12, 31) - date(1970, 1, 1)).days
#: Numbers are doubles: integers up to here, decimals with this many digits are exact.
MAX_INTEGER, MAX_DIGITS = 2**53, 15
#: The most digits that the database's own decimals hold.
DATABASE_DIGITS = 38
#: In XML on its way to SQL: the row's number, which stands in a column of this name.
ROW, ROW_COLUMN = "\x1f", "n"

#: Bytes of text that need no second look; `_` and 0xEF may start something special.
_SPECIAL = set(range(0x20)) | set(b"&<>_\xef")
_HARMLESS = bytes(byte for byte in range(256) if byte not in _SPECIAL)
#: What XML itself can hold, though not as it stands.
_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
#: What only Excel's own `_xHHHH_` can hold.
_CONTROLS = [chr(code) for code in range(0x20) if chr(code) not in "\t\n\r"]
_BEYOND = ["\ufffe", "\uffff"]
_NEEDS_RUNS = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x{FFFE}\x{FFFF}]|_x[0-9A-Fa-f]{4}_"
_NEEDS_SPACE = r"^[ \t\n\r]|[ \t\n\r]$"
_RUN = '</t></r><r><t xml:space="preserve">'


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """How one column of one batch is rendered."""

    #: The columns that the SQL reads, by name.
    arrays: dict[str, pa.Array]
    #: XML before the value, SQL of the value, XML behind it.
    start: str
    value: str
    end: str
    #: (condition, SQL of the whole cell), asked before.
    instead: tuple[tuple[str, str], ...] = ()
    #: Texts that were cut.
    cuts: int = 0

    def sql(self) -> list[str]:
        """What to put between the cells before and after."""
        parts = [literal(self.start), self.value, literal(self.end)]
        if not self.instead:
            return parts
        cases = "".join(f"WHEN {when} THEN {cell} " for when, cell in self.instead)
        return [f"CASE {cases}ELSE concat({','.join(parts)}) END"]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Task:
    """One column of one batch on its way to Cells."""

    array: pa.Array
    #: Its name in SQL.
    name: str
    #: Such as ` s="3"`.
    attributes: str
    zone: ZoneInfo
    #: SQL of the cell of a null.
    null: str

    @property
    def nulls(self) -> tuple[tuple[str, str], ...]:
        return ((f"{self.name} IS NULL", self.null),) if self.array.null_count else ()


def literal(text: str) -> str:
    """Text as SQL; ROW in it is the number of the row."""
    parts = ["'" + part.replace("'", "''") + "'" for part in text.split(ROW)]
    return parts[0] if len(parts) == 1 else f"concat({f',{ROW_COLUMN},'.join(parts)})"


def cells(array: pa.Array, name: str, attributes: str, zone: ZoneInfo) -> Cells:
    """The cells of one column, each with these attributes.

    A null has them too where they tell its place.
    """
    array = as_plain(array)
    null = f"<c{attributes}/>" if ROW in attributes else "<c/>"
    task = _Task(
        array=array,
        name=name,
        attributes=attributes,
        zone=zone,
        null=literal(null),
    )
    for fits, render, _ in KINDS:
        if fits(array.type):
            return render(task)
    return _text(_with(task, _values.text(array, zone)))


def default_format(kind: pa.DataType) -> str | None:
    """The number format of a column that names none; None is Excel's General."""
    if types.is_dictionary(kind):
        kind = kind.value_type
    for fits, _, code in KINDS:
        if fits(kind):
            return code(kind) if callable(code) else code
    return None


def as_plain(array: pa.Array) -> pa.Array:
    """The same values in one of the types that KINDS knows, or any other."""
    array = _values.plain(array)
    kind = array.type
    if types.is_decimal(kind):
        return _as_decimal128(array)
    if types.is_float16(kind):
        return array.cast(pa.float32())
    return array


def _as_decimal128(array: pa.Array) -> pa.Array:
    kind = array.type
    digits = max(kind.precision - min(kind.scale, 0), 1)
    target = pa.decimal128(min(digits, DATABASE_DIGITS), max(kind.scale, 0))
    try:
        return array if kind == target else array.cast(target)
    except pa.ArrowInvalid:  # more digits than the database counts
        return array.cast(pa.large_string())


def _with(task: _Task, array: pa.Array) -> _Task:
    return replace(task, array=array)


# --- Numbers --------------------------------------------------------------------


def _number(
    task: _Task, value: str | None = None, instead: tuple[tuple[str, str], ...] = ()
) -> Cells:
    return Cells(
        arrays={task.name: task.array},
        start=f"<c{task.attributes}><v>",
        value=value or task.name,
        end="</v></c>",
        instead=task.nulls + instead,
    )


def _as_text(task: _Task, value: str) -> str:
    """A whole cell whose text holds nothing special."""
    start = literal(f'<c{task.attributes} t="inlineStr"><is><t>')
    return f"concat({start},{value},'</t></is></c>')"


def _integer(task: _Task) -> Cells:
    if task.array.type.bit_width < 64:
        return _number(task)
    low, high = _range(task.array)
    if max(-low, high) <= MAX_INTEGER:
        return _number(task)
    return _number(task, instead=(_beyond(task),))


def _beyond(task: _Task) -> tuple[str, str]:
    when = f"{task.name} NOT BETWEEN {-MAX_INTEGER} AND {MAX_INTEGER}"
    return when, _as_text(task, f"{task.name}::VARCHAR")


def _range(array: pa.Array) -> tuple[Any, Any]:
    """The least and the greatest; zeros where there is none."""
    found = pc.min_max(array).as_py()
    return (0, 0) if found["min"] is None else (found["min"], found["max"])


def _float(task: _Task) -> Cells:
    if pc.all(pc.is_finite(task.array)).as_py() in {True, None}:
        return _number(task)
    return _number(task, instead=((f"NOT isfinite({task.name})", task.null),))


def _decimal(task: _Task) -> Cells:
    kind = task.array.type
    if kind.precision <= MAX_DIGITS:
        return _number(task)
    if kind.scale == 0:
        return _number(task, instead=(_beyond(task),))
    text = f"{task.name}::VARCHAR"
    digits = f"rtrim(replace(ltrim({text},'-0.'),'.',''),'0')"
    certain = f"abs({task.name}) < {10.0 ** (MAX_DIGITS - kind.scale):.{kind.scale}f}"
    when = f"NOT ({certain}) AND length({digits}) > {MAX_DIGITS}"
    return _number(task, instead=((when, _as_text(task, text)),))


def _boolean(task: _Task) -> Cells:
    return Cells(
        arrays={task.name: task.array},
        start=f'<c{task.attributes} t="b"><v>',
        value=f"{task.name}::TINYINT",
        end="</v></c>",
        instead=task.nulls,
    )


# --- Dates and times ------------------------------------------------------------


def _date(task: _Task) -> Cells:
    counts = task.array.cast(pa.date32()).cast(pa.int32())
    return _serial(task, counts, f"{task.name} + {EPOCH_SERIAL}", 1)


def _timestamp(task: _Task) -> Cells:
    kind = task.array.type
    if kind.tz:
        task = _with(task, _values.wall_clock(task.array, task.zone)[0])
    day = _values.DAY * _values.PER_SECOND[kind.unit]
    value = f"{task.name} / {day}e0 + {EPOCH_SERIAL}"
    return _serial(task, task.array.cast(pa.int64()), value, day)


def _serial(task: _Task, counts: pa.Array, value: str, day: int) -> Cells:
    """Days since Excel's day 0, or ISO text for days that it does not know."""
    first, end = FIRST_DAY * day, (LAST_DAY + 1) * day
    low, high = _range(counts)
    rendered = _number(_with(task, counts), value)
    if first <= low and high < end:
        return rendered
    text = f"{task.name}_text"
    unknown = f"{task.name} < {first} OR {task.name} >= {end}"
    return Cells(
        arrays={**rendered.arrays, text: _values.text(task.array, task.zone)},
        start=rendered.start,
        value=rendered.value,
        end=rendered.end,
        instead=(*task.nulls, (unknown, _as_text(task, text))),
    )


def _time(task: _Task) -> Cells:
    day = _values.DAY * _values.PER_SECOND[task.array.type.unit]
    whole = pa.int32() if types.is_time32(task.array.type) else pa.int64()
    return _number(_with(task, task.array.cast(whole)), f"{task.name} / {day}e0")


def _duration(task: _Task) -> Cells:
    """A part of days; Excel cannot show less than nothing, so that is ISO text."""
    day = _values.DAY * _values.PER_SECOND[task.array.type.unit]
    text = f"{task.name}_text"
    counts = task.array.cast(pa.int64())
    less = ((f"{task.name} < 0", _as_text(task, text)),)
    rendered = _number(_with(task, counts), f"{task.name} / {day}e0", less)
    rendered.arrays[text] = _values.text(task.array, task.zone)
    return rendered


# --- Text -----------------------------------------------------------------------


def _text(task: _Task) -> Cells:
    array, cuts = cut_long(task.array)
    data = _bytes(array)
    special = set(data.translate(None, _HARMLESS))
    value = task.name
    for character, entity in _MARKUP.items():
        if ord(character) in special:
            value = f"replace({value},{literal(character)},{literal(entity)})"
    return Cells(
        arrays={task.name: array},
        start=f'<c{task.attributes} t="inlineStr"><is><t>',
        value=value,
        end="</t></is></c>",
        instead=task.nulls
        + _runs(task, value, _present(special, data))
        + _spaces(task, value, array, special),
        cuts=cuts,
    )


def _present(special: set[int], data: bytes) -> list[str]:
    """Controls in the text, and `_x` where it may look like one."""
    found = [c for c in _CONTROLS if ord(c) in special]
    if 0xEF in special:
        found += [c for c in _BEYOND if c.encode() in data]
    if found or (ord("_") in special and b"_x" in data):
        found.insert(0, "_x")
    return found


def _runs(task: _Task, value: str, present: list[str]) -> tuple[tuple[str, str], ...]:
    """Text with control characters or a literal `_x0041_`.

    A literal one is torn in two runs of rich text, which every reader joins again
    as it stands: an escaped `_x005F_x0041_` is only understood by some, and by
    openpyxl nowhere but in shared strings.
    """
    if not present:
        return ()
    for found in present:
        code = "_" + _RUN + "x" if found == "_x" else f"_x{ord(found):04X}_"
        value = f"replace({value},{_character(found)},{literal(code)})"
    start = literal(
        f'<c{task.attributes} t="inlineStr"><is><r><t xml:space="preserve">'
    )
    cell = f"concat({start},{value},'</t></r></is></c>')"
    return ((f"regexp_matches({task.name},{literal(_NEEDS_RUNS)})", cell),)


def _character(text: str) -> str:
    return literal(text) if len(text) > 1 else f"chr({ord(text)})"


def _spaces(
    task: _Task, value: str, array: pa.Array, special: set[int]
) -> tuple[tuple[str, str], ...]:
    """Text with blanks at its ends says that they matter."""
    edges = (pc.starts_with, pc.ends_with)
    blanks = [" ", *(c for c in "\t\n\r" if ord(c) in special)]
    if not any(pc.any(at(array, c)).as_py() for c in blanks for at in edges):
        return ()
    start = literal(f'<c{task.attributes} t="inlineStr"><is><t xml:space="preserve">')
    cell = f"concat({start},{value},'</t></is></c>')"
    return ((f"regexp_matches({task.name},{literal(_NEEDS_SPACE)})", cell),)


def cut_long(array: pa.Array) -> tuple[pa.Array, int]:
    """Texts no longer than a cell may hold, and how many had to be cut."""
    lengths = pc.binary_length(array)
    if (pc.max(lengths).as_py() or 0) <= MAX_TEXT:
        return array, 0
    long = pc.greater(lengths, MAX_TEXT).fill_null(False)
    texts = array.filter(long).to_pylist()
    kept = [cut(text, MAX_TEXT) for text in texts]
    cuts = sum(before != after for before, after in zip(texts, kept, strict=True))
    return pc.replace_with_mask(array, long, text_array(kept)), cuts


def text_array(texts: Sequence[str]) -> pa.Array:
    """`pa.array` would do, but at its first list or numpy array it loads pandas."""
    data = [text.encode(errors="replace") for text in texts]
    offsets = packed("q", accumulate(map(len, data), initial=0))
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(data))]
    return pa.Array.from_buffers(pa.large_string(), len(texts), buffers)


def _bytes(array: pa.Array) -> bytes:
    """All of a large_string's text."""
    _, offsets, data = array.buffers()
    if not len(array) or data is None:
        return b""
    places = memoryview(offsets).cast("q")
    start, end = places[array.offset], places[array.offset + len(array)]
    return bytes(memoryview(data)[start:end])


# --- The table of kinds ---------------------------------------------------------


def _decimal_format(kind: pa.DataType) -> str | None:
    if kind.scale > 6:
        return None
    return "0." + "0" * kind.scale if kind.scale > 0 else "0"


_Fits = Callable[[pa.DataType], bool]
_Format = str | Callable[[pa.DataType], str | None] | None

#: Kind of column, its cells, its number format.
KINDS: tuple[tuple[_Fits, Callable[[_Task], Cells], _Format], ...] = (
    (types.is_large_string, _text, None),
    (types.is_integer, _integer, "0"),
    (types.is_floating, _float, None),
    (types.is_decimal, _decimal, _decimal_format),
    (types.is_boolean, _boolean, None),
    (types.is_date, _date, "yyyy-mm-dd"),
    (types.is_timestamp, _timestamp, "yyyy-mm-dd hh:mm:ss"),
    (types.is_time, _time, "hh:mm:ss"),
    (types.is_duration, _duration, "[h]:mm:ss"),
)
