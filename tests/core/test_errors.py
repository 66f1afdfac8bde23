"""Errors as a person reads them."""

from __future__ import annotations

import pytest

from boe_reconciler.core.errors import BoeError


@pytest.mark.parametrize(
    ("message", "todo", "told"),
    [
        ("no way", "", "no way"),
        ("no way\n", "mend it", "no way. Mend it"),
        ("No way!", "Mend it.", "No way! Mend it."),
    ],
)
def test_what_is_wrong_and_what_to_do_follow_each_other(
    message: str, todo: str, told: str
) -> None:
    assert BoeError(message, todo).told == told
