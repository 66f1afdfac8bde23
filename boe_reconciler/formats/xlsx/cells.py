"""Columns as cells: for each column of a batch, the pieces of XML that its cells are made of.

What a batch holds decides how much has to be asked of each cell: text without a
single `&` is not escaped, numbers that all fit are not looked at one by one.
Cells carry no reference (they stand in order) and text stands in place, so that
nothing in it is ever a formula. A null is `<c/>`.
"""

from __future__ import annotations

from array import array as packed
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from boe_reconciler.formats import _values
from boe_reconciler.formats.xlsx.names import MAX_TEXT, cut

#: Excel's day 0, in days of the Unix epoch, turned around.
EPOCH_SERIAL = (date(1970, 1, 1) - date(1899, 12, 30)).days
_EPOCH = pa.scalar(EPOCH_SERIAL, pa.int32())
#: Excel believes in a 29 February 1900: what lies before it is told by other
#: programs as another day, so such dates are written as text.
FIRST_DAY = (date(1900, 3, 1) - date(1970, 1, 1)).days
LAST_DAY = (date(9999, 12, 31) - date(1970, 1, 1)).days
#: Numbers are doubles: integers up to here, decimals with this many digits are exact.
MAX_INTEGER, MAX_DIGITS = 2**53, 15
#: The most digits of a decimal that is none of Arrow's largest ones.
DECIMAL_DIGITS = 38
#: In XML: the number of the row.
ROW = "\x1f"

#: Bytes of text that need no second look; `_` and 0xEF may start something special.
_SPECIAL = set(range(0x20)) | set(b"&<>_\xef")
_HARMLESS = bytes(byte for byte in range(256) if byte not in _SPECIAL)
#: What XML itself can hold, though not as it stands.
_MARKUP = {b"&": b"&amp;", b"<": b"&lt;", b">": b"&gt;", b"\r": b"&#13;"}
#: For each byte, how many more are written for it.
_GROWTH = bytes(len(_MARKUP.get(bytes([byte]), b"1")) - 1 for byte in range(256))
#: What only Excel's own `_xHHHH_` can hold.
_CONTROLS = set(range(0x20)) - set(b"\t\n\r")
_BEYOND = ["\ufffe", "\uffff"]
#: For each byte, whether it is one of the blanks of XML.
_BLANKS = bytes(byte in b" \t\n\r" for byte in range(256))
_NEEDS_RUNS = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x{FFFE}\x{FFFF}]|_x[0-9A-Fa-f]{4}_"
_RUN = '</t></r><r><t xml:space="preserve">'


#: Of each row: the same for all of them, or a text for each.
Part: TypeAlias = "str | pa.Array"


class _Frame(NamedTuple):
    """What stands around a value, behind the attributes of its cell."""

    before: str
    behind: str


