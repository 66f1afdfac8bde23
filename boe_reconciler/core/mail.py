"""What a mail says: its subject, its text and its HTML, and what no header may hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.mail_look import (
    Look,
    html_above,
    html_below,
    html_page,
    text_page,
)
from boe_reconciler.core.marks import Marks
from boe_reconciler.core.ports import Enclosure, Shipment
from boe_reconciler.core.templates import TemplateError, render
from boe_reconciler.core.wording import both, counted, lasting, sentence

#: Base64 as it stands in a mail: 57 bytes are a line of 76 characters and its end.
_LINE, _WRITTEN = 57, 78
#: Line breaks and other controls, what turns the direction of text around, and halves
#: of characters.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
#: The same for a body, which has lines and tabs.
_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
#: Characters of a header's value, written as UTF-8 words of at most 75 of them each.
MOST = 1000
#: People that a mail names who else would have got it.
_NAMED = 20
_NEWS = {
    "empty": ("No rows", "The report has no rows this time, so there is no file."),
    "unchanged": ("Unchanged", "The rows are those of last time, so there is no file."),
}
_UNITS = ("bytes", "kB", "MB", "GB")


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """All that a person reads."""

    subject: str
    text: str
    #: None: the mail is plain.
    html: str | None


def letter(shipment: Shipment, *, text: str | None, html: str | None) -> Letter:
    """`text` and `html` are the templates that the destination names, as they are written.

    Permanent `template_failed` or `header_refused`.
    """
    context = _context(shipment)
    subject = _rendered("subject", shipment.spec.subject, context)
    look = _look(shipment)
    written = None if text is None else _rendered("text", text, context)
    page = None if html is None else _rendered("html", html, context)
    return Letter(
        subject=header_value("subject", _prefix(shipment.marks) + subject.strip()),
        text=_NO_TEXT.sub("", text_page(look, written)),
        html=_NO_TEXT.sub("", _page(look, page)) if page or written is None else None,
    )


def _context(shipment: Shipment) -> dict[str, Any]:
    return {"rows": shipment.rows, **shipment.context}


def _page(look: Look, written: str | None) -> str:
    """What somebody wrote, with what a reader must not miss above and below it."""
    if written is None:
        return html_page(look)
    head = re.search(r"<body\b[^>]*>", written, re.IGNORECASE)
    start = head.end() if head else 0
    foot = written.lower().rfind("</body>")
    end = foot if foot >= start else len(written)
    between = written[start:end]
    return "".join(
        (written[:start], html_above(look), between, html_below(look), written[end:])
    )


def _rendered(field: str, template: str, context: dict[str, Any]) -> str:
    html, url = field == "html", field == "unsubscribe"
    try:
        return render(template, context, html=html, url=url)
    except TemplateError as error:
        detail = f"the mail's {field}: {error.message}"
        raise Permanent("template_failed", detail, error.help) from error


# --- Headers ------------------------------------------------------------------------


def header_value(field: str, text: str) -> str:
    """The text, which goes into a header as it is. Permanent `header_refused`."""
    flaw = header_flaw(text)
    if flaw:
        todo = "look at what fills the template in"
        raise Permanent("header_refused", f"the mail's {field} {flaw}", todo)
    return text


def header_flaw(text: str) -> str | None:
    """Why it cannot stand in a header; None: it can."""
    if not text:
        return "is empty"
    if len(text) > MOST:
        return f"has more than {MOST:,} characters"
    found = _UNSAFE.search(text)
    if found is None:
        return None
    what = (
        "a line break" if found[0] in "\r\n" else f"the character {ord(found[0]):#04x}"
    )
    return f"holds {what}"


def encoded_size(count: int) -> int:
    """Bytes of an attachment of `count` bytes, as they are sent."""
    return -(-count // _LINE) * _WRITTEN


# --- What is said by itself ---------------------------------------------------------


def _prefix(marks: Marks) -> str:
    words = []
    if marks.redirected_by:
        words.append(f"[{marks.redirected_by}] ")
    if marks.asked_for:
        words.append("[only to you] ")
    if marks.corrected is not None:
        words.append("Corrected: ")
    if marks.notice:
        words.append(f"{_NEWS[marks.notice][0]}: ")
    return "".join(words)


def _notes(marks: Marks) -> Iterator[str]:
    if marks.redirected_by:
        yield f"The Environment {marks.redirected_by} sent this here." + _meant(marks)
    if marks.asked_for:
        yield "Somebody had this sent to you alone." + _meant(marks)
    if marks.corrected is not None:
        older = f" the report of the run {marks.rerun_of}" if marks.rerun_of else " it"
        yield f"This corrects{older}: {sentence(marks.corrected)}"
    if marks.notice:
        yield _NEWS[marks.notice][1]
    yield from map(sentence, marks.notes)


def _meant(marks: Marks) -> str:
    people, more = marks.meant_for[:_NAMED], marks.meant_for[_NAMED:]
    if not people:
        return ""
    others = f" and {counted(len(more), 'other')}" if more else ""
    return f" It would have gone to {', '.join(people)}{others}."


def _look(shipment: Shipment) -> Look:
    context, title = shipment.context, _title(shipment)
    period = context.get("period")
    return Look(
        title=f"{title} {period}" if period else title,
        notes=tuple(_notes(shipment.marks)),
        facts=tuple(_facts(shipment)),
        attached=tuple(_attached(shipment)),
        links=tuple(_links(shipment)),
        lasts=_lasts(shipment),
        preview=shipment.preview,
        rows=_context(shipment)["rows"],
        footer=_footer(context),
        stop=next(iter(ways_out(shipment)), ""),
    )


def _title(shipment: Shipment) -> str:
    return shipment.title or str(shipment.context.get("report", ""))


def _facts(shipment: Shipment) -> Iterator[tuple[str, str]]:
    period, report = (shipment.context.get(name) for name in ("period", "report"))
    if report and report != _title(shipment):
        yield "Report", str(report)
    if period:
        days = f" ({period.start} to {period.end})"
        yield "Period", f"{period}{'' if period.start == period.end else days}"
    if "part" in shipment.context:
        yield "Part", shipment.key.part
    yield "As of", both(shipment.occurrence, shipment.timezone.key)
    yield "Rows", f"{_context(shipment)['rows']:,}"


def attaches(shipment: Shipment) -> bool:
    """Whether the files are in the mail itself."""
    wanted = shipment.spec.attach is not False
    return wanted and not shipment.link and not shipment.marks.notice


def enclosures(shipment: Shipment) -> Sequence[Shipment | Enclosure]:
    """What is attached."""
    return (shipment, *shipment.beside) if attaches(shipment) else ()


def _attached(shipment: Shipment) -> Iterator[tuple[str, str]]:
    for file in enclosures(shipment):
        yield file.filename, _size(file.bytes)


def _links(shipment: Shipment) -> Iterator[tuple[str, str]]:
    files: Sequence[Shipment | Enclosure] = (shipment, *shipment.beside)
    for file in files:
        link: str | None = getattr(file, "link", None)
        if link:
            yield file.filename, link


def _size(count: int) -> str:
    """12 kB"""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {_UNITS[unit]}" if value < 1000 else f"{value:,.0f} GB"


def _lasts(shipment: Shipment) -> str:
    attach = shipment.spec.attach
    over = getattr(attach, "over_max", None)
    return lasting(over.expires) if over and shipment.link else ""


def _footer(context: Any) -> str:
    owner, schedule = context.get("owner"), context.get("schedule")
    whose = f" for {owner}" if owner else ""
    which = f" (schedule {schedule})" if schedule else ""
    return f"Sent by BOE{whose}{which}."


def ways_out(shipment: Shipment) -> list[str]:
    """Where its recipient can ask for no more of them, as addresses of the web and of mail.

    Permanent `template_failed`.
    """
    wish, found = shipment.spec.unsubscribe, []
    context = {**_context(shipment), "recipient": shipment.key.recipient}
    if wish and wish.url:
        found.append(_rendered("unsubscribe", wish.url, context))
    if wish and wish.mailto:
        found.append("mailto:" + _rendered("unsubscribe", wish.mailto, context))
    return found
