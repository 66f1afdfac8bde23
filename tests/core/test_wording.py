"""Sentences as people read them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from boe_reconciler.core.wording import lasting, quoted, sentence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the server\n is down", "The server is down."),
        ("anna@example.com of mails: refused", "anna@example.com of mails: refused."),
        ("", ""),
    ],
)
def test_a_sentence_has_a_capital_but_an_address_stays(
    text: str, expected: str
) -> None:
    assert sentence(text) == expected


def test_names_are_told_together() -> None:
    assert quoted(["a"], "and") == '"a"'
    assert quoted(["a", "b", "c"], "or") == '"a", "b" or "c"'


def test_a_span_is_told_in_the_largest_unit_that_is_whole() -> None:
    spans = [timedelta(days=7), timedelta(hours=36), timedelta(minutes=90)]
    assert [lasting(one) for one in spans] == ["7 days", "36 hours", "90 minutes"]
    assert lasting(timedelta(seconds=1)) == "1 second"
