"""`boe status`, `runs`, `show`: the JSON that scripts rely on, and the text for people."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from boe_reconciler.cli import output, run
from boe_reconciler.core.errors import Permanent, Temporary
from boe_reconciler.core.notices import Incident, Owed, failed
from boe_reconciler.core.troubles import Heard, Kind, Trouble, of_revisions
from boe_reconciler.ledgers import sqlite
from tests.cli.conftest import Boe
from tests.cli.terminal import Terminal
from tests.folders import a_folder, schedule

RUN = [
    *("run_id", "schedule", "occurrence", "trigger", "status", "reason", "attempts"),
    *("started_at", "finished_at", "rows", "artifacts", "deliveries", "revision"),
    "parameters",
]
ARTIFACT = ["part", "name", "media_type", "bytes", "sha256", "rows"]
DELIVERY = [
    *("destination", "type", "part", "recipient", "status", "attempts", "reason"),
    *("receipt", "remote", "at", "news"),
]
OBJECT = [
    *("kind", "name", "ready", "reason", "message", "observed_revision"),
    *("serving_revision", "paused", "pause", "next", "last_run"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run that succeeded and one that failed, one pause of each sort."""
    report = {
        "connection": "none",
        "query": "select :n as n",
        "parameters": {"n": {"type": "int", "default": 1}},
    }
    repo = a_folder(
        tmp_path_factory.mktemp("history") / "repo",
        schedule("good", report=report),
        schedule("broken", query="select * from nowhere"),
        schedule("asleep", paused=True),
        schedule("held", metadata={"labels": {"team": "a"}}),
    )
    for command in (
        ["trigger", "good", "--param", "n=7"],
        ["trigger", "broken"],
        ["pause", "held", "--until", "2099-01-01T08:00", "--why", "a move"],
    ):
        assert run(["-C", str(repo), *command]) in (0, 1)
    (repo / "schedules/bad.yaml").write_text("kind: Schedule\n")
    assert run(["-C", str(repo), "run", "--once"]) == 0
    return repo


def test_a_manifest_is_what_jq_makes_of_it(folder: Path, boe: Boe) -> None:
    """Its hash can be checked with `jq -S . | sha256sum`."""
    told = boe(folder, "show", "good", "--manifest").json
    assert (told["recorded"], told["unchanged"]) == (True, True)
    (one,) = told["manifests"]
    manifest = one["manifest"]
    assert manifest["artifact"]["name"].startswith("Good_")
    assert manifest["parameters"] == {"n": "7"}
    canonical = json.dumps(manifest, sort_keys=True, indent=2, ensure_ascii=False)
    assert hashlib.sha256(f"{canonical}\n".encode()).hexdigest() == one["sha256"]


def test_a_run_without_files_has_no_manifest(folder: Path, boe: Boe) -> None:
    told = boe(folder, "show", "broken", "--manifest").json
    assert told["manifests"] == []
    assert (told["recorded"], told["unchanged"]) == (False, None)


