"""csv and tsv: dialects, quoting, and what spreadsheets must not run."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import FormatOptions, Table
from boe_reconciler.core.resources.schedule import Dialect
from boe_reconciler.formats import csv as csv_format
from boe_reconciler.formats import tsv


def written(rows: pa.Table, backend: Any = csv_format, **dialect: Any) -> str:
    target = io.BytesIO()
    options = FormatOptions(
        title="t",
        timezone=ZoneInfo("Europe/Berlin"),
        occurrence=datetime(2026, 1, 1, tzinfo=UTC),
        dialect=Dialect(**dialect),
    )
    table = Table(name="t", schema=rows.schema, batches=iter(rows.to_batches()))
    backend.create().write([table], target, options)
    return target.getvalue().decode()


def test_null_is_nothing_and_empty_text_is_quoted() -> None:
    rows = pa.table({"a": [None, "", "x"], "b": [1, None, 3]})
    assert written(rows) == 'a,b\n,1\n"",\nx,3\n'


def test_a_null_that_stands_alone_is_still_a_row() -> None:
    assert written(pa.table({"a": [None, 1]})) == 'a\n""\n1\n'


def test_only_what_needs_quotes_has_them() -> None:
    rows = pa.table({"a": ["plain", "com,ma", 'qu"ote', "li\nne", "re\rturn", " sp "]})
    assert written(rows) == (
        'a\nplain\n"com,ma"\n"qu""ote"\n"li\nne"\n"re\rturn"\n sp \n'
    )


def test_all_values_can_be_quoted() -> None:
    rows = pa.table({"a": [1, None], "b": ["x", ""]})
    assert written(rows, quote="all") == '"a","b"\n"1","x"\n,""\n'


def test_a_decimal_comma_brings_semicolons() -> None:
    rows = pa.table({"a": pa.array([Decimal("1234.50")]), "b": [0.25], "c": ["1.5"]})
    assert written(rows, decimal=",") == "a;b;c\n1234,50;0,25;1.5\n"
    assert written(rows, tsv, decimal=",") == "a\tb\tc\n1234,50\t0,25\t1.5\n"
    comma = written(rows, decimal=",", separator=",")
    assert comma == 'a,b,c\n"1234,50","0,25",1.5\n'


@pytest.mark.parametrize("separator", [";", "|", "\t", " ", "-", "]", "^", "1", "·"])
def test_any_separator_is_quoted_inside_values(separator: str) -> None:
    rows = pa.table({"a": ["x;y|z\t-]^1· w"], "b": [-1.5]})
    text = written(rows, separator=separator)
    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    assert read == [["a", "b"], ["x;y|z\t-]^1· w", "-1.5"]]


@pytest.mark.parametrize("separator", ['"', "\n", "\r", "\0"])
def test_what_cannot_separate_is_refused(separator: str) -> None:
    with pytest.raises(Permanent, match="cannot separate"):
        written(pa.table({"a": [1]}), separator=separator)


def test_line_ends_and_byte_order_mark() -> None:
    rows = pa.table({"a": ["x\ny"]})
    assert written(rows, line_end="crlf", bom=True) == '\ufeffa\r\n"x\ny"\r\n'


def test_dates_and_timestamps_follow_the_date_format() -> None:
    at = pa.array([datetime(2026, 7, 1, 22, 30, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    rows = pa.table({"day": [date(2026, 3, 9)], "at": at})
    assert written(rows, date_format="%d.%m.%Y %H:%M") == (
        "day,at\n09.03.2026 00:00,02.07.2026 00:30\n"
    )


def test_years_before_1000_have_four_digits() -> None:
    rows = pa.table({"day": [date(9, 3, 9), None]})
    assert written(rows, date_format="%%Y %Y") == 'day\n%Y 0009\n""\n'


def test_what_is_no_date_in_python_stays_plain() -> None:
    days = pa.array([2**31 - 1, 0], pa.int32()).cast(pa.date32())
    rows = pa.table({"day": days, "n": [1, 2]})
    text = written(rows, date_format="%d.%m.%Y")
    assert text == "day,n\ninfinity,1\n01.01.1970,2\n"


def test_formulas_are_escaped_where_asked() -> None:
    texts = ["=1", "+1", "-1", "@x", "\tx", "\rx", "safe", " =1", "é=", None, ""]
    rows = pa.table({"=title": texts, "n": [-1.5] * len(texts)})
    text = written(rows, escape_formulas=True)
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read[0] == ["'=title", "n"]
    assert [row[0] for row in read[1:7]] == ["'" + t for t in texts[:6] if t]
    assert [row[0] for row in read[7:]] == ["safe", " =1", "é=", "", ""]
    assert all(row[1] == "-1.5" for row in read[1:])


def test_formulas_are_left_alone_by_default() -> None:
    assert written(pa.table({"a": ["=1+1"]})) == "a\n=1+1\n"


def test_fractions_of_seconds_stand_only_where_they_are() -> None:
    stamps = pa.array([1_500_000, 2_000_000], pa.int64()).cast(pa.timestamp("us"))
    assert written(pa.table({"at": stamps})) == (
        "at\n1970-01-01 00:00:01.500000\n1970-01-01 00:00:02\n"
    )


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(
    rows=st.lists(st.tuples(st.none() | TEXTS, st.none() | st.integers(-9, 9))),
    quote=st.sampled_from(["minimal", "all"]),
    separator=st.sampled_from([",", ";", "\t", "|"]),
)
def test_any_text_comes_back_from_another_reader(
    rows: list[tuple[str | None, int | None]], quote: str, separator: str
) -> None:
    schema = pa.schema([("s", pa.string()), ("n", pa.int8())])
    dicts = [{"s": s, "n": n} for s, n in rows]
    text = written(
        pa.Table.from_pylist(dicts, schema), quote=quote, separator=separator
    )
    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    assert read[1:] == [[s or "", "" if n is None else str(n)] for s, n in rows]


def test_duckdb_reads_the_same_values_back(tmp_path: Any) -> None:
    rows = pa.table(
        {
            "id": [1, 2, 3],
            "name": ["a,b", None, ""],
            "amount": pa.array([Decimal("1.50"), None, Decimal("-0.01")]),
            "ok": [True, False, None],
            "day": [date(2026, 1, 31), None, date(1, 1, 1)],
        }
    )
    path = tmp_path / "x.csv"
    path.write_text(written(rows), newline="")
    query = f"from read_csv('{path}', allow_quoted_nulls=false, types=$types)"
    types = {"amount": "decimal(3,2)"}
    read = duckdb.connect().execute(query, {"types": types}).fetchall()
    assert read == [tuple(row.values()) for row in rows.to_pylist()]
