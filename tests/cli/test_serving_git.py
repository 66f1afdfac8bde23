"""`boe run --git`: what is refused at the start, and what other commands leave alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Boe
from tests.folders import a_folder, document, schedule
from tests.gits import Upstream


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Where BOE runs: no YAML, only its state folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    found = Upstream(tmp_path / "upstream.git")
    connection = document("Connection", "none", {"type": "duckdb"})
    found.write("connections/none.yaml", json.dumps(connection))
    found.write("schedules/a.yaml", json.dumps(schedule("a")))
    found.commit()
    return found


def test_what_cannot_be_read_at_the_first_start_ends_it_with_a_reason(
    boe: Boe, here: Path, tmp_path: Path
) -> None:
    said = boe(here, "run", "--git", str(tmp_path / "none"))
    assert said.code == 1
    assert "cannot be read" in said.err


def test_later_what_is_served_goes_on_with_a_warning(
    boe: Boe, here: Path, upstream: Upstream, tmp_path: Path
) -> None:
    options = ("run", "--git", str(upstream.path), "--once", "--now", "a")
    assert boe(here, *options).code == 0
    upstream.path.rename(tmp_path / "away")
    said = boe(here, *options)
    assert said.code == 0
    assert "reconcile_failed" in said.err
    assert [one["status"] for one in boe(here, "runs", "--format", "json").json] == [
        "succeeded",
        "succeeded",
    ]


def test_other_commands_and_a_folder_leave_what_came_from_git_alone(
    boe: Boe, here: Path, upstream: Upstream
) -> None:
    """The working folder holds no YAML: taking it for the repo would remove all."""
    assert boe(here, "run", "--git", str(upstream.path), "--once").code == 0
    assert boe(here, "trigger", "a").code == 0
    said = boe(here, "run", "--once")
    assert said.code == 1
    assert "serves a git repo" in said.err
    found = boe(here, "status", "--format", "json").json
    assert found["revision"]["serving"] == f"main@sha1:{upstream.head()}"
    assert {one["name"] for one in found["objects"]} == {"a", "none"}


def test_a_folder_without_files_is_not_planned_as_the_end_of_what_came_from_git(
    boe: Boe, here: Path, upstream: Upstream, tmp_path: Path
) -> None:
    assert boe(here, "run", "--git", str(upstream.path), "--once").code == 0
    said = boe(here, "plan")
    assert said.code == 1
    assert "serves a git repo" in said.err
    assert "BOE_GIT" in said.err
    clone = tmp_path / "clone"
    upstream.git("clone", "--quiet", str(upstream.path), str(clone))
    said = boe(clone, "--state", str(here / ".boe"), "plan")
    assert (said.code, "No changes" in said.out) == (0, True), said.out


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("GIT_TOKEN_FILE", "none", "the secret's file"),
        ("GIT", "https://u:s3cret@localhost/x", "holds a credential"),
        ("BRANCH", "a..b", "--branch"),
        ("POLL", "soon", "--poll"),
        ("POLL", "0s", "--poll"),
        ("GIT_KNOWN_HOSTS", "none", "BOE_GIT_KNOWN_HOSTS"),
        ("HOOK_SECRET", "s3cret-of-some-length", "Give --http"),
        ("FORGE_URL", "https://git.example.com", "API of no forge"),
        ("FORGE_URL", "http://git.example.com/api/v4", "no https address"),
        ("FORGE_PROJECT", "a b", "is no project"),
        ("FORGE_TARGET_URL", "nowhere", "is no web address"),
        ("NOTICE_URL", "s3cret", "BOE_NOTICE_URL is no web address"),
        ("NOTICE_REMIND", "soon", "BOE_NOTICE_REMIND"),
        ("NOTICE_REMIND", "1s", "at least 1m"),
        ("GIT", "/srv/reports.git", "Give BOE_FORGE_URL"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told(
    boe: Boe,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    message: str,
) -> None:
    monkeypatch.setenv("BOE_GIT", "https://github.com/team/reports")
    monkeypatch.setenv("BOE_FORGE_TOKEN", "s3cret")
    monkeypatch.setenv(f"BOE_{name}", value)
    said = boe(here, "run", "--once")
    assert said.code == 1
    assert message in said.err
    assert "s3cret" not in said.err


def test_branch_and_poll_go_with_git(boe: Boe, tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "repo", schedule("a"))
    for option in (("--branch", "main"), ("--poll", "30s")):
        said = boe(folder, "run", "--once", *option)
        assert said.code == 1
        assert "go with --git" in said.err


def test_a_plan_reads_what_was_fetched(
    boe: Boe, here: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOE_GIT", str(upstream.path))
    assert "Nothing was fetched" in boe(here, "plan", "--base", "main").err
    upstream.write("schedules/b.yaml", json.dumps(schedule("b")))
    upstream.commit()
    assert boe(here, "run", "--once").code == 0
    found = boe(here, "plan", "--base", "main~1", "--format", "json").json
    assert [(one["action"], one["name"]) for one in found["changes"]] == [
        ("create", "b")
    ]
    assert found["head"] == f"main@sha1:{upstream.head()}"
    assert boe(here, "plan", "--format", "json").json["changes"] == []
