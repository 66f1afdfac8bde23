"""What a plan does not show, should somebody have written it into YAML."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.changes.masks import MASK, masked, masked_text, site_of

#: A text with a secret in it, and what is shown of it.
TEXTS = {
    "postgresql://boe:hunter22@db:5432/dwh": "postgresql://boe:***@db:5432/dwh",
    "postgresql://boe@db/dwh": "postgresql://boe@db/dwh",
    "https://ghp_secret@github.com/a/b.git": "https://***@github.com/a/b.git",
    "https://hooks.slack.com/services/T0/B12345678/aBcDeFgHiJkLmNoPqRsT": (
        "https://hooks.slack.com/services/T0/***/***"
    ),
    "https://x.example/a?key=1&b=2#c": "https://x.example/a?***",
    "https://docs.example.com/how-to/read": "https://docs.example.com/how-to/read",
    "host=db password=hunter22 user=boe": "host=db password=*** user=boe",
    "ATTACH 'x' (PASSWORD = 'a b')": "ATTACH 'x' (PASSWORD = ***)",
    "Authorization: Bearer abcdefgh1234": "Authorization: Bearer ***",
    "bearer abcdefghABCDEF1234567890": "bearer ***",
    "pwd=-----BEGIN OPENSSH PRIVATE KEY-----\nabc": "pwd=***",
    "use xoxb-123456789012-abc here": "use *** here",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n": MASK,
    "s3://bucket/year=2026/sales_2026-11-24.parquet": (
        "s3://bucket/year=2026/sales_2026-11-24.parquet"
    ),
    "https://x.example/reports/2026-11-24/sales_2026.csv": (
        "https://x.example/reports/2026-11-24/sales_2026.csv"
    ),
    "nothing to see": "nothing to see",
}


@pytest.mark.parametrize(("text", "shown"), TEXTS.items())
def test_secret_parts_of_a_text_are_masked(text: str, shown: str) -> None:
    assert masked_text(text) == shown
    assert masked({"spec": [{"note": text}]}) == {"spec": [{"note": shown}]}


def test_fields_that_hold_secrets_are_masked_and_references_are_not() -> None:
    spec = {
        "password": "hunter22",
        "client_secret": {"env": "SECRET"},
        "secret": [{"file": "/run/secret"}],
        "headers": {"X-Any": "thing"},
        "token_url": "https://x.example/token",
        "port": 22,
    }
    assert masked(spec, ("spec",)) == {
        **spec,
        "password": MASK,
        "headers": {"X-Any": MASK},
    }


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://hooks.slack.com/services/T/B/x", "https://hooks.slack.com/…"),
        ("https://user:pw@x.example:8443/", "https://x.example:8443"),
        ("https://x.example?key=1", "https://x.example/…"),
        ("http://[::1]:80/a", "http://[::1]:80/…"),
        ("not a url", MASK),
        ("", MASK),
    ],
)
def test_of_an_address_only_the_host_is_shown(url: str, site: str) -> None:
    assert site_of(url) == site


@given(st.text(alphabet="abcXYZ0189", min_size=24, max_size=40))
def test_a_token_never_gets_through(token: str) -> None:
    for text in (
        f"https://{token}@x.example/",
        f"https://x.example/hook/{token}",
        f"https://x.example/?t={token}",
        f"mysql://a:{token}@x/y",
        f"token={token}",
        f"ghp_{token}",
    ):
        assert token not in masked_text(text)
        assert token not in site_of(text)
