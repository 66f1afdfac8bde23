"""Columns as text, for every format that writes text. Vectorised, exact, no locale.

Aware timestamps become wall time of the schedule's zone, converted by zoneinfo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import Table
from boe_reconciler.core.resources.report import Column

Integers = np.ndarray[Any, np.dtype[np.int64]]

TEXT = pa.large_string()
#: A slice of a batch that is turned into text at once holds no more than this.
SLICE_ROWS, SLICE_BYTES = 32_768, 16 << 20
DAY = 86_400
#: Offsets are asked of zoneinfo within the years that Python's datetime knows.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = -62_135_424_000, 253_402_128_000
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A column that is not hidden."""

    index: int
    #: Unique in its table: a second `total` is `total_2`.
    name: str
    #: What people read: the Column's title, or the name in the query.
    title: str
    type: pa.DataType
    look: Column


def only_table(tables: Sequence[Table], extension: str) -> Table:
    """The one table of a format that holds one. Permanent `one_table` for more."""
    if len(tables) != 1:
        raise Permanent(
            "one_table",
            f"a {extension} file holds one table, and this report has {len(tables)}",
            "use xlsx or html, or a report for each table",
        )
    return tables[0]


def shown_columns(table: Table) -> list[Shown]:
    """The columns to write, in order. Permanent `no_columns` where none is left."""
    shown, taken = [], set(table.schema.names)
    seen: set[str] = set()
    for index, field in enumerate(table.schema):
        look = table.columns.get(field.name, Column())
        name = _unique(field.name, taken) if field.name in seen else field.name
        seen.add(name)
        if not look.hidden:
            title = field.name if look.title is None else look.title
            shown.append(
                Shown(index=index, name=name, title=title, type=field.type, look=look)
            )
    if not shown:
        raise Permanent(
            "no_columns",
            f"every column of {table.name!r} is hidden",
            "show at least one column",
        )
    return shown


def _unique(name: str, taken: set[str]) -> str:
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    taken.add(f"{name}_{number}")
    return f"{name}_{number}"


def renamed(columns: Sequence[Shown], table: Table) -> list[tuple[str, str]]:
    """A note for each column whose name had to change to be the only one."""
    return [
        (
            "column_renamed",
            f"{table.schema.field(c.index).name!r} stands twice in the query: "
            f"the later one is {c.name!r}",
        )
        for c in columns
        if c.name != table.schema.field(c.index).name
    ]


