"""Values as people read them, in html and pdf: Excel's number formats, the common part.

Numbers: `0`, `#,##0`, `0.00`, `0.0#`, `0%`, with text before and after
(`"€" #,##0.00`, `0.0 "km"`), and sections for negative numbers and zero
(`#,##0;(#,##0);-`). Colours are left out. Dates: y, m, d, h, s, AM/PM in any order.
A format beyond that shows the plain text, as does none; floats then have at most six
decimals.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from boe_reconciler.core.ports import FormatOptions
from boe_reconciler.formats import _values as values

MONTHS = (
    "January February March April May June July August September October "
    "November December"
).split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def displayed(array: pa.Array, pattern: str | None, zone: ZoneInfo) -> pa.Array:
    """Each value as text; null as null."""
    array = values.plain(array)
    kind = array.type
    if pattern and values.is_number(kind):
        number = number_format(pattern)
        if number is not None:
            return values.each(_finite(array), number)
    if pattern and (types.is_date(kind) or types.is_timestamp(kind)):
        moment = date_format(pattern)
        if moment is not None:
            return values.moments(array, zone, lambda at: moment(_at_midnight(at)))
    if types.is_floating(kind):
        array = _six_decimals(array)
    return values.text(array, zone)


def occasion(options: FormatOptions) -> str:
    """When the report was due, in the schedule's zone."""
    due = options.occurrence.astimezone(options.timezone)
    month = MONTHS[due.month - 1]
    return f"{due.day} {month} {due:%Y, %H:%M} {options.timezone.key or ''}"


def counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def aligned_right(kind: pa.DataType) -> bool:
    return values.is_number(kind)


def on_one_line(kind: pa.DataType) -> bool:
    """Numbers, dates and the like are not broken."""
    return values.is_number(kind) or bool(
        types.is_temporal(kind) or types.is_boolean(kind)
    )


def _finite(array: pa.Array) -> pa.Array:
    if not types.is_floating(array.type):
        return array
    return pc.if_else(pc.is_finite(array), array, pa.scalar(None, array.type))


def _six_decimals(array: pa.Array) -> pa.Array:
    if types.is_float16(array.type):
        array = array.cast(pa.float32())
    small = pc.less(pc.abs(array), 0.0001)
    return pc.if_else(small, array, pc.round(array, 6))


def _at_midnight(day: date) -> datetime:
    if isinstance(day, datetime):
        return day
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 a day has no zone


# --- Numbers --------------------------------------------------------------------

_LITERAL = r'(?:"[^"]*"|\\.|_.|[ $€£¥+\-()/:%]|\u00a0)*'
_SECTION = re.compile(
    rf"(?P<before>{_LITERAL})"
    r"(?P<whole>[#0][#0,]*)?(?:\.(?P<rest>[0#]*))?"
    rf"(?P<after>{_LITERAL})"
)
_COLOUR = re.compile(r"\[(?:Black|Blue|Cyan|Green|Magenta|Red|White|Yellow)\]", re.I)
_CURRENCY = re.compile(r"\[\$([^\]-]*)(?:-[0-9A-Fa-f]+)?\]")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Section:
    before: str
    after: str
    #: How many digits at least before the point; None: only literal text.
    least: int | None
    grouped: bool
    #: Decimals at least and at most.
    decimals: tuple[int, int]
    percent: bool

    def render(self, number: Decimal) -> str:
        if self.least is None:
            return self.before
        scaled = number * 100 if self.percent else number
        step = Decimal(1).scaleb(-self.decimals[1])
        rounded = abs(scaled.quantize(step, ROUND_HALF_UP))
        whole, _, rest = f"{rounded:f}".partition(".")
        whole = whole.lstrip("0").rjust(self.least, "0")
        if self.grouped:
            whole = re.sub(r"(?<=\d)(?=(?:\d{3})+$)", ",", whole)
        kept = rest.rstrip("0").ljust(self.decimals[0], "0")
        point = f".{kept}" if kept else ""
        return f"{self.before}{whole}{point}{self.after}"

    def is_zero(self, number: Decimal) -> bool:
        scaled = number * 100 if self.percent else number
        return not round(scaled, self.decimals[1])


@lru_cache(maxsize=256)
def number_format(pattern: str) -> Callable[[Any], str] | None:
    """How the pattern shows a number; None where it says more than is known here."""
    bare = _CURRENCY.sub(r'"\1"', _COLOUR.sub("", pattern))
    parts = [_section(part) for part in _split(bare)]
    sections = [part for part in parts if part is not None]
    if len(sections) != len(parts) or len(parts) > 3 or parts[0] is None:
        return None
    if sections[0].least is None:
        return None

    def render(value: Any) -> str:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        with localcontext(prec=420):
            return _signed(sections, number)

    return render


