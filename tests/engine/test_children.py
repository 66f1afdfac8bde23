"""Runs whose work is done in children: transforms, and `isolate: true`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from boe_reconciler.core.runs import RunStatus
from boe_reconciler.core.spec import RunSpec
from tests.engine.world import World, a_spec


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world whose fork server serves all tests of this file."""
    made = World(tmp_path_factory.mktemp("fork-server"))
    yield made
    made.backends.close()


@pytest.fixture
def world(tmp_path: Path, backends: World) -> Iterator[World]:
    made = World(tmp_path)
    unused, made.backends.children = made.backends.children, backends.backends.children
    yield made
    made.backends.children = unused
    made.backends.close()
    assert list(backends.root.rglob("child-*")) == []


def with_transform(world: World, text: str, **fields: object) -> RunSpec:
    sha256 = world.blobs.put(dedent(text).encode())
    report = {"transform": "shapes.margin:widen", **fields.pop("report", {})}  # type: ignore[dict-item]  # of YAML
    files = {"files": {"shapes/margin.py": sha256}}
    return a_spec(
        "select range::int as n from range(3)", report=report, resolved=files, **fields
    )


DOUBLED = """
    def widen(frame):
        print("doubling", len(frame))
        return frame.assign(twice=frame.n * 2)
    """


def test_a_transform_makes_what_is_delivered(world: World) -> None:
    spec = with_transform(world, DOUBLED, export={"format": ["csv", "jsonl"]})
    record = world.run_now(spec)
    assert record.run.status is RunStatus.SUCCEEDED
    csv, jsonl = (world.root / "exports" / name for name in world.files())
    assert csv.read_text() == "n,twice\n0,0\n1,2\n2,4\n"
    assert jsonl.read_text().splitlines()[2] == '{"n":2,"twice":4}'
    (printed,) = [
        event.message
        for event in world.ledger.events(record.run.run_id)
        if event.action == "transform_printed"
    ]
    assert printed == "doubling 3"


def test_a_transform_that_fails_fails_the_run_once_with_its_own_line(
    world: World,
) -> None:
    record = world.run_now(
        with_transform(world, "def widen(frame):\n    return frame.m")
    )
    assert (record.run.status, record.run.reason) == (
        RunStatus.FAILED,
        "transform_failed",
    )
    assert "shapes/margin.py:2 in widen: return frame.m" in record.run.message
    assert record.run.attempts == 1
    assert world.files() == []


def test_rows_that_a_transform_adds_count_against_the_limit(world: World) -> None:
    text = """
        import pandas as pd

        def widen(frame):
            return pd.concat([frame] * 10)
        """
    record = world.run_now(with_transform(world, text, report={"max_rows": 5}))
    assert record.run.reason == "too_many_rows"


def test_each_sheet_is_transformed_for_itself(world: World) -> None:
    text = """
        def widen(frame):
            return frame.assign(sheet=frame.attrs["sheet"])
        """
    sheets = [{"name": n, "query": "select 1 as one"} for n in ("A", "B")]
    report = {"query": None, "workbook": {"sheets": sheets}}
    spec = with_transform(world, text, report=report, export={"format": "html"})
    record = world.run_now(spec)
    assert record.run.status is RunStatus.SUCCEEDED, record.run.message
    page = (world.root / "exports" / world.files()[0]).read_text()
    assert "<td>1</td><td>A</td>" in page
    assert "<td>1</td><td>B</td>" in page


def test_an_isolated_run_delivers_the_same_file(world: World) -> None:
    plain = world.run_now(a_spec("select range as n from range(40000)"))
    spec = a_spec(
        "select range as n from range(40000)",
        execution={"isolate": True},
        only_if={"query": "select true"},
        if_unchanged="skip",
    )
    isolated = world.run_now(spec)
    assert isolated.run.status is RunStatus.SUCCEEDED, isolated.run.message
    assert isolated.artifacts[0].sha256 == plain.artifacts[0].sha256
    assert world.run_now(spec).run.reason == "unchanged"


def test_an_isolated_run_with_a_secret_reads_in_the_main_process(world: World) -> None:
    spec = a_spec(
        "select 1 as one",
        connection={"type": "sql", "url": "sqlite://"},
        execution={"isolate": True},
    )
    assert world.run_now(spec).run.status is RunStatus.SUCCEEDED
