"""A connection that breaks where a test says so: a TCP proxy, for plain bytes and TLS."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

#: To the far side, or from it.
Way = Literal["out", "back"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What goes wrong, once so much has passed.

    cut: both ends are closed. stall: they stay open and nothing passes any more.
    swallow: all still goes out; what comes back then is thrown away, and both are closed.
    """

    does: Literal["cut", "swallow", "stall"] = "cut"
    #: Where bytes are counted and the pattern is looked for.
    way: Way = "out"
    #: Bytes of one connection that pass first; with `at`, those that follow it.
    after: int = 0
    #: A pattern, which passes whole. It shows in plain bytes only.
    at: bytes | None = None
    #: On how many connections; None: on each.
    times: int | None = 1


@contextmanager
def cutting(port: int, *faults: Fault, host: str = "127.0.0.1") -> Iterator[Cutting]:
    """In front of `host:port`; reached at `127.0.0.1` and its own `port`."""
    proxy = Cutting((host, port), list(faults))
    try:
        yield proxy
    finally:
        proxy.close()


class Cutting:
    def __init__(self, far: tuple[str, int], faults: list[Fault]) -> None:
        self._far = far
        self._lock = threading.Lock()
        self._left = [(fault, fault.times) for fault in faults]
        self._lines: list[_Line] = []
        self._closed = False
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def passed(self) -> list[dict[Way, int]]:
        """The bytes of each connection so far, each way."""
        return [dict(line.passed) for line in self._lines]

    @property
    def happened(self) -> int:
        """How many faults there were."""
        return sum(line.fault is not None for line in self._lines)

    @property
    def broken(self) -> bool:
        """Whether a connection has ended by a fault."""
        return any(line.fault and line.near.fileno() == -1 for line in self._lines)

    def arm(self, *faults: Fault) -> None:
        """Instead of those before; on connections that are open, too."""
        with self._lock:
            self._left = [(fault, fault.times) for fault in faults]

    def close(self) -> None:
        with suppress(OSError):  # macOS: it is not connected
            self._server.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept
        self._server.close()
        with self._lock:
            self._closed = True
        for line in self._lines:
            line.end()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._far)
            except OSError:
                near.close()
                continue
            self._begin(_Line(near=near, far=far, due=self._due))

    def _begin(self, line: _Line) -> None:
        """Unless the proxy was closed while the line was being made."""
        with self._lock:
            if not self._closed:
                self._lines.append(line)
                line.start()
                return
        line.end()

    def _due(self, line: _Line, way: Way) -> tuple[Fault, int] | None:
        """The fault that this connection has reached, and the byte at which it is."""
        with self._lock:
            for number, (fault, left) in enumerate(self._left):
                point = line.point(fault) if fault.way == way and left != 0 else None
                if point is None or line.fault is not None:
                    continue
                self._left[number] = (fault, None if left is None else left - 1)
                line.fault = fault
                return fault, point
        return None


@dataclass(kw_only=True, eq=False)
class _Line:
    """One connection through the proxy."""

    near: socket.socket
    far: socket.socket
    due: Callable[[_Line, Way], tuple[Fault, int] | None]
    fault: Fault | None = None
    passed: dict[Way, int] = field(default_factory=lambda: {"out": 0, "back": 0})
    #: What came, as far as a pattern may still end in it; and where that begins.
    _seen: dict[Way, bytes] = field(default_factory=lambda: {"out": b"", "back": b""})
    _from: dict[Way, int] = field(default_factory=lambda: {"out": 0, "back": 0})
    #: Where a pattern ended.
    _ended: dict[bytes, int] = field(default_factory=dict)
    _came: dict[Way, int] = field(default_factory=lambda: {"out": 0, "back": 0})

    def start(self) -> None:
        ends: dict[Way, tuple[socket.socket, socket.socket]] = {
            "out": (self.near, self.far),
            "back": (self.far, self.near),
        }
        for way, (source, target) in ends.items():
            threading.Thread(
                target=self._pump, args=(way, source, target), daemon=True
            ).start()

    def point(self, fault: Fault) -> int | None:
        """The byte after which it happens, once that byte came."""
        start: int | None = 0
        if fault.at is not None:
            start = self._end_of(fault.at, fault.way)
        if start is None or self._came[fault.way] < start + fault.after:
            return None
        return start + fault.after

    def _end_of(self, pattern: bytes, way: Way) -> int | None:
        if pattern not in self._ended:
            found = self._seen[way].find(pattern)
            if found >= 0:
                self._ended[pattern] = self._from[way] + found + len(pattern)
        return self._ended.get(pattern)

    def _pump(self, way: Way, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while self._pass(way, target, self._receive(way, source)):
                pass

    def _receive(self, way: Way, source: socket.socket) -> bytes:
        chunk = source.recv(65536)
        kept = self._seen[way][-1024:]
        self._from[way] = self._came[way] - len(kept)
        self._seen[way] = kept + chunk
        self._came[way] += len(chunk)
        return chunk

    def _pass(self, way: Way, target: socket.socket, chunk: bytes) -> bool:
        """Whether there may be more."""
        if not chunk:
            target.shutdown(socket.SHUT_WR)
            return False
        if self.fault is not None and self.fault.does != "swallow":
            return False
        if self.fault is not None and way == "back":
            self.end()
            return False
        reached = self.due(self, way)
        if reached is None or reached[0].does == "swallow":
            self.passed[way] += len(chunk)
            target.sendall(chunk)
            return True
        fault, point = reached
        target.sendall(chunk[: max(point - self.passed[way], 0)])
        if fault.does == "cut":
            self.end()
        return False

    def end(self) -> None:
        for one in (self.near, self.far):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
            one.close()
