"""What the Blobs store promises: whole files under their own hash."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from boe_reconciler.blobs import folder as blobs_folder
from boe_reconciler.blobs.folder import FolderBlobs
from boe_reconciler.core.errors import Permanent


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "state/blobs")


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_bytes_are_found_under_their_hash(blobs: FolderBlobs) -> None:
    assert blobs.put(b"one") == sha(b"one")
    assert blobs.read(sha(b"one")) == b"one"
    assert blobs.path(sha(b"one")).read_bytes() == b"one"


def test_the_same_bytes_are_kept_once(blobs: FolderBlobs) -> None:
    blobs.put(b"one")
    blobs.put(b"one")
    blobs.put(b"two")
    assert sorted(blobs) == sorted([sha(b"one"), sha(b"two")])
    assert list(blobs.incoming.iterdir()) == []


def test_a_file_is_adopted_by_moving_it(blobs: FolderBlobs, tmp_path: Path) -> None:
    for path in (blobs.incoming / "x", tmp_path / "x"):
        path.write_bytes(b"made")
        inode = path.stat().st_ino
        assert blobs.adopt(path) == sha(b"made")
        assert blobs.path(sha(b"made")).stat().st_ino == inode
        assert not path.exists()


def test_many_are_synced_before_they_have_their_names_and_each_folder_once(
    blobs: FolderBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [f"{number}".encode() for number in range(600)]
    synced, real = [], blobs_folder._sync

    def sync(path: Path) -> None:
        synced.append((path.is_dir(), len(list(blobs))))
        real(path)

    monkeypatch.setattr(blobs_folder, "_sync", sync)
    with blobs.adopting() as adopt:
        for content in contents:
            path = tmp_path / "made"
            path.write_bytes(content)
            assert adopt(path) == sha(content)
    assert sorted(blobs) == sorted(map(sha, contents))
    files = [named for is_folder, named in synced if not is_folder]
    assert files == [0] * len(contents)
    folders = [named for is_folder, named in synced if is_folder]
    assert folders == [len(contents)] * (len({sha(one)[:2] for one in contents}) + 1)


def test_of_many_that_were_given_up_nothing_is_left(
    blobs: FolderBlobs, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    made.write_bytes(b"one")
    with pytest.raises(ValueError), blobs.adopting() as adopt:  # noqa: PT011, PT012 as the export fails
        adopt(made)
        raise ValueError
    assert list(blobs) == []
    assert list(blobs.incoming.iterdir()) == []


def test_a_file_of_another_file_system_is_copied(
    blobs: FolderBlobs, tmp_path: Path
) -> None:
    source, target = tmp_path / "a", blobs.incoming / "b"
    source.write_bytes(b"far")
    assert blobs_folder._moved(source, target).read_bytes() == b"far"
    assert not source.exists()


def test_only_their_owner_can_read_them(blobs: FolderBlobs, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.write_bytes(b"open")
    made.chmod(0o644)
    path = blobs.path(blobs.adopt(made))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (path.parent, path.parent.parent, blobs.incoming):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_missing_blob_is_told(blobs: FolderBlobs) -> None:
    for call in (blobs.path, blobs.read):
        with pytest.raises(Permanent) as error:
            call(sha(b"nope"))
        assert error.value.reason == "blob_missing"
    blobs.remove(sha(b"nope"))


def test_a_damaged_blob_is_not_handed_out(blobs: FolderBlobs) -> None:
    blobs.path(blobs.put(b"right")).write_bytes(b"wrong")
    with pytest.raises(Permanent) as error:
        blobs.read(sha(b"right"))
    assert error.value.reason == "blob_damaged"


def test_a_removed_blob_is_gone(blobs: FolderBlobs) -> None:
    blobs.remove(blobs.put(b"one"))
    assert list(blobs) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "ab", "A" * 64, "/" * 64])
def test_only_a_hash_is_a_name(blobs: FolderBlobs, name: str) -> None:
    for call in (blobs.path, blobs.read, blobs.remove):
        with pytest.raises(Permanent):
            call(name)


def test_what_a_crash_left_in_the_making_is_swept(blobs: FolderBlobs) -> None:
    (blobs.incoming / "half").write_bytes(b"ha")
    blobs.put(b"whole")
    assert blobs.sweep_incoming() == 1
    assert list(blobs) == [sha(b"whole")]
