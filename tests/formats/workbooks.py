"""What the workbook tests share: writing one, reading it back, a hostile template."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pyarrow as pa
from openpyxl.worksheet.worksheet import Worksheet
from python_calamine import CalamineWorkbook

from boe_reconciler.core.ports import FormatOptions, Table, Written
from boe_reconciler.core.resources.report import Column
from boe_reconciler.formats.xlsx import create

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
SHEET_ML = "application/vnd.openxmlformats-officedocument.spreadsheetml"
MICROSOFT = "http://schemas.microsoft.com/office"


def options(**changed: Any) -> FormatOptions:
    given: dict[str, Any] = {
        "title": "Flights & delays",
        "timezone": ZoneInfo("Europe/Berlin"),
        "occurrence": datetime(2026, 11, 24, 5, 30, tzinfo=UTC),
    }
    return FormatOptions(**{**given, **changed})


def table(
    columns: Mapping[str, Any] | pa.Table,
    name: str = "Rows",
    looks: Mapping[str, Column] | None = None,
    fill: str | None = None,
) -> Table:
    rows = columns if isinstance(columns, pa.Table) else pa.table(dict(columns))
    batches = iter(rows.to_batches())
    return Table(
        name=name, schema=rows.schema, batches=batches, columns=looks or {}, fill=fill
    )


class OnlyWrites(io.RawIOBase):
    """A target that cannot be seeked, like a pipe."""

    def __init__(self) -> None:
        self.content = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.content += bytes(data)
        return len(data)


def write(*tables: Table, **changed: Any) -> bytes:
    return written(*tables, **changed)[0]


def written(*tables: Table, **changed: Any) -> tuple[bytes, Written]:
    target = OnlyWrites()
    answer = create().write(tables, target, options(**changed))  # type: ignore[arg-type]  # a BinaryIO for what it is asked
    return target.content, answer


def openpyxl_rows(content: bytes, sheet: int = 0) -> list[tuple[Any, ...]]:
    return list(opened(content, sheet).iter_rows(values_only=True))


def opened(content: bytes, sheet: int = 0) -> Worksheet:
    return openpyxl.load_workbook(io.BytesIO(content)).worksheets[sheet]


def calamine_rows(content: bytes, sheet: int = 0) -> list[list[Any]]:
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    return book.get_sheet_by_index(sheet).to_python()


def parts(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


def packed(contents: Mapping[str, str | bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return target.getvalue()


def relations(*targets: tuple[str, str]) -> str:
    entries = "".join(
        f'<Relationship Id="rId{n}" Target="{target}" Type="'
        + (kind if kind.startswith("http") else f"{OFFICE}/{kind}")
        + '"/>'
        for n, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{PACKAGE}/relationships">{entries}</Relationships>'


SUMMARY = f"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<worksheet xmlns="{MAIN}" xmlns:r="{OFFICE}" \
xmlns:x14ac="{MICROSOFT}/spreadsheetml/2009/9/ac"><dimension ref="A1:F7"/>\
<sheetViews><sheetView workbookViewId="0"/></sheetViews><sheetData>\
<row r="1" spans="1:6" x14ac:dyDescent="0.25"><c r="A1" t="s"><v>0</v></c>\
<c r="F1"><v>42</v></c></row>\
<row r="3" spans="1:6"><c r="A3" t="s"><v>1</v></c><c r="B3" t="s"><v>2</v></c>\
<c r="C3" t="s"><v>3</v></c><c r="F3" t="s"><v>4</v></c></row>\
<row r="4" spans="1:6"><c r="A4" s="1"/><c r="B4" s="2"/>\
<c r="C4" s="2"><f>tSummary[[#This Row],[sales]]*2</f><v>0</v></c>\
<c r="F4" t="s"><v>4</v></c></row>\
<row r="5" spans="1:6"><c r="B5" s="2"><v>1</v></c></row>\
<row r="6"><c r="A6" t="s"><v>5</v></c>\
<c r="B6" s="2"><f>SUBTOTAL(109,tSummary[sales])</f><v>1</v></c></row>\
<row r="7"><c r="F7"><f>SUM(tSummary[sales])</f><v>1</v></c></row></sheetData>\
<pageMargins left="0.7" right="0.7" top="0.75" bottom="0.75" header="0.3" \
footer="0.3"/><headerFooter><oddHeader>&amp;L&amp;G</oddHeader></headerFooter>\
<drawing r:id="rId1"/><legacyDrawingHF r:id="rId2"/>\
<tableParts count="1"><tablePart r:id="rId3"/></tableParts><extLst>\
<ext uri="{{05C60535-1F16-4fd2-B633-F4F36F0B64E0}}" \
xmlns:x14="{MICROSOFT}/spreadsheetml/2009/9/main"><x14:sparklineGroups \
xmlns:xm="{MICROSOFT}/excel/2006/main"><x14:sparklineGroup><x14:sparklines>\
<x14:sparkline><xm:f>Summary!B4:B6</xm:f><xm:sqref>E4</xm:sqref></x14:sparkline>\
</x14:sparklines></x14:sparklineGroup></x14:sparklineGroups></ext>\
<ext uri="{{A8765BA9-456A-4dab-B4F3-ACF838C121DE}}" \
xmlns:x14="{MICROSOFT}/spreadsheetml/2009/9/main"><x14:slicerList>\
<x14:slicer r:id="rId4"/></x14:slicerList></ext></extLst></worksheet>"""

