"""`boe validate`: every mistake at once, in the form that scripts rely on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Boe
from tests.folders import a_folder, schedule, write

BROKEN = """\
apiVersion: boe/v1
kind: Schedule
metadata: {name: x, owner: ops@example.com}
spec:
  report: {connection: none, query: select 1 as one}
  when:
    timezone: Europe/Berlin
    cron: "61 6 * * *"
  deliver_to: [{type: local, base_path: exports}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    repo = a_folder(tmp_path / "repo", schedule("good"))
    (repo / "schedules/x.yaml").write_text(BROKEN)
    return repo


def test_json_has_the_keys_that_scripts_rely_on(folder: Path, boe: Boe) -> None:
    said = boe(folder, "validate", "--format", "json")
    assert said.code == 1
    found = said.json
    assert list(found) == [
        *("format_version", "valid", "error_count", "warning_count", "diagnostics")
    ]
    assert found["format_version"] == "1.0"
    assert (found["valid"], found["error_count"], found["warning_count"]) == (
        False,
        1,
        0,
    )
    (one,) = found["diagnostics"]
    assert list(one) == [
        *("severity", "code", "summary", "detail", "help", "resource", "path", "range")
    ]
    assert one["severity"] == "error"
    assert one["resource"] == {"kind": "Schedule", "name": "x"}
    assert one["path"] == "spec.when.cron"
    assert one["range"] == {
        "filename": "schedules/x.yaml",
        "start": {"line": 8, "column": 11},
        "end": {"line": 8, "column": 23},
    }


def test_text_is_a_line_for_each_problem_and_a_count(folder: Path, boe: Boe) -> None:
    said = boe(folder, "validate")
    assert said.code == 1
    assert said.err == ""
    problem, count = said.out.splitlines()
    assert problem.startswith("schedules/x.yaml:8:11: error BOE")
    assert " spec.when.cron: " in problem
    assert problem.endswith(")")
    assert count == "1 error, 0 warnings in 3 objects."


def test_a_problem_is_one_line_whatever_it_quotes(folder: Path, boe: Boe) -> None:
    odd = BROKEN.replace("  when:", '  "a\\n::error::b": 1\n  when:')
    (folder / "schedules/x.yaml").write_text(odd)
    *problems, _ = boe(folder, "validate").out.splitlines()
    assert len(problems) == 2
    assert all(line.startswith("schedules/x.yaml:") for line in problems)


def test_a_valid_repo_says_so(tmp_path: Path, boe: Boe) -> None:
    said = boe(a_folder(tmp_path, schedule("good")), "validate")
    assert (said.code, said.out) == (0, "2 objects checked, all valid.\n")
    found = boe(tmp_path, "validate", "--format", "json").json
    assert found == {
        "format_version": "1.0",
        "valid": True,
        "error_count": 0,
        "warning_count": 0,
        "diagnostics": [],
    }


def test_a_file_shows_its_own_problems_only(folder: Path, boe: Boe) -> None:
    assert boe(folder, "validate", "schedules/good.yaml").code == 0
    assert boe(folder, "validate", "schedules/x.yaml").code == 1
    assert boe(folder, "validate", str(folder / "schedules/x.yaml")).code == 1


def test_a_folder_is_a_repo_and_its_files_are_named_from_here(
    folder: Path, boe: Boe
) -> None:
    a_folder(folder.parent / "second", schedule("x", when={"cron": "@daily"}))
    said = boe(folder.parent, "validate", "repo", "second", "--format", "json")
    files = {one["range"]["filename"] for one in said.json["diagnostics"]}
    assert files == {"repo/schedules/x.yaml", "second/schedules/x.yaml"}


def test_a_file_outside_the_repo_is_refused(folder: Path, boe: Boe) -> None:
    outside = folder.parent / "outside.yaml"
    outside.write_text("")
    said = boe(folder, "validate", "../outside.yaml")
    assert said.code == 1
    assert "is outside" in said.err


def test_a_folder_without_any_yaml_of_ours_is_told(tmp_path: Path, boe: Boe) -> None:
    (tmp_path / "daily.yaml").write_text("apiVersion: boe/v1\nkind: Schedule\n")
    said = boe(tmp_path, "validate")
    assert said.code == 0
    assert said.out == "Nothing was checked.\n"
    assert "There is no YAML of BOE" in said.err
    assert "what lies beside them is not read" in said.err
    json.loads(boe(tmp_path, "validate", "--format", "json").out)


def test_a_folder_of_the_repo_is_no_repo_and_told_what_to_name(
    folder: Path, boe: Boe
) -> None:
    said = boe(folder, "validate", "schedules")
    assert "A folder is taken for a repo of its own. Name files" in said.err


def test_all_mistakes_are_told_at_once_in_one_order(folder: Path, boe: Boe) -> None:
    write(folder / "schedules/a.yaml", schedule("a", format="?", report="nowhere"))
    write(folder / "schedules/b.yaml", schedule("good"))
    found = boe(folder, "validate", "--format", "json").json["diagnostics"]
    places = [
        (one["range"]["filename"], one["range"]["start"]["line"]) for one in found
    ]
    assert places == sorted(places)
    assert {file for file, _ in places} >= {
        "schedules/a.yaml",
        "schedules/b.yaml",
        "schedules/good.yaml",
        "schedules/x.yaml",
    }
