"""A secret's value turns up nowhere, whatever goes wrong."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.folders import BOE, a_folder, document, run_boe, schedule, until, write
from tests.gits import Upstream
from tests.servers import postgresql
from tests.sops import PATH, encrypted, key_file, needs_sops

pytestmark = pytest.mark.slow

FROM_ENV = "canary-env p@ss/w:rd?#%'\"\\ü"
FROM_FILE = "canary-file $(x) {{ y }} `z` &amp; 100%"
FROM_SOPS = 'canary-sops <&>\t"=+/ é'
GIT_TOKEN, FORGE_TOKEN = "canary-git+/=token", "canary-forge%2Ftoken"
PING_KEY, NOTICE_KEY, SCHEDULE_KEY = "canary-ping", "canary-notice", "canary-schedule"
VALUES = (
    *(FROM_ENV, FROM_FILE, FROM_SOPS, GIT_TOKEN, FORGE_TOKEN),
    *(PING_KEY, NOTICE_KEY, SCHEDULE_KEY),
)
#: Nobody listens there.
NOWHERE = "127.0.0.1:1"
SERVER = {"host": "127.0.0.1", "port": 1, "database": "d", "user": "u"}
NO_RETRY = {"execution": {"retry": {"max_retries": 0}}}


def connection(
    kind: str, secret: dict[str, str], **fields: object
) -> dict[str, object]:
    return {"type": kind, "password": secret, **fields}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text(FROM_FILE + "\n")
    env, file = {"env": "CANARY"}, {"file": str(tmp_path / "secret.txt")}
    connections = {
        "refused-env": connection("postgres", env, **SERVER),
        "refused-file": connection("postgres", file, **SERVER),
        "no-driver": connection("sql", env, url="mysql+pymysql://u@127.0.0.1:1/d"),
        "no-database": connection("sql", file, url="sqlite:////nowhere/at/all.db"),
        "not-set": connection("postgres", {"env": "NOT_SET"}, **SERVER),
    }
    repo = a_folder(tmp_path / "repo", schedule("quick"), policy={})
    for name, spec in connections.items():
        reads(repo, name, spec)
    return repo


def reads(repo: Path, name: str, spec: Mapping[str, object], **more: object) -> None:
    """A Connection, and a Schedule that fails over it."""
    write(repo / f"connections/{name}.yaml", document("Connection", name, spec))
    report = {"connection": name, "query": "select 1 as one"}
    one = schedule(name, report=report, **NO_RETRY, **more)
    write(repo / f"schedules/{name}.yaml", one)


@pytest.fixture
def everywhere(folder: Path) -> dict[str, str]:
    """A secret in every place that one can be; the environment that has them."""
    (folder / "secrets").mkdir()
    content = json.dumps({"db": {"password": FROM_SOPS}})
    (folder / "secrets/all.json").write_bytes(encrypted(content, "json"))
    sops = {"sops": "../secrets/all.json#db.password"}
    ping = {"env": "SCHEDULE_PING"}
    reads(folder, "refused-sops", connection("postgres", sops, **SERVER), ping=ping)
    wrong = {"sops": "../secrets/all.json#nope"}
    reads(folder, "no-such-key", connection("postgres", wrong, **SERVER))
    overlay = {"connections": {"refused-env": {"password": sops}}}
    write(
        folder / "environments/staging.yaml",
        document("Environment", "staging", overlay),
    )
    git_token = folder.parent / "git-token"
    git_token.write_text(GIT_TOKEN)
    return {
        "PATH": PATH,
        "CANARY": FROM_ENV,
        "SCHEDULE_PING": f"http://{NOWHERE}/{SCHEDULE_KEY}",
        "BOE_SOPS_AGE_KEY_FILE": str(key_file(folder.parent)),
        "BOE_PING_URL": f"http://{NOWHERE}/{PING_KEY}",
        "BOE_NOTICE_URL": f"http://{NOWHERE}/{NOTICE_KEY}",
        "BOE_GIT_TOKEN_FILE": str(git_token),
        "BOE_FORGE_TOKEN": FORGE_TOKEN,
        "BOE_FORGE_URL": f"http://{NOWHERE}/api/v3",
        "BOE_FORGE_PROJECT": "o/r",
    }


# --- Looking ----------------------------------------------------------------------


def forms(value: str) -> set[bytes]:
    shown = {
        *(value, quote(value, safe=""), quote(value), value[:12]),
        *(repr(value)[1:-1], ascii(value)[1:-1], json.dumps(value)[1:-1]),
    }
    encoded = {base64.b64encode(value.encode()), value.encode().hex().encode()}
    for before in (b"u:", b"me:", b"x:y"):  # less what depends on the characters around
        encoded.add(base64.b64encode(before + value.encode())[6:-6])
    return {form.encode() for form in shown} | encoded


FORMS = {form: value for value in VALUES for form in forms(value)}


def traces(folder: Path, said: str) -> list[str]:
    """Where a value, or a form of it, was found: in every byte that was left behind."""
    told = {"output": said.encode()}
    for path in folder.rglob("*"):
        if path.is_file():
            told |= {f"{path}{inside}": one for inside, one in _opened(path)}
    return [
        f"a form of {FORMS[form]!r} in {place}"
        for place, content in told.items()
        for form in FORMS
        if form in content
    ]


def _opened(path: Path) -> Iterator[tuple[str, bytes]]:
    """The bytes of a file, and what is packed in them."""
    content = path.read_bytes()
    yield "", content
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
        yield " unpacked", content
    if path.name.endswith((".tar", ".tar.gz", ".tgz")):
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            for member in tar:
                inside = tar.extractfile(member)
                yield f":{member.name}", inside.read() if inside else b""
    try:
        yield " inflated", zlib.decompress(content)  # such as an object of git
    except zlib.error:
        return


@dataclass
class Arguments:
    """What `ps` shows of all processes meanwhile, and what it shows of their variables."""

    seen: set[bytes] = field(default_factory=set)
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.stop.wait(0.005):
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(entry.read_bytes())
                except OSError:
                    continue


@contextmanager
def ps() -> Iterator[Arguments]:
    arguments = Arguments()
    watcher = threading.Thread(target=arguments.watch)
    watcher.start()
    try:
        yield arguments
    finally:
        arguments.stop.set()
        watcher.join()


# --- The promise ------------------------------------------------------------------


@needs_sops
def test_no_secret_leaves_with_runs_that_fail(
    folder: Path, everywhere: dict[str, str]
) -> None:
    commands = (
        *("validate --online", "validate --online --format sarif", "plan"),
        *("--log-format text run --once --now-all", "plan --format json"),
        *("--log-format json run --once --now-all", "rerun --failed"),
        *("status --format json", "runs --format json", "show refused-sops"),
        *("show no-driver --format json", "explain no-such-key", "doctor"),
        "backup kept.tar.gz",
        "--env staging --state other run --once --now refused-env",
        "--env staging --state other show refused-env",
    )
    said = ""
    with ps() as arguments:
        for command in commands:
            done = run_boe(folder, *command.split(), env=everywhere)
            assert done.returncode in (0, 1), done.stderr
            said += done.stdout + done.stderr
    assert "failed" in said
    assert "NOT_SET" in said
    assert 'no key "nope"' in said
    if Path("/proc/self").exists():
        assert any(b"sops" in one for one in arguments.seen)
    said += str(b"\n".join(arguments.seen))
    kept = [path for path in folder.parent.rglob("*.tar.gz") if path.is_file()]
    assert kept
    assert traces(folder, said) == []


@needs_sops
def test_no_secret_leaves_with_a_git_repo_that_fails(
    folder: Path, everywhere: dict[str, str]
) -> None:
    state, upstream = folder.parent / "state", Upstream(folder.parent / "upstream.git")
    for path in folder.rglob("*"):
        if path.is_file():
            upstream.write(str(path.relative_to(folder)), path.read_bytes())
    upstream.write("schedules/broken.yaml", "kind: [")
    upstream.commit()
    said = ""
    for url in (f"u:{quote(GIT_TOKEN)}@{NOWHERE}/x.git", f"{NOWHERE}/x.git"):
        command = ["--state", str(state), "run", "--once", "--git", f"https://{url}"]
        done = run_boe(folder, *command, env=everywhere)
        assert done.returncode == 1
        said += done.stdout + done.stderr
    with ps() as arguments:
        said += served(folder, everywhere, state, str(upstream.path))
    said += str(b"\n".join(arguments.seen))
    done = run_boe(folder, "--state", str(state), "status", env=everywhere)
    said += done.stdout + done.stderr
    assert "broken.yaml" in said
    assert "boe_" in said
    assert traces(state, said) == []


def served(folder: Path, environment: dict[str, str], state: Path, url: str) -> str:
    """The log of a `boe run --git`, and what it answers over HTTP."""
    log = folder.parent / "log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [BOE, "--log-format", "json", "--state", str(state), "run", "--now-all"]
    with log.open("w") as out:
        serving = subprocess.Popen(
            [*command, "--git", url, "--http", address],
            stdout=out,
            stderr=out,
            cwd=folder.parent,
            env={**os.environ, **environment},
        )
    try:
        until(lambda: "Serving" in log.read_text(), 60)
        time.sleep(3)
        pages = ("metrics", "healthz", "readyz", "")
        answers = [httpx.get(f"http://{address}/{one}").text for one in pages]
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.wait(60)
    return log.read_text() + "".join(answers)


@needs_sops
def test_no_secret_stands_in_a_report_of_a_bug(
    folder: Path, everywhere: dict[str, str]
) -> None:
    program = """
