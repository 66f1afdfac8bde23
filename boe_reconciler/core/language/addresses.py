"""E-mail addresses: their form alone; nobody is asked whether they exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_WORD = r"[A-Za-z0-9_+-]{1,60}"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9]|-(?!-)){0,50}(?<!-)"
#: Most addresses: those that need no second look.
_PLAIN = re.compile(rf"{_WORD}@({_LABEL}\.){{1,3}}[A-Za-z]{{2,20}}\Z")

#: Bounded, so that a text without end costs no time without end.
_CHARACTER = r"[^\s,;:<>()\[\]{}'\"|]"
_IN_TEXT = rf"{_CHARACTER}{{1,64}}@{_CHARACTER}{{1,254}}(?<![.!?])"
#: RFC 5321, 4.5.3.1.1 (64), without the tag of a mail (core/bounces.py) and its "+".
LONGEST_LOCAL_PART = 64 - 1 - 32


def addresses_in(text: str) -> Iterator[re.Match[str]]:
    """What looks like an address, wherever it stands in a text."""
    return re.finditer(_IN_TEXT, text)


def has_room(address: str) -> bool:
    """Whether what tells of which mail a bounce is can stand before its @."""
    return len(address.rpartition("@")[0].encode()) <= LONGEST_LOCAL_PART


def folded(address: str) -> tuple[str, str]:
    """What addresses have in common that mean the same mailbox to people."""
    local, _, domain = address.casefold().rpartition("@")
    try:
        return local, domain.encode("idna").decode()
    except UnicodeError:
        return local, domain


#: As mail programs part addresses in a line.
_SEVERAL = r"@[^,;]+[,;][^,;]+@"


@lru_cache(maxsize=10_000)
def address_flaw(text: str, *, named: bool = False) -> str | None:
    """What is wrong with an address, or None. `named`: `Anna <anna@x.com>` is fine too."""
    if _PLAIN.match(text):
        return None
    return _judge(text, named=named)


def _judge(text: str, *, named: bool) -> str | None:
    # An eighth of the time that `boe validate` needs to start, for the few that need it.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 as said

    if len(text) > 1000:
        return "the address is too long"
    if re.search(_SEVERAL, text):
        return f'"{text[:80]}" is several addresses: write them as a list, [a, b]'
    try:
        found = validate_email(
            text,
            check_deliverability=False,
            globally_deliverable=False,
            allow_display_name=named,
        )
    except EmailNotValidError as error:
        return f'"{text[:80]}" is not an e-mail address: {error}'
    if "." not in found.domain:
        return f'"{text}" is not an e-mail address: its domain has no ending'
    return None
