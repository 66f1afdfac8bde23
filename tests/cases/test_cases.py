"""Each folder of tests/cases/invalid is a mistake, with the messages it gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from boe_reconciler.core.codes import CODES
from boe_reconciler.core.language.documents import Document, read_documents
from boe_reconciler.core.language.layers import merged_schedule
from boe_reconciler.core.language.load import load_resource
from boe_reconciler.core.problems import Problem, in_order

HERE = Path(__file__).parent
CASES = sorted(path.name for path in (HERE / "invalid").iterdir())


def problems_of(folder: Path) -> list[Problem]:
    """As the plan does it, for templates and a Policy that stand in the same folder."""
    documents: list[Document] = []
    problems: list[Problem] = []
    for path in sorted(folder.glob("*.yaml")):
        found, bad = read_documents(path.name, path.read_bytes())
        documents += found
        problems += bad
    templates = {d.name: d for d in documents if d.kind == "ScheduleTemplate"}
    policy = next((d for d in documents if d.kind == "Policy"), None)
    for document in documents:
        judged = document
        spec = document.part(("spec",))
        if document.kind == "Schedule" and spec and isinstance(spec.data, dict):
            template = templates.get(spec.data.get("template"))
            judged = merged_schedule(document, template, policy)
        problems += load_resource(judged)[1]
    return in_order(problems)


@pytest.fixture
def rewrites(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--golden"))


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_told_where_it_stands_in_words_that_help(
    case: str, rewrites: bool
) -> None:
    folder = HERE / "invalid" / case
    told = "".join(f"{problem}\n" for problem in problems_of(folder))
    expected = folder / "expected.txt"
    if rewrites:
        expected.write_text(told)
    assert told == expected.read_text()


def test_the_cases_show_every_code_of_reading_and_shape() -> None:
    told = "".join(path.read_text() for path in HERE.glob("invalid/*/expected.txt"))
    # BOE003 needs a large file, BOE016 one that cannot be read.
    codes = {code for code in CODES if code < "BOE060"} - {"BOE003", "BOE016"}
    assert {code for code in codes if code not in told} == set()


def test_no_message_repeats_a_secret() -> None:
    secrets = ("correct-horse", "battery-staple")
    for path in HERE.glob("invalid/a-secret-in-plain-text/expected.txt"):
        assert not any(secret in path.read_text() for secret in secrets)
