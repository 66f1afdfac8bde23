"""One page that needs nothing else: no scripts, no pictures, light, dark and print.

Several tables are several sections. Rows are streamed; numbers and dates follow the
columns' formats.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from boe_reconciler.core.ports import Format, FormatOptions, Table, Written
from boe_reconciler.formats import _display as display
from boe_reconciler.formats import _values as values

#: Characters that may not stand in a page, and what shows that one was there.
CONTROLS, REPLACEMENT = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "\ufffd"

HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src \
'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root{{color-scheme:light dark;--paper:#fff;--ink:#1b2430;--quiet:#5b6775;\
--line:#e3e7ec;--head:#f3f5f8;--stripe:#fafbfc;--accent:#1f4e79}}
@media (prefers-color-scheme:dark){{:root{{--paper:#14181d;--ink:#e6eaef;\
--quiet:#9aa6b4;--line:#2b333d;--head:#1e252d;--stripe:#181d23;--accent:#8ab8e6}}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--paper);color:var(--ink);\
font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}}
main{{width:max-content;min-width:100%;padding:32px 40px 48px}}
header,footer,.count{{position:sticky;left:40px;width:max-content;max-width:calc(100vw - 80px)}}
header{{margin:0 0 24px;padding-left:14px;border-left:4px solid var(--accent)}}
h1{{margin:0;font-size:24px;line-height:1.25;font-weight:650;letter-spacing:-.01em}}
header p{{margin:4px 0 0;color:var(--quiet)}}
section+section{{margin-top:40px}}
table{{border-collapse:separate;border-spacing:0;font-variant-numeric:tabular-nums}}
caption{{text-align:left;font-size:16px;font-weight:600;padding:0 0 10px}}
caption.alone{{position:absolute;width:1px;height:1px;padding:0;overflow:hidden;\
clip-path:inset(50%)}}
th,td{{padding:7px 14px;text-align:left;vertical-align:top;max-width:48ch;\
overflow-wrap:break-word;white-space:pre-line;unicode-bidi:isolate;\
border-bottom:1px solid var(--line)}}
thead th{{position:sticky;top:0;background:var(--head);font-weight:600;\
vertical-align:bottom;border-top:1px solid var(--line);\
border-bottom:2px solid var(--accent)}}
tbody tr:nth-child(even){{background:var(--stripe)}}
tbody tr:hover{{background:var(--head)}}
td.none{{color:var(--quiet);font-style:italic}}
.count{{margin:10px 0 0;color:var(--quiet);font-size:13px}}
footer{{margin-top:32px;color:var(--quiet);font-size:12px}}
{columns}@media (max-width:640px){{main{{padding:20px 16px 32px}}\
header,footer,.count{{left:16px;max-width:calc(100vw - 32px)}}}}
@media print{{@page{{size:{paper};margin:14mm}}:root{{--paper:#fff;--ink:#000;\
--quiet:#444;--line:#ccc;--head:#eee;--stripe:#fff;--accent:#1f4e79}}\
body{{font-size:9pt}}main{{width:auto;padding:0}}th,td{{padding:3pt 6pt}}\
thead th{{position:static;print-color-adjust:exact}}tr{{break-inside:avoid}}}}
</style>
</head>
<body>
<main>
<header>
<h1>{title}</h1>
{subtitle}</header>
"""


class Html:
    extension = "html"
    media_type = "text/html; charset=utf-8"
    several_tables = True

    def write(
        self, tables: Sequence[Table], target: BinaryIO, options: FormatOptions
    ) -> Written:
        shown = [values.shown_columns(table) for table in tables]
        target.write(_head(shown, options).encode())
        rows = 0
        for number, (table, columns) in enumerate(zip(tables, shown, strict=True)):
            target.write(_opening(table, number, len(tables)).encode())
            if options.include_headers:
                target.write(_headers(columns).encode())
            target.write(b"<tbody>\n")
            count = _body(table, columns, target, options)
            target.write(_closing(count, len(columns)).encode())
            rows += count
        target.write(f"<footer>{_safe(display.occasion(options))}</footer>\n".encode())
        target.write(b"</main>\n</body>\n</html>\n")
        return Written(rows=rows)


def create() -> Format:
    return Html()


def _head(shown: Sequence[Sequence[values.Shown]], options: FormatOptions) -> str:
    subtitle = f"<p>{_safe(options.subtitle)}</p>\n" if options.subtitle else ""
    return HEAD.format(
        title=_safe(options.title),
        subtitle=subtitle,
        columns="".join(_styles(cols, number) for number, cols in enumerate(shown)),
        paper="landscape" if max(map(len, shown), default=0) > 6 else "portrait",
    )


def _styles(columns: Sequence[values.Shown], number: int) -> str:
    """One rule a column is much smaller than one class a cell."""
    rules = []
    for place, column in enumerate(columns, start=1):
        styles = ""
        if display.aligned_right(column.type):
            styles += "text-align:right;"
        if display.on_one_line(column.type):
            styles += "white-space:nowrap;"
        if column.look.width:
            styles += f"min-width:{column.look.width:g}ch;"
        if styles:
            cells = f"#t{number + 1} tr>:nth-child({place}):not(.none)"
            rules.append(f"{cells}{{{styles}}}\n")
    return "".join(rules)


def _opening(table: Table, number: int, tables: int) -> str:
    alone = ' class="alone"' if tables == 1 else ""
    return (
        f'<section>\n<table id="t{number + 1}">\n'
        f"<caption{alone}>{_safe(table.name)}</caption>\n"
    )


def _headers(columns: Sequence[values.Shown]) -> str:
    cells = "".join(f'<th scope="col">{_safe(c.title)}</th>' for c in columns)
    return f"<thead>\n<tr>{cells}</tr>\n</thead>\n"


def _body(
    table: Table,
    columns: Sequence[values.Shown],
    target: BinaryIO,
    options: FormatOptions,
) -> int:
    rows = 0
    for piece in values.slices(table.batches):
        parts: list[pa.Array | str] = []
        for column in columns:
            text = display.displayed(
                piece.column(column.index), column.look.format, options.timezone
            )
            parts += ["</td><td>" if parts else "<tr><td>", _escaped(text)]
        target.write(values.raw(values.join([*parts, "</td></tr>\n"])))
        rows += piece.num_rows
    return rows


def _closing(rows: int, columns: int) -> str:
    empty = f'<tr><td class="none" colspan="{columns}">No rows</td></tr>\n'
    count = f'<p class="count">{display.counted(rows)}</p>\n' if rows else ""
    return f"{'' if rows else empty}</tbody>\n</table>\n{count}</section>\n"


def _escaped(texts: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring_regex(texts, "[&<>\"'\x00-\x1f\x7f]")).as_py():
        texts = pc.replace_substring_regex(texts, CONTROLS, REPLACEMENT)
        for character in "&<>\"'":
            texts = pc.replace_substring(texts, character, html.escape(character))
    return texts


def _safe(text: str) -> str:
    return str(_escaped(pa.array([text], values.TEXT))[0])
