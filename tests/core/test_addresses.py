"""Addresses are judged by email-validator; the short way agrees with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.language.addresses import (
    _PLAIN,
    _judge,
    address_flaw,
    addresses_in,
)


@given(st.from_regex(_PLAIN, fullmatch=True))
def test_what_is_taken_at_first_sight_stands_up_to_the_judge(text: str) -> None:
    assert _judge(text, named=False) is None


@pytest.mark.parametrize(
    "text",
    [
        "anna@example.com",
        "first.last@sub.example.co.uk",
        "o'neill@example.com",
        "ops@corp.local",
        "jörg@exämple.de",
    ],
)
def test_an_address_is_an_address(text: str) -> None:
    assert address_flaw(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "anna",
        "@example.com",
        "anna@",
        "anna@example",
        "anna@-example.com",
        "a..b@example.com",
        "anna@example.com ",
        "a@b@example.com",
        "anna@example.com\nBcc: x@example.com",
        "Anna <anna@example.com>",
        "x" * 2000 + "@example.com",
    ],
)
def test_what_is_no_address_is_told(text: str) -> None:
    assert address_flaw(text)


def test_a_sender_may_have_a_name() -> None:
    assert address_flaw("Reports <reports@example.com>", named=True) is None
    assert address_flaw("Reports <reports>", named=True)


def test_addresses_are_found_in_a_text() -> None:
    text = "Ask <anna@example.com>, bob@example.com. Or: 'carl@x.org'!"
    found = [each[0] for each in addresses_in(text)]
    assert found == ["anna@example.com", "bob@example.com", "carl@x.org"]


def test_a_long_word_is_looked_through_in_a_moment() -> None:
    assert list(addresses_in("x" * 100_000)) == []


@pytest.mark.parametrize("text", ["a@x.com, b@x.com", "a@x.com;b@x.com; c@x.com"])
def test_several_in_one_text_are_told_as_that(text: str) -> None:
    assert "is several addresses: write them as a list" in (address_flaw(text) or "")