TABLE = f"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<table xmlns="{MAIN}" id="1" name="tSummary" displayName="tSummary" ref="A3:C6" \
totalsRowCount="1"><autoFilter ref="A3:C5"/><tableColumns count="3">\
<tableColumn id="1" name="region" totalsRowLabel="Total"/>\
<tableColumn id="2" name="sales" totalsRowFunction="sum"/>\
<tableColumn id="3" name="double"><calculatedColumnFormula>\
tSummary[[#This Row],[sales]]*2</calculatedColumnFormula></tableColumn>\
</tableColumns><tableStyleInfo name="TableStyleLight9" showRowStripes="1"/></table>"""

DETAIL = f"""<worksheet xmlns="{MAIN}"><sheetData><row r="1">\
<c r="A1" t="s"><v>0</v></c></row><row r="2"><c r="B2" s="3"/><c r="C2" s="3"/></row>\
<row r="3"><c r="C3" s="4"/></row></sheetData></worksheet>"""

PIVOT = f"""<worksheet xmlns="{MAIN}"><sheetData><row r="1"><c r="A1"><v>1</v></c>\
</row></sheetData></worksheet>"""

WORKBOOK = f"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>\
<sheet name="Summary" sheetId="1" r:id="rId1"/>\
<sheet name="Detail &amp; more" sheetId="2" r:id="rId2"/>\
<sheet name="Pivot" sheetId="3" r:id="rId3"/></sheets><definedNames>\
<definedName name="DetailTop">'Detail &amp; more'!$B$2</definedName>\
<definedName name="Sales">tSummary[sales]</definedName></definedNames>\
<calcPr calcId="191029"/><pivotCaches><pivotCache cacheId="1" r:id="rId7"/>\
</pivotCaches></workbook>"""

STYLES = f"""<styleSheet xmlns="{MAIN}"><numFmts count="1">\
<numFmt numFmtId="164" formatCode="#,##0.0"/></numFmts>\
<fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>\
<fills count="2"><fill><patternFill patternType="none"/></fill>\
<fill><patternFill patternType="gray125"/></fill></fills>\
<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>\
<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/>\
</cellStyleXfs><cellXfs count="5">\
<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>\
<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0"/>\
<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0"/>\
<xf numFmtId="0" fontId="0" fillId="1" borderId="0" xfId="0"/>\
<xf numFmtId="14" fontId="0" fillId="0" borderId="0" xfId="0"/></cellXfs><cellStyles count="1">\
<cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"""

DRAWING = f"""<xdr:wsDr xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" \
xmlns:xdr="http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing">\
<xdr:twoCellAnchor><xdr:from><xdr:col>7</xdr:col><xdr:colOff>0</xdr:colOff>\
<xdr:row>1</xdr:row><xdr:rowOff>0</xdr:rowOff></xdr:from><xdr:to><xdr:col>9</xdr:col>\
<xdr:colOff>0</xdr:colOff><xdr:row>4</xdr:row><xdr:rowOff>0</xdr:rowOff></xdr:to>\
<xdr:sp macro="" textlink=""><xdr:nvSpPr><xdr:cNvPr id="2" name="TextBox 1"/>\
<xdr:cNvSpPr txBox="1"/></xdr:nvSpPr><xdr:spPr><a:prstGeom prst="rect"><a:avLst/>\
</a:prstGeom></xdr:spPr><xdr:txBody><a:bodyPr/><a:p><a:r><a:t>A text box</a:t></a:r>\
</a:p></xdr:txBody></xdr:sp><xdr:clientData/></xdr:twoCellAnchor>\
<xdr:twoCellAnchor><xdr:from><xdr:col>7</xdr:col><xdr:colOff>0</xdr:colOff>\
<xdr:row>6</xdr:row><xdr:rowOff>0</xdr:rowOff></xdr:from><xdr:to><xdr:col>12</xdr:col>\
<xdr:colOff>0</xdr:colOff><xdr:row>20</xdr:row><xdr:rowOff>0</xdr:rowOff></xdr:to>\
<xdr:graphicFrame macro=""><xdr:nvGraphicFramePr><xdr:cNvPr id="3" name="Chart 2"/>\
<xdr:cNvGraphicFramePr/></xdr:nvGraphicFramePr><xdr:xfrm><a:off x="0" y="0"/>\
<a:ext cx="0" cy="0"/></xdr:xfrm><a:graphic><a:graphicData \
uri="http://schemas.openxmlformats.org/drawingml/2006/chart"><c:chart \
xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart" xmlns:r="{OFFICE}" \
r:id="rId1"/></a:graphicData></a:graphic></xdr:graphicFrame><xdr:clientData/>\
</xdr:twoCellAnchor></xdr:wsDr>"""

