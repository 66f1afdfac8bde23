"""`boe plan`: what would change, before it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Boe
from tests.folders import a_folder, schedule, write


@pytest.fixture
def served(tmp_path: Path, boe: Boe) -> Path:
    """Three schedules that are served as they are."""
    repo = a_folder(
        tmp_path / "repo", *(schedule(name) for name in ("stays", "moves", "goes"))
    )
    assert boe(repo, "run", "--once").code == 0
    return repo


def change(repo: Path) -> None:
    (repo / "schedules/goes.yaml").unlink()
    later = {"cron": "0 7 * * *", "timezone": "Europe/Berlin"}
    write(repo / "schedules/moves.yaml", schedule("moves", when=later))
    elsewhere = [{"type": "local", "base_path": "elsewhere"}]
    write(repo / "schedules/comes.yaml", schedule("comes", deliver_to=elsewhere))


def test_json_has_the_keys_that_scripts_rely_on(served: Path, boe: Boe) -> None:
    change(served)
    found = boe(served, "plan", "--days", "7", "--format", "json").json
    assert list(found) == [
        *("format_version", "base", "head", "changes", "runs", "recipients"),
        "diagnostics",
    ]
    assert found["format_version"] == "1.0"
    assert found["base"].startswith("folder@sha1:")
    assert found["head"].startswith("folder@sha1:")
    assert found["base"] != found["head"]
    assert [(one["action"], one["name"]) for one in found["changes"]] == [
        *(("delete", "goes"), ("update", "moves"), ("create", "comes")),
    ]
    assert all(
        list(one) == ["action", "kind", "name", "file", "fields"]
        for one in found["changes"]
    )
    update = found["changes"][1]
    assert (update["kind"], update["file"]) == ("Schedule", "schedules/moves.yaml")
    assert update["fields"] == [
        {"path": "spec.when.cron", "before": "30 6 * * *", "after": "0 7 * * *"}
    ]
    assert list(found["runs"]) == ["added", "removed", "moved"]
    assert {one["schedule"] for one in found["runs"]["added"]} == {"comes"}
    assert {one["schedule"] for one in found["runs"]["removed"]} == {"goes"}
    assert {one["schedule"] for one in found["runs"]["moved"]} == {"moves"}
    assert all(len(runs) == 7 for runs in found["runs"].values())
    assert list(found["recipients"]) == ["added", "removed"]
    assert found["diagnostics"] == []


def test_text_tells_removals_first_and_then_what_runs_next(
    served: Path, boe: Boe
) -> None:
    change(served)
    said = boe(served, "plan")
    assert said.code == 0
    lines = [line for line in said.out.splitlines() if line]
    assert lines[0] == "- Schedule goes  (schedules/goes.yaml)"
    assert lines[1] == "~ Schedule moves  (schedules/moves.yaml)"
    assert lines[2] == '    spec.when.cron: "30 6 * * *" to "0 7 * * *"'
    assert lines[3] == "+ Schedule comes  (schedules/comes.yaml)"
    assert any(line.startswith("  moved    moves: ") for line in lines)
    assert any(line.startswith("  removed  goes: ") for line in lines)
    assert "  no longer  goes to exports (local)" in lines
    assert "  from now   comes to elsewhere (local)" in lines
    assert "Runs within 30 days: 30 removed, 30 moved, 30 added." in lines
    table = lines[lines.index(next(x for x in lines if x.startswith("schedule"))) :]
    assert [row.split()[0] for row in table[1:4]] != []
    assert {row.split()[0] for row in table[1:4]} == {"stays", "moves", "comes"}
    assert "06:30 CE" in said.out
    assert "UTC)" in said.out
    assert lines[-1] == "1 to remove, 1 to change, 1 to add."


def test_no_changes_are_told(served: Path, boe: Boe) -> None:
    said = boe(served, "plan")
    assert said.code == 0
    assert said.out.splitlines()[-1] == "No changes."


@pytest.mark.parametrize(("changed", "code"), [(False, 0), (True, 2)])
def test_the_detailed_exit_code_tells_of_changes(
    served: Path, boe: Boe, changed: bool, code: int
) -> None:
    if changed:
        change(served)
    assert boe(served, "plan", "--detailed-exitcode").code == code
    said = boe(served, "plan", "--detailed-exitcode", "--format", "json")
    assert said.code == code


def test_a_broken_file_removes_nothing_and_ends_with_1(served: Path, boe: Boe) -> None:
    (served / "schedules/goes.yaml").write_text(
        "kind: Schedule\nmetadata: {name: goes\n"
    )
    said = boe(served, "plan", "--detailed-exitcode")
    assert said.code == 1
    assert "No changes." in said.out
    assert "schedules/goes.yaml:" in said.out
    found: Any = boe(served, "plan", "--format", "json").json
    assert found["changes"] == []
    assert found["diagnostics"][0]["range"]["filename"] == "schedules/goes.yaml"


def test_with_nothing_served_all_is_new(tmp_path: Path, boe: Boe) -> None:
    repo = a_folder(tmp_path, schedule("a"), schedule("b", paused=True))
    said = boe(repo, "plan")
    lines = [line.rstrip() for line in said.out.splitlines() if line]
    assert lines[:3] == [
        "Nothing is served yet; all of this is new.",
        "+ Connection       none",
        "+ Schedule         a, b",
    ]
    assert lines[-2].split() == ["b", "paused"]
    assert lines[-1] == "3 to add."
    found = boe(repo, "plan", "--format", "json").json
    assert found["base"] is None
    assert {one["action"] for one in found["changes"]} == {"create"}
    assert boe(repo, "plan", "--detailed-exitcode").code == 2


def test_an_empty_folder_changes_nothing(tmp_path: Path, boe: Boe) -> None:
    assert boe(tmp_path, "plan", "--detailed-exitcode").code == 0


def test_a_schedule_that_never_runs_again_is_told(tmp_path: Path, boe: Boe) -> None:
    once = {"once": ["2020-01-01T00:00:00Z"], "timezone": "UTC"}
    repo = a_folder(tmp_path, schedule("over", when=once))
    assert "never again" in boe(repo, "plan").out


def test_planning_writes_nothing(served: Path, boe: Boe) -> None:
    def state() -> dict[Path, int]:
        """The files that hold something: looking may open a database."""
        return {
            path: path.stat().st_size
            for path in served.rglob("*")
            if path.is_file() and not path.name.endswith(("-wal", "-shm"))
        }

    change(served)
    before = state()
    boe(served, "plan")
    assert state() == before
