"""`boe plan --comment`: the plan as the one comment of a request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from boe_reconciler.cli import commenting
from tests.cli.conftest import Boe
from tests.folders import a_folder, schedule, write
from tests.forges.fake import READ_ONLY, Fault, Forge, a_forge


@pytest.fixture
def forge() -> Iterator[Forge]:
    with a_forge() as made:
        yield made


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return a_folder(tmp_path / "repo", schedule("a"))


@pytest.fixture(params=["github", "gitlab"])
def job(
    request: pytest.FixtureRequest,
    forge: Forge,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """The environment of a job about request 7."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    of_github = {
        "GITHUB_REPOSITORY": forge.project,
        "GITHUB_API_URL": forge.github,
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_TOKEN": "t-actions",
    }
    of_gitlab = {
        "CI_API_V4_URL": forge.gitlab,
        "CI_PROJECT_ID": forge.project,
        "CI_MERGE_REQUEST_IID": "7",
        "BOE_FORGE_TOKEN": "t-ada",
    }
    found = of_github if request.param == "github" else of_gitlab
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(commenting, "_PAUSE", commenting._PAUSE * 0)
    return str(request.param)


@pytest.mark.usefixtures("job")
def test_the_plan_is_a_comment_that_follows_the_change(
    repo: Path, boe: Boe, forge: Forge
) -> None:
    said = boe(repo, "plan", "--comment")
    assert (said.code, len(forge.comments)) == (0, 1)
    assert "comment of request 7" in said.err
    first = forge.comments[0]["body"]
    assert "### BOE plan: " in first.splitlines()[1]
    write(repo / "schedules/b.yaml", schedule("b"))
    assert boe(repo, "plan", "--comment", "--detailed-exitcode").code == 2
    assert len(forge.comments) == 1
    assert forge.comments[0]["body"] != first


@pytest.mark.usefixtures("job")
def test_a_token_that_may_not_comment_is_a_warning_and_the_log_has_the_plan(
    repo: Path, boe: Boe, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOE_FORGE_TOKEN", READ_ONLY)
    said = boe(repo, "plan", "--comment")
    assert said.code == 0
    assert "No comment: " in said.err
    assert "does not let the token do this" in " ".join(said.err.split())
    assert "### BOE plan: " in said.out
    assert forge.comments == []
    assert READ_ONLY not in said.err + said.out


@pytest.mark.usefixtures("job")
def test_a_forge_that_stumbles_is_asked_again_and_one_that_is_down_is_left(
    repo: Path, boe: Boe, forge: Forge
) -> None:
    forge.faults.extend([Fault(status=502), Fault(status=502)])
    assert boe(repo, "plan", "--comment").code == 0
    assert len(forge.comments) == 1
    forge.down = Fault(status=502)
    said = boe(repo, "plan", "--comment")
    assert said.code == 0
    assert "answered 502" in said.err


@pytest.mark.usefixtures("job")
def test_what_is_wrong_with_the_files_is_still_the_exit_code(
    repo: Path, boe: Boe, forge: Forge
) -> None:
    write(repo / "schedules/a.yaml", schedule("a", when={"cron": "99 * * * *"}))
    assert boe(repo, "plan", "--comment").code == 1
    assert "BOE0" in forge.comments[0]["body"]


def test_outside_of_a_request_there_is_nothing_to_comment_on(
    repo: Path, boe: Boe, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = boe(repo, "plan", "--comment")
    assert said.code == 0
    assert "no job of GitHub Actions or GitLab CI" in said.err
    monkeypatch.setenv("GITHUB_REPOSITORY", "team/reports")
    monkeypatch.setenv("GITHUB_REF", "refs/pull/7/merge")
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(repo / "none.json"))
    assert "BOE_FORGE_TOKEN" in boe(repo, "plan", "--comment").err
