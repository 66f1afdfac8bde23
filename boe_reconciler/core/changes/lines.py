"""The sections of a Review: what each line of a plan says."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from boe_reconciler.core.changes import Change, changes
from boe_reconciler.core.changes.deliveries import Deliveries, next_occurrence
from boe_reconciler.core.changes.fields import FieldChange
from boe_reconciler.core.changes.impact.words import sections as impact_sections
from boe_reconciler.core.changes.masks import masked_text
from boe_reconciler.core.changes.recipients import Recipient
from boe_reconciler.core.changes.review import Line, Review, Section, Sign
from boe_reconciler.core.changes.runs import PlannedRun, timetable
from boe_reconciler.core.plan import Plan
from boe_reconciler.core.problems import dotted
from boe_reconciler.core.spec import ObjectStatus, PlannedSchedule
from boe_reconciler.core.wording import both, counted, local

T = TypeVar("T")
#: Characters of a value, names in a row, fields of an object, lines of a difference.
VALUE, NAMES, FIELDS, DIFF = 60, 8, 12, 16
#: More objects than this that come, go, or change in the same way are told together.
_APART = 8
_ALIKE = 3
_SIGNS: Mapping[str, Sign] = {"delete": "-", "update": "~", "create": "+"}


def sections(seen: Review) -> list[Section]:
    """Those that have something to tell, in the order in which they matter."""
    parts: Mapping[str, Iterable[Line]] = {
        "Objects": _objects(seen),
        "Not taken up": _kept(seen),
        "Not known": _unknown(seen),
        "Runs": _runs(seen),
        "Recipients": _recipients(seen),
        "Files": _files(seen),
        **_elsewhere(seen),
        **_impact(seen),
        "Moved to another file": _moves(seen),
        "Next runs": _next(seen),
        "Next deliveries": _expanded(seen),
    }
    told = {
        title: [(sign, shown(text)) for sign, text in lines]
        for title, lines in parts.items()
    }
    return [Section(title=title, lines=lines) for title, lines in told.items() if lines]


def _impact(seen: Review) -> Mapping[str, Iterable[Line]]:
    return {
        section.title: [(sign, masked_text(text)) for sign, text in section.lines]
        for section in impact_sections(seen.impact)
    }


def shown(text: str) -> str:
    """Without what would steer a terminal, or turn a line around."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("?" if _steers(each) else each for each in text)


