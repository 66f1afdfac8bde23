"""A child that is kept reads a few rows and writes their file, and many rows pass through."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from boe_reconciler.backends import FORMATS, SOURCES
from boe_reconciler.core.errors import Cancelled, Permanent, Temporary
from boe_reconciler.core.ports import Cancel, Never, Rows, Source, Table
from boe_reconciler.core.resources.connection import CONNECTIONS
from boe_reconciler.engine.cancel import CancelToken, Stop
from boe_reconciler.formats import xlsx
from boe_reconciler.sources import duckdb as duckdb_source
from boe_reconciler.transforms import arrow
from boe_reconciler.transforms import kept as kept_module
from boe_reconciler.transforms.children import Child
from boe_reconciler.transforms.kept import KeptChildren
from boe_reconciler.transforms.small import KeptFormat, KeptRows, KeptSource
from tests.crowds import kept_children, with_a_child
from tests.sources.conftest import ByHand
from tests.transforms import odd_format
from tests.transforms.test_isolated import OPTIONS

FEW = "select n, 'x' || n as word from range(:count) as r(n)"
MANY = "select n from range(1_000_000) as r(n)"
FILES = {"few": "few.csv"}
ENDLESS = (
    "with recursive c(n) as (select 1 union all select n + 1 from c) "
    "select max(n) from c"
)
HERE = str(os.getpid())
ODD = replace(OPTIONS, subtitle=HERE, title="")


def opened(data: Path, **fields: Any) -> Source:
    spec = CONNECTIONS["duckdb"].model_validate({"type": "duckdb", **fields})
    return duckdb_source.create(spec, secrets=None, data_root=data)  # type: ignore[arg-type]  # it needs none


class Inner:
    """The Source of the run's own thread; it counts what it is asked."""

    def __init__(self, data: Path) -> None:
        self.source = opened(data)
        self.asked = 0

    def rows(self, query: str, parameters: Mapping[str, Any], cancel: Cancel) -> Rows:
        self.asked += 1
        return self.source.rows(query, parameters, cancel)

    def check(self) -> None:
        self.source.check()

    def close(self) -> None:
        self.source.close()


@pytest.fixture
def kept(scratch: Path, data: Path) -> Iterator[KeptChildren]:
    with kept_children(scratch, data) as made:
        yield with_a_child(made)


@pytest.fixture
def inner(data: Path) -> Iterator[Inner]:
    made = Inner(data)
    yield made
    made.close()


@pytest.fixture
def source(kept: KeptChildren, inner: Inner, data: Path) -> KeptSource:
    return over(kept, inner, data)


def over(kept: KeptChildren, inner: Inner, data: Path, **fields: Any) -> KeptSource:
    spec = {"type": "duckdb", "path": "shop.duckdb", **fields}
    return KeptSource(
        kept=kept,
        inner=inner,
        module=SOURCES["duckdb"],
        connection=CONNECTIONS["duckdb"].model_validate(spec),
        version=str(spec),
        data_root=data,
        memory_limit="100MB",
    )


def table(rows: Rows) -> Table:
    return Table(name="x", schema=rows.schema, batches=iter(rows))


def pid_of(kept: KeptChildren, rows: Rows, title: str = "") -> str:
    """The process that wrote a file of these."""
    target = io.BytesIO()
    odd = KeptFormat(kept, odd_format.__name__, odd_format.create())
    odd.write([table(rows)], target, replace(ODD, title=title))
    return target.getvalue().decode()


def read(source: KeptSource, query: str) -> list[pa.RecordBatch]:
    with closing(source.rows(query, {}, Never())) as rows:
        return list(rows)


def child_of(rows: Rows) -> Child:
    assert isinstance(rows, KeptRows)
    return rows.child.child


def ended(rows: Rows) -> None:
    """Its child is killed."""
    child_of(rows)._pull(b"k")
    child_of(rows)._exit_code()


def test_a_few_rows_are_read_and_written_by_one_child(
    source: KeptSource, kept: KeptChildren, inner: Inner, data: Path
) -> None:
    """The same bytes as from the thread, from rows that were never here."""
    (child,) = kept._idle
    for count in (3, 0, 2_000):
        rows = source.rows(FEW, {"count": count}, Never())
        assert rows.count == count
        assert kept._idle == []
        found, expected = io.BytesIO(), io.BytesIO()
        told = KeptFormat(kept, FORMATS["xlsx"], xlsx.create()).write(
            [table(rows)], found, OPTIONS
        )
        rows.close()
        assert told.rows == count
        own = inner.rows(FEW, {"count": count}, Never())
        xlsx.create().write([table(own)], expected, OPTIONS)
        own.close()
        assert found.getvalue() == expected.getvalue()
        assert kept._idle == [child]
    assert inner.asked == 3


