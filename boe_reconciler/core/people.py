"""Whose address stands where, and what they receive: each use by file and line.

Documents are followed as they are written, valid or not, because every value keeps
its place that way: an address that a Schedule hands to a Distribution is told at its
line in the Schedule.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.addresses import addresses_in, folded
from boe_reconciler.core.language.layers import merged_schedule
from boe_reconciler.core.language.places import Document, Place, Source
from boe_reconciler.core.plan.files import in_repo
from boe_reconciler.core.plan.world import Key
from boe_reconciler.core.problems import Path, Range
from boe_reconciler.core.resources.types import DATE_PATTERN
from boe_reconciler.core.templates import TemplateError, is_template, render

#: A template that hands a value on as it is, and what may stand beside it.
_NAME = re.compile(r"\{\{-? *((?:inputs|parameters|part)\.[A-Za-z_]\w*|owner) *-?\}\}")
_BETWEEN = ("", " ", ",", ";", "\n")
_ROLES = ("to", "cc", "bcc")


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    """A text, and where it is written: a value of a document, or a cell of a file."""

    text: str
    source: Source
    start: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """One use of one address."""

    #: to, cc, bcc; owner, notify, approval, member, manager, redirect, from, reply_to,
    #: default (of an input); mentioned: somewhere in a text.
    role: str
    #: The object that uses it. Schedules send files, the Policy sends notices.
    kind: str
    name: str
    #: Key of the destination, where something is received.
    destination: str | None = None
    #: Group finance, input to, …: from the destination to the spot.
    through: tuple[str, ...] = ()
    #: The last day as a member.
    until: date | None = None
    spot: Spot
    #: As it is written; "" where nobody can know before it runs.
    address: str = ""
    #: Where in the spot's text it begins; None: a template makes it, or a query.
    offset: int | None = None

    @property
    def received(self) -> bool:
        sends = self.kind in ("Schedule", "Policy")
        return sends and self.destination is not None

    @property
    def range(self) -> Range:
        """Of the address itself, as far as it stands there as such."""
        start, end = self.span or (self.spot.start, self.spot.end)
        return self.spot.source.range(start, end)

    @property
    def span(self) -> tuple[int, int] | None:
        """Its offsets in the text of its file; None where it is written otherwise."""
        if self.offset is None:
            return None
        spot, address = self.spot, self.address
        raw = spot.source.text[spot.start : spot.end]
        if raw.count(address) != spot.text.count(address):
            return None
        at = -1
        for _ in range(spot.text[: self.offset].count(address) + 1):
            at = raw.index(address, at + 1)
        return spot.start + at, spot.start + at + len(address)


def same_address(one: str, other: str) -> bool:
    """As people mean it: capitals do not count, and a domain may be written in ASCII."""
    return folded(one) == folded(other)


@dataclass(kw_only=True, eq=False)
class People:
    """All uses of all addresses in a repo."""

    documents: Sequence[Document]
    #: Bytes of a file of the repo; InputError where it cannot be read.
    read: Callable[[str], bytes]
    #: Who has left before it receives nothing.
    today: date
    #: Distributions and ScheduleTemplates that a Schedule uses.
    _used: set[Key] = field(default_factory=set)
    #: Rows of the files with recipients.
    _files: dict[str, list[dict[str, Spot]]] = field(default_factory=dict)

    @cached_property
    def uses(self) -> list[Use]:
        """Each once, in the order of the documents."""
        found = [use for each in self.documents for use in self._of(each)]
        found += [use for each in self.documents for use in self._of_unused(each)]
        return list(dict.fromkeys(found))

    def of(self, address: str) -> list[Use]:
        """The uses of one address, and at the end where else a text names it."""
        found = [use for use in self.uses if same_address(use.address, address)]
        known = {(use.spot.source, use.spot.start) for use in self.uses}
        for document in self.documents:
            mention = _about(document, "mentioned")
            for spot in _texts(document.data, document.place):
                if (spot.source, spot.start) not in known:
                    hits = _literal(spot, mention)
                    found += [one for one in hits if same_address(one.address, address)]
        return found

    @property
    def unknown(self) -> list[Use]:
        """Recipients whom only a run can know."""
        return [use for use in self.uses if use.received and not use.address]

    # One document.

    def _of(self, document: Document) -> Iterator[Use]:
        for path, role in (*_PLACES.get(document.kind or "", ()), _OWNER):
            for spot in _spots(document, path):
                yield from _literal(spot, _about(document, role))
        if document.kind == "Group":
            yield from self._members(document, _about(document, "member"))
        if document.kind == "Distribution":
            yield from _defaults(document)
            yield from _senders(document, ("spec", "destinations"))
        if document.kind == "Schedule":
            yield from _senders(document, ("spec", "deliver_to"))
            yield from self._schedule(self._merged(document))
        if document.kind == "Policy":
            for spot in _spots(document, ("spec", "notices", "ops")):
                yield from self._target(document, spot.text, ())

    def _of_unused(self, document: Document) -> Iterator[Use]:
        """What nobody receives, as no Schedule uses it."""
        if (document.kind or "", document.name or "") in self._used:
            return
        if document.kind == "Distribution":
            scope = _Scope(people=self, schedule=document, distribution=document)
            at = ("spec", "destinations")
            yield from self._destinations(scope, document, at, f"{document.name}/")
        if document.kind == "ScheduleTemplate":
            yield from self._schedule(document)

    def rows(self, path: str) -> list[dict[str, Spot]]:
        """Of a file with recipients: column -> cell; none where it cannot be read."""
        if path not in self._files:
            try:
                text = self.read(path).decode("utf-8-sig")
                self._files[path] = list(_cells(Source(path, text)))
            except (InputError, ValueError, csv.Error):
                self._files[path] = []
        return self._files[path]

    def named(self, kind: str, name: Any) -> Document | None:
        return self._by_key.get((kind, name)) if isinstance(name, str) else None

    @cached_property
    def _by_key(self) -> Mapping[Key, Document]:
        return {(d.kind or "", d.name or ""): d for d in reversed(self.documents)}

    def _merged(self, schedule: Document) -> Document:
        """Over its template and the Policy's defaults: each value in its own place."""
        name = schedule.value(("spec", "template"))
        template = self.named("ScheduleTemplate", name)
        if template:
            self._used.add(("ScheduleTemplate", name))
        policy = next((d for d in self.documents if d.kind == "Policy"), None)
        return merged_schedule(schedule, template, policy)

    def _members(
        self, group: Document, use: Use, *, all_: bool = True
    ) -> Iterator[Use]:
        members = group.value(("spec", "members"))
        for number, member in enumerate(members if isinstance(members, list) else ()):
            path: Path = ("spec", "members", number)
            until = _last_day(member)
            if isinstance(member, dict):
                path = (*path, "email")
            if all_ or until is None or until >= self.today:
                for spot in _spots(group, path):
                    yield from _literal(spot, replace(use, until=until))

    # A Schedule, over what lies under it.

    def _schedule(self, schedule: Document) -> Iterator[Use]:
        for path, role in (
            (("spec", "notify"), "notify"),
            (("spec", "approval", "by"), "approval"),
        ):
            for spot in _spots(schedule, path):
                use = _about(schedule, role)
                yield from _literal(spot, use)
                yield from self._group(spot.text, use)
        targets = schedule.value(("spec", "deliver_to"))
        for number, target in enumerate(targets if isinstance(targets, list) else ()):
            yield from self._target(schedule, target, ("spec", "deliver_to", number))

    def _group(self, name: Any, use: Use) -> Iterator[Use]:
        group = self.named("Group", name)
        if group:
            through = (*use.through, f"Group {name}")
            yield from self._members(group, replace(use, through=through), all_=False)

    def _target(self, schedule: Document, target: Any, path: Path) -> Iterator[Use]:
        scope = _Scope(people=self, schedule=schedule)
        if isinstance(target, str):
            target, inputs = {"distribution": target}, None
        elif isinstance(target, dict):
            inputs = (*path, "inputs")
        else:
            return
        name = target.get("distribution")
        distribution = self.named("Distribution", name)
        if distribution is None:
            yield from self._mail(scope, schedule, path, "")
            return
        self._used.add(("Distribution", name))
        inside = replace(scope, distribution=distribution, inputs=inputs)
        label = target.get("as") or name
        at = ("spec", "destinations")
        yield from self._destinations(inside, distribution, at, f"{label}/")

    def _destinations(
        self, scope: _Scope, document: Document, path: Path, label: str
    ) -> Iterator[Use]:
        targets = document.value(path)
        for number, _ in enumerate(targets if isinstance(targets, list) else ()):
            yield from self._mail(scope, document, (*path, number), label)

    def _mail(
        self, scope: _Scope, document: Document, path: Path, label: str
    ) -> Iterator[Use]:
        target = document.value(path)
        if not isinstance(target, dict) or target.get("type") != "email":
            return
        key = f"{label}{target.get('name') or 'email'}"
        through = (
            (f"Distribution {document.name}",) if document is scope.distribution else ()
        )
        for role in _ROLES:
            use = _about(scope.schedule, role)
            use = replace(use, destination=key, through=through)
            for spot in _spots(document, (*path, role)):
                yield from scope.follow(spot, use)
            value = target.get(role)
            for entry in value if isinstance(value, list) else ():
                if isinstance(entry, dict):
                    yield from self._group(entry.get("group"), use)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scope:
    """What templates of a destination can name."""

    people: People
    #: The Schedule, over what lies under it.
    schedule: Document
    distribution: Document | None = None
    #: Where the Schedule gives inputs.
    inputs: Path | None = None

    def follow(self, spot: Spot, use: Use) -> Iterator[Use]:
        """The addresses of a text: its own, and those that its templates hand on."""
        if not is_template(spot.text):
            yield from _literal(spot, use)
            return
        own = _NAME.sub(lambda found: " " * len(found[0]), spot.text)
        if is_template(own) or not _stands_alone(spot.text):
            yield from self._rendered(spot, use)
            return
        yield from _literal(replace(spot, text=own), use)
        for found in _NAME.finditer(spot.text):
            yield from self._handed_on(found[1], spot, use)

    def _handed_on(self, name: str, spot: Spot, use: Use) -> Iterator[Use]:
        """What a name stands for; where nobody knows, that."""
        inner = replace(self, distribution=None)
        known = False
        for where, value in self._values(name):
            known = True
            through = (*use.through, where)
            yield from inner.follow(value, replace(use, through=through))
        if not known:
            yield replace(use, through=(*use.through, name), spot=spot)

    def _values(self, name: str) -> Iterator[tuple[str, Spot]]:
        family, _, key = name.partition(".")
        if family == "part":
            for row in self._parts:
                yield from ((self._file, row[key]),) if key in row else ()
            return
        for document, path in self._places(family, key):
            spots = _spots(document, path)
            if spots:
                yield from ((_words(family, key), spot) for spot in spots)
                return

    def _places(self, family: str, key: str) -> Iterator[tuple[Document, Path]]:
        """Where a value may stand, the one that counts first."""
        if family == "owner":
            yield self.schedule, ("metadata", "owner")
        if family == "inputs" and self.inputs:
            yield self.schedule, (*self.inputs, key)
        if family == "inputs" and self.distribution:
            yield self.distribution, ("spec", "inputs", key, "default")
        if family == "parameters":
            yield self.schedule, ("spec", "parameters", key)
            report = self.schedule.value(("spec", "report"))
            shared = self.people.named("Report", report)
            at: Path = ("spec",) if shared else ("spec", "report")
            yield shared or self.schedule, (*at, "parameters", key, "default")

    # Parts of a burst.

    @property
    def _file(self) -> str:
        return str(self.schedule.value(("spec", "burst", "recipients_file")))

    @property
    def _parts(self) -> list[dict[str, Spot]]:
        """The rows of the file with recipients: column -> its cell."""
        at = ("spec", "burst", "recipients_file")
        named = self.schedule.value(at)
        if not isinstance(named, str):
            return []
        path, wrong = in_repo(self.schedule.file(at), named)
        return [] if wrong else self.people.rows(path)

    # Templates that do more than hand on.

    def _rendered(self, spot: Spot, use: Use) -> Iterator[Use]:
        for row in self._parts or [{}]:
            context = self._context(row)
            try:
                text = render(spot.text, context)
            except TemplateError:
                yield replace(use, through=(*use.through, "a template"), spot=spot)
                return
            made = replace(use, through=(*use.through, "a template"), spot=spot)
            for found in addresses_in(text):
                yield replace(made, address=found[0])

    def _context(self, row: Mapping[str, Spot]) -> dict[str, Any]:
        schedule = self.schedule
        given = schedule.value(self.inputs) if self.inputs else None
        context: dict[str, Any] = {
            "schedule": schedule.name,
            "owner": schedule.value(("metadata", "owner")),
            "inputs": {**self._defaults, **(given if isinstance(given, dict) else {})},
        }
        if row:
            context["part"] = {name: cell.text for name, cell in row.items()}
        return context

    @property
    def _defaults(self) -> dict[str, Any]:
        declared = self.distribution and self.distribution.value(("spec", "inputs"))
        items = declared.items() if isinstance(declared, dict) else ()
        return {
            k: d["default"] for k, d in items if isinstance(d, dict) and "default" in d
        }


