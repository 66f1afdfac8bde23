"""A forge for tests: a real HTTP server that answers as GitHub and as GitLab do."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

#: Token -> who it is; that of Actions may not ask.
PEOPLE = {"t-ada": "ada", "t-bob": "bob", "t-actions": "github-actions[bot]"}
READ_ONLY = "t-fork"
PEOPLE[READ_ONLY] = "fork"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to one request instead of an answer."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    #: The connection ends after that many bytes of an answer.
    cut: bool = False
    #: Seconds before it is answered as ever.
    slow: float = 0.0


@dataclass
class Forge:
    """What it was told, and what goes wrong next."""

    project: str = "team/reports"
    #: (commit, status), as they arrived.
    statuses: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    #: (method, path, token), and what came with it.
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    #: Goes wrong with every request, until it is taken away.
    down: Fault | None = None
    #: A comment that somebody else writes right after the first of ours.
    rival: str | None = None
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def github(self) -> str:
        return f"{self.url}/api/v3"

    @property
    def gitlab(self) -> str:
        return f"{self.url}/git/lab/api/v4"

    def said(self, commit: str) -> list[str]:
        """The states of a commit, in order."""
        return [one["state"] for what, one in self.statuses if what == commit]

    def add(self, who: str, body: str) -> dict[str, Any]:
        kind = "Bot" if who.endswith("[bot]") else "User"
        user = {"login": who, "username": who, "id": hash(who), "type": kind}
        one = {"id": len(self.requests) * 10 + len(self.comments), "body": body}
        one |= {"user": user, "author": user}
        self.comments.append(one)
        return one


@contextmanager
def a_forge() -> Iterator[Forge]:
    forge = Forge()
    server = _Server(("127.0.0.1", 0), _Handler)
    server.forge = forge  # type: ignore[attr-defined]  # for its handlers
    forge.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield forge
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that had enough is nobody's error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _do(self) -> None:
        forge: Forge = self.server.forge  # type: ignore[attr-defined]  # as above
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        self.given = json.loads(body or b"{}")
        self.token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        with forge.lock:
            forge.requests.append((self.command, self.path, self.token))
            forge.bodies.append(body)
            fault = forge.faults.popleft() if forge.faults else forge.down
        if fault is not None and self._fails(fault):
            return
        with forge.lock:
            self._answer(*self._found(forge))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _do  # noqa: N815 its names

    def _fails(self, fault: Fault) -> bool:
        if fault.slow:
            time.sleep(fault.slow)
            return False
        if fault.cut:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[{")
            self.close_connection = True
            return True
        self._answer(fault.status, {"message": fault.message}, fault.headers)
        return True

    def _answer(
        self, status: int, body: Any, headers: Mapping[str, str] | None = None
    ) -> None:
        content = b"" if status == 204 else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _found(self, forge: Forge) -> tuple[int, Any]:
        path = unquote(urlsplit(self.path).path)
        _, _, path = path.rpartition("/api/")
        version, _, path = path.partition("/")
        who = PEOPLE.get(self.token)
        if who is None:
            return 401, {"message": f"Bad credentials {self.token}"}
        if path == "user":
            if who.endswith("[bot]") and version == "v3":
                return 403, {"message": "Resource not accessible by integration"}
            return 200, {"login": who, "username": who, "id": hash(who)}
        if version == "v4" and f"/{self.path.split('/projects/')[1]}".count("%2F") == 0:
            return 404, {"message": "404 Project Not Found"}
        for prefix in (f"repos/{forge.project}/", f"projects/{forge.project}/"):
            if path.startswith(prefix):
                return self._of_project(forge, who, path.removeprefix(prefix))
        return 404, {"message": "Not Found"}

    def _of_project(self, forge: Forge, who: str, path: str) -> tuple[int, Any]:
        if who == "fork" and self.command != "GET":
            return 403, {"message": "Resource not accessible by integration"}
        if found := re.fullmatch(r"statuses/([0-9a-f]+)", path):
            return self._status(forge, found[1])
        if re.fullmatch(r"(issues/7/comments|merge_requests/7/notes)", path):
            return self._comments(forge, who)
        if found := re.search(r"(?:comments|notes)/(\d+)$", path):
            return self._comment(forge, int(found[1]))
        return 404, {"message": "Not Found"}

    def _status(self, forge: Forge, commit: str) -> tuple[int, Any]:
        limit, states = 140, ("pending", "success", "failure")
        if "/api/v4" in self.path:
            limit, states = 255, ("pending", "success", "failed")
        if len(self.given["description"]) > limit or self.given["state"] not in states:
            return 422, {"message": "Validation Failed"}
        before = [one for what, one in forge.statuses if what == commit][-1:]
        if limit == 255 and before and before[0]["state"] == self.given["state"]:
            return 400, {"message": {"base": ["Cannot transition status via :enqueue"]}}
        forge.statuses.append((commit, self.given))
        return 201, {"id": 1}

    def _comments(self, forge: Forge, who: str) -> tuple[int, Any]:
        if self.command == "POST":
            one = forge.add(who, self.given["body"])
            if forge.rival is not None:
                forge.comments.insert(0, {**one, "id": 1, "body": forge.rival})
                forge.rival = None
            return 201, one
        query = parse_qs(urlsplit(self.path).query)
        size, page = int(query["per_page"][0]), int(query["page"][0])
        return 200, forge.comments[(page - 1) * size : page * size]

    def _comment(self, forge: Forge, number: int) -> tuple[int, Any]:
        found = [one for one in forge.comments if one["id"] == number]
        if not found:
            return 404, {"message": "Not Found"}
        if self.command == "DELETE":
            forge.comments.remove(found[0])
            return 204, None
        found[0]["body"] = self.given["body"]
        return 200, found[0]

    def log_message(self, *_: Any) -> None:
        """Silence."""
