"""Values of parameters are read strictly as their type."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from boe_reconciler.core.parameters import parameter_text, parse_parameter


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("string", "x", "x"),
        ("int", 5, 5),
        ("int", "-5", -5),
        ("decimal", "0.10", Decimal("0.10")),
        ("decimal", 1.5, Decimal("1.5")),
        ("decimal", 3, Decimal(3)),
        ("bool", True, True),
        ("bool", "true", True),
        ("bool", "false", False),
        ("date", "2026-12-25", date(2026, 12, 25)),
        ("date", date(2026, 12, 25), date(2026, 12, 25)),
        ("datetime", "2026-12-25T06:30:00", datetime(2026, 12, 25, 6, 30)),  # noqa: DTZ001 written without an offset
        ("enum", "a", "a"),
        ("list", "a, b", ["a", "b"]),
        ("list", ["a", 1], ["a", "1"]),
        ("email", "a@example.com", "a@example.com"),
        ("emails", "a@example.com,b@example.com", ["a@example.com", "b@example.com"]),
    ],
)
def test_a_value_is_read_as_its_type(kind: str, given: Any, value: Any) -> None:
    found = parse_parameter(kind, given)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("string", 5),
        ("int", True),
        ("int", "5.0"),
        ("int", "1_000"),
        ("int", "9" * 30),
        ("decimal", "1e"),
        ("decimal", " 1"),
        ("decimal", "1e5"),
        ("decimal", "NaN"),
        ("decimal", "1_0"),
        ("decimal", True),
        ("bool", "yes"),
        ("bool", 1),
        ("date", "25.12.2026"),
        ("date", 20261225),
        ("datetime", 5),
        ("datetime", "noon"),
        ("datetime", "2026-13-25T06:30"),
        ("datetime", "2026-W52-5"),
        ("list", [True]),
        ("list", [["a"]]),
        ("enum", "c"),
        ("enum", 5),
        ("list", "a,c"),
        ("list", 5),
        ("email", "a@"),
        ("emails", ["a@example.com", "b"]),
    ],
)
def test_what_does_not_fit_is_refused(kind: str, given: Any) -> None:
    with pytest.raises(ValueError, match=r"is not|expects"):
        parse_parameter(kind, given, ["a", "b"])


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("string", "x"),
        ("int", -5),
        ("decimal", "0.10"),
        ("bool", True),
        ("bool", False),
        ("date", "2026-12-25"),
        ("datetime", "2026-12-25 06:30:00+01:00"),
        ("list", ["a", "b"]),
    ],
)
def test_a_value_as_text_is_the_same_value(kind: str, given: Any) -> None:
    value = parse_parameter(kind, given)
    assert parse_parameter(kind, parameter_text(value)) == value
