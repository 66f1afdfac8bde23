"""What holds for every command: help, exit codes, where output goes."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from pathlib import Path

import pytest
import typer

from boe_reconciler import cli
from boe_reconciler.cli import main, nextruns
from boe_reconciler.engine.lock import FolderLock
from tests.cli.conftest import Boe
from tests.folders import BOE, a_folder, run_boe, schedule

COMMANDS = (
    "init new validate plan next simulate explain run trigger resend rerun status runs "
    "show pause resume cancel release recipients suppressed suppress unsuppress import "
    "schema doctor"
).split()
READ_ONLY = (
    ["validate"],
    ["plan"],
    ["next", "--all"],
    ["simulate"],
    ["explain", "quick"],
    ["status"],
    ["suppressed"],
    ["runs"],
    ["show", "quick"],
    ["resend", "quick"],
    ["cancel", "quick"],
    ["recipients", "anna@example.com"],
    ["doctor"],
    ["schema"],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_folder(tmp_path_factory.mktemp("doors") / "repo", schedule("quick"))


# Last, and for the whole state folder.
COMMANDS += ["backup", "restore"]


def test_without_a_command_the_commands_are_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run([]) == 0
    listed = re.findall(r"(?m)^  ([a-z]+)  +[A-Z]", capsys.readouterr().out)
    assert listed == COMMANDS


def test_each_command_is_listed_with_what_it_says_of_itself() -> None:
    group = typer.main.get_command(main.boe)
    for name, (_, said) in main.COMMANDS.items():
        command = group.get_command(None, name)  # type: ignore[attr-defined]  # a group
        assert command.get_short_help_str(limit=200) == said


def test_no_summary_of_a_command_is_cut_off(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cli.run(["--help"])
    assert "...\n" not in capsys.readouterr().out.partition("Commands:")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_examples_each_on_its_line(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([command, "--help"]) == 0
    text = capsys.readouterr().out
    _, examples = re.split(r"(?m)^  Examples?:$", text)
    lines = examples.partition("\n\n")[0].strip().splitlines()
    assert lines
    assert all(re.match(r" *boe (-C \S+ )?[a-z]+", line) for line in lines)
    assert any(re.search(rf"\b{command}\b", line) for line in lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_help_speaks_of_no_types_of_python(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([command, "--help"]) == 0
    assert not re.search(r"<\w+|x[<>]=|[{}]", capsys.readouterr().out)


def test_a_number_out_of_its_range_is_told(folder: Path, boe: Boe) -> None:
    for asked in (["runs", "--limit", "0"], ["plan", "--days", "367"]):
        assert boe(folder, *asked).code == 1


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert re.fullmatch(r"boe \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["triger", "quick"], "Did you mean 'trigger'?"),
        (["runs", "--limti", "3"], "--limit"),
        (["trigger"], "Missing argument 'NAME'"),
        (["runs", "--limit", "0"], "--limit"),
        (["runs", "--status", "fine"], "'fine' is not one of 'pending'"),
        (["validate", "--format", "xml"], "'xml' is not one of"),
        (["--log-format", "yaml", "runs"], "'yaml' is neither text nor json"),
        (["--env", "staging", "run"], 'There is no Environment "staging"'),
        (["run", "quick"], "Unexpected argument 'quick'"),
        (["run", "--git", "http://example.com/x.git"], "only https"),
        (["run", "--until", "tomorrow"], "'tomorrow' is not a time"),
        (["run", "--drain-timeout", "soon"], "--drain-timeout"),
        (["validate", "nowhere"], "There is no file or folder nowhere"),
        (["plan", "--base", "main"], "is in no git repo"),
        (["plan", "--head", "main"], "is in no git repo"),
        (["next", "quik"], 'Did you mean "quick"?'),
        (["next", "quick", "--after", "noon"], "--after 'noon' is not a time"),
        (["trigger", "quik"], 'Did you mean "quick"?'),
        (["trigger", "quick", "--param", "x"], "'x' is not of the form name=value"),
        (["trigger", "quick", "--param", "x=1"], "x"),
        (["trigger", "quick", "--only", "archive"], "archive"),
        (["trigger", "quick", "--to", "me@example.com"], "has no mail"),
        (["resend", "quik"], "There is no run"),
        (["rerun"], "Name a RUN, --failed, or NAME with --from and --to"),
        (["rerun", "quick", "--from", "2026-01-01"], "--from and --to"),
        (["show", "quik"], "There is no run"),
        (["cancel", "quik"], "There is no run"),
        (["pause", "quick"], "--why is missing"),
        (["pause", "--why", "x"], "Name one of NAME, --all"),
        (["pause", "quick", "--all", "--why", "x"], "Name one of NAME, --all"),
        (["pause", "quik", "--why", "x"], 'Did you mean "quick"?'),
        (["pause", "--label", "x", "--why", "x"], "key=value"),
        (["pause", "--owner", "op@example.com", "--why", "x"], "ops@example.com"),
        (["pause", "--connection", "nine", "--why", "x"], 'Did you mean "none"?'),
        (["pause", "quick", "--until", "2020-01-01", "--why", "x"], "lies in the past"),
        (["schema", "shedule"], 'Did you mean "schedule"?'),
        (["new", "schedul", "x"], "'schedul' is not one of"),
        (["new", "schedule", "No Good"], "no-good"),
        (["import", "old.json"], "--out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_with_the_input_is_told_on_stderr_and_ends_with_1(
    folder: Path, boe: Boe, arguments: list[str], told: str
) -> None:
    said = boe(folder, *arguments)
    assert said.code == 1
    assert told in said.err
    assert said.err.startswith("boe: ")
    assert "Traceback" not in said.err


@pytest.mark.parametrize("command", READ_ONLY, ids=" ".join)
def test_a_command_that_only_reads_makes_no_state_folder(
    tmp_path: Path, boe: Boe, command: list[str]
) -> None:
    repo = a_folder(tmp_path / "repo", schedule("quick"))
    before = sorted(repo.rglob("*"))
    boe(repo, *command)
    assert sorted(repo.rglob("*")) == before


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, boe: Boe) -> None:
    said = boe(tmp_path / "nowhere", "validate")
    assert said.code == 1
    assert "There is no folder" in said.err


def test_state_is_where_the_option_says_seen_from_the_folder(
    tmp_path: Path, boe: Boe
) -> None:
    repo = a_folder(tmp_path / "repo", schedule("quick"))
    assert boe(repo, "--state", "../elsewhere", "trigger", "quick").code == 0
    assert not (repo / ".boe").exists()
    assert (tmp_path / "elsewhere/ledger.sqlite").exists()
    assert (
        len(boe(repo, "--state", "../elsewhere", "runs", "--format", "json").json) == 1
    )


def test_without_a_terminal_there_is_no_colour_and_no_line_is_cut(
    tmp_path: Path, boe: Boe
) -> None:
    name = "a-name-of-sixty-three-characters-at-most-" + "x" * 22
    repo = a_folder(tmp_path / "repo", schedule(name), schedule("bad", format="?"))
    for command in (["validate"], ["plan"], ["trigger", name], ["status"], ["runs"]):
        said = boe(repo, *command)
        assert "\x1b" not in said.out + said.err
        assert command == ["validate"] or name in said.out
        assert "…" not in said.out


def test_on_a_terminal_there_is_colour(folder: Path) -> None:
    """Through `script`, which gives the command a terminal of its own."""
    command = f"{BOE} -C {folder} validate"
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TERM": "xterm-256color"},
        stdin=subprocess.DEVNULL,
    )
    assert "\x1b[32m" in done.stdout


def test_a_reader_that_has_seen_enough_is_no_error(folder: Path) -> None:
    done = subprocess.run(
        f"{BOE} -C {folder} next --all -n 3000 | head -2",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 2


# --- our own faults -----------------------------------------------------------------


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A bug in `boe next`, in a working directory of its own."""

    def bug(*_: object) -> None:
        raise RuntimeError(f"no good: {os.environ['CANARY']}")

    monkeypatch.setenv("CANARY", "s3cret-of-the-environment")
    monkeypatch.setattr(nextruns, "usable_plan_of_files", bug)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def test_a_bug_of_ours_ends_with_3_and_a_report_to_attach(
    folder: Path, boe: Boe, planted: Path
) -> None:
    said = boe(folder, "next")
    assert said.code == 3
    (report,) = planted.glob("boe-error-*.log")
    assert str(report) in said.err
    assert "Traceback" not in said.err
    text = report.read_text()
    assert "RuntimeError" in text
    assert f"command: boe -C {folder} next" in text
    assert "boe_reconciler/cli/nextruns.py" in text


