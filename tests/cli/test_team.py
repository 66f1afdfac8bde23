"""What `boe init` writes for a team: CI, pre-commit, editors, make."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from boe_reconciler.app import installed_version
from boe_reconciler.cli import run as main
from boe_reconciler.core.language import schemas
from tests.cli.conftest import Boe, Said
from tests.cli.test_forms import BROKEN, commands, git
from tests.forges.fake import READ_ONLY, a_forge

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
WORKFLOW, GITLAB = ".github/workflows/boe.yml", ".gitlab-ci.yml"
TEAM = {
    *(WORKFLOW, GITLAB, "CODEOWNERS", ".pre-commit-config.yaml", "Makefile"),
    *("README.md", ".gitignore", ".editorconfig"),
    *(".vscode/settings.json", ".vscode/extensions.json"),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `boe init` writes: to look at."""
    folder = tmp_path_factory.mktemp("written")
    assert main(["-C", str(folder), "init", "--owner", "anna@example.com"]) == 0
    return folder


@pytest.fixture
def no_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second, where the schema for editors is not the point."""
    monkeypatch.setattr(schemas, "render_schemas", dict)


@pytest.fixture
def repo(tmp_path: Path, written: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(written, tmp_path / "repo")


def load(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def run(folder: Path, *command: str, **variables: str) -> Said:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path, **variables},
    )
    return Said(done.returncode, done.stdout, done.stderr)


def test_a_team_gets_all_it_needs(written: Path) -> None:
    assert {path for path in TEAM if (written / path).is_file()} == TEAM
    for text in (path.read_text() for path in written.rglob("*") if path.is_file()):
        assert not re.search(r"@[A-Z]+@", text)


@pytest.mark.usefixtures("no_schema")
@pytest.mark.parametrize(
    ("forge", "left_out"),
    [
        ("github", {GITLAB}),
        ("gitlab", {WORKFLOW}),
        ("none", {GITLAB, WORKFLOW, "CODEOWNERS"}),
    ],
)
def test_a_forge_gets_its_own_files(
    tmp_path: Path, boe: Boe, forge: str, left_out: set[str]
) -> None:
    assert boe(tmp_path, "init", "--forge", forge).code == 0
    assert {path for path in TEAM if not (tmp_path / path).exists()} == left_out


@pytest.mark.usefixtures("no_schema")
def test_a_repo_that_a_forge_made_can_be_filled(tmp_path: Path, boe: Boe) -> None:
    (tmp_path / "README.md").write_text("mine\n")
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    said = boe(tmp_path, "init")
    assert said.code == 0
    assert (tmp_path / "README.md").read_text() == "mine\n"
    assert "Kept as they were: README.md, .gitignore." in said.out
    assert "Add .boe/ and exports/ to .gitignore" in said.out


@pytest.mark.usefixtures("no_schema")
def test_a_part_of_a_larger_repo_is_told_where_forges_look(
    tmp_path: Path, boe: Boe
) -> None:
    git(tmp_path, "init", "--quiet")
    assert f"git repo {tmp_path}" in boe(tmp_path, "init", "team").out
    git(tmp_path, "init", "--quiet", "own")
    assert "git repo" not in boe(tmp_path, "init", "own").out


@pytest.mark.usefixtures("no_schema")
def test_owners_are_addresses_in_codeowners(tmp_path: Path, boe: Boe) -> None:
    for owner, line in (
        ("anna@example.com", "* anna@example.com"),
        ("finance", "# * @YOUR-ORG/finance"),
    ):
        assert boe(tmp_path, "init", owner, "--owner", owner).code == 0
        text = (tmp_path / owner / "CODEOWNERS").read_text()
        assert text.splitlines()[1:] == [line]


def test_owners_are_code_owners_where_the_policy_asks_for_it(
    repo: Path, boe: Boe
) -> None:
    policy, owners = repo / "policy.yaml", repo / "CODEOWNERS"
    policy.write_text(
        policy.read_text().replace("# codeowners: true", "codeowners: true")
    )
    assert boe(repo, "validate").code == 0
    owners.write_text(owners.read_text() + "/schedules/ @org/finance\n")
    said = boe(repo, "validate")
    assert said.code == 1
    assert "schedules/sales-daily.yaml:6:10: error BOE157" in said.out
    line = policy.read_text().splitlines().index("  codeowners: true") + 1
    where = f"CODEOWNERS:3 names @org/finance (codeowners, policy.yaml:{line})"
    assert where in said.out


def test_every_file_of_the_package_is_in_its_wheel() -> None:
    """Files that are no Python are left out of a wheel unless they are named."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = project["tool"]["setuptools"]["package-data"]["boe_reconciler"]
    package = ROOT / "boe_reconciler"
    others = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    assert [one for one in others if not any(fnmatch(one, it) for it in named)] == []
    assert not any(Path(one).name.startswith(".") for one in others)  # no glob has them


