"""How a mail looks that nobody has written: plain, in light and in dark."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from boe_reconciler.core.preview import Preview
from boe_reconciler.core.templates import compiled
from boe_reconciler.core.wording import sentence

#: Characters of a cell of the preview in a plain text, and of a line.
_CELL, _LINE = 32, 100
#: Characters of a cell that is not broken, in HTML.
_WHOLE = 28
_TEXT = "max-width:640px"
_BLOCK = f"{_TEXT};margin:0 0 16px;padding:12px 16px;border-left:4px solid"

_NOTES = f"""\
{{% for note in notes %}}<p style="{_BLOCK} #d97706">{{{{ note }}}}</p>
{{% endfor %}}"""
_LINKS = f"""\
{{% for name, link in links %}}<p style="{_BLOCK} #2563eb;overflow-wrap:anywhere">\
<a href="{{{{ link }}}}">{{{{ name }}}}</a>\
{{% if lasts %}}<br>The link works for {{{{ lasts }}}}.{{% endif %}}</p>
{{% endfor %}}"""
# What stands in each cell counts: Gmail cuts a mail off after 102 kB.
_PREVIEW = """\
{% if preview %}<div style="overflow-x:auto;margin:0 0 16px">
<table cellpadding="6" style="border-collapse:collapse;font-size:13px;line-height:1.35">
<tr valign="bottom" style="border-bottom:2px solid #8a94a0">\
{% for title in preview.titles %}<th align="{{ sides[loop.index0] }}"\
{% if title | length <= whole %} nowrap{% endif %}>{{ title }}</th>{% endfor %}</tr>
{% for row in preview.rows %}<tr valign="top" style="border-bottom:1px solid #8a94a0">\
{% for cell in row %}<td{% if sides[loop.index0] == "right" %} align="right"{% endif %}\
{% if cell | length <= whole %} nowrap{% else %} style="min-width:240px"{% endif %}>\
{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></div>
{% if more %}<p style="margin:0 0 16px;font-size:13px;opacity:.75">{{ more }}</p>
{% endif %}{% endif %}"""
_STOP = '<a href="{{ stop }}">Get no more of these mails</a>'
_FOOT = f"""\
{{% if stop %}}<p style="margin:24px 0 0;font-size:13px">{_STOP}</p>
{{% endif %}}"""
_PAGE = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>{{{{ title }}}}</title>
<style>:root {{color-scheme: light dark}}</style>
</head>
<body style="margin:0;padding:24px;font:15px/1.5 -apple-system,'Segoe UI',Roboto,\
Helvetica,Arial,sans-serif">
{_NOTES}<h1 style="{_TEXT};font-size:20px;line-height:1.3;margin:0 0 16px;\
overflow-wrap:anywhere">{{{{ title }}}}</h1>
<table role="presentation" style="{_TEXT};border-collapse:collapse;margin:0 0 16px">
{{% for name, value in facts %}}<tr valign="top"><td style="padding:2px 24px 2px 0;opacity:.75">\
{{{{ name }}}}</td><td style="padding:2px 0">{{{{ value }}}}</td></tr>
{{% endfor %}}{{% for name, size in attached %}}<tr valign="top">\
<td style="padding:2px 24px 2px 0;opacity:.75">\
Attached</td><td style="padding:2px 0;overflow-wrap:anywhere">{{{{ name }}}} \
<span style="opacity:.75">({{{{ size }}}})</span></td></tr>
{{% endfor %}}</table>
{_LINKS}{_PREVIEW}<p style="{_TEXT};margin:24px 0 0;padding-top:12px;border-top:1px solid #8a94a0;\
font-size:13px;opacity:.75">{{{{ footer }}}}\
{{% if stop %}}<br>{_STOP}{{% endif %}}</p>
</body>
</html>
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What a mail tells by itself."""

    title: str
    #: Sentences above all else.
    notes: Sequence[str]
    #: (name, value)
    facts: Sequence[tuple[str, str]]
    #: (name, size) of each file in the mail.
    attached: Sequence[tuple[str, str]]
    #: (name, address) of each file that is elsewhere, and how long that works.
    links: Sequence[tuple[str, str]]
    lasts: str
    preview: Preview | None
    rows: int
    #: Whom it is from.
    footer: str
    #: Where to say that one wants no more of them.
    stop: str


def html_page(look: Look) -> str:
    return _filled(_PAGE, look)


def html_above(look: Look) -> str:
    """What stands above a body that somebody wrote."""
    return _filled(_NOTES, look)


def html_below(look: Look) -> str:
    """And what stands below it."""
    return _filled(_LINKS + _PREVIEW + _FOOT, look)


def _filled(template: str, look: Look) -> str:
    values: dict[str, Any] = {**asdict(look), "whole": _WHOLE}
    if look.preview:
        values["sides"] = ["right" if each else "left" for each in look.preview.right]
        values["more"] = _more(look, len(look.preview.titles))
    return str(compiled(template, html=True).render(values))


def _more(look: Look, columns: int) -> str:
    """What is left out of the preview, of which so many columns are shown."""
    preview, told = look.preview, []
    assert preview is not None  # noqa: S101 asked only of one that is there
    if preview.sheet:
        told.append(f'the first rows of the sheet "{preview.sheet}"')
    elif len(preview.rows) < look.rows:
        told.append(f"the first {len(preview.rows)} of {look.rows:,} rows")
    if columns < preview.columns:
        told.append(f"{columns} of {preview.columns} columns")
    return sentence(", ".join(told))


def text_page(look: Look, written: str | None) -> str:
    """`written`: what somebody wrote; None: the facts stand for themselves."""
    middle = _facts(look) if written is None else [written.strip()]
    blocks = [*look.notes, *middle, *_links(look), *_preview(look), *_foot(look)]
    return "\n\n".join(blocks) + "\n"


def _facts(look: Look) -> Iterator[str]:
    yield look.title
    attached = [("Attached", f"{name} ({size})") for name, size in look.attached]
    yield "\n".join(f"{name + ':':<10} {v}" for name, v in (*look.facts, *attached))


def _links(look: Look) -> Iterator[str]:
    lasts = f"\nThe link works for {look.lasts}." if look.lasts else ""
    for name, link in look.links:
        yield f"{name} is here:\n{link}{lasts}"


def _preview(look: Look) -> Iterator[str]:
    """As many columns as fit into a line, and one at least."""
    preview = look.preview
    if preview is None:
        return
    columns, room = [], _LINE
    cells = zip(preview.titles, *preview.rows, strict=True)
    for right, column in zip(preview.right, cells, strict=True):
        columns.append(_column(column, right=right))
        room -= _width(columns[-1][0]) + 2
        if room < 0 and len(columns) > 1:
            columns.pop()
            break
    lines = ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]
    yield "\n".join(lines)
    more = _more(look, len(columns))
    if more:
        yield more


def _column(cells: Sequence[str], *, right: bool) -> list[str]:
    """Lines of one width; the second is a rule."""
    short = [cell if len(cell) <= _CELL else f"{cell[: _CELL - 1]}…" for cell in cells]
    width = max(map(_width, short))
    filled = [
        " " * (width - _width(cell)) + cell
        if right
        else cell + " " * (width - _width(cell))
        for cell in short
    ]
    return [filled[0], "-" * width, *filled[1:]]


def _width(text: str) -> int:
    """In letters: those of East Asia take the room of two."""
    return len(text) + sum(unicodedata.east_asian_width(one) in "WF" for one in text)


def _foot(look: Look) -> Iterator[str]:
    stop = f"\nGet no more of these mails: {look.stop}" if look.stop else ""
    yield f"-- \n{look.footer}{stop}"
