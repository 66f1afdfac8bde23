"""`boe init` and `boe new`: first files that are right as they are."""

from __future__ import annotations

import re
from pathlib import Path

import openpyxl
import pytest

from tests.cli.conftest import Boe


def test_a_new_repo_validates_and_runs(tmp_path: Path, boe: Boe) -> None:
    said = boe(tmp_path, "init", "my-reports", "--owner", "anna@example.com")
    assert said.code == 0
    repo = tmp_path / "my-reports"
    assert boe(repo, "validate").out == "5 objects checked, all valid.\n"
    done = boe(repo, "run", "--once", "--now-all")
    assert done.code == 0, done.out + done.err
    (file,) = (repo / "exports").rglob("*.xlsx")
    rows = openpyxl.load_workbook(file).active
    assert rows is not None
    assert [cell.value for cell in rows[1]] == ["Region", "Orders", "Amount"]
    assert rows.max_row == 4


def test_what_it_says_to_do_next_works(tmp_path: Path, boe: Boe) -> None:
    said = boe(tmp_path, "init", "my-reports")
    told = re.findall(r"boe -C (\S+) (.+)", said.out)
    assert len(told) == 2
    for folder, command in told:
        assert boe(Path(folder), *command.split()).code == 0


def test_times_are_those_of_a_zone_that_init_is_told(tmp_path: Path, boe: Boe) -> None:
    said = boe(tmp_path, "init", "--timezone", "America/New_York")
    assert "those of America/New_York" in said.out
    assert "06:30 EST" in boe(tmp_path, "next", "sales-daily").out
    refused = boe(tmp_path, "init", "elsewhere", "--timezone", "New York")
    assert refused.code == 1
    assert "America/New_York" in refused.err
    assert not (tmp_path / "elsewhere").exists()


def test_an_existing_file_stops_all_of_it(tmp_path: Path, boe: Boe) -> None:
    (tmp_path / "policy.yaml").write_text("mine\n")
    said = boe(tmp_path, "init")
    assert said.code == 1
    assert "exists already; nothing was written" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["policy.yaml"]


NAMES = {
    "report: my-report": "report: sales-by-region",
    "connection: my-connection": "connection: sales",
}


@pytest.mark.parametrize(
    "kind", ["schedule", "report", "connection", "distribution", "group", "calendar"]
)
def test_each_new_file_validates_once_its_references_are_named(
    tmp_path: Path, boe: Boe, kind: str
) -> None:
    boe(tmp_path, "init")
    country = ["--country", "DE", "--years", "2027"] if kind == "calendar" else []
    said = boe(tmp_path, "new", kind, "my-own", "--owner", "anna@example.com", *country)
    assert said.code == 0, said.err
    file = tmp_path / f"{kind}s/my-own.yaml"
    text = file.read_text()
    for old, new in NAMES.items():
        text = text.replace(old, new)
    file.write_text(text)
    if kind == "connection":
        (tmp_path / "data/my_table.csv").write_text("one\n1\n")
    said = boe(tmp_path, "validate")
    assert said.code == 0, said.out
    assert "6 objects checked" in said.out


def test_where_nothing_can_be_written_it_is_told_and_nothing_stays(
    tmp_path: Path, boe: Boe
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "half").mkdir()
    (tmp_path / "half/reports").touch()
    for target in ("file", "file/below", "half", "a" * 300, "/proc/none"):
        said = boe(tmp_path, "init", target)
        assert said.code == 1, target
        assert "nothing was written" in said.err
    found = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"file", "reports"}


def test_nothing_is_written_through_a_link_that_leads_nowhere_yet(
    tmp_path: Path, boe: Boe
) -> None:
    """In somebody's repo it may lead to a file that our shell reads."""
    (tmp_path / "repo/groups").mkdir(parents=True)
    (tmp_path / "repo/groups/team.yaml").symlink_to(tmp_path / "profile")
    said = boe(tmp_path / "repo", "new", "group", "team")
    assert said.code == 1
    assert "exists already" in said.err
    assert not (tmp_path / "profile").exists()


def test_nothing_is_overwritten(tmp_path: Path, boe: Boe) -> None:
    assert boe(tmp_path, "new", "group", "finance").code == 0
    before = (tmp_path / "groups/finance.yaml").read_text()
    said = boe(tmp_path, "new", "group", "finance", "--owner", "b@example.com")
    assert said.code == 1
    assert (tmp_path / "groups/finance.yaml").read_text() == before


def test_a_calendar_holds_the_holidays_of_its_years(tmp_path: Path, boe: Boe) -> None:
    said = boe(
        tmp_path,
        *("new", "calendar", "bavaria", "--country", "DE", "--region", "BY"),
        *("--years", "2026-2027"),
    )
    assert said.code == 0
    text = (tmp_path / "calendars/bavaria.yaml").read_text()
    assert "from: 2026-12-25" in text
    assert "from: 2027-12-25" in text
    assert "from: 2026-01-06" in text  # Epiphany, a holiday in Bavaria only
    assert "2028" not in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["calendar", "x"], "--country"),
        (["calendar", "x", "--country", "XX"], 'no holidays for "XX"'),
        (["calendar", "x", "--country", "DE", "--region", "QQ"], 'no part "QQ"'),
        (["calendar", "x", "--country", "DE", "--years", "soon"], "--years"),
        (["calendar", "x", "--country", "DE", "--years", "2030-2020"], "--years"),
        (["calendar", "x", "--country", "DE", "--years", "0-1"], "--years"),
        (["calendar", "x", "--country", "DE", "--years", "9999999-9999999"], "--years"),
        (["schedule", "x", "--timezone", "Berlin"], "Berlin"),
        (["schedule", "x", "--owner", "a: b\nkind: Policy"], "metadata"),
        (["schedule", "-x"], "-x"),
        (["schedule", "x" * 64], "63"),
    ],
)
def test_what_would_not_validate_is_not_written(
    tmp_path: Path, boe: Boe, arguments: list[str], told: str
) -> None:
    said = boe(tmp_path, "new", *arguments)
    assert said.code == 1
    assert told in said.err
    assert list(tmp_path.iterdir()) == []


def test_an_owner_with_odd_characters_is_refused_by_init(
    tmp_path: Path, boe: Boe
) -> None:
    assert boe(tmp_path, "init", "--owner", "a}: {b").code == 1
    assert list(tmp_path.iterdir()) == []


# --- schema and state ---------------------------------------------------------------


def test_the_schema_is_printed_whole_or_by_kind(tmp_path: Path, boe: Boe) -> None:
    whole = boe(tmp_path, "schema").json
    assert whole["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert boe(tmp_path, "schema", "Schedule").json != whole
    assert boe(tmp_path, "schema", "--out", "out").code == 0
    assert (tmp_path / "out/boe.schema.json").exists()


def test_a_ledger_that_is_no_ledger_is_told(tmp_path: Path, boe: Boe) -> None:
    boe(tmp_path, "init")
    (tmp_path / ".boe").mkdir()
    (tmp_path / ".boe/ledger.sqlite").write_bytes(b"no database at all" * 100)
    for command in (["status"], ["runs"], ["doctor"], ["run", "--once"], ["plan"]):
        said = boe(tmp_path, *command)
        assert said.code == 1, (command, said.err)
        assert "ledger.sqlite" in said.err + said.out