# --- GitHub and GitLab --------------------------------------------------------------


def test_the_workflow_has_the_least_rights(written: Path) -> None:
    workflow = load(written / WORKFLOW)
    assert workflow["permissions"] == {}
    rights = {name: job["permissions"] for name, job in workflow["jobs"].items()}
    assert rights == {
        "validate": {"contents": "read"},
        "plan": {"contents": "read", "pull-requests": "write"},
    }


def test_a_pull_request_cannot_steer_the_workflow(written: Path) -> None:
    """Its text is nowhere pasted into a script, and one step alone has a token."""
    workflow = load(written / WORKFLOW)
    events = workflow[True]  # YAML 1.1 reads `on` so
    assert {*events} == {"pull_request", "merge_group", "push"}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert [step for step in steps if "${{" in step.get("run", "")] == []
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())
    (comment,) = (step for step in steps if "--comment" in step.get("run", ""))
    with_token = [step for step in steps if "token" in json.dumps(step)]
    assert with_token == [comment]


def test_all_that_ci_fetches_is_pinned(written: Path) -> None:
    text = (written / WORKFLOW).read_text()
    uses = re.findall(r"uses: (.*)", text)
    assert len(uses) == 4
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", one) for one in uses)
    pin = f"boe-reconciler=={installed_version()}"
    for file in (WORKFLOW, GITLAB):
        installs = re.findall(r"pip install --quiet (.*)", (written / file).read_text())
        assert {*installs} == {pin}


def test_ci_has_the_commit_that_a_change_starts_from(written: Path) -> None:
    for job in load(written / WORKFLOW)["jobs"].values():
        assert job["steps"][0]["with"] == {
            "fetch-depth": 0,
            "persist-credentials": False,
        }
    assert load(written / GITLAB)["variables"] == {"GIT_DEPTH": "0"}


def test_no_audit_of_workflows_finds_anything(written: Path) -> None:
    said = run(
        written, "zizmor", "--offline", "--no-progress", "--persona=pedantic", "."
    )
    assert said.code == 0, said.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schema", "file"), [("github-workflows", WORKFLOW), ("gitlab-ci", GITLAB)]
)
def test_ci_files_are_what_their_schemas_ask_for(
    repo: Path, schema: str, file: str
) -> None:
    said = run(repo, "check-jsonschema", "--builtin-schema", f"vendor.{schema}", file)
    assert said.code == 0, said.out


def a_pull_request(repo: Path) -> None:
    """A branch of a clone as CI has it, with a schedule that is broken."""
    git(repo, "init", "--quiet", "-b", "main")
    git(repo, "add", ".")
    git(repo, "commit", "--quiet", "-m", "First")
    git(repo, "update-ref", "refs/remotes/origin/main", "main")
    git(repo, "checkout", "--quiet", "--detach")
    broken = BROKEN.replace("NAME", "x").replace("none", "sales")
    (repo / "schedules/x.yaml").write_text(broken)
    git(repo, "add", ".")
    git(repo, "commit", "--quiet", "-m", "Second")


def the_job(repo: Path, name: str, **variables: str) -> list[Said]:
    """Its steps as a runner of GitHub takes them, but for what they install."""
    files = {one: repo.parent / one for one in ("GITHUB_ENV", "GITHUB_STEP_SUMMARY")}
    for one, file in files.items():
        file.touch()
        variables[one] = str(file)
    said = []
    for step in load(repo / WORKFLOW)["jobs"][name]["steps"]:
        script = step.get("run", "pip")
        if "pip" not in script:
            said.append(run(repo, "bash", "-e", "-c", script, **variables))
        lines = files["GITHUB_ENV"].read_text().splitlines()
        variables |= dict(line.split("=", 1) for line in lines)
    return said


