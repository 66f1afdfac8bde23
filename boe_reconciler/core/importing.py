"""The older BOE's JSON create requests -> YAML files.

Nothing is dropped in silence: what has no place in the new language becomes a note,
and what cannot be meant becomes an error.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import yaml

from boe_reconciler.core.calendar import compile_when
from boe_reconciler.core.language.documents import read_documents
from boe_reconciler.core.language.load import load_resource
from boe_reconciler.core.problems import dotted
from boe_reconciler.core.resources.envelope import API_VERSION, Schedule
from boe_reconciler.core.resources.types import NAME_PATTERN

T = TypeVar("T")

#: Their words for a format, a compression -> ours.
_FORMATS = {"excel": "xlsx", "xls": "xlsx", "text": "csv", "htm": "html"}
_COMPRESSIONS: dict[str, str | bool] = {"gz": "gzip", "none": False}
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(:[0-9]{2})?$")
#: Control characters, and halves of characters that JSON can hold.
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_KINDS = {str: "text", bool: "true or false", int: "a whole number", dict: "an object"}
#: Limits of a Policy that says nothing else.
_SCHEDULES_PER_OWNER = 10
#: A name has 63 characters at most; the rest is for a number behind it.
_LONGEST = 57


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One create request, and where it stood."""

    place: str
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What the folder has already, so that nothing is overwritten."""

    schedules: frozenset[str] = frozenset()
    reports: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    has_policy: bool = False


@dataclass(kw_only=True, slots=True)
class Imported:
    #: Path below the folder -> text.
    files: dict[str, str] = field(default_factory=dict)
    #: What a person has to know or do.
    notes: list[str] = field(default_factory=list)
    #: What cannot be taken over: nothing should be written then.
    errors: list[str] = field(default_factory=list)


def convert(
    requests: Sequence[Request],
    *,
    owner: str,
    report_map: Mapping[str, str],
    known: Known,
) -> Imported:
    """All requests as files; `report_map` is report id -> a Report's name."""
    work = _Work(owner=owner, report_map=report_map, known=known)
    if "@" not in owner and not re.match(NAME_PATTERN, owner):
        work.out.errors.append(
            f"--owner {owner!r} is neither an e-mail address nor a Group's name."
        )
        return work.out
    for request in requests:
        work.take(request)
    work.policy(len(requests))
    work.group()
    if not work.out.errors:
        work.out.errors += _flaws(work)
    return work.out


