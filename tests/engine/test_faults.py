"""The disk is full, the far side is not what it was: the run waits, or says why not."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from boe_reconciler.core.errors import BoeError
from boe_reconciler.core.runs import DeliveryStatus, RunStatus
from tests.engine.serving import Folder

pytestmark = pytest.mark.slow
SUCCEEDED, FAILED = RunStatus.SUCCEEDED.value, RunStatus.FAILED.value


class SmallDisk:
    """A file system of its own at a folder, with two megabytes."""

    def __init__(self, at: Path) -> None:
        self._at = at
        self._ballast = at / "ballast"
        at.mkdir(parents=True, exist_ok=True)
        self._do("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(at))

    def fill(self) -> None:
        with self._ballast.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 10, 1):
                while _fits(file.fileno(), size):
                    pass

    def free(self) -> None:
        self._ballast.unlink()

    def make_read_only(self) -> None:
        self._do("mount", "-o", "remount,ro", str(self._at))

    def make_writable(self) -> None:
        self._do("mount", "-o", "remount,rw", str(self._at))

    def end(self) -> None:
        self._do("umount", "--lazy", str(self._at))

    def _do(self, *command: str) -> None:
        subprocess.run(command, check=True, capture_output=True)


def _fits(file: int, size: int) -> bool:
    try:
        return os.write(file, b"x" * size) == size
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path], SmallDisk]]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a file system")
    made: list[SmallDisk] = []

    def mount(at: Path) -> SmallDisk:
        try:
            disk = SmallDisk(at)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no file system can be mounted here: {error.stderr!r}")
        made.append(disk)
        return disk

    yield mount
    for disk in made:
        disk.end()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Folder]:
    """It delivers to a folder outside, such as a mounted share."""
    share = str(tmp_path / "share")
    made = Folder(
        tmp_path,
        policy={"allow": {"local_roots": [share]}},
        deliver_to=[{"type": "local", "base_path": share}],
    )
    yield made
    made.stop()


@pytest.mark.parametrize("place", [".boe", ".boe/scratch", ".boe/blobs", "exports"])
def test_a_disk_that_was_full_as_the_run_came_due_delivers_once_there_is_space(
    folder: Folder, small_disk: Callable[[Path], SmallDisk], place: str
) -> None:
    """The ledger with its log, unfinished files, stored files, the destination."""
    disk = small_disk(folder.path / place)
    serving = folder.start("05:00:00")
    disk.fill()
    serving.set("05:30:00")
    serving.step(10)
    assert folder.files() in ([], ["ballast"])
    disk.free()
    serving.serve_until("05:40:00")
    assert serving.outcomes() == {"05:30": SUCCEEDED}
    assert [Path(name).suffix for name in folder.files()] == [".csv"]
    # DuckDB's own folder goes with its instance, soon after.
    scratch = folder.path / ".boe/scratch"
    assert [each for each in scratch.iterdir() if "duckdb" not in each.name] == []


def test_a_disk_that_fills_up_again_and_again_loses_nothing(
    folder: Folder, small_disk: Callable[[Path], SmallDisk]
) -> None:
    disk = small_disk(folder.path / ".boe")
    serving = folder.start("05:00:00")
    for hour in (5, 6, 7):
        serving.serve_until(f"0{hour}:29:59")
        disk.fill()
        serving.set(f"0{hour}:30:00")
        serving.step(5)
        disk.free()
        serving.serve_until(f"0{hour}:35:00")
    expected = {f"0{hour}:30": SUCCEEDED for hour in (5, 6, 7)}
    assert serving.outcomes() == expected
    assert len(folder.files()) == 3


def test_a_start_on_a_full_disk_says_so_and_the_next_one_works(
    folder: Folder, small_disk: Callable[[Path], SmallDisk]
) -> None:
    disk = small_disk(folder.path / ".boe")
    folder.start("05:00:00")
    folder.stop()
    disk.fill()
    folder.merge(metadata={"description": "Other words."})
    with pytest.raises((BoeError, OSError), match=r"full|No space"):
        folder.start("06:00:00")
    disk.free()
    serving = folder.start("06:01:00")
    serving.work()
    assert serving.outcomes() == {"05:30": SUCCEEDED}


def test_a_read_only_destination_fails_with_its_reason_and_the_next_run_works(
    folder: Folder, small_disk: Callable[[Path], SmallDisk]
) -> None:
    disk = small_disk(folder.path / "exports")
    disk.make_read_only()
    serving = folder.start("05:00:00")
    serving.set("05:30:00")
    serving.work()
    (record,) = serving.records()
    assert record.run.reason == "read_only"
    disk.make_writable()
    serving.serve_until("06:31:00")
    assert serving.outcomes() == {"05:30": FAILED, "06:30": SUCCEEDED}


def _a_file(place: Path) -> None:
    place.write_text("somebody's notes")


def _a_dangling_link(place: Path) -> None:
    place.symlink_to(place.parent / "nowhere")


@pytest.mark.parametrize(
    ("instead", "reason"),
    [(_a_file, "not_a_folder"), (_a_dangling_link, "symbolic_link")],
)
def test_something_else_in_the_place_of_the_folder_fails_with_its_reason(
    folder: Folder, instead: Callable[[Path], None], reason: str
) -> None:
    place = folder.path / "exports"
    serving = folder.start("05:00:00")
    instead(place)
    serving.set("05:30:00")
    serving.work()
    (record,) = serving.records()
    assert (record.run.status, record.run.reason) == (RunStatus.FAILED, reason)
    assert "exports" in record.run.message
    place.unlink()
    serving.serve_until("06:31:00")
    assert serving.outcomes() == {"05:30": FAILED, "06:30": SUCCEEDED}
    assert len(folder.files()) == 1


def test_a_folder_that_somebody_removed_is_made_again(folder: Folder) -> None:
    serving = folder.start("05:00:00")
    serving.serve_until("05:31:00")
    subprocess.run(["rm", "-r", str(folder.path / "exports")], check=True)
    serving.serve_until("06:31:00")
    assert serving.outcomes() == {"05:30": SUCCEEDED, "06:30": SUCCEEDED}
    assert len(folder.files()) == 1


@pytest.mark.parametrize("instead", [None, _a_dangling_link])
def test_a_share_that_is_not_mounted_is_waited_for(
    elsewhere: Folder, tmp_path: Path, instead: Callable[[Path], None] | None
) -> None:
    share = tmp_path / "share"
    if instead is not None:
        instead(share)
    serving = elsewhere.start("05:00:00")
    serving.set("05:30:00")
    serving.work()
    (record,) = serving.records()
    assert record.run.status is RunStatus.WAITING
    assert record.deliveries[0].status is DeliveryStatus.DEFERRED
    assert record.deliveries[0].reason == "root_missing"
    if instead is not None:
        share.unlink()
    share.mkdir()
    serving.serve_until("05:50:00")
    assert serving.outcomes() == {"05:30": SUCCEEDED}
    assert len([path for path in share.rglob("*") if path.is_file()]) == 1
