"""The small HTTP server: what it answers, and what it does not let anybody do to it."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, closing, suppress
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx
import pytest

from boe_reconciler.clock import SystemClock
from boe_reconciler.core.errors import InputError
from boe_reconciler.web import server as server_module
from boe_reconciler.web.server import (
    AT_ONCE,
    LARGEST_REQUEST,
    Page,
    Server,
    parse_address,
)
from tests.web.conftest import Serve

HELLO = Page(status=HTTPStatus.OK, media_type="text/plain", body=b"hello")
PAGES = {"/hello": lambda _: HELLO}


@pytest.fixture
def url(serve: Serve) -> str:
    return serve(dict(PAGES))


def connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def answer(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    found = b""
    try:
        while chunk := connection.recv(65536):
            found += chunk
    except ConnectionResetError:
        pass
    return found


def test_a_page_is_read_and_its_head_too(url: str) -> None:
    got = httpx.get(f"{url}/hello?x=1")
    assert (got.status_code, got.text) == (200, "hello")
    assert got.headers["server"] == "boe"
    head = httpx.head(f"{url}/hello")
    assert (head.status_code, head.text) == (200, "")
    assert head.headers["content-length"] == "5"


@pytest.mark.parametrize("path", ["/", "/hello/", "/../hello", "/etc/passwd"])
def test_there_is_nothing_else_to_read(url: str, path: str) -> None:
    with closing(connected(url)) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        assert answer(connection).startswith(b"HTTP/1.0 404 ")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(url: str, method: str) -> None:
    got = httpx.request(method, f"{url}/hello")
    assert (got.status_code, got.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /hello HTTP/1.0\r\nX: " + b"x" * 2 * LARGEST_REQUEST + b"\r\n\r\n",
        b"GET /" + b"x" * 2 * LARGEST_REQUEST + b" HTTP/1.0\r\n\r\n",
    ],
    ids=["headers", "line"],
)
def test_a_request_that_is_too_large_is_refused(url: str, request_: bytes) -> None:
    with closing(connected(url)) as connection:
        connection.sendall(request_)
        assert b"hello" not in answer(connection)
    assert httpx.get(f"{url}/hello").status_code == 200


@pytest.mark.parametrize(
    "sent", [b"", b"GET /hello HTTP/1.0\r\nX: y", b"\x16\x03\x01\r\n\r\n"]
)
def test_a_request_that_never_ends_is_cut_off(
    url: str, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "SLOWEST_REQUEST", 0.2)
    with closing(connected(url)) as connection:
        connection.sendall(sent)
        began = time.monotonic()
        assert b"hello" not in answer(connection)
        assert time.monotonic() - began < 5


def test_a_request_that_drips_is_cut_off(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "SLOWEST_REQUEST", 0.5)
    with closing(connected(url)) as connection:
        began = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - began < 10:
                connection.sendall(b"x")
                time.sleep(0.1)
        assert time.monotonic() - began < 5


def test_one_client_too_many_is_turned_away_and_others_come_later(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "SLOWEST_REQUEST", 1.0)
    with ExitStack() as stack:
        idle = [stack.enter_context(connected(url)) for _ in range(AT_ONCE)]
        time.sleep(0.3)
        one_more = stack.enter_context(connected(url))
        with suppress(ConnectionError):
            one_more.sendall(b"GET /hello HTTP/1.0\r\n\r\n")
        assert answer(one_more) == b""
        assert [answer(connection) for connection in idle] == [b""] * AT_ONCE
    assert httpx.get(f"{url}/hello").text == "hello"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("localhost:80", ("localhost", 80)),
        ("[::1]:9090", ("::1", 9090)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "8080", ":8080", "host", "host:", "h:x", "h:65536"]
)
def test_another_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_address(text)
    assert "127.0.0.1:8080" in caught.value.help


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(url: str) -> None:
    taken = url.removeprefix("http://")
    with pytest.raises(InputError, match="in use") as caught:
        Server(taken, {}, clock=SystemClock())
    assert "port" in caught.value.help


def test_a_host_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(InputError, match="Cannot listen at"):
        Server("192.0.2.1:0", {}, clock=SystemClock())
