"""`when` -> Timetable or findings: the door to everything about time (docs/time.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from boe_reconciler.core.calendar import zones
from boe_reconciler.core.calendar.cron import parse_cron
from boe_reconciler.core.calendar.days import (
    LAST_DAY,
    Days,
    WorkingDays,
    last_day_off,
    to_date,
    to_day,
    working_days,
)
from boe_reconciler.core.calendar.frequency import read_frequency
from boe_reconciler.core.calendar.periods import Period, period_of
from boe_reconciler.core.calendar.timetable import (
    FIRST,
    LAST,
    Fixed,
    Moves,
    OnWorkingDays,
    Rule,
    Stream,
    Timetable,
    Wall,
)
from boe_reconciler.core.calendar.when_fields import field_findings, listed
from boe_reconciler.core.calendar.whole_set import set_findings
from boe_reconciler.core.calendar.zones import DAY, TZDB_VERSION, tzdb_is_old
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.problems import Path
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.others import CalendarSpec
from boe_reconciler.core.resources.when import When

__all__ = [
    "TZDB_VERSION",
    "Compiled",
    "Period",
    "Timetable",
    "calendar_findings",
    "check_timezone",
    "compile_when",
    "jitter_of",
    "period_of",
    "set_digest",
    "tzdb_is_old",
    "upcoming_warnings",
]

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    #: None where a finding is an error, or where the named calendar was not given.
    timetable: Timetable | None
    #: All of them, their paths relative to `when`.
    findings: tuple[Finding, ...]


def compile_when(
    when: When,
    *,
    calendar: CalendarSpec | None = None,
    default_timezone: str | None = None,
    min_interval: timedelta = _MINUTE,
) -> Compiled:
    """Check a `when` and make its Timetable.

    `calendar` is the spec of the Calendar that `when.calendar` names; what is wrong
    with that spec itself is told by `calendar_findings`.
    """
    findings = field_findings(when)
    timezone = default_timezone if when.timezone is None else when.timezone
    findings += check_timezone(timezone)
    days = working_days(calendar) if calendar and when.calendar else None
    work = days if isinstance(days, WorkingDays) else None
    valid = timezone if timezone in zones.names() else "UTC"
    stream, found = _stream(when, valid or "UTC", work)
    findings += found
    if stream is None or _errors(findings) or (when.calendar and work is None):
        return Compiled(timetable=None, findings=tuple(findings))
    timetable = Timetable(
        timezone=valid or "UTC",
        stream=stream,
        first=max(FIRST, zones.to_seconds(when.start_at)) if when.start_at else FIRST,
        last=min(LAST, zones.to_seconds(when.end_at)) if when.end_at else LAST,
    )
    findings += set_findings(when, timetable, calendar, min_interval)
    good = not _errors(findings)
    return Compiled(timetable=timetable if good else None, findings=tuple(findings))


def check_timezone(name: str | None, path: Path = ("timezone",)) -> list[Finding]:
    """What is wrong with the name of a zone, with names that may have been meant."""
    if name is None:
        detail = "no time zone: neither here nor in the Policy's defaults"
        todo = "add `timezone: Europe/Berlin`, or a default in policy.yaml"
        return [Finding(code="BOE061", path=path, detail=detail, help=todo)]
    if name in zones.names():
        return []
    like = zones.suggestions(name)
    todo = (
        f"did you mean {' or '.join(like)}?"
        if like
        else "write an IANA name, such as Europe/Berlin, America/New_York or UTC"
    )
    detail = f"{name!r} is not a time zone"
    return [Finding(code="BOE062", path=path, detail=detail, help=todo)]


def calendar_findings(spec: CalendarSpec, today: date) -> list[Finding]:
    """What is wrong with a Calendar, or will be within 60 days of `today`."""
    days = working_days(spec)
    if not isinstance(days, WorkingDays):
        return days
    end = last_day_off(spec)
    if end is None or end - today > timedelta(days=60):
        return []
    return [
        Finding(
            code="BOE081",
            path=("days_off",),
            severity="warning",
            detail=f"the days off end on {end}; after it every "
            f"{spec.working_days} counts as a working day",
            help="add the days off of the years to come; "
            "`boe new calendar` writes public holidays",
        )
    ]


def upcoming_warnings(timetable: Timetable, today: date) -> list[Finding]:
    """Fixed times that meet a clock change within 400 days, with the dates."""
    stream = timetable.stream
    if not isinstance(stream, Wall):
        return []
    first = max(to_day(today), 0)
    days = range(first, min(first + 400, LAST_DAY))
    changes = zones.changing_days(timetable.timezone, days)
    return [
        _clock_change(timetable.timezone, rule.path, met)
        for rule in stream.rules
        if rule.unasked and (met := _met(timetable.timezone, stream, rule, changes))
    ]


def set_digest(when: When, *, timezone: str, calendar: CalendarSpec | None) -> str:
    """Hex sha256 of what decides the occurrences; jitter does not."""
    import json  # noqa: PLC0415 a check needs none

    spec = when.model_dump(mode="json", exclude_none=True, exclude={"jitter"})
    spec["timezone"] = timezone
    days = working_days(calendar) if calendar and when.calendar else None
    if isinstance(days, WorkingDays):
        spec["calendar"] = [sorted(days.weekdays), days.starts, days.ends]
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def jitter_of(
    uid: str,
    occurrence: datetime,
    jitter: timedelta | None,
    following: datetime | None,
) -> timedelta:
    """How much later than its occurrence a run starts; the same whenever asked.

    Whole seconds, less than `jitter` and than the time to the `following` occurrence.
    """
    if not jitter:
        return timedelta()
    span = jitter if following is None else min(jitter, following - occurrence)
    seconds = max(1, int(span.total_seconds()))
    text = f"{uid}\n{zones.to_seconds(occurrence)}"
    number = int.from_bytes(hashlib.sha256(text.encode()).digest())
    return timedelta(seconds=number % seconds)


def _errors(findings: Sequence[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


# --- From each shape to its stream ------------------------------------------------


def _stream(
    when: When, timezone: str, work: WorkingDays | None
) -> tuple[Stream | None, list[Finding]]:
    """The stream of the shape that was given, and what is wrong with each of them."""
    rules: list[Rule] = []
    findings: list[Finding] = []
    stream: Stream | None = None
    if when.every is not None:
        stream = _every(when, when.every, timezone, work)
    if when.once is not None:
        stream = Fixed(instants=tuple(map(zones.to_seconds, when.once)))
    for path, text in listed("cron", when.cron):
        cron, found = parse_cron(text, when.day_match, path)
        findings += found
        rules += [_rule(when, path, cron.days, cron.times)] if cron else []
    if when.frequency is not None:
        days, times, found = read_frequency(when, when.frequency, work)
        findings += found
        place = "frequency" if when.at is None else "at"
        rules.append(_rule(when, (place,), days, times))
    if rules:
        moves = _moves(when, timezone, work) if work else None
        stream = Wall(timezone=timezone, rules=tuple(rules), moves=moves)
    return stream, findings


def _moves(when: When, timezone: str, work: WorkingDays) -> Moves:
    if_day_off = when.if_day_off or "skip"
    return Moves(calendar=work, if_day_off=if_day_off, timezone=timezone)


def _every(
    when: When, every: timedelta, timezone: str, work: WorkingDays | None
) -> Stream:
    anchor = zones.to_seconds(when.anchor) if when.anchor else 0
    step = int(every.total_seconds())
    instants = range(anchor if anchor >= FIRST else anchor % step, LAST + 1, step)
    if work:
        return OnWorkingDays(instants=instants, timezone=timezone, calendar=work)
    return Fixed(instants=instants)


def _rule(when: When, path: Path, days: Days, times: tuple[int, ...]) -> Rule:
    """Times in each of the 24 hours follow the real hours, others the wall clock."""
    every_hour = len({time // 3600 for time in times}) == 24
    gap = (when.dst and when.dst.gap) or ("skip" if every_hour else "shift")
    fold = (when.dst and when.dst.fold) or ("both" if every_hour else "first")
    return Rule(
        days=days,
        times=times,
        gap_shifts=gap == "shift",
        first=fold != "last",
        second=fold != "first",
        unasked=when.dst is None and not every_hour,
        path=path,
    )


# --- Clock changes ahead ----------------------------------------------------------


def _met(
    timezone: str, stream: Wall, rule: Rule, days: Sequence[int]
) -> list[tuple[int, int, int]]:
    """The rule's wall times that a clock change skips or doubles: (wall, offsets)."""
    return [
        (wall, *both)
        for day in days
        for wall in stream.walls(rule, range(day, day + 1))
        if (both := zones.offsets(timezone, wall))[0] != both[1]
    ]


def _clock_change(
    timezone: str, path: Path, met: list[tuple[int, int, int]]
) -> Finding:
    parts = []
    for wall, before, after in met[:4]:
        clock, when = zones.clock_text(wall), to_date(wall // DAY)
        if before < after:
            runs = zones.clock_text(wall + after - before)
            parts.append(f"on {when} {clock} does not exist and runs at {runs}")
        else:
            parts.append(f"on {when} {clock} comes twice and runs the first time")
    more = f", and {len(met) - 4} more" if len(met) > 4 else ""
    return Finding(
        code="BOE071",
        path=path,
        severity="warning",
        detail=f"{timezone} changes its clocks: {'; '.join(parts)}{more}",
        help="choose a time outside the change, or say what you want with `dst`",
    )
