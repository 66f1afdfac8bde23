"""`boe new` in a real terminal: questions, a preview, and a file that is right."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from boe_reconciler.core.language.documents import read_documents
from tests.cli.conftest import Boe
from tests.cli.terminal import Terminal

GINA = "gina@example.com"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from boe_reconciler.cli import run

    folder = tmp_path_factory.mktemp("made")
    assert run(["-C", str(folder), "init", "--owner", GINA]) == 0
    return folder


@pytest.fixture
def repo(made: Path, tmp_path: Path) -> Path:
    """A folder of `boe init`, in a clone of somebody whom git knows."""
    folder = tmp_path / "repo"
    shutil.copytree(made, folder)
    for command in (["init", "-q"], ["config", "user.email", GINA]):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    return folder


Type = Callable[..., Terminal]


@pytest.fixture
def typed(repo: Path) -> Iterator[Type]:
    """typed(*arguments): boe in a terminal, ended with the test."""
    terminals: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        terminals.append(Terminal(repo, *arguments))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


def files(repo: Path) -> set[str]:
    return {p.relative_to(repo).as_posix() for p in repo.rglob("*.yaml")}


def data(file: Path) -> dict:  # type: ignore[type-arg]  # any YAML
    (document,), problems = read_documents(file.name, file.read_bytes())
    assert problems == []
    return document.data  # type: ignore[no-any-return]  # a document is a map


# --- In a terminal --------------------------------------------------------------


@pytest.mark.slow
def test_enter_at_every_question_makes_a_schedule_that_is_valid(
    repo: Path, typed: Type, boe: Boe
) -> None:
    terminal = typed("new")
    terminal.answer("Which [1]:")
    terminal.answer("Title, for people [Sales by region]:")
    terminal.answer("Name [sales-by-region]:")
    terminal.answer(f"Owner: an address [{GINA}]:")
    for question in ("Report:", "When:"):
        terminal.until(question)
        terminal.answer("Which [1]:")
    terminal.answer("At [06:30]:")
    terminal.answer("Time zone, or a country [Europe/Berlin]:")
    for question in ("Format:", "Deliver to:"):
        terminal.until(question)
        terminal.answer("Which [1]:")
    terminal.until("UTC")
    terminal.answer("Write schedules/sales-by-region.yaml? [Y/n]:")
    assert terminal.end() == 0
    assert "06:30 CE" in terminal.screen
    assert "boe trigger sales-by-region --dry-run" in terminal.screen
    written = repo / "schedules/sales-by-region.yaml"
    assert written.read_text().startswith("# yaml-language-server: $schema=../schema/")
    assert data(written)["spec"] == {
        "report": "sales-by-region",
        "when": {"cron": "30 6 * * mon-fri", "timezone": "Europe/Berlin"},
        "export": {"format": "xlsx"},
        "deliver_to": ["archive"],
    }
    assert boe(repo, "validate").code == 0
    assert boe(repo, "trigger", "sales-by-region", "--dry-run").code == 0


@pytest.mark.slow
def test_a_wrong_answer_is_asked_again_with_the_reason(repo: Path, typed: Type) -> None:
    terminal = typed("new", "schedule", "--format", "csv", "--title", "Wages")
    terminal.answer("Name [wages]:", "Not a name")
    terminal.until("cannot be a name")
    terminal.answer("Name [wages]:", "sales-daily")
    terminal.answer("Name [wages]:")
    terminal.answer("Owner", "nobody")
    terminal.until("neither an address nor a Group")
    terminal.answer("Owner", "gina@")
    terminal.until("is not an e-mail address")
    terminal.answer("Owner")
    terminal.answer("Which", "7")
    terminal.until("is none of them")
    terminal.answer("Which")
    terminal.until("When:")
    terminal.answer("Which", "cron")
    terminal.answer("day of week", "61 * * * *")
    terminal.until("boe:")
    terminal.answer("day of week", "0 5 * * mon")
    terminal.answer("Time zone", "United States")
    terminal.answer("Which", "new york")
    terminal.until("Deliver to:")
    terminal.answer("Which", "a folder")
    terminal.answer("Folder", "exports/wages")
    terminal.answer("Write")
    assert terminal.end() == 0
    spec = data(repo / "schedules/wages.yaml")["spec"]
    assert spec["when"] == {"cron": "0 5 * * mon", "timezone": "America/New_York"}
    assert spec["deliver_to"] == [{"type": "local", "base_path": "exports/wages"}]


@pytest.mark.slow
def test_a_zone_that_is_none_is_asked_again(repo: Path, typed: Type) -> None:
    terminal = typed("new", "schedule", "x", "--report", "sales-by-region")
    terminal.answer("Title")
    terminal.answer("Owner")
    terminal.answer("Which", "weekly")
    terminal.answer("Which", "Tuesday")
    terminal.answer("At")
    terminal.answer("Time zone", "Atlantis")
    terminal.until("not a time zone")
    terminal.answer("Time zone", "y")
    terminal.until("Write it as Europe/Berlin, Germany")
    terminal.answer("Time zone")
    terminal.until("a workbook, for Excel")


@pytest.mark.slow
def test_what_is_new_beside_a_schedule_is_written_with_it(
    repo: Path, typed: Type, boe: Boe
) -> None:
    given = ("--title", "Books", "--owner", GINA, "--format", "xlsx", "--to", "archive")
    terminal = typed("new", "schedule", *given)
    terminal.answer("Name")
    terminal.answer("Which", "new query")
    terminal.answer("Which", "new files")
    terminal.answer("Name of the new Connection", "sold")
    terminal.answer("Query", 'select * from sold where region <> "x"')
    terminal.until("When:")
    terminal.answer("Which", "business day")
    terminal.answer("Which business day", "-1")
    terminal.answer("At", "7:00")
    terminal.answer("Time zone", "France")
    terminal.answer("Which", "a new calendar")
    terminal.answer("in two letters [FR]", "XX")
    terminal.until("There are no holidays")
    terminal.answer("in two letters [FR]")
    terminal.answer("Its name [fr-holidays]")
    terminal.answer("Path of the file", "data/sales.csv")
    terminal.until("more lines")
    terminal.answer("Write")
    assert terminal.end() == 0, terminal.screen
    new = {
        "schedules/books.yaml",
        "connections/sold.yaml",
        "calendars/fr-holidays.yaml",
    }
    assert new <= files(repo)
    assert data(repo / "schedules/books.yaml")["spec"]["when"] == {
        "frequency": "monthly",
        "on": {"business_day": -1},
        "at": "07:00",
        "timezone": "Europe/Paris",
        "calendar": "fr-holidays",
    }
    assert boe(repo, "validate").code == 0


@pytest.mark.slow
@pytest.mark.parametrize("key", [b"\x03", b"\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_leaving_in_the_middle_writes_nothing(
    repo: Path, typed: Type, key: bytes
) -> None:
    before = files(repo)
    terminal = typed("new", "group")
    terminal.answer("Name", "team")
    terminal.answer("Owner")
    terminal.until("Write groups/team.yaml?")
    assert terminal.leave(key) == 130
    assert files(repo) == before


@pytest.mark.slow
def test_no_to_the_last_question_writes_nothing(repo: Path, typed: Type) -> None:
    before = files(repo)
    terminal = typed("new", "report")
    terminal.answer("Name", "margin")
    terminal.answer("Owner")
    terminal.answer("Which")
    terminal.answer("Write", "n")
    assert terminal.end() == 0
    assert files(repo) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["calendar", "connection", "distribution", "report", "group"]
)
def test_every_kind_can_be_asked_for(repo: Path, typed: Type, kind: str) -> None:
    terminal = typed("new", kind, "--owner", GINA)
    if kind == "calendar":
        terminal.answer("in two letters", "nz")
    terminal.answer("Name", "made-here")
    if kind == "report":
        terminal.answer("Which")
    terminal.answer("? [", "y")
    assert terminal.end() == 0, terminal.screen
    assert f"{kind}s/made-here.yaml" in files(repo)


# --- Without a terminal ---------------------------------------------------------

FLAGS = ("--report", "sales-by-region", "--when", "daily at 7:05", "--to", "archive")


def test_options_answer_all_questions(repo: Path, boe: Boe) -> None:
    said = boe(repo, "new", "schedule", "sales", "--owner", GINA, *FLAGS)
    assert said.code == 0, said.err
    when = data(repo / "schedules/sales.yaml")["spec"]["when"]
    assert when == {"frequency": "daily", "at": "07:05", "timezone": "Europe/Berlin"}
    assert boe(repo, "validate").code == 0


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("every weekday at 6:30", {"cron": "30 6 * * mon-fri"}),
        ("every day at 18:00", {"frequency": "daily", "at": "18:00"}),
        (
            "weekly on Monday at 9:00",
            {"frequency": "weekly", "on": "mon", "at": "09:00"},
        ),
        ("@hourly", {"cron": "@hourly"}),
        ("weekly on fri at 18:00", {"frequency": "weekly", "on": "fri", "at": "18:00"}),
        (
            "monthly on last at 06:30",
            {"frequency": "monthly", "on": "last", "at": "06:30"},
        ),
        ("*/5 6-8 * * *", {"cron": "*/5 6-8 * * *"}),
    ],
)
def test_when_is_said_in_words(
    repo: Path, boe: Boe, words: str, fields: dict[str, str]
) -> None:
    given = ("--report", "sales-by-region", "--to", "exports", "--timezone", "UTC")
    said = boe(repo, "new", "schedule", "x", "--when", words, *given)
    assert said.code == 0, said.err
    assert data(repo / "schedules/x.yaml")["spec"]["when"] == {
        **fields,
        "timezone": "UTC",
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "KIND and NAME"),
        (["group"], "NAME"),
        (["schedule", "x", "--when", "daily at 07:00"], "--report"),
        (["schedule", "x", *FLAGS, "--when", "daily at 25:00"], "25:00"),
        (["schedule", "x", *FLAGS, "--when", "now and then"], "weekly on mon at"),
        (["schedule", "x", *FLAGS, "--when", "every day at 7"], "as 06:30"),
        (["schedule", "x", *FLAGS, "--when", "61 * * * mon"], "0-59"),
        (["schedule", "x", *FLAGS, "--report", "sales-by-regio"], "sales-by-region"),
        (["schedule", "x", *FLAGS, "--owner", "nobody"], "neither an address"),
        (["schedule", "sales-daily", *FLAGS], "already"),
        (["schedule", "x", *FLAGS, "--to", "elsewhere"], "would not be valid"),
        (["schedule", "x", *FLAGS, "--format", "xls"], "xlsx"),
    ],
)
def test_what_is_missing_or_wrong_is_told_and_nothing_written(
    repo: Path, boe: Boe, arguments: list[str], told: str
) -> None:
    before = files(repo)
    said = boe(repo, "new", *arguments)
    assert said.code == 1
    assert told in said.err
    assert files(repo) == before
