"""How a far git lets us in: the token and the key arrive, and are never shown."""

from __future__ import annotations

import base64
import os
import random
import shlex
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from boe_reconciler.core.errors import InputError, Temporary
from boe_reconciler.repos.git import mirror
from tests.gits import Upstream, a_remote, a_repo, read_again

TOKEN = "s3cret-token/with+odd=signs"


@dataclass
class GitHost:
    """An https server in this process: 401 without the token, else git's own backend."""

    upstream: Upstream
    certificate: Path
    port: int = 0
    token: str = TOKEN
    #: The Authorization of each request, decoded; None: it had none.
    seen: list[str | None] = field(default_factory=list)
    #: What becomes of a pack on its way: "" arrives, "cut" and "stall" do half.
    mood: str = ""
    #: Set: who stalls goes on.
    goes_on: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/{self.upstream.path.name}"

    def environment(self, **more: str) -> dict[str, str]:
        kept = {**os.environ, "GIT_SSL_CAINFO": str(self.certificate)}
        return {**kept, "no_proxy": "localhost", **more}


def handler(host: GitHost) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            basic = (self.headers["Authorization"] or "").removeprefix("Basic ")
            told = base64.b64decode(basic).decode() if basic else None
            host.seen.append(told)
            if told != f"x-access-token:{host.token}":
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            head, _, content = self._backend(body).partition(b"\r\n\r\n")
            self.send_response(200)
            for line in head.decode().splitlines():
                self.send_header(*line.split(": ", 1))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            send(host, self.wfile, body, content)

        def _backend(self, body: bytes) -> bytes:
            path, _, query = self.path.partition("?")
            variables = {
                "GIT_PROJECT_ROOT": str(host.upstream.path.parent),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers["Content-Type"] or "",
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers["Content-Encoding"] or "",
                "GIT_PROTOCOL": self.headers["Git-Protocol"] or "",
            }
            return subprocess.run(
                ["git", "http-backend"],
                input=body,
                env={**os.environ, **variables},
                capture_output=True,
                check=True,
            ).stdout

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def send(host: GitHost, out: BinaryIO, asked: bytes, content: bytes) -> None:
    """All of an answer; of a pack, what the host's mood lets through."""
    if not host.mood or b"command=fetch" not in asked:
        out.write(content)
        return
    out.write(content[: len(content) // 2])
    out.flush()
    if host.mood == "stall":
        host.goes_on.wait(30)


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost, and its key."""
    made = subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
        "-days 2 -keyout key.pem -out cert.pem -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost".split(),
        cwd=folder,
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("openssl makes no certificate here")
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    core = subprocess.run(
        ["git", "--exec-path"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    for program in ("git-http-backend", "git-remote-https"):
        if not (Path(core) / program).exists():
            pytest.skip(f"{program} is not installed")
    certificate, key = self_signed(tmp_path)
    found = GitHost(Upstream(tmp_path / "upstream.git"), certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("localhost", 0), handler(found))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def watching(folder: Path) -> tuple[dict[str, str], Path]:
    """PATH with a git that writes down what it was called with."""
    seen, script = folder / "arguments", folder / "bin/git"
    script.parent.mkdir()
    real = shutil.which("git")
    script.write_text(f'#!/bin/sh\necho "$@" >> {seen}\nexec {real} "$@"\n')
    script.chmod(0o755)
    return {"PATH": f"{script.parent}:{os.environ['PATH']}"}, seen


def test_the_token_arrives_over_https_and_is_in_no_argument(
    host: GitHost, tmp_path: Path
) -> None:
    host.upstream.write("schedules/a.yaml", "a: 1\n")
    host.upstream.commit()
    variables, arguments = watching(tmp_path)
    repo = a_repo(
        tmp_path / "state",
        a_remote(host.url, token_variable="BOE_GIT_TOKEN"),
        token=TOKEN,
        environment=host.environment(BOE_GIT_TOKEN=TOKEN, **variables),
    )
    assert repo.snapshot().read("schedules/a.yaml") == b"a: 1\n"
    repo.close()
    assert f"x-access-token:{TOKEN}" in host.seen
    assert "ls-remote" in arguments.read_text()
    assert TOKEN not in arguments.read_text()
    for file in (tmp_path / "state").rglob("*"):
        assert file.is_dir() or TOKEN.encode() not in file.read_bytes()


def test_a_wrong_token_is_told_without_showing_it(
    host: GitHost, tmp_path: Path
) -> None:
    host.upstream.commit()
    host.token = "another"
    repo = a_repo(
        tmp_path / "state",
        a_remote(host.url, token_variable="BOE_GIT_TOKEN"),
        token=TOKEN,
        environment=host.environment(),
    )
    with pytest.raises(Temporary, match="Authentication failed") as refused:
        repo.snapshot()
    assert TOKEN not in refused.value.message + refused.value.help
    assert "BOE_GIT_TOKEN_FILE" in refused.value.help


def test_without_a_token_nobody_is_asked_and_the_message_says_what_to_do(
    host: GitHost, tmp_path: Path
) -> None:
    repo = a_repo(
        tmp_path / "state", a_remote(host.url), environment=host.environment()
    )
    with pytest.raises(Temporary, match="could not read Username") as refused:
        repo.snapshot()
    assert "Give a token" in refused.value.help
    assert set(host.seen) == {None}


def test_the_token_goes_to_the_named_host_alone(host: GitHost, tmp_path: Path) -> None:
    """Another host name, the same server: the helper does not answer for it."""
    helper = a_repo(
        tmp_path / "state",
        a_remote("https://git.example.com/x", token_variable="BOE_GIT_TOKEN"),
        token=TOKEN,
        environment=host.environment(),
    )
    git = helper._mirror.git
    variables = helper._mirror.access.variables()
    command = ["ls-remote", host.url]
    helper._mirror.prepare()
    assert git.run(command, variables=variables).code != 0
    assert set(host.seen) == {None}


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "GIT_SSL_CAINFO"])
def test_a_company_s_own_certificates_are_taken(
    host: GitHost, tmp_path: Path, variable: str
) -> None:
    host.upstream.write("schedules/a.yaml", "a: 1\n")
    host.upstream.commit()
    environment = {**os.environ, "no_proxy": "localhost"}
    environment[variable] = str(host.certificate)
    remote = a_remote(host.url, token_variable="BOE_GIT_TOKEN")
    with closing(
        a_repo(tmp_path / "state", remote, token=TOKEN, environment=environment)
    ) as repo:
        assert list(repo.snapshot().files) == ["schedules/a.yaml"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mood", "reason"), [("cut", "git_unreachable"), ("stall", "git_timeout")]
)
def test_a_pack_that_does_not_arrive_whole_changes_nothing(
    host: GitHost,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mood: str,
    reason: str,
) -> None:
    host.upstream.write("schedules/a.yaml", "a: 1\n")
    first = host.upstream.commit()
    remote = a_remote(host.url, token_variable="BOE_GIT_TOKEN")
    environment = host.environment()
    with closing(
        a_repo(tmp_path / "state", remote, token=TOKEN, environment=environment)
    ) as repo:
        repo.snapshot()
        host.upstream.write("schedules/b.yaml", random.Random(1).randbytes(200_000))
        second = host.upstream.commit()
        monkeypatch.setattr(mirror, "FETCH", 1.5)
        host.mood = mood
        with pytest.raises(Temporary) as failed:
            repo.snapshot()
        assert failed.value.reason == reason
        assert TOKEN not in failed.value.message
        assert list(read_again(tmp_path / "state", first).files) == ["schedules/a.yaml"]
        host.mood = ""
        host.goes_on.set()
        monkeypatch.setattr(mirror, "FETCH", 60)
        assert repo.snapshot().revision == f"main@sha1:{second}"


def test_a_host_that_cannot_prove_itself_is_not_asked(
    host: GitHost, tmp_path: Path
) -> None:
    environment = {**os.environ, "no_proxy": "localhost"}
    repo = a_repo(tmp_path / "state", a_remote(host.url), environment=environment)
    with pytest.raises(Temporary, match="certificate"):
        repo.snapshot()
    assert host.seen == []


# --- ssh --------------------------------------------------------------------------


@pytest.fixture
def ssh(tmp_path: Path) -> tuple[dict[str, str], Path]:
    """An ssh that writes down how it was called, and does what it was asked here."""
    seen, script = tmp_path / "ssh-arguments", tmp_path / "bin/ssh"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\nfor one in "$@"; do echo "$one" >> {seen}; last="$one"; done\n'
        'eval "$last"\n'
    )
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{script.parent}:{os.environ['PATH']}"}, seen


def test_over_ssh_only_the_named_key_and_the_known_hosts_count(
    ssh: tuple[dict[str, str], Path], tmp_path: Path
) -> None:
    environment, seen = ssh
    upstream = Upstream(tmp_path / "upstream.git")
    upstream.write("schedules/a.yaml", "a: 1\n")
    upstream.commit()
    key, hosts = tmp_path / "a key", tmp_path / "known hosts"
    key.touch()
    hosts.touch()
    url = f"ssh://git@git.example.com{shlex.quote(str(upstream.path))}"
    repo = a_repo(
        tmp_path / "state",
        a_remote(url, ssh_key=key, known_hosts=hosts),
        environment=environment,
    )
    assert list(repo.snapshot().files) == ["schedules/a.yaml"]
    repo.close()
    arguments = seen.read_text().splitlines()
    assert arguments[:4] == ["-F", os.devnull, "-i", str(key)]
    for wanted in (
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        f'UserKnownHostsFile="{hosts}"',
        f"GlobalKnownHostsFile={os.devnull}",
        "git@git.example.com",
    ):
        assert wanted in arguments


def test_ssh_itself_takes_these_options(tmp_path: Path) -> None:
    if not shutil.which("ssh"):
        pytest.skip("ssh is not installed")
    hosts = tmp_path / "known hosts"
    hosts.touch()
    remote = a_remote("git@localhost:x", ssh_key=hosts, known_hosts=hosts)
    repo = a_repo(tmp_path / "state", remote)
    command = shlex.split(repo._mirror.access.standing()["GIT_SSH_COMMAND"])
    told = subprocess.run(
        [*command, "-G", "git.example.com"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert "stricthostkeychecking true" in told.stdout
    assert str(hosts) in told.stdout


def test_ssh_without_known_hosts_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        a_repo(tmp_path / "state", a_remote("git@git.example.com:x"))
    assert "BOE_GIT_KNOWN_HOSTS" in refused.value.help


@pytest.mark.parametrize("name", ["ssh_key", "allowed_signers", "gpg_home"])
def test_a_file_that_is_not_there_is_told_at_the_start(
    tmp_path: Path, name: str
) -> None:
    remote = a_remote(tmp_path, **{name: tmp_path / "none"})
    with pytest.raises(InputError, match=f"BOE_GIT_{name.upper()}: .*none"):
        a_repo(tmp_path / "state", remote)


def test_what_git_shows_of_a_url_has_no_credential(tmp_path: Path) -> None:
    repo = a_repo(tmp_path / "state", a_remote(tmp_path), token=TOKEN)
    told = repo._mirror.access.told(
        f"remote: no\nfatal: unable to access 'https://u:{TOKEN}@h/x': \x1b[31m{TOKEN}\n"
    )
    assert told == "remote: no; unable to access 'https://***@h/x': ?[31m***"
