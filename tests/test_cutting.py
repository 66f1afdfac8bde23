"""The proxy that breaks connections does what it says: other tests believe it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.cutting import Fault, cutting


@pytest.fixture
def echo() -> Iterator[int]:
    """Answers each line with itself in capitals."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rwb", buffering=0) as both:
            try:
                for line in both:
                    heard.append(line)
                    both.write(line.upper())
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    heard.clear()
    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


heard: list[bytes] = []


def ask(port: int, *lines: bytes) -> list[bytes]:
    """The answers until the connection ends or is silent."""
    answers = []
    with (
        socket.create_connection(("127.0.0.1", port), timeout=0.3) as connection,
        connection.makefile("rwb", buffering=0) as both,
    ):
        for line in lines:
            try:
                both.write(line)
                answers.append(both.readline())
            except TimeoutError:
                return [*answers, b"silence"]
            except OSError:
                return [*answers, b""]
    return answers


def test_all_passes_without_a_fault(echo: int) -> None:
    with cutting(echo) as proxy:
        assert ask(proxy.port, b"one\n", b"two\n") == [b"ONE\n", b"TWO\n"]
        assert proxy.passed == [{"out": 8, "back": 8}]
        assert proxy.happened == 0


def test_a_cut_lets_so_many_bytes_pass_and_no_more(echo: int) -> None:
    with cutting(echo, Fault(after=6)) as proxy:
        assert ask(proxy.port, b"one\n", b"two\n") == [b"ONE\n", b""]
        assert ask(proxy.port, b"one\n", b"two\n") == [b"ONE\n", b"TWO\n"]
        assert proxy.happened == 1


def test_a_cut_of_each_connection_comes_again(echo: int) -> None:
    with cutting(echo, Fault(after=0, times=None)) as proxy:
        assert ask(proxy.port, b"one\n") == [b""]
        assert ask(proxy.port, b"one\n") == [b""]


def test_a_cut_at_a_pattern_on_its_way_back(echo: int) -> None:
    with cutting(echo, Fault(way="back", at=b"TW", after=1)) as proxy:
        assert ask(proxy.port, b"one\n", b"two\n") == [b"ONE\n", b"TWO"]


def test_a_swallowed_answer_was_asked_for_all_the_same(echo: int) -> None:
    with cutting(echo, Fault(does="swallow", at=b"two\n")) as proxy:
        assert ask(proxy.port, b"one\n", b"two\n") == [b"ONE\n", b""]
    assert heard == [b"one\n", b"two\n"]


def test_a_stall_is_silence_on_an_open_connection(echo: int) -> None:
    with cutting(echo, Fault(does="stall", at=b"two")) as proxy:
        assert ask(proxy.port, b"one\n", b"two\n") == [b"ONE\n", b"silence"]


def test_what_is_armed_later_counts_for_an_open_connection(echo: int) -> None:
    with (
        cutting(echo) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as line,
    ):
        line.sendall(b"one\n")
        assert line.recv(100) == b"ONE\n"
        proxy.arm(Fault(after=4))
        line.sendall(b"two\n")
        assert line.recv(100) == b""


def test_a_connection_that_comes_as_it_closes_is_closed(
    echo: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its sockets warn of themselves in whatever test comes next."""
    connect, made = socket.create_connection, []
    comes, closed = threading.Event(), threading.Event()

    def late(address: tuple[str, int]) -> socket.socket:
        comes.set()
        closed.wait(5)
        made.append(connect(address))
        return made[0]

    with cutting(echo) as proxy:
        monkeypatch.setattr(socket, "create_connection", late)
        near = connect(("127.0.0.1", proxy.port), timeout=5)
        assert comes.wait(5)
    closed.set()
    with near:
        assert near.recv(1) == b""
    end = time.monotonic() + 5
    while made[0].fileno() != -1 and time.monotonic() < end:
        time.sleep(0.01)
    assert made[0].fileno() == -1
