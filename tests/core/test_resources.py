"""The models of the language, and what a document needs to become one of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from inspect import get_annotations
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core.language.documents import read_documents
from boe_reconciler.core.language.fields import known_fields
from boe_reconciler.core.language.load import load_resource
from boe_reconciler.core.language.places import Document
from boe_reconciler.core.language.shape import findings_of
from boe_reconciler.core.language.suggest import did_you_mean
from boe_reconciler.core.resources.base import Model
from boe_reconciler.core.resources.connection import CONNECTIONS
from boe_reconciler.core.resources.distribution import DESTINATIONS
from boe_reconciler.core.resources.envelope import KINDS, Schedule
from boe_reconciler.core.resources.types import (
    format_duration,
    format_size,
    parse_date,
    parse_duration,
    parse_instant,
    parse_size,
    parse_time,
)

VALID = Path(__file__).parents[1] / "cases" / "valid" / "all-kinds.yaml"
DOCUMENTS, PROBLEMS = read_documents(VALID.name, VALID.read_bytes())


def labelled(document: Document) -> str:
    return f"{document.kind}-{document.name}"


def one(text: str) -> tuple[Any, list[str]]:
    (document,), _ = read_documents("f.yaml", text.encode())
    resource, problems = load_resource(document)
    return resource, [problem.code for problem in problems]


def test_the_valid_document_of_each_kind_and_type_is_there() -> None:
    assert PROBLEMS == []
    assert {d.kind for d in DOCUMENTS} == set(KINDS)
    specs = [d.data["spec"] for d in DOCUMENTS]
    assert {spec.get("type") for spec in specs} >= set(CONNECTIONS)
    targets = [t for spec in specs for t in spec.get("destinations", ())]
    inline = [{"type": "local"}]
    assert {t["type"] for t in targets + inline} == set(DESTINATIONS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=labelled)
def test_a_valid_document_has_no_problems(document: Document) -> None:
    resource, problems = load_resource(document)
    assert [str(problem) for problem in problems] == []
    assert resource is not None
    assert resource.name == document.name


@pytest.mark.parametrize("document", DOCUMENTS, ids=labelled)
def test_a_resource_survives_json(document: Document) -> None:
    resource, _ = load_resource(document)
    assert resource is not None
    text = resource.model_dump_json(by_alias=True)
    assert type(resource).model_validate_json(text) == resource


def declared(model: type[Model], name: str) -> str:
    """Class.field, by the class that declares the field."""
    owner = next(m for m in model.__mro__ if name in get_annotations(m))
    return f"{owner.__name__}.{name}"


def given(value: Any, data: Any) -> Iterator[str]:
    """Every field that the data gives, at any depth, of what was made of it."""
    if isinstance(value, Model):
        for name, field in type(value).model_fields.items():
            if (field.alias or name) in data:
                yield declared(type(value), name)
                yield from given(getattr(value, name), data[field.alias or name])
    elif isinstance(value, dict):
        for key in value:
            yield from given(value[key], data[key])
    elif isinstance(value, list) and isinstance(data, list):
        for one, written in zip(value, data, strict=True):
            yield from given(one, written)


def models(model: type[Model]) -> Iterator[type[Model]]:
    yield model
    for child in model.__subclasses__():
        yield from models(child)


def language() -> list[type[Model]]:
    found = (m for m in models(Model) if ".resources." in m.__module__)
    return [m for m in found if m.model_fields]


def test_every_field_of_the_language_has_a_description() -> None:
    bare = [
        f"{model.__name__}.{name}"
        for model in language()
        for name, field in model.model_fields.items()
        if not field.description and name != "spec"
    ]
    assert bare == []


def test_the_valid_documents_give_every_field_of_the_language() -> None:
    used = {
        field
        for document in DOCUMENTS
        for field in given(load_resource(document)[0], document.data)
    }
    known = {declared(m, name) for m in language() for name in m.model_fields}
    assert known - used == set()


def test_excel_means_xlsx() -> None:
    schedule = load_resource(DOCUMENTS[0])[0]
    assert isinstance(schedule, Schedule)
    assert schedule.spec.export.format == ["xlsx", "csv", "pdf"]


def test_only_some_kinds_need_an_owner() -> None:
    head = "apiVersion: boe/v1\nmetadata: {name: x}\n"
    assert one(f"{head}kind: Group\nspec: {{}}\n")[1] == []
    connection = f"{head}kind: Connection\nspec: {{type: duckdb}}\n"
    assert one(connection)[1] == ["BOE041"]


def test_all_mistakes_of_a_document_are_told_at_once() -> None:
    _, codes = one(
        "apiVersion: boe/v1\nkind: Connection\n"
        "metadata: {name: X, owner: nobody at all}\n"
        "spec: {type: postgres, hots: db, port: x, password: y}\n"
    )
    assert codes == [
        *("BOE038", "BOE042", "BOE034", "BOE034"),
        *("BOE035", "BOE036", "BOE049"),
    ]


def test_a_template_and_the_defaults_are_parts_of_a_schedule() -> None:
    head = "apiVersion: boe/v1\nmetadata: {name: x, owner: finance}\n"
    template = f"{head}kind: ScheduleTemplate\nspec: {{period: yesterday}}\n"
    assert one(template)[1] == ["BOE037"]
    policy = f"{head}kind: Policy\nspec: {{defaults: {{timezone: UTC, paused: 1}}}}\n"
    assert one(policy)[1] == ["BOE036"]


@pytest.mark.parametrize("written", ["30s", "15m", "36h", "1d", "90s", "400d"])
def test_durations_are_written_as_they_are_read(written: str) -> None:
    duration = parse_duration(written)
    assert parse_duration(format_duration(duration)) == duration
    assert parse_duration(duration) is duration


def test_sizes_are_written_as_they_are_read() -> None:
    for written in ("1B", "500KB", "25MB", "2GB", "3TB", "1234B"):
        assert parse_size(format_size(parse_size(written))) == parse_size(written)
    assert format_duration(timedelta(0)) == "0s"


def test_loading_needs_no_heavy_library() -> None:
    code = (
        "import sys, boe_reconciler.core.language.load, boe_reconciler.core.language.documents\n"
        "heavy = {'duckdb', 'pandas', 'pyarrow', 'boto3', 'paramiko', 'sqlalchemy',\n"
        "         'alembic', 'jinja2', 'sqlglot', 'dns', 'numpy'}\n"
        "print(*sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_entries_of_the_wrong_type_do_not_hide_the_others() -> None:
    head = "apiVersion: boe/v1\nmetadata: {name: x, owner: finance}\nkind: "
    sheets = "{sheets: [5, {nam: A}, {name: B}]}, parameters: {p: 5}"
    report = f"{head}Report\nspec: {{connection: c, workbook: {sheets}}}\n"
    assert set(one(report)[1]) == {"BOE035", "BOE036", "BOE043"}
    targets = f"{head}Distribution\nspec: {{destinations: [5, {{type: local}}]}}\n"
    assert set(one(targets)[1]) == {"BOE034", "BOE036"}


def test_fields_are_known_where_the_language_has_a_map() -> None:
    data = {"spec": {"report": {"columns": {"a": {"b": {}}}}, "x": {}}}
    assert known_fields(Schedule, data, ("spec", "x")) == []
    path = ("spec", "report", "columns", "a")
    assert known_fields(Schedule, data, path) == ["title", "format", "width", "hidden"]
    assert known_fields(Schedule, data, (*path, "b")) == []
    mail = {"spec": {"deliver_to": [{"type": "email", "attach": {}}]}}
    path = ("spec", "deliver_to", 0, "attach")
    assert known_fields(Schedule, mail, path) == ["max", "over_max"]


def test_a_resource_has_a_title_for_people() -> None:
    titles = {d.name: r.title for d in DOCUMENTS if (r := load_resource(d)[0])}
    assert titles["margin-monthly"] == "Margin by region"
    assert titles["carriers-daily"] == "Carriers daily"


def test_an_error_that_is_new_in_pydantic_is_still_told() -> None:
    new: Any = {"type": "new_one", "loc": ("a",), "msg": "Odd", "input": 5}
    (finding,) = findings_of([new], {"a": 5}, lambda path: [])
    assert (finding.code, finding.path) == ("BOE038", ("a",))
    assert finding.help == "Odd"


def test_a_very_long_word_is_compared_with_nothing() -> None:
    assert did_you_mean("spec" * 100, ["spec"], "otherwise") == "otherwise"
    assert did_you_mean("Spec", ["spec"]) == 'did you mean "spec"?'


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (parse_date, "2026-02-30"),
        (parse_date, "yesterday"),
        (parse_instant, "2026-12-25T06:30:00"),
        (parse_instant, "2026-13-25T06:30:00Z"),
        (parse_instant, "2026-12-25T06:30:00.5Z"),
        (parse_instant, "0001-01-01T00:00:00Z"),
        (parse_time, "6:30"),
        (parse_time, 630),
        (parse_duration, "1.5h"),
        (parse_duration, "99999d"),
        (parse_size, 25),
    ],
)
def test_a_scalar_in_another_form_is_refused(read: Any, text: Any) -> None:
    with pytest.raises(ValueError, match=r"writ|is|has|lies"):
        read(text)


def test_scalars_that_were_read_before_stay() -> None:
    for read, text in (
        (parse_date, "2026-12-25"),
        (parse_instant, "2026-12-25T06:30:00Z"),
        (parse_time, "06:30"),
    ):
        value = read(text)  # type: ignore[operator]  # each of them takes text
        assert read(value) == value  # type: ignore[operator]  # and its own value
