"""One bad file harms nothing but itself, while `boe run` serves."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.folders import (
    a_folder,
    boe_json,
    run_boe,
    schedule,
    serving,
    until,
    write,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return a_folder(tmp_path / "repo", *(schedule(f"s{n}") for n in range(8)))


@pytest.fixture
def served(folder: Path) -> Iterator[Path]:
    with serving(folder):
        yield folder


def status(folder: Path, name: str) -> dict[str, Any] | None:
    objects = boe_json(folder, "status")["objects"]
    return next((one for one in objects if one["name"] == name), None)


def rows_of(folder: Path, name: str) -> list[str]:
    """What the newest file of a schedule says."""
    assert run_boe(folder, "trigger", name).returncode == 0
    files = (folder / "exports").rglob("*.csv")
    newest = max(files, key=lambda path: path.stat().st_mtime_ns)
    return newest.read_text().splitlines()


@pytest.mark.slow
def test_a_broken_file_goes_on_being_served_until_it_is_mended(served: Path) -> None:
    file = served / "schedules/s1.yaml"
    before = status(served, "s1")
    file.write_text("apiVersion: boe/v1\nkind: Schedule\nmetadata: {name: s1}\n")
    broken = until(lambda: (s := status(served, "s1")) and not s["ready"] and s)
    assert broken["reason"] == "Invalid"
    assert broken["serving_revision"] == before["serving_revision"]
    assert broken["observed_revision"] != before["observed_revision"]
    assert "s1" in run_boe(served, "status").stdout
    assert boe_json(served, "status")["problems"][0]["resource"]["name"] == "s1"
    assert rows_of(served, "s1") == ["one", "1"]

    write(served / "schedules/s2.yaml", schedule("s2", query="select 2 as two"))
    until(lambda: rows_of(served, "s2") == ["two", "2"])
    assert rows_of(served, "s1") == ["one", "1"]

    write(file, schedule("s1", query="select 3 as three"))
    mended = until(lambda: (s := status(served, "s1")) and s["ready"] and s)
    assert mended["reason"] == "Served"
    assert rows_of(served, "s1") == ["three", "3"]
    assert boe_json(served, "status")["problems"] == []


@pytest.mark.slow
def test_a_file_that_is_deleted_is_gone(served: Path) -> None:
    (served / "schedules/s1.yaml").unlink()
    until(lambda: status(served, "s1") is None)
    assert run_boe(served, "trigger", "s1").returncode == 1


@pytest.mark.slow
def test_more_removals_than_allowed_wait_for_somebody_to_say_so(folder: Path) -> None:
    """More than 5 objects and more than 20 % of them."""
    with serving(folder) as process:
        for number in range(6):
            (folder / f"schedules/s{number}.yaml").unlink()
        held = until(lambda: (s := status(folder, "s0")) and not s["ready"] and s)
        assert held["reason"] == "RemovalHeld"
        assert rows_of(folder, "s0") == ["one", "1"]
        assert process.end(signal.SIGTERM) == 0
    with serving(folder, "--allow-removals", "6"):
        assert status(folder, "s0") is None
        assert status(folder, "s7")["ready"]


@pytest.mark.slow
def test_with_strict_a_revision_is_served_whole_or_not_at_all(folder: Path) -> None:
    with serving(folder, "--strict"):
        (folder / "schedules/s1.yaml").write_text("kind: Schedule\n")
        write(folder / "schedules/s2.yaml", schedule("s2", query="select 2 as two"))
        until(lambda: boe_json(folder, "status")["problems"])
        found = boe_json(folder, "status")["revision"]
        assert found["serving"] != found["attempted"]
        assert rows_of(folder, "s2") == ["one", "1"]
