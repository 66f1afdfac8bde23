"""Tokens for mail servers that take no password: OAuth 2.0 client credentials."""

from __future__ import annotations

from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any

from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.ports import Clock, SecretResolver
from boe_reconciler.core.resources.connection import OAuth2
from boe_reconciler.core.wording import one_line

if TYPE_CHECKING:
    from httpx import Response

_PATIENCE = 30.0
#: A token is not used in its last moments, and not longer than this where nothing is said.
_EARLY, _LIFE = timedelta(seconds=60), timedelta(minutes=5)
#: What was got, until when it counts.
_Kept = tuple[str, datetime]
_KEPT: dict[tuple[str, ...], _Kept] = {}
_LOCK = Lock()


class Tokens:
    """Those of one client; a token is kept for all who use the same, if there is a clock."""

    def __init__(
        self, spec: OAuth2, secrets: SecretResolver, clock: Clock | None
    ) -> None:
        self._spec = spec
        self._secrets = secrets
        self._clock = clock

    def token(self, *, renew: bool) -> str:
        """One that counts for a while; with `renew` the kept one is not good enough."""
        if self._clock is None:
            return self._fetch()[0]
        spec, now = self._spec, self._clock.now()
        key = (spec.token_url, spec.client_id, spec.scope or "")
        with _LOCK:
            kept = _KEPT.get(key)
            if kept and not renew and kept[1] > now:
                return kept[0]
            token, life = self._fetch()
            _KEPT[key] = token, now + life
            return token

    def _fetch(self) -> tuple[str, timedelta]:
        answer = self._ask()
        found = _json(answer)
        token = found.get("access_token")
        if answer.status_code != 200 or not isinstance(token, str):
            raise _refused(answer, found)
        given = found.get("expires_in")
        life = timedelta(seconds=int(str(given))) if str(given).isdecimal() else _LIFE
        return token, max(life - _EARLY, timedelta())

    def _ask(self) -> Response:
        import httpx

        spec = self._spec
        data = {
            "grant_type": "client_credentials",
            "client_id": spec.client_id,
            "client_secret": self._secrets.resolve(spec.client_secret),
        }
        if spec.scope:
            data["scope"] = spec.scope
        try:
            return httpx.post(
                spec.token_url,
                data=data,
                timeout=_PATIENCE,
                follow_redirects=False,
                verify=httpx.create_ssl_context(),
            )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Permanent("no_token", f"token_url: {error}", "correct it") from error
        except httpx.HTTPError as error:
            detail = f"no token from {spec.token_url}: {error or type(error).__name__}"
            raise Temporary("token_unavailable", detail) from error


def _json(answer: Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _refused(answer: Response, found: dict[str, Any]) -> RunError:
    """RFC 6749, 5.2: `error` is a word, `error_description` a sentence."""
    words = found.get("error_description") or found.get("error") or "no token in it"
    detail = f"{answer.url.host} gives no token: {answer.status_code} {words}"
    detail = one_line(detail)[:300]
    if answer.status_code == 429 or answer.status_code >= 500:
        return Temporary("token_unavailable", detail)
    todo = "check client_id, client_secret and scope"
    return Permanent("no_token", detail, todo)
