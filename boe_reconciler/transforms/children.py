"""The main process's side: starts children, stops them, and finds out how they ended."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, Thread, Timer
from typing import IO, Any

from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.ports import Cancel
from boe_reconciler.core.resources.types import format_size
from boe_reconciler.transforms import _limits, _tasks, server
from boe_reconciler.transforms._tasks import Files, Order, Query, Task

#: Variables that may reach a child: how to find programs and speak, nothing else.
ALLOWED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH")
#: For a process that forks: no threads of libraries, and memory that is counted.
_LIBRARIES = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
#: Seconds between SIGTERM and SIGKILL, and until the server must have ended.
GRACE, _SERVER_ENDS = 1.0, 5.0
#: Of what a child prints, the beginning and the end are kept.
PRINTED = 4096
#: Bytes that may wait in a pipe of rows of a child that is kept.
_WIDE = 1 << 20
#: What native code says as it gives up.
_NO_MEMORY = ("bad_alloc", "annot allocate memory")
#: Signals by which somebody else ends a process; the others are its own fault.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Children:
    """Forks children on demand; safe to use from several threads."""

    def __init__(
        self,
        *,
        scratch: Path,
        memory: int,
        environment: Mapping[str, str],
        preload: Sequence[str],
    ) -> None:
        """`memory` in bytes; of `environment` only what ALLOWED names goes further."""
        self.memory = memory
        self._scratch = scratch
        self._server = _ForkServer(environment, preload)

    def start(self, task: Task, what: str) -> Child:
        """`what` it does, in a few words for messages. Use the child as a context."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="child-", dir=self._scratch))
        stacks = _limits.room_of_databases() if isinstance(task, Files) else 0
        order = Order(task=task, folder=folder, memory=self.memory + stacks)
        try:
            return self._start(order, what)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise Temporary("child_lost", self._server.why_it_ended()) from error

    def _start(self, order: Order, what: str) -> Child:
        line, their_line = socket.socketpair()
        leash, their_leash = socket.socketpair()
        console, their_console = os.pipe()
        pipe, their_pipe = os.pipe()
        mode = "rb"
        if not isinstance(order.task, Query):
            pipe, their_pipe, mode = their_pipe, pipe, "wb"
        if isinstance(order.task, Files):
            _widen(pipe)
        child = Child(
            order, what, line, leash, os.fdopen(console, "rb"), os.fdopen(pipe, mode)
        )
        try:
            with their_line, their_leash:
                self._server.fork(their_line, their_leash)
            _tasks.send_order(line, order, [their_console, their_pipe])
        except OSError:
            child.close()
            raise
        finally:
            os.close(their_console)
            os.close(their_pipe)
        return child

    def close(self) -> None:
        self._server.close()


def _widen(pipe: int) -> None:
    """So that the rows of a small file wait for nobody; not every system can."""
    with suppress(AttributeError, OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _WIDE)


