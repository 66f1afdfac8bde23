"""How a mail looks that nobody has written: plain, in light and in dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from boe_reconciler.core.templates import compiled

#: Characters of a cell of the preview in a plain text.
_CELL = 32
_RULE = "border-bottom:1px solid #999"
_BLOCK = "margin:0 0 16px;padding:12px 16px;border-left:4px solid"

_NOTES = f"""\
{{% for note in notes %}}<p style="{_BLOCK} #d97706">{{{{ note }}}}</p>
{{% endfor %}}"""
_LINKS = f"""\
{{% for name, link in links %}}<p style="{_BLOCK} #2563eb"><a href="{{{{ link }}}}">{{{{ name }}}}</a>\
{{% if lasts %}}<br>The link works for {{{{ lasts }}}}.{{% endif %}}</p>
{{% endfor %}}"""
_PREVIEW = f"""\
{{% if preview %}}<div style="overflow-x:auto">
<table style="border-collapse:collapse;font-size:13px;margin:0 0 4px">
<tr>{{% for title in preview[0] %}}<th style="text-align:left;padding:4px 12px 4px 0;\
{_RULE}">{{{{ title }}}}</th>{{% endfor %}}</tr>
{{% for row in preview[1:] %}}<tr>{{% for cell in row %}}<td style="padding:4px 12px 4px 0;\
{_RULE}">{{{{ cell }}}}</td>{{% endfor %}}</tr>
{{% endfor %}}</table></div>
{{% if shown < rows %}}<p style="margin:0 0 16px;font-size:13px;opacity:.7">\
The first {{{{ shown }}}} of {{{{ rows_text }}}} rows.</p>
{{% endif %}}{{% endif %}}"""
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
<div style="max-width:640px;margin:0 auto">
{_NOTES}<h1 style="font-size:20px;line-height:1.3;margin:0 0 16px">{{{{ title }}}}</h1>
<table role="presentation" style="border-collapse:collapse;margin:0 0 16px">
{{% for name, value in facts %}}<tr><td style="padding:2px 24px 2px 0;opacity:.7">\
{{{{ name }}}}</td><td style="padding:2px 0">{{{{ value }}}}</td></tr>
{{% endfor %}}{{% for name, size in attached %}}<tr><td style="padding:2px 24px 2px 0;\
opacity:.7">Attached</td><td style="padding:2px 0">{{{{ name }}}} \
<span style="opacity:.7">({{{{ size }}}})</span></td></tr>
{{% endfor %}}</table>
{_LINKS}{_PREVIEW}<p style="margin:24px 0 0;padding-top:12px;border-top:1px solid #999;\
font-size:13px;opacity:.7">{{{{ footer }}}}\
{{% if stop %}} <a href="{{{{ stop }}}}">Get no more of these mails</a>{{% endif %}}</p>
</div>
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
    #: Titles, then rows.
    preview: Sequence[Sequence[str]]
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
    return _filled(_LINKS + _PREVIEW, look)


def _filled(template: str, look: Look) -> str:
    shown = len(look.preview) - 1
    values: dict[str, Any] = {
        **asdict(look),
        "shown": shown,
        "rows_text": f"{look.rows:,}",
    }
    return str(compiled(template, html=True).render(values))


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
    if look.preview:
        table = [[cell[:_CELL] for cell in row] for row in look.preview]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
        lines.insert(1, "  ".join("-" * width for width in widths))
        yield "\n".join(lines)
        shown = len(look.preview) - 1
        if shown < look.rows:
            yield f"The first {shown} of {look.rows:,} rows."


def _foot(look: Look) -> Iterator[str]:
    stop = f"\nGet no more of these mails: {look.stop}" if look.stop else ""
    yield f"-- \n{look.footer}{stop}"