def slug(text: str, otherwise: str = "x") -> str:
    """A name with room for a number: "Daily Sales Report" -> daily-sales-report."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    return name[:_LONGEST].strip("-") or otherwise


# --- Reading a request ------------------------------------------------------------


@dataclass(kw_only=True, slots=True)
class _Section:
    """One object of a request: what was asked of it, and what was left."""

    place: str
    path: str
    data: Mapping[str, Any]
    out: Imported
    taken: set[str] = field(default_factory=set)

    def text(self, *keys: str) -> str | None:
        """The first of these keys that is there, without blanks around it."""
        for key in keys:
            found = self._value(key, str)
            if found is not None and _NO_TEXT.search(found):
                self.error(key, "has characters that no text has")
            elif found is not None and found.strip():
                return found.strip()
        return None

    def flag(self, key: str, default: bool) -> bool:
        found = self._value(key, bool)
        return default if found is None else found

    def number(self, key: str) -> int | None:
        return self._value(key, int)

    def has(self, key: str, kind: type) -> bool:
        return type(self.data.get(key)) is kind

    def section(self, key: str) -> _Section:
        path = f"{self.path}{key}."
        data = self._value(key, dict) or {}
        return _Section(place=self.place, path=path, data=data, out=self.out)

    def left(self) -> None:
        """A note for each key that nobody asked for."""
        for key in self.data:
            if key not in self.taken:
                said = f"{self.path}{key}: {self.data[key]!r}"
                self.note(f"{said} has no place here and was left out.")

    def error(self, key: str, what: str) -> None:
        self.out.errors.append(f"{self.place}: {self.path}{key} {what}.")

    def note(self, text: str) -> None:
        self.out.notes.append(_one_line(f"{self.place}: {text}"))

    def _value(self, key: str, kind: type[T]) -> T | None:
        self.taken.add(key)
        found = self.data.get(key)
        if found is None or type(found) is kind:
            return found
        shown = _one_line(repr(found))
        self.error(key, f"is {shown[:60]}, which is not {_KINDS[kind]}")
        return None


# --- Writing what it means --------------------------------------------------------


@dataclass(kw_only=True, slots=True)
class _Work:
    owner: str
    report_map: Mapping[str, str]
    known: Known
    out: Imported = field(default_factory=Imported)
    #: Path of a Schedule's file -> place of its request.
    places: dict[str, str] = field(default_factory=dict)
    #: Report id -> the name of its stub.
    stubs: dict[str, str] = field(default_factory=dict)
    #: Absolute folders that are written to.
    roots: list[str] = field(default_factory=list)

    def take(self, request: Request) -> None:
        place = _one_line(request.place)
        data = _Section(place=place, path="", data=request.data, out=self.out)
        title = data.text("name")
        if not request.data.get("name"):
            data.error("name", "is missing")
        title = _one_line(title or "schedule")
        metadata = {"owner": self.owner, "title": title}
        description = data.text("description")
        if description:
            metadata["description"] = description
        spec: dict[str, Any] = {
            "report": self._report(data, title),
            "when": _when(data.section("schedule_config")),
            "export": _export(data.section("export_config")),
            "deliver_to": [self._destination(data.section("distribution_config"))],
        }
        if not data.flag("is_active", True):
            spec["paused"] = True
        data.left()
        taken = self.known.schedules | {_stem(path) for path in self.places}
        name = _unique(slug(title, "schedule"), taken)
        path = f"schedules/{name}.yaml"
        self.places[path] = request.place
        self.out.files[path] = _document(
            "Schedule",
            {"name": name, **metadata},
            spec,
            f"Imported from {request.place}.",
        )

    def _report(self, data: _Section, title: str) -> str:
        """The Report's name; an unknown one becomes a stub that says what to fill in."""
        number = data.number("report_id") if data.has("report_id", int) else None
        old = str(number) if number is not None else data.text("report_id") or ""
        if old in self.report_map:
            return self._mapped(old)
        if not old:
            data.note("report_id is missing.")
            old = "unknown-report"
        if old in self.known.reports:
            return old
        if old not in self.stubs:
            self.stubs[old] = self._stub(old, title)
        return self.stubs[old]

    def _mapped(self, old: str) -> str:
        name = self.report_map[old]
        if name not in self.known.reports:
            note = f"There is no Report {name!r} yet, which --report-map names."
            if note not in self.out.notes:
                self.out.notes.append(note)
        return name

    def _stub(self, old: str, title: str) -> str:
        taken = self.known.reports | set(self.stubs.values())
        name = _unique(slug(old, "report"), taken)
        path = f"reports/{name}.yaml"
        self.out.files[path] = _document(
            "Report",
            {"name": name, "owner": self.owner, "title": title},
            {"connection": "fill-in", "query": "select 'fill in' as fill_in"},
            f"FILL IN: the Connection and the query of the older report {old}.",
        )
        self.out.notes.append(
            f"{path}: fill in the Connection and the query of the older report "
            f"{_one_line(old)} (or name its Report with --report-map)."
        )
        return name

    def _destination(self, config: _Section) -> dict[str, Any]:
        local = config.section("local")
        if not local.data:
            local.note("no local destination; exports/scheduled was taken.")
        base = local.text("base_path") or "exports/scheduled"
        if base.startswith("/") and base not in self.roots:
            self.roots.append(base)
        destination: dict[str, Any] = {"type": "local", "base_path": base}
        if not local.flag("create_subdirs", True):
            destination["create_subdirs"] = False
        pattern = local.text("filename_pattern")
        if pattern:
            destination["filename_pattern"] = pattern
        local.left()
        config.left()
        return destination

    def policy(self, count: int) -> None:
        """What the result needs of the Policy: absolute folders, more schedules."""
        spec: dict[str, Any] = {}
        total = count + len(self.known.schedules)
        if total > _SCHEDULES_PER_OWNER:
            limit = {"default": _SCHEDULES_PER_OWNER, self.owner: total}
            spec["limits"] = {"schedules_per_owner": limit}
        if self.roots:
            # Naming roots takes away the default one; relative folders still need it.
            spec["allow"] = {"local_roots": [".", *self.roots]}
        if spec and self.known.has_policy:
            lines = _dump(spec).rstrip().replace("\n", "\n    ")
            self.out.notes.append(
                f"policy.yaml: below spec, unless it allows that already:\n    {lines}"
            )
        elif spec:
            self.out.files["policy.yaml"] = _document(
                "Policy", {"name": "policy"}, spec, "What imported schedules need."
            )

    def group(self) -> None:
        if "@" in self.owner or self.owner in self.known.groups:
            return
        path = f"groups/{self.owner}.yaml"
        self.out.files[path] = _document(
            "Group",
            {"name": self.owner},
            {"members": []},
            "Add the members' addresses.",
        )
        self.out.notes.append(f"{path}: add the members of the group.")


