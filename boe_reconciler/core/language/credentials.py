"""What looks like a credential, in any text: known beginnings, and passwords that are
given to something. What is found is never shown."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

from boe_reconciler.core.records import dataclass

#: On the same line, it says that what is found is none.
MARK = "boe:not-a-secret"
HIDDEN = "***"
#: What it is -> what its text holds in small letters (one of them, else nothing is
#: looked for), and what it looks like: the group `secret`, or all of it.
_KNOWN: dict[str, tuple[str, str]] = {
    "a private key": (
        "private",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
        r"(?s:.*?-----END [^-]*-----)?",
    ),
    "an age key": ("age-secret-key-", r"\bAGE-SECRET-KEY-1[0-9A-Z]{20,}"),
    "an AWS access key": ("akia asia", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a GitHub token": (
        "gh github_pat_",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{22,})",
    ),
    "a GitLab token": (
        "gl",
        r"\bgl(?:pat|dt|rt|cbt|ptt|ft|agent)-[\w-]{20,}",
    ),
    "a Slack token": ("xox", r"\bxox[a-z]-[A-Za-z0-9-]{10,}"),
    "a Slack webhook": (
        "hooks.slack.com",
        r"hooks\.slack\.com/services/T\w+/B\w+/\w{16,}",
    ),
    "a Google API key": ("aiza", r"\bAIza[\w-]{35}"),
    "a Stripe key": ("k_live_", r"\b[rs]k_live_[A-Za-z0-9]{20,}"),
    "a SendGrid key": ("sg.", r"\bSG\.[\w-]{16,}\.[\w-]{20,}"),
    "a package registry's token": (
        "npm_ pypi-",
        r"\b(?:npm_[A-Za-z0-9]{36}|pypi-AgEI[\w-]{20,})",
    ),
    "a JSON Web Token": ("eyj", r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    "a bearer token": ("bearer", r"(?i:\bbearer)\s+(?P<secret>[\w.~+/-]{20,})"),
    "a signature of a storage account": (
        "sig=",
        r"[?&]sig=(?P<secret>[\w%+/]{40,}=*)",
    ),
    "a password in a URL": (
        "://",
        r"://[^\s/:@'\"]*:(?P<secret>[^\s/@'\"]+)@",
    ),
    "a password": (
        "pass pwd key token secret",
        r"(?i:\b(?:password|passwd|pwd|passphrase|api[_-]?key|access[_-]?token"
        r"|client[_-]?secret|secret[_-]?(?:access[_-]?)?key|account[_-]?key"
        r"|sharedaccesskey))\s*=\s*['\"]?(?P<secret>[^\s'\";,&)\]}]{6,})",
    ),
}
#: What is told only where its value looks random.
_GUESSED = ("a password", "a bearer token")
#: What nobody is shown: the same, and whatever may be one. A word that is hidden does no
#: harm; one that is told wrongly does.
_SUSPECT = _KNOWN | {
    "a private key": (
        "private",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
        r"(?s:.*?(?:-----END [^-]*-----|\Z))",
    ),
    "a token by its beginning": (
        "gh github_pat_ gl xox akia eyj",
        r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[a-z]-|AKIA|eyJ)[\w.-]{12,}",
    ),
    "a header": ("bearer basic", r"\b(?:Bearer|Basic) (?P<secret>[\w.+/=-]{8,})"),
    "any password": (
        "pass pwd token secret key",
        r"(?i:\b(?:password|passwd|pwd|secret|token|api_key))\s*=\s*"
        r"(?P<secret>'[^']*'|[^\s;,'\"&]+)",
    ),
}
#: All that is looked for first: most texts hold none of it.
_HINTS = sorted({hint for hints, _ in _SUSPECT.values() for hint in hints.split()})
#: How a value begins that stands for another.
_STANDS_FOR = r"[:${<%@*?\[(]|\.\.\.|(?i:xxx|example|changeme|placeholder)"
#: What it is, and where it begins and ends.
_Match = tuple[str, tuple[int, int]]
#: Bits a character; words of one's language have less, and no digit.
_LEAST_ENTROPY = 2.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    #: In words.
    what: str
    #: Where it stands in the text, in characters.
    offset: int
    length: int


def credentials(text: str) -> list[Credential]:
    """All but those whose line has the mark."""
    found = []
    for what, (start, end) in _found(text):
        line = text.rfind("\n", 0, start) + 1
        stop = text.find("\n", end)
        if MARK not in text[line : None if stop < 0 else stop]:
            found.append(Credential(what=what, offset=start, length=end - start))
    return found


def hidden(value: Any, *, suspect: bool = False) -> Any:
    """A plain value without what looks like a credential, however deep it stands.

    `suspect`: and without what may be one.
    """
    if isinstance(value, str):
        return _without(value, _matches(value, _SUSPECT if suspect else _KNOWN))
    if isinstance(value, dict):
        return {key: hidden(one, suspect=suspect) for key, one in value.items()}
    if isinstance(value, list):
        return [hidden(one, suspect=suspect) for one in value]
    return value


def _without(text: str, found: Iterable[_Match]) -> str:
    shown, end = "", 0
    for start, stop in sorted(span for _, span in found):
        if start >= end:
            shown += text[end:start] + HIDDEN
        end = max(end, stop)
    return shown + text[end:]


def _found(text: str) -> list[_Match]:
    """In order; of two that overlap the first."""
    found: list[_Match] = []
    for what, span in sorted(_matches(text, _KNOWN), key=itemgetter(1)):
        if not found or span[0] >= found[-1][1][1]:
            found.append((what, span))
    return found


def _matches(text: str, table: Mapping[str, tuple[str, str]]) -> list[_Match]:
    small = text.lower()
    there = [hint for hint in _HINTS if hint in small]
    if not there:
        return []
    return [
        (what, span)
        for what, (hints, pattern) in table.items()
        if not {*hints.split()}.isdisjoint(there)
        for match in re.finditer(pattern, text)
        for span in [match.span("secret" if "secret" in match.re.groupindex else 0)]
        if table is _SUSPECT or _is_one(what, text[slice(*span)])
    ]


def _is_one(what: str, secret: str) -> bool:
    """Whether a password is a value, and neither a name for one nor a word."""
    if re.match(_STANDS_FOR, secret):
        return False
    return what not in _GUESSED or _is_random(secret)


def _is_random(secret: str) -> bool:
    shares = [count / len(secret) for count in Counter(secret).values()]
    entropy = -sum(share * math.log2(share) for share in shares)
    return entropy >= _LEAST_ENTROPY and re.search("[0-9]", secret) is not None
