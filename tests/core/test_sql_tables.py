"""The tables that a query reads, in the languages of the databases."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.sql_tables import LONGEST, Unreadable, tables_of

READS = [
    ("duckdb", "select * from a join b using (x), c", {"a", "b", "c"}),
    ("duckdb", "from a select x where y = :month", {"a"}),
    (
        "duckdb",
        "select (select max(x) from b) from a where exists (from c)",
        set("abc"),
    ),
    ("duckdb", "select 1 from a union all select 2 from b except from c", set("abc")),
    (
        "duckdb",
        'select * from "Sales".main."Orders", main.trips',
        {"sales.orders", "trips"},
    ),
    ("duckdb", "select * from cat.other.t", {"cat.other.t"}),
    ("duckdb", "select * from read_csv('in/A.csv')", {"read_csv('in/A.csv')"}),
    ("duckdb", "from 'in/A.parquet'", {"in/A.parquet"}),
    ("duckdb", "select * from sqlite_scan('a.db', 't')", {"sqlite_scan('a.db', 't')"}),
    ("duckdb", "select * from range(5), unnest([1, 2]), a", {"a"}),
    ("duckdb", "pivot a on x using sum(y)", {"a"}),
    ("duckdb", "summarize a", {"a"}),
    ("duckdb", "select 1", set()),
    ("duckdb", "with a as (select * from a) select * from a", {"a"}),
    ("duckdb", "with a as (from b), c as (from a) from c", {"b"}),
    ("duckdb", "with b as (from a) select * from (from b), x.b", {"a", "x.b"}),
    ("duckdb", "select * from (with b as (from a) from b) join b on true", {"a", "b"}),
    (
        "postgres",
        "with recursive r as (select 1 union all select n + 1 from r join a on true) "
        "select * from r",
        {"a"},
    ),
    ("postgres", "with b as (select * from c), c as (select 1) select * from b", {"c"}),
    ("sqlite", "with b as (select * from c), c as (select 1) select * from b", set()),
    ("postgres", 'select * from "A".x, A.x', {"A.x", "a.x"}),
    ("postgres", 'with "A" as (select 1) select * from "A", A', {"a"}),
    ("postgres", "select x ? 'k' from a where y >= :d::date - interval '1 day'", {"a"}),
    ("postgres", "select * from s.find(:x) f, generate_series(1, 3) g", {"s.find(:x)"}),
    ("sqlite", "select * from a, json_each(a.x) where b = :b", {"a"}),
    ("mysql", "select * from `S`.`T` where x = :x", {"S.T"}),
    ("tsql", "select top 5 * from [dbo].[Orders] where x = :x", {"dbo.orders"}),
    ("of-nobody", "select * from a where x = :x", {"a"}),
]


@pytest.mark.parametrize(("dialect", "query", "tables"), READS)
def test_a_query_reads(dialect: str, query: str, tables: set[str]) -> None:
    assert tables_of(query, dialect) == tables


UNREADABLE = [
    ("select )", "sqlglot stops in line 1, column 8"),
    ("select 'x", "sqlglot cannot take it apart"),
    ("vacuum analyze a", "it is not a query that can be taken apart"),
    ("select " + "(" * 2_000 + "1" + ")" * 2_000, "it is nested too deeply"),
    ("select 1 " + " " * LONGEST, "it has more than 50,000 characters"),
]


@pytest.mark.parametrize(("query", "why"), UNREADABLE)
def test_what_cannot_be_read_is_told_with_its_reason(query: str, why: str) -> None:
    with pytest.raises(Unreadable) as raised:
        tables_of(query, "duckdb")
    assert str(raised.value) == why


def test_a_long_call_is_cut() -> None:
    [told] = tables_of(f"from read_csv('{'x' * 200}')", "duckdb")
    assert told.startswith("read_csv('xxx")
    assert told.endswith("…")
    assert len(told) == 80


@given(
    st.text(max_size=60) | st.text(alphabet="select from()\"'`;:$?-/*,.a1", max_size=60)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    for dialect in ("duckdb", "postgres", "sqlite", "sql"):
        try:
            assert isinstance(tables_of(text, dialect), frozenset)
        except Unreadable as error:
            assert str(error)  # noqa: PT017 it may also be read


_NAMES = st.sampled_from(["a", "b", "c", "s.d", '"E e"'])


@st.composite
def _queries(draw: st.DrawFn, depth: int = 2) -> tuple[str, set[str]]:
    """A query, and what it reads by how it was made."""
    name = draw(_NAMES)
    text, reads = f"select x from {name}", {name.replace('"', "")}
    if not depth:
        return text, reads
    inner, more = draw(_queries(depth - 1))
    way = draw(st.sampled_from(["in", "union", "from", "with", "join"]))
    ways = {
        "in": f"{text} where x in ({inner})",
        "union": f"({inner}) union all {text}",
        "from": f"select x from ({inner}) q, {name} t",
        "with": f"with w{depth} as ({inner}) select x from w{depth}, {name} t",
        "join": f"{text} t left join ({inner}) q on t.x = q.x",
    }
    return ways[way], reads | more


@given(_queries())
def test_a_query_reads_what_it_was_made_of(made: tuple[str, set[str]]) -> None:
    query, reads = made
    assert tables_of(query, "postgres") == reads


@pytest.mark.slow
def test_the_longest_query_is_read_in_bounded_time() -> None:
    columns = ", ".join(
        f"case when a{n} > {n} then b{n} else 0 end" for n in range(1_100)
    )
    query = f"select {columns} from a"
    assert len(query) < LONGEST
    started = time.process_time()
    assert tables_of(query, "postgres") == {"a"}
    assert time.process_time() - started < 15