#: Kind -> where addresses stand in it, and as what.
_PLACES: dict[str, tuple[tuple[Path, str], ...]] = {
    "Group": ((("spec", "manager"), "manager"),),
    "Environment": ((("spec", "redirect", "email"), "redirect"),),
    "Connection": ((("spec", "from"), "from"),),
}
_OWNER: tuple[Path, str] = (("metadata", "owner"), "owner")


def _words(family: str, key: str) -> str:
    return {"inputs": f"input {key}", "parameters": f"parameter {key}"}.get(
        family, "owner"
    )


def _stands_alone(text: str) -> bool:
    """Whether what templates hand on is not made a part of something longer."""
    return all(
        text[found.start() - 1 : found.start()] in _BETWEEN
        and text[found.end() : found.end() + 1] in _BETWEEN
        for found in _NAME.finditer(text)
    )


def _about(document: Document, role: str) -> Use:
    """A use that has no address yet."""
    source, start, end, _ = document.place
    return Use(
        role=role,
        kind=document.kind or "",
        name=document.name or "",
        spot=Spot(text="", source=source, start=start, end=end),
    )


def _literal(spot: Spot, use: Use) -> Iterator[Use]:
    """The addresses that stand in a text as such."""
    for found in addresses_in(spot.text):
        yield replace(use, spot=spot, address=found[0], offset=found.start())