def _steers(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


# --- Objects ----------------------------------------------------------------------


def _objects(seen: Review) -> Iterator[Line]:
    first = seen.comparison.before is None
    for action, sign in _SIGNS.items():
        found = [one for one in seen.found.changes if one.action == action]
        groups = _by(found, _kind if action != "update" else _alike)
        for alike in groups.values():
            most = _ALIKE if action == "update" else 0 if first else _APART
            if len(alike) > most:
                yield from _together(sign, alike)
            else:
                for one in alike:
                    yield from _apart(sign, one)


def _kind(change: Change) -> str:
    return change.kind


def _alike(change: Change) -> str:
    """What changes, whatever it changes in; a rename is never like another."""
    fields = [(one.path, one.before, one.after) for one in change.fields]
    return repr((change.kind, fields, change.renamed_from))


def _by(items: Iterable[T], key: Callable[[T], Any]) -> dict[Any, list[T]]:
    found: dict[Any, list[T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def _together(sign: Sign, alike: Sequence[Change]) -> Iterator[Line]:
    one = alike[0]
    kind = one.kind if len(alike) == 1 else counted(len(alike), one.kind)
    yield sign, f"{kind}: {_names([each.name for each in alike], 30)}"
    yield from _fields(one)


def _apart(sign: Sign, one: Change) -> Iterator[Line]:
    before = f", renamed from {one.renamed_from}" if one.renamed_from else ""
    yield sign, f"{one.kind} {one.name}  ({one.file}{before})"
    if one.schedules and one.kind != "Policy":
        yield " ", f"    used by {_names(one.schedules)}"
    yield from _fields(one)


def _fields(change: Change) -> Iterator[Line]:
    for field in change.fields[:FIELDS]:
        yield " ", f"    {dotted(field.path)}: {from_to(field)}"
        for line in field.diff[:DIFF]:
            yield " ", f"      {line}"
        if len(field.diff) > DIFF:
            yield " ", f"      … {counted(len(field.diff) - DIFF, 'more line')}"
    if len(change.fields) > FIELDS:
        yield " ", f"    … {counted(len(change.fields) - FIELDS, 'more field')}"


def from_to(field: FieldChange) -> str:
    if len(field.path) == 1:
        return _file(field)
    if field.before is None or field.after is None:
        return _one_sided(field)
    if field.diff:
        return "its text"
    if field.same:
        return f"{_short(field.before)} (another one; what differs is not shown)"
    return f"{_short(field.before)} → {_short(field.after)}"


def _file(field: FieldChange) -> str:
    """One that the object refers to."""
    if field.before is None:
        return "a new file"
    if field.after is None:
        return "no longer used"
    return "its text" if field.diff else "other bytes"


def _one_sided(field: FieldChange) -> str:
    if field.before is None:
        return f"{_short(field.after)} (new)"
    return f"{_short(field.before)} (removed)"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= VALUE else f"{text[: VALUE - 1]}…"


def _names(names: Sequence[str], most: int = NAMES) -> str:
    told = ", ".join(names[:most])
    more = len(names) - most
    return f"{told} and {more:,} more" if more > 0 else told


# --- What is not as the newer side has it -----------------------------------------


def _kept(seen: Review) -> Iterator[Line]:
    def alike(one: ObjectStatus) -> tuple[object, ...]:
        return one.kind, one.serving_revision is None, one.message

    for (kind, is_new, message), some in _by(seen.kept, alike).items():
        names = _names([one.name for one in some], 30)
        what = "not served" if is_new else "as it is served"
        yield "~", f"{kind} {names}, {what}: {message}"


def _unknown(seen: Review) -> Iterator[Line]:
    for one in seen.comparison.unknown:
        yield "~", f"{one.kind} {one.name}, in the base: {one.message}"


def _moves(seen: Review) -> Iterator[Line]:
    """Of those of which nothing else is told."""
    told = {(one.kind, one.name) for one in seen.found.changes}
    for one in seen.found.moves:
        if (one.kind, one.name) not in told:
            yield " ", f"{one.kind} {one.name}: {one.before} → {one.after}"


# --- Runs -------------------------------------------------------------------------


def _runs(seen: Review) -> Iterator[Line]:
    """What the change does to the timetable; a first plan has no change."""
    if seen.comparison.before is None:
        return
    found = seen.found
    yield from _timetable("-", [(run,) for run in found.runs_removed])
    yield from _timetable("~", found.runs_moved)
    yield from _timetable("+", [(run,) for run in found.runs_added])


def _timetable(sign: Sign, runs: Sequence[tuple[PlannedRun, ...]]) -> Iterator[Line]:
    """The first of each Schedule, with what became of it; those of one time together."""
    schedules = _by(runs, lambda run: run[-1].schedule)
    told = {name: _first(some) for name, some in schedules.items()}
    for text, names in _by(told, told.__getitem__).items():
        yield sign, f"{_names(names)}: {text}"


def _first(runs: Sequence[tuple[PlannedRun, ...]]) -> str:
    moments = (both(run.occurrence, run.timezone) for run in runs[0])
    more = f" and {len(runs) - 1:,} more" if len(runs) > 1 else ""
    return f"{' → '.join(moments)}{more}"


def _next(seen: Review) -> Iterator[Line]:
    """The next two runs of Schedules that come, or run at other times."""
    after = seen.comparison.after.schedules
    first = seen.comparison.before is None
    touched = {run.schedule for run in seen.found.runs_added}
    touched.update(will.schedule for _, will in seen.found.runs_moved)
    touched.update(run.schedule for run in seen.found.runs_removed)
    rows = sorted(
        _row(one, seen) for name, one in after.items() if first or name in touched
    )
    together = _by(rows, lambda row: (row[0], row[2]))
    named = [
        (_names([name for _, name, _ in some], 3), told)
        for (_, told), some in together.items()
    ]
    width = max((len(names) for names, _ in named), default=0)
    for names, told in named:
        yield " ", f"{names:<{width}}  {told}"


def _row(schedule: PlannedSchedule, seen: Review) -> tuple[str, str, str]:
    """What it is sorted by, the soonest first; its name; its next runs."""
    zone = schedule.occurrences.timezone
    if schedule.paused:
        return "~1", schedule.name, "paused"
    due = list(islice(timetable(schedule.occurrences).iter(seen.now), 2))
    if not due:
        return "~2", schedule.name, "never again"
    then = f", then {due[1].astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M}"
    told = f"{both(due[0], zone)}{then if due[1:] else ''}"
    return due[0].isoformat(), schedule.name, told


# --- Recipients and files ---------------------------------------------------------


def _recipients(seen: Review) -> Iterator[Line]:
    if seen.comparison.before is not None:
        yield from _lost_and_gained(seen.found.deliveries)


def _elsewhere(seen: Review) -> Mapping[str, Iterable[Line]]:
    """What the edit of an Environment does there, beyond its own fields."""
    return {
        f"In the Environment {name}": [*_there(seen, *plans)]
        for name, plans in seen.comparison.elsewhere.items()
    }


def _there(seen: Review, before: Plan | None, after: Plan) -> Iterator[Line]:
    old, new = before.schedules if before else {}, after.schedules
    both_sides = [name for name in new if name in old]
    otherwise = [
        name
        for name in both_sides
        if old[name].spec.connection != new[name].spec.connection
    ]
    if otherwise:
        yield "~", f"reads otherwise: {_names(otherwise)}"
    if silent := [name for name, one in new.items() if _is_silent(one)]:
        yield " ", f"delivers nothing: {_names(silent)}"
    found = changes(before, after, now=seen.now, days=seen.days)
    yield from _lost_and_gained(found.deliveries)


def _is_silent(schedule: PlannedSchedule) -> bool:
    return all(one.left_out_by is not None for one in schedule.spec.destinations)


def _lost_and_gained(found: Deliveries) -> Iterator[Line]:
    for place in found.places_lost:
        yield "-", f"nothing goes to {place} any more"
    yield from _people("-", "no longer gets", found.lost)
    for place in found.places_gained:
        yield "+", f"for the first time to {place}"
    yield from _people("+", "gets from now on", found.gained)


def _people(sign: Sign, word: str, found: Sequence[Recipient]) -> Iterator[Line]:
    """Each far side once, with the Schedules whose files it gets."""
    for alike in _by(found, lambda one: (one.type, one.name, one.identity)).values():
        one = alike[0]
        by_name = f" ({_how(one)})"
        schedules = sorted({each.schedule for each in alike})
        yield sign, f"{one.name}{by_name} {word}: {_names(schedules)}"


def _how(one: Recipient) -> str:
    group = f", group {one.group}" if one.group else ""
    until = f", until {one.until}" if one.until else ""
    return f"{one.destination}{group}{until}"


def _files(seen: Review) -> Iterator[Line]:
    for one in seen.found.deliveries.files:
        to = _names(one.recipients, 3)
        if one.before is None:
            yield "+", f"{one.schedule}: {one.after} (to {to})"
        elif one.after is None:
            yield "-", f"{one.schedule}: {one.before} (to {to})"
        else:
            yield "~", f"{one.schedule}: {one.before} → {one.after} (to {to})"


def _expanded(seen: Review) -> Iterator[Line]:
    """Who would get which file next."""
    schedules = seen.comparison.after.schedules
    for name, recipients in _by(seen.expanded or (), lambda one: one.schedule).items():
        schedule = schedules[name]
        at = next_occurrence(schedule, seen.now)
        zone = schedule.occurrences.timezone
        when = "paused" if schedule.paused else local(at, zone)
        yield " ", f"{name}, {when}"
        for one in recipients:
            files = ", ".join(one.files) or "a message about the run"
            yield " ", f"    {one.name} ({_how(one)}): {files}"
