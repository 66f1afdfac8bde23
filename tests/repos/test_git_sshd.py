"""A branch over ssh from a real sshd: who is let in, and whom we talk to."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core.errors import Temporary
from boe_reconciler.repos.git import GitRepo
from tests.folders import until
from tests.gits import Upstream, a_remote, a_repo, ssh_key

_SBIN = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
SSHD = shutil.which("sshd", path=_SBIN)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        SSHD is None or shutil.which("ssh") is None,
        reason="sshd or ssh is not installed",
    ),
]


@dataclass
class Host:
    upstream: Upstream
    folder: Path
    port: int
    log: Path

    def repo(self, key: Path, host_key: Path) -> GitRepo:
        """With that key, and that one pinned as the host's."""
        public = host_key.with_suffix(".pub").read_text()
        known = self.folder / "known hosts"
        known.write_text(f"[127.0.0.1]:{self.port} {public}")
        user = getpass.getuser()
        url = f"ssh://{user}@127.0.0.1:{self.port}{self.upstream.path}"
        remote = a_remote(url, ssh_key=key, known_hosts=known)
        return a_repo(self.folder / "state", remote)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    upstream = Upstream(tmp_path / "upstream.git")
    upstream.write("schedules/a.yaml", "a: 1\n")
    upstream.commit()
    for name in ("host", "other-host", "ada", "eve"):
        ssh_key(tmp_path / name)
    shutil.copy(tmp_path / "ada.pub", tmp_path / "authorized")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config, log = tmp_path / "sshd_config", tmp_path / "sshd.log"
    config.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {tmp_path}/host\n"
        f"AuthorizedKeysFile {tmp_path}/authorized\nPidFile none\nStrictModes no\n"
        "UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nLogLevel VERBOSE\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with log.open("w") as out:
        process = subprocess.Popen([str(SSHD), "-D", "-e", "-f", config], stderr=out)
    try:
        until(lambda: "listening" in log.read_text() or process.poll() is not None)
        if process.poll() is not None:
            pytest.skip(f"sshd does not start here: {log.read_text()}")
        yield Host(upstream, tmp_path, port, log)
    finally:
        process.terminate()
        process.wait()


def test_the_right_key_is_let_in_and_reads_the_branch(host: Host) -> None:
    with closing(host.repo(host.folder / "ada", host.folder / "host")) as repo:
        assert repo.snapshot().read("schedules/a.yaml") == b"a: 1\n"
        host.upstream.write("schedules/a.yaml", "a: 2\n")
        host.upstream.commit()
        assert repo.snapshot().read("schedules/a.yaml") == b"a: 2\n"
    assert "Accepted publickey" in host.log.read_text()


def refused(repo: GitRepo) -> Any:
    with closing(repo), pytest.raises(Temporary) as failed:
        repo.snapshot()
    assert failed.value.reason == "git_unreachable"
    return failed.value


def test_a_host_with_another_key_is_told_nothing(host: Host) -> None:
    found = refused(host.repo(host.folder / "ada", host.folder / "other-host"))
    assert "Host key verification failed" in found.message
    assert "BOE_GIT_KNOWN_HOSTS" in found.help
    time.sleep(0.2)
    log = host.log.read_text()
    assert "Accepted" not in log
    assert "publickey" not in log


def test_a_key_without_the_right_is_refused_and_no_other_is_tried(host: Host) -> None:
    found = refused(host.repo(host.folder / "eve", host.folder / "host"))
    assert "Permission denied" in found.message
    assert "BOE_GIT_SSH_KEY" in found.help
    assert "Accepted" not in host.log.read_text()
