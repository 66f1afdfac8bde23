"""The schema in yaml-language-server: what somebody who writes a Schedule is shown."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from boe_reconciler.cli import run
from boe_reconciler.core.plan.files import FOLDERS
from boe_reconciler.core.resources.distribution import DESTINATIONS
from boe_reconciler.core.resources.envelope import KINDS
from tests.editor.conftest import ALL, Start
from tests.editor.language_server import LanguageServer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FILE = "schedules/x.yaml"
HEAD = "apiVersion: boe/v1\nkind: Schedule\nmetadata: {name: x, owner: a@example.com}\nspec:\n"
MEANT = (
    "  report: r\n  when: {frequency: daily, at: '06:30', timezone: Europe/Berlin}\n"
)


def offered(editor: LanguageServer, text: str, path: str = FILE) -> set[str]:
    return set(editor.completions(path, text))


# --- Completion -----------------------------------------------------------------


def test_an_empty_file_offers_whole_documents(editor: LanguageServer) -> None:
    found = editor.completions(FILE, "‸")
    assert {"new Schedule", "new Connection to files"} <= set(found)
    assert "kind: Schedule" in found["new Schedule"]["insertText"]


@pytest.mark.parametrize("label", ["new Schedule", "new Connection to PostgreSQL"])
def test_what_a_snippet_writes_is_right(editor: LanguageServer, label: str) -> None:
    text = editor.completions(FILE, "‸")[label]["insertText"]
    assert editor.open(FILE, filled(text)) == []


def filled(snippet: str) -> str:
    """As the editor leaves it when nothing is typed over."""
    first = re.sub(r"\$\{\d+\|([^,|]+)[^|]*\|\}", r"\1", snippet)
    return re.sub(r"\$\{\d+:([^}]*)\}", r"\1", first)


def test_an_empty_spec_offers_the_fields_of_its_kind(editor: LanguageServer) -> None:
    found = offered(editor, HEAD + "  ‸")
    assert {"report", "when", "deliver_to", "export", "template"} <= found
    assert "members" not in found


def test_a_file_of_several_documents_offers_what_belongs_to_each(
    editor: LanguageServer,
) -> None:
    second = "---\napiVersion: boe/v1\nkind: Connection\nspec:\n  type: duckdb\n  ‸\n"
    found = offered(editor, HEAD + MEANT + second)
    assert {"path", "files"} <= found
    assert not {"report", "host"} & found
    assert "spec" in offered(
        editor, HEAD + MEANT + "---\napiVersion: boe/v1\nkind: Group\n‸\n"
    )


def test_the_kinds_are_offered(editor: LanguageServer) -> None:
    assert offered(editor, "apiVersion: boe/v1\nkind: ‸\n") == set(KINDS)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("  when:\n    frequency: ‸\n", {"daily", "monthly"}),
        ("  when:\n    timezone: ‸\n", {"UTC", "Europe/Berlin"}),
        ("  when:\n    on: ‸\n", {"mon", "last"}),
        ("  when:\n    at: ‸\n", {'"06:30"'}),
        ("  export:\n    format: ‸\n", {"xlsx", "csv", "pdf"}),
        ("  period: ‸\n", {"previous_month"}),
        ("  paused: ‸\n", {"true", "false"}),
        ("  execution:\n    overlap: ‸\n", {"skip", "allow_all"}),
        ("  deliver_to:\n    - type: ‸\n", set(DESTINATIONS)),
    ],
)
def test_the_values_of_a_field_are_offered(
    editor: LanguageServer, text: str, values: set[str]
) -> None:
    assert values <= offered(editor, HEAD + text)


def test_when_offers_its_ways_and_whole_ones(editor: LanguageServer) -> None:
    found = editor.completions(FILE, HEAD + "  when:\n    ‸\n")
    assert {"cron", "frequency", "every", "once", "timezone"} <= set(found)
    weekday = found["every weekday"]["insertText"]
    assert filled(weekday) == 'cron: "30 6 * * mon-fri"'


def test_a_destination_is_asked_for_its_type_first(editor: LanguageServer) -> None:
    found = offered(editor, HEAD + "  deliver_to:\n    - ‸\n")
    assert {"type", "distribution"} <= found
    assert not {"base_path", "bucket", "subject"} & found


@pytest.mark.parametrize(
    ("kind", "own", "others"),
    [
        ("local", {"base_path", "if_exists"}, {"bucket", "subject", "connection"}),
        ("email", {"to", "cc", "subject"}, {"bucket", "base_path"}),
        ("s3", {"bucket", "prefix"}, {"base_path", "subject"}),
    ],
)
def test_a_destination_offers_the_fields_of_its_type(
    editor: LanguageServer, kind: str, own: set[str], others: set[str]
) -> None:
    place = HEAD + f"  deliver_to:\n    - type: {kind}\n      ‸\n"
    found = offered(editor, place)
    assert own <= found
    assert not others & found


def test_a_field_is_inserted_without_all_its_defaults(editor: LanguageServer) -> None:
    found = editor.completions(FILE, HEAD + "  ‸")
    assert "catchup" not in found["execution"]["insertText"]


def test_no_name_of_our_code_is_shown(editor: LanguageServer) -> None:
    for place in (
        "  ‸",
        "  deliver_to:\n    - ‸\n",
        "  export:\n    password:\n      ‸\n",
    ):
        for label in offered(editor, HEAD + place):
            assert not label.endswith(("Spec", "Secret", "Ref", "Destination")), label
            assert not label.startswith("object("), label


# --- Hover ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("  when:\n    freq‸uency: daily\n", "How often"),
        ("  execution:\n    overl‸ap: skip\n", "`skip`: leave the new one out"),
        ("  execution:\n    catch‸up: all\n", 'Default: `"latest"`'),
        ("  deliver_to:\n    - type: local\n      base_p‸ath: x\n", "A folder below"),
        ("  rep‸ort: r\n", "A Report's name"),
        ("  export:\n    form‸at: csv\n", "The file's format"),
    ],
)
def test_resting_on_a_field_tells_what_it_does(
    editor: LanguageServer, text: str, told: str
) -> None:
    assert told in editor.hover(FILE, HEAD + text)


def test_resting_on_spec_tells_of_the_kind(editor: LanguageServer) -> None:
    text = HEAD.replace("spec", "sp‸ec") + MEANT
    assert "Which report, when" in editor.hover(FILE, text)


# --- What is underlined ---------------------------------------------------------

VALID = [
    *sorted((ROOT / "tests/cases/valid").rglob("*.yaml")),
    *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.yaml"))),
    ROOT / "policy.yaml",
]


def test_nothing_that_is_right_is_underlined(editor: LanguageServer) -> None:
    assert len(VALID) > 20
    found = {
        str(path): editor.open(f"schedules/{number}.yaml", path.read_text())
        for number, path in enumerate(VALID)
    }
    assert {path: told for path, told in found.items() if told} == {}


PLANTED = [
    ("  reprt: r\n  when: {cron: '0 6 * * *'}\n", "reprt", "not allowed"),
    ("  report: r\n  when: {frequency: dayly}\n", "dayly", "daily"),
    ("  report: r\n  period: last_month\n", "last_month", "previous_month"),
    ("  report: r\n  execution: {timeout: 1.5h}\n", "1.5h", "30s, 15m, 24h"),
    ("  report: {connection: c, query: q, query_file: f}\n", "query_file", "keep one"),
    ("  report: r\n  when: {cron: '0 6 * * *', every: 5m}\n", "every", "keep one"),
    ("  report: r\n  when: {timezone: UTC}\n", "when", "add cron, frequency"),
    ("  deliver_to: [{type: local}]\n", "{", "base_path"),
    ("  deliver_to: [{type: ftp}]\n", "ftp", "sftp"),
    (
        "  deliver_to: [{type: local, base_path: x, bucket: y}]\n",
        "bucket",
        "not allowed",
    ),
    ("  export: {password: hunter2}\n", "hunter2", "{env: NAME}"),
]


@pytest.mark.parametrize(("text", "where", "told"), PLANTED)
def test_a_mistake_is_underlined_at_its_place_with_words_that_help(
    editor: LanguageServer, text: str, where: str, told: str
) -> None:
    found = editor.open(FILE, HEAD + text)
    assert any(one.text == where and told in one.message for one in found), found


def test_no_message_speaks_of_schemas_or_patterns(editor: LanguageServer) -> None:
    """What people hate: "Matches multiple schemas when only one must validate"."""
    for path in sorted((ROOT / "tests/cases/invalid").rglob("*.yaml")):
        content = path.read_bytes()
        if len(content) > 20_000:
            continue
        text = content.decode(errors="replace")
        for one in editor.open(f"schedules/{path.parent.name}.yaml", text):
            assert "schema" not in one.message, (path, one)
            assert "pattern" not in one.message, (path, one)


def test_a_document_of_the_wrong_shape_is_told_once(editor: LanguageServer) -> None:
    assert len(editor.open(FILE, "just text\n")) == 1
    assert len(editor.open(FILE, "apiVersion: boe/v1\nkind: Shedule\n")) <= 3


# --- Which files it knows -------------------------------------------------------


@pytest.mark.parametrize(
    "path", [*(f"{folder}/a/b.yml" for folder in FOLDERS), "policy.yaml"]
)
def test_the_settings_of_a_new_repo_name_every_file(
    editor: LanguageServer, path: str
) -> None:
    assert "apiVersion" in offered(editor, "‸", path)


def test_what_boe_new_writes_is_right_and_known_without_settings(
    start: Start, repo: Path
) -> None:
    given = (
        "--report",
        "sales-by-region",
        "--when",
        "daily at 07:00",
        "--to",
        "archive",
    )
    command = ["-C", str(repo), "new", "schedule", "mine", "--owner", "a@example.com"]
    assert run([*command, *given]) == 0
    text = (repo / "schedules/mine.yaml").read_text()
    editor = start(repo, {"yaml": ALL})
    assert editor.open("schedules/mine.yaml", text) == []
    wrong = text.replace("xlsx", "xls", 1)
    assert [one.text for one in editor.open("schedules/mine.yaml", wrong)] == ["xls"]


def test_other_files_are_left_alone(editor: LanguageServer) -> None:
    assert editor.open("compose.yaml", "services: {}\n") == []


def test_a_line_in_the_file_names_the_schema_too(start: Start, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "schema", tmp_path / "schema")
    line = "# yaml-language-server: $schema=../schema/boe.schema.json\n"
    editor = start(tmp_path, {"yaml": ALL})
    text = line + HEAD + "  export: {format: xls}\n"
    assert any(one.text == "xls" for one in editor.open(FILE, text))
    assert "report" in offered(editor, line + HEAD + "  ‸", "schedules/y.yaml")
