"""`boe release`: what waits for a person, listed and let go on."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from boe_reconciler.core.runs import RunStatus
from boe_reconciler.ledgers import sqlite
from tests.builders import (
    a_delivery,
    a_manual_run,
    a_schedule,
    a_wait,
    an_activation,
    an_artifact,
    at,
)
from tests.cli.conftest import Boe

A, B = (f"main@sha1:{digit * 40}" for digit in "ab")
NOW = at("2026-11-24 12:00")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder that serves `daily`."""
    hold(tmp_path)
    return tmp_path


def hold(folder: Path, *revisions: str) -> str:
    """Revisions that came one after the other; the last one waits. Its Hold's id."""
    ledger = sqlite.create(folder / ".boe" / "ledger.sqlite")
    (folder / ".boe").chmod(0o700)
    ledger.activate(an_activation(a_schedule()), now=NOW)
    for one in revisions:
        held = an_activation(
            a_schedule(), revision=one, serving=None, waits=[a_wait(one)]
        )
        ledger.activate(held, now=NOW)
    holds = ledger.holds()
    ledger.close()
    return holds[-1].hold_id if holds else ""


def test_without_arguments_it_lists_what_waits(folder: Path, boe: Boe) -> None:
    hold_id = hold(folder, A)
    said = boe(folder, "release")
    assert said.out.splitlines() == [
        f"{hold_id}  change_window  since Tue 2026-11-24 12:00 UTC",
        f"  {A} waits.",
        '`boe release ID --why "…"` lets one go on.',
    ]


@pytest.mark.parametrize("arguments", [(), ("--all", "--why", "x")])
def test_nothing_waits(folder: Path, boe: Boe, arguments: tuple[str, ...]) -> None:
    said = boe(folder, "release", *arguments)
    assert (said.code, said.out) == (0, "Nothing waits for a release.\n")


def test_before_anything_was_served_nothing_waits(tmp_path: Path, boe: Boe) -> None:
    assert boe(tmp_path, "release").out == "Nothing waits for a release.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", ["id", A, "a" * 7, "--all"])
def test_a_hold_is_released_by_its_id_or_its_revision(
    folder: Path, boe: Boe, given: str
) -> None:
    hold_id = hold(folder, A)
    name = hold_id if given == "id" else given
    said = boe(folder, "release", name, "--why", "urgent", "--by", "ada")
    assert said.code == 0
    assert f"Released {hold_id} (change_window): {A}.\n" in said.out
    assert "the next `boe run` takes it up" in said.out
    (found,) = boe(folder, "status", "--format", "json").json["holds"]
    assert (found["released_by"], found["why"]) == ("ada", "urgent")
    assert "Released by ada, " in boe(folder, "status").out
    assert boe(folder, "release").out == "Nothing waits for a release.\n"


def test_who_released_is_the_user_unless_somebody_else_is_named(
    folder: Path, boe: Boe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "tina")
    assert boe(folder, "release", hold(folder, A), "--why", "urgent").code == 0
    (found,) = boe(folder, "status", "--format", "json").json["holds"]
    assert found["released_by"] == "tina"


def test_releasing_twice_says_who_did_it_before(folder: Path, boe: Boe) -> None:
    command = ("release", hold(folder, A), "--why", "urgent", "--by", "ada")
    assert boe(folder, *command).code == 0
    again = boe(folder, *command)
    assert again.code == 1
    assert "was released already, by ada at" in again.err


def test_a_slip_releases_nothing(folder: Path, boe: Boe) -> None:
    hold_id = hold(folder, A)
    said = boe(folder, "release", hold_id, "c" * 8, "--why", "urgent")
    assert said.code == 1
    assert f"Nothing with the id '{'c' * 8}' waits." in said.err
    assert hold_id in boe(folder, "release").out


def test_what_a_newer_revision_replaced_says_so(folder: Path, boe: Boe) -> None:
    old = hold(folder, A)
    new = hold(folder, A, B)
    said = boe(folder, "release", old, "--why", "urgent")
    assert said.code == 1
    assert f"{old} is about {A}, which a newer revision has replaced." in said.err
    assert new in boe(folder, "release").out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("x",), "--why is missing"),
        (("--all", "--why", " "), "--why is missing"),
        (("x", "--all", "--why", "x"), "not both"),
        (("x", "--why", "x", "--by", " "), "--by is empty"),
    ],
)
def test_what_a_release_needs(
    folder: Path, boe: Boe, arguments: tuple[str, ...], told: str
) -> None:
    said = boe(folder, "release", *arguments)
    assert said.code == 1
    assert told in said.err


# --- Runs -----------------------------------------------------------------------


ADA = "ada@example.com"
APPROVED = f"""
apiVersion: boe/v1
kind: Schedule
metadata: {{name: margin, owner: {ADA}}}
spec:
  report: {{connection: db, query: "select 1 as one"}}
  when: {{frequency: daily, at: "07:00", timezone: UTC}}
  export: {{format: csv}}
  wait_for: [{{file: ready.txt}}]
  approval: {{by: [{ADA}]}}
  deliver_to: [{{type: local, base_path: exports}}]
---
apiVersion: boe/v1
kind: Connection
metadata: {{name: db, owner: {ADA}}}
spec: {{type: duckdb}}
"""