def slices(
    batches: Iterator[pa.RecordBatch], rows: int = SLICE_ROWS, size: int = SLICE_BYTES
) -> Iterator[pa.RecordBatch]:
    """The same rows in pieces small enough to be held as text."""
    for batch in batches:
        step = rows
        if larger([batch], size):
            step = max(1, min(rows, batch.num_rows * size // max(batch.nbytes, 1)))
        for start in range(0, batch.num_rows, step):
            yield batch.slice(start, step)


def larger(batches: Sequence[pa.RecordBatch], size: int) -> bool:
    """Whether their rows take more bytes; `nbytes` counts column by column, and is slow."""
    at_most = sum(int(batch.get_total_buffer_size()) for batch in batches)
    return at_most > size and sum(int(batch.nbytes) for batch in batches) > size


def join(parts: Sequence[pa.Array | str], separator: str = "") -> pa.Array:
    """Texts side by side, one line a row; a null is no text at all."""
    pieces = [_scalar(p) if isinstance(p, str) else p for p in parts]
    return pc.binary_join_element_wise(
        *pieces,
        _scalar(separator),
        null_handling="replace",
        null_replacement="",
    )


@lru_cache(maxsize=1_024)
def _scalar(text: str) -> pa.Scalar:
    return pa.scalar(text, TEXT)


def raw(texts: pa.Array) -> memoryview:
    """The bytes of all texts (TEXT), one after the other, without a copy."""
    data, places = texts.buffers()[2], ends(texts)
    return memoryview(data or b"")[places[0] : places[-1]]


def ends(texts: pa.Array) -> Integers:
    """Where the first text (TEXT) begins in its buffer, and where each of them ends."""
    if not len(texts):
        return np.zeros(1, np.int64)
    buffer = texts.buffers()[1]
    return np.frombuffer(buffer, np.int64, len(texts) + 1, texts.offset * 8)


def longest(texts: pa.Array) -> int:
    """The bytes of the longest text; a null may count as more than none."""
    places = ends(texts)
    return int((places[1:] - places[:-1]).max(initial=0))


def some_empty(texts: pa.Array) -> bool:
    """Whether one of the texts is empty; a null is none."""
    if texts.null_count:
        return bool(pc.min(pc.binary_length(texts)).as_py() == 0)
    places = ends(texts)
    return bool((places[1:] == places[:-1]).any())


def contain(texts: pa.Array, *pieces: str) -> bool:
    """Whether one of the pieces stands in any of the texts: asked of all at once.

    Many times quicker than asking each. It may also be told of what stands behind a
    null, or of two texts side by side: then each has to be asked.
    """
    data = bytes(raw(texts))
    return any(piece.encode() in data for piece in pieces)


# --- Types ----------------------------------------------------------------------


def is_number(kind: pa.DataType) -> bool:
    return bool(types.is_integer(kind)) or is_fraction(kind)


def is_fraction(kind: pa.DataType) -> bool:
    return bool(types.is_floating(kind) or types.is_decimal(kind))


def plain(array: pa.Array) -> pa.Array:
    """The same values without an encoding: dictionaries, runs, views, extensions."""
    known = _PLAIN.get(array.type.id)
    return known(array) if known else array


def _storage(array: pa.Array) -> pa.Array:
    uuid = isinstance(array.type, pa.UuidType)
    return _by_value(array, str) if uuid else plain(array.storage)


def _as_text(array: pa.Array) -> pa.Array:
    return array.cast(TEXT)


def _as_bytes(array: pa.Array) -> pa.Array:
    return array.cast(pa.large_binary())


#: By the number of the type: every column of every batch is asked several times.
_PLAIN: dict[int, Callable[[pa.Array], pa.Array]] = {
    pa.uuid().id: _storage,
    pa.dictionary(pa.int8(), TEXT).id: lambda array: plain(array.dictionary_decode()),
    pa.run_end_encoded(pa.int16(), TEXT).id: lambda array: plain(
        pc.run_end_decode(array)
    ),
    pa.string().id: _as_text,
    pa.string_view().id: _as_text,
    pa.binary_view().id: _as_bytes,
    pa.binary(1).id: _as_bytes,
}


def text(array: pa.Array, zone: ZoneInfo) -> pa.Array:
    """Each value as plain text, null as null.

    NaN and infinity are null. Timestamps read `2026-10-25 02:30:00`, with a
    fraction only where there is one; binary is base64, a length of time ISO 8601,
    lists and structs are JSON.
    """
    array = plain(array)
    kind = array.type
    for fits, render in _RENDER:
        if fits(kind):
            return render(array)
    if types.is_timestamp(kind):
        return _timestamp(wall_clock(array, zone)[0] if kind.tz else array)
    if types.is_nested(kind) and not types.is_union(kind):
        return pc.if_else(array.is_valid(), json_text(array, zone), None).cast(TEXT)
    return _by_value(array, str)


def _as_is(array: pa.Array) -> pa.Array:
    return array


def _date(array: pa.Array) -> pa.Array:
    return _bounded(array.cast(TEXT))


def _time(array: pa.Array) -> pa.Array:
    return _short(array.cast(TEXT))


def _timestamp(array: pa.Array) -> pa.Array:
    per_second = PER_SECOND[array.type.unit]
    counts = integers(array)
    if per_second > 1 and not np.any(counts % per_second):
        array = array.cast(pa.timestamp("s"))
        return _bounded(array.cast(TEXT))
    return _bounded(_short(array.cast(TEXT)))


def _short(texts: pa.Array) -> pa.Array:
    """Without a fraction that is nothing but zeros."""
    return pc.replace_substring_regex(texts, r"\.0+$", "")


def _bounded(texts: pa.Array) -> pa.Array:
    """Databases say infinity with the largest value there is; so does the text."""
    if not contain(texts, "<"):
        return texts
    texts = pc.replace_substring_regex(texts, r"^<.*-\d+>$", "-infinity")
    return pc.replace_substring_regex(texts, r"^<.*>$", "infinity")


def _float(array: pa.Array) -> pa.Array:
    if types.is_float16(array.type):
        array = array.cast(pa.float32())
    finite = pc.if_else(pc.is_finite(array), array, pa.scalar(None, array.type))
    return finite.cast(TEXT)


def _decimal(array: pa.Array) -> pa.Array:
    """All digits, never an exponent."""
    texts = array.cast(TEXT)
    if contain(texts, "E"):
        return _by_value(array, "{:f}".format)
    return texts


def _base64(array: pa.Array) -> pa.Array:
    import base64

    return _by_value(array, lambda value: base64.b64encode(value).decode())


def _length_of_time(array: pa.Array) -> pa.Array:
    if types.is_duration(array.type):
        nanos = 10**9 // PER_SECOND[array.type.unit]
        return _by_value(
            array.cast(pa.int64()), lambda count: iso_duration(0, 0, count * nanos)
        )
    return _by_value(array, lambda value: iso_duration(*value))


def iso_duration(months: int, days: int, nanos: int) -> str:
    """ISO 8601, each part with its own sign: P1M2DT-3.5S."""
    date = "".join(f"{n}{unit}" for n, unit in ((months, "M"), (days, "D")) if n)
    whole, rest = divmod(abs(nanos), 10**9)
    fraction = f".{rest:09}".rstrip("0").rstrip(".")
    time = f"T{'-' if nanos < 0 else ''}{whole}{fraction}S" if nanos else ""
    return f"P{date}{time}" if date or time else "PT0S"


def _by_value(array: pa.Array, render: Callable[[Any], str]) -> pa.Array:
    """For the rare types that Arrow has no kernel for."""
    values = (None if value is None else render(value) for value in array.to_pylist())
    return pa.array(values, TEXT)


_RENDER: tuple[
    tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]], ...
] = (
    (types.is_large_string, _as_is),
    (types.is_integer, _as_text),
    (types.is_boolean, _as_text),
    (types.is_null, _as_text),
    (types.is_floating, _float),
    (types.is_decimal, _decimal),
    (types.is_date, _date),
    (types.is_time, _time),
    (types.is_binary, _base64),
    (types.is_large_binary, _base64),
    (types.is_duration, _length_of_time),
    (types.is_interval, _length_of_time),
)


