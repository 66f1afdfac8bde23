"""What a message about troubles says: in one line, as text, and as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from boe_reconciler.core.troubles import Bulletin, Kind, Trouble
from boe_reconciler.core.wording import both, counted, local, printable

#: Of one cause, so many are named; and so many causes, in one message.
_NAMED, _SECTIONS = 20, 20
#: Lines of all of them together, and characters of a subject.
_LINES, _WIDE = 100, 300
_WORDS = {
    Kind.FAILED: "failed",
    Kind.PARTIAL: "reached only some",
    Kind.UNCONFIRMED: "may not have arrived",
    Kind.MISSED: "did not run",
    Kind.LATE: "is late",
    Kind.HOLD: "waits for a person",
    Kind.BREAKER: "is left alone",
    Kind.PAUSE: "ends soon",
    Kind.BOUNCED: "has mail that came back",
    Kind.REVISION: "is not served whole",
}
_SEVERAL = {
    Kind.LATE: "are late",
    Kind.HOLD: "wait for a person",
    Kind.BREAKER: "are left alone",
    Kind.PAUSE: "end soon",
    Kind.BOUNCED: "have mail that came back",
}
#: Columns of a fact's name.
_NAME = 14


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """All that has one cause."""

    title: str
    what: str
    #: Names and values.
    facts: Sequence[tuple[str, str]]
    #: One line for each of several, or for what is wrong with one.
    each: Sequence[str]
    #: What to type; "" where nothing has to be done.
    command: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    subject: str
    sections: Sequence[Section]
    footer: str

    @property
    def text(self) -> str:
        parts = ["\n".join(_lines(section)) for section in self.sections]
        return "\n\n".join([*parts, self.footer])


def message(bulletin: Bulletin, *, environment: str | None, now: datetime) -> Message:
    groups = [*_groups(bulletin.news, ""), *_groups(bulletin.reminders, "still ")]
    over = [
        group
        for all_ in (True, False)
        for _, group in _groups(
            [one for one in bulletin.over if all_ is not _left(one)], ""
        )
    ]
    named = min(_NAMED, max(_LINES // max(len(groups) + len(over), 1), 3))
    sections = [_section(group, still, now, named) for still, group in groups]
    sections += [_ended(group, named) for group in over]
    mark = f"[{environment}] " if environment else ""
    shown, more = sections[:_SECTIONS], len(sections) - _SECTIONS
    others = f"There are {more} more like these. " if more > 0 else ""
    return Message(
        subject=printable(f"{mark}{_subject(sections, bulletin)}")[:_WIDE],
        sections=[_clean(one) for one in shown],
        footer=f"{others}`boe status` shows all that stands.",
    )


def _groups(
    troubles: Sequence[Trouble], still: str
) -> Iterator[tuple[str, list[Trouble]]]:
    found: dict[tuple[Kind, str], list[Trouble]] = {}
    for one in sorted(troubles, key=lambda each: (each.at, each.subject)):
        found.setdefault((one.kind, one.cause), []).append(one)
    yield from ((still, group) for group in found.values())


def _subject(sections: Sequence[Section], bulletin: Bulletin) -> str:
    more = len(sections) - 1
    if more and not (bulletin.news or bulletin.reminders):
        return f"Well again: {len(bulletin.over)} things"
    return sections[0].title + (f", and {more} more" if more else "")


def _clean(one: Section) -> Section:
    """Of names and of far sides' words: nothing that could change a message."""
    return Section(
        title=printable(one.title),
        what=printable(one.what),
        facts=[(name, printable(value)) for name, value in one.facts],
        each=[printable(line) for line in one.each],
        command=one.command,
    )


def _section(
    group: Sequence[Trouble], still: str, now: datetime, named: int
) -> Section:
    first = group[0]
    what = f"{still}{_WORDS[first.kind]}"
    if len(group) == 1:
        return Section(
            title=f"{_name(first)} {what}",
            what=first.what,
            facts=[*_facts(first), *_since(first, still, now)],
            each=first.details,
            command=printable(first.command),
        )
    several = still + _SEVERAL.get(first.kind, _WORDS[first.kind])
    return Section(
        title=f"{_things(group)} {several}",
        what=f"{first.what.rstrip('.')} (the first of them).",
        facts=[("Since", f"{min(one.since for one in group):%Y-%m-%d %H:%M} UTC")],
        each=_each(group, named, ": `boe status` lists them"),
        command=_command(group),
    )


def _things(group: Sequence[Trouble]) -> str:
    """12 schedules"""
    kind = "schedule" if group[0].schedule else group[0].kind
    return counted(len(group), kind)


