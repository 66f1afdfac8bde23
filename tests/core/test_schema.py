"""The JSON Schema says of a document what the loader says, where it can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from boe_reconciler.core.calendar import zones
from boe_reconciler.core.codes import CODES
from boe_reconciler.core.language.documents import read_documents
from boe_reconciler.core.language.layers import merged_schedule
from boe_reconciler.core.language.load import load_resource
from boe_reconciler.core.language.places import Document
from boe_reconciler.core.language.reference import (
    render_problem_pages,
    render_reference,
)
from boe_reconciler.core.language.schemas import WHOLE, render_schemas
from boe_reconciler.core.resources.envelope import KINDS

CASES = Path(__file__).parents[1] / "cases"
REPO = Path(__file__).parents[2]
FILES = render_schemas()
SCHEMAS: dict[str, Any] = {name: json.loads(text) for name, text in FILES.items()}
#: What JSON Schema has no plain words for: judged by the loader alone.
BEYOND = {
    "BOE042": "addresses",
    "BOE046": "fields that need another",
    "BOE047": "defaults of their type",
    "BOE048": "names that are there twice",
    "BOE051": "the order of dates",
}


def documents(folder: str) -> list[Document]:
    paths = sorted((CASES / folder).rglob("*.yaml"))
    return [
        document
        for path in paths
        for document in read_documents(str(path.relative_to(CASES)), path.read_bytes())[
            0
        ]
        if not document.flawed
    ]


def accepts(data: Any, name: str = WHOLE) -> bool:
    return bool(Draft202012Validator(SCHEMAS[name]).is_valid(data))


def labelled(document: Document) -> str:
    return f"{document.filename}-{document.index}"


@pytest.mark.parametrize("name", FILES)
def test_each_schema_is_a_sound_schema(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$schema"].endswith("2020-12/schema")


def test_there_is_a_schema_for_each_kind() -> None:
    assert set(FILES) == {WHOLE, *(f"{kind.lower()}.schema.json" for kind in KINDS)}


@pytest.mark.parametrize("document", documents("valid"), ids=labelled)
def test_what_loads_fits_the_schema(document: Document) -> None:
    for name in (WHOLE, f"{document.kind}.schema.json".lower()):
        errors = Draft202012Validator(SCHEMAS[name]).iter_errors(document.data)
        assert [error.message for error in errors] == []


@pytest.mark.parametrize("document", documents("invalid"), ids=labelled)
def test_what_does_not_load_does_not_fit(document: Document) -> None:
    judged = document
    if document.kind == "Schedule":
        judged = merged_schedule(document, None, None)
    problems = load_resource(judged)[1]
    codes = {problem.code for problem in problems} - set(BEYOND)
    templated = "template" in str(document.data)
    in_url = all("url holds a password" in problem.detail for problem in problems)
    if codes and not templated and not in_url:
        assert not accepts(document.data)


DEMO = [
    document
    for folder in ("schedules", "reports", "distributions", "connections")
    for path in sorted((REPO / folder).glob("*.yaml"))
    for document in read_documents(path.name, path.read_bytes())[0]
]


@pytest.mark.parametrize("document", DEMO, ids=labelled)
def test_the_demo_fits_the_schema(document: Document) -> None:
    errors = Draft202012Validator(SCHEMAS[WHOLE]).iter_errors(document.data)
    assert [error.message for error in errors] == []


def test_the_schemas_in_the_repo_are_those_of_the_code() -> None:
    for name, text in FILES.items():
        assert (REPO / "schema" / name).read_text() == text


def test_a_kind_has_only_its_own_fields() -> None:
    document = documents("valid")[-1]
    assert not accepts(document.data | {"kind": "Group"})
    assert not accepts(document.data | {"kind": "Polcy"})
    assert not accepts(document.data, "group.schema.json")


def test_a_schedule_with_a_template_may_leave_the_rest_to_it() -> None:
    head = {"apiVersion": "boe/v1", "kind": "Schedule"}
    metadata = {"name": "x", "owner": "finance"}
    document = head | {"metadata": metadata, "spec": {"template": "nightly"}}
    assert accepts(document)
    assert not accepts(document | {"spec": {"period": "previous_day"}})


def test_each_zone_that_is_offered_is_one() -> None:
    definitions = SCHEMAS[WHOLE]["$defs"]
    for name in ("When", "ScheduleDefaults"):
        offered = definitions[name]["properties"]["timezone"]["defaultSnippets"]
        assert len(offered) > 40
        assert {one["body"] for one in offered} <= zones.names()


def test_only_plain_words_are_used() -> None:
    """Those that yaml-language-server knows well."""
    plain = {
        *("$schema", "$ref", "$defs", "title", "description", "examples", "default"),
        *("type", "enum", "const", "properties", "required", "additionalProperties"),
        *("items", "minItems", "anyOf", "allOf", "not", "if", "then", "else"),
        *("pattern", "minLength", "maxLength", "minimum", "maximum"),
        *("exclusiveMinimum", "exclusiveMaximum", "propertyNames"),
        # Of editors: others pass over them.
        *("markdownDescription", "enumDescriptions", "defaultSnippets"),
        *("errorMessage", "patternErrorMessage"),
    }
    assert set(keywords(SCHEMAS[WHOLE])) <= plain


def keywords(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [word for entry in schema for word in keywords(entry)]
    if not isinstance(schema, dict):
        return []
    found = list(schema)
    for word, value in schema.items():
        if word in ("properties", "$defs"):
            found += keywords(list(value.values()))
        elif word not in ("enum", "const", "default", "examples", "defaultSnippets"):
            found += keywords(value)
    return found


def test_every_property_has_words_for_its_hover_text() -> None:
    for name, schema in SCHEMAS[WHOLE]["$defs"].items():
        for field, property_ in schema.get("properties", {}).items():
            if property_ is not False:
                words = property_["description"].split()
                assert len(words) > 2 or field == "type", (name, field)


def test_the_reference_has_every_field() -> None:
    text = render_reference()
    for schema in SCHEMAS[WHOLE]["$defs"].values():
        for field in schema.get("properties", {}):
            assert (
                f"| {field} |" in text
                or f"| **{field}** |" in text
                or (field in ("apiVersion", "kind", "metadata", "spec"))
            )


def test_the_links_of_the_reference_lead_somewhere() -> None:
    text = render_reference()
    lines = [line for line in text.splitlines() if line.startswith("#")]
    anchors = {line.lstrip("# ").lower().replace(" ", "-") for line in lines}
    links = {part.split(")")[0] for part in text.split("](#")[1:]}
    assert links <= anchors


def test_each_code_has_its_page() -> None:
    pages = render_problem_pages()
    for code, about in CODES.items():
        page = pages[f"problems/{code}.md"]
        assert about.summary in page
        assert about.explanation in page
        assert code in pages["problems/README.md"]