import sys
from boe_reconciler.cli import nextruns, run
from boe_reconciler.core.plan import make_plan
from boe_reconciler.core.resources.connection import EnvSecret, FileSecret, SopsSecret
def bug(app):
    plan = make_plan(app.repo.snapshot(), served=None, now=app.clock.now())
    app.at_hand = plan.blobs
    spec = plan.schedules["refused-sops"].spec
    found = [app.secrets.resolve(one) for one in (
        EnvSecret(env="CANARY"), FileSecret(file=sys.argv[1]), spec.connection.password)]
    raise RuntimeError(found, " ".join(found))
nextruns.usable_plan_of_files = bug
sys.exit(run(["-C", sys.argv[2], "next", "--all"]))
"""
    secret = str(folder.parent / "secret.txt")
    done = subprocess.run(
        [sys.executable, "-c", program, secret, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, **everywhere},
    )
    assert done.returncode == 3, done.stderr
    assert list(folder.glob("boe-error-*.log"))
    assert traces(folder, done.stdout + done.stderr) == []


def test_no_secret_leaves_with_a_run_that_succeeds(folder: Path) -> None:
    with postgresql() as server:
        spec = {"host": server, "database": "postgres", "user": "postgres"}
        write(
            folder / "connections/refused-env.yaml",
            document(
                "Connection",
                "refused-env",
                connection("postgres", {"env": "CANARY"}, **spec),
            ),
        )
        done = run_boe(folder, "trigger", "refused-env", env={"CANARY": FROM_ENV})
    assert done.returncode == 0, done.stdout + done.stderr
    assert traces(folder, done.stdout + done.stderr) == []


def test_a_search_for_traces_finds_them(tmp_path: Path) -> None:
    """Else the rest of this file says nothing."""
    (tmp_path / "a").write_text(f"x{json.dumps(FROM_ENV)}")
    (tmp_path / "b.gz").write_bytes(gzip.compress(FROM_SOPS.encode()))
    (tmp_path / "c").write_bytes(base64.b64encode(f"me:{GIT_TOKEN}!".encode()))
    found = "\n".join(traces(tmp_path, quote(FROM_FILE)))
    assert all(
        repr(one) in found for one in (FROM_ENV, FROM_SOPS, GIT_TOKEN, FROM_FILE)
    )
