"""The docs tell the truth: their YAML validates, their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from boe_reconciler.backends import DESTINATIONS, FORMATS, SOURCES
from boe_reconciler.core.codes import CODES
from boe_reconciler.core.language.documents import read_documents
from boe_reconciler.core.language.load import load_resource
from boe_reconciler.settings import SETTINGS
from tools import docs

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _snippets() -> list[tuple[str, str]]:
    """Whole documents only: a part of one, shown to explain a field, has no kind."""
    found = []
    for page in PAGES:
        for number, text in enumerate(
            re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL), 1
        ):
            if "apiVersion:" in text:
                found.append((f"{_name(page)}#{number}", text))
    return found


@pytest.mark.parametrize(("place", "text"), _snippets(), ids=lambda one: one[:40])
def test_whole_documents_in_the_docs_are_valid(place: str, text: str) -> None:
    documents, problems = read_documents(place, text.encode())
    assert documents
    for document in documents:
        if document.kind != "Schedule" or "template" not in document.data["spec"]:
            problems += load_resource(document)[1]
    assert [str(one) for one in problems if one.severity == "error"] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    broken = [
        link
        for link in links
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert broken == []


def test_every_command_has_examples_in_its_help() -> None:
    without = [
        name for name, text in docs.helps() if name != "boe" and "Example" not in text
    ]
    assert without == []


def test_every_code_has_its_page() -> None:
    for code in CODES:
        assert (ROOT / "docs" / "problems" / f"{code}.md").exists()


def test_every_setting_is_in_the_docs() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    assert [one.variable for one in SETTINGS if one.variable not in text] == []


def test_every_backend_is_in_the_docs() -> None:
    text = "".join(page.read_text() for page in PAGES)
    for name in (*SOURCES, *FORMATS, *DESTINATIONS):
        assert f"`{name}`" in text or f'"{name}"' in text, name
