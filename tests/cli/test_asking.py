"""`boe run --once`, `trigger`, `rerun`, `resend`, `pause`: in one process, one by one."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.cli import progress
from boe_reconciler.ledgers._ledger import StoredLedger
from tests.cli.conftest import Boe
from tests.cli.terminal import Terminal
from tests.folders import a_folder, document, run_boe, schedule, write

REPORT = {
    "connection": "none",
    "query": "select :n as n",
    "parameters": {"n": {"type": "int", "default": 1}},
}
TWO = [
    {"type": "local", "name": "first", "base_path": "first"},
    {"type": "local", "name": "second", "base_path": "second"},
]


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = a_folder(
        tmp_path / "repo",
        schedule("good", report=REPORT, deliver_to=["archive", *TWO]),
        schedule("broken", query="select * from nowhere"),
        schedule("asleep", paused=True),
    )
    archive = {"destinations": [{"type": "local", "base_path": "archive"}]}
    write(
        folder / "distributions/archive.yaml",
        document("Distribution", "archive", archive),
    )
    return folder


def runs(boe: Boe, folder: Path, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = boe(
        folder, "runs", *arguments, "--format", "json"
    ).json
    return found


def files(folder: Path, root: str) -> list[str]:
    return [path.read_text() for path in (folder / root).rglob("*.csv")]


# --- boe run ------------------------------------------------------------------------


def test_once_with_nothing_due_says_so(repo: Path, boe: Boe) -> None:
    said = boe(repo, "run", "--once")
    assert (said.code, said.out) == (0, "Nothing was due; nothing ran.\n")


def test_now_all_leaves_out_paused_ones_and_lists_them(repo: Path, boe: Boe) -> None:
    said = boe(repo, "run", "--once", "--now-all")
    assert said.code == 1  # one of them fails
    assert "Left out, paused: asleep." in said.out
    assert {run["schedule"] for run in runs(boe, repo)} == {"good", "broken"}


def test_now_runs_those_that_are_named_paused_or_not(repo: Path, boe: Boe) -> None:
    said = boe(repo, "run", "--once", "--now", "asleep", "good")
    assert said.code == 0
    assert "asleep is paused; it runs all the same." in said.out
    assert {run["schedule"] for run in runs(boe, repo)} == {"asleep", "good"}


def test_a_run_by_hand_does_not_move_the_timetable(repo: Path, boe: Boe) -> None:
    boe(repo, "run", "--once")
    before = boe(repo, "status", "--format", "json").json["objects"]
    boe(repo, "trigger", "good")
    after = boe(repo, "status", "--format", "json").json["objects"]
    assert [one["next"] for one in after] == [one["next"] for one in before]


def test_ctrl_c_right_after_a_claim_gives_the_run_back(
    repo: Path, boe: Boe, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = StoredLedger.claim

    def claim(*given: Any, **named: Any) -> Any:
        found = real(*given, **named)
        if found:
            signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(StoredLedger, "claim", claim)
    assert boe(repo, "trigger", "good").code == 130
    monkeypatch.undo()
    (run,) = runs(boe, repo)
    assert run["status"] in ("pending", "succeeded")


@pytest.mark.slow
def test_until_an_instant_it_serves_and_then_ends(repo: Path, boe: Boe) -> None:
    write(
        repo / "schedules/soon.yaml",
        schedule("soon", when={"every": "1s", "timezone": "UTC"}),
    )
    write(
        repo / "policy.yaml",
        document("Policy", "policy", {"limits": {"min_interval": "1s"}}),
    )
    end = datetime.now(UTC) + timedelta(seconds=3)
    said = boe(repo, "run", "--until", end.isoformat())
    assert said.code == 0, said.err
    found = runs(boe, repo, "--schedule", "soon")
    assert found
    assert all(run["trigger"] in ("schedule", "catchup") for run in found)
    assert all(datetime.fromisoformat(run["occurrence"]) <= end for run in found)


def test_who_serves_on_a_terminal_is_told_what_changes(repo: Path) -> None:
    terminal = Terminal(repo, "run")
    try:
        terminal.until("Serving.")
        (repo / "schedules/asleep.yaml").unlink()
        terminal.until("The files changed; they are taken up.")
        terminal.press(b"\x03")
        assert terminal.end() == 130
    finally:
        terminal.close()


# --- boe trigger ----------------------------------------------------------------------


def test_who_waits_for_a_run_that_is_held_is_told_how_to_learn_why(
    repo: Path, boe: Boe, monkeypatch: pytest.MonkeyPatch
) -> None:
    always = {"cron": "0 0 * * *", "duration": "25h", "timezone": "UTC"}
    closed = {"type": "duckdb", "blackouts": [always]}
    write(repo / "connections/none.yaml", document("Connection", "none", closed))
    monkeypatch.setattr(progress, "_PATIENCE", 0.4)
    end = datetime.now(UTC) + timedelta(seconds=2)
    said = boe(repo, "run", "--now", "good", "--until", end.isoformat())
    (run,) = runs(boe, repo)
    assert f"Waiting. `boe explain {run['run_id']}` says what for." in said.out


def test_a_process_that_exported_ends_without_a_word_of_its_libraries(
    repo: Path,
) -> None:
    done = run_boe(repo, "trigger", "good")
    assert done.returncode == 0
    assert done.stderr == ""


def test_a_parameter_wins_over_the_schedule(repo: Path, boe: Boe) -> None:
    assert boe(repo, "trigger", "good", "--param", "n=42").code == 0
    assert files(repo, "first") == ["n\n42\n"]


def test_only_one_destination_gets_it(repo: Path, boe: Boe) -> None:
    assert boe(repo, "trigger", "good", "--only", "archive").code == 0
    assert len(files(repo, "archive")) == 1
    shown = boe(repo, "show", "good").out
    assert "  asked for  --only archive\n" in shown
    assert ".csv, 1 row, " in shown
    assert files(repo, "first") + files(repo, "second") == []


def test_a_schedule_with_a_mistake_is_not_called_unknown(repo: Path, boe: Boe) -> None:
    faulty = schedule("faulty", when={"cron": "0 25 * * *"})
    write(repo / "schedules/faulty.yaml", faulty)
    for command in (["trigger", "faulty"], ["run", "--once", "--now", "faulty"]):
        said = boe(repo, *command)
        assert said.code == 1
        assert 'The schedule "faulty" is not valid.' in said.err
        assert "`boe explain faulty` says why." in said.err


def test_no_wait_prints_the_id_and_leaves_the_row(repo: Path, boe: Boe) -> None:
    said = boe(repo, "trigger", "good", "--no-wait")
    (found,) = runs(boe, repo)
    assert said.out.splitlines()[-1] == found["run_id"]
    assert found["status"] == "pending"
    assert boe(repo, "run", "--once").code == 0
    assert [run["status"] for run in runs(boe, repo)] == ["succeeded"]


# --- boe rerun ------------------------------------------------------------------------


def yesterday(hours: int = 0) -> str:
    moment = datetime.now(UTC) - timedelta(days=1, hours=hours)
    return moment.replace(microsecond=0).isoformat()


def test_a_range_is_listed_before_it_runs(repo: Path, boe: Boe) -> None:
    arguments = ("rerun", "good", "--from", yesterday(72), "--to", yesterday())
    said = boe(repo, *arguments, "--dry-run")
    assert said.code == 0
    assert len(said.out.splitlines()) == 3
    assert runs(boe, repo) == []
    assert boe(repo, *arguments).code == 0
    found = runs(boe, repo)
    assert {run["trigger"] for run in found} == {"backfill"}
    assert len({run["occurrence"] for run in found}) == 3
    assert len(files(repo, "first")) == 3


def test_a_range_never_reaches_into_the_future(repo: Path, boe: Boe) -> None:
    said = boe(repo, "rerun", "good", "--from", yesterday(), "--to", "2099-01-01")
    assert said.code == 0
    assert len(runs(boe, repo)) == 1


def test_a_rerun_names_the_run_it_does_again(repo: Path, boe: Boe) -> None:
    boe(repo, "trigger", "good", "--param", "n=5", "--only", "archive")
    (old,) = runs(boe, repo)
    said = boe(repo, "rerun", "good", "--corrected", "wrong currency")
    assert said.code == 0
    again = next(run for run in runs(boe, repo) if run["trigger"] == "rerun")
    assert again["occurrence"] == old["occurrence"]
    assert files(repo, "archive") == ["n\n5\n", "n\n5\n"]
    shown = boe(repo, "show", again["run_id"])
    assert f"again of   {old['run_id']}" in shown.out
    assert "correction wrong currency" in shown.out


def test_a_rerun_of_a_dry_run_delivers_nothing_either(repo: Path, boe: Boe) -> None:
    boe(repo, "trigger", "good", "--dry-run")
    assert boe(repo, "rerun", "good").code == 0
    assert files(repo, "first") == []


def test_failed_runs_are_done_again_until_they_are_mended(repo: Path, boe: Boe) -> None:
    boe(repo, "run", "--once", "--now-all")
    boe(repo, "trigger", "broken", "--dry-run")
    said = boe(repo, "rerun", "--failed", "--dry-run")
    assert len(said.out.splitlines()) == 1
    write(repo / "schedules/broken.yaml", schedule("broken"))
    assert boe(repo, "rerun", "--failed").code == 0
    assert boe(repo, "rerun", "--failed").out == "Nothing to run again.\n"


def test_failed_runs_of_what_is_gone_are_left_out(repo: Path, boe: Boe) -> None:
    boe(repo, "trigger", "broken")
    (repo / "schedules/broken.yaml").unlink()
    said = boe(repo, "rerun", "--failed")
    assert said.code == 0
    assert "broken" in said.err
    assert said.out == "Nothing to run again.\n"


def test_a_long_ago_failure_is_not_meant_by_since(repo: Path, boe: Boe) -> None:
    boe(repo, "trigger", "broken")
    said = boe(repo, "rerun", "--failed", "--since", "2099-01-01")
    assert said.out == "Nothing to run again.\n"


# --- boe resend -----------------------------------------------------------------------


def test_a_run_without_a_file_cannot_be_sent_again(repo: Path, boe: Boe) -> None:
    boe(repo, "trigger", "broken")
    said = boe(repo, "resend", "broken")
    assert said.code == 1
    assert "has no file to send" in said.err


def test_only_what_was_not_accepted_is_sent_again(repo: Path, boe: Boe) -> None:
    (repo / "second").write_text("in the way")
    assert boe(repo, "trigger", "good").code == 1
    (run,) = runs(boe, repo)
    assert run["status"] == "partial"
    (repo / "second").unlink()
    assert boe(repo, "resend", "good").code == 0
    (run,) = runs(boe, repo)
    assert run["status"] == "succeeded"
    assert [len(files(repo, root)) for root in ("archive", "first", "second")] == [
        1
    ] * 3


def test_what_is_not_there_to_be_sent_again_is_told_by_its_name(
    repo: Path, boe: Boe
) -> None:
    boe(repo, "trigger", "good")
    said = boe(repo, "resend", "good", "--unconfirmed", "--destination", "archive").out
    assert " at archive is unconfirmed: nothing is sent.\n" in said
    said = boe(repo, "resend", "good", "--destination", "archive").out
    assert " at archive is left to send: nothing is sent.\n" in said


# --- boe pause ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "paused"),
    [
        (["good"], {"good", "asleep"}),
        (["--all"], {"good", "broken", "asleep"}),
        (["--owner", "ops@example.com"], {"good", "broken", "asleep"}),
        (["--connection", "none"], {"good", "broken", "asleep"}),
    ],
    ids=["one", "all", "owner", "connection"],
)
def test_a_pause_and_its_end(
    repo: Path, boe: Boe, target: list[str], paused: set[str]
) -> None:
    def now_paused() -> set[str]:
        objects = boe(repo, "status", "--format", "json").json["objects"]
        return {one["name"] for one in objects if one["paused"]}

    assert boe(repo, "pause", *target, "--why", "a test").code == 0
    assert now_paused() == paused
    assert boe(repo, "resume", *target).code == 0
    assert now_paused() == {"asleep"}
    told = " ".join(target)
    assert f"No `boe pause {told}` was" in boe(repo, "resume", *target).out


def test_a_pause_by_label(repo: Path, boe: Boe) -> None:
    labelled = schedule("labelled", metadata={"labels": {"team": "a"}})
    write(repo / "schedules/labelled.yaml", labelled)
    assert boe(repo, "pause", "--label", "team=a", "--why", "a test").code == 0
    said = boe(repo, "resume", "labelled")
    assert "boe resume --label team=a" in said.out
    assert boe(repo, "resume", "--label", "team=a").code == 0


def test_resuming_says_what_else_holds_a_schedule(repo: Path, boe: Boe) -> None:
    said = boe(repo, "resume", "asleep")
    assert said.code == 0
    assert "still paused in git" in said.out


def test_a_run_that_ended_is_not_cancelled(repo: Path, boe: Boe) -> None:
    boe(repo, "trigger", "good")
    said = boe(repo, "cancel", "good")
    assert said.code == 0
    assert "has ended already: succeeded" in said.out
