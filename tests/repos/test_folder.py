"""A folder as a repo: what is read, what is refused, and what wakes a waiter."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from boe_reconciler.core.errors import InputError, Temporary
from boe_reconciler.repos import folder as folder_module
from boe_reconciler.repos.folder import FolderRepo

YAML = "kind: Report\nspec: {query_file: sales.sql}\n"


def write(root: Path, path: str, content: str | bytes = "a: 1\n") -> Path:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.encode() if isinstance(content, str) else content)
    return target


@pytest.fixture
def repo(tmp_path):
    found = FolderRepo(tmp_path, poll=0.5, settle=0.02, doubt=0.1)
    yield found
    found.close()


def test_yaml_below_the_known_folders_and_the_policy_are_read(repo, tmp_path):
    wanted = ["policy.yaml", "schedules/a.yaml", "reports/deep/er/b.yml"]
    for path in wanted:
        write(tmp_path, path)
    for path in [
        "other.yaml",
        "exports/scheduled/a.yaml",
        "schedules/README.md",
        "schedules/.hidden.yaml",
        "schedules/.git/x.yaml",
        "schedules/a.yaml~",
        "schedules/#a.yaml",
        "reports/unused.sql",
        "sub/policy.yaml",
    ]:
        write(tmp_path, path)
    snapshot = repo.snapshot()
    assert sorted(snapshot.files) == sorted(wanted)
    assert snapshot.unreadable == {}
    assert snapshot.read("schedules/a.yaml") == b"a: 1\n"


def test_a_blob_id_is_the_one_git_gives(repo, tmp_path):
    path = write(tmp_path, "schedules/a.yaml", "x: ü\n")
    told = subprocess.run(
        ["git", "hash-object", path], check=True, capture_output=True, text=True
    )
    assert repo.snapshot().files["schedules/a.yaml"] == told.stdout.strip()


def test_referenced_files_are_read_wherever_they_are_in_the_repo(repo, tmp_path):
    write(tmp_path, "reports/a.yaml", YAML)
    write(tmp_path, "reports/sales.sql", "select 1")
    write(tmp_path, "reports/b.yaml", "spec: {query_file: ../sql/b.sql}\n")
    write(tmp_path, "sql/b.sql", "select 2")
    write(
        tmp_path,
        "reports/c.yaml",
        "spec:\n  workbook:\n    template: board.xlsx\n    sheets:\n"
        "    - {query_file: 'two words.sql'}\n",
    )
    write(tmp_path, "reports/board.xlsx", b"PK")
    write(tmp_path, "reports/two words.sql", "select 3")
    write(tmp_path, "distributions/d.yaml", "a: [{html: {file: mail.html}}]\n")
    write(tmp_path, "distributions/mail.html", "hi")
    assert {path for path in repo.snapshot().files if not path.endswith("yaml")} == {
        "reports/sales.sql",
        "sql/b.sql",
        "reports/board.xlsx",
        "reports/two words.sql",
        "distributions/mail.html",
    }


@pytest.mark.parametrize(
    "reference", ["../../etc/passwd", "/etc/passwd", "~/x.sql", "a/../../../x"]
)
def test_a_reference_cannot_leave_the_folder(repo, tmp_path, reference):
    write(tmp_path, "reports/a.yaml", f"spec: {{query_file: {reference}}}\n")
    assert list(repo.snapshot().files) == ["reports/a.yaml"]


def test_symbolic_links_are_told_and_not_followed(repo, tmp_path):
    outside = tmp_path.parent / "outside"
    write(outside, "x.yaml")
    write(outside, "x.sql", "select 1")
    write(tmp_path, "reports/a.yaml", "spec: {query_file: link.sql}\n")
    write(tmp_path, "reports/b.yaml", "spec: {query_file: ../far/x.sql}\n")
    (tmp_path / "reports/link.sql").symlink_to(outside / "x.sql")
    (tmp_path / "far").symlink_to(outside)
    (tmp_path / "reports/link.yaml").symlink_to(outside / "x.yaml")
    (tmp_path / "reports/dangling.yaml").symlink_to(outside / "none")
    (tmp_path / "schedules").symlink_to(outside)
    (tmp_path / "policy.yaml").symlink_to(outside / "x.yaml")
    snapshot = repo.snapshot()
    assert sorted(snapshot.files) == ["reports/a.yaml", "reports/b.yaml"]
    assert sorted(snapshot.unreadable) == [
        "far/x.sql",
        "policy.yaml",
        "reports/dangling.yaml",
        "reports/link.sql",
        "reports/link.yaml",
        "schedules",
    ]
    assert set(snapshot.unreadable.values()) == {"it is a symbolic link"}


def test_what_is_no_regular_file_is_told_and_never_opened(repo, tmp_path):
    (tmp_path / "schedules").mkdir()
    os.mkfifo(tmp_path / "schedules/pipe.yaml")
    assert repo.snapshot().unreadable == {
        "schedules/pipe.yaml": "it is not a regular file"
    }


def test_a_file_without_end_is_told(repo, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_module, "MAX_BYTES", 10)
    write(tmp_path, "schedules/big.yaml", "a: 12345678\n")
    assert repo.snapshot().unreadable == {
        "schedules/big.yaml": "it has more than 10 bytes"
    }


def test_a_name_that_is_no_text_is_told(repo, tmp_path):
    (tmp_path / "schedules").mkdir()
    (tmp_path / os.fsdecode(b"schedules/\xff.yaml")).write_text("a: 1")
    assert repo.snapshot().unreadable == {
        r"schedules/\xff.yaml": "its name is not UTF-8"
    }


def test_a_folder_that_cannot_be_listed_is_told(repo, tmp_path, monkeypatch):
    write(tmp_path, "schedules/a.yaml")
    write(tmp_path, "reports/b.yaml")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("schedules"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    snapshot = repo.snapshot()
    assert snapshot.unreadable == {"schedules": "permission denied"}
    assert list(snapshot.files) == ["reports/b.yaml"]


def test_too_many_files_are_refused(repo, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_module, "MAX_FILES", 2)
    for name in "abc":
        write(tmp_path, f"schedules/{name}.yaml")
    with pytest.raises(InputError, match="more than 2 YAML files"):
        repo.snapshot()


def test_a_folder_that_is_not_there_is_the_users_mistake(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        FolderRepo(tmp_path / "none").snapshot()


def test_the_revision_depends_on_paths_and_contents_alone(tmp_path):
    def revision(name: str, files: dict[str, str]) -> str:
        root = tmp_path / name
        root.mkdir()
        for path, content in files.items():
            write(root, path, content)
        return FolderRepo(root).snapshot().revision

    one = revision("one", {"schedules/a.yaml": "a", "reports/b.yaml": "b"})
    two = revision("two", {"reports/b.yaml": "b", "schedules/a.yaml": "a", "x": "y"})
    three = revision("three", {"schedules/b.yaml": "a", "reports/b.yaml": "b"})
    assert one == two != three
    assert one.startswith("folder@sha1:")
    assert len(one.split(":")[1]) == 40


def test_an_edited_query_file_makes_a_new_revision(repo, tmp_path):
    write(tmp_path, "reports/a.yaml", YAML)
    write(tmp_path, "reports/sales.sql", "select 1")
    before = repo.snapshot()
    write(tmp_path, "reports/sales.sql", "select 2")
    after = repo.snapshot()
    assert before.revision != after.revision
    assert after.read("reports/sales.sql") == b"select 2"


def test_codeowners_are_a_part_of_the_revision(repo, tmp_path):
    write(tmp_path, "docs/CODEOWNERS", "* @ops\n")
    write(tmp_path, "sub/CODEOWNERS", "* @others\n")
    before = repo.snapshot()
    assert {*before.files} == {"docs/CODEOWNERS"}
    write(tmp_path, "docs/CODEOWNERS", "* @finance\n")
    (tmp_path / ".github").symlink_to("docs")
    after = repo.snapshot()
    assert before.revision != after.revision
    assert after.read("docs/CODEOWNERS") == b"* @finance\n"
    assert after.unreadable == {".github/CODEOWNERS": "it is a symbolic link"}


def test_a_file_that_changed_since_the_snapshot_is_not_read(repo, tmp_path):
    write(tmp_path, "schedules/a.yaml", "a: 1\n")
    snapshot = repo.snapshot()
    write(tmp_path, "schedules/a.yaml", "a: 2\n")
    assert snapshot.read("schedules/a.yaml") == b"a: 1\n"  # kept once, to be asked for
    with pytest.raises(InputError, match="changed while it was being read"):
        snapshot.read("schedules/a.yaml")
    (tmp_path / "schedules/a.yaml").unlink()
    with pytest.raises(InputError, match="no such file"):
        snapshot.read("schedules/a.yaml")


def test_unchanged_files_are_not_read_again(repo, tmp_path, monkeypatch):
    for number in range(5):
        write(tmp_path, f"schedules/{number}.yaml", f"a: {number}\n")
    repo.snapshot()
    seen = []
    read = folder_module._read
    monkeypatch.setattr(
        folder_module, "_read", lambda path: seen.append(path) or read(path)
    )
    write(tmp_path, "schedules/3.yaml", "a: new\n")
    repo.snapshot()
    assert [Path(path).name for path in seen] == ["3.yaml"]


def test_a_file_that_vanishes_while_it_is_read_is_told(repo, tmp_path, monkeypatch):
    write(tmp_path, "schedules/a.yaml")

    def vanish(path: str) -> bytes:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(folder_module, "_read", vanish)
    assert repo.snapshot().unreadable == {
        "schedules/a.yaml": "no such file or directory"
    }


def test_a_file_in_place_of_a_folder_may_hide_what_was_in_it(repo, tmp_path):
    write(tmp_path, "schedules")
    assert repo.snapshot().unreadable == {"schedules": "it is not a folder"}


def test_a_link_to_itself_is_told(repo, tmp_path):
    (tmp_path / "reports").mkdir()
    for path in ("reports/round", "reports/round.yaml", "schedules"):
        (tmp_path / path).symlink_to(Path(path).name)
    assert repo.snapshot().unreadable == {
        "reports/round": "it is a symbolic link",
        "reports/round.yaml": "it is a symbolic link",
        "schedules": "it is a symbolic link",
    }


# --- What vanishes ----------------------------------------------------------------


@pytest.fixture
def between_looks(monkeypatch):
    """Does one thing before each look but the first."""

    def do(*acts) -> None:
        waiting, survey = iter([None, *acts]), folder_module._survey

        def look(real: Path):
            act = next(waiting, None)
            if act:
                act()
            return survey(real)

        monkeypatch.setattr(folder_module, "_survey", look)

    return do


GONE = ["schedules/a.yaml", "reports/sales.sql", "schedules"]


@pytest.mark.parametrize("path", GONE)
def test_what_comes_back_was_never_gone(tmp_path, between_looks, path):
    """A file, one that others refer to, a whole folder."""
    repo = FolderRepo(tmp_path, doubt=0)
    write(tmp_path, "schedules/a.yaml")
    write(tmp_path, "reports/a.yaml", YAML)
    write(tmp_path, "reports/sales.sql", "select 1")
    before = repo.snapshot()
    (tmp_path / path).rename(tmp_path / "away")
    between_looks(lambda: (tmp_path / "away").rename(tmp_path / path))
    assert repo.snapshot().files == before.files


def test_a_file_that_is_deleted_and_written_anew_is_read_anew(tmp_path):
    repo = FolderRepo(tmp_path, poll=60, settle=0.02, doubt=1)
    file = write(tmp_path, "schedules/a.yaml", "a: 1\n")
    repo.snapshot()
    assert changes(repo, file.unlink)
    threading.Timer(0.1, write, (tmp_path, "schedules/a.yaml", "a: 2\n")).start()
    assert repo.snapshot().read("schedules/a.yaml") == b"a: 2\n"
    repo.close()


@pytest.mark.parametrize("path", GONE)
def test_what_stays_away_is_gone_after_a_second_look(repo, tmp_path, path):
    write(tmp_path, "schedules/a.yaml")
    write(tmp_path, "reports/a.yaml", YAML)
    write(tmp_path, "reports/sales.sql", "select 1")
    before = repo.snapshot()
    (tmp_path / path).rename(tmp_path / "away")
    begin = time.monotonic()
    after = repo.snapshot()
    assert time.monotonic() - begin >= 0.1
    assert before.files.keys() - after.files.keys() == {
        GONE[0] if path == "schedules" else path
    }
    assert not after.unreadable


def test_what_vanishes_between_two_looks_needs_a_third(tmp_path, between_looks):
    repo = FolderRepo(tmp_path, doubt=0)
    one, two = (write(tmp_path, f"schedules/{name}.yaml") for name in "ab")
    repo.snapshot()
    one.unlink()
    between_looks(two.unlink, lambda: write(tmp_path, "schedules/b.yaml"))
    assert [*repo.snapshot().files] == ["schedules/b.yaml"]


def test_what_is_new_or_changed_is_taken_at_once(tmp_path):
    """As is all of a folder that is read for the first time."""
    repo = FolderRepo(tmp_path, doubt=60)
    write(tmp_path, "schedules/a.yaml", "a: 1\n")
    repo.snapshot()
    write(tmp_path, "schedules/a.yaml", "a: 2\n")
    write(tmp_path, "schedules/b.yaml")
    begin = time.monotonic()
    assert len(repo.snapshot().files) == 2
    (tmp_path / "schedules/b.yaml").unlink()
    assert len(FolderRepo(tmp_path, doubt=60).snapshot().files) == 1
    assert time.monotonic() - begin < 10


def test_a_folder_out_of_which_files_vanish_without_end_is_not_taken(
    tmp_path, between_looks
):
    repo = FolderRepo(tmp_path, doubt=0)
    files = [write(tmp_path, f"schedules/{number}.yaml") for number in range(20)]
    repo.snapshot()
    files.pop().unlink()
    between_looks(*(file.unlink for file in files))
    with pytest.raises(InputError, match="Files keep vanishing"):
        repo.snapshot()


def test_an_interrupted_look_says_nothing_of_what_vanished(tmp_path):
    repo = FolderRepo(tmp_path, doubt=60)
    file = write(tmp_path, "schedules/a.yaml")
    repo.snapshot()
    file.unlink()
    threading.Timer(0.05, repo.interrupt).start()
    with pytest.raises(Temporary, match="interrupted"):
        repo.snapshot()


# --- Kubernetes -----------------------------------------------------------------


def mount(root: Path, number: int, content: str) -> None:
    """What the kubelet does to show version `number` of a ConfigMap."""
    version = root / f"..2026_11_{number:02}"
    write(version, "schedules/a.yaml", content)
    swap = root / "..data_tmp"
    swap.symlink_to(version.name)
    swap.rename(root / "..data")
    if not (root / "schedules").is_symlink():
        (root / "schedules").symlink_to("..data/schedules")


def test_a_mounted_config_map_is_read_and_its_swap_is_noticed(repo, tmp_path):
    mount(tmp_path, 1, "a: 1\n")
    snapshot = repo.snapshot()
    assert snapshot.read("schedules/a.yaml") == b"a: 1\n"
    assert not snapshot.unreadable
    assert changes(repo, lambda: mount(tmp_path, 2, "a: 2\n"))
    assert repo.snapshot().read("schedules/a.yaml") == b"a: 2\n"


def test_a_swap_seen_halfway_is_no_removal(repo, tmp_path):
    mount(tmp_path, 1, "a: 1\n")
    repo.snapshot()
    (tmp_path / "..data").unlink()
    assert repo.snapshot().unreadable == {"schedules": "no such file or directory"}
    mount(tmp_path, 2, "a: 2\n")
    assert repo.snapshot().read("schedules/a.yaml") == b"a: 2\n"


def test_files_mounted_one_by_one_are_read(repo, tmp_path):
    folder = tmp_path / "schedules"
    write(folder, "..2026_11_01/a.yaml", "a: 1\n")
    (folder / "..data").symlink_to("..2026_11_01")
    (folder / "a.yaml").symlink_to("..data/a.yaml")
    assert repo.snapshot().read("schedules/a.yaml") == b"a: 1\n"


def test_a_root_that_is_a_link_may_be_swapped(tmp_path):
    write(tmp_path, "one/schedules/a.yaml", "a: 1\n")
    write(tmp_path, "two/schedules/a.yaml", "a: 2\n")
    (tmp_path / "current").symlink_to("one")
    repo = FolderRepo(tmp_path / "current", poll=0.05)
    assert repo.snapshot().read("schedules/a.yaml") == b"a: 1\n"

    def swap() -> None:
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").rename(tmp_path / "current")

    assert changes(repo, swap)
    assert repo.snapshot().read("schedules/a.yaml") == b"a: 2\n"
    repo.close()


# --- Waiting --------------------------------------------------------------------


def changes(repo: FolderRepo, act, timeout: float = 5) -> bool:
    """Whether `act` wakes somebody who waits."""
    assert not repo.wait(0)
    threading.Timer(0.05, act).start()
    return repo.wait(timeout)


@pytest.mark.parametrize(
    "path",
    [
        *("schedules/new.yaml", "policy.yaml", "reports/deep/new.yml", "sql/b.sql"),
        *("CODEOWNERS", ".github/CODEOWNERS"),
    ],
)
def test_a_change_wakes_the_waiter_quickly(tmp_path, path):
    repo = FolderRepo(tmp_path, poll=60, settle=0.02)
    write(tmp_path, "reports/deep/a.yaml", "spec: {query_file: ../../sql/b.sql}\n")
    write(tmp_path, "sql/a.sql")
    write(tmp_path, "schedules/a.yaml")
    write(tmp_path, ".github/dependabot.yml")
    repo.snapshot()
    begin = time.monotonic()
    assert changes(repo, lambda: write(tmp_path, path, "b: 1\n"))
    assert time.monotonic() - begin < 3
    repo.close()


def test_a_folder_that_appears_later_is_watched_too(repo, tmp_path):
    repo.snapshot()
    assert changes(repo, lambda: write(tmp_path, "schedules/a.yaml"))
    repo.snapshot()
    assert changes(repo, lambda: write(tmp_path, "schedules/b.yaml"))


def test_reading_and_other_files_wake_nobody(tmp_path):
    repo = FolderRepo(tmp_path, poll=0.2, settle=0.02)
    write(tmp_path, "schedules/a.yaml")
    repo.snapshot()

    def act() -> None:
        write(tmp_path, "exports/report.csv", "1")
        write(tmp_path, "schedules/.a.yaml.swp", "1")
        (tmp_path / "schedules/a.yaml").read_bytes()

    assert not changes(repo, act, timeout=0.6)
    repo.close()


@pytest.mark.parametrize(
    "act",
    [
        lambda file: file.write_text("new: 1\n"),
        lambda file: file.with_name("b.yaml").write_text("b: 1\n"),
        lambda file: file.unlink(),
        lambda file: file.rename(file.with_name("b.yaml")),
        lambda file: (file.unlink(), file.symlink_to(file.with_name("c.yaml"))),
        lambda file: (file.unlink(), file.mkdir()),
        lambda file: os.utime(file, (1, 1)),
    ],
    ids=["edited", "more", "gone", "renamed", "a link", "a folder", "times"],
)
def test_without_a_watcher_polling_notices(tmp_path, monkeypatch, act):
    from watchdog.observers import Observer

    def full(*_args, **_named):
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(Observer, "schedule", full)
    repo = FolderRepo(tmp_path, poll=0.05)
    write(tmp_path, "schedules/a.yaml")
    repo.snapshot()
    assert not repo.wait(0.2)
    assert changes(repo, lambda: act(tmp_path / "schedules/a.yaml"))
    repo.close()


def test_a_quiet_folder_is_looked_through_once_a_poll(tmp_path, monkeypatch):
    write(tmp_path, "schedules/a.yaml")
    repo = FolderRepo(tmp_path, poll=60)
    repo.snapshot()
    looks = []
    survey = folder_module._survey
    monkeypatch.setattr(
        folder_module, "_survey", lambda *of: looks.append(of) or survey(*of)
    )
    for _ in range(5):
        assert not repo.wait(0.01)
    assert len(looks) == 1  # what changed before it was watched
    repo.snapshot()
    for _ in range(5):
        assert not repo.wait(0.01)
    assert len(looks) == 3
    repo.close()


def test_a_folder_that_vanishes_wakes_the_waiter(tmp_path):
    root = tmp_path / "repo"
    write(root, "schedules/a.yaml")
    repo = FolderRepo(root, poll=0.05)
    repo.snapshot()
    assert changes(repo, lambda: root.rename(tmp_path / "away"))
    repo.close()


def test_edits_in_a_burst_wake_once(tmp_path):
    repo = FolderRepo(tmp_path, poll=60, settle=0.15)
    write(tmp_path, "schedules/a.yaml")
    repo.snapshot()

    def act() -> None:
        for number in range(5):
            write(tmp_path, "schedules/a.yaml", f"a: {number}\n")
            time.sleep(0.03)

    assert changes(repo, act)
    assert repo.snapshot().read("schedules/a.yaml") == b"a: 4\n"
    assert not repo.wait(0.3)
    repo.close()


@pytest.mark.slow
def test_ten_thousand_files_are_quick(tmp_path):
    for number in range(10_000):
        write(tmp_path, f"schedules/{number % 100}/{number}.yaml", f"a: {number}\n")
    repo = FolderRepo(tmp_path)
    repo.snapshot()
    begin = time.monotonic()
    repo.snapshot()
    assert time.monotonic() - begin < 10  # it takes tenths