def test_rows_that_somebody_else_wants_come_from_the_child(
    source: KeptSource, kept: KeptChildren, inner: Inner
) -> None:
    rows = source.rows(FEW, {"count": 1_000}, Never())
    found = pa.Table.from_batches(list(rows), schema=rows.schema)
    rows.close()
    assert found.column("n").to_pylist() == list(range(1_000))
    assert (len(kept._idle), inner.asked) == (1, 0)


def test_a_large_template_is_the_threads_affair(
    source: KeptSource, kept: KeptChildren, inner: Inner
) -> None:
    rows = source.rows(FEW, {"count": 2}, Never())
    found = io.BytesIO()
    odd = KeptFormat(kept, odd_format.__name__, odd_format.create())
    odd.write([table(rows)], found, replace(ODD, template=bytes(arrow.SMALL + 1)))
    rows.close()
    assert (found.getvalue().decode(), inner.asked) == (HERE, 0)


def test_many_rows_are_asked_once_and_pass_through(
    source: KeptSource, kept: KeptChildren, inner: Inner
) -> None:
    rows = source.rows(MANY, {}, Never())
    assert rows.count is None
    assert pid_of(kept, rows) == HERE
    rows.close()
    numbers = pa.Table.from_batches(read(source, f"{MANY} order by n -- again"))
    assert numbers.column("n").to_pylist() == list(range(1_000_000))
    assert (len(kept._idle), inner.asked) == (1, 0)


def test_a_child_is_not_in_the_way_of_many_rows_twice(
    source: KeptSource, kept: KeptChildren, inner: Inner, data: Path
) -> None:
    for _ in range(3):
        assert sum(batch.num_rows for batch in read(source, MANY)) == 1_000_000
    assert inner.asked == 2
    other = replace(source, version="another Connection")
    read(other, MANY)
    assert inner.asked == 2


def test_what_is_not_asked_is_forgotten_before_it_takes_room(
    kept: KeptChildren, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "_MOST_KNOWN", 2)
    for query in "abc":
        kept.do_not_ask("here", query)
    assert [kept.may_ask("here", query) for query in "abc"] == [True, True, False]


def test_many_wide_rows_go_in_small_pieces(
    source: KeptSource, kept: KeptChildren, inner: Inner
) -> None:
    query = "select repeat('x', 100_000) || n as w from range(300) as r(n)"
    batches = read(source, query)
    assert [len(batch) for batch in batches][:2] == [10, 10]
    assert pa.Table.from_batches(batches).num_rows == 300
    assert (len(kept._idle), inner.asked) == (1, 0)


def test_a_wide_row_is_a_piece_of_its_own() -> None:
    batch = pa.record_batch({"w": ["x" * 3_000_000] * 2})
    assert [piece.num_rows for piece in arrow.in_pieces(batch)] == [1, 1]
    assert list(arrow.in_pieces(batch.slice(0, 0))) == []


def test_a_child_that_still_sends_is_not_used_again(
    source: KeptSource, kept: KeptChildren, inner: Inner
) -> None:
    rows = source.rows(MANY, {}, Never())
    next(iter(rows))
    rows.close()
    assert (kept._idle, kept._count) == ([], 0)
    again = source.rows(FEW, {"count": 2}, Never())
    assert again.count is None
    again.close()
    assert inner.asked == 1


def test_without_a_free_child_the_thread_reads(
    source: KeptSource, kept: KeptChildren, inner: Inner
) -> None:
    first = source.rows(FEW, {"count": 1}, Never())
    second = source.rows(FEW, {"count": 2}, Never())
    assert [batch.num_rows for batch in second] == [2]
    assert pid_of(kept, first) != HERE
    first.close()
    second.close()
    assert inner.asked == 1


def test_what_is_wrong_with_a_query_is_told_and_the_child_goes_on(
    source: KeptSource, kept: KeptChildren, inner: Inner
) -> None:
    (child,) = kept._idle
    with pytest.raises(Permanent, match="nothing") as error:
        source.rows("select * from nothing", {}, Never())
    assert error.value.reason == "query_failed"
    assert (kept._idle, inner.asked) == ([child], 0)


def test_what_is_refused_while_it_is_written_is_told_and_the_child_goes_on(
    source: KeptSource, kept: KeptChildren
) -> None:
    (child,) = kept._idle
    rows = source.rows(FEW, {"count": 2}, Never())
    with pytest.raises(Permanent, match="holds none"):
        pid_of(kept, rows, "refuse")
    rows.close()
    assert kept._idle == [child]


