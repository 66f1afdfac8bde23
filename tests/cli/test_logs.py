"""Log lines: one a record, whatever is in it; the same words as JSON and as text."""

from __future__ import annotations

import ast
import json
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from boe_reconciler.cli.logs import FOREIGN, Lines, start_logging
from boe_reconciler.core.notices import Word

ROOT = Path(__file__).parents[2]
NASTY = 'two words, "quotes" = and\nanother line\r\x1b[31m\u2028end'


def redact(text: str) -> str:
    return text.replace("hunter2", "***")


def a_record(
    action: str = "run_started", name: str = "boe_reconciler.engine", **details: object
) -> logging.LogRecord:
    record = logging.LogRecord(name, logging.WARNING, "x.py", 1, action, (), None)
    record.created = 1764309600.25
    vars(record).update(details)
    return record


def as_json(record: logging.LogRecord) -> dict[str, object]:
    text = Lines(as_json=True, redact=redact).format(record)
    assert "\n" not in text
    found: dict[str, object] = json.loads(text)
    return found


def as_text(record: logging.LogRecord) -> str:
    return Lines(as_json=False, redact=redact).format(record)


def failed() -> logging.LogRecord:
    try:
        raise ValueError("it said hunter2\nand more")
    except ValueError:
        record = a_record("run_crashed", run_id="daily.1")
        record.exc_info = sys.exc_info()
    return record


def test_a_line_begins_with_time_level_action_run_and_schedule() -> None:
    record = a_record(rows=3, schedule="daily", run_id="daily.1")
    assert list(as_json(record).items()) == [
        ("ts", "2025-11-28T06:00:00.250Z"),
        ("level", "warning"),
        ("action", "run_started"),
        ("run_id", "daily.1"),
        ("schedule", "daily"),
        ("rows", 3),
    ]
    assert as_text(record) == (
        "2025-11-28T06:00:00.250Z warning run_started run_id=daily.1 schedule=daily rows=3"
    )


def test_numbers_and_nothing_stay_what_they_are() -> None:
    found = as_json(a_record(rows=3, share=0.5, late=True, serving=None))
    assert [found[key] for key in ("rows", "share", "late", "serving")] == [
        3,
        0.5,
        True,
        None,
    ]


def test_no_value_can_make_a_line_of_its_own() -> None:
    record = a_record(detail=NASTY)
    assert as_json(record)["detail"] == NASTY
    text = as_text(record)
    assert text.splitlines() == [text]
    assert "\x1b" not in text
    assert json.loads(text.partition("detail=")[2]) == NASTY


def test_an_exception_is_a_field_and_in_text_stands_below() -> None:
    assert "ValueError" in str(as_json(failed())["exception"])
    first, *below = as_text(failed()).splitlines()
    assert first.endswith("run_crashed run_id=daily.1")
    assert all(line.startswith("    ") for line in below)
    assert below[-1] == "    and more"


@pytest.mark.parametrize("write", [as_json, as_text])
def test_no_secret_stands_in_any_part_of_a_line(write: object) -> None:
    assert callable(write)
    for record in (
        failed(),
        a_record(detail="hunter2", path=Path("/hunter2")),
        a_record("hunter2", name="library"),
    ):
        assert "hunter2" not in str(write(record))
        assert "***" in str(write(record))


def test_what_a_library_says_is_no_action_of_ours() -> None:
    record = a_record("Retrying %s", name="urllib3.pool")
    record.args = ("GET",)
    vars(record)["action"] = "mine"
    found = as_json(record)
    assert found["action"] == FOREIGN
    assert (found["logger"], found["detail"]) == ("urllib3.pool", "Retrying GET")


@pytest.fixture
def _logging_as_it_was() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("boe_reconciler")
    before = (root.handlers[:], root.level, ours.level)
    yield
    logging.captureWarnings(False)
    root.handlers[:], root.level = before[0], before[1]
    ours.setLevel(before[2])


@pytest.mark.usefixtures("_logging_as_it_was")
def test_a_warning_of_python_is_a_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("json", redact)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old", stacklevel=1)
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["action"] == FOREIGN


# --- The table in the docs ----------------------------------------------------------


def actions() -> Iterator[str]:
    """The first argument of each call of a logger, and of what alerts."""
    logger = r"(log|logging\.getLogger\(__name__\))"
    levels = "(debug|info|warning|error|exception|log)"
    called = re.compile(rf"{logger}\.{levels}|self\._alert")
    for file in (ROOT / "boe_reconciler").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and called.fullmatch(ast.unparse(node.func)):
                names = [one for one in node.args if isinstance(one, ast.Constant)]
                yield from (one.value for one in names if isinstance(one.value, str))


def test_every_action_of_the_log_is_in_the_docs_and_no_other() -> None:
    """One that is new gets its row in docs/logs.md."""
    page = (ROOT / "docs" / "logs.md").read_text()
    listed = re.findall(r"(?m)^\| `([a-z_]+)` \|", page.partition("## Fields")[0])
    # Of a notice the action ends with its word.
    notices = {f"revision_{word}" for word in Word}
    assert sorted(listed) == sorted({*actions(), *notices, FOREIGN} - {"revision_%s"})
