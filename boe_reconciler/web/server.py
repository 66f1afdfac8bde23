"""A small HTTP server: a few pages to read, bounded in every direction."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.ports import Clock

#: A request is a line and a few headers; who sends more, or slowly, is cut off.
LARGEST_REQUEST = 8192
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


def parse_address(text: str) -> tuple[str, int]:
    """ "127.0.0.1:8080" or "[::1]:8080". InputError otherwise."""
    host, colon, port = text.rpartition(":")
    if not host or not colon or not port.isdecimal() or int(port) > 65535:
        raise InputError(f"{text!r} is no address to listen at.", _EXAMPLE)
    return host.removeprefix("[").removesuffix("]"), int(port)


class Server:
    """Answers in threads of its own from its making until `close`."""

    def __init__(
        self, address: str, pages: Mapping[str, Render], *, clock: Clock
    ) -> None:
        """InputError where it cannot listen there."""
        host, port = parse_address(address)
        try:
            self._server = _Server((host, port), pages, clock)
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
            target=self._server.serve_forever, args=(0.1,), name="http", daemon=True
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
        self, address: tuple[str, int], pages: Mapping[str, Render], clock: Clock
    ) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.pages = pages
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
        if self.command not in ("GET", "HEAD"):
            self._send(_told(HTTPStatus.METHOD_NOT_ALLOWED), {"Allow": "GET, HEAD"})
            return False
        return True

    def do_GET(self) -> None:
        render = self.server.pages.get(self.path.partition("?")[0])
        accept = self.headers.get("Accept", "")
        self._send(render(accept) if render else _told(HTTPStatus.NOT_FOUND))

    do_HEAD = do_GET  # noqa: N815 the name is that of the standard library

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


def _told(status: HTTPStatus) -> Page:
    body = f"{status.value} {status.phrase}\n".encode()
    return Page(status=status, media_type="text/plain; charset=utf-8", body=body)
