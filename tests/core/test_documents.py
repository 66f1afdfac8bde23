"""Reading YAML: values, places, and mistakes that never become exceptions."""

from __future__ import annotations

import random
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from boe_reconciler.core.language import documents as reading
from boe_reconciler.core.language.documents import (
    MAX_FILE_BYTES,
    MAX_NESTING,
    read_documents,
    unreadable,
)
from boe_reconciler.core.language.load import load_resource
from boe_reconciler.core.language.places import Document
from boe_reconciler.core.language.values import plain_values
from boe_reconciler.core.problems import Path, Position, Problem, Range

VALID = """\
apiVersion: boe/v1
kind: Schedule
metadata: {name: margin-monthly, owner: finance, title: Margin by region}
spec:
  report: margin-by-region
  when: {frequency: monthly, on: {business_day: 2}, at: "07:00", timezone: Europe/Berlin}
  parameters: {month: "{{ period.start }}", list: &l [1, 2.5, -3]}
  export:
    format: [xlsx, csv]
    filename_pattern: "{report_name}_{period}.{format}"
  deliver_to: # a comment
    - {distribution: regional-mail, inputs: {to: "{{ part.to }}", again: *l}}
    - archive
    - type: local
      base_path: |
        exports
---
apiVersion: boe/v1
kind: Group
metadata: {name: finance}
spec: {members: [anna@example.com, {email: bob@example.com, until: 2027-03-31}]}
"""


def read(text: str) -> list[Document]:
    documents, problems = read_documents("f.yaml", text.encode())
    assert problems == []
    return documents


def value_of(text: str) -> Any:
    return read(f"x: {text}\n")[0].data["x"]


def problems_of(text: str | bytes) -> list[Problem]:
    content = text if isinstance(text, bytes) else text.encode()
    return read_documents("f.yaml", content)[1]


def told(text: str | bytes) -> list[tuple[str, int, int]]:
    return [
        (p.code, p.range.start.line, p.range.start.column) for p in problems_of(text)
    ]


# --- Values ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-7", -7),
        ("+7", 7),
        ("0644", 644),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("Off", "Off"),
        ("y", "y"),
        ("0o17", "0o17"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("190:20:30", "190:20:30"),
        ("6:30", "6:30"),
        ("2026-12-25", "2026-12-25"),
        ("2026-12-25T06:30:00Z", "2026-12-25T06:30:00Z"),
        (".inf", ".inf"),
        (".NaN", ".NaN"),
        ("1e999", "1e999"),
        ("9" * 30, 10**30 - 1),
        ("9" * 50, "9" * 50),
        ('"true"', "true"),
        ("'12'", "12"),
        ("! 12", "12"),
        ("!!str 12", "12"),
    ],
)
def test_scalars_are_those_of_the_core_schema(written: str, value: object) -> None:
    found = value_of(written)
    assert (found, type(found)) == (value, type(value))


def test_every_key_is_text() -> None:
    assert read("on: 1\n2: b\ntrue: c\nnull: d\n")[0].data == {
        "on": 1,
        "2": "b",
        "true": "c",
        "null": "d",
    }


def test_aliases_repeat_what_their_anchor_marked() -> None:
    document = read("a: &x {b: [1, 2]}\nc: *x\nd: &y text\ne: *y\n")[0]
    assert document.data["c"] == {"b": [1, 2]}
    assert document.data["e"] == "text"
    assert document.range(("c",)).start.line == 2


def test_a_file_may_begin_with_a_byte_order_mark() -> None:
    document = read("\ufeffkind: x\n")[0]
    assert document.data == {"kind": "x"}
    assert document.key_range(("kind",)).start.column == 1


def test_a_file_holds_several_documents() -> None:
    documents = read("---\na: 1\n---\nb: 2\n...\n---\nc: 3\n")
    assert [(d.index, d.data) for d in documents] == [
        (0, {"a": 1}),
        (1, {"b": 2}),
        (2, {"c": 3}),
    ]


# --- Places ---------------------------------------------------------------------


def sliced(text: str, found: Range) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first, last = found.start.line - 1, found.end.line - 1
    if first == last:
        return lines[first][found.start.column - 1 : found.end.column - 1]
    middle = lines[first + 1 : last]
    head, tail = lines[first][found.start.column - 1 :], lines[last]
    return "\n".join([head, *middle, tail[: found.end.column - 1]])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_range_covers_its_value_as_it_is_written(end: str) -> None:
    text = VALID.replace("\n", end)
    document = read(text)[0]
    assert sliced(text, document.range(("spec", "when", "at"))) == '"07:00"'
    assert sliced(text, document.range(("spec", "export", "format"))) == "[xlsx, csv]"
    assert sliced(text, document.key_range(("spec", "export"))) == "export"
    export = sliced(text, document.range(("spec", "export")))
    assert export.startswith("format: [xlsx")
    assert export.endswith('{format}"')
    block = sliced(text, document.range(("spec", "deliver_to", 2, "base_path")))
    assert block == "|\n        exports"
    second = read(text)[1]
    assert sliced(text, second.range(("spec", "members", 0))) == "anna@example.com"


