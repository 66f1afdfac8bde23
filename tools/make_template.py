"""Draw the demo's company template: templates/cancellations.xlsx.

A letterhead, two tables that the report fills, a chart over the first one, and a page
set up for printing. Running it again gives the same bytes.

    .venv/bin/python tools/make_template.py [FILE]
"""

from __future__ import annotations

import io
import sys
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.chart import BarChart, Reference
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.table import Table, TableStyleInfo
from openpyxl.worksheet.worksheet import Worksheet

COMPANY, HOUSE, PALE = "Hudson Air Statistics", "1F3864", "D9E2F3"
#: Where the tables begin: the letterhead stands above.
HEADER_ROW = 5
MONTHS, CARRIERS = 12, 16
MADE = datetime.fromisoformat("2026-01-01")
STAMP = (2026, 1, 1, 0, 0, 0)


def main(path: Path) -> None:
    book = Workbook()
    book.properties.title = "Cancellations"
    book.properties.creator = COMPANY
    book.properties.created = book.properties.modified = MADE
    book.remove(book.worksheets[0])
    months = book.create_sheet("By month")
    page(months, "Cancelled departures by month", ("month", "tMonths", MONTHS))
    months.add_chart(shares(months), f"F{HEADER_ROW}")
    carriers = book.create_sheet("By carrier")
    page(
        carriers, "Cancelled departures by airline", ("airline", "tCarriers", CARRIERS)
    )
    content = io.BytesIO()
    book.save(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(steady(content.getvalue()))


def page(sheet: Worksheet, title: str, table: tuple[str, str, int]) -> None:
    """The letterhead, a table with `rows` empty rows, and how it is printed."""
    first, name, rows = table
    letterhead(sheet, title)
    for column, header in enumerate((first, "flights", "cancelled", "share"), 1):
        sheet.cell(HEADER_ROW, column, header).alignment = Alignment(
            horizontal="left" if column == 1 else "right"
        )
    for row in range(HEADER_ROW + 1, HEADER_ROW + rows + 1):
        dress(sheet, row)
    drawn = Table(displayName=name, ref=f"A{HEADER_ROW}:D{HEADER_ROW + rows}")
    drawn.tableStyleInfo = TableStyleInfo(name="TableStyleMedium2", showRowStripes=True)
    sheet.add_table(drawn)
    sheet.freeze_panes = f"A{HEADER_ROW + 1}"
    sheet.print_title_rows = f"{HEADER_ROW}:{HEADER_ROW}"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    footer: Any = sheet.oddFooter
    footer.left.text, footer.right.text = COMPANY, "Page &P of &N"


def letterhead(sheet: Worksheet, title: str) -> None:
    sheet["A1"], sheet["A2"] = COMPANY, title
    sheet["A3"] = "New York's three airports. Share: of all scheduled departures."
    sheet["A1"].font = Font(name="Calibri", size=11, bold=True, color="FFFFFF")
    sheet["A2"].font = Font(name="Calibri", size=18, bold=True, color=HOUSE)
    sheet["A3"].font = Font(name="Calibri", size=9, italic=True, color="7F7F7F")
    for column in "ABCDEFGHIJKLM":
        sheet[f"{column}1"].fill = PatternFill("solid", fgColor=HOUSE)
    sheet.row_dimensions[1].height = 20
    sheet.row_dimensions[2].height = 28
    for column, width in {"A": 28, "B": 12, "C": 12, "D": 12, "E": 3}.items():
        sheet.column_dimensions[column].width = width
    sheet.sheet_view.showGridLines = False


def dress(sheet: Worksheet, row: int) -> None:
    """Number formats: the first row's hold for all rows of the report."""
    line = Border(bottom=Side(style="hair", color=PALE))
    for column, code in enumerate(("General", "#,##0", "#,##0", "0.0%"), 1):
        cell = sheet.cell(row, column)
        cell.number_format, cell.border = code, line


def shares(sheet: Worksheet) -> BarChart:
    first, last = HEADER_ROW + 1, HEADER_ROW + MONTHS
    chart = BarChart()
    chart.title = "Share of departures that were cancelled"
    chart.style, chart.legend = 10, None
    chart.height, chart.width = 9, 18
    values = Reference(sheet, min_col=4, min_row=HEADER_ROW, max_row=last)
    chart.add_data(values, titles_from_data=True)
    chart.set_categories(Reference(sheet, min_col=1, min_row=first, max_row=last))
    chart.y_axis.number_format = "0%"
    chart.x_axis.delete = chart.y_axis.delete = False
    return chart


def steady(content: bytes) -> bytes:
    """The same parts with fixed times."""
    written = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            if name == "docProps/core.xml":
                data = core(data)
            new.writestr(zipfile.ZipInfo(name, STAMP), data, zipfile.ZIP_DEFLATED)
    return written.getvalue()


def core(data: bytes) -> bytes:
    """openpyxl puts the moment of saving into `modified`."""
    start = data.index(b"<dcterms:modified")
    start = data.index(b">", start) + 1
    end = data.index(b"</dcterms:modified>")
    return data[:start] + MADE.strftime("%Y-%m-%dT%H:%M:%SZ").encode() + data[end:]


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "templates/cancellations.xlsx"))