# --- Zones ----------------------------------------------------------------------


def integers(array: pa.Array) -> Integers:
    """The counts behind dates and timestamps, 0 for null."""
    narrow = pa.int32() if types.is_date32(array.type) else pa.int64()
    counts = array.cast(narrow).fill_null(0)
    return np.asarray(counts.to_numpy(zero_copy_only=False), np.int64)


def moments(array: pa.Array, zone: ZoneInfo, render: Callable[[Any], str]) -> pa.Array:
    """Dates and timestamps by a function of Python's date or naive wall time.

    Plain text for what lies outside the years 1 to 9999.
    """
    if types.is_timestamp(array.type):
        array = wall_clock(array, zone)[0] if array.type.tz else array
        array = array.cast(pa.timestamp("us"), safe=False)
        seconds = integers(array) // PER_SECOND["us"]
    else:
        array = array.cast(pa.date32())
        seconds = integers(array) * DAY
    known = pa.array((seconds >= FIRST - 2 * DAY) & (seconds < LAST + 2 * DAY))
    rendered = each(pc.if_else(known, array, pa.scalar(None, array.type)), render)
    return (
        rendered if pc.all(known).as_py() else pc.coalesce(rendered, text(array, zone))
    )


def each(array: pa.Array, render: Callable[[Any], str]) -> pa.Array:
    """By a function of Python's value, called once for each distinct one."""
    codes = array.dictionary_encode()
    texts = [render(value) for value in codes.dictionary.to_pylist()]
    known = pa.array(texts, TEXT)
    return pa.DictionaryArray.from_arrays(codes.indices, known).dictionary_decode()


def wall_clock(array: pa.Array, zone: ZoneInfo) -> tuple[pa.Array, pa.Array]:
    """Aware timestamps as naive wall time of `zone`, and their offsets in seconds."""
    unit = array.type.unit
    counts = integers(array)
    seconds = counts // PER_SECOND[unit]
    offsets = _offsets(seconds, zone)
    shift = offsets * PER_SECOND[unit]
    limits = np.iinfo(np.int64)
    low = limits.min - np.minimum(shift, 0)
    high = limits.max - np.maximum(shift, 0)
    nulls = array.is_null().to_numpy(zero_copy_only=False)
    wall = pa.array(np.clip(counts, low, high) + shift, mask=nulls)
    return wall.cast(pa.timestamp(unit)), pa.array(offsets, mask=nulls)