def test_files_wait_are_shown_and_go_on_when_they_are_released(
    tmp_path: Path, boe: Boe
) -> None:
    (tmp_path / "schedules").mkdir()
    (tmp_path / "schedules" / "margin.yaml").write_text(APPROVED)
    ready = tmp_path / "ready.txt"
    ready.write_text("yes")
    os.utime(ready, (0, 0))
    done = boe(tmp_path, "trigger", "margin")
    assert done.code == 0
    assert f"wait for a release by {ADA}" in done.out
    assert not (tmp_path / "exports").exists()

    shown = boe(tmp_path, "show", "margin", "--format", "json").json
    (hold,) = shown["holds"]
    assert (hold["kind"], hold["subject"]) == ("approval", shown["run_id"])
    assert Path(shown["stored"]["-"]).read_text() == "one\n1\n"
    text = boe(tmp_path, "show", "margin").out
    assert f"stored as {shown['stored']['-']}" in text
    listed = boe(tmp_path, "release").out
    assert f"boe show {shown['run_id']}" in listed
    assert "An approval also asks who you are: `--by ADDRESS`." in listed
    said = boe(tmp_path, "explain", shown["run_id"]).out
    assert f"boe release {hold['hold_id']}" in said
    assert "9999" not in said

    slip = boe(tmp_path, "release", shown["run_id"], "--why", "x", "--by", "tina")
    assert slip.code == 1
    assert f"its approval is by {ADA}" in slip.err
    command = ("release", shown["run_id"], "--why", "seen", "--by", ADA)
    assert boe(tmp_path, *command).code == 0
    assert boe(tmp_path, "run", "--once").code == 0
    found = boe(tmp_path, "show", shown["run_id"], "--format", "json").json
    assert found["status"] == "succeeded"
    assert found["holds"][0]["released_by"] == ADA


def test_next_says_what_is_waited_for(tmp_path: Path, boe: Boe) -> None:
    (tmp_path / "schedules").mkdir()
    (tmp_path / "schedules" / "margin.yaml").write_text(APPROVED)
    (found,) = boe(tmp_path, "next", "margin", "-n", "1", "--format", "json").json
    note = f"waits for ready.txt and a release by {ADA}"
    assert found["occurrences"][0]["note"] == note


def unsure(tmp_path: Path) -> str:
    """A run of which nobody knows whether its file has arrived."""
    stored = tmp_path / ".boe" / "blobs" / "aa" / ("a" * 64)
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"n\n1\n")
    ledger = sqlite.create(tmp_path / ".boe" / "ledger.sqlite")
    (tmp_path / ".boe").chmod(0o700)
    ledger.activate(an_activation(a_schedule()), now=NOW)
    new = a_manual_run(now=NOW)
    ledger.enqueue([new], now=NOW)
    (claimed,) = ledger.claim("worker", now=NOW, limit=1)
    owed = a_delivery(new.run_id)
    ledger.begin_attempt(claimed.claim, parameters={}, now=NOW)
    ledger.commit_artifacts(claimed.claim, [an_artifact()], [owed], now=NOW)
    ledger.intend(claimed.claim, owed.key, {}, now=NOW)
    ledger.finish(claimed.claim, RunStatus.FAILED, "unconfirmed", "", now=NOW)
    ledger.close()
    return new.run_id


def test_what_may_have_arrived_is_left_at_that(tmp_path: Path, boe: Boe) -> None:
    run_id = unsure(tmp_path)
    shown = boe(tmp_path, "show", run_id).out
    assert "Waits for `boe release " in shown
    assert shown.count("Nobody knows whether") == 1
    said = boe(tmp_path, "release", run_id, "--why", "it is there")
    assert said.code == 0
    assert "That is recorded; nothing is sent." in said.out


def test_the_command_of_what_may_have_arrived_sends_it_and_ends_the_hold(
    tmp_path: Path, boe: Boe
) -> None:
    run_id = unsure(tmp_path)
    (hold,) = boe(tmp_path, "status", "--format", "json").json["holds"]
    (command,) = re.findall("`boe (resend [^`]+)`", hold["message"])
    assert command == f"resend {run_id} --unconfirmed"
    said = boe(tmp_path, *command.split())
    assert "usage" not in said.err.lower()
    assert "1 delivery is sent again." in boe(tmp_path, "show", run_id).out
    assert boe(tmp_path, "status", "--format", "json").json["holds"] == []


def test_all_that_may_be_released_is_and_the_others_are_told(
    tmp_path: Path, boe: Boe
) -> None:
    both = APPROVED.replace("  wait_for: [{file: ready.txt}]\n", "")
    first, connection = both.split("---\n")
    other = first.replace("margin", "other").replace(
        f"by: [{ADA}]", "by: [bob@example.com]"
    )
    (tmp_path / "schedules").mkdir()
    repo = "---\n".join([first, other, connection])
    (tmp_path / "schedules" / "both.yaml").write_text(repo)
    for name in ("other", "margin"):
        assert boe(tmp_path, "trigger", name).code == 0
    said = boe(tmp_path, "release", "--all", "--why", "seen", "--by", ADA)
    assert said.code == 1
    assert said.out.count("Released ") == 1
    assert f"{ADA} may not release other" in said.err
    assert "(1 of 2)" in said.out
    (left,) = [
        one
        for one in boe(tmp_path, "status", "--format", "json").json["holds"]
        if not one["released_at"]
    ]
    assert left["subject"].startswith("other.")
    assert f"Not released: {left['hold_id']}" in said.out
    text = boe(tmp_path, "status").out
    assert text.count(left["message"]) == 1
