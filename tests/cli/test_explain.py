"""`boe explain`: exit codes, JSON and words, with and without a state folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Boe
from tests.folders import a_folder, schedule, serving


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return a_folder(
        tmp_path / "repo",
        schedule("good"),
        schedule("asleep", paused=True),
        schedule("broken", query="select * from nowhere"),
    )


def test_from_the_files_alone(repo: Path, boe: Boe) -> None:
    said = boe(repo, "explain", "asleep")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "asleep will not run."
    assert lines[1].startswith(
        "It is paused in its files (`paused: true` at schedules/"
    )
    assert lines[2].startswith("Also: Its next time is ")
    assert lines[3] == "(paused_in_git, schedules/asleep.yaml:26)"
    assert not (repo / ".boe").exists()


def test_in_json(repo: Path, boe: Boe) -> None:
    found = boe(repo, "explain", "asleep", "--format", "json").json
    assert list(found) == ["verdict", "reason_code", "place", "text", "gates"]
    assert (found["verdict"], found["reason_code"]) == ("will_not_run", "paused_in_git")
    assert found["place"] == "schedules/asleep.yaml:26"
    assert [list(gate) for gate in found["gates"]] == [
        ["gate", "passed", "reason_code", "place", "text"]
    ] * len(found["gates"])


def test_an_unknown_name_ends_with_1_and_a_suggestion(repo: Path, boe: Boe) -> None:
    said = boe(repo, "explain", "goood")
    assert said.code == 1
    assert 'did you mean "good"?' in said.out
    assert (
        boe(repo, "explain", "goood", "--format", "json").json["verdict"] == "unknown"
    )


def test_a_run_that_failed_names_what_mends_it(repo: Path, boe: Boe) -> None:
    boe(repo, "trigger", "broken")
    (run,) = boe(repo, "runs", "--format", "json").json
    said = boe(repo, "explain", run["run_id"])
    assert said.code == 0
    assert said.out.startswith(f"{run['run_id']} failed.\n")
    assert f"`boe rerun {run['run_id']}`" in said.out
    assert "(query_failed)" in said.out
    nobody = boe(repo, "explain", "broken", "--format", "json").json
    assert nobody["reason_code"] == "nobody_serves"
    assert nobody["gates"][-1]["reason_code"] == "query_failed"


def test_beside_a_process_that_serves(repo: Path, boe: Boe) -> None:
    with serving(repo):
        found = boe(repo, "explain", "good", "--format", "json").json
        assert (found["verdict"], found["reason_code"]) == ("will_run", "not_due")


def test_how_the_last_run_went_is_told_before_all_else_there_is_to_say(
    repo: Path, boe: Boe
) -> None:
    boe(repo, "trigger", "good")
    (run,) = boe(repo, "runs", "--format", "json").json
    lines = boe(repo, "explain", "good").out.splitlines()
    assert lines[2].startswith(f"The last one, {run['run_id']}: It succeeded on ")
    assert lines[3].startswith("Also: Its next time is ")
