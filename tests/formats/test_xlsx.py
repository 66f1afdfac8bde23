"""Plain workbooks, as two independent readers see them."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.errors import Permanent, Temporary
from boe_reconciler.core.ports import Table
from boe_reconciler.core.resources.report import Column
from boe_reconciler.formats.xlsx import create, names
from boe_reconciler.formats.xlsx.cells import KINDS
from boe_reconciler.formats.xlsx.render import joined
from tests.formats.workbooks import (
    calamine_rows,
    opened,
    openpyxl_rows,
    options,
    parts,
    sheet_names,
    table,
    write,
    written,
)

HOSTILE = [
    "a & b <c> \"d\" 'e'",
    " blanks ",
    "\ttab\t",
    "line\r\nbreak\n",
    "=1+1",
    "@SUM(A1)",
    "_x0041_",
    "_x0041_x0042_",
    "__x005F_x0041_",
    "é😀中文",
    "]]>",
    "<!--",
    "&amp;",
    "'quoted",
    "﻿bom",
    "ﬀ",
]


def one_column(values: Any, **changed: Any) -> bytes:
    return write(table({"a": values}), **changed)


def both(content: bytes) -> list[list[Any]]:
    """The first column without its header, as each reader sees it.

    calamine leaves out empty rows at the end.
    """
    seen = [None if row[0] == "" else row[0] for row in openpyxl_rows(content)]
    other = [row[0] if row[0] != "" else None for row in calamine_rows(content)]
    return [seen[1:], other[1:] + [None] * (len(seen) - len(other))]


def xml(content: bytes) -> str:
    return parts(content)["xl/worksheets/sheet1.xml"].decode()


# --- Text -----------------------------------------------------------------------


def test_hostile_text_reads_back_as_it_was() -> None:
    assert both(one_column(HOSTILE)) == [HOSTILE, HOSTILE]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), max_size=20))
def test_any_printable_text_reads_back_as_it_was(texts: list[str]) -> None:
    texts = [text.replace("\ufffe", "").replace("\uffff", "") for text in texts]
    kept = [text or None for text in texts]
    assert both(one_column(pa.array(texts, pa.string()))) == [kept, kept]


def test_a_text_is_never_a_formula() -> None:
    content = one_column(["=cmd|' /C calc'!A0", "+1", "-1", "@x"])
    assert "<f" not in xml(content)
    assert [cell.data_type for (cell,) in opened(content).iter_rows(2)] == ["s"] * 4


def test_control_characters_are_written_as_excel_writes_them() -> None:
    content = one_column(["\x00\x1f", "_x0001_\x01", "\ufffe\uffff"])
    assert "_x0000__x001F_" in xml(content)
    assert calamine_rows(content)[1:3] == [["\x00\x1f"], ["_x0001_\x01"]]
    assert "_xFFFE__xFFFF_" in xml(content)


def test_text_that_looks_escaped_is_not_in_shared_strings() -> None:
    """Torn runs read well everywhere; openpyxl decodes no `_xHHHH_` but `_x005F_`."""
    content = one_column(["_x0041_"])
    assert "xl/sharedStrings.xml" not in parts(content)
    assert both(content) == [["_x0041_"], ["_x0041_"]]


def test_a_null_is_an_empty_cell_and_an_empty_text_is_a_text() -> None:
    content = one_column(["", None])
    assert '<row><c t="inlineStr"><is><t></t></is></c></row><row><c/></row>' in xml(
        content
    )


def test_text_over_a_cells_length_is_cut_and_noted_once_a_column() -> None:
    long, emoji = "x" * 32_768, "😀" * 16_384
    rows = {"a": [long, emoji, "y" * 32_767], "b": ["é" * 32_767, None, ""]}
    content, answer = written(table(rows, "Big"))
    assert [text and len(text) for text in both(content)[1]] == [32_767, 16_383, 32_767]
    assert openpyxl_rows(content)[1][1] == "é" * 32_767
    assert answer.notes == (
        (
            "text_cut",
            "'Big': 2 texts in column 'a' were cut to the 32,767 characters that a"
            " cell holds",
        ),
    )


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["p", None, "p", "q"]).dictionary_encode(),
        pa.array(["p", None, "p", "q"], pa.large_string()),
        pa.array(["p", None, "p", "q"], pa.string_view()),
    ],
    ids=["dictionary", "large", "view"],
)
def test_every_encoding_of_text_reads_the_same(values: pa.Array) -> None:
    assert both(one_column(values)) == [["p", None, "p", "q"]] * 2


def test_slices_of_text_read_only_what_is_theirs() -> None:
    values = pa.array(["&", "<", "plain", " b", "&", None, "_x0041_"]).slice(2, 3)
    assert both(one_column(values)) == [["plain", " b", "&"]] * 2


def test_slices_keep_their_nulls_where_markup_is_replaced() -> None:
    texts = ["&", None, '<é> & "b"', " >", None, "&amp; ", "東"]
    values = pa.array(texts * 5, pa.large_string()).slice(10, 20)
    assert both(one_column(values)) == [values.to_pylist()] * 2


# --- Numbers --------------------------------------------------------------------


def test_integers_beyond_a_doubles_reach_are_text_with_all_digits() -> None:
    values = [2**53, 2**53 + 1, -(2**53), -(2**53) - 1, 2**63 - 1, None]
    expected = [
        2**53,
        str(2**53 + 1),
        -(2**53),
        str(-(2**53) - 1),
        str(2**63 - 1),
        None,
    ]
    assert both(one_column(values)) == [expected, expected]
    unsigned = pa.array([2**64 - 1, 7], pa.uint64())
    assert both(one_column(unsigned)) == [[str(2**64 - 1), 7]] * 2


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_any_integer_reads_back_exactly(values: list[int]) -> None:
    for read in both(one_column(pa.array(values, pa.int64()))):
        assert [int(value) for value in read] == values


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_any_finite_float_reads_back_exactly(values: list[float]) -> None:
    assert both(one_column(pa.array(values, pa.float64()))) == [values, values]


def test_nan_and_infinity_are_empty() -> None:
    values = [1.5, float("nan"), float("inf"), float("-inf"), None]
    assert both(one_column(values)) == [[1.5, None, None, None, None]] * 2
    small = pa.array([0.1, float("nan")], pa.float32())
    assert both(one_column(small)) == [[0.1, None]] * 2
    half = pa.array([0.5, None], pa.float16())
    assert both(one_column(half)) == [[0.5, None]] * 2


def test_decimals_of_up_to_15_digits_are_numbers_and_others_text() -> None:
    texts = [
        "123456789012345.0000000000",
        "1234567890123456.0000000000",
        "-0.1234567890",
        "12345.1234567890",
        "123456.1234567891",
        "1000000000000000000.0000000000",
        "0.0000000000",
    ]
    values = pa.array([Decimal(text) for text in texts], pa.decimal128(38, 10))
    expected = [float(text) for text in texts]
    expected[1], expected[4] = texts[1], texts[4]  # type: ignore[call-overload]  # texts among numbers
    assert both(one_column(values)) == [expected, expected]


@pytest.mark.parametrize(
    "kind",
    [
        pa.decimal32(9, 2),
        pa.decimal64(18, 2),
        pa.decimal128(5, -2),
        pa.decimal128(38, 30),
        pa.decimal256(40, 2),
        pa.decimal256(76, 2),
    ],
    ids=str,
)
def test_every_width_of_decimal_reads_back(kind: pa.DataType) -> None:
    values = pa.array([Decimal("1200"), None, Decimal("-300")], kind)
    assert both(one_column(values)) == [[1200, None, -300]] * 2


def test_a_decimal_beyond_the_databases_own_is_text() -> None:
    value = Decimal("9" * 60 + ".25")
    values = pa.array([value, Decimal("1.50")], pa.decimal256(76, 2))
    assert both(one_column(values)) == [[str(value), "1.50"]] * 2


def test_whole_sums_follow_the_rule_of_integers() -> None:
    values = pa.array([Decimal(2**53), Decimal(2**53 + 1)], pa.decimal128(38, 0))
    assert both(one_column(values)) == [[2**53, str(2**53 + 1)]] * 2


def test_booleans_are_booleans() -> None:
    for read in both(one_column([True, False, None])):
        assert read == [True, False, None]
        assert [type(value) for value in read[:2]] == [bool, bool]


# --- Dates ----------------------------------------------------------------------


def test_dates_are_dates_and_those_excel_gets_wrong_are_iso_text() -> None:
    values = [
        date(2026, 2, 28),
        date(1900, 3, 1),
        date(1900, 2, 28),
        date(1900, 1, 1),
        date(1899, 12, 31),
        date(1, 1, 1),
        date(9999, 12, 31),
        None,
    ]
    expected = ["1900-02-28", "1900-01-01", "1899-12-31", "0001-01-01"]
    for kind in (pa.date32(), pa.date64()):
        for read in both(one_column(pa.array(values, kind))):
            assert [str(v)[:10] for v in (read[0], read[1], read[6])] == [
                "2026-02-28",
                "1900-03-01",
                "9999-12-31",
            ]
            assert not isinstance(read[0], str)
            assert read[2:6] == expected
            assert read[7] is None


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_keep_their_milliseconds(unit: str) -> None:
    whole = datetime(2026, 7, 1, 23, 59, 59)  # noqa: DTZ001  # naive on purpose
    values = [whole, None]
    if unit != "s":
        values.append(whole.replace(microsecond=123_000))
    content = one_column(pa.array(values, pa.timestamp(unit)))
    for read in both(content):
        for value, got in zip(values, read, strict=True):
            assert value == got or abs(value - got) < timedelta(milliseconds=1)
    assert opened(content)["A2"].number_format == "yyyy-mm-dd hh:mm:ss"


def test_old_timestamps_are_iso_text() -> None:
    values = pa.array([-(10**13), 0], pa.timestamp("ms"))
    assert both(one_column(values))[0][0] == "1653-02-10 06:13:20"


def test_aware_timestamps_are_wall_time_of_the_schedules_zone() -> None:
    values = [
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
        datetime(2026, 7, 1, 12, tzinfo=UTC),
        None,
    ]
    content = one_column(pa.array(values, pa.timestamp("us", "America/New_York")))
    berlin = ["2026-10-25 02:30:00", "2026-10-25 02:30:00", "2026-07-01 14:00:00"]
    for read in both(content):
        assert [str(value) for value in read[:3]] == berlin
        assert read[3] is None


def test_naive_timestamps_stay_as_they_are() -> None:
    naive = datetime(2026, 3, 29, 2, 30)  # noqa: DTZ001  # a time that Berlin skips
    assert both(one_column([naive])) == [[naive], [naive]]


def test_times_and_lengths_of_time() -> None:
    content = write(
        table(
            {
                "t": [time(6, 30), None],
                "t32": pa.array([time(23, 59, 59), None], pa.time32("s")),
                "d": [timedelta(hours=30, minutes=15), timedelta(seconds=-90)],
            }
        )
    )
    for rows in (openpyxl_rows(content), calamine_rows(content)):
        assert list(rows[1]) == [
            time(6, 30),
            time(23, 59, 59),
            timedelta(hours=30, minutes=15),
        ]
        assert rows[2][2] == "PT-90S"
    assert opened(content)["C2"].number_format == "[h]:mm:ss"


# --- Other types ----------------------------------------------------------------


def test_lists_structs_maps_and_bytes_are_text() -> None:
    content = write(
        table(
            {
                "list": [[1, 2], None],
                "struct": [{"x": "é"}, {"x": None}],
                "map": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
                "bytes": [b"\xff\x00", None],
                "nothing": pa.nulls(2),
                "uuid": pa.array([bytes(16), None], pa.uuid()),
            }
        )
    )
    zeros = "00000000-0000-0000-0000-000000000000"
    first = ["[1,2]", '{"x":"é"}', '{"k":1}', "/wA=", None, zeros]
    assert [list(row) for row in openpyxl_rows(content)[1:]] == [
        first,
        [None, '{"x":null}', "{}", None, None, None],
    ]


# --- The workbook ---------------------------------------------------------------


def test_header_is_bold_frozen_and_filtered() -> None:
    sheet = opened(write(table({"a": [1, 2], "b": ["x", "y"]})))
    assert [cell.font.bold for cell in sheet[1]] == [True, True]
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:B3"
    assert sheet["A2"].font.bold is False


def test_without_headers_there_are_only_rows() -> None:
    sheet = opened(write(table({"a": [1]}), include_headers=False))
    assert [sheet["A1"].value, sheet.max_row] == [1, 1]
    assert sheet.freeze_panes is None
    assert sheet.auto_filter.ref is None


def test_columns_have_titles_formats_widths_and_may_be_hidden() -> None:
    looks = {
        "a": Column(title="Amount <€>", format='#,##0.00 "EUR"', width=20),
        "b": Column(hidden=True),
    }
    sheet = opened(write(table({"a": [1.5], "b": [2]}, looks=looks)))
    assert sheet["A1"].value == "Amount <€>"
    assert sheet["A2"].number_format == '#,##0.00 "EUR"'
    assert sheet.column_dimensions["A"].width == 20
    assert sheet.column_dimensions["B"].hidden
    assert sheet["B2"].value == 2


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (pa.int64(), "0"),
        (pa.float64(), "General"),
        (pa.decimal128(18, 2), "0.00"),
        (pa.date32(), "yyyy-mm-dd"),
        (pa.timestamp("us"), "yyyy-mm-dd hh:mm:ss"),
        (pa.time64("us"), "hh:mm:ss"),
        (pa.duration("s"), "[h]:mm:ss"),
        (pa.string(), "General"),
    ],
    ids=str,
)
def test_each_type_has_a_number_format(kind: pa.DataType, code: str) -> None:
    values = pa.array([1], pa.int64()) if kind == pa.int64() else pa.nulls(1, kind)
    content = one_column(pa.concat_arrays([pa.array(_sample(kind), kind), values[:0]]))
    assert opened(content)["A2"].number_format == code


def _sample(kind: pa.DataType) -> list[Any]:
    samples = {
        pa.decimal128(18, 2): Decimal("1.50"),
        pa.date32(): date(2026, 1, 1),
        pa.timestamp("us"): datetime(2026, 1, 1),  # noqa: DTZ001  # naive on purpose
        pa.time64("us"): time(1),
        pa.duration("s"): timedelta(1),
        pa.string(): "x",
    }
    return [samples.get(kind, 1)]


@pytest.mark.parametrize(
    "code", ["0.00", "#,##0;[Red]-#,##0", "dd.mm.yyyy", "0.0%", '0" kg"', "AM/PM h:mm"]
)
def test_formats_that_excel_knows_are_taken(code: str) -> None:
    content = write(table({"a": [1]}, looks={"a": Column(format=code)}))
    assert opened(content)["A2"].number_format == code


@pytest.mark.parametrize("code", ["%d.%m.%Y", "percent", '0"', "a;b;c;d;e", "0" * 256])
def test_a_format_that_excel_does_not_know_is_refused(code: str) -> None:
    with pytest.raises(Permanent, match=r"column 'a'.*not a number format"):
        write(table({"a": [1]}, looks={"a": Column(format=code)}))


def test_widths_fit_the_title_and_the_first_rows() -> None:
    rows = {"n": [1], "a long title of a column": [1], "text": ["x" * 300]}
    sheet = opened(write(table(rows)))
    widths = [sheet.column_dimensions[letter].width for letter in "ABC"]
    assert widths[0] < 10
    assert 24 < widths[1] < 40
    assert widths[2] == 60


def test_names_of_sheets_are_mended_and_made_unique() -> None:
    wanted = ["a/b:[c]", "A B  C", "History", "", "'q'", "x" * 40, "X" * 31, "😀" * 20]
    content = write(*(table({"a": [1]}, name) for name in wanted))
    found = sheet_names(content)
    assert found[0] == "a b  c"
    assert len({name.lower() for name in found}) == len(wanted)
    assert all(len(name.encode("utf-16-le")) // 2 <= 31 for name in found)
    assert found[2:5] == ["History (2)", "Sheet", "q"]


def test_properties_hold_the_title_and_the_occurrence() -> None:
    book = openpyxl.load_workbook(io.BytesIO(one_column([1])))
    assert book.properties.title == "Flights & delays"
    created = book.properties.created
    assert created is not None
    assert created.isoformat()[:19] == "2026-11-24T05:30:00"


def test_the_same_rows_give_the_same_bytes() -> None:
    assert one_column([1, 2]) == one_column([1, 2])


def test_the_size_of_a_sheet_stands_in_it() -> None:
    book = openpyxl.load_workbook(io.BytesIO(one_column([1, 2, 3])), read_only=True)
    sheet = book.worksheets[0]
    assert (sheet.max_row, sheet.max_column) == (4, 1)
    book.close()


def test_two_columns_of_one_name_are_both_written() -> None:
    arrays = [pa.array([1]), pa.array(["x"])]
    content = write(table(pa.Table.from_arrays(arrays, names=["a", "a"])))
    assert openpyxl_rows(content) == [("a", "a"), (1, "x")]


def test_no_rows_give_a_header() -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.date32())])
    content, answer = written(Table(name="x", schema=schema, batches=iter(())))
    assert openpyxl_rows(content) == [("a", "b")]
    assert answer.rows == 0


def test_no_columns_give_an_empty_sheet() -> None:
    content = write(Table(name="x", schema=pa.schema([]), batches=iter(())))
    assert calamine_rows(content) == []


def wide(count: int) -> Table:
    arrays = [pa.array([n]) for n in range(count)]
    labels = [f"c{n}" for n in range(count)]
    return table(pa.Table.from_arrays(arrays, names=labels), "Wide")


def test_more_columns_than_a_sheet_holds_are_refused() -> None:
    with pytest.raises(Permanent, match="'Wide' has 16,385 columns"):
        write(wide(16_385))


@pytest.mark.slow
def test_a_sheet_holds_16384_columns() -> None:
    assert calamine_rows(write(wide(16_384)))[1][-1] == 16_383


def test_rows_that_do_not_fit_go_on_in_a_next_sheet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(names, "MAX_ROWS", 4)
    content, answer = written(table({"a": list(range(7))}, "Rows"), table({"b": [1]}))
    assert sheet_names(content) == ["Rows", "Rows (2)", "Rows (3)", "Rows (4)"]
    assert [row[0] for row in openpyxl_rows(content, 1)] == ["a", 3, 4, 5]
    assert [row[0] for row in openpyxl_rows(content, 2)] == ["a", 6]
    assert answer.rows == 8
    assert [action for action, _ in answer.notes] == ["sheet_added"] * 2
    assert "they go on in 'Rows (2)'" in answer.notes[0][1]


def test_small_batches_are_joined_and_large_ones_cut() -> None:
    count = 40_000
    values = pa.table({"a": list(range(count)), "t": [f"é{n}" for n in range(count)]})
    small = [
        batch for n in range(0, 1_000, 7) for batch in values[n : n + 7].to_batches()
    ]
    small = [batch.slice(0, min(7, 1_000 - n * 7)) for n, batch in enumerate(small)]
    batches = iter([*small, *values[1_000:].to_batches()])
    content = write(Table(name="x", schema=values.schema, batches=batches))
    rows = calamine_rows(content)[1:]
    assert [row[0] for row in rows] == list(range(count))
    assert [row[1] for row in rows] == values["t"].to_pylist()


def test_dictionaries_may_differ_from_batch_to_batch() -> None:
    batches = [
        pa.record_batch({"a": pa.array(texts).dictionary_encode()})
        for texts in (["x", "y"], ["z", "x", None])
    ]
    content = write(Table(name="x", schema=batches[0].schema, batches=iter(batches)))
    assert both(content) == [["x", "y", "z", "x", None]] * 2


def test_an_error_of_the_source_comes_through_as_it_is() -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": [1]})
        raise Temporary("query_failed", "the database went away")

    schema = pa.schema([("a", pa.int64())])
    with pytest.raises(Temporary, match="went away"):
        write(Table(name="x", schema=schema, batches=broken()))


def test_an_error_of_the_target_comes_through_as_it_is() -> None:
    class Full(io.RawIOBase):
        def write(self, _: Any) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        create().write([table({"a": [1]})], Full(), options())  # type: ignore[arg-type]  # a BinaryIO for what it is asked


def test_no_error_of_arrow_escapes() -> None:
    uneven = [
        pa.array(["a"], pa.large_string()),
        pa.array(["b"] * 2, pa.large_string()),
    ]
    with pytest.raises(Permanent, match="cannot be written as a workbook"):
        joined(uneven)


def test_importing_the_format_loads_no_database() -> None:
    code = "import sys, boe_reconciler.formats.xlsx as x; x.create()"
    code += "; assert not {'duckdb', 'pandas', 'openpyxl'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_each_kind_is_known_once() -> None:
    kinds = [
        pa.large_string(),
        pa.int8(),
        pa.float32(),
        pa.decimal128(3, 1),
        pa.bool_(),
    ]
    for kind in kinds:
        assert sum(bool(fits(kind)) for fits, _, _ in KINDS) == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_million_rows_and_more_go_on_in_a_next_sheet() -> None:
    count = 1_048_577
    content, answer = written(table({"a": pa.array(range(count)), "b": ["x"] * count}))
    first, second = calamine_rows(content, 0), calamine_rows(content, 1)
    assert (len(first), len(second)) == (1_048_576, 3)
    assert [first[-1][0], second[1][0]] == [1_048_574, 1_048_575]
    assert answer.rows == count


@pytest.mark.slow
def test_libreoffice_reads_hostile_text(tmp_path: Path) -> None:
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("LibreOffice is not installed")
    (tmp_path / "a.xlsx").write_bytes(one_column(HOSTILE))
    command = [office, "--headless", "--convert-to", "ods", "a.xlsx"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=100)
    assert (tmp_path / "a.ods").exists()


@pytest.mark.parametrize("step", [700, 9_000])
def test_the_bytes_do_not_depend_on_how_a_source_hands_its_rows_over(step: int) -> None:
    """Wider texts stand where only some of the first chunks reach."""
    count = 20_000
    texts = [f"{n % 977} {'wide' * (n // 8_192)}" for n in range(count)]
    rows = pa.table({"n": list(range(count)), "text": texts})
    whole = Table(name="x", schema=rows.schema, batches=iter(rows.to_batches()))
    cut = iter(rows.to_batches(max_chunksize=step))
    pieces = Table(name="x", schema=rows.schema, batches=cut)
    assert write(pieces) == write(whole)
