"""References become values, and values that leaked become ***."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote, quote_plus

from boe_reconciler.core.errors import Permanent
from boe_reconciler.secrets.sops import Sops

#: A key or a token is far smaller; a mistaken path may not be.
MAX_BYTES = 64 * 1024
#: A shorter value would turn ordinary words of a message into stars.
MIN_REDACTED = 4


def create(
    *,
    environment: Mapping[str, str],
    data_root: Path,
    sops_key_file: Path | None,
    read_blob: Callable[[str], bytes],
) -> Secrets:
    sops = Sops(environment=environment, key_file=sops_key_file, read_blob=read_blob)
    return Secrets(environment, data_root, sops.value)


class Secrets:
    """Resolves references (see core.ports.SecretResolver) and redacts their values.

    A relative `{file}` is below `folder`; it may also be absolute, as those are that
    an orchestrator mounts. Values are read each time, so that a rotation is seen.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        folder: Path,
        sops: Callable[[str], str],
    ) -> None:
        self._environment = environment
        self._folder = folder
        self._sops = sops
        self._known: set[str] = set()
        self._lock = Lock()

    def resolve(self, secret: Any) -> str:
        if hasattr(secret, "env"):
            value = self._from_environment(secret.env)
        elif hasattr(secret, "file"):
            value = _from_file(self._folder / secret.file, secret.file)
        else:
            value = self._sops(secret.sops)
        with self._lock:
            self._known.update(_forms(value))
        return value

    def redact(self, text: str) -> str:
        """The text with *** for every value that was resolved so far."""
        with self._lock:
            known = sorted(self._known, key=len, reverse=True)
        if not known:
            return text
        return re.sub("|".join(map(re.escape, known)), "***", text)

    def _from_environment(self, name: str) -> str:
        value = self._environment.get(name, "")
        if not value:
            detail = f"the environment variable {name} is not set"
            raise Permanent("secret_missing", detail, "set it where `boe run` starts")
        return value


def _from_file(path: Path, shown: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        detail = f"the secret's file {shown} cannot be read: {error.strerror}"
        raise Permanent("secret_missing", detail, "check its path and mode") from None
    if len(content) > MAX_BYTES:
        raise Permanent("secret_missing", f"the file {shown} is too large for a secret")
    try:
        value = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise Permanent("secret_missing", f"the file {shown} is not UTF-8") from None
    if not value:
        raise Permanent("secret_missing", f"the secret's file {shown} is empty")
    return value


def _forms(value: str) -> set[str]:
    """The shapes in which a value may turn up in a message, lines of a key included."""
    lines = [line.strip() for line in value.splitlines() if "-----" not in line]
    forms = {value, *lines, html.escape(value), value.encode().hex()}
    forms |= {shown[1:-1] for shown in (repr(value), ascii(value), json.dumps(value))}
    forms.add(json.dumps(value, ensure_ascii=False)[1:-1])
    forms |= {*_quoted(value), *_in_base64(value.encode())}
    return {form for form in forms if len(form) >= MIN_REDACTED}


def _quoted(value: str) -> Iterator[str]:
    for form in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield form
        yield re.sub("%..", lambda found: found[0].lower(), form)


def _in_base64(value: bytes) -> Iterator[str]:
    """By itself, and inside of something longer, such as `user:password`."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(value).decode().rstrip("=")
        for before in range(3):
            # Characters that hold bits of the value alone: those around it differ.
            whole = encode(b"\0" * before + value).decode().rstrip("=")
            bits = 8 * (before + len(value))
            yield whole[-(-8 * before // 6) : bits // 6]
