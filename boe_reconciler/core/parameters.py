"""Values of parameters and inputs: strictly read as the type of their definition."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from boe_reconciler.core.language.addresses import address_flaw
from boe_reconciler.core.language.suggest import did_you_mean, listed
from boe_reconciler.core.resources.types import parse_date

#: What a value can be, as it is bound to a query.
Value = str | int | Decimal | bool | date | datetime | list[str]
#: How numbers, and dates with times, are written as text.
_DECIMAL = r"[-+]?[0-9]{1,100}(\.[0-9]{1,100})?"
_INSTANT = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[-+][0-9]{2}:[0-9]{2})?)?"
)


def parse_parameter(
    kind: str, value: Any, values: Sequence[Any] | None = None
) -> Value:
    """A value from YAML, a template or the command line as `kind`; else ValueError.

    `values` are the possible ones of an enum, or of the entries of a list. A `kind`
    that the language does not know takes any text.
    """
    return _PARSERS.get(kind, _string)(value, values)


def parameter_text(value: Value) -> str:
    """The value as text that `parse_parameter` reads as the same value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def _refuse(value: Any, expected: str, todo: str = "") -> ValueError:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return ValueError(f"{shown[:80]} is not {expected}" + (f": {todo}" if todo else ""))


def _string(value: Any, _values: Sequence[Any] | None) -> str:
    if not isinstance(value, str):
        raise _refuse(value, "text", "put it in quotes")
    return value


def _int(value: Any, _values: Sequence[Any] | None) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]{1,18}", value):
        return int(value)
    raise _refuse(value, "a whole number")


def _decimal(value: Any, _values: Sequence[Any] | None) -> Decimal:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(str(value))
    if isinstance(value, str) and re.fullmatch(_DECIMAL, value):
        return Decimal(value)
    raise _refuse(value, "a decimal number", "write it as 1234.50")


def _bool(value: Any, _values: Sequence[Any] | None) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise _refuse(value, "true or false")


def _date(value: Any, _values: Sequence[Any] | None) -> date:
    try:
        return parse_date(value)
    except ValueError as error:
        raise _refuse(value, "a date", str(error)) from None


def _datetime(value: Any, _values: Sequence[Any] | None) -> datetime:
    try:
        if isinstance(value, str) and re.fullmatch(_INSTANT, value):
            return datetime.fromisoformat(value)
    except ValueError:
        pass
    raise _refuse(value, "a date and time", "write 2026-12-25T06:30:00")


def _enum(value: Any, values: Sequence[Any] | None) -> str:
    text = _string(value, None)
    known = [str(possible) for possible in values or ()]
    if known and text not in known:
        raise _refuse(text, f"one of {listed(known)}", did_you_mean(text, known))
    return text


def _list(value: Any, values: Sequence[Any] | None) -> list[str]:
    entries = value.split(",") if isinstance(value, str) else value
    if not isinstance(entries, list):
        raise _refuse(value, "a list", "write [a, b], or text with commas")
    return [_enum(_entry(entry), values) for entry in entries]


def _entry(value: Any) -> str:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value).strip()
    raise _refuse(value, "an entry of a list", "put it in quotes")


def _email(value: Any, _values: Sequence[Any] | None) -> str:
    text = _string(value, None)
    flaw = address_flaw(text)
    if flaw:
        raise ValueError(flaw)
    return text


def _emails(value: Any, _values: Sequence[Any] | None) -> list[str]:
    return [_email(entry, None) for entry in _list(value, None)]


_PARSERS: dict[str, Callable[[Any, Sequence[Any] | None], Value]] = {
    "string": _string,
    "int": _int,
    "decimal": _decimal,
    "bool": _bool,
    "date": _date,
    "datetime": _datetime,
    "enum": _enum,
    "list": _list,
    "email": _email,
    "emails": _emails,
}
