"""Reading a query: its parameters, and whether it is one that only reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core import sql


def names(query: str) -> list[str]:
    return [token.text for token in sql.parameters(query)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("select :a, :b where x = :a", [":a", ":b", ":a"]),
        ("select x in (:a,:b)and y>=:c", [":a", ":b", ":c"]),
        ("select a::date, :x::date", [":x"]),
        ("select ':a', \":b\", `:c`", []),
        ("select 'it''s :a' || :b", [":b"]),
        (r"select E'\' :a', :b", [":b"]),
        ("select $$ :a $$, $tag$ :b $$ :c $tag$, :d", [":d"]),
        ("select 1 -- :a\n, :b /* :c\n:d */", [":b"]),
        ("select x[1:n], f(1):y, {'a':b}, y := :z", [":z"]),
        ("select j->>'$.a:b', '12:30:00'::time", []),
        ("select :größe, :_x1", [":größe", ":_x1"]),
        ("select 1 where t between :a and :b;", [":a", ":b"]),
    ],
)
def test_parameters_are_found_and_nothing_else(query: str, expected: list[str]) -> None:
    assert names(query) == expected


def test_binding_numbers_each_name_once() -> None:
    bound = sql.bind("select :b, ':b', :a, :b::int", lambda _, number: f"${number}")
    assert bound.text == "select $1, ':b', $2, $1::int"
    assert bound.names == ("b", "a")


def test_a_bare_statement_has_lost_its_end() -> None:
    assert sql.bare("select ';' ; -- end") == "select ';' "
    assert sql.bare("select 1") == "select 1"


@given(st.text())
def test_binding_changes_nothing_but_parameters(text: str) -> None:
    assert sql.bind(text, lambda name, _: f":{name}").text == text


@given(st.text(st.sampled_from("select from:a'\"`$;()-/*\n?1 x"), max_size=60))
def test_no_text_breaks_the_check(text: str) -> None:
    for finding in sql.check(text, dialect="duckdb", declared=[]):
        assert 0 <= finding.offset <= len(text)


@pytest.mark.parametrize(
    "query",
    [
        "select 1",
        "SELECT 1;",
        "-- why\nwith x as (select 1) select * from x ;\n",
        "(select 1) union (select 2)",
        "values (1, 2)",
        'select "from", t.where, replace(a, b, c) from t',
        "select extract(year from d), a is distinct from b from t",
        "select * exclude (a) from t order by all limit 3",
        "select count(*) filter (where a) from t",
    ],
)
def test_a_query_that_only_reads_is_fine(query: str) -> None:
    for dialect in sql.DIALECTS.values():
        assert sql.check(query, dialect=dialect, declared=[]) == []


@pytest.mark.parametrize(
    "query", ["from t", "describe t", "summarize t", "show tables"]
)
def test_duckdb_has_more_ways_to_read(query: str) -> None:
    assert sql.check(query, dialect="duckdb", declared=[]) == []
    assert sql.check(query, dialect="postgres", declared=[]) != []


@pytest.mark.parametrize(
    ("query", "code", "offset"),
    [
        ("", "BOE200", 0),
        (" -- nothing\n;", "BOE200", 0),
        ("select 1; drop table x", "BOE201", 10),
        ("select 1; select 2; select 3", "BOE201", 10),
        ("delete from t", "BOE202", 0),
        ("  selct 1", "BOE202", 2),
        ("attach 'x'", "BOE202", 0),
        ("copy t to 'x'", "BOE202", 0),
        ("pragma database_list", "BOE202", 0),
        ("set x = 1", "BOE202", 0),
        ("install httpfs", "BOE202", 0),
        ("export database 'x'", "BOE202", 0),
        ("call f()", "BOE202", 0),
        ("explain analyze delete from t", "BOE202", 0),
        ("with x as (delete from t returning *) select * from x", "BOE203", 11),
        ("with x as (select 1) insert into t select 1", "BOE203", 21),
        ("select * into y from x", "BOE203", 9),
        ("select :mnth", "BOE204", 7),
        ("select (1", "BOE206", 7),
        ("select 1)", "BOE206", 8),
        ("select 'a", "BOE206", 7),
        ('select "a', "BOE206", 7),
        ("select /* a", "BOE206", 7),
        ("select $1", "BOE207", 7),
        ("select $name", "BOE207", 7),
        ("select * from where a", "BOE208", 14),
        ("select * from t where", "BOE208", 16),
        ("select * from t where a = and b", None, 0),
        ("select * from t where a and group by b", "BOE208", 28),
    ],
)
def test_what_is_wrong_is_told_at_its_place(
    query: str, code: str | None, offset: int
) -> None:
    found = sql.check(query, dialect="duckdb", declared=["month"])
    told = [(each.code, each.offset) for each in found]
    assert ((code, offset) in told) if code else told == []


def test_a_parameter_or_first_word_that_was_meant_is_named() -> None:
    (finding,) = sql.check("select :mnth", dialect="", declared=["month"])
    assert finding.help == "did you mean :month?"
    (finding,) = sql.check("selct 1", dialect="", declared=[])
    assert finding.help == "did you mean select?"


def test_a_question_mark_is_an_operator_in_postgres_alone() -> None:
    query = "select data ? 'key' from t"
    assert sql.check(query, dialect="postgres", declared=[]) == []
    assert sql.check(query, dialect="sqlite", declared=[])[0].code == "BOE207"


def test_unused_looks_at_all_queries_of_a_report() -> None:
    queries = ["select :a", "select ':b' -- :c"]
    assert sql.unused(queries, ["a", "b", "c"]) == ["b", "c"]
