"""`boe doctor`: a line for each thing it looked at, and 1 when something is broken."""

from __future__ import annotations

import shutil
import sqlite3
from collections import namedtuple
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core import calendar
from boe_reconciler.core.checks import Check
from boe_reconciler.engine import doctor
from boe_reconciler.engine.lock import ServeLock
from tests.cli.conftest import Boe
from tests.folders import a_folder, schedule

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder in which one run succeeded. Nothing is due soon, whatever the time."""
    from boe_reconciler.cli import run

    rare = {"cron": "30 6 29 2 *", "timezone": "UTC"}
    good = schedule("good", when=rare)
    repo = a_folder(tmp_path_factory.mktemp("doctor") / "repo", good)
    assert run(["-C", str(repo), "trigger", "good"]) == 0
    return repo


@pytest.fixture
def repo(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "repo")


def lines(boe: Boe, repo: Path, *arguments: str, code: int) -> list[str]:
    said = boe(repo, "doctor", *arguments)
    assert (said.code, said.err) == (code, "")
    return said.out.splitlines()


def ask(repo: Path, statement: str) -> list[Any]:
    with (
        closing(sqlite3.connect(repo / ".boe/ledger.sqlite")) as connection,
        connection,
    ):
        return connection.execute(statement).fetchall()


def blob(repo: Path) -> Path:
    (found,) = (repo / ".boe/blobs").glob("??/*")
    return found


def test_a_sound_folder_has_a_line_for_each_thing(repo: Path, boe: Boe) -> None:
    found = lines(boe, repo, code=0)
    assert found[-1] == "All is sound."
    names = [line[5:].partition(":")[0] for line in found[:-1]]
    assert names == [
        *("versions", "folder", "disk", "ledger", "promises", "files", "clock"),
        "serving",
        "notices",
    ]
    assert {line[:5] for line in found[:-1]} == {"ok   "}
    assert "1 stored, none is missing" in found[5]
    assert "1 stored, each as it was stored" in lines(boe, repo, "--deep", code=0)[5]


def test_it_is_told_in_json(repo: Path, boe: Boe) -> None:
    found = boe(repo, "doctor", "--format", "json").json
    assert list(found) == ["format_version", "sound", "findings", "checks"]
    assert (found["sound"], found["findings"]) == (True, [])
    assert list(found["checks"][0]) == ["name", "mark", "text", "help"]
    blob(repo).unlink()
    found = boe(repo, "doctor", "--format", "json").json
    assert found["sound"] is False
    assert len(found["findings"]) == 1
    assert "is not in the Blobs store" in found["findings"][0]


def test_before_anything_ran_there_is_nothing_to_look_at(
    tmp_path: Path, boe: Boe
) -> None:
    found = lines(boe, a_folder(tmp_path / "new"), code=0)
    assert "nothing has run here yet" in found[1]
    assert not (tmp_path / "new/.boe").exists()


# --- What is broken -----------------------------------------------------------------


def vanish(repo: Path) -> None:
    blob(repo).unlink()


def break_a_promise(repo: Path) -> None:
    ask(repo, "UPDATE runs SET tzdb = ' ', attempts = 0")


def go_back_in_time(repo: Path) -> None:
    ask(repo, "UPDATE schedules SET high_water = high_water + 7200000000")


def damage_the_file(repo: Path) -> None:
    ask(repo, "PRAGMA wal_checkpoint(TRUNCATE)")
    (page,) = ask(repo, "SELECT rootpage FROM sqlite_master WHERE name = 'runs_ended'")
    with (repo / ".boe/ledger.sqlite").open("r+b") as file:
        file.seek((page[0] - 1) * 4096)
        file.write(b"\xff" * 4096)


def write_no_database(repo: Path) -> None:
    for path in (repo / ".boe").glob("ledger.sqlite-*"):
        path.unlink()
    (repo / ".boe/ledger.sqlite").write_bytes(b"no database at all" * 100)


def upgrade_beyond_us(repo: Path) -> None:
    ask(repo, "UPDATE alembic_version SET version_num = '9999'")


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (vanish, "bad  files: The file of good.m"),
        (break_a_promise, "bad  promises: I6: good.m"),
        (go_back_in_time, "bad  clock: The clock is behind what is done"),
        (damage_the_file, "bad  ledger: The file is damaged"),
        (write_no_database, "bad  ledger: The ledger "),
        (upgrade_beyond_us, "bad  ledger: The ledger "),
    ],
)
def test_what_is_broken_is_told_and_ends_with_1(
    repo: Path, boe: Boe, break_it: Callable[[Path], None], told: str
) -> None:
    break_it(repo)
    found = lines(boe, repo, code=1)
    assert any(line.startswith(told) for line in found), found
    assert "All is sound." not in found


def test_a_spoiled_file_is_found_when_all_are_read(repo: Path, boe: Boe) -> None:
    path = blob(repo)
    path.write_bytes(b"x" * path.stat().st_size)
    assert lines(boe, repo, code=0)[-1] == "All is sound."
    found = lines(boe, repo, "--deep", code=1)
    assert any(
        f"The stored file {path.name} is not what it was" in one for one in found
    )


def test_rows_that_name_nothing_are_found_when_all_is_read(
    repo: Path, boe: Boe
) -> None:
    ask(repo, "DELETE FROM specs")
    found = lines(boe, repo, "--deep", code=1)
    assert any("names a row of specs that is not there" in line for line in found)


def test_what_is_due_and_not_started_beside_a_server_is_broken(
    repo: Path, boe: Boe
) -> None:
    lock = ServeLock(repo / ".boe")
    assert lock.try_acquire()
    assert any(" serves" in line for line in lines(boe, repo, code=0))
    ask(repo, "UPDATE schedules SET next_due = 1790000000000000 - 400 * 86400000000")
    found = lines(boe, repo, code=1)
    lock.release()
    assert any("serves, but what is due since" in line for line in found)


# --- What somebody should look at ---------------------------------------------------


def test_old_zone_data_is_a_warning(
    repo: Path, boe: Boe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "tzdb_is_old", lambda _: True)
    found = lines(boe, repo, code=0)
    assert found[1].startswith("warn zone data: The time zone data")
    assert found[-1] == "All is sound."
    assert not calendar.tzdb_is_old(datetime(2000, 1, 1, tzinfo=UTC).date())


def test_a_folder_that_others_may_read_is_a_warning(repo: Path, boe: Boe) -> None:
    (repo / ".boe").chmod(0o755)
    assert any(
        line.startswith("warn folder: Others may read") and "chmod 700" in line
        for line in lines(boe, repo, code=0)
    )


@pytest.mark.parametrize(
    ("free", "mark", "code"), [(5e7, "bad", 1), (5e8, "warn", 0), (5e9, "ok", 0)]
)
def test_a_full_disk_is_told(
    repo: Path,
    boe: Boe,
    monkeypatch: pytest.MonkeyPatch,
    free: float,
    mark: str,
    code: int,
) -> None:
    usage = Usage(10**12, 0, int(free))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    found = [line for line in lines(boe, repo, code=code) if "disk:" in line]
    assert [line.split()[0] for line in found] == [mark]


def test_a_clock_a_little_behind_is_a_warning(repo: Path, boe: Boe) -> None:
    ask(repo, "UPDATE schedules SET high_water = high_water + 600000000")
    assert any(line.startswith("warn clock:") for line in lines(boe, repo, code=0))


def test_a_network_file_system_is_a_warning(
    tmp_path: Path, repo: Path, boe: Boe, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/a / ext4 rw 0 0\nserver:/x {tmp_path.resolve()} nfs4 rw 0 0\n"
        "server:/y /else\\040where cifs rw 0 0\n"
    )
    assert doctor._kind_of(Path("/else where/x"), mounts) == "cifs"
    assert doctor._kind_of(Path("/usr"), mounts) == "ext4"
    assert doctor._kind_of(Path("/usr"), tmp_path / "none") == ""
    kind = doctor._kind_of(tmp_path.resolve() / "repo", mounts)
    monkeypatch.setattr(doctor, "_kind_of", lambda _: kind)
    assert any("lies on nfs4" in line for line in lines(boe, repo, code=0))


def test_changes_that_pile_up_are_a_warning(
    repo: Path, boe: Boe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "LARGE_WAL", -1)
    assert any("wait to be written" in line for line in lines(boe, repo, code=0))


def test_very_many_broken_promises_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def broken_invariants(self, *, now: datetime) -> list[str]:
            return [f"I{number}" for number in range(50)]

    patient: Any = namedtuple("Patient", "now")(datetime.now(UTC) + timedelta())
    found: list[Check] = list(doctor._promises(patient, Broken()))  # type: ignore[arg-type]
    assert len(found) == 21
    assert found[-1].text == "… and 30 more."


def test_a_maildir_that_cannot_be_read_is_broken(tmp_path: Path, boe: Boe) -> None:
    repo = a_folder(tmp_path / "repo", schedule("good"))
    (repo / "connections").mkdir(exist_ok=True)
    (repo / "connections/post.yaml").write_text(
        "apiVersion: boe/v1\nkind: Connection\n"
        "metadata: {name: post, owner: ops@example.com}\n"
        "spec: {type: smtp, host: h, from: a@example.com, bounces: {maildir: back}}\n"
    )
    assert boe(repo, "trigger", "good").code == 0
    [told] = [line for line in lines(boe, repo, code=1) if "bounces" in line]
    assert told.startswith("bad  bounces: Connection post: ")
    assert "back has no folder new" in told
    for name in ("new", "cur", "tmp"):
        (repo / "back" / name).mkdir(parents=True)
    assert "ok   bounces: Connection post can read them" in lines(boe, repo, code=0)