CHART = """<c:chartSpace \
xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"><c:chart>\
<c:autoTitleDeleted val="1"/><c:plotArea><c:layout/><c:barChart><c:barDir val="col"/>\
<c:grouping val="clustered"/><c:ser><c:idx val="0"/><c:order val="0"/><c:val>\
<c:numRef><c:f>Summary!Sales</c:f></c:numRef></c:val></c:ser><c:axId val="1"/>\
<c:axId val="2"/></c:barChart><c:catAx><c:axId val="1"/><c:scaling/>\
<c:delete val="0"/><c:axPos val="b"/><c:crossAx val="2"/></c:catAx><c:valAx>\
<c:axId val="2"/><c:scaling/><c:delete val="0"/><c:axPos val="l"/>\
<c:crossAx val="1"/></c:valAx></c:plotArea></c:chart></c:chartSpace>"""

VML = """<xml xmlns:v="urn:schemas-microsoft-com:vml" \
xmlns:o="urn:schemas-microsoft-com:office:office"><v:shape id="LH" \
style="width:20pt;height:20pt"><v:imagedata o:relid="rId1" o:title="logo"/></v:shape>\
</xml>"""

CACHE = f"""<pivotCacheDefinition xmlns="{MAIN}" xmlns:r="{OFFICE}" r:id="rId1" \
recordCount="1"><cacheSource type="worksheet"><worksheetSource name="tSummary"/>\
</cacheSource><cacheFields count="1"><cacheField name="region" numFmtId="0">\
<sharedItems count="1"><s v="North"/></sharedItems></cacheField></cacheFields>\
</pivotCacheDefinition>"""

PIVOT_TABLE = f"""<pivotTableDefinition xmlns="{MAIN}" name="PivotTable1" cacheId="1" \
dataCaption="Values"><location ref="A3:A5" firstHeaderRow="1" firstDataRow="1" \
firstDataCol="1"/><pivotFields count="1"><pivotField axis="axisRow" showAll="0">\
<items count="1"><item x="0"/></items></pivotField></pivotFields></pivotTableDefinition>"""

SLICER = f"""<slicers xmlns="{MICROSOFT}/spreadsheetml/2009/9/main">\
<slicer name="region" cache="Slicer_region" rowHeight="241300"/></slicers>"""

SLICER_CACHE = f"""<slicerCacheDefinition \
xmlns="{MICROSOFT}/spreadsheetml/2009/9/main" name="Slicer_region" \
sourceName="region"/>"""

STRINGS = ["Board report", "region", "sales", "double", "stays", "Total"]
SHARED = (
    f'<sst xmlns="{MAIN}" count="8" uniqueCount="6">'
    + "".join(f"<si><t>{text}</t></si>" for text in STRINGS)
    + "</sst>"
)

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)

CALC_CHAIN = (
    f'<calcChain xmlns="{MAIN}"><c r="C4" i="1"/><c r="B6"/><c r="F7"/></calcChain>'
)

_KINDS = {
    "xl/workbook.xml": f"{SHEET_ML}.sheet.main+xml",
    "xl/worksheets/sheet1.xml": f"{SHEET_ML}.worksheet+xml",
    "xl/worksheets/sheet2.xml": f"{SHEET_ML}.worksheet+xml",
    "xl/worksheets/sheet3.xml": f"{SHEET_ML}.worksheet+xml",
    "xl/styles.xml": f"{SHEET_ML}.styles+xml",
    "xl/sharedStrings.xml": f"{SHEET_ML}.sharedStrings+xml",
    "xl/calcChain.xml": f"{SHEET_ML}.calcChain+xml",
    "xl/tables/table1.xml": f"{SHEET_ML}.table+xml",
    "xl/pivotTables/pivotTable1.xml": f"{SHEET_ML}.pivotTable+xml",
    "xl/pivotCache/definition1.xml": f"{SHEET_ML}.pivotCacheDefinition+xml",
    "xl/pivotCache/records1.xml": f"{SHEET_ML}.pivotCacheRecords+xml",
    "xl/drawings/drawing1.xml": "application/vnd.openxmlformats-officedocument.drawing+xml",
    "xl/charts/chart1.xml": "application/vnd.openxmlformats-officedocument.drawingml.chart+xml",
    "xl/slicers/slicer1.xml": "application/vnd.ms-excel.slicer+xml",
    "xl/slicerCaches/slicerCache1.xml": "application/vnd.ms-excel.slicerCache+xml",
}

