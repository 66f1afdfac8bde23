"""`boe backup` and `boe restore`: whole or not at all, and honest about what it knows."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.cli import run
from boe_reconciler.engine.lock import ServeLock
from tests.cli.conftest import Boe
from tests.folders import BOE, a_folder, boe_json, run_boe, schedule, serving, until
from tests.ledgers.keeping import KEPT

PAGE = Path(__file__).parents[2] / "docs/operating/backup.md"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run, and its backups beside it."""
    repo = a_folder(tmp_path_factory.mktemp("backup") / "repo", schedule("good"))
    assert run(["-C", str(repo), "trigger", "good"]) == 0
    for name in ("b.tar", "b.tar.gz"):
        assert run(["-C", str(repo), "backup", str(repo.parent / name)]) == 0
    return repo


@pytest.fixture
def backup(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made.parent / "b.tar", tmp_path / "b.tar"))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another machine's checkout of the same repo, where nothing has run."""
    return a_folder(tmp_path / "other", schedule("good"))


def history(boe: Boe, folder: Path) -> Any:
    return boe(folder, "runs", "--format", "json").json


def left(folder: Path) -> list[str]:
    """What a failed restore must not leave behind."""
    found = [path.name for path in folder.iterdir() if path.name.startswith(".boe")]
    return sorted(found)


def members(backup: Path) -> dict[str, bytes]:
    with tarfile.open(backup) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]


def rewrite(backup: Path, parts: dict[str, bytes]) -> None:
    with tarfile.open(backup, "w") as tar:
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


# --- There and back -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["b.tar", "b.tar.gz"])
def test_what_comes_back_is_what_was_there(
    made: Path, other: Path, boe: Boe, name: str
) -> None:
    said = boe(other, "restore", str(made.parent / name))
    assert said.code == 0, said.err + said.out
    assert "1 stored files." in said.out
    assert said.out.endswith("All is sound.\n")
    assert history(boe, other) == history(boe, made)
    assert boe(other, "doctor", "--deep").code == 0
    assert left(other) == [".boe"]
    assert boe(other, "resend", "good", "--all").code == 0


def test_only_its_owner_may_read_it(made: Path, other: Path, boe: Boe) -> None:
    assert (made.parent / "b.tar").stat().st_mode & 0o777 == 0o600
    boe(other, "restore", str(made.parent / "b.tar"))
    state = other / ".boe"
    assert state.stat().st_mode & 0o777 == 0o700
    modes = {path.stat().st_mode & 0o077 for path in state.rglob("blobs/??/*")}
    assert modes == {0}


def test_an_empty_state_folder_is_taken(backup: Path, other: Path, boe: Boe) -> None:
    (other / ".boe").mkdir()
    assert boe(other, "restore", str(backup)).code == 0


def test_an_older_backup_is_upgraded(backup: Path, other: Path, boe: Boe) -> None:
    parts = members(backup)
    parts["ledger.sqlite"] = (KEPT / "ledger-0001.sqlite").read_bytes()
    manifest = json.loads(parts["boe-backup.json"])
    digest = hashlib.sha256(parts["ledger.sqlite"]).hexdigest()
    parts["boe-backup.json"] = json.dumps(
        {**manifest, "ledger_sha256": digest}
    ).encode()
    rewrite(backup, parts)
    said = boe(other, "restore", str(backup))
    assert "The file of " in said.out  # nobody has the files of the kept history
    assert "promises" not in said.out
    assert (other / ".boe/ledger.sqlite.version-0001").exists()
    assert history(boe, other)


# --- While it serves ----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_backup_under_load_is_a_history_that_was(tmp_path: Path) -> None:
    each_second = {
        "when": {"every": "1s", "timezone": "UTC"},
        "execution": {"overlap": "buffer_all"},
    }
    names = [f"s{number}" for number in range(10)]
    policy = {"limits": {"min_interval": "1s", "schedules_per_owner": 99}}
    folder = a_folder(
        tmp_path / "repo",
        *(schedule(name, **each_second) for name in names),
        policy=policy,
    )
    with serving(folder):
        until(lambda: len(boe_json(folder, "runs")) > 20)
        for number in range(3):
            target = tmp_path / f"{number}.tar.gz"
            done = run_boe(folder, "backup", str(target))
            assert done.returncode == 0, done.stderr
        after = {one["run_id"]: one for one in _ended(folder)}
    for number in range(3):
        other = a_folder(tmp_path / f"other-{number}")
        done = run_boe(other, "restore", str(tmp_path / f"{number}.tar.gz"))
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert run_boe(other, "doctor", "--deep").returncode == 0
        restored = {one["run_id"]: one for one in _ended(other)}
        assert len(restored) > 10
        assert restored == {run_id: after[run_id] for run_id in restored}


def _ended(folder: Path) -> list[dict[str, Any]]:
    found = boe_json(folder, "runs", "--limit", "100000")
    return [one for one in found if one["finished_at"]]


