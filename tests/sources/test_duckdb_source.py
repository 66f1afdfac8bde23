"""What the source `duckdb` promises: exact rows, and nothing beyond its files."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from boe_reconciler.core.errors import Cancelled, Permanent, RunError, Temporary
from boe_reconciler.core.ports import Cancel, Rows
from boe_reconciler.core.resources.connection import DuckDBConnection
from boe_reconciler.sources import duckdb as source

Open = Callable[..., source.DuckDBSource]


class NoSecrets:
    def resolve(self, secret: Any) -> str:
        raise AssertionError(secret)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data root: a database file, some files, and things outside."""
    root = tmp_path / "data"
    (root / "in").mkdir(parents=True)
    (root / "in/a.csv").write_text("n,s\n1,x\n2,y\n")
    (root / "in/b.csv").write_text("n,s\n3,z\n")
    (root / "events.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    with duckdb.connect(str(root / "shop.duckdb")) as db:
        db.execute("CREATE TABLE sales AS SELECT range AS n FROM range(10)")
        db.execute(f"COPY sales TO '{root / 'sales.parquet'}'")
    (tmp_path / "outside.csv").write_text("secret\n42\n")
    return root


@pytest.fixture
def make(data: Path) -> Iterator[Open]:
    made = []

    def create(**fields: Any) -> source.DuckDBSource:
        spec = DuckDBConnection.model_validate({"type": "duckdb", **fields})
        made.append(source.create(spec, secrets=NoSecrets(), data_root=data))
        return made[-1]

    yield create
    for each in made:
        each.close()


# --- Rows ---------------------------------------------------------------------


def test_files_of_every_kind_are_views(make: Open, read: Any) -> None:
    files = {"a": "in/*.csv", "b": "sales.parquet", "c": "events.jsonl"}
    query = (
        "select (select sum(n) from a) a, (select sum(n) from b) b, count(*) c from c"
    )
    assert read(make(files=files), query) == [{"a": 6, "b": 45, "c": 2}]


def test_a_database_and_files_can_be_joined(make: Open, read: Any) -> None:
    shop = make(path="shop.duckdb", files={"a": "in/a.csv"})
    query = "select s from a join sales using (n) order by s"
    assert read(shop, query) == [{"s": "x"}, {"s": "y"}]
    assert read(shop, "select max(n) m from shop.main.sales") == [{"m": 9}]


def test_parameters_are_bound_with_their_types(make: Open, read: Any) -> None:
    values = {
        "text": "it's :other; drop table sales",
        "number": 2**62,
        "exact": Decimal("12345678901234567.89"),
        "flag": True,
        "day": date(2026, 11, 24),
        "instant": datetime(2026, 11, 24, 6, 30, tzinfo=UTC),
        "list": ["a", "b"],
    }
    query = "select " + ", ".join(f':{name} as "{name}"' for name in values)
    (row,) = read(make(), query, values)
    assert row == values
    assert read(make(), "select 'b' in :list as found", {"list": ["a", "b"]}) == [
        {"found": True}
    ]


def test_a_parameter_without_a_value_is_told(make: Open, read: Any) -> None:
    with pytest.raises(Permanent, match=":month is not declared"):
        read(make(), "select :month")


def test_numbers_stay_exact_and_sessions_are_in_utc(make: Open, read: Any) -> None:
    query = (
        "select 12345678901234567890123456789012345678::hugeint h,"
        " '0.1'::decimal(38, 37) d, sum(9223372036854775807::bigint) s,"
        " '2026-11-24 06:30:00+01'::timestamptz t, current_setting('TimeZone') z"
        " from range(2)"
    )
    (row,) = read(make(), query)
    assert row["h"] == 12345678901234567890123456789012345678
    assert row["d"] == Decimal("0.1")
    assert row["s"] == 2 * 9223372036854775807
    assert row["t"] == datetime(2026, 11, 24, 5, 30, tzinfo=UTC)
    assert row["z"] == "UTC"


def test_rows_come_in_batches(make: Open, cancel: Any) -> None:
    rows = make().rows("select * from range(3000000)", {}, cancel)
    sizes = [batch.num_rows for batch in rows]
    rows.close()
    assert sum(sizes) == 3_000_000
    assert max(sizes) <= 16_384


def test_a_changed_file_is_seen_at_the_next_query(
    make: Open, read: Any, data: Path
) -> None:
    files = make(files={"a": "in/*.csv"})
    assert read(files, "select sum(n) s from a") == [{"s": 6}]
    (data / "in/b.csv").write_text("n,s\n30,z\n")
    assert read(files, "select sum(n) s from a") == [{"s": 33}]
    (data / "in/c.csv").write_text("n,s\n100,z\n")
    assert read(files, "select sum(n) s from a") == [{"s": 133}]
    (data / "in/a.csv").unlink()
    assert read(files, "select sum(n) s from a") == [{"s": 130}]


def test_threads_share_one_instance_and_a_file_is_let_go_when_idle(
    make: Open, read: Any, data: Path
) -> None:
    shop = make(path="shop.duckdb")
    seen: list[object] = []
    barrier = threading.Barrier(4)

    def work() -> None:
        with shop._borrowed() as instance, instance.cursor() as cursor:
            barrier.wait()
            seen.append(instance)
            barrier.wait()
            cursor.execute("select count(*) from sales")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, seen))) == 1
    deadline = time.perf_counter() + 10
    while shop._instance is not None and time.perf_counter() < deadline:
        time.sleep(0.05)
    write = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('insert into sales values (90)')"
    path = str(data / "shop.duckdb")
    subprocess.run([sys.executable, "-c", write, path], check=True)
    assert read(shop, "select max(n) m from sales") == [{"m": 90}]