def _defaults(distribution: Document) -> Iterator[Use]:
    """Of inputs for addresses, whether a Schedule falls back on them or not."""
    inputs = distribution.value(("spec", "inputs"))
    for name, declared in inputs.items() if isinstance(inputs, dict) else ():
        if isinstance(declared, dict) and declared.get("type") in ("email", "emails"):
            for spot in _spots(distribution, ("spec", "inputs", name, "default")):
                yield from _literal(spot, _about(distribution, "default"))


def _senders(document: Document, path: Path) -> Iterator[Use]:
    targets = document.value(path)
    for number, _ in enumerate(targets if isinstance(targets, list) else ()):
        for role in ("from", "reply_to"):
            for spot in _spots(document, (*path, number, role)):
                yield from _literal(spot, _about(document, role))


def _last_day(member: Any) -> date | None:
    until = member.get("until") if isinstance(member, dict) else None
    if not isinstance(until, str) or not re.match(DATE_PATTERN, until):
        return None
    try:
        return date.fromisoformat(until)
    except ValueError:
        return None


def _spots(document: Document, path: Path) -> list[Spot]:
    """A text, or the texts of a list."""
    part = document.part(path)
    if part is None:
        return []
    if isinstance(part.data, list):
        numbers = range(len(part.data))
        entries = [(*path, number) for number in numbers]
        return [spot for entry in entries for spot in _spots(document, entry)]
    return [_spot(part.data, part.place)] if isinstance(part.data, str) else []