def test_the_commands_of_the_page_do_what_it_says(made: Path, tmp_path: Path) -> None:
    commands = "".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL))
    assert commands.count("boe -C") == 3
    a_folder(tmp_path / "new", schedule("good"))
    (tmp_path / "backups").mkdir()
    places = {
        "/srv/reports-2": str(tmp_path / "new"),
        "/srv/reports": str(made),
        "/backups": str(tmp_path / "backups"),
    }
    for place, path in places.items():
        commands = commands.replace(f"{place} ", f"{path} ").replace(
            f"{place}/", f"{path}/"
        )
    path = f"{Path(BOE).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", commands],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("All is sound.\n")
    assert (tmp_path / "new/.boe/ledger.sqlite").exists()


# --- Refused ------------------------------------------------------------------------


def test_a_file_that_is_there_is_left_alone(made: Path, boe: Boe) -> None:
    before = (made.parent / "b.tar").read_bytes()
    said = boe(made, "backup", str(made.parent / "b.tar"))
    assert said.code == 1
    assert "is there already" in said.err
    assert (made.parent / "b.tar").read_bytes() == before


def test_a_name_or_a_place_that_cannot_be_is_told(
    made: Path, other: Path, tmp_path: Path, boe: Boe
) -> None:
    assert "End it with .tar" in boe(made, "backup", str(tmp_path / "b.zip")).err
    assert "There is no folder" in boe(made, "backup", str(tmp_path / "no/b.tar")).err
    assert "Nothing has run" in boe(other, "backup", str(tmp_path / "b.tar")).err
    assert "There is no file" in boe(other, "restore", "nowhere.tar").err
    assert left(other) == []


def test_a_spoiled_file_is_left_out_and_told(
    made: Path, tmp_path: Path, other: Path, boe: Boe
) -> None:
    repo = shutil.copytree(made, tmp_path / "repo")
    (blob,) = (repo / ".boe/blobs").glob("??/*")
    blob.write_text("spoiled")
    said = boe(repo, "backup", str(tmp_path / "c.tar"))
    assert said.code == 1
    assert f"it is not what it was: {blob.name}" in said.err
    said = boe(other, "restore", str(tmp_path / "c.tar"))
    assert said.code == 1
    assert "is not in the Blobs store" in said.out
    assert history(boe, other) == history(boe, made)


def test_a_state_folder_that_has_something_is_left_alone(
    backup: Path, made: Path, tmp_path: Path, boe: Boe
) -> None:
    repo = shutil.copytree(made, tmp_path / "repo")
    before = (repo / ".boe/ledger.sqlite").read_bytes()
    said = boe(repo, "restore", str(backup))
    assert said.code == 1
    assert "is not empty" in said.err
    lock = ServeLock(repo / ".boe")
    assert lock.try_acquire()
    assert f"process {os.getpid()} serves" in boe(repo, "restore", str(backup)).err
    lock.release()
    assert (repo / ".boe/ledger.sqlite").read_bytes() == before
    assert left(repo) == [".boe"]


def test_a_place_where_no_folder_can_be_is_told(
    backup: Path, other: Path, boe: Boe
) -> None:
    said = boe(other, "--state", str(backup / "a" / "b"), "restore", str(backup))
    assert said.code == 1
    assert "Look at the disk and at its rights" in said.err


def spoil(parts: dict[str, bytes]) -> None:
    blob = next(name for name in parts if name.startswith("blobs/"))
    parts[blob] = b"x" * len(parts[blob])


def lose(parts: dict[str, bytes]) -> None:
    del parts[next(name for name in parts if name.startswith("blobs/"))]


def lose_the_ledger(parts: dict[str, bytes]) -> None:
    del parts["ledger.sqlite"]


def change_the_ledger(parts: dict[str, bytes]) -> None:
    parts["ledger.sqlite"] += b"x"


def escape(parts: dict[str, bytes]) -> None:
    parts["../escaped"] = b"x"


def escape_from_blobs(parts: dict[str, bytes]) -> None:
    parts["blobs/../../escaped"] = b"x"


def absolute(parts: dict[str, bytes]) -> None:
    parts["/tmp/escaped"] = b"x"


def bring_another(parts: dict[str, bytes]) -> None:
    parts["serve.lock"] = b"process 1"


def no_manifest(parts: dict[str, bytes]) -> None:
    del parts["boe-backup.json"]


def no_json(parts: dict[str, bytes]) -> None:
    parts["boe-backup.json"] = b"[]"


def deep_json(parts: dict[str, bytes]) -> None:
    parts["boe-backup.json"] = b"[" * 60_000


def endless_manifest(parts: dict[str, bytes]) -> None:
    parts["boe-backup.json"] += b" " * (1 << 17)


def saying(**values: object) -> Callable[[dict[str, bytes]], None]:
    """Puts something odd into the manifest."""

    def say(parts: dict[str, bytes]) -> None:
        manifest = json.loads(parts["boe-backup.json"])
        parts["boe-backup.json"] = json.dumps({**manifest, **values}).encode()

    return say


def no_tables(parts: dict[str, bytes]) -> None:
    parts["ledger.sqlite"] = b""
    saying(ledger_sha256=hashlib.sha256(b"").hexdigest())(parts)