_TYPES = (
    f'<Types xmlns="{PACKAGE}/content-types">'
    '<Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Default Extension="png" ContentType="image/png"/>'
    '<Default Extension="vml" '
    'ContentType="application/vnd.openxmlformats-officedocument.vmlDrawing"/>'
    + "".join(
        f'<Override PartName="/{part}" ContentType="{kind}"/>'
        for part, kind in _KINDS.items()
    )
    + "</Types>"
)
_SLICER_REL = f"{MICROSOFT}/2007/relationships/slicer"

#: A workbook as Excel writes it, with all that other libraries lose.
HOSTILE: dict[str, str | bytes] = {
    "[Content_Types].xml": _TYPES,
    "_rels/.rels": relations(("officeDocument", "xl/workbook.xml")),
    "xl/workbook.xml": WORKBOOK,
    "xl/_rels/workbook.xml.rels": relations(
        ("worksheet", "worksheets/sheet1.xml"),
        ("worksheet", "worksheets/sheet2.xml"),
        ("worksheet", "/xl/worksheets/sheet3.xml"),
        ("styles", "styles.xml"),
        ("sharedStrings", "sharedStrings.xml"),
        ("calcChain", "calcChain.xml"),
        ("pivotCacheDefinition", "pivotCache/definition1.xml"),
        (f"{_SLICER_REL}Cache", "slicerCaches/slicerCache1.xml"),
    ),
    "xl/worksheets/sheet1.xml": SUMMARY,
    "xl/worksheets/_rels/sheet1.xml.rels": relations(
        ("drawing", "../drawings/drawing1.xml"),
        ("vmlDrawing", "../drawings/vmlDrawing1.vml"),
        ("table", "../tables/table1.xml"),
        (_SLICER_REL, "../slicers/slicer1.xml"),
    ),
    "xl/worksheets/sheet2.xml": DETAIL,
    "xl/worksheets/sheet3.xml": PIVOT,
    "xl/worksheets/_rels/sheet3.xml.rels": relations(
        ("pivotTable", "../pivotTables/pivotTable1.xml")
    ),
    "xl/tables/table1.xml": TABLE,
    "xl/styles.xml": STYLES,
    "xl/sharedStrings.xml": SHARED,
    "xl/calcChain.xml": CALC_CHAIN,
    "xl/drawings/drawing1.xml": DRAWING,
    "xl/drawings/_rels/drawing1.xml.rels": relations(("chart", "../charts/chart1.xml")),
    "xl/charts/chart1.xml": CHART,
    "xl/drawings/vmlDrawing1.vml": VML,
    "xl/drawings/_rels/vmlDrawing1.vml.rels": relations(("image", "../media/logo.png")),
    "xl/media/logo.png": PNG,
    "xl/pivotTables/pivotTable1.xml": PIVOT_TABLE,
    "xl/pivotTables/_rels/pivotTable1.xml.rels": relations(
        ("pivotCacheDefinition", "../pivotCache/definition1.xml")
    ),
    "xl/pivotCache/definition1.xml": CACHE,
    "xl/pivotCache/_rels/definition1.xml.rels": relations(
        ("pivotCacheRecords", "records1.xml")
    ),
    "xl/pivotCache/records1.xml": (
        f'<pivotCacheRecords xmlns="{MAIN}" count="1"><r><x v="0"/></r>'
        "</pivotCacheRecords>"
    ),
    "xl/slicers/slicer1.xml": SLICER,
    "xl/slicerCaches/slicerCache1.xml": SLICER_CACHE,
}


def hostile(**changed: str | bytes) -> bytes:
    """The hostile template; `changed` by the last word of a part's name, such as
    `sheet1=…`."""
    contents = dict(HOSTILE)
    for short, content in changed.items():
        name = next(n for n in contents if re.search(rf"/{short}\.\w+$", n))
        contents[name] = content
    return packed(contents)


def changed_parts(before: bytes, after: bytes) -> set[str]:
    old, new = parts(before), parts(after)
    return {name for name in old | new if old.get(name) != new.get(name)}


def sheet_names(content: bytes) -> Sequence[str]:
    return openpyxl.load_workbook(io.BytesIO(content)).sheetnames
