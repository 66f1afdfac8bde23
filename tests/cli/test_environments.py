"""`boe --env NAME`: one Environment a state folder, and never another one by mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Boe
from tests.folders import a_folder, document, schedule, write

STAGING = {
    "connections": {"none": {"files": {"t": "staging.csv"}}},
    "redirect": {"local": "staging"},
}

DRY = {"redirect": {"others": "drop"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inline = {"type": "local", "base_path": "exports", "create_subdirs": False}
    daily = schedule("daily", query="select * from t", deliver_to=[inline])
    repo = a_folder(tmp_path / "repo", daily)
    duck = {"type": "duckdb", "files": {"t": "real.csv"}}
    write(repo / "connections/none.yaml", document("Connection", "none", duck))
    for name in ("real", "staging"):
        (repo / f"{name}.csv").write_text(f"value\n{name}\n")
    write(
        repo / "environments/staging.yaml", document("Environment", "staging", STAGING)
    )
    write(repo / "environments/dry.yaml", document("Environment", "dry", DRY))
    return repo


def test_a_run_of_an_environment_reads_and_delivers_there(
    boe: Boe, folder: Path
) -> None:
    done = boe(folder, "--env", "staging", "run", "--once", "--now-all")
    assert done.code == 0, done.out + done.err
    (file,) = (folder / "staging/exports").iterdir()
    assert file.read_text().split() == ["value", "staging"]
    assert not (folder / "exports").exists()
    status = boe(folder, "--env", "staging", "status")
    assert "in the Environment staging" in status.out
    shown = boe(folder, "--env", "staging", "show", "daily", "--format", "json").json
    assert shown["environment"] == "staging"
    assert "env        staging" in boe(folder, "--env", "staging", "show", "daily").out


def test_what_an_environment_leaves_out_is_recorded_with_the_reason(
    boe: Boe, folder: Path
) -> None:
    assert boe(folder, "--env", "dry", "run", "--once", "--now-all").code == 0
    (run,) = boe(folder, "--env", "dry", "runs", "--format", "json").json
    assert (run["status"], run["reason"]) == ("skipped", "environment")
    (delivery,) = run["deliveries"]
    assert (delivery["status"], delivery["reason"]) == ("suppressed", "environment")
    assert not (folder / "exports").exists()


@pytest.mark.parametrize(
    ("first", "then", "todo"),
    [
        ([], ["--env", "staging"], "without --env"),
        (["--env", "staging"], [], "with --env staging"),
        (["--env", "staging"], ["--env", "dry"], "with --env staging"),
    ],
)
@pytest.mark.parametrize("command", [["trigger", "daily"], ["run", "--once"], ["plan"]])
def test_a_state_folder_serves_one_environment(
    boe: Boe,
    folder: Path,
    command: list[str],
    first: list[str],
    then: list[str],
    todo: str,
) -> None:
    assert boe(folder, *first, "run", "--once").code == 0
    refused = boe(folder, *then, *command)
    assert refused.code == 1
    assert todo in refused.err
    assert "--state" in refused.err
    elsewhere = boe(folder, *then, "--state", "other", "run", "--once")
    assert elsewhere.code == 0, elsewhere.err


@pytest.mark.parametrize(
    "command", [["status"], ["runs"], ["show", "daily"], ["doctor"]]
)
def test_what_only_reads_the_state_folder_takes_its_environment(
    boe: Boe, folder: Path, command: list[str]
) -> None:
    assert boe(folder, "--env", "staging", "run", "--once", "--now-all").code == 0
    asked = boe(folder, *command)
    assert asked.code == 0, asked.err
    assert asked.out == boe(folder, "--env", "staging", *command).out
    refused = boe(folder, "--env", "dry", *command)
    assert refused.code == 1
    assert "with --env staging" in refused.out + refused.err


@pytest.mark.parametrize(
    "command", ["validate", "plan", "next", "simulate", "run --once", "trigger daily"]
)
def test_an_unknown_environment_is_an_error_of_every_command(
    boe: Boe, folder: Path, command: str
) -> None:
    said = boe(folder, "--env", "stagin", *command.split())
    assert (said.code, said.out) == (1, "")
    assert 'There is no Environment "stagin". Did you mean "staging"?' in " ".join(
        said.err.split()
    )


@pytest.mark.parametrize(
    "command", ["next --all", "simulate", "run --once", "trigger daily"]
)
def test_nothing_is_done_in_an_environment_that_is_wrong(
    boe: Boe, folder: Path, command: str
) -> None:
    broken = document("Environment", "staging", {"redirect": {"lokal": "x"}})
    write(folder / "environments/staging.yaml", broken)
    said = boe(folder, "--env", "staging", *command.split())
    assert said.code == 1
    assert "The Environment staging cannot be used" in said.err
    assert "BOE035" in said.err
    checked = boe(folder, "--env", "staging", "validate")
    assert checked.code == 1
    assert "lokal" in checked.out


def test_the_variable_names_the_environment_too(
    boe: Boe, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOE_ENV", "nope")
    assert boe(folder, "validate").code == 1
    assert boe(folder, "--env", "staging", "validate").code == 0
    assert "--env is empty" in boe(folder, "--env", "", "validate").err


def test_validate_checks_the_overlay_of_every_environment(
    boe: Boe, folder: Path
) -> None:
    wrong = {"connections": {"none": {"type": "postgres"}}}
    write(folder / "environments/e.yaml", document("Environment", "e", wrong))
    said = boe(folder, "validate")
    assert said.code == 1
    assert said.out.startswith("environments/e.yaml:")