# --- Stopping -----------------------------------------------------------------

ENDLESS = "select sum(a.range * b.range) from range(10000000) a, range(1000000) b"


def test_rows_that_nobody_closed_do_not_keep_python_from_ending(data: Path) -> None:
    script = """
import sys
from pathlib import Path
from boe_reconciler.core.ports import Never
from boe_reconciler.core.ports import Cancel, Rows
from boe_reconciler.core.resources.connection import DuckDBConnection
from boe_reconciler.sources import duckdb

spec = DuckDBConnection.model_validate({"type": "duckdb"})
source = duckdb.create(spec, secrets=None, data_root=Path(sys.argv[1]))
rows = source.rows("select * from range(100000)", {}, Never())
next(iter(rows))
"""
    command = [sys.executable, "-c", script, data]
    subprocess.run(command, check=True, timeout=60)


def test_a_cancel_interrupts_a_query(make: Open, cancelled_soon: Any) -> None:
    began = time.perf_counter()
    with pytest.raises(Cancelled):
        list(make().rows(ENDLESS, {}, cancelled_soon))
    assert time.perf_counter() - began < 8


def test_a_cancel_stops_a_stream(make: Open, cancel: Any) -> None:
    rows = make().rows("select * from range(100000000)", {}, cancel)
    next(iter(rows))
    cancel.pull()
    with pytest.raises(Cancelled):
        next(iter(rows))
    rows.close()


def test_a_time_out_interrupts_a_query(make: Open, cancel: Any) -> None:
    slow = make(timeout="1s")
    with pytest.raises(Temporary, match="took longer than 1s") as error:
        list(slow.rows(ENDLESS, {}, cancel))
    assert error.value.reason == "timeout"


# --- Errors -------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    ["select nope", "select * from nope", "select 'a'::int", "select (1", "selct 1"],
)
def test_a_wrong_query_is_permanent(make: Open, read: Any, query: str) -> None:
    with pytest.raises(Permanent) as error:
        read(make(), query)
    assert error.value.reason in ("query_failed", "bad_query")


def test_an_error_in_the_middle_of_the_stream_is_ours(make: Open, read: Any) -> None:
    query = "select if(range < 2000000, '1', 'x')::int i from range(3000000)"
    with pytest.raises(Permanent, match="convert"):
        read(make(), query)


def test_a_missing_file_may_come_later(make: Open, read: Any) -> None:
    for fields in ({"path": "nope.duckdb"}, {"files": {"a": "nope/*.csv"}}):
        with pytest.raises(Temporary) as error:
            read(make(**fields), "select 1")
        assert error.value.reason == "file_missing"


