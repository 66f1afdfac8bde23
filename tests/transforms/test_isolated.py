"""A source or a format in a child does the same as in the main process, and harms nobody."""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from boe_reconciler.backends import FORMATS, SOURCES, WITHOUT_SECRETS
from boe_reconciler.core.errors import Cancelled, Permanent, Temporary
from boe_reconciler.core.ports import Cancel, FormatOptions, Never, Source, Table
from boe_reconciler.core.resources.connection import CONNECTIONS
from boe_reconciler.core.resources.report import Column
from boe_reconciler.transforms.children import Children
from boe_reconciler.transforms.isolated import IsolatedFormat, IsolatedSource
from tests.folders import until
from tests.sources.conftest import ByHand

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
NUMBERS = (
    "with recursive c(n) as (select 1 union all select n + 1 from c where n < 40000)"
)
ENDLESS = (
    "with recursive c(n) as (select 1 union all select n + 1 from c) select n from c"
)


@pytest.fixture(params=WITHOUT_SECRETS)
def source(request: pytest.FixtureRequest, children: Children, data: Path) -> Source:
    fields = {"type": request.param, "path": f"shop.{request.param}"}
    return IsolatedSource(
        children=children,
        module=SOURCES[request.param],
        connection=CONNECTIONS[request.param].model_validate(fields),
        data_root=data,
    )


def read(
    source: Source, query: str, cancel: Cancel | None = None, **parameters: Any
) -> list[dict[str, Any]]:
    rows = source.rows(query, parameters, cancel or Never())
    try:
        return pa.Table.from_batches(list(rows), schema=rows.schema).to_pylist()
    finally:
        rows.close()


# --- Sources --------------------------------------------------------------------------


def test_a_query_in_a_child_gives_its_rows(source: Source) -> None:
    source.check()
    assert read(source, "select * from sales where n = :n", n=1) == [
        {"n": 1, "word": "one"}
    ]
    assert read(source, "select * from sales where n = :n", n=2) == []


def test_rows_stream_and_may_be_left_unread(source: Source) -> None:
    rows = source.rows(NUMBERS + " select n from c order by n", {}, Never())
    first = next(iter(rows))
    assert first.column(0)[0].as_py() == 1
    rows.close()
    assert len(read(source, NUMBERS + " select n from c")) == 40_000


def test_what_is_wrong_with_a_query_is_told_as_ever(source: Source) -> None:
    with pytest.raises(Permanent) as error:
        read(source, "select * from nothing")
    assert error.value.reason == "query_failed"
    assert "nothing" in error.value.message


@pytest.mark.parametrize("when", ["before", "within"])
def test_a_cancel_kills_the_query(source: Source, when: str) -> None:
    cancel = ByHand()
    query = (
        ENDLESS if when == "within" else ENDLESS.replace("n from c", "max(n) from c")
    )
    threading.Timer(0.5, cancel.pull).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        read(source, query, cancel)
    assert time.monotonic() - began < 8


@LINUX
def test_a_query_that_needs_too_much_memory_is_told_with_the_limit(
    children: Children, data: Path
) -> None:
    spec = CONNECTIONS["duckdb"].model_validate({"type": "duckdb"})
    hungry = IsolatedSource(
        children=children, module=SOURCES["duckdb"], connection=spec, data_root=data
    )
    with pytest.raises(Permanent) as error:
        read(hungry, "select list(range) as x from range(100000000)")
    assert error.value.reason == "out_of_memory"
    assert "300MB" in error.value.message


@LINUX
def test_a_native_crash_within_a_query_is_contained(
    source: Source, children: Children
) -> None:
    def crash() -> None:
        os.kill(the_child(children), signal.SIGSEGV)

    threading.Timer(0.5, crash).start()
    with pytest.raises(Permanent) as error:
        read(source, ENDLESS)
    assert error.value.reason == "child_crashed"
    assert "SIGSEGV" in error.value.message
    assert read(source, "select n from sales") == [{"n": 1}]


def the_child(children: Children) -> int:
    server = children._server._process
    assert server
    path = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    return int(until(lambda: path.read_text().split())[-1])


# --- Formats --------------------------------------------------------------------------

OPTIONS = FormatOptions(
    title="Sales",
    timezone=ZoneInfo("Europe/Berlin"),
    occurrence=datetime(2026, 11, 24, tzinfo=UTC),
)
ROWS = pa.table(
    {
        "n": pa.array([1, None, 3]),
        "money": pa.array([Decimal("1.50"), None, Decimal("-2.25")]),
        "word": pa.array(["Łódź", None, "=1+1"]),
    }
)


def tables(count: int = 1) -> list[Table]:
    return [
        Table(
            name=f"Sales {number}",
            schema=ROWS.schema,
            batches=iter(ROWS.to_batches(max_chunksize=2)),
            columns={"money": Column(title="Amount", format="#,##0.00")},
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_from_a_child_has_the_very_same_bytes(
    children: Children, name: str
) -> None:
    inner = importlib.import_module(FORMATS[name]).create()
    isolated = IsolatedFormat(children, FORMATS[name], inner)
    count = 2 if inner.several_tables else 1
    expected, found = io.BytesIO(), io.BytesIO()
    written = inner.write(tables(count), expected, OPTIONS)
    again = isolated.write(tables(count), found, OPTIONS)
    assert found.getvalue() == expected.getvalue()
    assert again.rows == written.rows
    assert list(again.notes) == list(written.notes)


def test_rows_that_do_not_fit_a_format_are_told_as_ever(children: Children) -> None:
    inner = importlib.import_module(FORMATS["pdf"]).create()
    isolated = IsolatedFormat(children, FORMATS["pdf"], inner)
    batch = pa.record_batch({"n": pa.array(range(60_000))})
    table = Table(name="x", schema=batch.schema, batches=iter([batch] * 20))
    with pytest.raises(Permanent) as error:
        isolated.write([table], io.BytesIO(), OPTIONS)
    assert error.value.reason == "too_many_rows"


def test_an_error_of_the_rows_stays_what_it_is(children: Children) -> None:
    isolated = IsolatedFormat(
        children, FORMATS["csv"], importlib.import_module(FORMATS["csv"]).create()
    )

    def broken() -> Iterator[pa.RecordBatch]:
        yield from ROWS.to_batches()
        raise Temporary("database_unreachable", "gone")

    table = Table(name="x", schema=ROWS.schema, batches=broken())
    with pytest.raises(Temporary, match="gone"):
        isolated.write([table], io.BytesIO(), OPTIONS)


@pytest.mark.slow
def test_a_large_export_needs_no_more_memory_than_a_small_one(
    children: Children, data: Path, tmp_path: Path
) -> None:
    """The limit of the child is the proof: the rows are several times as large."""
    spec = CONNECTIONS["duckdb"].model_validate({"type": "duckdb"})
    source = IsolatedSource(
        children=children, module=SOURCES["duckdb"], connection=spec, data_root=data
    )
    inner = importlib.import_module(FORMATS["csv"]).create()
    query = "select range as n, repeat('x', 100) || range as text from range(10000000)"
    rows = source.rows(query, {}, Never())
    table = Table(name="x", schema=rows.schema, batches=iter(rows))
    with (tmp_path / "large.csv").open("wb") as target:
        isolated = IsolatedFormat(children, FORMATS["csv"], inner)
        written = isolated.write([table], target, OPTIONS)
    rows.close()
    assert written.rows == 10_000_000
    assert (tmp_path / "large.csv").stat().st_size > 1_000_000_000