def runs(boe: Boe, folder: Path, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = boe(
        folder, "runs", *arguments, "--format", "json"
    ).json
    return found


def test_before_anything_ran_the_answers_are_empty(tmp_path: Path, boe: Boe) -> None:
    repo = a_folder(tmp_path, schedule("good"))
    said = boe(repo, "status", "--format", "json")
    assert said.code == 0
    assert said.json["revision"] == {"attempted": None, "serving": None}
    assert said.json["objects"] == []
    said = boe(repo, "runs", "--format", "json")
    assert (said.code, said.json) == (0, [])
    assert boe(repo, "runs").out == "No runs.\n"
    assert boe(repo, "status").out == "Nothing is served yet: `boe run` starts.\n"


def test_a_run_in_json(folder: Path, boe: Boe) -> None:
    (found,) = runs(boe, folder, "--schedule", "good")
    assert list(found) == RUN
    assert re.fullmatch(r"good\.m[0-9a-f]{32}", found["run_id"])
    assert (found["trigger"], found["status"], found["reason"]) == (
        *("manual", "succeeded", ""),
    )
    assert (found["attempts"], found["rows"]) == (1, 1)
    assert found["parameters"] == {"n": "7"}
    for moment in ("occurrence", "started_at", "finished_at"):
        assert found[moment].endswith("Z")
        assert datetime.fromisoformat(found[moment])
    assert re.fullmatch(r"folder@sha1:[0-9a-f]{40}", found["revision"])
    (artifact,) = found["artifacts"]
    assert list(artifact) == ARTIFACT
    assert (artifact["part"], artifact["media_type"]) == (
        "-",
        "text/csv; charset=utf-8",
    )
    (delivery,) = found["deliveries"]
    assert list(delivery) == DELIVERY
    assert (delivery["destination"], delivery["type"], delivery["recipient"]) == (
        *("local", "local", "-"),
    )
    assert delivery["status"] == "accepted"
    assert Path(delivery["remote"]).read_text() == "n\n7\n"
    assert Path(delivery["remote"]).stat().st_size == artifact["bytes"]


def test_a_failed_run_names_its_reason(folder: Path, boe: Boe) -> None:
    (found,) = runs(boe, folder, "--status", "failed")
    assert found["schedule"] == "broken"
    assert found["reason"] == "query_failed"
    assert (found["artifacts"], found["deliveries"]) == ([], [])
    text = boe(folder, "runs", "--status", "failed").out
    assert "nowhere" in text


def test_runs_are_chosen_and_limited(folder: Path, boe: Boe) -> None:
    assert len(runs(boe, folder)) == 2
    assert len(runs(boe, folder, "--limit", "1")) == 1
    assert runs(boe, folder, "--since", "2099-01-01") == []
    assert len(runs(boe, folder, "--since", "2020-01-01")) == 2
    assert runs(boe, folder, "--schedule", "asleep") == []


def test_a_list_of_runs_says_when_each_was_due_in_its_zone(
    folder: Path, boe: Boe
) -> None:
    lines = boe(folder, "runs", "--schedule", "good").out.splitlines()
    assert lines[0].split()[:3] == ["run", "due", "status"]
    # A run that was asked for at a whole minute shows no seconds.
    assert re.search(r"\d\d:\d\d(:\d\d)? CES?T  succeeded", lines[1])


def test_status_says_why_the_last_run_did_not_succeed(folder: Path, boe: Boe) -> None:
    lines = boe(folder, "status").out.splitlines()
    (row,) = [one for one in lines if one.startswith("broken ")]
    assert "nowhere" in row.partition("  failed  ")[2]


def test_runs_fit_a_terminal_and_lose_nothing_of_a_reason(
    folder: Path, boe: Boe
) -> None:
    reason = boe(folder, "runs", "--status", "failed").out.splitlines()[1]
    terminal = Terminal(folder, "runs")
    assert terminal.end() == 0
    terminal.close()
    lines = terminal.screen.splitlines()
    assert max(map(len, lines)) <= 100
    below = " ".join(line.strip() for line in lines if line.startswith("    "))
    assert reason.partition("  failed  ")[2].strip() in below


def test_a_long_id_has_a_line_of_its_own_where_the_others_would_not_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = Console(width=100, soft_wrap=True, highlight=False)
    monkeypatch.setattr(output, "console", lambda **_: narrow)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    run_id = f"{'long-name-' * 6}.m0192f3a4b5c6d7e8f90123456789abcd"
    due, status = "Tue 2026-11-24 06:30 CET", "succeeded"
    output.say_table(
        ["run", "due", "status", "rows", "file or reason"],
        [[run_id, due, status, "12", "long.csv"], ["a.m1", due, status, "", "x" * 90]],
    )
    assert capsys.readouterr().out.splitlines() == [
        "run",
        "    due                       status     rows  file or reason",
        run_id,
        f"    {due}  {status}  12    long.csv",
        "a.m1",
        f"    {due}  {status}",
        f"    {'x' * 90}",
    ]


def test_a_name_that_no_schedule_has_is_told(folder: Path, boe: Boe) -> None:
    said = boe(folder, "runs", "--schedule", "goood")
    assert said.code == 1
    assert 'Did you mean "good"?' in said.err


def test_one_run_with_its_events(folder: Path, boe: Boe) -> None:
    (of_runs,) = runs(boe, folder, "--schedule", "good")
    shown = boe(folder, "show", of_runs["run_id"], "--format", "json").json
    assert list(shown)[: len(RUN)] == RUN
    assert {key: shown[key] for key in RUN} == of_runs
    assert isinstance(shown["events"], list)
    assert all(list(one) == ["at", "action", "message"] for one in shown["events"])
    assert boe(folder, "show", "good", "--format", "json").json == shown


def test_one_run_as_text_says_where_the_file_is(folder: Path, boe: Boe) -> None:
    text = boe(folder, "show", "good").out
    for part in ("status     succeeded", "parameters n=7", "sha256", "local: accepted"):
        assert part in text
    assert "nowhere" in boe(folder, "show", "broken").out


def test_the_status_in_json(folder: Path, boe: Boe) -> None:
    found = boe(folder, "status", "--format", "json").json
    assert list(found) == [
        "revision",
        "objects",
        "problems",
        "holds",
        "notices",
        "troubles",
        "unsent",
    ]
    assert list(found["revision"]) == ["attempted", "serving"]
    assert found["revision"]["attempted"] == found["revision"]["serving"]
    assert all(list(one) == OBJECT for one in found["objects"])
    by_name = {one["name"]: one for one in found["objects"]}
    assert set(by_name) == {"none", "good", "broken", "asleep", "held"}
    good = by_name["good"]
    assert (good["kind"], good["ready"], good["reason"]) == ("Schedule", True, "Served")
    assert (good["paused"], good["pause"]) == (False, None)
    assert datetime.fromisoformat(good["next"])
    assert list(good["last_run"]) == ["run_id", "status"]
    assert good["last_run"]["status"] == "succeeded"
    assert by_name["broken"]["last_run"]["status"] == "failed"
    asleep, held = by_name["asleep"], by_name["held"]
    assert (asleep["paused"], asleep["pause"], asleep["next"]) == (True, None, None)
    assert held["paused"] is True
    pause = held["pause"]
    assert list(pause) == ["target", "value", "by", "why", "since", "until"]
    assert (pause["target"], pause["value"], pause["why"]) == (
        "schedule",
        "held",
        "a move",
    )
    assert pause["until"] == "2099-01-01T07:00:00Z"
    connection = by_name["none"]
    assert (connection["kind"], connection["next"], connection["last_run"]) == (
        *("Connection", None, None),
    )
    assert found["problems"][0]["range"]["filename"] == "schedules/bad.yaml"
    assert found["holds"] == []


def test_the_status_as_text(folder: Path, boe: Boe) -> None:
    lines = boe(folder, "status").out.splitlines()
    rows = {line.split()[0]: line for line in lines[2:]}
    assert "paused in git" in rows["asleep"]
    assert "until Thu 2099-01-01 08:00 CET (07:00 UTC): a move" in rows["held"]
    assert "no `boe run` is running now" in lines[1]
    assert "failed" in rows["broken"]
    assert re.search(r"\d{4}-\d\d-\d\d 06:30 CES?T \(0[45]:30 UTC\)", rows["good"])
    assert any("schedules/bad.yaml" in line for line in lines)


def test_what_a_database_says_in_several_lines_takes_one_line_of_a_list(
    folder: Path, boe: Boe
) -> None:
    told = boe(folder, "show", "broken", "--format", "json").json
    for command in (["runs", "--schedule", "broken"], ["explain", "broken"]):
        assert " ".join(told["message"].split()) in boe(folder, *command).out
    assert len(boe(folder, "runs", "--schedule", "broken").out.splitlines()) == 2
    shown = boe(folder, "show", "broken").out.splitlines()
    assert all(line.startswith("  ") for line in shown[1:])


def test_the_status_says_since_when_a_revision_fails(folder: Path, boe: Boe) -> None:
    since = datetime(2026, 11, 24, 5, 30, tzinfo=UTC)
    incident = Incident(
        subject="revision", since=since, failing="x", told="x", told_at=(since,)
    )
    told(folder, incident)
    line = "Failing since 2026-11-24 05:30 UTC, told at 2026-11-24 05:30 UTC."
    assert line in boe(folder, "status").out
    (trouble,) = of_revisions([incident], since)
    heard = (Heard(who="ops@example.com", what=trouble.word, at=since),)
    stands(folder, replace(trouble, heard=heard))
    line = line.removesuffix(".") + " (also ops@example.com)."
    out = boe(folder, "status").out
    assert line in out
    assert "Revision since" not in out
    told(folder, replace(incident, failing="", told_at=()))
    assert (
        "was failing since 2026-11-24 05:30 UTC, not told" in boe(folder, "status").out
    )
    told(folder, Incident(subject="revision"))
    assert boe(folder, "status", "--format", "json").json["notices"] == []


def test_the_status_says_who_was_told_in_vain(folder: Path, boe: Boe) -> None:
    since = datetime(2026, 11, 24, 5, 30, tzinfo=UTC)
    heard = [Heard(who=who, what="", at=since) for who in ("ada", "bob", "eve")]
    trouble = replace(
        next(of_revisions([Incident(subject="x", told="x")], since)),
        kind=Kind.FAILED,
        heard=tuple(heard),
    )
    stands(folder, trouble)
    owed = Owed(
        channel="mail", key="1", body={"who": "ada"}, since=since, next_try=since
    )
    no = failed(owed, Permanent("refused", "No such user."), now=since, random=0)
    ledger = sqlite.create(folder / ".boe/ledger.sqlite")
    late = replace(owed, key="2", body={"who": "eve"})
    ledger.tell(None, [owed, late])
    ledger.tried(owed, no)
    ledger.tried(late, failed(late, Temporary("down", "Down."), now=since, random=0))
    ledger.close()
    out = boe(folder, "status").out
    assert "Told: ada (in vain), bob, eve (not yet)." in out
    assert "Gave up telling ada at 2026-11-24 05:30 UTC: No such user." in out
    assert "ada was not told at 2026-11-24 05:30Z: No such user." in (
        boe(folder, "doctor").out
    )
    unsent = boe(folder, "status", "--format", "json").json["unsent"]
    assert {one["who"]: bool(one["next_try"]) for one in unsent} == {
        "ada": False,
        "eve": True,
    }


def stands(folder: Path, trouble: Trouble) -> None:
    ledger = sqlite.create(folder / ".boe/ledger.sqlite")
    ledger.report(replace(ledger.board(), troubles={trouble.subject: trouble}))
    ledger.close()


def told(folder: Path, incident: Incident) -> None:
    ledger = sqlite.create(folder / ".boe/ledger.sqlite")
    ledger.tell(incident)
    ledger.close()
