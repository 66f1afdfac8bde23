"""POST /hooks/fetch: a forge says that something was pushed.

Whatever it sends means one thing: look at the branch now. So a request that is sent
again does no harm, and what it holds need not be understood or trusted.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus

from boe_reconciler.core.errors import BoeError, InputError
from boe_reconciler.core.facts import Hooked, Observe, unobserved
from boe_reconciler.core.ports import Clock
from boe_reconciler.web.server import Headers, Page, told

log = logging.getLogger(__name__)
PATH = "/hooks/fetch"
#: A secret that is shorter could be guessed.
SHORTEST = 16
#: Wrong requests a minute that are answered as such; more are told to slow down.
WRONG = 10
_MINUTE = 60.0
#: Signatures over id, time and body begin with it.
_STANDARD = "webhook-signature"
#: Header -> what stands there before the HMAC of the body in hex.
_SIGNED = {
    "X-Hub-Signature-256": "sha256=",
    "X-Hub-Signature": "sha256=",
    "X-Gitea-Signature": "",
    "X-Forgejo-Signature": "",
}
_TOKEN = "X-Gitlab-Token"  # noqa: S105 the name of a header


@dataclass(kw_only=True)
class FetchHook:
    #: The secret as it is now.
    secret: Callable[[], str]
    #: Lets the repo look at once; asked often in a row it looks once more.
    hurry: Callable[[], None]
    clock: Clock
    observe: Observe = unobserved
    _wrong: deque[float] = field(
        init=False, default_factory=lambda: deque(maxlen=WRONG)
    )
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def check(self) -> None:
        """InputError for a secret that cannot be read or may be guessed."""
        try:
            long_enough = len(self.secret()) >= SHORTEST
        except BoeError as error:
            raise InputError(
                f"BOE_HOOK_SECRET: {error.message}.", error.help
            ) from error
        if not long_enough:
            raise InputError(
                "BOE_HOOK_SECRET is too short.",
                f"Give {SHORTEST} characters at least: `openssl rand -hex 32` makes one.",
            )

    def wants(self, headers: Headers) -> bool:
        """Whether the body is worth reading."""
        return any(name in headers for name in (*_SIGNED, _TOKEN, _STANDARD))

    def receive(self, headers: Headers, body: bytes | None) -> Page:
        """`body` is None where the request is refused for its headers alone."""
        try:
            good = body is not None and authentic(headers, body, self.secret())
        except BoeError as error:
            log.warning("hook_unusable", extra={"detail": error.message})
            return told(HTTPStatus.SERVICE_UNAVAILABLE)
        if not good:
            return self._refuse()
        self.observe(Hooked(result="taken"))
        self.hurry()
        return told(HTTPStatus.ACCEPTED)

    def _refuse(self) -> Page:
        """Says nothing of why; the first wrong one of a minute is told in the log."""
        self.observe(Hooked(result="refused"))
        now = self.clock.monotonic()
        with self._lock:
            first = not self._wrong or self._wrong[-1] < now - _MINUTE
            many = len(self._wrong) == WRONG and self._wrong[0] > now - _MINUTE
            if not many:
                self._wrong.append(now)
        if first:
            log.warning("hook_refused", extra={"detail": "Its secret is another one."})
        return told(HTTPStatus.TOO_MANY_REQUESTS if many else HTTPStatus.UNAUTHORIZED)


def authentic(headers: Headers, body: bytes, secret: str) -> bool:
    """Whether somebody who knows the secret sent it: GitHub, GitLab, Gitea, Forgejo,
    Bitbucket. Takes as long whatever is wrong."""
    key = secret.encode()
    signature = hmac.new(key, body, sha256).hexdigest()
    expected = {name: (before + signature).encode() for name, before in _SIGNED.items()}
    expected[_TOKEN] = key
    found = [
        hmac.compare_digest(_bytes(headers, name), value)
        for name, value in expected.items()
    ]
    return any([*found, _standard(headers, body, secret)])


def _standard(headers: Headers, body: bytes, secret: str) -> bool:
    """A signing token of GitLab, as standardwebhooks.com describes it."""
    head = b".".join(_bytes(headers, f"webhook-{one}") for one in ("id", "timestamp"))
    signed = hmac.new(_key(secret), head + b"." + body, sha256).digest()
    value = b"v1," + base64.b64encode(signed)
    given = _bytes(headers, _STANDARD).split()
    return any([hmac.compare_digest(one, value) for one in given])  # noqa: C419 all of them, to take as long


def _key(secret: str) -> bytes:
    """Such tokens are written in base64, behind a prefix."""
    prefix, sign, text = secret.partition("_")
    if sign and prefix == "whsec":
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def _bytes(headers: Headers, name: str) -> bytes:
    """As they were on the wire."""
    return (headers.get(name) or "").encode("latin-1", "replace")
