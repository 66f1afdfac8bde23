"""The parts of a workbook that are not rows: styles, properties, relations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from boe_reconciler.core.errors import Permanent
from boe_reconciler.formats.xlsx.escapes import escape, quoteattr

DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
CONTENT = "application/vnd.openxmlformats-officedocument.spreadsheetml"
#: Number formats below are Excel's own.
FIRST_FORMAT = 164
MAX_FORMAT = 255
#: The style of the header; 0 is the plain one.
HEADER = 1
FIRST_NUMBER = 2
#: Text in quotes, one character behind \ _ or *, [conditions], General, parts of
#: dates, AM/PM, exponents, and whatever is no letter.
_FORMAT = re.compile(
    r'(?:"[^"]*"|\\.|_.|\*.|\[[^\[\]]*\]|General|AM/PM|A/P|E[+-]|[ymdhs]'
    r'|%(?![A-Za-z])|[^A-Za-z%"\\_*\[\]\x00-\x1f])+',
    re.IGNORECASE,
)
_UNREADABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


class Styles:
    """The style table: each number format once."""

    def __init__(self) -> None:
        self._formats: list[str] = []

    def number(self, code: str | None, column: str) -> int:
        """The style's number. Permanent `bad_format` where Excel would not know it."""
        if code is None:
            return 0
        check_format(code, column)
        if code not in self._formats:
            self._formats.append(code)
        return FIRST_NUMBER + self._formats.index(code)

    def xml(self) -> str:
        formats = "".join(
            f'<numFmt numFmtId="{FIRST_FORMAT + n}" formatCode={quoteattr(code)}/>'
            for n, code in enumerate(self._formats)
        )
        count = len(self._formats)
        kept = f'<numFmts count="{count}">{formats}</numFmts>' if count else ""
        numbers = "".join(
            f'<xf numFmtId="{FIRST_FORMAT + n}" fontId="0" fillId="0" borderId="0"'
            ' xfId="0" applyNumberFormat="1"/>'
            for n in range(count)
        )
        return (
            f'{DECLARATION}<styleSheet xmlns="{MAIN}">{kept}{_FONTS}'
            f'<cellXfs count="{FIRST_NUMBER + count}">{_PLAIN}{_BOLD}{numbers}'
            f"</cellXfs>{_NAMED}</styleSheet>"
        )


_FONT = '<sz val="11"/><name val="Calibri"/><family val="2"/>'
_PLAIN = '<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
_BOLD = '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>'
_FONTS = (
    f'<fonts count="2"><font>{_FONT}</font><font><b/>{_FONT}</font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border>'
    '</borders><cellStyleXfs count="1">'
    '<xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
)
_NAMED = (
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/>'
    "</cellStyles>"
)


def check_format(code: str, column: str) -> None:
    if len(code) > MAX_FORMAT or code.count(";") > 3 or not _FORMAT.fullmatch(code):
        raise Permanent(
            "bad_format",
            f"column {column!r}: {code!r} is not a number format that Excel knows",
            'write it as in "#,##0.00", "0.0%" or "dd.mm.yyyy"; text in it is quoted',
        )


def content_types(sheets: int) -> str:
    overrides = [
        ("/xl/workbook.xml", f"{CONTENT}.sheet.main+xml"),
        ("/xl/styles.xml", f"{CONTENT}.styles+xml"),
        (
            "/docProps/core.xml",
            "application/vnd.openxmlformats-package.core-properties+xml",
        ),
        *(
            (f"/xl/worksheets/sheet{n}.xml", f"{CONTENT}.worksheet+xml")
            for n in range(1, sheets + 1)
        ),
    ]
    rels = "application/vnd.openxmlformats-package.relationships+xml"
    return (
        f'{DECLARATION}<Types xmlns="{PACKAGE}/content-types">'
        f'<Default Extension="rels" ContentType="{rels}"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        + "".join(
            f'<Override PartName="{part}" ContentType="{kind}"/>'
            for part, kind in overrides
        )
        + "</Types>"
    )


def relations(targets: Sequence[tuple[str, str]]) -> str:
    """(type, target) each, with the ids rId1, rId2, …"""
    return (
        f'{DECLARATION}<Relationships xmlns="{PACKAGE}/relationships">'
        + "".join(
            f'<Relationship Id="rId{n}" Type="{kind}" Target="{target}"/>'
            for n, (kind, target) in enumerate(targets, 1)
        )
        + "</Relationships>"
    )


def root_relations() -> str:
    core = f"{PACKAGE}/relationships/metadata/core-properties"
    return relations(
        [(f"{OFFICE}/officeDocument", "xl/workbook.xml"), (core, "docProps/core.xml")]
    )


def workbook_relations(sheets: int) -> str:
    numbered = [
        (f"{OFFICE}/worksheet", f"worksheets/sheet{n}.xml")
        for n in range(1, sheets + 1)
    ]
    return relations([*numbered, (f"{OFFICE}/styles", "styles.xml")])


def properties(title: str, created: datetime) -> str:
    when = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    stamp = f'xsi:type="dcterms:W3CDTF">{when}'
    return (
        f'{DECLARATION}<cp:coreProperties xmlns:cp="{PACKAGE}/metadata/core-properties"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:dcterms="http://purl.org/dc/terms/"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<dc:title>{escape(_UNREADABLE.sub(' ', title))}</dc:title>"
        f"<dcterms:created {stamp}</dcterms:created>"
        f"<dcterms:modified {stamp}</dcterms:modified></cp:coreProperties>"
    )


def workbook(sheets: Sequence[tuple[str, str | None]]) -> str:
    """(name, area of the filter) each."""
    entries = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="rId{n}"/>'
        for n, (name, _) in enumerate(sheets, 1)
    )
    names = "".join(
        f'<definedName name="_xlnm._FilterDatabase" localSheetId="{n}" hidden="1">'
        f"{escape(_absolute(name, area))}</definedName>"
        for n, (name, area) in enumerate(sheets)
        if area
    )
    return (
        f'{DECLARATION}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">'
        f"<bookViews><workbookView/></bookViews><sheets>{entries}</sheets>"
        + (f"<definedNames>{names}</definedNames>" if names else "")
        + "</workbook>"
    )


def _absolute(sheet: str, area: str) -> str:
    """Sheet, A1:B2 -> 'Sheet'!$A$1:$B$2"""
    cells = re.sub(r"([A-Z]+)(\d+)", r"$\1$\2", area)
    return "'" + sheet.replace("'", "''") + "'!" + cells


def columns(widths: Sequence[float], hidden: Sequence[bool]) -> str:
    if not widths:
        return ""
    return (
        "<cols>"
        + "".join(
            f'<col min="{n}" max="{n}" width="{width:g}" customWidth="1"'
            + (' hidden="1"/>' if concealed else "/>")
            for n, (width, concealed) in enumerate(zip(widths, hidden, strict=True), 1)
        )
        + "</cols>"
    )


def view(*, first: bool, frozen: bool) -> str:
    """`first`: the sheet that is shown on opening; `frozen`: its header stays."""
    selected = ' tabSelected="1"' if first else ""
    pane = (
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
        '<selection pane="bottomLeft"/>'
    )
    return (
        f'<sheetViews><sheetView{selected} workbookViewId="0">'
        f"{pane if frozen else ''}</sheetView></sheetViews>"
    )