def _spot(text: str, place: Place) -> Spot:
    source, start, end, _ = place
    return Spot(text=text, source=source, start=start, end=end)


def _texts(data: Any, place: Place) -> Iterator[Spot]:
    """Every text of a document."""
    children = place[3]
    if isinstance(data, str):
        yield _spot(data, place)
    elif isinstance(children, dict):
        for key, (_, _, inner) in children.items():
            yield from _texts(data[key], inner)
    elif children:
        for value, inner in zip(data, children, strict=True):
            yield from _texts(value, inner)


# --- Files with recipients ------------------------------------------------------


def _cells(source: Source) -> Iterator[dict[str, Spot]]:
    lines = source.text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    reader = csv.reader(lines, strict=True)
    columns: list[str] | None = None
    first = 0
    for row in reader:
        start, end = starts[first], starts[reader.line_num]
        first = reader.line_num
        if columns is None:
            columns = row
        else:
            spots = _in_row(source, start, end, row)
            yield dict(zip(columns, list(spots), strict=False))


def _in_row(source: Source, start: int, end: int, row: Sequence[str]) -> Iterator[Spot]:
    """Each cell where it stands in its row; the whole row where it has doubled quotes."""
    for cell in row:
        at = source.text.find(cell, start, end)
        if at < 0:
            yield Spot(text=cell, source=source, start=start, end=end)
        else:
            start = at + len(cell)
            yield Spot(text=cell, source=source, start=at, end=start)
