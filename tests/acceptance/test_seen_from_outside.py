"""`boe run` as the platform team sees it: over HTTP, systemd, pings."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.folders import Served, a_folder, run_boe, schedule, serving, until


def url_of(served: Served) -> str:
    found = re.search(r"http://[\d.:]+", served.log.read_text())
    assert found, served.log.read_text()
    return found[0]


def test_a_served_folder_is_ready_and_counts_its_runs(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "repo", schedule("quick"))
    with serving(folder, "--http", "127.0.0.1:0", "--now-all") as served:
        url = url_of(served)
        until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        assert httpx.get(f"{url}/healthz").json()["alive"] is True
        succeeded = 'boe_runs_finished_total{reason="",status="succeeded"} 1.0'
        until(lambda: succeeded in httpx.get(f"{url}/metrics").text)
        text = httpx.get(f"{url}/metrics").text
        assert 'boe_revision_info{attempted="folder@sha1:' in text
        assert "boe_ledger_up 1.0" in text
        other = a_folder(tmp_path / "other", schedule("quick"))
        done = run_boe(other, "run", "--http", url.removeprefix("http://"))
        assert done.returncode == 1
        assert "in use" in done.stderr
        assert "Choose another port" in done.stderr
        assert served.end() == 0


@pytest.mark.slow
def test_the_address_may_stand_in_the_environment(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "repo", schedule("quick"))
    with serving(folder, BOE_HTTP="127.0.0.1:0") as served:
        assert httpx.get(f"{url_of(served)}/healthz").status_code == 200
        assert "http_listening" in served.log.read_text()


@pytest.mark.slow
def test_without_being_asked_it_listens_nowhere(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "repo", schedule("quick"))
    with serving(folder) as served:
        assert "http" not in served.log.read_text()


@pytest.mark.slow
def test_an_address_that_is_none_is_told(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "repo", schedule("quick"))
    done = run_boe(folder, "run", "--http", "8080")
    assert done.returncode == 1
    assert "127.0.0.1:8080" in done.stderr


@pytest.mark.slow
def test_systemd_and_pings_hear_of_a_whole_life(tmp_path: Path) -> None:
    folder = a_folder(
        tmp_path / "repo",
        schedule("quick", ping={"env": "QUICK_PING"}),
        schedule("broken", query="select * from nowhere", ping={"env": "QUICK_PING"}),
    )
    address = tmp_path / "notify"
    with listening() as (url, told), socket.socket(*_DATAGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(30)
        environment = {
            "NOTIFY_SOCKET": str(address),
            "WATCHDOG_USEC": "120000000",
            "BOE_PING_URL": f"{url}/house-key",
            "QUICK_PING": f"{url}/quick-key",
        }
        with serving(folder, "--now-all", **environment) as served:
            assert b"READY=1\nSTATUS=Serving folder@sha1:" in manager.recv(4096)
            # A slow machine may first be told that nothing was looked at yet.
            until(lambda: manager.recv(4096).startswith(b"WATCHDOG=1"))
            wanted = {"/house-key", "/quick-key/start", "/quick-key", "/quick-key/fail"}
            until(lambda: set(told) >= wanted)
            assert served.end() == 0
            log = served.log.read_text()
        left = []
        while not left or not left[-1].startswith(b"STOPPING=1"):
            left.append(manager.recv(4096))
    assert "-key" not in log


_DATAGRAM = (socket.AF_UNIX, socket.SOCK_DGRAM)


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """A URL, and the paths that were told something, without their queries."""
    told: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            told.append(self.path.partition("?")[0])
            self.send_response(200)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", told
        server.shutdown()