def test_a_report_holds_no_value_of_the_environment(
    folder: Path, boe: Boe, planted: Path
) -> None:
    said = boe(folder, "next")
    (report,) = planted.glob("boe-error-*.log")
    text = report.read_text()
    assert "no good: $CANARY" in text
    for value in os.environ.values():
        assert len(value) < 6 or value not in text
    assert "s3cret" not in said.out + said.err


def test_where_nothing_can_be_written_the_report_goes_to_the_temporary_folder(
    folder: Path, boe: Boe, planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted.rmdir()
    temporary = folder.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    said = boe(folder, "next")
    assert said.code == 3
    assert len(list(temporary.glob("boe-error-*.log"))) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        *(["explain", "a\udcff"], ["explain", "quick.20269999T000000Z"]),
        *(["explain", "quick.00010101T000000Z"], ["explain", "quick.99991231T235959Z"]),
        *(["simulate", "--from", "0001-01-01"], ["simulate", "--from", "9999-12-31"]),
        *(
            ["simulate", "--from", ""],
            ["simulate", "--outage", "0001-01-01/2026-01-01"],
        ),
        ["rerun", "quick", "--from", "0001-01-01", "--to", "2026-11-28", "--dry-run"],
        ["rerun", "quick", "--from", "2026-11-28", "--to", "9999-12-31", "--dry-run"],
        *(["rerun", "--failed", "--since", ""], ["runs", "--schedule", "\udcff"]),
        *(["run", "--once", "--until", ""], ["run", "--once", "--git", ""]),
    ],
)
def test_what_nobody_can_mean_is_told_and_ends_with_1(
    folder: Path, boe: Boe, arguments: list[str]
) -> None:
    said = boe(folder, *arguments)
    assert said.code == 1, said.err
    assert "itself failed" not in said.err
    assert said.err or "is unknown" in said.out


