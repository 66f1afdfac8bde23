"""A receiver of webhooks that keeps what it got and answers as a test says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, kw_only=True)
class Request:
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def parts(self) -> dict[str, Message]:
        """Of a multipart body, by name."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        whole = message_from_bytes(head + self.body)
        return {
            str(part.get_param("name", header="content-disposition")): part
            for part in whole.walk()
            if not part.is_multipart()
        }


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(kw_only=True)
class Receiver:
    port: int
    url: str
    requests: list[Request] = field(default_factory=list)
    #: The answers that come next; without any, 204.
    answers: list[Answer] = field(default_factory=list)

    def files(self) -> list[bytes]:
        """Of the messages that were taken, each webhook-id once."""
        known = {one.headers["webhook-id"]: one for one in self.requests}
        found = [one.parts["file"].get_payload(decode=True) for one in known.values()]
        return [one for one in found if isinstance(one, bytes)]


@contextmanager
def receiving(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if len(body) < int(self.headers["content-length"]):
                self.close_connection = True
                return  # cut: nothing of it counts
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.requests.append(
                Request(path=self.path, headers=headers, body=body)
            )
            answer = receiver.answers.pop(0) if receiver.answers else Answer()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 its own word

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Connections are cut on purpose."""

    server = Server(("127.0.0.1", 0), Handler)
    scheme = "http"
    if context is not None:
        scheme = "https"
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    port = server.server_address[1]
    receiver = Receiver(port=port, url=f"{scheme}://127.0.0.1:{port}/hooks/s3cr3t-path")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def is_signed(request: Request, secret: str) -> bool:
    """As docs/webhooks.md tells a receiver to look."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    head = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}."
    digest = hmac.new(key, head.encode() + request.body, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    given = request.headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(expected, one) for one in given)
