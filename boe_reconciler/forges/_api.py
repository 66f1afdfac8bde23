"""Requests to the API of a forge: bounded in every direction, and never with the token
to another place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from boe_reconciler.core import retry
from boe_reconciler.core.errors import Permanent, Temporary
from boe_reconciler.core.forge import cut
from boe_reconciler.core.ports import Clock

if TYPE_CHECKING:
    from ssl import SSLContext

    from httpx import Client, Response

#: Seconds that connecting, or a silence, may take; and a whole request.
PATIENCE, LONGEST = 10.0, 30.0
LARGEST_ANSWER = 8_000_000
#: Redirects that are followed, within the same host.
HOPS = 3
#: Items that are asked for at once, and how often.
PAGE, PAGES = 100, 30
#: A forge that asks for more patience is asked again after this.
MOST_PATIENT = timedelta(hours=1)
_MOVED = (301, 302, 307, 308)
#: Of an answer's reason, so much is told.
_TOLD = 300
_LATER = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.LOCKED)
#: Status -> (reason, what it means, what to do).
_REFUSALS = {
    401: ("forge_unauthorized", "does not take the token", "make a new one"),
    403: (
        "forge_forbidden",
        "does not let the token do this",
        "give it the rights that docs/forges.md names",
    ),
    404: (
        "forge_not_found",
        "does not know this, or hides it from the token",
        "check the project, and the rights of the token",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    status: int
    #: What the JSON says; None: nothing that can be read.
    body: Any


@dataclass(kw_only=True)
class Api:
    base: str
    #: The token as it is now.
    token: Callable[[], str]
    redact: Callable[[str], str]
    clock: Clock
    headers: Mapping[str, str] = field(default_factory=dict)

    def call(
        self, method: str, path: str, given: Mapping[str, Any] | None = None
    ) -> Answer:
        """What is answered to it. Temporary or Permanent for anything but success."""
        answer, headers = self._ask(method, self.base + path, given)
        if answer.status < 300:
            return answer
        raise self._refusal(answer, headers)

    def value(
        self,
        method: str,
        path: str,
        name: str,
        given: Mapping[str, Any] | None = None,
    ) -> Any:
        """What stands under a name of the answer."""
        body = self.call(method, path, given).body
        if isinstance(body, Mapping) and name in body:
            return body[name]
        raise Temporary("forge_unavailable", f"{self._host} answers something else.")

    def pages(self, path: str) -> Iterator[Mapping[str, Any]]:
        """The items of a list that have an id, page after page, up to a bound."""
        joint = "&" if "?" in path else "?"
        for page in range(1, PAGES + 1):
            asked = f"{path}{joint}per_page={PAGE}&page={page}"
            found = self.call("GET", asked).body
            items = found if isinstance(found, list) else []
            yield from (one for one in items if _has_id(one))
            if len(items) < PAGE:
                return

    def close(self) -> None:
        if "_client" in self.__dict__:
            self._client.close()

    @cached_property
    def _client(self) -> Client:
        import httpx  # 0.2 s, and only where a forge is told

        agent = {"User-Agent": "boe", "Accept": "application/json"}
        return httpx.Client(
            timeout=PATIENCE,
            follow_redirects=False,
            headers={**agent, **self.headers},
            verify=_trusted(),
        )

    def _ask(
        self, method: str, url: str, given: Mapping[str, Any] | None
    ) -> tuple[Answer, Mapping[str, str]]:
        import httpx

        try:
            for _ in range(HOPS + 1):
                answer, headers = self._once(method, url, given)
                if answer.status not in _MOVED:
                    return answer, headers
                url = self._moved(url, headers.get("location", ""))
        except (httpx.LocalProtocolError, httpx.InvalidURL, ValueError):
            detail = f"{self._host}: no request can be made of this token or project."
            raise Permanent("forge_rejected", detail) from None
        except httpx.RequestError as error:
            text = f"{self._host} did not answer ({type(error).__name__})."
            raise Temporary("forge_unreachable", text) from None
        raise Permanent("forge_moved", f"{self._host} leads around in circles.")

    def _once(
        self, method: str, url: str, given: Mapping[str, Any] | None
    ) -> tuple[Answer, Mapping[str, str]]:
        end = self.clock.monotonic() + LONGEST
        token = {"Authorization": f"Bearer {self.token()}"}
        with self._client.stream(method, url, json=given, headers=token) as response:
            read = self._read(response, end)
        body = None
        with suppress(ValueError, RecursionError):
            body = json.loads(read)
        return Answer(status=response.status_code, body=body), response.headers

    def _read(self, response: Response, end: float) -> bytes:
        read = b""
        for chunk in response.iter_bytes():
            read += chunk
            if len(read) > LARGEST_ANSWER or self.clock.monotonic() > end:
                text = f"{self._host} sends more, or slower, than is waited for."
                raise Temporary("forge_unreachable", text)
        return read

    def _moved(self, url: str, to: str) -> str:
        """Where it is now; the token goes to no other host."""
        there = urljoin(url, to)
        if urlsplit(there)[:2] != urlsplit(url)[:2] or not to:
            raise Permanent(
                "forge_moved",
                f"{self._host} sends to another place, where the token does not go.",
                "give its address by BOE_FORGE_URL",
            )
        return there

    def _refusal(
        self, answer: Answer, headers: Mapping[str, str]
    ) -> Temporary | Permanent:
        status, why = answer.status, self._why(answer)
        pause = _pause(headers, self.clock.now())
        limited = pause is not None or "rate limit" in why.lower()
        if status == 429 or (status == 403 and limited):
            text = f"{self._host} asks for patience ({status}{why})."
            return Temporary("forge_busy", text, delay=pause)
        if status >= 500 or status in _LATER:
            text = f"{self._host} answered {status}{why}."
            return Temporary("forge_unavailable", text, delay=pause)
        reason, means, todo = _REFUSALS.get(
            status, ("forge_rejected", "refuses it", "")
        )
        return Permanent(reason, f"{self._host} {means} ({status}{why}).", todo)

    def _why(self, answer: Answer) -> str:
        """The forge's own words, in one line and without a secret."""
        body = answer.body if isinstance(answer.body, Mapping) else {}
        said = body.get("message") or body.get("error") or ""
        text = said if isinstance(said, str) else json.dumps(said)
        text = "".join(each if each.isprintable() else " " for each in text)
        return f": {cut(self.redact(text), _TOLD)}" if text else ""

    @property
    def _host(self) -> str:
        return urlsplit(self.base).hostname or "the forge"


@cache
def _trusted() -> SSLContext:
    """The certificates of the machine; reading them takes 0.1 s."""
    import httpx

    return httpx.create_ssl_context()


def _has_id(item: Any) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get("id"), int)


def _pause(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long it asks to be left alone; None: it does not."""
    wait = retry.asked(headers, now, most=MOST_PATIENT)
    if wait is None and headers.get("x-ratelimit-remaining") == "0":
        wait = _until(headers.get("x-ratelimit-reset", ""), now)
        return min(max(wait, timedelta(0)), MOST_PATIENT)
    return wait


def _until(text: str, now: datetime) -> timedelta:
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(int(text), UTC) - now
    return timedelta(minutes=1)
