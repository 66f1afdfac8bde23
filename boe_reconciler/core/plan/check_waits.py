"""`wait_for` and `approval`: whether what a run waits for can come at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from pydantic_core._pydantic_core import ValidationError

from boe_reconciler.core import sql
from boe_reconciler.core.calendar import Timetable, compile_when
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.language.layers import merged_schedule
from boe_reconciler.core.language.places import Document, text_at
from boe_reconciler.core.names import check_pattern, check_relative
from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.check_report import ResolvedReport
from boe_reconciler.core.plan.world import Entry, Verdict
from boe_reconciler.core.problems import Path
from boe_reconciler.core.resources.envelope import Calendar, Schedule
from boe_reconciler.core.resources.schedule import WaitForFile, WaitForQuery
from boe_reconciler.core.resources.when import When
from boe_reconciler.core.waits import local_day

#: So many of the next runs are held against the other Schedule.
_LOOKED_AT = 30


def check_waits(
    check: Check,
    schedule: Schedule,
    report: ResolvedReport | None,
    timetable: Timetable | None,
) -> None:
    for number, condition in enumerate(schedule.spec.wait_for):
        path: Path = ("spec", "wait_for", number)
        match condition:
            case WaitForQuery():
                _query(check, condition.query, report, (*path, "query"))
            case WaitForFile():
                _file(check, condition.file, (*path, "file"))
            case _:
                _schedule(check, condition.schedule, timetable, (*path, "schedule"))
    approval = schedule.spec.approval
    if approval and approval.otherwise == "send" and approval.before is None:
        todo = 'add `before`, a time such as "09:00" or a duration such as 4h'
        detail = "it says that the files are sent without an answer, but not when"
        check.add("BOE223", ("spec", "approval", "otherwise"), detail, todo)


def _query(check: Check, text: str, report: ResolvedReport | None, path: Path) -> None:
    if report is not None:
        dialect = sql.DIALECTS.get(report.connection.type, "")
        declared = report.spec.parameters
        check.find_in_text(sql.check(text, dialect=dialect, declared=declared), path)


def _file(check: Check, pattern: str, path: Path) -> None:
    wrong = check_relative(pattern)
    if wrong:
        todo = "write a path below the data folder (setting BOE_DATA_ROOT)"
        check.add("BOE221", path, f'"{pattern}": {wrong}', todo)
        return
    at = 0
    for name in pattern.split("/"):
        # A name that never changes is as good as any here.
        found = [one for one in check_pattern(name) if one.code != "BOE167"]
        check.find_in_text(
            [replace(one, offset=at + one.offset) for one in found], path
        )
        at += len(name) + 1


# --- Schedules ----------------------------------------------------------------


def _schedule(check: Check, name: str, timetable: Timetable | None, path: Path) -> None:
    if not check.knows("Schedule", name):
        check.use("Schedule", name, path)
        return
    circle = _circle(check, name)
    if circle:
        detail = f"none of them can begin: {' waits for '.join(circle)}"
        check.add("BOE220", path, detail, "take one of these `wait_for` away")
        return
    other = _timetable(check, name)
    if timetable and other:
        check.find(_days(check, name, timetable, other), path)


def _circle(check: Check, name: str) -> list[str]:
    """The names from this Schedule back to itself; empty where no way leads there."""
    own = check.entry.name
    ways = [[own, name]]
    seen = {name}
    while ways:
        way = ways.pop()
        if way[-1] == own:
            return way
        for following in _awaited(check, way[-1]):
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return []


def _awaited(check: Check, name: str) -> Iterator[str]:
    document = _merged(check, name)
    spec = document.data.get("spec") if document else None
    waits = spec.get("wait_for") if isinstance(spec, dict) else None
    for one in waits if isinstance(waits, list) else ():
        found = text_at(one, "schedule")
        if found is not None:
            yield found


def _merged(check: Check, name: str) -> Document | None:
    """The document of a Schedule over its template and the Policy's defaults."""
    own = _document(check, "Schedule", name)
    if own is None:
        return None
    template = text_at(own.data.get("spec"), "template")
    under = _document(check, "ScheduleTemplate", template) if template else None
    policy = check.world.policy
    return merged_schedule(own, under, policy.document if policy else None)


def _document(check: Check, kind: str, name: str) -> Document | None:
    entry = _entry(check, kind, name)
    return entry.document if entry else None


def _entry(check: Check, kind: str, name: str) -> Entry | None:
    found = check.look_up((kind, name))
    entry = found.entry if isinstance(found, Verdict) else found
    return entry if isinstance(entry, Entry) else None


def _timetable(check: Check, name: str) -> Timetable | None:
    """When the other one is due; None where its own Problems say more."""
    document = _merged(check, name)
    spec = document.data.get("spec") if document else None
    try:
        when = When.model_validate(spec.get("when") if isinstance(spec, dict) else None)
    except ValidationError:
        return None
    calendar = _entry(check, "Calendar", when.calendar) if when.calendar else None
    resource = calendar.resource if calendar else None
    return compile_when(
        when,
        calendar=resource.spec if isinstance(resource, Calendar) else None,
        default_timezone=None,
        min_interval=timedelta(seconds=1),
    ).timetable


def _days(
    check: Check, name: str, timetable: Timetable, other: Timetable
) -> Iterator[Finding]:
    """An error where the other one is due on none of its days; a warning on some."""
    after, looked_at, alone = check.now, 0, []
    while looked_at < _LOOKED_AT and (due := timetable.next(after)) is not None:
        after, looked_at = due, looked_at + 1
        since, until = local_day(due, timetable.timezone)
        if not other.count(since - timedelta(seconds=1), until):
            alone.append(since)
    if not alone:
        return
    never = len(alone) == looked_at
    day = alone[0].astimezone(ZoneInfo(timetable.timezone)).date()
    detail = (
        f"{name} is due on none of the days of this Schedule, such as {day}"
        if never
        else f"{name} is not due on {day}: this Schedule then waits in vain"
    )
    yield Finding(
        code="BOE222",
        path=(),
        detail=detail,
        help="let both be due on the same days, or wait for something else",
        severity="error" if never else "warning",
    )
