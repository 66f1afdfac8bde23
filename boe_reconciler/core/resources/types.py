"""The scalar types of the language: how each is written in YAML and what it is in Python.

Each reads its own written form and writes it back, so that a resolved spec
survives a round trip through JSON unchanged.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DURATION_PATTERN = r"^[1-9][0-9]{0,8}[smhd]$"
SIZE_PATTERN = r"^[1-9][0-9]{0,8}(B|KB|MB|GB|TB)$"
TIME_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def parse_duration(value: Any) -> timedelta:
    """30s, 15m, 24h, 7d -> timedelta. ValueError otherwise."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not re.match(DURATION_PATTERN, value):
        raise ValueError("a duration is a whole number and a unit: 30s, 15m, 24h or 7d")
    return timedelta(seconds=int(value[:-1]) * _UNITS[value[-1]])


def format_duration(value: timedelta) -> str:
    """The shortest written form: 90m -> "90m", 24h -> "1d"."""
    seconds = int(value.total_seconds())
    for unit in "dhm":
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"


def parse_size(value: Any) -> int:
    """25MB -> 25_000_000 bytes. ValueError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.match(r"^([0-9]+)([KMGT]?B)$", value) if isinstance(value, str) else None
    if not match or not re.match(SIZE_PATTERN, value):
        raise ValueError("a size is a whole number and a unit: 500KB, 25MB or 2GB")
    return int(match[1]) * _SIZES[match[2]]


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
    if not isinstance(value, str) or not re.match(r"^\d{4}-\d\d-\d\d$", value):
        raise ValueError("a date is written YYYY-MM-DD, such as 2026-12-25")
    return date.fromisoformat(value)


def parse_instant(value: Any) -> datetime:
    """2026-12-25T06:30:00+01:00 -> aware datetime. ValueError otherwise."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(
            "an instant is written with its offset, such as 2026-12-25T06:30:00+01:00"
        )
    if value.microsecond:
        raise ValueError("an instant has whole seconds")
    return value


def _text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=63)]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    _text(DURATION_PATTERN, "15m"),
]
Size = Annotated[int, BeforeValidator(parse_size), _text(SIZE_PATTERN, "25MB")]
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
    _text(r"^\d{4}-\d\d-\d\d$", "2026-12-25"),
]
Instant = Annotated[
    datetime,
    BeforeValidator(parse_instant),
    PlainSerializer(datetime.isoformat, return_type=str),
    _text(r"^\d{4}-\d\d-\d\dT", "2026-12-25T06:30:00+01:00"),
]
