"""`boe simulate --ref`: a commit, or what differs between two."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Boe
from tests.folders import a_folder, schedule
from tests.gits import QUIET

SPAN = ("--from", "2026-03-02", "--to", "2026-03-03T12:00")


def commit(repo: Path, message: str) -> None:
    for command in (["add", "-A"], ["commit", "-q", "-m", message]):
        person = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(
            ["git", "-C", repo, *person, *command],
            check=True,
            env={**os.environ, **QUIET},
        )


def at(cron: str, **spec: Any) -> dict[str, Any]:
    return {"when": {"cron": cron, "timezone": "Europe/Berlin"}, **spec}


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two commits, and an edit that is none yet."""
    path = tmp_path_factory.mktemp("refs")
    subprocess.run(["git", "init", "-q", "-b", "main", path], check=True)
    a_folder(
        path,
        schedule("stays", **at("0 6 * * *")),
        schedule("moves", **at("30 6 * * *")),
        schedule("goes", **at("0 7 * * *")),
        schedule("sleeps", **at("0 8 * * *")),
    )
    commit(path, "One")
    (path / "schedules/goes.yaml").unlink()
    a_folder(
        path,
        schedule("moved", metadata={"renamed_from": "moves"}, **at("0 6 * * *")),
        schedule("sleeps", **at("0 8 * * *"), paused=True),
        schedule("new", **at("0 9 * * *")),
    )
    (path / "schedules/moves.yaml").unlink()
    commit(path, "Two")
    a_folder(path, schedule("new", **at("0 10 * * *")))
    return path


def rows(out: str) -> list[str]:
    return [" ".join(line.split()) for line in out.splitlines() if line.strip()]


def test_what_differs_between_two_commits_is_golden(repo: Path, boe: Boe) -> None:
    said = boe(repo, "simulate", "--ref", "HEAD~1..HEAD", *SPAN, "--workers", "1")
    assert (said.code, said.err) == (0, "")
    assert rows(said.out) == [
        "schedule due before due after what",
        "lost goes Mon 2026-03-02 07:00 CET the schedule is removed",
        "lost sleeps Mon 2026-03-02 08:00 CET paused",
        "lost goes Tue 2026-03-03 07:00 CET the schedule is removed",
        "lost sleeps Tue 2026-03-03 08:00 CET paused",
        "moved moved Mon 2026-03-02 06:30 CET Mon 2026-03-02 06:00 CET runs",
        "moved moved Tue 2026-03-03 06:30 CET Tue 2026-03-03 06:00 CET runs",
        "starts later stays Mon 2026-03-02 06:00 CET Mon 2026-03-02 06:00 CET +1m runs, "
        "later: all workers were busy",
        "starts later stays Tue 2026-03-03 06:00 CET Tue 2026-03-03 06:00 CET +1m runs, "
        "later: all workers were busy",
        "added new Mon 2026-03-02 09:00 CET runs",
        "added new Tue 2026-03-03 09:00 CET runs",
        "4 lost",
        "2 moved",
        "2 starts later",
        "2 added",
        "Most that start in a minute: 1 at 2026-03-02 05:00 UTC, then 1 at 2026-03-02 "
        "05:00 UTC.",
        "Most that run at once: 1 at 2026-03-02 05:00 UTC, then 1 at 2026-03-02 05:00 "
        "UTC.",
    ]
    assert not (repo / ".boe").exists()


def test_the_same_in_json(repo: Path, boe: Boe) -> None:
    command = ("simulate", "goes", "new", "--ref", "HEAD~1..", *SPAN)
    found = boe(repo, *command, "--format", "json").json
    assert list(found) == [
        *("format_version", "base", "head", "from", "to", "assumed", "counts"),
        *("differences", "schedules", "load"),
    ]
    assert found["base"].startswith("HEAD~1@sha1:")
    assert found["head"].startswith("folder@sha1:")
    assert found["counts"] == {"lost": 2, "added": 2}
    lost, _, added, _ = found["differences"]
    assert (lost["kind"], lost["schedule"], lost["after"]) == ("lost", "goes", None)
    assert lost["before"]["occurrence"] == "2026-03-02T06:00:00Z"
    assert added["after"]["local"] == "2026-03-02T10:00:00+01:00"
    assert found["schedules"] == [
        {
            "schedule": "goes",
            "before": {"runs": 2, "skipped": 0, "missed": 0, "cancelled": 0},
            "after": None,
        },
        {
            "schedule": "new",
            "before": None,
            "after": {"runs": 2, "skipped": 0, "missed": 0, "cancelled": 0},
        },
    ]


def test_one_commit_is_simulated_as_the_folder_is(repo: Path, boe: Boe) -> None:
    found = boe(
        repo, "simulate", "new", "--ref", "HEAD", *SPAN, "--format", "json"
    ).json
    assert [run["occurrence"] for run in found["runs"]] == [
        "2026-03-02T08:00:00Z",
        "2026-03-03T08:00:00Z",
    ]


def test_revisions_that_are_alike_differ_in_nothing(repo: Path, boe: Boe) -> None:
    said = boe(repo, "simulate", "--ref", "HEAD..HEAD", *SPAN)
    assert rows(said.out)[0] == "No run differs."


def test_what_cannot_be_used_goes_on_as_it_is(repo: Path, boe: Boe) -> None:
    broken = repo / "schedules/stays.yaml"
    good = broken.read_text()
    broken.write_text("nothing: good")
    said = boe(repo, "simulate", "stays", "--ref", "HEAD..", *SPAN)
    broken.write_text(good)
    assert rows(said.out)[0] == "No run differs."
    assert said.err == (
        "boe: 1 object of the folder cannot be used: what HEAD has of them goes on.\n"
        "     `boe plan` says which and why.\n"
    )


@pytest.mark.parametrize(
    ("ref", "says"),
    [("A...B", "three dots"), ("HEAD..nowhere", "no commit"), ("nowhere", "no commit")],
)
def test_what_names_no_commit_is_refused(
    repo: Path, boe: Boe, ref: str, says: str
) -> None:
    said = boe(repo, "simulate", "--ref", ref)
    assert said.code == 1
    assert says in said.err
