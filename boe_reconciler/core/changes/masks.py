"""Values as a plan shows them: without what would let somebody in.

Secrets are references in YAML. This is for those who put one there all the same: a
plan stands in logs of CI and in comments, longer and before more eyes than a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from boe_reconciler.core.language.credentials import HIDDEN as MASK
from boe_reconciler.core.language.credentials import hidden
from boe_reconciler.core.problems import Path

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>`]+")
_HOST = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://([^/?#\s]*@)?"
    r"(?P<host>([\w.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?)(?P<behind>([/?#].*)?)$",
    re.DOTALL,
)
#: Keys whose own text is a secret; a reference {env: NAME} is none.
_SECRET_KEY = re.compile(
    r".*(password|passwd|passphrase|secret|token|credential|authorization"
    r"|(api|access|private|account)[-_]?key([-_]id)?)",
    re.IGNORECASE,
)
#: A step of a web address that nobody would type: it may be a key.
_KEY = re.compile(
    r"(?=.*[0-9])(?=.*[A-Za-z])[\w=-]{16,}|(?=.*[A-Z])(?=.*[a-z])[\w=-]{16,}"
    r"|(?=.*[0-9])[A-Z0-9]{8,}|[\w=-]{24,}"
)


def masked(value: Any, path: Path = ()) -> Any:
    """The value at a path of a document, as it may be shown."""
    if isinstance(value, Mapping):
        return {key: masked(item, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item, (*path, at)) for at, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    return MASK if _is_secret(path) else masked_text(value)


def masked_text(text: str) -> str:
    """A text without tokens, and without the secret parts of its URLs."""
    return str(hidden(_URL.sub(_without_secrets, text), suspect=True))


def site_of(url: str) -> str:
    """Scheme and host of an address; what stands behind them may be its secret."""
    found = _HOST.match(url)
    if found is None:
        return MASK
    behind = "/…" if found["behind"].strip("/") else ""
    return f"{found['scheme']}://{found['host']}{behind}"


def _is_secret(path: Path) -> bool:
    named = [part for part in path if isinstance(part, str)]
    if len(named) > 1 and named[-2] == "headers":
        return True
    return bool(named) and _SECRET_KEY.fullmatch(named[-1]) is not None


def _without_secrets(match: re.Match[str]) -> str:
    scheme, _, rest = match[0].partition("://")
    there, slash, behind = rest.partition("/")
    path, mark, _ = behind.partition("?")
    user, at, host = there.rpartition("@")
    who = _user(scheme, user) + at
    if _is_web(scheme):
        steps = (MASK if _KEY.fullmatch(step) else step for step in path.split("/"))
        path = "/".join(steps)
    return f"{scheme}://{who}{host}{slash}{path}{mark}{MASK if mark else ''}"


def _is_web(scheme: str) -> bool:
    return scheme.lower() in ("http", "https")


def _user(scheme: str, user: str) -> str:
    """A user of a database may be seen; of a web address it may be the token itself."""
    if _is_web(scheme):
        return MASK if user else ""
    name, colon, _ = user.partition(":")
    return f"{name}{colon}{MASK}" if colon else name