def test_columns_count_characters() -> None:
    text = 'ключ: "日本" \nx: [é, ü🎉, z]\n'
    document = read(text)[0]
    assert sliced(text, document.range(("x", 2))) == "z"
    assert document.range(("x", 2)).start.column == 12
    assert sliced(text, document.range(("ключ",))) == '"日本"'


def test_what_is_not_there_has_the_place_of_what_is_around_it() -> None:
    document = read("a:\n  b: {c: 1}\n")[0]
    assert document.range(("a", "b", "x", 5)) == document.range(("a", "b"))
    assert document.key_range(("a", "x")) == document.range(("a",))
    assert document.part(("a", "x")) is None
    assert document.part(("a", "b", 0)) is None


def leaves(data: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    if isinstance(data, dict) and data:
        return [x for k, v in data.items() for x in leaves(v, (*path, k))]
    if isinstance(data, list) and data:
        return [x for n, v in enumerate(data) for x in leaves(v, (*path, n))]
    return [(path, data)]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.text(max_size=20)
    | st.sampled_from(["2026-12-25", "yes", "*/5 * * * *", "a: b", "{{ x }}", "- x"])
)
KEYS = st.text(max_size=8) | st.sampled_from(["on", "yes", "1", "null", "a b"])
NESTED = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4)
        ),
        max_leaves=12,
    ),
    min_size=1,
    max_size=4,
)


@given(NESTED, st.booleans(), st.booleans())
def test_each_place_leads_back_to_its_value(
    data: Any, flow: bool, unicode: bool
) -> None:
    """A dump by another writer is read back equal, each leaf at its own place."""
    text = yaml.safe_dump(
        data, default_flow_style=flow, allow_unicode=unicode, sort_keys=False
    )
    documents, problems = read_documents("f.yaml", text.encode())
    if problems:  # only what looks like nothing in an editor, or means something else
        assert {p.code for p in problems} <= {"BOE002", "BOE014"}
        return
    (document,) = documents
    assert document.data == data
    for path, value in leaves(data):
        written = sliced(text, document.range(path))
        if "\n" not in written:
            (again,) = read(f"[{written}]") if flow else read(f"- {written}")
            assert again.data == [value]


# --- Two ways to the same values ------------------------------------------------


@given(st.integers(0, 2**32))
def test_what_is_read_at_a_glance_is_what_a_careful_look_finds(seed: int) -> None:
    text = mutated(VALID.replace("&l", "").replace("*l", "7"), seed)
    values = plain_values(text, MAX_NESTING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "plain_values", lambda *_: None)
        found, problems = read_documents("f.yaml", text.encode())
    if values is not None and "BOE002" not in {one.code for one in problems}:
        assert ([document.data for document in found], problems) == (values, [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "---\n",
        "a: &x 1",
        "a: [*x]",
        "a: !!str x",
        "!!map {a: 1}",
        "&x a: 1",
        "a: 1\na: 2",
        "<<: {a: 1}",
        "{a: 1}: 2",
        "a: [",
        "[[[]]]",
    ],
)
def test_what_may_be_a_mistake_takes_a_careful_look(text: str) -> None:
    assert plain_values(text, 2) is None


def test_places_are_found_of_each_document_once_they_are_asked_for() -> None:
    one, two = read("a: 1\n---\nb: [1, 2]\n")
    assert two.range(("b", 1)).start == Position(3, 8)
    assert one.range(("a",)).start == Position(1, 4)
    assert one.place[0] is two.place[0] is one.source


# --- Mistakes -------------------------------------------------------------------


def test_a_file_may_not_be_larger_than_the_limit() -> None:
    text = "# " + "x" * MAX_FILE_BYTES
    assert told(text) == [("BOE003", 1, 1)]


def test_a_file_that_cannot_be_had_is_a_problem_of_the_whole_file() -> None:
    problem = unreadable("a.yaml", "no permission")
    assert str(problem) == (
        "a.yaml:1:1: error BOE016: the file cannot be read: no permission"
    )


def test_reading_goes_on_after_the_next_document_marker() -> None:
    documents, problems = read_documents(
        "f.yaml", b"a: @x\n---\nb: 1\n---\nc: [\n---\nd: `\n---\ne: 2\n"
    )
    assert [d.data for d in documents] == [{"b": 1}, {"e": 2}]
    assert [d.index for d in documents] == [1, 4]
    assert [p.code for p in problems] == ["BOE007", "BOE005", "BOE007"]