def test_a_late_mistake_among_many_rows_is_told(
    source: KeptSource, kept: KeptChildren
) -> None:
    query = "select case when n < 900_000 then n else error('late') end n"
    with pytest.raises(Permanent, match="late"):
        read(source, f"{query} from range(1_000_000) as r(n)")
    assert len(kept._idle) == 1


@pytest.mark.parametrize("title", ["killed", "break"])
def test_where_the_child_fails_the_thread_reads_and_writes(
    source: KeptSource, kept: KeptChildren, inner: Inner, title: str
) -> None:
    rows = source.rows(FEW, {"count": 2}, Never())
    assert pid_of(kept, rows, title) == HERE
    rows.close()
    assert (kept._count, inner.asked) == (0, 1)


def test_a_child_that_is_gone_is_not_missed(
    source: KeptSource, kept: KeptChildren, inner: Inner
) -> None:
    rows = source.rows(FEW, {"count": 2}, Never())
    ended(rows)
    assert [batch.num_rows for batch in rows] == [2]
    rows.close()
    again = source.rows(FEW, {"count": 3}, Never())
    assert [batch.num_rows for batch in again] == [3]
    again.close()
    assert inner.asked == 2


def test_of_rows_that_were_used_none_is_read_twice(
    source: KeptSource, kept: KeptChildren, inner: Inner
) -> None:
    rows = source.rows(MANY, {}, Never())
    batches = iter(rows)
    next(batches)
    ended(rows)
    with pytest.raises(Temporary) as error:
        list(batches)
    assert error.value.reason == "child_lost"
    rows.close()
    assert (kept._count, inner.asked) == (0, 0)


def test_a_child_that_runs_out_of_memory_among_many_rows_is_not_asked_again(
    source: KeptSource, kept: KeptChildren, inner: Inner
) -> None:
    query = (
        "select n, case when n < 100_000 then 'x' else repeat('y', 40_000) end as w "
        "from range(116_000) as r(n)"
    )
    with suppress(Temporary):
        read(source, query)
    assert sum(batch.num_rows for batch in read(source, query)) == 116_000
    assert inner.asked == 1


@pytest.mark.parametrize("few", [0, 1])
def test_more_rows_at_the_second_look_are_no_rows_of_this_file(
    kept: KeptChildren, inner: Inner, data: Path, few: int
) -> None:
    """How many they are was looked at before."""
    source = over(kept, inner, data, path=None, files=FILES)
    (data / "few.csv").write_text("n\n1\n")
    inner.source = opened(data, files=FILES)
    rows = source.rows("select n from few where n <= :few", {"few": few}, Never())
    assert rows.count == few
    (data / "few.csv").write_text("n\n1\n1\n0\n")
    ended(rows)
    with pytest.raises(Temporary) as error:
        list(rows)
    assert error.value.reason == "source_changed"
    rows.close()


def test_another_folder_under_that_name_gets_other_children(
    kept: KeptChildren, inner: Inner, data: Path
) -> None:
    """A child could not open what lies there now."""
    source = over(kept, inner, data, path=None, files=FILES)
    inner.source = opened(data, files=FILES)
    for number in range(3):
        new = data.with_name(f"new-{number}")
        new.mkdir()
        (new / "few.csv").write_text(f"n\n{number}\n")
        data.rename(data.with_name(f"old-{number}"))
        new.rename(data)
        found = read(source, "select n from few")
        assert pa.Table.from_batches(found).to_pylist() == [{"n": number}]
        with_a_child(kept)
    assert inner.asked == 3


def test_other_columns_at_the_second_look_are_no_rows_of_this_file(
    kept: KeptChildren, inner: Inner, data: Path
) -> None:
    source = over(kept, inner, data)
    rows = source.rows("select n from sales", {}, Never())
    inner.source = opened(data, path="other.duckdb")
    with duckdb.connect(str(data / "other.duckdb")) as db:
        db.execute("CREATE TABLE sales AS SELECT 'one' AS n")
    ended(rows)
    with pytest.raises(Temporary) as error:
        list(rows)
    assert error.value.reason == "source_changed"
    rows.close()


def test_a_crash_within_a_query_is_told_and_not_tried_here(
    source: KeptSource, kept: KeptChildren, inner: Inner
) -> None:
    rows = source.rows(FEW, {"count": 1}, Never())
    crash = partial(os.kill, int(pid_of(kept, rows)), signal.SIGSEGV)
    rows.close()
    threading.Timer(0.5, crash).start()
    with pytest.raises(Permanent) as error:
        source.rows(ENDLESS, {}, Never())
    assert error.value.reason == "child_crashed"
    assert (kept._count, inner.asked) == (0, 0)


