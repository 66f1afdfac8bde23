"""`boe` in a real terminal: a pseudo-terminal that somebody types into."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """boe -C folder, with its questions and somebody's answers."""

    def __init__(self, folder: Path, *arguments: str, kind: str = "dumb") -> None:
        self._master, slave = pty.openpty()
        command = [
            sys.executable,
            "-m",
            "boe_reconciler",
            "-C",
            str(folder),
            *arguments,
        ]
        self._process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_control,  # noqa: PLW1509 the test has no other thread
            env={**os.environ, "TERM": kind},
        )
        os.close(slave)
        #: All that was shown.
        self.screen = ""
        self._seen = 0

    def answer(self, question: str, answer: str = "") -> None:
        """Wait for a question, and type an answer; "" takes the default."""
        self.until(question)
        os.write(self._master, f"{answer}\n".encode())

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def until(self, text: str) -> None:
        deadline = time.monotonic() + 30
        while text not in self.screen[self._seen :]:
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.screen}"
            if not self._read():
                raise AssertionError(f"ended before {text!r}:\n{self.screen}")
        self._seen = self.screen.index(text, self._seen) + len(text)

    def end(self) -> int:
        """Its exit code, once all is shown."""
        while self._read():
            pass
        return self._process.wait(timeout=30)

    def leave(self, key: bytes) -> int:
        """Its exit code. As a person presses it again where nothing happens: readline
        may forget a signal that comes as it begins."""
        for _ in range(10):
            self.press(key)
            with suppress(subprocess.TimeoutExpired):
                return self._process.wait(timeout=3)
        raise AssertionError(f"it goes on:\n{self.screen}")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], 30)
        try:
            chunk = os.read(self._master, 65536) if ready else b""
        except OSError:  # Linux's way to say that nobody has it open any more
            return False
        self.screen += _ESCAPES.sub("", chunk.decode(errors="replace")).replace(
            "\r", ""
        )
        return bool(chunk)


def _control() -> None:
    """Make the pseudo-terminal the one that Ctrl-C comes from, and let it be heard: who
    starts tests in the background hands down that it is not."""
    import fcntl
    import signal
    import termios

    signal.signal(signal.SIGINT, signal.SIG_DFL)

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
