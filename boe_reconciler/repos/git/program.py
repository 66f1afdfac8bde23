"""The git program: each call bounded in time and output, deaf to the machine's settings."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from boe_reconciler.core.errors import InputError, Temporary
from boe_reconciler.core.ports import Clock

#: The first version that verifies SSH signatures.
OLDEST = (2, 34)
#: Seconds for what happens on this machine, bytes that a call may answer.
LOCAL = 60.0
MOST = 64_000_000
#: Bytes of what it complains that are kept: the end says why.
_MOST_ERRORS = 4_000
#: Seconds until an interrupt is noticed.
_SLICE = 0.1

#: Variables of our own environment that git sees: how to find programs, and the way
#: through a company's proxy.
_PASSED = frozenset(
    """PATH TMPDIR LD_LIBRARY_PATH SSL_CERT_FILE SSL_CERT_DIR GIT_SSL_CAINFO
    GIT_SSL_CAPATH HTTPS_PROXY https_proxy ALL_PROXY all_proxy NO_PROXY no_proxy
    http_proxy SSH_AUTH_SOCK""".split()
)
#: Where certificates are -> how git is told, whose TLS library may not know the first.
_CERTIFICATES = {
    "SSL_CERT_FILE": "GIT_SSL_CAINFO",
    "SSL_CERT_DIR": "GIT_SSL_CAPATH",
}
#: What holds for each call, whatever a config file says. Hooks and other programs are
#: never started, and what comes from outside is checked object by object.
_CONFIG = {
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "protocol.ssh.allow": "always",
    "protocol.file.allow": "always",
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "credential.helper": "",
    "transfer.fsckObjects": "true",
    "fetch.recurseSubmodules": "false",
    "trailer.separators": ":",
    "gc.autoDetach": "false",
    "maintenance.autoDetach": "false",
    "log.showSignature": "false",
    "gpg.program": "boe-verifies-none",
    "gpg.x509.program": "boe-verifies-none",
    "gpg.ssh.program": "ssh-keygen",
    "gpg.ssh.allowedSignersFile": os.devnull,
}


class TooMuch(Temporary):
    """More bytes than a call may answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    code: int
    out: bytes
    #: The end of what it complained, as text.
    complaint: str


@dataclass(kw_only=True)
class Git:
    """Calls git over one bare repository, `folder`; `environment` is our own."""

    folder: Path
    clock: Clock
    environment: Mapping[str, str]
    #: More config and variables, for every call.
    config: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    #: Set: whatever runs is ended.
    interrupted: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """InputError where git is absent or too old."""
        found = self.run(["--version"]).out.decode(errors="replace")
        told = re.search(r"(\d+)\.(\d+)", found)
        if told is None or (int(told[1]), int(told[2])) < OLDEST:
            raise InputError(
                f"{found.strip() or 'git'} is too old to read a repo with.",
                f"Install git {_OLDEST} or newer.",
            )

    def run(
        self,
        arguments: Sequence[str],
        *,
        seconds: float = LOCAL,
        variables: Mapping[str, str] | None = None,
    ) -> Done:
        """One call. Temporary `git_timeout` after so many seconds; its exit code else."""
        process = self.start(arguments, variables=variables)
        call = _Call(process, self._must_end(arguments, seconds))
        try:
            return call.finish()
        finally:
            end_group(process)

    def start(
        self,
        arguments: Sequence[str],
        *,
        variables: Mapping[str, str] | None = None,
        asked: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Start it in a process group of its own; `asked`: it has a standard input."""
        try:
            return subprocess.Popen(  # noqa: S603 a literal list of arguments; no shell
                [self._program, *arguments],
                stdin=subprocess.PIPE if asked else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if asked else subprocess.PIPE,
                env={**self._environment, **(variables or {})},
                cwd=self.folder.parent,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise _absent() from error

    @cached_property
    def _program(self) -> str:
        """Where git is: of the PATH of our environment, looked up once."""
        found = shutil.which("git", path=self.environment.get("PATH", os.defpath))
        if found is None:
            raise _absent()
        return found

    @cached_property
    def _environment(self) -> Mapping[str, str]:
        passed = {key: self.environment[key] for key in _PASSED & {*self.environment}}
        for given, names in _CERTIFICATES.items():
            if given in passed:
                passed.setdefault(names, passed[given])
        config = {**_CONFIG, **self.config}
        named = {"GIT_CONFIG_COUNT": str(len(config))}
        for number, (key, value) in enumerate(config.items()):
            named[f"GIT_CONFIG_KEY_{number}"] = key
            named[f"GIT_CONFIG_VALUE_{number}"] = value
        return {
            **passed,
            "LC_ALL": "C",
            # Nobody's ~/.netrc, ~/.gitconfig or ~/.gnupg.
            "HOME": str(self.folder / "nobody"),
            "GNUPGHOME": str(self.folder / "nobody"),
            "GIT_DIR": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "https:ssh:file",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            **named,
            **self.variables,
        }

    def _must_end(self, arguments: Sequence[str], seconds: float) -> Callable[[], None]:
        """A check that raises once the call has to end."""
        end = self.clock.monotonic() + seconds

        def check() -> None:
            if self.interrupted.is_set():
                raise Temporary("interrupted", f"git {arguments[0]} was interrupted")
            if self.clock.monotonic() > end:
                detail = f"git {arguments[0]} did not end within {seconds:.0f} s"
                raise Temporary("git_timeout", detail)

        return check


_OLDEST = ".".join(map(str, OLDEST))


def _absent() -> InputError:
    return InputError(
        "The git program is not installed.",
        f"Install git {_OLDEST} or newer: apt install git, dnf install git, or brew "
        "install git.",
    )


class _Call:
    """Reads both pipes of a process until it ends."""

    def __init__(
        self, process: subprocess.Popen[bytes], check: Callable[[], None]
    ) -> None:
        self._process = process
        self._check = check
        self._out: list[bytes] = []
        self._size = 0
        self._complaint = b""

    def finish(self) -> Done:
        self._read()
        while True:
            self._check()
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(_SLICE)
                break
        complaint = self._complaint.decode(errors="replace").strip()
        return Done(code=code, out=b"".join(self._out), complaint=complaint)

    def _read(self) -> None:
        process = self._process
        assert process.stdout is not None  # noqa: S101 both were asked for
        assert process.stderr is not None  # noqa: S101 as above
        keep = {process.stdout: self._keep_output, process.stderr: self._keep_complaint}
        with selectors.DefaultSelector() as selector:
            for pipe, keeper in keep.items():
                selector.register(pipe, selectors.EVENT_READ, keeper)
            while selector.get_map():
                self._check()
                for key, _ in selector.select(_SLICE):
                    chunk = os.read(key.fd, 1 << 16)
                    if chunk:
                        key.data(chunk)
                    else:
                        selector.unregister(key.fileobj)

    def _keep_output(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > MOST:
            raise TooMuch("git_failed", f"git answered more than {MOST:,} bytes")
        self._out.append(chunk)

    def _keep_complaint(self, chunk: bytes) -> None:
        self._complaint = (self._complaint + chunk)[-_MOST_ERRORS:]


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started, and close our ends of its pipes."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
