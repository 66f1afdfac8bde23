"""Sentences as people read them."""

from __future__ import annotations

import pytest

from boe_reconciler.core.wording import quoted, sentence


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
