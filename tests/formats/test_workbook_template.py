"""Template workbooks: rows go in, everything else stays byte for byte."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.resources.report import Column
from boe_reconciler.formats.xlsx import package
from tests.formats.workbooks import (
    DETAIL,
    SUMMARY,
    TABLE,
    WORKBOOK,
    calamine_rows,
    changed_parts,
    hostile,
    opened,
    openpyxl_rows,
    packed,
    parts,
    table,
    write,
    written,
)

SALES = {"region": ["North", "South & East", "=West"], "sales": [1.5, None, 3.0]}
PRECIOUS = [
    "xl/drawings/drawing1.xml",
    "xl/charts/chart1.xml",
    "xl/drawings/vmlDrawing1.vml",
    "xl/media/logo.png",
    "xl/pivotTables/pivotTable1.xml",
    "xl/pivotCache/definition1.xml",
    "xl/pivotCache/records1.xml",
    "xl/slicers/slicer1.xml",
    "xl/slicerCaches/slicerCache1.xml",
    "xl/sharedStrings.xml",
    "xl/styles.xml",
    "xl/worksheets/sheet2.xml",
]

# openpyxl says which extensions it will drop; it only reads here.
pytestmark = pytest.mark.filterwarnings("ignore:.*extension is not supported")


def fill_summary(
    rows: Mapping[str, Any] | pa.Table | None = None, template: bytes | None = None
) -> tuple[bytes, bytes]:
    before = hostile() if template is None else template
    given = table(SALES if rows is None else rows, "Summary", fill="table:tSummary")
    return before, write(given, template=before)


@pytest.mark.parametrize("part", PRECIOUS)
def test_a_part_that_holds_no_rows_stays_byte_for_byte(part: str) -> None:
    before, after = fill_summary()
    assert parts(after)[part] == parts(before)[part]


def test_only_parts_that_have_to_change_do() -> None:
    before, after = fill_summary()
    assert changed_parts(before, after) == {
        "xl/worksheets/sheet1.xml",
        "xl/tables/table1.xml",
        "xl/workbook.xml",  # formulas are to be calculated
        "xl/calcChain.xml",  # dropped: formulas moved
        "xl/_rels/workbook.xml.rels",
        "[Content_Types].xml",
    }


def test_without_formulas_only_the_sheet_changes() -> None:
    before = hostile(sheet1=DETAIL)
    after = write(table({"a": [1]}, fill="range:DetailTop"), template=before)
    assert changed_parts(before, after) == {"xl/worksheets/sheet2.xml"}


def test_what_stands_around_the_rows_of_a_sheet_keeps_its_bytes() -> None:
    _, after = fill_summary()
    sheet = parts(after)["xl/worksheets/sheet1.xml"].decode()
    start, end = SUMMARY.index("<sheetData>"), SUMMARY.index("</sheetData>")
    assert sheet.startswith(SUMMARY[:start])
    assert sheet.endswith(SUMMARY[end:])
    assert "x14:sparkline" in sheet
    assert "legacyDrawingHF" in sheet


def test_the_table_is_filled_and_grows_with_its_totals() -> None:
    _, after = fill_summary()
    for rows in (openpyxl_rows(after), calamine_rows(after)):
        found = [[cell or None for cell in row[:2]] for row in rows[3:6]]
        assert found == [["North", 1.5], ["South & East", None], ["=West", 3.0]]
        assert rows[6][0] == "Total"
    assert opened(after)["B7"].value == "=SUBTOTAL(109,tSummary[sales])"
    assert opened(after).tables["tSummary"].ref == "A3:C7"
    assert opened(after).tables["tSummary"].autoFilter.ref == "A3:C6"


def test_cells_beside_the_table_stay() -> None:
    _, after = fill_summary()
    sheet = opened(after)
    assert sheet["F1"].value == 42
    assert sheet["F3"].value == sheet["F4"].value == "stays"
    assert sheet["F7"].value == "=SUM(tSummary[sales])"


def test_new_rows_look_like_the_first_row_of_the_table() -> None:
    _, after = fill_summary()
    sheet = opened(after)
    assert [sheet[f"A{n}"].number_format for n in (4, 5, 6)] == ["@"] * 3
    assert [sheet[f"B{n}"].number_format for n in (4, 5, 6)] == ["#,##0.0"] * 3


def test_a_calculated_column_is_filled_down() -> None:
    _, after = fill_summary()
    sheet = opened(after)
    formula = "=tSummary[[#This Row],[sales]]*2"
    assert [sheet[f"C{n}"].value for n in (4, 5, 6)] == [formula] * 3


def test_excel_is_asked_to_calculate_a_template_with_formulas() -> None:
    _, after = fill_summary()
    assert (
        b'<calcPr calcId="191029" fullCalcOnLoad="1"/>'
        in parts(after)["xl/workbook.xml"]
    )


def test_calculation_is_asked_for_where_the_template_does_not_mention_it() -> None:
    bare = WORKBOOK.replace('<calcPr calcId="191029"/>', "")
    _, after = fill_summary(template=hostile(workbook=bare))
    workbook = parts(after)["xl/workbook.xml"]
    assert workbook.index(b"</definedNames><calcPr") > 0
    assert b'fullCalcOnLoad="1"/><pivotCaches>' in workbook


def test_no_calculation_chain_names_a_formula_that_is_gone() -> None:
    _, after = fill_summary()
    found = parts(after)
    assert "xl/calcChain.xml" not in found
    assert b"calcChain" not in found["[Content_Types].xml"]
    assert b"calcChain" not in found["xl/_rels/workbook.xml.rels"]


def test_columns_find_their_place_by_name_or_title() -> None:
    rows = pa.table({"v": [7.0], "region": ["North"]})
    given = table(rows, "Summary", {"v": Column(title="Sales")}, fill="table:tsummary")
    after = write(given, template=hostile())
    assert openpyxl_rows(after)[3][:2] == ("North", 7.0)


def test_columns_with_other_names_go_by_their_place() -> None:
    _, after = fill_summary({"a": ["x"], "b": [1], "c": [2]})
    assert openpyxl_rows(after)[3][:3] == ("x", 1, 2)


def test_a_shorter_result_leaves_no_old_row_behind() -> None:
    _, after = fill_summary({"region": ["only"], "sales": [1]})
    assert opened(after).tables["tSummary"].ref == "A3:C5"
    assert opened(after)["A5"].value == "Total"
    assert opened(after)["A6"].value is None
    assert opened(after)["B6"].value is None


def test_no_rows_leave_the_table_with_one_empty_row() -> None:
    empty = pa.table({"region": pa.array([], pa.string()), "sales": pa.array([], "f8")})
    _, after = fill_summary(empty)
    assert opened(after).tables["tSummary"].ref == "A3:C5"
    assert openpyxl_rows(after)[3][:3] == (None, None, None)
    assert opened(after)["B4"].number_format == "#,##0.0"


def test_many_rows_go_on_below_what_is_beside_the_table() -> None:
    count = 20_000
    rows = {"region": [f"r{n}" for n in range(count)], "sales": list(range(count))}
    _, after = fill_summary(rows)
    found = calamine_rows(after)
    assert [row[0] for row in found[3 : 3 + count]] == rows["region"]
    assert [row[1] for row in found[3 : 3 + count]] == rows["sales"]
    assert found[3 + count][0] == "Total"
    assert f'ref="A3:C{count + 4}"'.encode() in parts(after)["xl/tables/table1.xml"]


def test_a_cell_below_the_table_is_never_overwritten() -> None:
    sheet = SUMMARY.replace('<c r="F7">', '<c r="B7"><v>9</v></c><c r="F7">')
    with pytest.raises(Permanent, match=r"cell B7 is in the way.*the table 'tSummary'"):
        fill_summary(template=hostile(sheet1=sheet))


def test_merged_cells_below_the_table_are_in_the_way() -> None:
    merged = '</sheetData><mergeCells count="1"><mergeCell ref="A7:B7"/></mergeCells>'
    sheet = SUMMARY.replace("</sheetData>", merged)
    with pytest.raises(Permanent, match="the merged cells A7:B7 is in the way"):
        fill_summary(template=hostile(sheet1=sheet))


def test_a_formula_that_fills_cells_outside_the_table_is_in_the_way() -> None:
    sheet = SUMMARY.replace("<f>tSummary[[", '<f t="array" ref="C4:D4">tSummary[[')
    with pytest.raises(Permanent, match="the formula that fills C4:D4"):
        fill_summary(template=hostile(sheet1=sheet))


def test_a_calculated_column_that_names_single_cells_is_refused() -> None:
    single = TABLE.replace("tSummary[[#This Row],[sales]]*2", "B4*2")
    with pytest.raises(Permanent, match="'B4\\*2', which names single cells"):
        fill_summary(template=hostile(table1=single))


def test_a_range_is_filled_from_its_first_cell_with_titles() -> None:
    before = hostile()
    given = table({"day": [date(2026, 1, 2)], "n": [5]}, fill="range:detailtop")
    after = write(given, template=before)
    sheet = opened(after, 1)
    assert [sheet["B2"].value, sheet["C2"].value] == ["day", "n"]
    assert sheet["B3"].value.date() == date(2026, 1, 2)
    assert sheet["C3"].value == 5 or sheet["C3"].number_format == "mm-dd-yy"
    assert sheet["B3"].number_format == "yyyy-mm-dd"


def test_without_headers_a_range_begins_with_the_rows() -> None:
    given = table({"n": [5], "m": [6]}, fill="range:DetailTop")
    after = write(given, template=hostile(), include_headers=False)
    assert [opened(after, 1)["B2"].value, opened(after, 1)["C2"].value] == [5, 6]


def test_a_sheet_without_fill_is_filled_from_its_first_cell() -> None:
    after = write(table({"n": [1, 2]}, "pivot"), template=hostile())
    assert openpyxl_rows(after, 2) == [("n",), (1,), (2,)]


def test_two_tables_may_fill_one_sheet() -> None:
    second = WORKBOOK.replace(
        "</definedNames>",
        '<definedName name="Low">Summary!$A$20</definedName></definedNames>',
    )
    after = write(
        table(SALES, fill="table:tSummary"),
        table({"n": [1]}, fill="range:Low"),
        template=hostile(workbook=second),
    )
    assert openpyxl_rows(after)[3][0] == "North"
    assert openpyxl_rows(after)[19][0] == "n"


def test_a_date_gets_a_date_format_and_the_old_styles_stay() -> None:
    before = hostile()
    given = table({"region": ["x"], "sales": [date(2026, 1, 2)]}, fill="table:tSummary")
    after = write(given, template=before, include_headers=True)
    assert changed_parts(before, after) & {"xl/styles.xml"} == set()
    given = table({"d": [date(2026, 1, 2)]}, fill="range:DetailTop")
    sheet = opened(write(given, template=before, include_headers=False), 1)
    assert sheet["B2"].number_format == "yyyy-mm-dd"
    assert sheet["B2"].fill.patternType == "gray125"


def test_a_format_of_the_report_wins_over_the_template() -> None:
    given = table(
        SALES, "Summary", {"sales": Column(format="0.000%")}, "table:tSummary"
    )
    sheet = opened(write(given, template=hostile()))
    assert sheet["B4"].number_format == "0.000%"
    assert sheet["A4"].number_format == "@"


def test_prefixed_xml_is_filled_as_well() -> None:
    prefixed = DETAIL.replace("xmlns=", "xmlns:x=")
    for name in ("worksheet", "sheetData", "row", "c", "v"):
        prefixed = prefixed.replace(f"<{name} ", f"<x:{name} ")
        prefixed = prefixed.replace(f"<{name}>", f"<x:{name}>")
        prefixed = prefixed.replace(f"</{name}>", f"</x:{name}>")
    given = table({"n": [5], "m": ["x"]}, fill="range:DetailTop")
    after = write(given, template=hostile(sheet2=prefixed))
    for rows in (openpyxl_rows(after, 1), calamine_rows(after, 1)):
        assert next(iter(rows[0])) == "Board report"
        assert list(rows[2])[1:] == [5, "x"]


def test_rows_and_cells_without_references_keep_their_places() -> None:
    bare = DETAIL.replace('<row r="1">', "<row>").replace(' r="A1"', "")
    given = table({"n": [5]}, fill="range:DetailTop")
    after = write(given, template=hostile(sheet2=bare), include_headers=False)
    assert openpyxl_rows(after, 1)[0][0] == "Board report"
    assert openpyxl_rows(after, 1)[1][1] == 5


@pytest.mark.parametrize(
    ("fill", "message", "help_text"),
    [
        ("table:tSumary", "no table 'tSumary'; did you mean 'tSummary'", "'tSummary'"),
        ("range:Detail", "no named range 'Detail'; did you mean", "'DetailTop'"),
        ("range:Sales", "is no area of cells", "save it again"),
        ("cell:A1", "is no place in a template", "table:NAME"),
        (None, "no sheet 'Nowhere'", "'Summary', 'Detail & more', 'Pivot'"),
    ],
)
def test_a_place_that_is_not_there_is_named(
    fill: str | None, message: str, help_text: str
) -> None:
    with pytest.raises(Permanent, match=message) as caught:
        write(table({"a": [1]}, "Nowhere", fill=fill), template=hostile())
    assert help_text in caught.value.help


def test_columns_that_do_not_fit_are_named() -> None:
    with pytest.raises(Permanent, match="region, sales, double; the query gives x, y"):
        fill_summary({"x": [1], "y": [2]})


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    + SUMMARY.split("\n", 1)[1].replace("<v>42</v>", "<v>&b;</v>")
)
DEEP = DETAIL.replace("<sheetData>", "<a>" * 200 + "</a>" * 200 + "<sheetData>")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (b"", "it is not an .xlsx file"),
        (b"not a zip", "it is not an .xlsx file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "encrypted, or an old .xls file"),
        (hostile()[:-30], "it is not an .xlsx file"),
        (packed({"a.txt": "a"}), "it is a zip file, but not a workbook"),
        (hostile(sheet1=BOMB), "has a document type"),
        (hostile(sheet1=DEEP), "cannot be used"),
        (hostile(sheet1="<worksheet>"), "not well-formed"),
        (hostile(sheet1=SUMMARY.encode("utf-16")), "UTF-16"),
        (hostile(sheet1=SUMMARY.replace("UTF-8", "iso-8859-1")), "iso-8859-1"),
        (hostile(table1=TABLE.replace("A3:C6", "here")), "is not an area"),
    ],
)
def test_a_template_that_cannot_be_used_says_why(template: bytes, message: str) -> None:
    with pytest.raises(Permanent, match=message):
        fill_summary(template=template)


@given(st.data())
def test_a_broken_template_only_ever_gives_a_clear_error(data: st.DataObject) -> None:
    contents = parts(hostile())
    name = data.draw(st.sampled_from(sorted(n for n in contents if "media" not in n)))
    part = bytearray(contents[name])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(part) - 1))
        part[at : at + data.draw(st.integers(0, 5))] = data.draw(
            st.sampled_from([b"", b"x", b'"', b"<", b"0", b"-1", b"\xff", b" "])
        )
    with contextlib.suppress(Permanent):
        fill_summary(template=packed({**contents, name: bytes(part)}))


def test_a_workbook_with_macros_is_refused() -> None:
    types = parts(hostile())["[Content_Types].xml"].decode()
    macro = types.replace(
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml",
        "application/vnd.ms-excel.sheet.macroEnabled.main+xml",
    )
    contents: dict[str, str | bytes] = {
        **parts(hostile()),
        "[Content_Types].xml": macro,
    }
    with pytest.raises(Permanent, match=r"holds macros \(\.xlsm\)"):
        fill_summary(template=packed(contents))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(package, "MAX_BYTES", 10 << 20)
    bomb = packed({**parts(hostile()), "xl/media/big.bin": b"\0" * (11 << 20)})
    assert len(bomb) < 100_000
    with pytest.raises(Permanent, match="unpacked it has more than 10 MB"):
        fill_summary(template=bomb)


def test_a_damaged_part_is_named() -> None:
    content = bytearray(hostile())
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        info = file.getinfo("xl/worksheets/sheet1.xml")
    at = info.header_offset + 30 + len(info.filename) + 40
    content[at : at + 20] = b"\xff" * 20
    with pytest.raises(Permanent, match=r"sheet1\.xml is damaged"):
        fill_summary(template=bytes(content))


def test_the_same_rows_give_the_same_bytes() -> None:
    assert fill_summary()[1] == fill_summary()[1]


def test_texts_that_are_cut_are_noted() -> None:
    rows = {"region": ["x" * 40_000], "sales": [1]}
    _, answer = written(table(rows, "S", fill="table:tSummary"), template=hostile())
    assert [action for action, _ in answer.notes] == ["text_cut"]


def test_more_rows_than_a_sheet_holds_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("boe_reconciler.formats.xlsx.patch.MAX_ROWS", 5)
    with pytest.raises(Permanent, match="more than 5 rows"):
        fill_summary()


def test_the_demos_template_is_as_its_script_draws_it(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    drawn = tmp_path / "drawn.xlsx"
    script = root / "tools/make_template.py"
    subprocess.run([sys.executable, str(script), str(drawn)], check=True)
    kept = (root / "templates/cancellations.xlsx").read_bytes()
    assert parts(drawn.read_bytes()) == parts(kept)


def test_the_demos_template_keeps_its_chart() -> None:
    template = Path(__file__).parents[2] / "templates/cancellations.xlsx"
    before = template.read_bytes()
    columns = ["flights", "cancelled", "share"]
    months = {"month": ["January"] * 12, **{name: [0.5] * 12 for name in columns}}
    carriers = {"airline": ["A", "B"], **{name: [0.25] * 2 for name in columns}}
    after = write(
        table(months, "By month", fill="table:tMonths"),
        table(carriers, "By carrier", fill="table:tCarriers"),
        template=before,
    )
    assert changed_parts(before, after) == {
        "xl/worksheets/sheet1.xml",
        "xl/worksheets/sheet2.xml",
        "xl/tables/table2.xml",
    }
    assert b"numRef" in parts(after)["xl/charts/chart1.xml"]
    assert opened(after, 1)["D7"].number_format == "0.0%"


@pytest.mark.slow
def test_libreoffice_opens_a_filled_template(tmp_path: Path) -> None:
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("LibreOffice is not installed")
    (tmp_path / "a.xlsx").write_bytes(fill_summary()[1])
    command = [office, "--headless", "--convert-to", "csv", "a.xlsx"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=100)
    assert "South & East" in (tmp_path / "a.csv").read_text()
