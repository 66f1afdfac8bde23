"""`boe plan` says what a change means: as text, JSON and Markdown."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Boe
from tests.folders import a_folder, document, schedule, write
from tests.gits import git_in

YEARLY = {"cron": "0 6 1 1 *", "timezone": "Europe/Berlin"}


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A commit, and a change after which much is not what it was."""
    path = a_folder(
        tmp_path_factory.mktemp("impact"),
        schedule("sales", query="select * from orders", when=YEARLY),
        schedule("asleep", paused=True, when=YEARLY),
    )
    subprocess.run(["git", "init", "-q", "-b", "main", path], check=True)
    git_in(path, "add", "-A")
    git_in(path, "commit", "-q", "-m", "One")
    query = "select * from salaries, read_csv('https://host/x.csv')"
    write(
        path / "schedules/sales.yaml",
        schedule(
            "sales", query=query, when=YEARLY, metadata={"owner": "a@example.com"}
        ),
    )
    a_folder(path, schedule("asleep", paused=True, when=YEARLY, if_empty="skip"))
    connection = {"type": "duckdb", "path": "other.duckdb"}
    write(path / "connections/none.yaml", document("Connection", "none", connection))
    return path


def test_text_has_a_section_for_each_kind_of_finding(repo: Path, boe: Boe) -> None:
    said = boe(repo, "plan", "--base", "main")
    text = said.out
    assert text[text.index("What is read") : text.index("3 to change")] == (
        "What is read\n"
        "  + report sales (sales) newly reads read_csv('https://host/x.csv'), "
        "salaries\n"
        "  - report sales (sales) no longer reads orders\n"
        "\n"
        "Connections that lead elsewhere\n"
        "  ~ none: path from nothing to other.duckdb; asleep, sales read over it\n"
        "\n"
        "Who is told of failures\n"
        "  ~ a@example.com instead of ops@example.com: sales\n"
        "\n"
        "Without effect while paused\n"
        "  ~ asleep is changed, and is `paused` in git\n"
        "\n"
        "Newly read: read_csv('https://host/x.csv'), salaries.\n"
        "See also: connections that lead elsewhere, who is told of "
        "failures, without effect while paused.\n"
    )


def test_json_has_the_findings(repo: Path, boe: Boe) -> None:
    found = boe(repo, "plan", "--base", "main", "--format", "json")
    assert found.json["impact"]["owners"] == [
        {"before": "ops@example.com", "after": "a@example.com", "schedules": ["sales"]}
    ]


def test_markdown_says_in_its_first_lines_what_is_newly_read(
    repo: Path, boe: Boe
) -> None:
    said = boe(repo, "plan", "--base", "main", "--format", "markdown")
    head = said.out.partition("<details>")[0]
    assert "- Newly read: `read_csv('https://host/x.csv')`, `salaries`." in head
    assert "<summary>What is read (2)</summary>" in said.out


def test_a_pause_of_the_state_folder_is_told(tmp_path: Path, boe: Boe) -> None:
    repo = a_folder(tmp_path / "repo", schedule("sales", when=YEARLY))
    assert boe(repo, "run", "--once").code == 0
    assert boe(repo, "pause", "sales", "--why", "month end").code == 0
    a_folder(repo, schedule("sales", when=YEARLY, if_empty="skip"))
    said = boe(repo, "plan")
    assert (
        "  ~ sales is changed, and is paused by schedule sales: month end\n" in said.out
    )