@pytest.mark.slow
def test_the_workflow_shows_mistakes_at_their_lines(repo: Path) -> None:
    a_pull_request(repo)
    (said,) = the_job(repo, "validate", GITHUB_BASE_REF="main")
    assert (said.code, said.err) == (1, "")
    assert [one["file"] for _, one, _ in commands(said.out)] == ["schedules/x.yaml"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("token", ["t-actions", READ_ONLY])
def test_the_workflow_shows_the_plan_in_the_summary_and_where_it_may_as_a_comment(
    repo: Path, token: str
) -> None:
    a_pull_request(repo)
    with a_forge() as forge:
        found, planned = the_job(
            repo,
            "plan",
            GITHUB_BASE_REF="main",
            GITHUB_REPOSITORY=forge.project,
            GITHUB_API_URL=forge.github,
            GITHUB_REF="refs/pull/7/merge",
            GITHUB_TOKEN=token,
        )
    assert (found.code, found.err) == (0, "")
    assert planned.code == 1  # what is wrong stands in the plan as well
    shown = [(repo.parent / "GITHUB_STEP_SUMMARY").read_text()]
    shown += [comment["body"] for comment in forge.comments]
    assert len(shown) == (1 if token == READ_ONLY else 2)
    assert all("schedules/x.yaml" in text for text in shown)


@pytest.mark.slow
def test_the_script_of_gitlab_leaves_both_reports(repo: Path) -> None:
    a_pull_request(repo)
    jobs, base = load(repo / GITLAB), git(repo, "rev-parse", "origin/main")
    script = "\n".join(jobs["validate"]["script"])
    said = run(repo, "bash", "-e", "-c", script, CI_MERGE_REQUEST_DIFF_BASE_SHA=base)
    assert said.code == 1
    assert "schedules/x.yaml:8" in said.out
    assert len(json.loads((repo / "gl-code-quality-report.json").read_text())) == 2
    assert "BOE" in (repo / "boe.xml").read_text()


@pytest.mark.slow
def test_the_script_of_gitlab_comments(repo: Path) -> None:
    a_pull_request(repo)
    (script,) = load(repo / GITLAB)["plan"]["script"]
    with a_forge() as forge:
        job = {
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": git(repo, "rev-parse", "origin/main"),
            "CI_API_V4_URL": forge.gitlab,
            "CI_PROJECT_ID": forge.project,
            "CI_MERGE_REQUEST_IID": "7",
        }
        without = run(repo, "bash", "-e", "-c", script, **job)
        assert "BOE_FORGE_TOKEN" in without.err
        assert forge.comments == []
        run(repo, "bash", "-e", "-c", script, **job, BOE_FORGE_TOKEN="t-ada")
    assert len(forge.comments) == 1


# --- On one's own machine -----------------------------------------------------------


@pytest.mark.slow
def test_make_runs_in_a_fresh_folder(repo: Path) -> None:
    listed = run(repo, "make")
    assert listed.code == 0
    targets = re.findall(r"make (\w+) - ", listed.out)
    assert targets == ["help", "validate", "plan", "next"]
    assert run(repo, "make", "validate").out == "5 objects checked, all valid.\n"
    for target in ("plan", "next"):
        said = run(repo, "make", target)
        assert said.code == 0, said.err
        assert "sales-daily" in said.out
    (repo / "schedules/x.yaml").write_text(BROKEN)
    assert run(repo, "make", "validate").code != 0


def committed(repo: Path, tmp_path: Path) -> Said:
    """What pre-commit says of all that is staged."""
    git(repo, "add", ".")
    home = {"PRE_COMMIT_HOME": str(tmp_path / "pre-commit")}
    return run(repo, "pre-commit", "run", **home)


@pytest.mark.slow
def test_pre_commit_runs_it_before_each_commit(repo: Path, tmp_path: Path) -> None:
    git(repo, "init", "--quiet")
    assert committed(repo, tmp_path).code == 0
    git(repo, "commit", "--quiet", "-m", "First")
    (repo / "reports/sales-by-region.yaml").unlink()
    said = committed(repo, tmp_path)
    assert said.code == 1
    assert "schedules/sales-daily.yaml:9:11: error BOE100" in said.out


@pytest.mark.slow
def test_others_can_take_the_hook_from_this_repo(repo: Path, tmp_path: Path) -> None:
    """As they do, but with the boe of this machine: the network is not asked."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    shutil.copy(ROOT / ".pre-commit-hooks.yaml", hooks)
    git(hooks, "init", "--quiet")
    git(hooks, "add", ".")
    git(hooks, "commit", "--quiet", "-m", "First")
    one = {"id": "boe-validate", "language": "system"}
    where = {"repo": f"file://{hooks}", "rev": git(hooks, "rev-parse", "HEAD")}
    config = repo / ".pre-commit-config.yaml"
    config.write_text(json.dumps({"repos": [{**where, "hooks": [one]}]}))
    git(repo, "init", "--quiet")
    assert committed(repo, tmp_path).code == 0
    (repo / "schedules/x.yaml").write_text(BROKEN)
    said = committed(repo, tmp_path)
    assert said.code == 1
    assert "schedules/x.yaml:8" in said.out
