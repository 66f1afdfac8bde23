"""A file that takes seconds to deliver: how far it is stands in the terminal."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from boe_reconciler.app import App
from boe_reconciler.cli import progress
from boe_reconciler.core.facts import Fact, Sent
from tests.cli.conftest import Boe
from tests.cli.terminal import Terminal
from tests.folders import a_folder, document, schedule, write

ROWS = "select repeat('x', 1000000) as text from range(24)"
TOLD = re.compile(r"Big\S*\.csv → hook ([\d.]+) MB of 24\.0 MB")


@pytest.fixture
def receiver() -> Iterator[str]:
    """The url of somebody who takes some 4 MB in a second."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            left = int(self.headers["content-length"])
            with suppress(OSError):
                while left:
                    read = self.rfile.read(min(left, 1 << 20))
                    left = left - len(read) if read else 0
                    time.sleep(0.25)
                self.send_response(200)
                self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 its own word

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def repo(tmp_path: Path, receiver: str) -> Path:
    hook = {"type": "webhook", "name": "hook", "url": receiver, "send": "file"}
    folder = a_folder(
        tmp_path / "repo",
        schedule("big", query=ROWS, deliver_to=[hook], export={"format": "csv"}),
    )
    allow = {"allow": {"private_addresses": True}}
    write(folder / "policy.yaml", document("Policy", "policy", allow))
    return folder


def grows(text: str) -> bool:
    seen = [float(one) for one in TOLD.findall(text)]
    return len(set(seen)) > 1 and seen == sorted(seen)


@pytest.mark.slow
def test_on_a_terminal_it_grows(repo: Path) -> None:
    terminal = Terminal(repo, "trigger", "big", kind="xterm")
    try:
        assert terminal.end() == 0, terminal.screen
    finally:
        terminal.close()
    assert grows(terminal.screen), terminal.screen


@pytest.mark.slow
def test_without_a_terminal_it_is_a_line_now_and_then(
    repo: Path, boe: Boe, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = boe(repo, "trigger", "big")
    assert said.code == 0
    assert len(TOLD.findall(said.out)) == 1
    monkeypatch.setattr(progress, "_SELDOM", 0.1)
    monkeypatch.setattr(progress, "_LOOK_FOR_LINES", 0.1)
    boe(repo, "trigger", "big", "--no-wait")
    said = boe(repo, "run", "--once")
    assert said.code == 0
    assert grows(said.out), said


@pytest.mark.slow
def test_a_watcher_that_fails_does_not_hurt_the_delivery(
    repo: Path, boe: Boe, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Fact] = []

    def fails(self: App, fact: Fact) -> None:
        if isinstance(fact, Sent):
            seen.append(fact)
            raise RuntimeError("no more")

    monkeypatch.setattr(progress.Sending, "observe", fails)
    assert boe(repo, "trigger", "big").code == 0
    assert seen