class _ForkServer:
    """Started at the first fork, and again should it have been killed."""

    def __init__(self, environment: Mapping[str, str], preload: Sequence[str]) -> None:
        passed = {name: environment[name] for name in ALLOWED if name in environment}
        self._environment = {**passed, **_LIBRARIES}
        self._preload = preload
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._errors: IO[bytes] | None = None

    def fork(self, line: socket.socket, leash: socket.socket) -> None:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._requests = self._start()
            assert self._requests  # noqa: S101 for the type checker
            fds = [line.fileno(), leash.fileno()]
            socket.send_fds(self._requests, [b"f"], fds)

    def _start(self) -> socket.socket:
        self._drop()
        ours, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 `_drop` closes it
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 our own Python
                server.command(theirs.fileno(), self._preload),
                env=self._environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return ours

    def why_it_ended(self) -> str:
        """A sentence, with the last line that the server said."""
        said = b""
        if self._errors is not None:
            self._errors.seek(0)
            said = self._errors.read()
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        return f"The process that starts children has ended. {last}".strip()

    def close(self) -> None:
        with self._lock:
            self._drop()
            process, self._process = self._process, None
            if process is None:
                return
            try:
                process.wait(_SERVER_ENDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _drop(self) -> None:
        """Closing its socket ends the server and all its children."""
        for part in (self._requests, self._errors):
            if part is not None:
                part.close()
        self._requests = self._errors = None


class Child:
    """A task under way in a process of its own. Closing it ends it, whatever it does."""

    def __init__(  # noqa: PLR0913, PLR0917 the ends of all that connects the two
        self,
        order: Order,
        what: str,
        line: socket.socket,
        leash: socket.socket,
        console: IO[bytes],
        rows: IO[bytes],
    ) -> None:
        self.folder = order.folder
        #: The pipe of its rows: out of a Query, into everything else.
        self.rows = rows
        self._memory = order.memory
        self._what = what
        #: On which it answers.
        self.line = line
        self._leash = leash
        self._console = _Console(console)
        self._timer: Timer | None = None
        #: What it said at its end, and its exit code; None: not known yet.
        self._end: tuple[dict[str, Any] | None, int | None] | None = None

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def output(self) -> Path:
        return self.folder / _tasks.OUTPUT

    @property
    def printed(self) -> str:
        return self._console.text

    def stop(self) -> None:
        """SIGTERM, and SIGKILL a second later; returns at once."""
        self._pull(server.TERMINATE)
        self._timer = Timer(GRACE, self._pull, [server.KILL])
        self._timer.daemon = True
        self._timer.start()

    @contextmanager
    def blamed(self, cancel: Cancel) -> Iterator[None]:
        """An error of the pipes is told as what became of the child."""
        import pyarrow as pa

        try:
            yield
        except (OSError, pa.ArrowException) as error:
            self.answer(cancel)
            text = f"The rows of {self._what} cannot be read: {error}"
            raise Permanent("child_crashed", text) from error

    def answer(self, cancel: Cancel) -> Mapping[str, Any]:
        """Wait for its end. Raises what `cancel` raises, what it raised, or how it died."""
        said, code = self._ended()
        cancel.check()
        if code != 0 or said is None:
            raise self._death(code)
        self.check(said)
        return said

    def check(self, said: Mapping[str, Any]) -> None:
        """Raise the error that it tells of, if it does."""
        if said.get("reason") == "out_of_memory":
            raise self._out_of_memory()
        _tasks.raise_answer(said)

    def close(self) -> None:
        with suppress(OSError):
            self._leash.shutdown(socket.SHUT_WR)
        self._ended()
        if self._timer is not None:
            self._timer.cancel()
        self.line.close()
        self._leash.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ended(self) -> tuple[dict[str, Any] | None, int | None]:
        """Wait for its end."""
        if self._end is None:
            with suppress(OSError):  # it may be gone
                self.rows.close()
            said = _tasks.receive_answer(self.line)
            self._end = said, self._exit_code()
            self._console.join()
        return self._end

    def _pull(self, asked: bytes) -> None:
        with suppress(OSError):  # it has ended already
            self._leash.sendall(asked)

    def _exit_code(self) -> int | None:
        """None: the fork server ended before it."""
        said = b""
        with suppress(OSError):
            while more := self._leash.recv(64):
                said += more
        return int(said) if said else None

    def _death(self, code: int | None) -> RunError:
        last = self.printed.strip().rpartition("\n")[2][-300:]
        said = f' It said: "{last}"' if last else ""
        if code is None:
            text = f"The process of {self._what} was lost with the one that started it."
            return Temporary("child_lost", text)
        if any(word in self.printed for word in _NO_MEMORY):
            return self._out_of_memory()
        if code >= 0:
            text = f"The process of {self._what} ended with exit code {code}.{said}"
            return Permanent("child_crashed", text)
        name = signal.Signals(-code).name
        if -code in _FROM_OUTSIDE:
            text = f"Somebody, or a system without memory, ended {self._what} ({name})."
            return Temporary("child_killed", text)
        text = f"The process of {self._what} crashed ({name}).{said}"
        todo = "Nothing else was harmed; look at what it does with native libraries."
        return Permanent("child_crashed", text, todo)

    def _out_of_memory(self) -> Permanent:
        limit = format_size(self._memory)
        return Permanent(
            "out_of_memory",
            f"The process of {self._what} needs more than {limit} of memory.",
            "Let the query give fewer rows or columns, or set BOE_CHILD_MEMORY higher.",
        )


class _Console:
    """What a child prints: all is read, the beginning and the end are kept."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._first = b""
        self._last = b""
        self._left_out = 0
        self._thread = Thread(target=self._read, name="console", daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(GRACE)

    @property
    def text(self) -> str:
        left_out = f"\n… {self._left_out:,} bytes …\n" if self._left_out else ""
        first, last = (
            part.decode(errors="replace") for part in (self._first, self._last)
        )
        return f"{first}{left_out}{last}"

    def _read(self) -> None:
        with self._file as file:
            while more := os.read(file.fileno(), 65536):
                room = PRINTED - len(self._first)
                self._first += more[:room]
                self._last += more[room:] if room < len(more) else b""
                self._left_out += max(len(self._last) - PRINTED, 0)
                self._last = self._last[-PRINTED:]
