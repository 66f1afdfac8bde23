"""`boe validate --online`: each secret and each Connection, asked here and now."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from boe_reconciler.clock import SystemClock
from boe_reconciler.core.errors import BoeError, Permanent
from boe_reconciler.core.plan.online import questions
from boe_reconciler.engine.asking import AT_ONCE, Asking
from tests.cli.conftest import Boe
from tests.folders import a_folder, document, run_boe, schedule, write
from tests.revisions import GOOD, a_document, plan_of

CANARY = "canary-p@ss/word"
SERVER = {
    "type": "postgres",
    "host": "127.0.0.1",
    "port": 1,
    "database": "d",
    "user": "u",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CANARY", CANARY)
    return a_folder(tmp_path / "repo", schedule("daily"))


def connection(folder: Path, name: str, spec: dict[str, object]) -> None:
    write(folder / f"connections/{name}.yaml", document("Connection", name, spec))


def test_what_answers_is_fine(boe: Boe, folder: Path) -> None:
    said = boe(folder, "validate", "--online")
    assert (said.code, said.out) == (0, "2 objects checked, all valid.\n")
    assert not (folder / ".boe").exists()


def test_a_program_that_asked_duckdb_ends_without_a_word(folder: Path) -> None:
    ended = run_boe(folder, "validate", "--online")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_all_that_fails_is_told_at_once_each_at_its_field(
    boe: Boe, folder: Path
) -> None:
    connection(folder, "a", {**SERVER, "password": {"env": "NOT_SET"}})
    connection(folder, "b", {**SERVER, "password": {"file": "nowhere"}})
    connection(folder, "c", {**SERVER, "password": {"env": "CANARY"}})
    connection(folder, "d", {"type": "duckdb", "path": "gone.duckdb"})
    connection(folder, "e", {"type": "sql", "url": "sqlite:////no/where.db"})
    pinged = schedule("pinged", ping={"env": "NO_PING"})
    write(folder / "schedules/pinged.yaml", pinged)
    said = boe(folder, "validate", "--online", "--format", "json")
    assert said.code == 1
    found = {
        (one["code"], one["path"], one["resource"]["name"])
        for one in said.json["diagnostics"]
    }
    assert found == {
        ("BOE173", "spec.password", "a"),
        ("BOE173", "spec.password", "b"),
        ("BOE174", "spec.host", "c"),
        ("BOE174", "spec.path", "d"),
        ("BOE174", "spec.url", "e"),
        ("BOE173", "spec.ping", "pinged"),
    }
    assert all(one["range"]["start"]["line"] > 1 for one in said.json["diagnostics"])
    assert json.loads(said.out)["valid"] is False
    assert "canary" not in said.out + said.err
    assert "its secret is missing: a (postgres)" in said.err
    assert boe(folder, "validate").code == 0


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (
            {
                **{"type": "sftp", "host": "127.0.0.1", "port": 1, "user": "u"},
                **{"password": {"env": "CANARY"}, "host_key": "SHA256:" + "A" * 43},
            },
            "spec.host",
        ),
        (
            {
                "type": "webhook",
                "url": "http://127.0.0.1:1/hook",
                "secret": {"env": "CANARY"},
            },
            "spec.url",
        ),
    ],
)
def test_wires_are_asked(
    boe: Boe, folder: Path, spec: dict[str, object], path: str
) -> None:
    (folder / "policy.yaml").write_text(
        "apiVersion: boe/v1\nkind: Policy\nmetadata: {name: policy}\n"
        "spec: {allow: {private_addresses: true}}\n"
    )
    connection(folder, "wire", spec)
    said = boe(folder, "validate", "--online", "--format", "json")
    (found,) = said.json["diagnostics"]
    assert (found["code"], found["path"]) == ("BOE174", path)
    assert "canary" not in said.out + said.err


def test_a_maildir_that_is_none_is_told_at_its_own_field() -> None:
    spec = "{type: smtp, host: h, from: a@example.com, bounces: {maildir: /none}}"
    mail = a_document("Connection", "mail", spec)
    (question,) = (
        one
        for one in questions(plan_of({**GOOD, "connections/mail.yaml": mail}).world)
        if one.document.name == "mail"
    )
    found = question.problem(Permanent("maildir_unusable", "/none has no folder new"))
    assert (found.code, found.path) == ("BOE174", ("spec", "bounces", "maildir"))


def test_only_the_files_that_were_named_are_asked(boe: Boe, folder: Path) -> None:
    connection(folder, "a", {**SERVER, "password": {"env": "NOT_SET"}})
    for path, code in (("schedules/daily.yaml", 0), ("connections/a.yaml", 1)):
        said = boe(folder, "validate", "--online", str(folder / path))
        assert said.code == code


def test_the_connections_of_the_environment_are_asked(boe: Boe, folder: Path) -> None:
    connection(folder, "c", {**SERVER, "password": {"env": "CANARY"}})
    spec = {
        "connections": {"c": {"password": {"env": "STAGING_NOT_SET"}}},
        "redirect": {"others": "drop"},
    }
    write(folder / "environments/s.yaml", document("Environment", "s", spec))
    said = boe(folder, "--env", "s", "validate", "--online")
    assert said.code == 1
    assert said.out.startswith("environments/s.yaml:11:")
    assert "STAGING_NOT_SET" in said.out


# --- Asking -----------------------------------------------------------------------


def test_what_hangs_is_left_behind_and_the_others_are_heard() -> None:
    never = threading.Event()
    asked = ["good", *["hangs"] * AT_ONCE, "refuses", "breaks"]

    def answer(question: str) -> None:
        if question == "hangs":
            never.wait(60)
        elif question == "refuses":
            raise Permanent("x", "no")
        elif question == "breaks":
            raise ValueError(CANARY)

    def told() -> Iterator[tuple[str, str]]:
        asking = Asking(answer=answer, clock=SystemClock(), seconds=0.2)
        for question, error in asking.all(asked):
            yield question, error.message if isinstance(error, BoeError) else ""

    try:
        found = dict(told())
    finally:
        never.set()
    assert found == {
        "good": "",
        "hangs": "there was no answer within 0 s",
        "refuses": "no",
        "breaks": "it failed (ValueError)",
    }