_EMPTY = _Frame("/>", "")
_NUMBER = _Frame("><v>", "</v></c>")
_BOOLEAN = _Frame(' t="b"><v>', "</v></c>")
_TRUE, _FALSE = pa.scalar("1", _values.TEXT), pa.scalar("0", _values.TEXT)
_TEXT = _Frame(' t="inlineStr"><is><t>', "</t></is></c>")
_SPACED = _Frame(' t="inlineStr"><is><t xml:space="preserve">', "</t></is></c>")
_RUNS = _Frame(' t="inlineStr"><is><r><t xml:space="preserve">', "</t></r></is></c>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """One column of one batch, rendered."""

    #: As XML; a null is an empty cell.
    values: pa.Array
    frame: _Frame
    #: Where a mask is true, another frame; the first that fits.
    others: tuple[tuple[pa.Array, _Frame], ...] = ()
    #: Texts that were cut.
    cuts: int = 0

    def parts(self, attributes: str) -> list[Part]:
        """The cells, each with attributes such as ` s="3"`.

        An empty one has them too where they tell its place.
        """
        if ROW in attributes:
            return [f"<c{attributes}", *self._framed("")]
        return ["<c", *self._framed(attributes)]

    def _framed(self, attributes: str) -> list[Part]:
        if not self.others and not self.values.null_count:
            before, behind = self.frame
            return [attributes + before, self.values, behind]
        frames = [self.frame, *(frame for _, frame in self.others)]
        starts = [_EMPTY.before, *(attributes + frame.before for frame in frames)]
        ends = [_EMPTY.behind, *(frame.behind for frame in frames)]
        chosen = self._chosen()
        return [
            text_array(starts).take(chosen),
            self.values,
            text_array(ends).take(chosen),
        ]

    def _chosen(self) -> pa.Array:
        """For each row the number of its frame; 0 is an empty cell's."""
        chosen = pa.scalar(1, pa.int8())
        for number, (mask, _) in reversed([*enumerate(self.others, 2)]):
            chosen = pc.if_else(mask, pa.scalar(number, pa.int8()), chosen)
        return pc.if_else(self.values.is_null(), pa.scalar(0, pa.int8()), chosen)


def cells(array: pa.Array, zone: ZoneInfo) -> Cells:
    """The cells of one column."""
    array = as_plain(array)
    for fits, render, _ in KINDS:
        if fits(array.type):
            return render(array, zone)
    return _text(_values.text(array, zone), zone)


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
    target = pa.decimal128(min(digits, DECIMAL_DIGITS), max(kind.scale, 0))
    try:
        return array if kind == target else array.cast(target)
    except pa.ArrowInvalid:  # more digits than that
        return array.cast(pa.large_string())


# --- Numbers --------------------------------------------------------------------


def _number(values: pa.Array, words: pa.Array | None = None) -> Cells:
    """Numbers by their digits; where `words` is true, they are a text."""
    if words is None or not pc.any(words).as_py():
        return Cells(values=values, frame=_NUMBER)
    return Cells(values=values, frame=_NUMBER, others=((words, _TEXT),))


def _integer(array: pa.Array, _: ZoneInfo) -> Cells:
    values = array.cast(_values.TEXT)
    if array.type.bit_width < 64:
        return _number(values)
    return _number(values, _outside(array, -MAX_INTEGER, MAX_INTEGER))


def _outside(array: pa.Array, least: Any, most: Any) -> pa.Array | None:
    """Which values do not lie between the two; None where all of them do."""
    found = pc.min_max(array).as_py()
    if found["min"] is None or (least <= found["min"] and found["max"] <= most):
        return None
    # Its type may not hold what lies beyond all of them.
    least, most = max(least, found["min"]), min(most, found["max"])
    low, high = (pa.scalar(end, array.type) for end in (least, most))
    return pc.or_(pc.less(array, low), pc.greater(array, high))


def _float(array: pa.Array, zone: ZoneInfo) -> Cells:
    return _number(_values.text(array, zone))


def _decimal(array: pa.Array, zone: ZoneInfo) -> Cells:
    kind, values = array.type, _values.text(array, zone)
    if kind.precision <= MAX_DIGITS:
        return _number(values)
    if kind.scale == 0:
        return _number(values, _outside(array, -MAX_INTEGER, MAX_INTEGER))
    certain = Decimal(10) ** (MAX_DIGITS - kind.scale)
    if _outside(array, -certain, certain) is None:
        return _number(values)
    digits = pc.replace_substring(pc.ascii_ltrim(values, "-0."), ".", "")
    length = pc.binary_length(pc.ascii_rtrim(digits, "0"))
    return _number(values, pc.greater(length, MAX_DIGITS))


def _boolean(array: pa.Array, _: ZoneInfo) -> Cells:
    return Cells(values=pc.if_else(array, _TRUE, _FALSE), frame=_BOOLEAN)


# --- Dates and times ------------------------------------------------------------


def _date(array: pa.Array, zone: ZoneInfo) -> Cells:
    counts = array.cast(pa.date32()).view(pa.int32())
    return _serial(array, counts, pc.add(counts, _EPOCH), 1, zone)


def _timestamp(array: pa.Array, zone: ZoneInfo) -> Cells:
    if array.type.tz:
        array = _values.wall_clock(array, zone)[0]
    counts, day = _counted(array)
    serials = pc.add(_in_days(counts, day), float(EPOCH_SERIAL))
    return _serial(array, counts, serials, day, zone)


def _serial(
    array: pa.Array, counts: pa.Array, serials: pa.Array, day: int, zone: ZoneInfo
) -> Cells:
    """Days since Excel's day 0, or ISO text for days that it does not know."""
    values = serials.cast(_values.TEXT)
    unknown = _outside(counts, FIRST_DAY * day, (LAST_DAY + 1) * day - 1)
    if unknown is None:
        return _number(values)
    return _number(pc.if_else(unknown, _values.text(array, zone), values), unknown)


def _time(array: pa.Array, _: ZoneInfo) -> Cells:
    return _number(_in_days(*_counted(array)).cast(_values.TEXT))


def _duration(array: pa.Array, zone: ZoneInfo) -> Cells:
    """A part of days; Excel cannot show less than nothing, so that is ISO text."""
    counts, day = _counted(array)
    values = _in_days(counts, day).cast(_values.TEXT)
    less = pc.less(counts, 0)
    if not pc.any(less).as_py():
        return _number(values)
    return _number(pc.if_else(less, _values.text(array, zone), values), less)


def _counted(array: pa.Array) -> tuple[pa.Array, int]:
    """What a time counts, and how much of it a day has."""
    whole = pa.int32() if types.is_time32(array.type) else pa.int64()
    return array.view(whole), _values.DAY * _values.PER_SECOND[array.type.unit]


def _in_days(counts: pa.Array, day: int) -> pa.Array:
    return pc.divide(counts.cast(pa.float64(), safe=False), float(day))


# --- Text -----------------------------------------------------------------------


def _text(array: pa.Array, _: ZoneInfo) -> Cells:
    array, cuts = cut_long(array)
    data = bytes(_values.raw(array))
    ends = _values.ends(array)
    ends = ends - ends[0]
    special = set(data.translate(None, _HARMLESS))
    values, others = array, []
    if not special.isdisjoint(b"&<>\r"):
        values = _escaped(array, data, ends)
    if present := _present(special, data):
        runs = pc.match_substring_regex(array, _NEEDS_RUNS).fill_null(False)
        coded = _coded(values.filter(runs), present)
        values = pc.replace_with_mask(values, runs, coded)
        others.append((runs, _RUNS))
    if (spaced := _spaced(data, ends)) is not None:
        others.append((spaced, _SPACED))
    return Cells(values=values, frame=_TEXT, others=tuple(others), cuts=cuts)


def _escaped(array: pa.Array, data: bytes, ends: _values.Integers) -> pa.Array:
    """The texts with entities; `data` is all they hold, and `ends` where each ends in it.

    All of it at once: each text then ends later by what has grown before its end.
    """
    grows = np.frombuffer(data.translate(_GROWTH), np.uint8)
    at = np.flatnonzero(grows)
    grown = np.concatenate([[0], np.cumsum(grows[at], dtype=np.int64)])
    for character, entity in _MARKUP.items():
        data = data.replace(character, entity)
    # Nulls are told by the bits of `array`, of which those before a slice's own stay.
    before = np.zeros(array.offset, np.int64)
    places = np.concatenate([before, ends + grown[np.searchsorted(at, ends)]])
    buffers = [array.buffers()[0], pa.py_buffer(places), pa.py_buffer(data)]
    return pa.Array.from_buffers(
        _values.TEXT, len(array), buffers, array.null_count, array.offset
    )


def _present(special: set[int], data: bytes) -> list[str]:
    """Controls in the text, and `_x` where it may look like one."""
    found = [chr(code) for code in sorted(special & _CONTROLS)]
    if 0xEF in special:
        found += [c for c in _BEYOND if c.encode() in data]
    if found or (ord("_") in special and b"_x" in data):
        found.insert(0, "_x")
    return found


def _coded(texts: pa.Array, present: list[str]) -> pa.Array:
    """Text with control characters or a literal `_x0041_`.

    A literal one is torn in two runs of rich text, which every reader joins again
    as it stands: an escaped `_x005F_x0041_` is only understood by some, and by
    openpyxl nowhere but in shared strings.
    """
    for found in present:
        code = "_" + _RUN + "x" if found == "_x" else f"_x{ord(found):04X}_"
        texts = pc.replace_substring(texts, found, code)
    return texts


def _spaced(data: bytes, ends: _values.Integers) -> pa.Array | None:
    """Which texts have blanks at their ends: they say that these matter."""
    blank = np.frombuffer(data.translate(_BLANKS), np.bool_)
    full = np.flatnonzero(ends[1:] > ends[:-1])
    found = blank[ends[full]] | blank[ends[full + 1] - 1]
    if not found.any():
        return None
    spaced = np.zeros(len(ends) - 1, np.bool_)
    spaced[full] = found
    bits = pa.py_buffer(np.packbits(spaced, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(spaced), [None, bits])


def cut_long(array: pa.Array) -> tuple[pa.Array, int]:
    """Texts no longer than a cell may hold, and how many had to be cut."""
    if _values.longest(array) <= MAX_TEXT:
        return array, 0
    long = pc.greater(pc.binary_length(array), MAX_TEXT).fill_null(False)
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


# --- The table of kinds ---------------------------------------------------------


def _decimal_format(kind: pa.DataType) -> str | None:
    if kind.scale > 6:
        return None
    return "0." + "0" * kind.scale if kind.scale > 0 else "0"


_Fits = Callable[[pa.DataType], bool]
_Format = str | Callable[[pa.DataType], str | None] | None

#: Kind of column, its cells, its number format.
KINDS: tuple[tuple[_Fits, Callable[[pa.Array, ZoneInfo], Cells], _Format], ...] = (
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