def _each(group: Sequence[Trouble], named: int, where: str) -> list[str]:
    """One line for each of the first ones."""
    lines = [_line(one) for one in group[:named]]
    if len(group) > named:
        lines.append(f"… and {len(group) - named} more{where}")
    return lines


def _command(group: Sequence[Trouble]) -> str:
    """One that mends them all, where there is one."""
    first = group[0]
    if all(one.command.startswith("boe rerun") for one in group) and (
        first.kind is not Kind.MISSED
    ):
        since = min(one.occurrence or one.since for one in group)
        return f"boe rerun --failed --since {since:%Y-%m-%dT%H:%M:%SZ}"
    return f"{printable(first.command)}   (and so on for each)"


def _left(one: Trouble) -> bool:
    """Whether something of it has yet to be done."""
    return one.kind.of_run and bool(one.command)


def _ended(group: Sequence[Trouble], named: int) -> Section:
    one = group[0]
    lasted = span(max((each.over_at or each.at) - each.since for each in group))
    what = one.what.rstrip(".")
    left = printable(one.command) if _left(one) else ""
    if len(group) > 1:
        missing = " Their files are still missing." if left else ""
        told = f"{_WORDS[one.kind]}: {what}, the first of them"
        return Section(
            title=f"Well again: {_things(group)}",
            what=f"They were not for {lasted} at most ({told}).{missing}",
            facts=(),
            each=_each(group, named, ""),
            command=_command(group) if left else "",
        )
    return Section(
        title=f"Well again: {_name(one)}",
        what=f"It was not for {lasted} ({_WORDS[one.kind]}: {what}). {one.outcome}",
        facts=_facts(one),
        each=(),
        command=left,
    )


def _name(one: Trouble) -> str:
    if one.kind is Kind.PAUSE or not one.schedule:
        return one.subject[0].upper() + one.subject[1:]
    if "-".join(one.title.lower().split()) in ("", one.schedule):
        return one.schedule
    return f"{one.title} ({one.schedule})"


def _facts(one: Trouble) -> list[tuple[str, str]]:
    facts = []
    if one.occurrence:
        facts.append(("Occurrence", both(one.occurrence, one.timezone)))
    if one.count > 1:
        facts.append(("So far", f"{one.count} runs in a row"))
    if one.lacking:
        facts.append(("Not received", one.lacking))
    if one.run_id:
        facts.append(("Run", one.run_id))
    if one.revision:
        facts.append(("Revision", one.revision))
    return facts


def _since(one: Trouble, still: str, now: datetime) -> list[tuple[str, str]]:
    since = f"{one.since:%Y-%m-%d %H:%M} UTC"
    return [("Since", f"{since}, {span(now - one.since)} ago" if still else since)]


def _line(one: Trouble) -> str:
    when = f", {local(one.occurrence, one.timezone)}" if one.occurrence else ""
    lacking = f": {one.lacking}" if one.lacking else ""
    return f"{_name(one)}{when}{lacking}"


def _lines(section: Section) -> Iterator[str]:
    yield f"{section.title}."
    yield section.what
    if section.facts or section.each or section.command:
        yield ""
    for name, value in section.facts:
        yield f"{name:{_NAME}}{value}"
    yield from (f"- {one}" for one in section.each)
    if section.command:
        yield f"{'To mend it':{_NAME}}{section.command}"


def span(length: timedelta) -> str:
    """2 h 10 min"""
    minutes = max(int(length.total_seconds()) // 60, 0)
    if not minutes:
        return "less than a minute"
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{counted(days, 'day')} {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


#: For `core.templates.render`, with `notice` a Message.
HTML = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>{{ notice.subject }}</title></head>
<body style="margin:0;padding:24px;font:15px/1.5 -apple-system,'Segoe UI',Roboto,Helvetica,Arial,\
sans-serif"><div style="max-width:640px;margin:0 auto">
{% for section in notice.sections %}<div style="margin:0 0 24px;padding:12px 16px;\
border-left:4px solid #d97706"><h1 style="font-size:18px;margin:0 0 8px">{{ section.title }}</h1>
<p style="margin:0 0 8px">{{ section.what }}</p>
<table role="presentation">{% for name, value in section.facts %}<tr>\
<td style="padding:2px 24px 2px 0;opacity:.7">{{ name }}</td><td>{{ value }}</td></tr>
{% endfor %}</table>
{% if section.each %}<ul style="margin:8px 0;padding-left:20px">{% for one in section.each %}\
<li>{{ one }}</li>{% endfor %}</ul>{% endif %}
{% if section.command %}<p style="margin:8px 0 0">To mend it: <code>{{ section.command }}</code></p>\
{% endif %}</div>
{% endfor %}<p style="font-size:13px;opacity:.7">{{ notice.footer }}</p></div></body></html>
"""
