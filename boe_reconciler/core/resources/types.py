"""The scalar types of the language: how each is written in YAML and what it is in Python.

Each reads its own written form and writes it back, so that a resolved spec
survives a round trip through JSON unchanged.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any

from boe_reconciler.core.resources.base import (
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DURATION_PATTERN = r"^[1-9][0-9]{0,8}[smhd]$"
SIZE_PATTERN = r"^[1-9][0-9]{0,8}(B|KB|MB|GB|TB)$"
TIME_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"
DATE_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
INSTANT_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[-+][0-9:]+)$"
#: Without control characters, and without marks that turn a text around: none may stand
#: in a header of a mail, and a reviewer sees neither.
LINE_PATTERN = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"
WEB_PATTERN = r"^https?://[^/?#\s][^\s]*$"
LABEL_PATTERN = r"^[A-Za-z0-9]([-A-Za-z0-9_./]{0,61}[A-Za-z0-9])?$"
SHEET_PATTERN = r"^[^\[\]:*?/\\]+$"
FILL_PATTERN = r"^(table|range):.+$"
#: Letters of all languages: all that is not ASCII, as `\w` takes 2 ms to compile, and
#: means ASCII alone in an editor.
_NAME_IN_PYTHON = r"[A-Za-z_][^\x00-/:-@\[-^`{-\x7f]*"
TRANSFORM_PATTERN = rf"^{_NAME_IN_PYTHON}(\.{_NAME_IN_PYTHON})*:{_NAME_IN_PYTHON}$"
PERCENT_PATTERN = r"^[1-9][0-9]{0,3}%$"
ENV_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
SOPS_PATTERN = r"^[^#]+#.+$"
MODE_PATTERN = r"^0?[0-7]{3}$"
BUCKET_PATTERN = r"^[^/]+$"
HOST_KEY_PATTERN = r"^SHA256:[A-Za-z0-9+/]{43}=?$"
TIME_OR_DURATION_PATTERN = f"{TIME_PATTERN}|{DURATION_PATTERN}"
_DAYS = "(mon|tue|wed|thu|fri|sat|sun)"
WORKING_DAYS_PATTERN = f"^{_DAYS}(-{_DAYS})?(, ?{_DAYS}(-{_DAYS})?)*$"
#: A pattern -> what it asks for, in words.
FORMS = {
    NAME_PATTERN: "a name has a-z, 0-9 and - inside, 63 characters at most",
    LINE_PATTERN: "it is one line of text, without control characters",
    WEB_PATTERN: "a web address begins with https:// or http:// and a host",
    LABEL_PATTERN: "the key of a label has letters, digits and - _ . / inside",
    SHEET_PATTERN: "the name of a sheet has none of [ ] : * ? / \\",
    FILL_PATTERN: "write table:NAME or range:NAME",
    TRANSFORM_PATTERN: "write module:function",
    PERCENT_PATTERN: 'write a percentage, such as "50%"',
    ENV_PATTERN: "write the name of an environment variable, such as DB_PASSWORD",
    SOPS_PATTERN: "write file#key",
    BUCKET_PATTERN: "write the name alone, and what follows it as prefix",
    MODE_PATTERN: 'write permissions in quotes, such as "0644"',
    HOST_KEY_PATTERN: "write SHA256: and the key, as ssh-keygen -lf prints it",
    TIME_OR_DURATION_PATTERN: 'write a time such as "09:00" or a duration such as 4h',
    WORKING_DAYS_PATTERN: "write days such as mon-fri, or sun-thu, or mon,wed,fri",
}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
#: Longer ones reach beyond the dates that Python knows.
_LONGEST = timedelta(days=36_500)
_YEARS = range(1900, 2201)


def parse_duration(value: Any) -> timedelta:
    """30s, 15m, 24h, 7d -> timedelta. ValueError otherwise."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not re.match(DURATION_PATTERN, value):
        raise ValueError("a duration is a whole number and a unit: 30s, 15m, 24h or 7d")
    duration = timedelta(seconds=int(value[:-1]) * _UNITS[value[-1]])
    if duration > _LONGEST:
        raise ValueError("a duration is at most 36500d")
    return duration


def format_duration(value: timedelta) -> str:
    """The shortest written form: 90m -> "90m", 24h -> "1d"."""
    seconds = int(value.total_seconds())
    for unit in "dhm":
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"


def parse_size(value: Any) -> int:
    """25MB -> 25_000_000 bytes. ValueError otherwise."""
    match = re.match(SIZE_PATTERN, value) if isinstance(value, str) else None
    if not match:
        raise ValueError("a size is a whole number and a unit: 500KB, 25MB or 2GB")
    unit = match[1]
    return int(match[0].removesuffix(unit)) * _SIZES[unit]


def format_size(value: int) -> str:
    """The shortest written form: 25_000_000 -> "25MB"."""
    for unit in ("TB", "GB", "MB", "KB"):
        if value % _SIZES[unit] == 0:
            return f"{value // _SIZES[unit]}{unit}"
    return f"{value}B"


def parse_time(value: Any) -> time:
    """ "06:30" or "06:30:15" -> time. ValueError otherwise."""
    if isinstance(value, time):
        return value
    if not isinstance(value, str) or not re.match(TIME_PATTERN, value):
        raise ValueError('a time is written "HH:MM" in quotes, such as "06:30"')
    return time.fromisoformat(value)


def parse_date(value: Any) -> date:
    """2026-12-25 -> date. ValueError otherwise."""
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or not re.match(DATE_PATTERN, value):
        raise ValueError("a date is written YYYY-MM-DD, such as 2026-12-25")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("there is no such day") from None


def parse_instant(value: Any) -> datetime:
    """2026-12-25T06:30:00+01:00 -> aware datetime. ValueError otherwise."""
    if isinstance(value, str):
        written = re.match(INSTANT_PATTERN, value)
        try:
            value = datetime.fromisoformat(value) if written else None
        except ValueError:
            value = None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(
            "an instant is written with its offset, such as 2026-12-25T06:30:00+01:00"
        )
    if value.microsecond:
        raise ValueError("an instant has whole seconds")
    if value.year not in _YEARS:
        raise ValueError("an instant lies between the years 1900 and 2200")
    return value


def _text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=63)]
#: One line of text.
Line = Annotated[str, Field(pattern=LINE_PATTERN, min_length=1, max_length=1000)]
#: A URL that is called.
WebAddress = Annotated[str, Field(pattern=WEB_PATTERN, max_length=1000)]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    _text(DURATION_PATTERN, "15m"),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, return_type=str),
    _text(SIZE_PATTERN, "25MB"),
]
Time = Annotated[
    time,
    BeforeValidator(parse_time),
    PlainSerializer(time.isoformat, return_type=str),
    _text(TIME_PATTERN, "06:30"),
]
Date = Annotated[
    date,
    BeforeValidator(parse_date),
    PlainSerializer(date.isoformat, return_type=str),
    _text(DATE_PATTERN, "2026-12-25"),
]
Instant = Annotated[
    datetime,
    BeforeValidator(parse_instant),
    PlainSerializer(datetime.isoformat, return_type=str),
    _text(INSTANT_PATTERN, "2026-12-25T06:30:00+01:00"),
]