def test_a_query_that_needs_more_than_a_child_has_is_done_by_the_thread(
    source: KeptSource, inner: Inner
) -> None:
    query = (
        "select sum(len(x)) as n from (select list(range) as x from range(20_000_000))"
    )
    rows = source.rows(query, {}, Never())
    assert next(iter(rows)).column(0)[0].as_py() == 20_000_000
    rows.close()
    assert inner.asked == 1


def test_a_cancel_stops_the_query_in_the_child(
    source: KeptSource, kept: KeptChildren, inner: Inner
) -> None:
    cancel = ByHand()
    threading.Timer(0.3, cancel.pull).start()
    with pytest.raises(Cancelled):
        source.rows(ENDLESS, {}, cancel)
    assert cancel.callbacks == []
    assert (kept._count, inner.asked) == (0, 0)


def test_a_run_that_is_cancelled_already_asks_nobody(
    source: KeptSource, kept: KeptChildren, inner: Inner
) -> None:
    cancel = CancelToken()
    cancel.stop(Stop.CANCELLED)
    with pytest.raises(Cancelled):
        source.rows(FEW, {"count": 1}, cancel)
    assert len(read(source, "select 1 as one")) == 1
    assert inner.asked == 0


def test_a_cancel_at_the_last_moment_leaves_no_dying_child(
    source: KeptSource, kept: KeptChildren, inner: Inner
) -> None:
    cancel = ByHand()
    rows = source.rows(FEW, {"count": 1}, cancel)
    batches = iter(rows)
    next(batches)
    cancel.pull()
    assert list(batches) == []
    rows.close()
    assert (kept._idle, kept._count) == ([], 0)


def test_a_connection_that_was_edited_is_another_one_to_the_child(
    kept: KeptChildren, inner: Inner, data: Path
) -> None:
    with duckdb.connect(str(data / "other.duckdb")) as db:
        db.execute("CREATE TABLE sales AS SELECT 2::INT AS n")
    for path, n in (("shop.duckdb", 1), ("other.duckdb", 2), ("shop.duckdb", 1)):
        found = read(over(kept, inner, data, path=path), "select n from sales")
        assert pa.Table.from_batches(found).to_pylist() == [{"n": n}]
    assert inner.asked == 0


def test_a_child_forgets_connections_that_it_has_not_seen_for_long(
    kept: KeptChildren, inner: Inner, data: Path
) -> None:
    for number in range(20):
        path = data / f"{number}.duckdb"
        with duckdb.connect(str(path)) as db:
            db.execute("CREATE TABLE t AS SELECT ?::INT AS n", [number])
        found = read(over(kept, inner, data, path=path.name), "select n from t")
        assert pa.Table.from_batches(found).to_pylist() == [{"n": number}]
    assert inner.asked == 0


def test_a_file_that_changes_is_read_as_it_is_then(
    source: KeptSource, inner: Inner, data: Path
) -> None:
    """The child lets go of it soon, so that its writer can write."""
    for number in range(3):
        found = read(source, "select max(n) as n from sales")
        assert pa.Table.from_batches(found).to_pylist() == [{"n": number + 1}]
        insert(data / "shop.duckdb", number + 2)
    assert inner.asked == 0


def insert(path: Path, n: int) -> None:
    for _ in range(100):
        try:
            with duckdb.connect(str(path)) as db:
                db.execute("INSERT INTO sales VALUES (?, 'x')", [n])
        except duckdb.IOException:
            threading.Event().wait(0.1)
        else:
            return
    raise AssertionError("the file is never let go")


def test_enums_and_decimals_and_nested_values_stay_what_they_are(
    source: KeptSource, inner: Inner
) -> None:
    query = """
        select 'a'::enum('a', 'b') as e, 1.50::decimal(38, 2) as d, null as nothing,
            uuid() is null as u, [1, null] as l, {'x': 1} as s, 2::hugeint as h,
            time '24:00:00' as midnight, timestamptz '2026-11-30 12:00:00+01' as t, '\\x00'::blob as b
        from range(3)
    """
    expected = inner.rows(query, {}, Never())
    rows = source.rows(query, {}, Never())
    assert rows.schema == expected.schema
    assert list(rows) == list(expected)
    rows.close()
    expected.close()


def test_what_counts_as_few_is_bytes_and_rows() -> None:
    wide = pa.record_batch({"w": ["x" * 600_000]})
    taken, room = arrow.take_few(iter([wide] * 3), arrow.SMALL)
    assert (len(taken), room < 0) == (2, True)
    narrow = pa.record_batch({"n": pa.nulls(70_000)})
    taken, room = arrow.take_few(iter([narrow]), arrow.SMALL)
    assert (len(taken), room < 0) == (1, True)
