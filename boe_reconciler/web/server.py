"""A small HTTP server: a few pages to read, and hooks, bounded in every direction."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any, Protocol

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.ports import Clock

#: A request is a line and a few headers; who sends more, or slowly, is cut off.
LARGEST_REQUEST = 8192
#: What a hook may be sent besides.
LARGEST_BODY = 1_000_000
#: Seconds for which what was refused unread is still taken in: a client that cannot
#: send on may never see the answer.
FAREWELL = 1.0
SLOWEST_REQUEST = 5.0
#: Requests that are answered at the same time; one more is turned away.
AT_ONCE = 16
_EXAMPLE = "Give HOST:PORT, such as 127.0.0.1:8080; port 0 takes a free one."


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    status: HTTPStatus
    media_type: str
    body: bytes


#: The request's Accept header -> what is answered.
Render = Callable[[str], Page]


#: Their names are the same in any case.
Headers = Message


class Hook(Protocol):
    """Takes a POST."""

    def wants(self, headers: Headers) -> bool:
        """Whether the body is worth reading."""

    def receive(self, headers: Headers, body: bytes | None) -> Page:
        """`body` is None where it was not wanted."""


def parse_address(text: str) -> tuple[str, int]:
    """ "127.0.0.1:8080" or "[::1]:8080". InputError otherwise."""
    host, colon, port = text.rpartition(":")
    if not host or not colon or not port.isdecimal() or int(port) > 65535:
        raise InputError(f"{text!r} is no address to listen at.", _EXAMPLE)
    return host.removeprefix("[").removesuffix("]"), int(port)


class Server:
    """Answers in threads of its own from its making until `close`."""

    def __init__(
        self,
        address: str,
        pages: Mapping[str, Render],
        *,
        hooks: Mapping[str, Hook] | None = None,
        clock: Clock,
    ) -> None:
        """InputError where it cannot listen there."""
        host, port = parse_address(address)
        try:
            self._server = _Server((host, port), pages, hooks or {}, clock)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(
                f"Cannot listen at {address}: {reason}.",
                "Choose another port, or 0 for a free one; `lsof -i` tells who has it.",
            ) from error
        bound, port = self._server.server_address[:2]
        shown = f"[{host}]" if ":" in host else host
        #: Where it really listens.
        self.url = f"http://{shown or str(bound)}:{port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.25,), name="http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    # A client that hangs must not hold up the end of the process.
    daemon_threads = True
    block_on_close = False
    request_queue_size = 2 * AT_ONCE

    def __init__(
        self,
        address: tuple[str, int],
        pages: Mapping[str, Render],
        hooks: Mapping[str, Hook],
        clock: Clock,
    ) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.pages = pages
        self.hooks = hooks
        self.clock = clock
        self._free = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # The one of HTTPServer asks DNS for our own name, which may take seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's error."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = SLOWEST_REQUEST

    def setup(self) -> None:
        super().setup()
        self._request = self._head()
        self.rfile = BytesIO(self._request)

    def _head(self) -> bytes:
        """The request up to its empty line: all that a GET has."""
        clock, read = self.server.clock, b""
        end = clock.monotonic() + SLOWEST_REQUEST
        while b"\r\n\r\n" not in read and len(read) <= LARGEST_REQUEST:
            left = end - clock.monotonic()
            if left <= 0:
                return b""
            self.connection.settimeout(left)
            try:
                chunk = self.connection.recv(LARGEST_REQUEST)
            except OSError:
                return b""
            if not chunk:
                return b""
            read += chunk
        self.connection.settimeout(SLOWEST_REQUEST)
        return read

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        if b"\r\n\r\n" not in self._request:
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return False
        allowed = ["POST"] if self._page in self.server.hooks else ["GET", "HEAD"]
        if self.command not in allowed:
            allow = {"Allow": ", ".join(allowed)}
            self._send(told(HTTPStatus.METHOD_NOT_ALLOWED), allow)
            return False
        return True

    @property
    def _page(self) -> str:
        return self.path.partition("?")[0]

    def do_GET(self) -> None:
        render = self.server.pages.get(self._page)
        accept = self.headers.get("Accept", "")
        self._send(render(accept) if render else told(HTTPStatus.NOT_FOUND))

    do_HEAD = do_GET  # noqa: N815 the name is that of the standard library

    def do_POST(self) -> None:
        hook = self.server.hooks[self._page]
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or "Transfer-Encoding" in self.headers:
            self._send(told(HTTPStatus.LENGTH_REQUIRED))
        elif not hook.wants(self.headers):
            self._send(hook.receive(self.headers, None))
        elif len(size) > len(str(LARGEST_BODY)) or int(size) > LARGEST_BODY:
            self._send(told(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
        else:
            self._take(hook, int(size))
            return
        self._more(LARGEST_BODY, FAREWELL)

    def _take(self, hook: Hook, size: int) -> None:
        body = self._request.partition(b"\r\n\r\n")[2]
        body += self._more(size - len(body), SLOWEST_REQUEST)
        if len(body) < size:
            self._send(told(HTTPStatus.REQUEST_TIMEOUT))
        else:
            self._send(hook.receive(self.headers, body[:size]))

    def _more(self, size: int, seconds: float) -> bytes:
        """Up to `size` bytes, as far as they come in time."""
        clock, parts = self.server.clock, []
        end = clock.monotonic() + seconds
        while size > 0 and (left := end - clock.monotonic()) > 0:
            self.connection.settimeout(left)
            try:
                chunk = self.connection.recv(min(size, 65536))
            except OSError:
                break
            if not chunk:
                break
            parts.append(chunk)
            size -= len(chunk)
        self.connection.settimeout(SLOWEST_REQUEST)
        return b"".join(parts)

    def _send(self, page: Page, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(page.status)
        self.send_header("Content-Type", page.media_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    def version_string(self) -> str:
        return "boe"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 as above
        """Who reads every few seconds would fill the log."""


def told(status: HTTPStatus) -> Page:
    body = f"{status.value} {status.phrase}\n".encode()
    return Page(status=status, media_type="text/plain; charset=utf-8", body=body)
