"""What the source `sqlite` promises: every value as it is, and only reading."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core.errors import Cancelled, Permanent, Temporary
from boe_reconciler.core.resources.connection import SQLiteConnection
from boe_reconciler.sources import sqlite as source

Open = Callable[..., source.SQLiteSource]
MANY = 40_000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    root.mkdir()
    with sqlite3.connect(root / "shop.sqlite") as db:
        db.execute("CREATE TABLE t (i INTEGER, s TEXT, f REAL, b BLOB, mixed, late)")
        db.executemany(
            "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)",
            [(n, f"x{n}", n / 2, b"b", n, None) for n in range(MANY)],
        )
        db.execute("INSERT INTO t VALUES (NULL, NULL, NULL, NULL, 'text', 7)")
    db.close()
    return root


@pytest.fixture
def make(data: Path) -> Open:
    def create(**fields: Any) -> source.SQLiteSource:
        values = {"type": "sqlite", "path": "shop.sqlite", **fields}
        spec = SQLiteConnection.model_validate(values)
        return source.create(spec, secrets=None, data_root=data)  # type: ignore[arg-type] # unused

    return create


# --- Rows ---------------------------------------------------------------------


def test_a_type_that_shows_only_after_many_rows_is_right(make: Open, read: Any) -> None:
    rows = read(make(), "select * from t")
    assert len(rows) == MANY + 1
    assert rows[5] == {
        "i": 5,
        "s": "x5",
        "f": 2.5,
        "b": b"b",
        "mixed": "5",
        "late": None,
    }
    assert rows[-1]["mixed"] == "text"
    assert rows[-1]["late"] == 7


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, None], [1, 2, None]),
        ([2**63 - 1], [2**63 - 1]),
        ([1, 2.5], [1.0, 2.5]),
        ([1, "a"], ["1", "a"]),
        ([b"\x01", None], [b"\x01", None]),
        ([b"\x01", "a"], ["01", "a"]),
        ([None, None], [None, None]),
        ([], []),
    ],
)
def test_a_column_takes_the_type_that_fits_all_its_values(
    make: Open, read: Any, data: Path, values: list[Any], expected: list[Any]
) -> None:
    with sqlite3.connect(data / "v.sqlite") as db:
        db.execute("CREATE TABLE v (x)")
        db.executemany("INSERT INTO v VALUES (?)", [(value,) for value in values])
    db.close()
    rows = read(make(path="v.sqlite"), "select x from v order by rowid")
    assert [row["x"] for row in rows] == expected


def test_order_duplicate_names_and_a_semicolon_survive_the_second_look(
    make: Open, cancel: Any
) -> None:
    query = "select i as n, s as n from t order by i desc; -- the end"
    rows = make().rows(query, {}, cancel)
    first = next(iter(rows))
    rows.close()
    assert first.schema.names == ["n", "n"]
    assert first.column(0)[0].as_py() == MANY - 1
    assert first.num_rows <= 16_384


def test_parameters_are_bound(make: Open, read: Any) -> None:
    values = {
        "text": "it's; drop table t",
        "number": 2**62,
        "exact": Decimal("1.5"),
        "flag": True,
        "day": date(2026, 11, 24),
        "at": datetime(2026, 11, 24, 6, 30),  # noqa: DTZ001 a plain parameter
    }
    query = (
        "select :text t, :number n, :exact e, :flag f, date(:day, '+1 day') d, :at a"
    )
    assert read(make(), query, values) == [
        {
            "t": "it's; drop table t",
            "n": 2**62,
            "e": 1.5,
            "f": 1,
            "d": "2026-11-25",
            "a": "2026-11-24 06:30:00",
        }
    ]
    query = "select count(*) c from t where i >= :low and i < :low + 10"
    assert read(make(), query, {"low": 5}) == [{"c": 10}]


def test_text_that_is_not_utf8_is_still_text(make: Open, read: Any) -> None:
    assert read(make(), "select cast(x'e9' as text) t") == [{"t": "\xe9"}]


KINDS = {"i": 5, "f": 0.5, "t": "a", "b": b"\xff", "n": None}


@pytest.mark.parametrize("many", [False, True])  # in one batch, and in several
@pytest.mark.parametrize(
    ("kinds", "wanted"),
    [
        ("n", [None]),
        ("in", [5, None]),
        ("fn", [0.5, None]),
        ("ifn", [5.0, 0.5, None]),
        ("tn", ["a", None]),
        ("bn", [b"\xff", None]),
        ("ibn", ["5", "ff", None]),
        ("btn", ["ff", "a", None]),
        ("itn", ["5", "a", None]),
        ("bif", ["ff", "5", "0.5"]),
        ("iftbn", ["5", "0.5", "a", "ff", None]),
    ],
)
def test_a_column_has_the_type_that_all_of_its_values_have(
    make: Open, read: Any, data: Path, kinds: str, wanted: list[Any], many: bool
) -> None:
    values = [(KINDS[kind],) for kind in kinds]
    with sqlite3.connect(data / "shop.sqlite") as db:
        db.execute("CREATE TABLE v (v)")
        db.executemany("INSERT INTO v VALUES (?)", values[:1] * (many and MANY))
        db.executemany("INSERT INTO v VALUES (?)", values)
    db.close()
    found = [row["v"] for row in read(make(), "select v from v order by rowid")]
    assert found[-len(values) :] == wanted
    assert [type(value) for value in found[-len(values) :]] == list(map(type, wanted))
    assert set(found[: -len(values)]) <= {wanted[0]}


def test_one_text_that_is_not_utf8_leaves_all_others_as_they_are(
    make: Open, read: Any
) -> None:
    query = (
        "select case when i = 30000 then cast(x'c3a9e9' as text) else 'é' || i end t"
        " from t where i is not null order by i"
    )
    found = [row["t"] for row in read(make(), query)]
    assert found[30_000] == "\xc3\xa9\xe9"
    assert found[29_999] == "é29999"
    assert len(found) == MANY


def test_without_a_path_it_is_in_memory(make: Open, read: Any) -> None:
    assert read(make(path=None), "select 1 + 1 as two") == [{"two": 2}]


def test_a_second_writer_does_not_disturb_it(make: Open, read: Any, data: Path) -> None:
    with sqlite3.connect(data / "shop.sqlite") as db:
        db.execute("DELETE FROM t WHERE i > 5")
        db.commit()
        assert read(make(), "select count(*) c from t") == [{"c": 7}]
    db.close()


# --- Stopping -----------------------------------------------------------------

ENDLESS = "with recursive c(n) as (select 1 union all select n + 1 from c) select sum(n) from c"


def test_a_cancel_interrupts_a_query(make: Open, cancelled_soon: Any) -> None:
    began = time.perf_counter()
    with pytest.raises(Cancelled):
        list(make().rows(ENDLESS, {}, cancelled_soon))
    assert time.perf_counter() - began < 8


def test_a_cancel_interrupts_the_wait_for_a_writer(
    make: Open, data: Path, cancelled_soon: Any
) -> None:
    writer = sqlite3.connect(data / "shop.sqlite", isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    began = time.perf_counter()
    with pytest.raises(Cancelled):
        list(make().rows("select * from t", {}, cancelled_soon))
    assert time.perf_counter() - began < 4
    writer.close()


def test_a_time_out_interrupts_a_query(make: Open, cancel: Any) -> None:
    with pytest.raises(Temporary, match="took longer than 1s"):
        list(make(timeout="1s").rows(ENDLESS, {}, cancel))


# --- Errors and attacks -------------------------------------------------------


@pytest.mark.parametrize("query", ["select nope from t", "select * from nope"])
def test_a_wrong_query_is_permanent(make: Open, read: Any, query: str) -> None:
    with pytest.raises(Permanent, match="no such") as error:
        read(make(), query)
    assert error.value.reason == "query_failed"


def test_an_error_in_the_middle_of_the_stream_is_ours(make: Open, read: Any) -> None:
    query = "select abs(case when i = 39000 then -9223372036854775807 - 1 else i end) from t"
    with pytest.raises(Permanent, match="overflow"):
        read(make(), query)


def test_a_locked_database_is_busy(
    make: Open, read: Any, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_TRIES", 2)
    writer = sqlite3.connect(data / "shop.sqlite", isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Temporary) as error:
        read(make(), "select * from t")
    assert error.value.reason == "database_busy"
    writer.close()


def test_what_is_no_database_is_permanent(make: Open, read: Any, data: Path) -> None:
    (data / "x.sqlite").write_text("no" * 999)
    with pytest.raises(Permanent, match="not a database"):
        read(make(path="x.sqlite"), "select * from t")


def test_a_missing_file_may_come_later(make: Open, read: Any) -> None:
    with pytest.raises(Temporary) as error:
        read(make(path="nope.sqlite"), "select 1")
    assert error.value.reason == "file_missing"


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "~/x", "link.sqlite"])
def test_a_path_stays_below_the_data_root(
    make: Open, read: Any, data: Path, path: str
) -> None:
    (data / "link.sqlite").symlink_to(data.parent / "x.sqlite")
    with pytest.raises(Permanent) as error:
        read(make(path=path), "select 1")
    assert error.value.reason == "bad_path"


def test_files_belong_to_duckdb(make: Open) -> None:
    with pytest.raises(Permanent, match="cannot read files"):
        make(files={"a": "a.csv"})


@pytest.mark.parametrize(
    "attack",
    [
        "attach '{out}' as y",
        "vacuum into '{out}'",
        "delete from t",
        "with x as (select 1) delete from t",
        "with x as (select 1) insert into t(i) select 1",
        "create temp table z as select 1",
        "pragma query_only = 0",
        "select * from pragma_database_list",
        "select load_extension('{out}')",
        "select readfile('/etc/passwd')",
        "select writefile('{out}', 'x')",
        "select 1; attach '{out}' as y",
        "explain select 1",
    ],
)
def test_a_query_only_reads_its_own_file(
    make: Open, read: Any, data: Path, attack: str
) -> None:
    before = {path: path.read_bytes() for path in data.rglob("*")}
    with pytest.raises(Permanent):
        read(make(), attack.format(out=data / "out"))
    assert {path: path.read_bytes() for path in data.rglob("*")} == before


def test_check_opens_the_file(make: Open) -> None:
    make().check()
    with pytest.raises(Temporary):
        make(path="nope.sqlite").check()
