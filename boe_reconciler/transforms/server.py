"""The fork server: a process that loaded the libraries once and forks for each child.

It has a single thread, an environment of a few harmless variables, and none of the
memory of BOE's main process. It never runs a user's code itself. When the main
process is gone, however it ended, the server kills what it forked and ends.
"""

from __future__ import annotations

import gc
import importlib
import os
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from boe_reconciler.core.calendar import zones as _zones  # noqa: F401 zones come from the package here, too
from boe_reconciler.transforms import _limits, child

#: What the main process asks of a child's leash; its end means KILL.
TERMINATE, KILL = b"t", b"k"
_SIGNALS = {TERMINATE: signal.SIGTERM, KILL: signal.SIGKILL, b"": signal.SIGKILL}


def main(requests: int, preload: Sequence[str]) -> NoReturn:
    """Serve until the other end of the socket `requests` is closed."""
    # Who ends BOE's process group means the main process, which ends us.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _limits.adopt_orphans()
    for name in preload:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is never touched again stays shared with the children
    _Server(socket.socket(fileno=requests)).serve()


class _Server:
    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._selector = selectors.DefaultSelector()
        #: pid -> its leash: signals come in, how it ended goes out.
        self._leashes: dict[int, socket.socket] = {}

    def serve(self) -> NoReturn:
        woken = _woken_by_children()
        self._selector.register(woken, selectors.EVENT_READ, None)
        self._selector.register(self._requests, selectors.EVENT_READ, None)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is woken:
                    with suppress(BlockingIOError):
                        woken.recv(4096)
                elif key.fileobj is self._requests:
                    self._fork()
                else:
                    self._pull(key.data)
            self._reap()

    def _fork(self) -> None:
        request, fds, *_ = socket.recv_fds(self._requests, 1, 2)
        if not request:
            self._end()
        line, leash = fds
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            child.run(line, server)
        os.close(line)
        with suppress(OSError):  # it has done so itself, or is gone
            os.setpgid(pid, pid)
        self._leashes[pid] = socket.socket(fileno=leash)
        self._selector.register(self._leashes[pid], selectors.EVENT_READ, pid)

    def _pull(self, pid: int) -> None:
        leash = self._leashes.get(pid)
        if leash is None:
            return
        asked = b""
        with suppress(ConnectionError):
            asked = leash.recv(1)
        _signal_group(pid, _SIGNALS.get(asked, signal.SIGKILL))
        if not asked:
            self._selector.unregister(leash)

    def _reap(self) -> None:
        """Tell how children ended; what they left running ends with them."""
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                pid, status = found
                leash = self._leashes.pop(pid, None)
                if leash is not None:
                    self._ended(pid, status, leash)

    def _ended(self, pid: int, status: int, leash: socket.socket) -> None:
        _signal_group(pid, signal.SIGKILL)
        self._kill_orphans()
        with suppress(KeyError):
            self._selector.unregister(leash)
        with suppress(OSError), leash:
            leash.sendall(str(os.waitstatus_to_exitcode(status)).encode())

    def _kill_orphans(self) -> None:
        """Processes that left their child's group fell to us when it ended."""
        for pid in _limits.own_children():
            if pid not in self._leashes:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _end(self) -> NoReturn:
        for pid in self._leashes:
            _signal_group(pid, signal.SIGKILL)
        self._kill_orphans()
        os._exit(0)


def _woken_by_children() -> socket.socket:
    """A socket that can be read once a child has ended."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    signal.set_wakeup_fd(theirs.detach(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return ours


def _signal_group(pid: int, number: signal.Signals) -> None:
    """The child and all that it started. Until it leads its group: the child alone."""
    for send in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            send(pid, number)
            return


def command(requests: int, preload: Sequence[str]) -> list[str]:
    """The command line that starts a server, with this process's own libraries."""
    places = [str(Path(place).absolute()) for place in sys.path if place]
    code = (
        f"import sys; sys.path[:] = {places!r}; "
        "from boe_reconciler.transforms.server import main; "
        f"main({requests}, {list(preload)!r})"
    )
    # -I: no variable and no file of the working folder changes what it loads.
    return [sys.executable, "-I", "-c", code]
