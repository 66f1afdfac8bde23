"""One SFTP session: a pinned host key, one login, and calls that raise errors of ours.

paramiko's own file objects are not used for writing: they forget what the far side
answered to writes that were sent ahead, and to the close.
"""

from __future__ import annotations

import hashlib
import logging
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from typing import Any, BinaryIO

import paramiko
from paramiko import SFTPClient, Transport
from paramiko.sftp import (
    CMD_CLOSE,
    CMD_HANDLE,
    CMD_OPEN,
    CMD_STATUS,
    CMD_WRITE,
    SFTP_FLAG_CREATE,
    SFTP_FLAG_EXCL,
    SFTP_FLAG_TRUNC,
    SFTP_FLAG_WRITE,
    int64,
)

from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.destinations._outcomes import conflict

#: The largest packet that every server takes.
CHUNK = 32768
#: Packets that wait for their answers, at most.
AHEAD = 64
#: How often a silence is looked at before it is one.
LOOKS = 8
#: Seconds until a full disk is tried again.
DISK_DELAY = timedelta(seconds=60)

#: Status codes of the protocol -> what they are here; True: it may pass.
_STATUS = {
    2: ("folder_missing", True),
    3: ("no_permission", False),
    4: ("server_failure", True),
    5: ("bad_message", False),
    6: ("connection_lost", True),
    7: ("connection_lost", True),
    8: ("unsupported", False),
    10: ("folder_missing", True),
    11: ("exists", False),
    12: ("read_only", False),
    14: ("no_space", True),
    15: ("quota", False),
    19: ("not_a_folder", False),
    20: ("bad_name", False),
    24: ("not_a_file", False),
}
#: Code 4 says nothing; some servers say more in words.
_WORDS = {"quota": ("quota", False), "no space": ("no_space", True)}
_MISSING, _DENIED, _UNSUPPORTED = (2, 10), 3, 8
#: The names of algorithms that stand for one kind of key.
_KINDS = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa": ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
#: What paramiko raises when it is not an answer.
_BROKEN = (paramiko.SSHException, paramiko.SFTPError, EOFError, OSError)
# It logs what it raises, too, with a traceback.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    host: str
    port: int
    user: str
    #: SHA256:… of the server's key.
    host_key: str
    #: A password, or a private key as text.
    password: str | None = None
    private_key: str | None = None
    #: Seconds of silence, at most.
    patience: float

    @property
    def where(self) -> str:
        return self.host if self.port == 22 else f"{self.host}:{self.port}"