def _signed(sections: list[_Section], number: Decimal) -> str:
    if len(sections) == 3 and not number:
        return sections[2].render(number)
    if number < 0 and len(sections) > 1:
        return sections[1].render(number)
    first = sections[0]
    minus = "-" if number < 0 and not first.is_zero(number) else ""
    return minus + first.render(number)


def _split(pattern: str) -> list[str]:
    """At semicolons that stand in no quotes."""
    return re.findall(r'((?:"[^"]*"|\\.|[^;"\\])+)(?:;|$)', pattern) or [""]


def _section(pattern: str) -> _Section | None:
    match = _SECTION.fullmatch(pattern)
    if match is None:
        return None
    whole, rest = match["whole"], match["rest"] or ""
    if whole is None and rest:
        whole = "#"
    if whole and whole.endswith(","):
        return None
    return _Section(
        before=_literal(match["before"] + ("" if whole else match["after"])),
        after=_literal(match["after"]),
        least=None if whole is None else whole.count("0"),
        grouped="," in (whole or ""),
        decimals=(rest.count("0"), len(rest)),
        percent="%" in re.sub(r'"[^"]*"|\\.', "", pattern),
    )


def _literal(text: str) -> str:
    """Quoted and escaped text as it reads; `_x`, a space as wide as x, is a space."""
    return re.sub(
        r'"([^"]*)"|\\(.)|_(.)',
        lambda m: " " if m[3] else m[1] if m[1] is not None else m[2],
        text,
    )


# --- Dates and times ------------------------------------------------------------

_TOKEN = re.compile(
    r'"[^"]*"|\\.|AM/PM|am/pm|A/P|y+|m+|d+|h+|s+(?:\.0+)?|[ \-/.,:]|@|.', re.IGNORECASE
)


@lru_cache(maxsize=256)
def date_format(pattern: str) -> Callable[[datetime], str] | None:
    """How the pattern shows a moment; None where it says more than is known here."""
    bare = re.sub(r"^\[\$-[0-9A-Fa-f]+\]", "", pattern.removesuffix(";@"))
    tokens = _minutes(_TOKEN.findall(bare))
    half = any(token.upper() == "AM/PM" for token in tokens)
    parts = [_moment_part(token, half=half) for token in tokens]
    known = [part for part in parts if part is not None]
    if len(known) != len(parts) or not re.search("[ymdhs]", bare, re.I):
        return None
    return lambda moment: "".join(part(moment) for part in known)


def _minutes(tokens: list[str]) -> list[str]:
    """An m after an hour or before a second means minutes, here written `n`."""
    units = [(i, token[0].lower()) for i, token in enumerate(tokens) if _unit(token)]
    for place, (index, unit) in enumerate(units):
        before = units[place - 1][1] if place else ""
        after = units[place + 1][1] if place + 1 < len(units) else ""
        if unit == "m" and len(tokens[index]) < 3 and (before == "h" or after == "s"):
            tokens[index] = "n" * len(tokens[index])
    return tokens


def _unit(token: str) -> bool:
    return re.fullmatch(r"(y+|m+|d+|h+|s+(\.0+)?)", token, re.I) is not None


_MOMENT: dict[str, Callable[[datetime], str]] = {
    "yyyy": lambda t: f"{t.year:04}",
    "yy": lambda t: f"{t.year % 100:02}",
    "mmmm": lambda t: MONTHS[t.month - 1],
    "mmm": lambda t: MONTHS[t.month - 1][:3],
    "mm": lambda t: f"{t.month:02}",
    "m": lambda t: f"{t.month}",
    "dddd": lambda t: DAYS[t.weekday()],
    "ddd": lambda t: DAYS[t.weekday()][:3],
    "dd": lambda t: f"{t.day:02}",
    "d": lambda t: f"{t.day}",
    "hh": lambda t: f"{t.hour:02}",
    "h": lambda t: f"{t.hour}",
    "nn": lambda t: f"{t.minute:02}",
    "n": lambda t: f"{t.minute}",
    "ss": lambda t: f"{t.second:02}",
    "s": lambda t: f"{t.second}",
    "ss.000": lambda t: f"{t.second:02}.{t.microsecond // 1000:03}",
    "am/pm": lambda t: "AM" if t.hour < 12 else "PM",
}
_HALF_DAY: dict[str, Callable[[datetime], str]] = {
    "hh": lambda t: f"{(t.hour - 1) % 12 + 1:02}",
    "h": lambda t: f"{(t.hour - 1) % 12 + 1}",
}


def _moment_part(token: str, *, half: bool) -> Callable[[datetime], str] | None:
    lower = token.lower()
    if half and lower in _HALF_DAY:
        return _HALF_DAY[lower]
    if lower in _MOMENT:
        return _MOMENT[lower]
    if _literal(token) != token or re.fullmatch("[ /.,:-]", token):
        literal = _literal(token)
        return lambda _moment: literal
    return None