def _when(config: _Section) -> dict[str, Any]:
    cron = config.text("cron_expression", "cron")
    frequency = (config.text("frequency") or "").lower()
    if cron and frequency not in ("", "cron", "custom"):
        config.note(f"{config.path}frequency {frequency!r} gave way to the cron.")
    when: dict[str, Any] = {"cron": cron} if cron else _frequency(config, frequency)
    when["timezone"] = config.text("timezone") or "UTC"
    config.left()
    return when


def _frequency(config: _Section, frequency: str) -> dict[str, Any]:
    """`frequency` with its `at` and `on`."""
    when: dict[str, Any] = {"frequency": frequency or "daily"}
    at = _at(config, frequency)
    on: str | int | None = None
    if frequency == "weekly":
        on = _weekday(config)
    elif frequency == "monthly":
        on = config.number("day_of_month")
    if at:
        when["at"] = at
    if on is not None:
        when["on"] = on
    return when


def _at(config: _Section, frequency: str) -> str | None:
    if frequency == "hourly":
        minute = config.number("minute")
        return None if minute is None else f":{minute:02d}"
    at = config.text("time", "at")
    match = _TIME.match(at) if at else None
    if at and not match:
        config.error("time", f'is {at!r}, which is no time such as "06:30"')
    return f"{int(match[1]):02d}:{match[2]}{match[3] or ''}" if match else None


def _weekday(config: _Section) -> str | None:
    """Words by their first three letters; 0 is Monday, as in Python's own count."""
    if not config.has("day_of_week", int):
        word = config.text("day_of_week")
        return word[:3].lower() if word else None
    number = config.number("day_of_week") or 0
    if number not in range(7):
        config.error("day_of_week", f"is {number}, which is not 0 to 6")
        return None
    day = _WEEKDAYS[number]
    config.note(f"{config.path}day_of_week {number} was taken as {day} (0 as mon).")
    return day


def _export(config: _Section) -> dict[str, Any]:
    name = (config.text("format") or "xlsx").lower()
    export: dict[str, Any] = {"format": _FORMATS.get(name, name)}
    if not config.flag("include_headers", True):
        export["include_headers"] = False
    compress = _compress(config)
    if compress:
        export["compress"] = compress
    pattern = config.text("filename_pattern")
    if pattern:
        export["filename_pattern"] = pattern
    config.left()
    return export


def _compress(config: _Section) -> str | bool:
    if not config.has("compress", str):
        return "zip" if config.flag("compress", False) else False
    word = (config.text("compress") or "none").lower()
    return _COMPRESSIONS.get(word, word)


# --- Checking it ------------------------------------------------------------------


def _flaws(work: _Work) -> Iterator[str]:
    """What was written and is no valid YAML of ours: a value that means nothing."""
    for path, text in work.out.files.items():
        documents, problems = read_documents(path, text.encode())
        told = [(problem.path, problem.detail, problem.help) for problem in problems]
        for document in documents:
            resource, problems = load_resource(document)
            told += [(one.path, one.detail, one.help) for one in problems]
            if isinstance(resource, Schedule):
                told += _when_flaws(resource)
        for where, detail, todo in told:
            place = work.places.get(path, path)
            help_ = f" ({todo})" if todo else ""
            yield f"{place}: {dotted(where)}: {detail}{help_}"


def _when_flaws(schedule: Schedule) -> list[tuple[Any, str, str]]:
    compiled = compile_when(
        schedule.spec.when,
        calendar=None,
        default_timezone=None,
        min_interval=timedelta(minutes=1),
    )
    return [
        (("spec", "when", *one.path), one.detail, one.help)
        for one in compiled.findings
        if one.severity == "error"
    ]


# --- Small words ------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):
    """Quotes text that begins like a number: readers differ on what is one."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "'" if text[:1] in "+-.0123456789" else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _dump(value: Any) -> str:
    return yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )


def _document(
    kind: str, metadata: Mapping[str, Any], spec: Mapping[str, Any], comment: str
) -> str:
    body = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": dict(metadata),
        "spec": dict(spec),
    }
    return f"# {_one_line(comment)}\n{_dump(body)}"


def _one_line(text: str) -> str:
    """Without line breaks and what a terminal would obey."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".yaml")


def _unique(name: str, taken: frozenset[str] | set[str]) -> str:
    number, candidate = 2, name
    while candidate in taken:
        candidate, number = f"{name}-{number}", number + 1
    return candidate