def test_a_count_may_be_as_large_as_anybody_likes(folder: Path, boe: Boe) -> None:
    many = "9" * 30
    assert boe(folder, "next", "--until", "2026-01-01", "-n", many).code == 0
    assert boe(folder, "trigger", "quick").code == 0
    assert boe(folder, "runs", "--limit", many).code == 0


@pytest.mark.parametrize("place", ["a-file", "a-file/below", "/dev/null/below"])
def test_a_state_folder_that_cannot_be_made_is_told(
    folder: Path, boe: Boe, tmp_path: Path, place: str
) -> None:
    (tmp_path / "a-file").touch()
    said = boe(folder, "--state", str(tmp_path / place), "trigger", "quick")
    assert (said.code, said.out) == (1, "")
    assert "The state folder" in said.err
    assert "--state" in said.err


@pytest.mark.parametrize("name", ["serve.lock/", "blobs"])
def test_something_else_in_the_state_folder_is_told(
    folder: Path, boe: Boe, tmp_path: Path, name: str
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / name).mkdir() if name.endswith("/") else (state / name).touch()
    said = boe(folder, "--state", str(state), "trigger", "quick")
    assert (said.code, said.out) == (1, "")
    assert f"{state / name}: " in said.err
    assert "--state" in said.err


@pytest.mark.parametrize("errno_", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_state_folder_of_somebody_else_or_without_room_is_told(
    folder: Path, boe: Boe, monkeypatch: pytest.MonkeyPatch, errno_: int
) -> None:
    def refused(lock: FolderLock) -> bool:
        raise OSError(errno_, os.strerror(errno_), str(lock.path))

    monkeypatch.setattr(FolderLock, "try_acquire", refused)
    said = boe(folder, "trigger", "quick")
    assert said.code == 1
    assert os.strerror(errno_) in said.err


def test_nothing_that_is_printed_steers_a_terminal(folder: Path, boe: Boe) -> None:
    said = boe(folder, "explain", "a\x1b[31m\x07\x9bb")
    assert said.out.startswith("a?[31m??b is unknown.")


def test_what_turns_a_line_around_is_printed_as_its_code(
    folder: Path, boe: Boe
) -> None:
    said = boe(
        folder, "explain", "a\u202eb\u2066c\u2028d\u200be \U0001f469\u200d\U0001f4bb"
    )
    assert "a\\u202eb\\u2066c\\u2028d\\u200be \U0001f469\u200d\U0001f4bb" in said.out


def test_nothing_that_is_printed_is_a_command_in_the_log_of_a_job(
    folder: Path, boe: Boe
) -> None:
    """A terminal takes none: there a text stands as it is."""
    said = boe(folder, "explain", "::add-mask::a ##[group]b")
    assert said.out.startswith(": :add-mask::a # #[group]b is unknown.")


def test_a_locale_without_a_letter_stops_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    said = run_boe(folder, "explain", "ü")
    assert said.returncode == 1, said.stderr
    assert "\\xfc is unknown" in said.stdout


def test_ctrl_c_ends_with_130(
    folder: Path, boe: Boe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(nextruns, "usable_plan_of_files", interrupted)
    assert boe(folder, "next").code == 130


def test_the_real_program_gives_the_same_codes(folder: Path) -> None:
    assert run_boe(folder, "validate").returncode == 0
    assert run_boe(folder, "validate", "nowhere").returncode == 1


def test_a_program_that_read_with_duckdb_ends_without_a_word(tmp_path: Path) -> None:
    repo = a_folder(tmp_path / "repo", schedule("quick"))
    ended = run_boe(repo, "run", "--once", "--now-all")
    assert (ended.returncode, ended.stderr) == (0, "")
