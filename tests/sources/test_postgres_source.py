"""What the source `postgres` promises, against a real server."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from boe_reconciler.core.errors import Cancelled, Permanent, Temporary
from boe_reconciler.core.resources.connection import PostgresConnection
from boe_reconciler.sources import postgres as source
from tests.servers import postgresql

Open = Callable[..., source.PostgresSource]
PASSWORD = "c4nary-pa55"


class Password:
    def resolve(self, secret: Any) -> str:
        return PASSWORD


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with postgresql() as socket_folder:
        yield socket_folder


@pytest.fixture
def make(server: str) -> Open:
    def create(**fields: Any) -> source.PostgresSource:
        values = {
            "type": "postgres",
            "host": server,
            "database": "postgres",
            "user": "postgres",
            "password": {"env": "X"},
            **fields,
        }
        spec = PostgresConnection.model_validate(values)
        return source.create(spec, secrets=Password(), data_root=Path())

    return create


# --- Rows ---------------------------------------------------------------------


def test_every_type_comes_as_it_is(make: Open, read: Any) -> None:
    (row,) = read(
        make(),
        """select 1.50::numeric(10,2) a, 12345678901234567890.123456789::numeric b,
        'NaN'::numeric c, 9223372036854775807::bigint d, 'x'::text e, true f,
        '2026-11-24'::date g, '2026-11-24 06:30+01'::timestamptz h,
        '{"a": 1}'::jsonb i, '{1,2}'::int[] j,
        '53a9dc79-4803-49f0-9138-d1c8870951b5'::uuid k, '1.2.3.4'::inet l,
        int4range(1, 3) m, 12.34::money n, 4000000000::oid o, null::text p,
        '{1.5}'::numeric[] q, '06:30:00+01'::timetz r, 1e40::numeric s""",
    )
    assert row == {
        "a": Decimal("1.50"),
        "b": Decimal("12345678901234567890.123456789"),
        "c": None,
        "d": 9223372036854775807,
        "e": "x",
        "f": True,
        "g": date(2026, 11, 24),
        "h": datetime(2026, 11, 24, 5, 30, tzinfo=UTC),
        "i": '{"a": 1}',
        "j": [1, 2],
        "k": "53a9dc79-4803-49f0-9138-d1c8870951b5",
        "l": "1.2.3.4/32",
        "m": "[1,3)",
        "n": Decimal("12.34"),
        "o": 4000000000,
        "p": None,
        "q": "{1.5}",
        "r": "06:30:00+01",
        "s": "1" + "0" * 40,
    }


def test_a_numeric_whose_scale_grows_after_many_rows_is_exact(
    make: Open, cancel: Any
) -> None:
    query = (
        "select case when g < 30000 then g::numeric else g + 0.0625 end n"
        " from generate_series(1, 30001) g order by g;"
    )
    rows = make().rows(query, {}, cancel)
    table = pa.Table.from_batches(list(rows))
    rows.close()
    assert table.schema.field("n").type == pa.decimal128(9, 4)
    assert table["n"][0].as_py() == 1
    assert table["n"][30000].as_py() == Decimal("30001.0625")


@pytest.mark.parametrize("rows", [1, 20_000])  # in one batch, and in several
def test_numbers_of_each_kind_keep_their_digits(
    make: Open, cancel: Any, rows: int
) -> None:
    query = (
        "select -0.05::numeric(10,2) a, 'NaN'::numeric(10,2) b, '-12.34'::money c,"
        " 0.00012::numeric(3,5) d, 1e-30::numeric e, 'Infinity'::numeric f,"
        " '-0.5'::numeric g, 12345678.9::numeric(7,-2) h, null::numeric i"
        " from generate_series(1, :rows)"
    )
    found = make().rows(query, {"rows": rows}, cancel)
    table = pa.Table.from_batches(list(found))
    found.close()
    assert table.num_rows == rows
    assert table.slice(rows - 1).to_pylist() == [
        {
            "a": Decimal("-0.05"),
            "b": None,
            "c": Decimal("-12.34"),
            "d": Decimal("0.00012"),
            "e": Decimal("1E-30"),
            "f": None,
            "g": Decimal("-0.5"),
            "h": Decimal(12345700),
            "i": None,
        }
    ]


def test_an_infinite_day_or_instant_is_empty_and_no_other_one(
    make: Open, cancel: Any
) -> None:
    query = (
        "select d, t, z from (values"
        " ('infinity'::date, 'infinity'::timestamp, 'infinity'::timestamptz),"
        " ('-infinity', '-infinity', '-infinity'),"
        " ('4713-01-01 BC', '4713-01-01 BC', '4713-01-01 BC'),"
        " ('5874897-12-31', '294000-01-01', '294000-01-01'),"
        " ('2026-11-24', '2026-11-24', '2026-11-24')) as v(d, t, z)"
    )
    found = make().rows(query, {}, cancel)
    table = pa.Table.from_batches(list(found))
    found.close()
    for column in table.columns:
        assert [value.is_valid for value in column] == [False, False, True, True, True]
    assert table["d"][4].as_py() == date(2026, 11, 24)
    assert table["t"][4].as_py() == datetime(2026, 11, 24)  # noqa: DTZ001 it has no zone


def test_parameters_are_bound_with_their_types(make: Open, read: Any) -> None:
    values = {
        "text": "it's; drop table t",
        "number": 2**62,
        "exact": Decimal("12345678901234567.89"),
        "flag": True,
        "day": date(2026, 11, 24),
        "instant": datetime(2026, 11, 24, 6, 30, tzinfo=UTC),
        "list": ["a", "b"],
    }
    names = ", ".join(f':{name} as "{name}"' for name in values)
    assert read(make(), f"select {names}", values) == [values]
    query = "select x from unnest(array['a','b','c']) x where x = any(:list) order by 1"
    assert read(make(), query, {"list": ["a", "c"]}) == [{"x": "a"}, {"x": "c"}]
    assert read(make(), query, {"list": []}) == []
    query = "select :day::date + 1 as d, data ? 'k' as k from (select '{}'::jsonb data)"
    assert read(make(), query, {"day": "2026-11-24"}) == [
        {"d": date(2026, 11, 25), "k": False}
    ]


def test_rows_come_in_batches(make: Open, cancel: Any) -> None:
    query = "select g, :x || g as s from generate_series(1, 100000) g"
    rows = make().rows(query, {"x": "x"}, cancel)
    sizes = [batch.num_rows for batch in rows]
    rows.close()
    assert sum(sizes) == 100_000
    assert max(sizes) <= 16_384


def test_same_names_of_columns_are_kept(make: Open, cancel: Any) -> None:
    rows = make().rows("select 1 as n, gen_random_uuid() as n", {}, cancel)
    assert rows.schema.names == ["n", "n"]
    rows.close()


def test_the_session_is_as_the_connection_says(make: Open, read: Any) -> None:
    there = make(session={"work_mem": "9MB"}, role="pg_read_all_data")
    query = (
        "select current_setting('timezone') z, current_setting('work_mem') m,"
        " current_user::text u, current_setting('transaction_read_only') r"
    )
    assert read(there, query) == [
        {"z": "UTC", "m": "9MB", "u": "pg_read_all_data", "r": "on"}
    ]


# --- Stopping -----------------------------------------------------------------


def test_a_cancel_stops_the_query_on_the_server(
    make: Open, read: Any, cancelled_soon: Any
) -> None:
    began = time.perf_counter()
    with pytest.raises(Cancelled):
        list(make().rows("select pg_sleep(20)", {}, cancelled_soon))
    assert time.perf_counter() - began < 8
    cancelled_soon.pulled = False
    running = (
        "select count(*) c from pg_stat_activity where query like '%pg_sleep(20)%'"
    )
    (row,) = read(make(), running + " and pid <> pg_backend_pid()")
    assert row["c"] == 0


def test_a_cancel_does_not_wait_for_a_server_that_does_not_answer(
    make: Open, cancelled_soon: Any
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        host, port = silent.getsockname()
        began = time.perf_counter()
        with pytest.raises(Cancelled):
            list(make(host=host, port=port).rows("select 1", {}, cancelled_soon))
        assert time.perf_counter() - began < 8


def test_a_time_out_stops_the_query(make: Open, cancel: Any) -> None:
    with pytest.raises(Temporary, match="took longer than 1s"):
        list(make(timeout="1s").rows("select pg_sleep(20)", {}, cancel))


def test_the_time_out_of_the_server_is_one(make: Open, cancel: Any) -> None:
    there = make(session={"statement_timeout": "200"})
    with pytest.raises(Temporary) as error:
        list(there.rows("select pg_sleep(20)", {}, cancel))
    assert error.value.reason == "timeout"
    assert error.value.message == "canceling statement due to statement timeout"


# --- Errors and attacks -------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select * from nope", 'relation "nope" does not exist'),
        ("select 1/0", "division by zero"),
        ("select 1/(20000 - g) from generate_series(1, 30000) g", "division by zero"),
        ("select 'a'::int", "invalid input syntax"),
    ],
)
def test_a_wrong_query_is_permanent(
    make: Open, read: Any, query: str, words: str
) -> None:
    with pytest.raises(Permanent, match=words) as error:
        read(make(), query)
    assert error.value.reason == "query_failed"
    assert "Failed to" not in error.value.message
    assert "libpq" not in error.value.message


@pytest.mark.parametrize(
    ("fields", "kind", "reason"),
    [
        ({"host": "127.0.0.1", "port": 1}, Temporary, "database_unreachable"),
        ({"host": "no.such.host.invalid"}, Temporary, "database_unreachable"),
        ({"database": "nope"}, Permanent, "login_failed"),
        ({"user": "nobody"}, Permanent, "login_failed"),
        ({"role": "nope"}, Permanent, "query_failed"),
        ({"session": {"nope": "1"}}, Permanent, "query_failed"),
    ],
)
def test_a_connection_that_fails_says_why_and_not_its_password(
    make: Open, fields: dict[str, Any], kind: type[Exception], reason: str
) -> None:
    with pytest.raises(kind) as error:
        make(**fields).check()
    assert error.value.reason == reason  # type: ignore[attr-defined] # both have it
    assert PASSWORD not in repr(error.value) + str(error.value.__cause__)


@pytest.mark.parametrize(
    "state", ["08006", "40001", "53300", "57P01", "55P03", "58030"]
)
def test_what_may_pass_is_temporary(state: str) -> None:
    class Refused(Exception):
        sqlstate = state

    assert isinstance(source._translate(Refused("ERROR: x")), Temporary)


def test_a_server_that_ends_the_connection_is_temporary(make: Open, read: Any) -> None:
    with pytest.raises(Temporary):
        read(make(), "select pg_terminate_backend(pg_backend_pid()), pg_sleep(2)")


@pytest.mark.parametrize(
    "attack",
    [
        "create table t (a int)",
        "with x as (delete from pg_class returning *) select * from x",
        "select 1; drop table x",
        "copy (select 1) to '/tmp/boe-attack'",
        "select * into t from pg_class",
        "select set_config('transaction_read_only', 'off', false)",
        "select lo_import('/etc/passwd')",
        "select 1 for update of pg_class",
        "set role postgres",
        "do $$ begin end $$",
        "select nextval('x')",
        "select 1) AS boe(c0); drop table x; --",
    ],
)
def test_a_query_only_reads(make: Open, read: Any, attack: str) -> None:
    with pytest.raises(Permanent):
        read(make(), attack)


def test_check_connects(make: Open) -> None:
    make().check()
