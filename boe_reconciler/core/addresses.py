"""E-mail addresses: their form alone; nobody is asked whether they exist."""

from __future__ import annotations

from functools import lru_cache

from email_validator import EmailNotValidError, validate_email


@lru_cache(maxsize=10_000)
def address_flaw(text: str, *, named: bool = False) -> str | None:
    """What is wrong with an address, or None. `named`: `Anna <anna@x.com>` is fine too."""
    if len(text) > 1000:
        return "the address is too long"
    try:
        found = validate_email(
            text,
            check_deliverability=False,
            globally_deliverable=False,
            allow_display_name=named,
        )
    except (EmailNotValidError, ValueError) as error:
        return f'"{text[:80]}" is not an e-mail address: {error}'
    if "." not in found.domain and found.domain != "localhost":
        return f'"{text}" is not an e-mail address: its domain has no ending'
    return None
