"""What the source `sql` promises for any database behind SQLAlchemy."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from datetime import time as clock_time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from sqlalchemy import make_url

from boe_reconciler.core.errors import Cancelled, Permanent, Temporary
from boe_reconciler.core.resources.connection import SQLConnection
from boe_reconciler.sources import sql as source

Open = Callable[..., source.SQLSource]
NUMBERS = (
    "with recursive c(n) as (select 1 union all select n + 1 from c where n < {}) "
)


class Password:
    def resolve(self, secret: Any) -> str:
        return "c4nary:pa55@/"


@pytest.fixture
def make() -> Open:
    def create(url: str = "sqlite://", **fields: Any) -> source.SQLSource:
        spec = SQLConnection.model_validate({"type": "sql", "url": url, **fields})
        return source.create(spec, secrets=Password(), data_root=Path())

    return create


# --- Rows ---------------------------------------------------------------------


def test_rows_come_in_batches(make: Open, cancel: Any) -> None:
    query = NUMBERS.format(50_000) + "select n, 'x' || n as s from c"
    rows = make().rows(query, {}, cancel)
    sizes = [batch.num_rows for batch in rows]
    rows.close()
    assert sum(sizes) == 50_000
    assert max(sizes) <= 16_384
    assert rows.schema == pa.schema([("n", pa.int64()), ("s", pa.string())])


def test_parameters_are_bound_and_other_colons_are_left_alone(
    make: Open, read: Any
) -> None:
    query = (
        "select :a as a, ':a \\:b' as \"x:a\", '12:30:00' t, 3 in :list as found,"
        " :a || :b as ab -- :nothing"
    )
    values = {"a": "it's :b; drop", "b": "!", "list": [1, 3]}
    assert read(make(), query, values) == [
        {
            "a": "it's :b; drop",
            "x:a": ":a \\:b",
            "t": "12:30:00",
            "found": 1,
            "ab": "it's :b; drop!",
        }
    ]


def test_an_empty_answer_has_its_columns(make: Open, read: Any, cancel: Any) -> None:
    rows = make().rows("select 1 as a where 1 = 0", {}, cancel)
    assert rows.schema.names == ["a"]
    assert sum(batch.num_rows for batch in rows) == 0
    rows.close()


def test_mixed_types_are_text(make: Open, read: Any) -> None:
    query = "select 1 as x union all select 'a' union all select null"
    assert [row["x"] for row in read(make(), query)] == ["1", "a", None]


def test_a_type_that_changes_later_is_told(make: Open, read: Any) -> None:
    query = NUMBERS.format(20_000) + "select iif(n < 18000, n, 'x') as v from c"
    with pytest.raises(Permanent, match="'v' holds int64") as error:
        read(make(), query)
    assert error.value.reason == "mixed_types"


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([True, False], pa.bool_(), [True, False]),
        ([1, -(2**63)], pa.int64(), [1, -(2**63)]),
        ([1, 2**63], pa.decimal128(38, 0), [Decimal(1), Decimal(2**63)]),
        ([1, 1.5], pa.float64(), [1.0, 1.5]),
        ([Decimal("1.10"), 2], pa.decimal128(38, 2), [Decimal("1.10"), Decimal(2)]),
        (
            [Decimal("NaN"), Decimal("1.5")],
            pa.decimal128(38, 1),
            [None, Decimal("1.5")],
        ),
        ([Decimal("1E+40")], pa.string(), ["1E+40"]),
        ([date(2026, 11, 24)], pa.date32(), [date(2026, 11, 24)]),
        ([clock_time(6, 30)], pa.time64("us"), [clock_time(6, 30)]),
        (
            [datetime(2026, 11, 24, tzinfo=UTC)],
            pa.timestamp("us", "UTC"),
            [datetime(2026, 11, 24, tzinfo=UTC)],
        ),
        ([b"\x01"], pa.binary(), [b"\x01"]),
        ([b"\x01", "a"], pa.string(), ["01", "a"]),
        ([UUID(int=1)], pa.string(), ["00000000-0000-0000-0000-000000000001"]),
        ([{"a": [1, "é"]}], pa.string(), ['{"a": [1, "é"]}']),
        ([None], pa.string(), [None]),
    ],
)
def test_values_keep_their_type(
    values: list[Any], kind: pa.DataType, expected: list[Any]
) -> None:
    rows = [(value,) for value in values]
    schema = source._schema(["x"], rows)
    assert schema.field("x").type == kind
    (batch,) = source._batches(schema, [rows])
    assert batch.column(0).to_pylist() == expected


# --- Stopping -----------------------------------------------------------------

ENDLESS = "with recursive c(n) as (select 1 union all select n + 1 from c) select sum(n) from c"


def test_a_cancel_interrupts_where_the_driver_can(
    make: Open, cancelled_soon: Any
) -> None:
    began = time.perf_counter()
    with pytest.raises(Cancelled):
        list(make().rows(ENDLESS, {}, cancelled_soon))
    assert time.perf_counter() - began < 8


#: Ends by itself, some seconds after the test: its thread is a daemon.
MINUTES = ENDLESS.replace(
    "select n + 1 from c)", "select n + 1 from c where n < 9999999)"
)


def test_a_driver_that_cannot_be_stopped_is_left_behind(
    make: Open, cancelled_soon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_interrupter", lambda _connection: None)
    began = time.perf_counter()
    with pytest.raises(Cancelled):
        list(make().rows(MINUTES, {}, cancelled_soon))
    assert time.perf_counter() - began < 8


def test_a_time_out_interrupts(make: Open, cancel: Any) -> None:
    with pytest.raises(Temporary, match="took longer than 1s"):
        list(make(timeout="1s").rows(ENDLESS, {}, cancel))


# --- Errors and attacks -------------------------------------------------------


def test_a_wrong_query_is_permanent(make: Open, read: Any) -> None:
    with pytest.raises(Permanent, match="no such column") as error:
        read(make(), "select nope")
    assert error.value.message == "no such column: nope"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("what is this", "bad_connection"),
        ("nope://host/db", "bad_connection"),
        ("sqlite:////etc/x.db", "bad_connection"),
        ("sqlite:///x.db", "bad_connection"),
        ("oracle+oracledb://u@h/d", "driver_missing"),
    ],
)
def test_a_url_that_cannot_work_says_why(
    make: Open, url: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "oracledb", None)
    with pytest.raises(Permanent) as error:
        make(url).check()
    assert error.value.reason == reason


def test_the_password_is_put_into_the_url_and_quoted(make: Open) -> None:
    there = make("postgresql://u@h/d", password={"env": "X"})
    url = there._url()
    assert url.password == "c4nary:pa55@/"
    assert make_url(url.render_as_string(hide_password=False)) == url
    assert "c4nary" not in str(url)


@pytest.mark.parametrize(
    "attack",
    [
        "attach 'x' as y",
        "create table t (a)",
        "with x as (select 1) insert into t select 1",
        "select 1; drop table t",
        "pragma database_list",
    ],
)
def test_a_query_only_reads(make: Open, read: Any, attack: str) -> None:
    with pytest.raises(Permanent) as error:
        read(make(), attack)
    assert error.value.reason == "bad_query"


def test_check_connects(make: Open) -> None:
    make().check()