@pytest.mark.parametrize(
    "damage",
    [
        *(deep_json, endless_manifest, no_tables, saying(blobs="x")),
        *(saying(at=5), saying(at="yesterday"), saying(at="2026-11-28T00:00:00")),
        *(saying(at="0001-01-01T00:00:00+14:00"), saying(ledger_sha256=["x"])),
        *(spoil, lose, lose_the_ledger, change_the_ledger, escape, escape_from_blobs),
        *(absolute, bring_another, no_manifest, no_json),
    ],
)
def test_a_backup_that_is_not_whole_is_refused(
    backup: Path, other: Path, boe: Boe, damage: Callable[[dict[str, bytes]], None]
) -> None:
    parts = members(backup)
    damage(parts)
    rewrite(backup, parts)
    said = boe(other, "restore", str(backup))
    assert said.code == 1
    assert f"{backup} cannot be restored: " in said.err
    assert left(other) == []
    assert not (other.parent / "escaped").exists()


def test_a_link_in_a_backup_is_refused(backup: Path, other: Path, boe: Boe) -> None:
    parts = members(backup)
    rewrite(backup, parts)
    with tarfile.open(backup, "a") as tar:
        link = tarfile.TarInfo("blobs/aa/" + "a" * 64)
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    assert "has no place in a backup" in boe(other, "restore", str(backup)).err
    assert left(other) == []


def test_a_manifest_that_links_to_itself_is_refused(
    backup: Path, other: Path, boe: Boe
) -> None:
    with tarfile.open(backup, "w") as tar:
        link = tarfile.TarInfo("boe-backup.json")
        link.type, link.linkname = tarfile.SYMTYPE, link.name
        tar.addfile(link)
    assert "it is no backup of boe" in boe(other, "restore", str(backup)).err


def test_a_sparse_file_that_would_fill_the_disk_is_refused(
    backup: Path, other: Path, boe: Boe
) -> None:
    manifest = members(backup)["boe-backup.json"]
    sizes = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "ledger.sqlite",
        "GNU.sparse.realsize": str(1 << 22),
    }
    with tarfile.open(backup, "w", format=tarfile.PAX_FORMAT) as tar:
        first, sparse = tarfile.TarInfo("boe-backup.json"), tarfile.TarInfo("sparse")
        first.size, sparse.size, sparse.pax_headers = len(manifest), 513, sizes
        tar.addfile(first, io.BytesIO(manifest))
        tar.addfile(sparse, io.BytesIO(b"1\n0\n1\n".ljust(512, b"\0") + b"x"))
    assert "has no place in a backup" in boe(other, "restore", str(backup)).err
    assert left(other) == []


@pytest.mark.parametrize("name", ["b.tar", "b.tar.gz"])
def test_a_backup_that_was_cut_off_is_refused(
    made: Path, other: Path, boe: Boe, tmp_path: Path, name: str
) -> None:
    content = (made.parent / name).read_bytes()
    cut = tmp_path / f"cut-{name}"
    for part in (0, 100, len(content) // 2, len(content) * 9 // 10):
        cut.write_bytes(content[:part])
        said = boe(other, "restore", str(cut))
        assert said.code == 1
        assert "cannot be restored" in said.err
        assert left(other) == []


def test_a_backup_of_a_newer_version_is_refused(
    backup: Path, other: Path, boe: Boe, tmp_path: Path
) -> None:
    parts = members(backup)
    ledger = tmp_path / "ledger.sqlite"
    ledger.write_bytes(parts["ledger.sqlite"])
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    parts["ledger.sqlite"] = ledger.read_bytes()
    manifest = json.loads(parts["boe-backup.json"])
    manifest["ledger_sha256"] = hashlib.sha256(ledger.read_bytes()).hexdigest()
    parts["boe-backup.json"] = json.dumps(manifest).encode()
    rewrite(backup, parts)
    said = boe(other, "restore", str(backup))
    assert f"The ledger in {backup} was written by a newer BOE" in said.err
    parts["boe-backup.json"] = json.dumps(
        {**manifest, "format_version": "2.0"}
    ).encode()
    rewrite(backup, parts)
    assert "was made by a newer BOE" in boe(other, "restore", str(backup)).err
    assert left(other) == []


# --- What it does not know ----------------------------------------------------------


def test_without_catching_up_nothing_old_is_sent(
    made: Path, other: Path, tmp_path: Path, boe: Boe
) -> None:
    repo = shutil.copytree(made, tmp_path / "repo")
    boe(repo, "trigger", "good", "--no-wait")
    boe(repo, "backup", str(tmp_path / "c.tar"))
    assert boe(other, "restore", str(tmp_path / "c.tar"), "--no-catchup").code == 0
    newest, before = history(boe, other)
    assert (newest["status"], newest["reason"]) == ("cancelled", "restored")
    assert before["status"] == "succeeded"
    assert boe(other, "run", "--once").out == "Nothing was due; nothing ran.\n"
    third = a_folder(tmp_path / "third", schedule("good"))
    said = boe(third, "restore", str(tmp_path / "c.tar"))
    assert "may be sent a second time" in said.out
    assert boe(third, "run", "--once").code == 0
    assert [one["status"] for one in history(boe, third)] == ["succeeded"] * 2
