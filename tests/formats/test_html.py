"""html: one safe page, and Excel's number formats as people know them."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.ports import FormatOptions, Table
from boe_reconciler.core.resources.report import Column
from boe_reconciler.formats import _display as display
from boe_reconciler.formats import html

ZONE = ZoneInfo("Europe/Berlin")


def page(*tables: Table, **changes: Any) -> str:
    defaults: dict[str, Any] = {
        "title": "Margin <by> region",
        "timezone": ZONE,
        "occurrence": datetime(2026, 11, 24, 5, 30, tzinfo=UTC),
    }
    target = io.BytesIO()
    html.create().write(tables, target, FormatOptions(**defaults | changes))
    return target.getvalue().decode()


def a_table(
    rows: pa.Table, name: str = "Regions", columns: dict[str, Column] | None = None
) -> Table:
    batches = iter(rows.to_batches())
    return Table(name=name, schema=rows.schema, batches=batches, columns=columns or {})


def test_all_that_people_wrote_is_escaped() -> None:
    evil = "</td><script>alert('x')</script>&\x00"
    rows = pa.table({evil: [evil, None]})
    text = page(a_table(rows, evil), title=evil, subtitle=evil)
    assert "<script" not in text
    assert "\x00" not in text
    safe = "&lt;/td&gt;&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&amp;\ufffd"
    assert text.count(safe) == 6
    assert "<td></td>" in text


def test_the_page_needs_nothing_else_and_runs_nothing() -> None:
    text = page(a_table(pa.table({"a": [1]})))
    assert "default-src 'none'" in text
    assert not any(word in text for word in ("http:", "https:", "url(", "@import"))


def test_a_page_says_when_it_was_due_and_how_many_rows_it_has() -> None:
    text = page(a_table(pa.table({"a": range(1234)})), subtitle="2026-10")
    assert "24 November 2026, 06:30 Europe/Berlin" in text
    assert "1,234 rows" in text
    assert "<p>2026-10</p>" in text
    assert "1 row<" in page(a_table(pa.table({"a": [1]})))
    assert "No rows" in page(a_table(pa.table({"a": pa.nulls(0)})))


def test_several_tables_are_several_sections() -> None:
    rows = pa.table({"a": ["x"], "n": [1]})
    text = page(
        a_table(rows, "First"), a_table(rows, "Second", {"n": Column(width=20)})
    )
    assert text.count("<section>") == 2
    assert "<caption>First</caption>" in text
    assert "<caption>Second</caption>" in text
    assert (
        "#t1 tr>:nth-child(2):not(.none){text-align:right;white-space:nowrap;}" in text
    )
    assert "min-width:20ch" in text


def test_columns_are_shown_in_their_format() -> None:
    rows = pa.table(
        {
            "amount": pa.array([Decimal("-1234.5"), None]),
            "ratio": [0.12345, float("nan")],
            "day": [date(2026, 3, 9), None],
            "at": pa.array([0, None], pa.timestamp("ns", "UTC")),
            "odd": [7, None],
        }
    )
    looks = {
        "amount": Column(format="#,##0.00;(#,##0.00)"),
        "ratio": Column(format="0.0%"),
        "day": Column(format="d mmm yyyy"),
        "at": Column(format="yyyy-mm-dd hh:mm"),
        "odd": Column(format="# ?/?"),
    }
    text = page(a_table(rows, "Regions", looks))
    cells = ["(1,234.50)", "12.3%", "9 Mar 2026", "1970-01-01 01:00", "7"]
    row = "</td><td>".join(cells)
    assert f"<tr><td>{row}</td></tr>" in text
    assert "<tr><td></td><td></td><td></td><td></td><td></td></tr>" in text


@pytest.mark.parametrize(
    ("pattern", "value", "text"),
    [
        ("0", 0.5, "1"),
        ("#,##0.00", 1234567.891, "1,234,567.89"),
        ("#,##0.00", -999.995, "-1,000.00"),
        ("0.00", 1.005, "1.01"),
        ("0.00", -0.001, "0.00"),
        ("0.0#", 1.5, "1.5"),
        ("#.##", Decimal("0.5"), ".5"),
        ("000", 7, "007"),
        ("0%", 0.256, "26%"),
        ('"€" #,##0.00', 12, "€ 12.00"),
        ("$#,##0", -5, "-$5"),
        ("[$€-407] #,##0", 12345, "€ 12,345"),
        ('0.0 "km"', Decimal("1.25"), "1.3 km"),
        ("#,##0_);[Red](#,##0)", -3, "(3)"),
        ('#,##0;(#,##0);"none; at all"', 0, "none; at all"),
        ("#,##0;(#,##0);-", 0, "-"),
        ("0", 2**63 - 1, "9223372036854775807"),
    ],
)
def test_number_formats_read_as_in_a_spreadsheet(
    pattern: str, value: Any, text: str
) -> None:
    render = display.number_format(pattern)
    assert render is not None
    assert render(value) == text


@pytest.mark.parametrize(
    "pattern",
    ["General", "@", "0.00E+00", "# ?/?", "#,##0,", "yyyy", "", "0;0;0;0;0", "\\"],
)
def test_number_formats_beyond_that_show_the_plain_value(pattern: str) -> None:
    assert display.number_format(pattern) is None
    shown = display.displayed(pa.array([1234]), pattern, ZONE)
    assert shown.to_pylist() == ["1234"]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("yyyy-mm-dd", "2026-03-09"),
        ("dd.mm.yy", "09.03.26"),
        ("dddd, d mmmm yyyy", "Monday, 9 March 2026"),
        ("h:mm AM/PM", "3:04 PM"),
        ("hh:mm:ss", "15:04:05"),
        ("mm:ss", "04:05"),
        ("m/d/yyyy h:mm", "3/9/2026 15:04"),
        ('yyyy"-week"', "2026-week"),
        ("[$-409]d-mmm-yy;@", "9-Mar-26"),
        ("yyyy\\-mm", "2026-03"),
    ],
)
def test_date_formats_read_as_in_a_spreadsheet(pattern: str, text: str) -> None:
    render = display.date_format(pattern)
    assert render is not None
    assert render(datetime(2026, 3, 9, 15, 4, 5, tzinfo=UTC)) == text


@pytest.mark.parametrize("pattern", ["General", "[h]:mm", "0.00", "yyyy-mm-ddThh", ""])
def test_date_formats_beyond_that_show_the_plain_value(pattern: str) -> None:
    assert display.date_format(pattern) is None
    shown = display.displayed(pa.array([date(2026, 3, 9)]), pattern, ZONE)
    assert shown.to_pylist() == ["2026-03-09"]


@given(pattern=st.text('0#,.;%"\\_()[]$-ymdhs/ E?@*€', max_size=12), number=st.floats())
def test_any_format_shows_something(pattern: str, number: float) -> None:
    numbers = display.displayed(pa.array([number, None]), pattern, ZONE)
    assert numbers.to_pylist()[1] is None
    days = display.displayed(pa.array([date(2026, 3, 9), None]), pattern, ZONE)
    assert days.to_pylist()[1] is None


def test_floats_without_a_format_have_six_decimals_at_most() -> None:
    array = pa.array([12.653846153846153, 1e-7, 1e300, 0.1, None])
    shown = display.displayed(array, None, ZONE).to_pylist()
    assert shown == ["12.653846", "1e-7", "1e+300", "0.1", None]