class Status(OSError):
    """What the server answered to a request."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words

    def translated(self, where: str) -> RunError:
        reason, later = _STATUS.get(self.code, _STATUS[4])
        if reason == "server_failure":
            found = (_WORDS[each] for each in _WORDS if each in self.words.lower())
            reason, later = next(found, (reason, later))
        said = " ".join(self.words.split())[:200]
        detail = f"{where} answers: {said or reason} (code {self.code})"
        if not later:
            return Permanent(reason, detail)
        delay = DISK_DELAY if reason == "no_space" else None
        return Temporary(reason, detail, delay=delay)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """What paramiko and sockets raise becomes ours."""
    try:
        yield
    except Status as error:
        raise error.translated(where) from error
    except TimeoutError as error:
        detail = f"{where} did not answer in time"
        raise Temporary("timeout", detail) from error
    except socket.gaierror as error:
        detail = f"the name {where} is not known: {error.strerror}"
        raise Temporary("unreachable", detail) from error
    except _BROKEN as error:
        words = str(error).rstrip(": ") or "it was closed"
        detail = f"the connection to {where} broke: {words}"
        raise Temporary("connection_lost", detail) from error


# --- Logging in -----------------------------------------------------------------


def connect(login: Login) -> Session:
    """Permanent `host_key_differs` before anything secret is sent, `auth_failed`,
    `bad_key`; Temporary for what may pass."""
    key = _key(login.private_key) if login.private_key else None
    with translated(login.where):
        transport = _pinned(login)
        watch = _Watch(transport, login.patience)
        try:
            with watch:
                _log_in(transport, login, key)
                watch.heard()
                client = _Client.from_transport(transport)
            client.get_channel().settimeout(login.patience)
        except BaseException:
            transport.close()
            raise
    return Session(client, login.where, watch)


class _Watch:
    """Within it a transport is closed that was silent for too long.

    paramiko waits for ever for a subsystem, and until bytes have left the machine.
    """

    def __init__(self, transport: Any, patience: float) -> None:
        self._transport = transport
        self._patience = patience
        self._heard = 0

    def __enter__(self) -> None:
        self._silent = False
        self._ended = threading.Event()
        threading.Thread(target=self._look, name="sftp-watch", daemon=True).start()

    def heard(self) -> None:
        self._heard += 1

    def _look(self) -> None:
        known, looks = self._heard, 0
        while not self._ended.wait(self._patience / LOOKS):
            looks = looks + 1 if self._heard == known else 0
            known = self._heard
            if looks == LOOKS:
                self._silent = True
                self._transport.close()
                return

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._ended.set()
        if self._silent and isinstance(error, _BROKEN):
            raise TimeoutError from error


def _key(text: str) -> Any:
    for kind in (paramiko.Ed25519Key, paramiko.RSAKey):
        try:
            return kind.from_private_key(StringIO(text))
        except paramiko.PasswordRequiredException as error:
            detail = "the private key is locked with a passphrase"
            todo = "give one without: BOE keeps it as a secret anyway"
            raise Permanent("bad_key", detail, todo) from error
        except Exception:  # noqa: S112 of the other kind, or damaged: it says so in many ways
            continue
    detail = "the private key is neither an ed25519 nor an RSA key"
    raise Permanent("bad_key", detail, "make one with ssh-keygen -t ed25519")


def _pinned(login: Login) -> Any:
    """A transport to whoever has the pinned key; nothing but greetings was sent.

    A server has keys of several kinds and shows one: with a fingerprint alone nobody
    knows which to ask for.
    """
    left, shown = dict(_KINDS), []
    while left:
        wanted = [name for names in left.values() for name in names]
        transport = _greeted(login, wanted)
        if transport is None:
            break
        key = transport.get_remote_server_key()
        if key.fingerprint == login.host_key.rstrip("="):
            return transport
        transport.close()
        shown.append(f"{key.get_name()} {key.fingerprint}")
        kind = key.get_name()
        left.pop(kind if kind in left else "ecdsa")
    detail = f"{login.where} shows {', '.join(shown) or 'no key that is known here'}"
    todo = (
        f"the Connection's host_key is {login.host_key}: ask those who run the server "
        "whether they changed it"
    )
    raise Permanent("host_key_differs", detail, todo)


def _greeted(login: Login, kinds: list[str]) -> Any:
    """None where the server has no key of these kinds."""
    address = (login.host, login.port)
    line = socket.create_connection(address, timeout=login.patience)
    transport = Transport(line)
    transport.get_security_options().key_types = kinds
    # Longer than ours: its own time-outs look like a broken line, or a refusal.
    transport.banner_timeout = transport.handshake_timeout = login.patience * 2
    transport.auth_timeout = transport.channel_timeout = login.patience * 2
    try:
        transport.start_client(timeout=login.patience)
        if not transport.initial_kex_done:
            raise TimeoutError
    except paramiko.ssh_exception.IncompatiblePeer:
        transport.close()
        return None
    except BaseException:
        transport.close()
        raise
    return transport


def _log_in(transport: Any, login: Login, key: Any) -> None:
    try:
        if key is not None:
            transport.auth_publickey(login.user, key)
        else:
            transport.auth_password(login.user, login.password or "")
    except paramiko.AuthenticationException as error:
        # Its class is the same for a refusal and a cut.
        if not transport.is_active():
            raise EOFError("it was closed while logging in") from error
    if not transport.is_authenticated():
        detail = f"{login.where} refuses the user {login.user}"
        raise Permanent("auth_failed", detail, "check user, password and key")


# --- The session ----------------------------------------------------------------


class _Client(SFTPClient):  # type: ignore[misc]  # paramiko has no types here
    """Keeps the code of an answer, which paramiko drops for most."""

    def _convert_status(self, message: Any) -> None:
        code, words = message.get_int(), message.get_text()
        if code == 1:
            raise EOFError(words)
        if code:
            raise Status(code, words)


class _Answers:
    """Of writes that were sent ahead."""

    def __init__(self, client: _Client) -> None:
        self._client = client
        self._open = 0
        self._wrong: Exception | None = None

    @property
    def missing(self) -> int:
        return self._open

    def owe_one(self) -> None:
        self._open += 1

    def wait(self, most: int) -> None:
        """Until no more than so many are missing. Raises the first that was not good."""
        while self._open > most and self._wrong is None:
            self._client._read_response()
        if self._wrong is not None:
            raise self._wrong

    def _async_response(self, kind: int, message: Any, number: int) -> None:
        """Called by paramiko."""
        self._open -= 1
        try:
            if kind != CMD_STATUS:
                raise paramiko.SFTPError("a write was answered with something else")
            self._client._convert_status(message)
        except _BROKEN as error:
            self._wrong = self._wrong or error


class Session:
    def __init__(self, client: _Client, where: str, watch: _Watch) -> None:
        self._client = client
        self._where = where
        self._watch = watch

    @property
    def alive(self) -> bool:
        channel = self._client.get_channel()
        return not channel.closed and channel.get_transport().is_active()

    def close(self) -> None:
        """From any thread: whoever waits for an answer gets an error."""
        self._client.get_channel().get_transport().close()

    def stat(self, path: str) -> Any:
        """Attributes; None where nothing is."""
        with translated(self._where):
            try:
                return self._client.stat(path)
            except Status as error:
                if error.code in _MISSING:
                    return None
                raise

    def make_folders(self, path: str) -> None:
        """Those that are missing, one after the other."""
        parts = path.strip("/").split("/")
        start = "/" if path.startswith("/") else ""
        for number in range(len(parts), -1, -1):
            there = start + "/".join(parts[:number])
            if not there.strip("/") or self._is_folder(there):
                break
        for deeper in range(number + 1, len(parts) + 1):
            self._make_folder(start + "/".join(parts[:deeper]))

    def _is_folder(self, path: str) -> bool:
        found = self.stat(path)
        if found is not None and not stat.S_ISDIR(found.st_mode or stat.S_IFDIR):
            raise Permanent("not_a_folder", f"{path} at {self._where} is no folder")
        return found is not None

    def _make_folder(self, path: str) -> None:
        with translated(self._where):
            try:
                self._client.mkdir(path, 0o755)
            except Status:
                # Somebody else may have been faster: the code does not tell.
                if not self._is_folder(path):
                    raise

    def write(
        self,
        path: str,
        source: BinaryIO,
        *,
        new: bool,
        between: Callable[[int], None],
        last: Callable[[], None],
    ) -> str:
        """All of `source`; its sha256. `new`: never onto a file that is there.

        `between` is called before each packet, with the bytes whose writes were answered,
        `last` when every one was and only the close is left.
        """
        digest = hashlib.sha256()
        flags = SFTP_FLAG_WRITE | SFTP_FLAG_CREATE
        flags |= SFTP_FLAG_EXCL if new else SFTP_FLAG_TRUNC
        with translated(self._where), self._watch:
            handle = self._opened(path, flags)
            try:
                answers, offset = _Answers(self._client), 0
                while chunk := source.read(CHUNK):
                    between(max(offset - answers.missing * CHUNK, 0))
                    digest.update(chunk)
                    self._client._async_request(
                        answers, CMD_WRITE, handle, int64(offset), chunk
                    )
                    answers.owe_one()
                    answers.wait(AHEAD)
                    self._watch.heard()
                    offset += len(chunk)
                answers.wait(0)
                last()
            except BaseException:
                # Some servers make a file of it only then, also after it was removed.
                with suppress(*_BROKEN):
                    self._client._request(CMD_CLOSE, handle)
                raise
            self._client._request(CMD_CLOSE, handle)
        return digest.hexdigest()

    def _opened(self, path: str, flags: int) -> bytes:
        try:
            return self._open(path, flags)
        except Status as error:
            # The code of a file that is there cannot be told from others.
            if flags & SFTP_FLAG_EXCL and self.stat(path) is not None:
                raise conflict(path) from error
            raise

    def _open(self, path: str, flags: int) -> bytes:
        nothing = paramiko.SFTPAttributes()
        kind, message = self._client._request(CMD_OPEN, path, flags, nothing)
        if kind != CMD_HANDLE:
            raise paramiko.SFTPError("an open was answered with something else")
        handle: bytes = message.get_binary()
        return handle

    def digest(self, path: str) -> str:
        """The sha256 of what is there; "" where it may not be read."""
        digest = hashlib.sha256()
        try:
            with translated(self._where), self._client.open(path, "rb") as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
        except Permanent:
            return ""
        return digest.hexdigest()

    def rename(self, old: str, new: str) -> None:
        """Status or an error of ours; whether it replaces a file is the server's choice."""
        self._rename(self._client.rename, old, new)

    def replace(self, old: str, new: str) -> None:
        """Over what is there, in one step where the server knows how to."""
        try:
            self._rename(self._client.posix_rename, old, new)
        except Status as error:
            if error.code != _UNSUPPORTED:
                raise
            self.remove(new)
            self._rename(self._client.rename, old, new)

    def _rename(self, how: Callable[[str, str], None], old: str, new: str) -> None:
        try:
            how(old, new)
        except Status:
            raise
        except _BROKEN as error:
            with translated(self._where):
                raise error

    def remove(self, path: str) -> None:
        with translated(self._where):
            try:
                self._client.remove(path)
            except Status as error:
                if error.code not in _MISSING:
                    raise