def test_a_broken_document_is_known_by_what_stands_before_the_mistake() -> None:
    (problem,) = problems_of(VALID.replace("[xlsx, csv]", "[xlsx, csv"))
    assert (problem.kind, problem.name) == ("Schedule", "margin-monthly")


def test_a_flawed_document_is_looked_at_but_never_loaded() -> None:
    text = VALID.replace("kind: Group", "kind: Group\nkind: Report")
    documents, problems = read_documents("f.yaml", text.encode())
    assert [p.code for p in problems] == ["BOE010"]
    assert documents[1].flawed == (("kind",),)
    assert load_resource(documents[1]) == (None, [])


def test_a_small_file_cannot_grow_without_bounds() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]")
    assert [code for code, _, _ in told("\n".join(lines))] == ["BOE012"]


def test_aliases_do_not_nest_deeper_than_the_limit() -> None:
    lines = ["a0: &a0 " + "[" * 40 + "]" * 40]
    lines += [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 20)]
    assert [code for code, _, _ in told("\n".join(lines))] == ["BOE004"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("cron: */5 * * * *", ("BOE007", 1, 7)),
        ("a: 1\ncron: @daily", ("BOE007", 2, 7)),
        ("a:\n\tb: 1", ("BOE006", 2, 1)),
        ("a: 1\n\tb: 2", ("BOE006", 2, 1)),
        ("a: {{ x }}", ("BOE008", 1, 4)),
        ("a: {{ x }} and more", ("BOE008", 1, 4)),
        ("a: 1\nb: [{{ y }}]", ("BOE008", 2, 5)),
        ("a: 1\nname:foo\nb: 2", ("BOE009", 2, 1)),
        ("a: b: c", ("BOE009", 1, 5)),
        ("a: {b: 1\nc: 2", ("BOE005", 1, 4)),
        ("a: 'x\nb: 2", ("BOE005", 1, 4)),
        ("%FOO\n---\na: 1", ("BOE005", 1, 5)),
        ("a: !<!\n", ("BOE005", 1, 7)),
    ],
)
def test_a_trap_is_told_at_its_place(text: str, place: tuple[str, int, int]) -> None:
    assert told(text) == [place]


# --- Anything at all ------------------------------------------------------------


def judge(content: bytes) -> None:
    """Whatever a file holds: Problems with places in it, never an exception."""
    documents, problems = read_documents("f.yaml", content)
    for document in documents:
        resource, found = load_resource(document)
        problems += found
        errors = any(p.severity == "error" for p in found)
        assert (resource is None) == (errors or bool(document.flawed))
    lines = content.decode("utf-8", errors="replace").splitlines() or [""]
    for problem in problems:
        assert str(problem)
        assert problem.as_diagnostic()
        assert 1 <= problem.range.start.line <= len(lines) + 1
        assert problem.range.start <= problem.range.end


SPLINTERS = (
    *("", " ", "\n", "\t", ":", ": ", "{", "}", "[", "]", "- ", "*", "&x", "*x", "'"),
    *('"', "#", "|\n", "null", "7", "yes", "---\n", "!!x ", "<<: ", "é", "type: "),
)


def mutated(text: str, seed: int) -> str:
    """`text` with a few small changes: characters, words and pieces of itself."""
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text))
        to = min(len(text), at + chance.randint(0, 12))
        piece = chance.choice((*SPLINTERS, text[at:to] * 2, text[-1:at:-1][:8]))
        text = text[:at] + piece + text[to:]
    return text


@given(st.binary(max_size=300))
def test_random_bytes_only_give_problems(content: bytes) -> None:
    judge(content)


@given(st.text(alphabet=" \n\t:-[]{}#&*!|>'\"%@`,?ab1é\r\x00", max_size=80))
def test_random_yaml_only_gives_problems(text: str) -> None:
    judge(text.encode())


@given(st.integers(0, 2**32))
def test_mutated_yaml_only_gives_problems(seed: int) -> None:
    judge(mutated(VALID, seed).encode())


@given(NESTED)
def test_any_spec_only_gives_problems(data: Any) -> None:
    for kind in ("Schedule", "Connection", "Policy", "ScheduleTemplate"):
        whole = {
            "apiVersion": "boe/v1",
            "kind": kind,
            "metadata": data,
            "spec": data | {"deliver_to": [data], "report": data, "type": "smtp"},
        }
        judge(yaml.safe_dump(whole).encode())


@pytest.mark.slow
@settings(max_examples=3000)
@given(st.integers(0, 2**62), st.binary(max_size=2000))
def test_thousands_of_odd_files_only_give_problems(seed: int, content: bytes) -> None:
    judge(content)
    judge(mutated(VALID, seed).encode())
    judge(mutated(mutated(VALID, seed), seed + 1).encode())
