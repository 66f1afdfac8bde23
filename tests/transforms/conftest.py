"""One fork server for the tests of this folder: starting it takes two seconds."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from boe_reconciler.backends import PRELOAD
from boe_reconciler.core.ports import Code, Never, Table
from boe_reconciler.transforms.children import Children
from boe_reconciler.transforms.isolated import ChildTransforms

MEMORY = 300_000_000
SECRET = "correct horse battery staple"
Run = Callable[..., pa.Table]


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="session")
def children(scratch: Path) -> Iterator[Children]:
    made = Children(
        scratch=scratch,
        memory=MEMORY,
        environment={**os.environ, "DB_PASSWORD": SECRET},
        preload=PRELOAD,
    )
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _nothing_is_left(scratch: Path) -> Iterator[None]:
    yield
    assert list(scratch.iterdir()) == []


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "shop.sqlite") as lite:
        lite.execute("PRAGMA journal_mode = wal")
        lite.execute("CREATE TABLE sales AS SELECT 1 AS n, 'one' AS word")
    lite.close()
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as db:
        db.execute("CREATE TABLE sales AS SELECT 1::INT AS n, 'one' AS word")
    return tmp_path


def a_code(text: str) -> Code:
    return Code(path="shapes/margin.py", text=dedent(text), function="widen")


def a_table(rows: pa.Table) -> Table:
    return Table(name="Sales", schema=rows.schema, batches=iter(rows.to_batches()))


@pytest.fixture
def run(children: Children) -> Run:
    """run(code, rows): what `widen` of that code makes of the rows."""

    def transformed(text: str, rows: pa.Table | None = None, **more: Any) -> pa.Table:
        table = a_table(rows if rows is not None else pa.table({"n": [1, 2, 3]}))
        cancel = more.get("cancel", Never())
        done = ChildTransforms(children=children).run(a_code(text), table, cancel)
        try:
            return pa.Table.from_batches(list(done.rows), schema=done.rows.schema)
        finally:
            done.rows.close()

    return transformed