def test_a_database_that_somebody_writes_is_busy(
    make: Open, read: Any, data: Path
) -> None:
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); sys.stdin.read()"
    path = str(data / "shop.duckdb")
    with subprocess.Popen(
        [sys.executable, "-c", hold, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout
        writer.stdout.readline()
        shop = make(path="shop.duckdb")
        with pytest.raises(Temporary) as error:
            read(shop, "select 1")
        assert error.value.reason == "database_busy"
        writer.communicate(b"")
    assert read(shop, "select count(*) c from sales") == [{"c": 10}]


def test_a_file_that_is_no_database_is_permanent(
    make: Open, read: Any, data: Path
) -> None:
    (data / "x.duckdb").write_text("no" * 9000)
    with pytest.raises(Permanent):
        read(make(path="x.duckdb"), "select 1")


def test_check_asks_for_the_files_and_the_database(make: Open) -> None:
    make(path="shop.duckdb", files={"a": "in/*.csv"}).check()
    with pytest.raises(Temporary):
        make(files={"a": "nope.csv"}).check()
    with pytest.raises(Permanent, match="by name"):
        make(files={"a": "shop.duckdb"}).check()


# --- Memory -------------------------------------------------------------------


@pytest.fixture
def large(
    data: Path, make: Open, monkeypatch: pytest.MonkeyPatch
) -> source.DuckDBSource:
    """A file of 48 MB, of which 2 may be kept."""
    with duckdb.connect(str(data / "large.duckdb")) as db:
        db.execute("CREATE TABLE t AS SELECT hash(range) AS n FROM range(6_000_000)")
    monkeypatch.setattr(source, "_LOOKED_AT", 1 << 20)
    monkeypatch.setattr(source, "_KEPT", 2 << 20)
    return make(path="large.duckdb")


def kept(opened: source.DuckDBSource, rows: Rows) -> int:
    """The most bytes of the file that DuckDB has while the rows are read."""
    return max(asked(opened, BASE_TABLE) for _ in rows)


def asked(opened: source.DuckDBSource, query: str) -> Any:
    assert opened._instance
    with opened._instance.connection.cursor() as cursor:
        return cursor.execute(query).fetchall()[0][0]


BASE_TABLE = "SELECT memory_usage_bytes FROM duckdb_memory() WHERE tag = 'BASE_TABLE'"
LIMIT = "SELECT current_setting('memory_limit')"


def test_a_large_file_is_read_in_little_memory(
    large: source.DuckDBSource, cancel: Cancel
) -> None:
    with closing(large.rows("select n from t", {}, cancel)) as rows:
        limit = asked(large, LIMIT)
        assert kept(large, rows) < 24 << 20
        assert asked(large, LIMIT) == limit


def test_no_other_query_and_no_sort_meets_a_lower_limit(
    large: source.DuckDBSource, cancel: Cancel
) -> None:
    with (
        closing(large.rows("select 1", {}, cancel)),
        closing(large.rows("select n from t", {}, cancel)) as rows,
    ):
        assert kept(large, rows) > 36 << 20
    with closing(large.rows("select n from t order by n", {}, cancel)) as rows:
        assert kept(large, rows) > 36 << 20


# --- Attacks ------------------------------------------------------------------

ATTACKS = [
    "copy (select 1) to '{out}'",
    "copy a to '{a}'",
    "copy (select 1) to '{a}' (use_tmp_file false)",
    "with x as (insert into sales values (1) returning 1) select * from x",
    "export database '{out}'",
    "import database '{out}'",
    "attach '{out}'",
    "create table t as select 1",
    "create view t as select 1",
    "drop view a",
    "install httpfs",
    "load httpfs",
    "pragma database_list",
    "pragma enable_profiling",
    "set enable_external_access = true",
    "set lock_configuration = false",
    "reset enable_external_access",
    "set allowed_paths = ['/etc/passwd']",
    "set search_path = 'x'",
    "create secret s (type s3)",
    "prepare p as select 1",
    "execute p",
    "call pragma_version()",
    "explain analyze select 1",
    "checkpoint",
    "vacuum",
    "select 1; copy (select 1) to '{out}'",
    "select * from read_csv('{secret}')",
    "select * from read_csv('{a}/../../../outside.csv')",
    "select * from read_csv_auto('{secret}')",
    "select * from '{secret}'",
    "select * from read_text('{secret}')",
    "select * from read_blob('/proc/self/environ')",
    "select * from read_json('{secret}')",
    "select * from read_parquet('{secret}')",
    "select * from sniff_csv('{secret}')",
    "select * from glob('{root}/*')",
    "select * from glob('/*')",
    "select * from parquet_metadata('{secret}')",
    "select * from read_csv('https://example.com/x.csv')",
    "select getenv('HOME')",
    "select * from query('copy (select 1) to ''{out}''')",
    "select * from leaked",
    "select * from read_duckdb('{root}/other.duckdb', table_name = 't')",
]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("database", [None, "shop.duckdb"])
def test_a_query_reads_and_writes_nothing_beyond_its_files(
    make: Open, read: Any, data: Path, attack: str, database: str | None
) -> None:
    leaked = [("leaked", 1)]  # what replacement scans of Python variables would find
    (data / "other.duckdb").write_bytes((data / "shop.duckdb").read_bytes())
    before = snapshot(data.parent)
    query = attack.format(
        out=data / "in/out",
        a=data / "in/a.csv",
        secret=data.parent / "outside.csv",
        root=data.parent,
    )
    fields = {"path": database, "files": {"a": "in/a.csv"}}
    with pytest.raises(Permanent):
        read(make(**{k: v for k, v in fields.items() if v}), query)
    assert leaked
    assert snapshot(data.parent) == before


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "path", ["../outside.csv", "in/../../outside.csv", "/etc/passwd", "~/x.csv", "a\0b"]
)
@pytest.mark.parametrize("field", ["path", "files"])
def test_a_connection_reaches_nothing_outside_the_data_root(
    make: Open, read: Any, path: str, field: str
) -> None:
    fields = {"path": path} if field == "path" else {"files": {"a": path}}
    with pytest.raises(Permanent) as error:
        read(make(**fields), "select 1")
    assert error.value.reason == "bad_path"


def test_a_link_among_the_files_leads_nowhere_outside(
    make: Open, read: Any, data: Path
) -> None:
    (data / "in/evil.csv").symlink_to(data.parent / "outside.csv")
    (data / "way.duckdb").symlink_to(data.parent / "outside.duckdb")
    for fields in ({"files": {"a": "in/*.csv"}}, {"path": "way.duckdb"}):
        with pytest.raises(Permanent, match="link leads out"):
            read(make(**fields), "select 1")


def test_a_link_to_a_file_below_the_data_root_is_fine(
    make: Open, read: Any, data: Path
) -> None:
    (data / "latest.csv").symlink_to(data / "in/b.csv")
    assert read(make(files={"a": "latest.csv"}), "select n from a") == [{"n": 3}]


@pytest.mark.parametrize("name", ["it's.csv", 'quo"te.csv', "semi;colon.csv"])
def test_odd_file_and_view_names_are_only_names(
    make: Open, read: Any, data: Path, name: str
) -> None:
    (data / name).write_text("n\n7\n")
    odd = make(files={'v"; drop': name})
    assert read(odd, 'select n from "v""; drop"') == [{"n": 7}]


def test_a_file_name_that_reads_as_a_glob_is_refused(
    make: Open, read: Any, data: Path
) -> None:
    (data / "in/[ab].csv").write_text("n\n7\n")
    with pytest.raises(Permanent, match=r"has \*"):
        read(make(files={"a": "in/*.csv"}), "select n from a")


@pytest.mark.parametrize("stem", ["memory", "system", "a b", "select", 'x"y'])
def test_any_name_of_a_database_file_works(
    make: Open, read: Any, data: Path, stem: str
) -> None:
    os.rename(data / "shop.duckdb", data / f"{stem}.duckdb")  # noqa: PTH104 plain
    assert read(make(path=f"{stem}.duckdb"), "select count(*) c from sales") == [
        {"c": 10}
    ]


@pytest.mark.parametrize("query", ["select error('boo')", "select [1]['a']"])
def test_no_error_of_the_driver_escapes(make: Open, read: Any, query: str) -> None:
    with pytest.raises(RunError):
        read(make(), query)


def test_a_broken_instance_is_replaced(make: Open, read: Any) -> None:
    broken = make(files={"a": "in/a.csv"})
    read(broken, "select 1")
    instance = broken._instance
    told = broken._translate(duckdb.FatalException("FATAL Error: invalidated"))
    assert isinstance(told, Temporary)
    assert read(broken, "select count(*) c from a") == [{"c": 2}]
    assert broken._instance is not instance
