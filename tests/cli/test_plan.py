"""`boe plan`: what would change, before it does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.clock import SystemClock
from tests.cli.conftest import Boe
from tests.folders import a_folder, schedule, write
from tests.gits import git_in


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a run's old and new time, the days ahead hold one more of the old ones."""
    now = datetime(2026, 6, 1, 12, tzinfo=UTC)
    monkeypatch.setattr(SystemClock, "now", lambda _: now)


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
    assert list(found)[:7] == [
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
        list(one)[:5] == ["action", "kind", "name", "file", "fields"]
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


def test_text_tells_removals_first_and_the_verdict_last(served: Path, boe: Boe) -> None:
    change(served)
    said = boe(served, "plan")
    assert said.code == 0
    lines = [line for line in said.out.splitlines() if line]
    assert lines[:5] == [
        "Objects",
        "  - Schedule goes  (schedules/goes.yaml)",
        "  ~ Schedule moves  (schedules/moves.yaml)",
        '        spec.when.cron: "30 6 * * *" → "0 7 * * *"',
        "  + Schedule comes  (schedules/comes.yaml)",
    ]
    runs = lines[lines.index("Runs") + 1 :][:3]
    for line, begin in zip(
        runs, ("  - goes: ", "  ~ moves: ", "  + comes: "), strict=True
    ):
        assert line.startswith(begin)
        assert line.endswith(" and 29 more")
    assert "06:30 CE" in runs[0]
    assert "UTC) → " in runs[1]
    assert "  - exports (local) no longer gets: goes" in lines
    assert "  + elsewhere (local) gets from now on: comes" in lines
    rows = lines[lines.index("Next runs") + 1 :]
    assert [row.split()[0] for row in rows[:2]] == ["comes", "moves"]
    assert lines[-3:] == [
        "Runs within 30 days: 30 removed, 30 moved, 30 added.",
        "Recipients: 1 lost, 1 gained; for the first time to folder elsewhere.",
        "1 to remove, 1 to change, 1 to add.",
    ]


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
    assert lines[:4] == [
        "There is nothing to compare with yet; all of this is new.",
        "Objects",
        "  + Connection: none",
        "  + 2 Schedules: a, b",
    ]
    assert "    b  paused" in lines
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


# --- Two revisions ----------------------------------------------------------------


@pytest.fixture
def cloned(tmp_path: Path) -> Path:
    """A work tree whose only commit has three schedules."""
    repo = a_folder(
        tmp_path / "repo", *(schedule(name) for name in ("stays", "moves", "goes"))
    )
    git_in(repo, "init", "-q", "-b", "main")
    git_in(repo, "add", ".")
    git_in(repo, "commit", "-q", "-m", "First")
    return repo


def names(found: Any) -> list[tuple[str, str]]:
    return [(one["action"], one["name"]) for one in found["changes"]]


CHANGED = [("delete", "goes"), ("update", "moves"), ("create", "comes")]


def test_the_folder_is_compared_with_a_commit_without_a_state_folder(
    cloned: Path, boe: Boe
) -> None:
    change(cloned)
    found = boe(cloned, "plan", "--base", "main", "--format", "json").json
    assert found["base"].startswith("main@sha1:")
    assert found["head"].startswith("folder@sha1:")
    assert names(found) == CHANGED
    assert not (cloned / ".boe").exists()


def test_two_commits_are_compared_whatever_the_folder_holds(
    cloned: Path, boe: Boe
) -> None:
    change(cloned)
    git_in(cloned, "add", "-A")
    git_in(cloned, "commit", "-q", "-m", "Second")
    (cloned / "schedules/stays.yaml").unlink()
    ends = ("--base", "HEAD~1", "--head", "HEAD")
    found = boe(cloned, "plan", *ends, "--format", "json").json
    assert names(found) == CHANGED
    assert boe(cloned, "plan", *ends, "--detailed-exitcode").code == 2
    back = boe(cloned, "plan", "--base", found["head"], "--head", found["base"])
    assert back.code == 0
    assert "1 to remove, 1 to change, 1 to add." in back.out


def test_a_commit_is_compared_with_what_is_served(cloned: Path, boe: Boe) -> None:
    assert boe(cloned, "run", "--once").code == 0
    change(cloned)
    found = boe(cloned, "plan", "--head", "HEAD", "--format", "json").json
    assert names(found) == []


def test_a_base_beside_a_state_folder_is_refused(cloned: Path, boe: Boe) -> None:
    said = boe(cloned, "--state", "elsewhere", "plan", "--base", "main")
    assert said.code == 1
    assert "--base and --state" in said.err


@pytest.mark.parametrize("options", [("--base", "none"), ("--head", "none")])
def test_a_revision_that_is_not_there_is_told(
    cloned: Path, boe: Boe, options: tuple[str, str]
) -> None:
    said = boe(cloned, "plan", *options)
    assert said.code == 1
    assert "There is no commit 'none'" in said.err


def removing_most(cloned: Path, message: str) -> None:
    """Six of ten schedules vanish on top of a commit that has them."""
    for number in range(7):
        write(cloned / f"schedules/more{number}.yaml", schedule(f"more{number}"))
    git_in(cloned, "add", "-A")
    git_in(cloned, "commit", "-q", "-m", "More")
    for number in range(6):
        (cloned / f"schedules/more{number}.yaml").unlink()
    git_in(cloned, "commit", "-q", "-a", "-m", message)


@pytest.mark.parametrize("head", [(), ("--head", "HEAD")])
def test_many_removals_wait_for_their_trailer(
    cloned: Path, boe: Boe, head: tuple[str, ...]
) -> None:
    removing_most(cloned, "Fewer")
    said = boe(cloned, "plan", "--base", "HEAD~1", *head)
    assert said.code == 1
    assert "6 removals will wait until a commit has the trailer" in said.out
    assert "No changes." in said.out
    git_in(cloned, "commit", "-q", "--amend", "-m", "Fewer\n\nBoe-Allow-Removals: 6")
    said = boe(cloned, "plan", "--base", "HEAD~1", *head)
    assert said.code == 0
    assert "6 to remove." in said.out


def test_a_branch_that_lacks_commits_of_its_base_is_told(
    cloned: Path, boe: Boe
) -> None:
    git_in(cloned, "checkout", "-q", "-b", "feature")
    git_in(cloned, "commit", "-q", "--allow-empty", "-m", "Mine")
    git_in(cloned, "checkout", "-q", "main")
    change(cloned)
    git_in(cloned, "add", "-A")
    git_in(cloned, "commit", "-q", "-m", "Theirs")
    said = boe(cloned, "plan", "--base", "main", "--head", "feature")
    assert "The head lacks commits of the base" in said.out
    found = boe(
        cloned, "plan", "--base", "main", "--head", "feature", "--format", "json"
    )
    assert found.json["descends"] is False


def test_what_a_broken_base_may_serve_is_named(cloned: Path, boe: Boe) -> None:
    broken = schedule("moves", report="none")
    write(cloned / "schedules/moves.yaml", broken)
    git_in(cloned, "commit", "-q", "-a", "-m", "Break it")
    write(cloned / "schedules/moves.yaml", schedule("moves"))
    said = boe(cloned, "plan", "--base", "HEAD")
    assert said.code == 0
    assert "  ~ Schedule moves, in the base: " in said.out
    assert "1 object of the base cannot be used" in said.out


def test_strict_takes_up_nothing_with_an_error(cloned: Path, boe: Boe) -> None:
    change(cloned)
    write(cloned / "schedules/bad.yaml", schedule("bad", report="none"))
    assert "1 to add." in boe(cloned, "plan", "--base", "HEAD").out
    strict = boe(cloned, "plan", "--base", "HEAD", "--strict")
    assert strict.code == 1
    assert "No changes." in strict.out


def test_expanded_it_tells_who_gets_which_file(cloned: Path, boe: Boe) -> None:
    change(cloned)
    said = boe(cloned, "plan", "--base", "HEAD", "--expand")
    lines = said.out.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("    comes, "))
    assert lines[at + 1].startswith("        elsewhere (local): 20")
    assert lines[at + 1].endswith(".csv")
    found = boe(cloned, "plan", "--base", "HEAD", "--expand", "--format", "json").json
    assert [one["schedule"] for one in found["deliveries"]] == ["comes", "moves"]


def test_markdown_begins_with_what_a_reviewer_has_to_know(
    cloned: Path, boe: Boe
) -> None:
    change(cloned)
    said = boe(cloned, "plan", "--base", "main", "--format", "markdown")
    assert said.code == 0
    assert said.out.splitlines()[0] == (
        "### BOE plan: 1 to remove, 1 to change, 1 to add."
    )
    assert said.out.count("<details>") == said.out.count("</details>") == 4
    assert said.out.splitlines()[-1].startswith("From `main@sha1:")
    assert boe(cloned, "plan", "--base", "main", "--format", "markdown").out == said.out