def _offsets(seconds: Integers, zone: ZoneInfo) -> Integers:
    """Seconds east of UTC at each instant: zoneinfo is asked once for each UTC day."""
    if not len(seconds):
        return seconds
    days = np.unique(np.clip(seconds, FIRST, LAST) // DAY).tolist()
    spans = [span for day in days for span in _spans(zone, day)]
    starts, offsets = np.array(spans, np.int64).T
    place = np.searchsorted(starts, seconds, side="right") - 1
    found: Integers = offsets[np.maximum(place, 0)]
    return found


@lru_cache(maxsize=50_000)
def _spans(zone: ZoneInfo, day: int) -> tuple[tuple[int, int], ...]:
    """(first second, offset) of what is in force on a UTC day.

    No zone changes its clock twice in one UTC day; a test holds that.
    """
    start, end = day * DAY, day * DAY + DAY - 1
    before, after = _offset(zone, start), _offset(zone, end)
    if before == after:
        return ((start, before),)
    low, high = start, end
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
    return ((start, before), (high, after))


def _offset(zone: ZoneInfo, second: int) -> int:
    there = (EPOCH + timedelta(seconds=second)).astimezone(zone)
    offset = there.utcoffset()
    return 0 if offset is None else round(offset.total_seconds())


# --- JSON -----------------------------------------------------------------------


def json_text(array: pa.Array, zone: ZoneInfo) -> pa.Array:
    """Each value as JSON; null, NaN and infinity are `null`.

    Numbers keep all their digits, also integers beyond 2^53: the text is exact,
    and a reader that wants them exact can have them. Dates and times are ISO 8601,
    aware timestamps with their offset in `zone`.
    """
    array = plain(array)
    kind = array.type
    if is_number(kind) or types.is_boolean(kind):
        texts = text(array, zone)
    elif types.is_timestamp(kind):
        texts = quoted(_iso(array, zone))
    elif types.is_struct(kind):
        texts = _json_object(array, zone)
    elif types.is_map(kind):
        texts = _json_map(array, zone)
    elif types.is_nested(kind) and not types.is_union(kind):
        texts = _json_list(array, json_text(array.flatten(), zone), "[]")
    else:
        texts = quoted(text(array, zone))
    return texts.fill_null("null")


def quoted(texts: pa.Array) -> pa.Array:
    """As JSON strings; null stays null."""
    if pc.any(pc.match_substring_regex(texts, r'["\\\x00-\x1f]')).as_py():
        for plain_text, escaped in _ESCAPES:
            texts = pc.replace_substring(texts, plain_text, escaped)
    whole = join(['"', texts, '"'])
    return pc.if_else(texts.is_valid(), whole, pa.scalar(None, TEXT))


_SHORT = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPES = (
    ("\\", "\\\\"),
    ('"', '\\"'),
    *((chr(n), _SHORT.get(chr(n), f"\\u{n:04x}")) for n in range(0x20)),
)


def _iso(array: pa.Array, zone: ZoneInfo) -> pa.Array:
    if not array.type.tz:
        return _with_t(_timestamp(array))
    wall, offsets = wall_clock(array, zone)
    codes = offsets.dictionary_encode()
    names = pa.array([_offset_name(n) for n in codes.dictionary.to_pylist()], TEXT)
    east = pa.DictionaryArray.from_arrays(codes.indices, names).dictionary_decode()
    texts = _with_t(_timestamp(wall))
    whole = pc.if_else(pc.match_substring(texts, "inf"), texts, join([texts, east]))
    return pc.if_else(array.is_valid(), whole, pa.scalar(None, TEXT))


def _with_t(texts: pa.Array) -> pa.Array:
    return pc.replace_substring(texts, " ", "T", max_replacements=1)


def _offset_name(seconds: int) -> str:
    """+05:30, and +00:53:28 where a zone had such a time."""
    minutes, rest = divmod(abs(seconds), 60)
    sign = "-" if seconds < 0 else "+"
    name = f"{sign}{minutes // 60:02}:{minutes % 60:02}"
    return f"{name}:{rest:02}" if rest else name


def json_key(name: str) -> str:
    return str(quoted(pa.array([name], TEXT))[0])


def _json_object(array: pa.Array, zone: ZoneInfo) -> pa.Array:
    parts: list[pa.Array | str] = []
    for field, values in zip(array.type, array.flatten(), strict=True):
        before = "," if parts else "{"
        parts += [f"{before}{json_key(field.name)}:", json_text(values, zone)]
    if not parts:
        return pa.array(["{}" if ok else None for ok in array.is_valid().to_pylist()])
    return pc.if_else(array.is_valid(), join([*parts, "}"]), pa.scalar(None, TEXT))


def _json_map(array: pa.Array, zone: ZoneInfo) -> pa.Array:
    entry = pa.struct([("key", array.type.key_type), ("value", array.type.item_type)])
    pairs = array.cast(pa.list_(entry))
    keys, values = pairs.flatten().flatten()
    items = join([quoted(text(keys, zone)), ":", json_text(values, zone)])
    return _json_list(pairs, items, "{}")


def _json_list(lists: pa.Array, items: pa.Array, brackets: str) -> pa.Array:
    """`items`, which are those of all lists in turn, joined again list by list."""
    lengths = pc.list_value_length(lists).fill_null(0).cast(pa.int64())
    offsets = np.concatenate([[0], np.cumsum(lengths.to_numpy(zero_copy_only=False))])
    grouped = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items)
    inner = pc.binary_join(grouped, pa.scalar(",", TEXT))
    whole = join([brackets[0], inner, brackets[1]])
    return pc.if_else(lists.is_valid(), whole, pa.scalar(None, TEXT))
