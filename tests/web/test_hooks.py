"""/hooks/fetch: whoever knows the secret may ask for a look, and for nothing else."""

from __future__ import annotations

import base64
import hmac
import socket
from contextlib import closing
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import pytest

from boe_reconciler.clock import SystemClock
from boe_reconciler.core.errors import InputError, Permanent
from boe_reconciler.core.facts import Fact, Hooked
from boe_reconciler.web import hooks, server
from boe_reconciler.web.hooks import PATH, FetchHook
from tests.web.conftest import Serve

SECRET = "a-secret-of-some-length"
BODY = b'{"ref": "refs/heads/main"}'


def hexed(body: bytes = BODY, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, "sha256").hexdigest()


def standard(body: bytes = BODY, key: bytes = SECRET.encode()) -> dict[str, str]:
    signed = hmac.new(key, b"msg_1.1764000000." + body, "sha256").digest()
    value = f"v1,{base64.b64encode(signed).decode()}"
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1764000000",
        "webhook-signature": f"v1,c3RhbGU= {value}",
    }


#: Who sends it -> how it proves that it knows the secret.
SENDERS = {
    "GitHub": {"x-hub-signature-256": f"sha256={hexed()}"},
    "GitLab": {"X-Gitlab-Token": SECRET},
    "GitLab, signed": standard(),
    "Gitea": {"X-Gitea-Signature": hexed()},
    "Forgejo": {"X-Forgejo-Signature": hexed()},
    "Bitbucket": {"X-Hub-Signature": f"sha256={hexed()}"},
}
WRONG = {
    "nothing": {},
    "an empty token": {"X-Gitlab-Token": ""},
    "another token": {"X-Gitlab-Token": SECRET + "x"},
    "no text": {"X-Gitlab-Token": "schlüssel"},
    "another secret": {"X-Hub-Signature-256": f"sha256={hexed(secret='other')}"},
    "another body": {"X-Hub-Signature-256": f"sha256={hexed(b'{}')}"},
    "no prefix": {"X-Hub-Signature-256": hexed()},
    "a weak hash": {
        "X-Hub-Signature": f"sha1={hmac.new(SECRET.encode(), BODY, 'sha1').hexdigest()}"
    },
    "another time": {**standard(), "webhook-timestamp": "1764000001"},
    "another version": {**standard(), "webhook-signature": "v2,c3RhbGU="},
}


@dataclass
class Site:
    url: str = ""
    looks: int = 0
    facts: list[Fact] = field(default_factory=list)
    secret: str = SECRET

    def hurry(self) -> None:
        self.looks += 1

    def resolve(self) -> str:
        if not self.secret:
            raise Permanent("secret_missing", "the file is gone")
        return self.secret

    def hook(self) -> FetchHook:
        return FetchHook(
            secret=self.resolve,
            hurry=self.hurry,
            clock=SystemClock(),
            observe=self.facts.append,
        )

    def post(self, headers: dict[str, str], body: bytes = BODY) -> httpx.Response:
        raw = {name: value.encode("latin-1") for name, value in headers.items()}
        return httpx.post(self.url + PATH, content=body, headers=raw)

    def raw(self, *parts: bytes) -> bytes:
        """What is answered to these bytes."""
        at = urlsplit(self.url)
        with closing(socket.create_connection((at.hostname, at.port), 20)) as wire:
            for part in parts:
                wire.sendall(part)
            found = b""
            while chunk := wire.recv(65536):
                found += chunk
        return found


@pytest.fixture
def site(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(server, "FAREWELL", 0.1)
    made = Site()
    made.url = serve({}, {PATH: made.hook()})
    return made


@pytest.mark.parametrize("who", SENDERS)
def test_whoever_knows_the_secret_makes_it_look(site: Site, who: str) -> None:
    got = site.post(SENDERS[who])
    assert (got.status_code, site.looks) == (202, 1)
    assert site.facts == [Hooked(result="taken")]


@pytest.mark.parametrize("what", WRONG)
def test_nobody_else_does_and_learns_nothing(
    site: Site, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    got = site.post(WRONG[what])
    assert (got.status_code, site.looks) == (401, 0)
    assert got.text == "401 Unauthorized\n"
    assert site.facts == [Hooked(result="refused")]
    assert SECRET not in caplog.text


def test_a_signing_token_in_base64_is_understood(site: Site) -> None:
    key = b"0123456789abcdef0123456789abcdef"
    site.secret = f"whsec_{base64.b64encode(key).decode()}"
    assert site.post(standard(key=key)).status_code == 202
    site.secret = "whsec_is not base64"
    assert site.post(standard(key=site.secret.encode())).status_code == 202


def test_the_same_request_again_is_just_another_look(site: Site) -> None:
    for _ in range(3):
        assert site.post(SENDERS["GitHub"]).status_code == 202
    assert site.looks == 3


def test_a_body_of_several_packets_is_read_whole(site: Site) -> None:
    body = b"x" * 900_000
    headers = {"X-Hub-Signature-256": f"sha256={hexed(body)}"}
    assert site.post(headers, body).status_code == 202


def test_a_body_that_is_too_large_is_refused_and_the_sender_learns_it(
    site: Site,
) -> None:
    body = b"x" * (server.LARGEST_BODY + 1)
    assert site.post(SENDERS["GitLab"], body).status_code == 413
    assert site.looks == 0


def test_a_body_of_unknown_length_is_refused(site: Site) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nX-Gitlab-Token: {SECRET}\r\n".encode()
    assert b" 411 " in site.raw(head, b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert b" 411 " in site.raw(head, b"Content-Length: -5\r\n\r\n")
    assert site.looks == 0


def test_a_body_that_never_comes_is_not_waited_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SLOWEST_REQUEST", 0.2)
    head = f"POST {PATH} HTTP/1.1\r\nX-Gitlab-Token: {SECRET}\r\n".encode()
    assert b" 408 " in site.raw(head, b"Content-Length: 10\r\n\r\nabc")
    assert site.looks == 0


def test_a_hook_is_only_posted_to_and_a_page_only_read(site: Site) -> None:
    got = httpx.get(site.url + PATH)
    assert (got.status_code, got.headers["allow"]) == (405, "POST")
    assert httpx.post(f"{site.url}/metrics").status_code == 405
    assert httpx.post(f"{site.url}{PATH}/x").status_code == 405


def test_who_keeps_guessing_is_told_to_slow_down_and_others_are_not(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    codes = [site.post({}).status_code for _ in range(hooks.WRONG + 2)]
    assert codes == [401] * hooks.WRONG + [429, 429]
    assert [one.message for one in caplog.records] == ["hook_refused"]
    assert site.post(SENDERS["GitHub"]).status_code == 202


def test_without_its_secret_it_takes_nothing(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.secret = ""
    assert site.post(SENDERS["GitLab"]).status_code == 503
    assert site.looks == 0
    assert [one.message for one in caplog.records] == ["hook_unusable"]


@pytest.mark.parametrize("secret", ["", "short"])
def test_a_secret_that_is_missing_or_may_be_guessed_is_refused_at_the_start(
    secret: str,
) -> None:
    with pytest.raises(InputError, match="BOE_HOOK_SECRET"):
        Site(secret=secret).hook().check()
    Site().hook().check()
