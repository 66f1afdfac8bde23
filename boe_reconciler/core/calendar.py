"""`when` -> Timetable or findings: the door to everything about time (docs/time.md)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import TypeVar, cast

from boe_reconciler.core import zones
from boe_reconciler.core.cron import parse_cron
from boe_reconciler.core.days import (
    ALL_MONTHS,
    LAST_DAY,
    WEEKDAYS,
    AnyDays,
    BusinessDays,
    BusinessPeriod,
    CronDays,
    Days,
    WorkingDays,
    last_day_off,
    to_date,
    to_day,
    working_days,
)
from boe_reconciler.core.findings import Finding
from boe_reconciler.core.periods import Period, period_of
from boe_reconciler.core.problems import Path
from boe_reconciler.core.resources.others import CalendarSpec
from boe_reconciler.core.resources.types import format_duration, parse_time
from boe_reconciler.core.resources.when import BusinessDay, Frequency, When
from boe_reconciler.core.timetable import (
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
from boe_reconciler.core.zones import EPOCH, TZDB_VERSION, tzdb_is_old

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

_T = TypeVar("_T")
_On = str | int | BusinessDay
_MINUTE = timedelta(minutes=1)
_DAY = zones.DAY
_SHAPES = ("cron", "frequency", "every", "once")


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
    findings = [*_shape(when), *_companions(when), *_bounds(when)]
    timezone = when.timezone or default_timezone
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
    findings += _never(when, timetable, calendar)
    findings += _too_often(when, stream, max(min_interval, timedelta(seconds=1)))
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
    changes = [
        day for day in days if zones.steady_offset(timetable.timezone, day) is None
    ]
    return [
        _clock_change(timetable.timezone, rule.path, met)
        for rule in stream.rules
        if rule.unasked and (met := _met(timetable.timezone, stream, rule, changes))
    ]


def set_digest(when: When, *, timezone: str, calendar: CalendarSpec | None) -> str:
    """Hex sha256 of what decides the occurrences; jitter does not."""
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
    span = jitter or timedelta()
    if following is not None:
        span = min(span, following - occurrence)
    seconds = int(span.total_seconds())
    text = f"{uid}\n{zones.to_seconds(occurrence)}"
    number = int.from_bytes(hashlib.sha256(text.encode()).digest())
    return timedelta(seconds=number % seconds if seconds > 0 else 0)


def _errors(findings: Sequence[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


# --- Which fields stand in `when` -------------------------------------------------

#: (field, shapes it goes with, what to do).
_COMPANIONS = (
    ("at", ("frequency",), "a cron has its times in its first two fields"),
    ("on", ("frequency",), "a cron has its days in its last three fields"),
    ("anchor", ("every",), "take it out, or use `every`"),
    ("dst", ("cron", "frequency"), "it counts real time and knows no clock change"),
    ("day_match", ("cron",), "take it out"),
    ("calendar", ("cron", "frequency", "every"), "list only the instants you mean"),
)


def _given(when: When, *fields: str) -> list[str]:
    return [field for field in fields if getattr(when, field) is not None]


def _shape(when: When) -> Iterator[Finding]:
    given = _given(when, *_SHAPES)
    if not given:
        yield Finding(
            code="BOE060",
            path=(),
            detail="nothing says when to run",
            help="add one of cron, frequency, every or once, such as "
            '`frequency: daily` with `at: "06:30"`',
        )
    for extra in given[1:]:
        yield Finding(
            code="BOE060",
            path=(extra,),
            detail=f"{extra!r} stands beside {given[0]!r}; only one of them can count",
            help="keep one, or write two schedules",
        )
    for field in _given(when, "cron", "once", "at", "on"):
        if getattr(when, field) == []:
            yield Finding(
                code="BOE078",
                path=(field,),
                detail=f"{field!r} is an empty list",
                help="fill it in, or take it out",
            )


def _companions(when: When) -> Iterator[Finding]:
    given = _given(when, *_SHAPES)
    for field, shapes, todo in _COMPANIONS:
        if given and _given(when, field) and not set(given) & set(shapes):
            names = " or ".join(f"`{shape}`" for shape in shapes)
            detail = f"{field!r} goes with {names}, not with `{given[0]}`"
            yield _mismatch(field, detail, todo)
    if when.if_day_off and not when.calendar:
        detail = "'if_day_off' needs a calendar that says which days are off"
        yield _mismatch("if_day_off", detail, "add `calendar: NAME`, or take it out")
    if when.every and when.if_day_off in ("next", "previous"):
        detail = f"'if_day_off: {when.if_day_off}' does not go with `every`"
        yield _mismatch("if_day_off", detail, "only skip does")
    if not when.calendar and any(
        isinstance(day, BusinessDay) for _, day in _listed("on", when.on)
    ):
        detail = "business days need a calendar that says which days people work"
        yield _mismatch("on", detail, "add `calendar: NAME`")


def _mismatch(field: str, detail: str, todo: str) -> Finding:
    return Finding(code="BOE073", path=(field,), detail=detail, help=todo)


def _bounds(when: When) -> Iterator[Finding]:
    if when.start_at and when.end_at and when.start_at > when.end_at:
        yield Finding(
            code="BOE076",
            path=("end_at",),
            detail=f"end_at ({when.end_at.isoformat()}) is before start_at "
            f"({when.start_at.isoformat()})",
            help="swap them",
        )


def _listed(field: str, value: _T | list[_T] | None) -> list[tuple[Path, _T]]:
    """A field that holds one value or a list: each value with its path."""
    if isinstance(value, list):
        return [((field, place), item) for place, item in enumerate(value)]
    return [] if value is None else [((field,), value)]


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
        findings += _disorder(when.once)
        stream = Fixed(instants=tuple(map(zones.to_seconds, when.once)))
    for path, text in _listed("cron", when.cron):
        cron, found = parse_cron(text, when.day_match, path)
        findings += found
        rules += [_rule(when, path, cron.days, cron.times)] if cron else []
    if when.frequency is not None:
        rule, found = _frequency(when, when.frequency, work)
        findings += found
        rules.append(rule)
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


def _disorder(once: list[datetime]) -> Iterator[Finding]:
    for place, (before, after) in enumerate(pairwise(once), start=1):
        if before >= after:
            word = "the same as" if before == after else "earlier than"
            yield Finding(
                code="BOE077",
                path=("once", place),
                detail=f"{after.isoformat()} is {word} the instant above it",
                help="list each instant once, in order",
            )


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


# --- frequency, at, on ------------------------------------------------------------

_QUARTERS = frozenset({1, 4, 7, 10})
_QUARTER_ENDS = frozenset({3, 6, 9, 12})
#: What `on` may say for each frequency, in words.
_ON = {
    "weekly": "mon…sun or {business_day: n}",
    "monthly": "1…31, last or {business_day: n}",
    "quarterly": "1…31 (of the first month), last or {business_day: n}",
    "yearly": '"MM-DD", last or {business_day: n}',
}
#: Frequency -> the days that it means without `on`.
_DEFAULT_DAYS = {
    "hourly": CronDays(),
    "daily": CronDays(),
    "weekly": CronDays(weekdays=frozenset({0})),
    "monthly": CronDays(days=frozenset({1})),
    "quarterly": CronDays(days=frozenset({1}), months=_QUARTERS),
    "yearly": CronDays(days=frozenset({1}), months=frozenset({1})),
}
#: No period has more working days.
_MOST = {"weekly": 7, "monthly": 31, "quarterly": 92, "yearly": 366}


def _frequency(
    when: When, frequency: Frequency, work: WorkingDays | None
) -> tuple[Rule, list[Finding]]:
    times, findings = _times(when, frequency)
    days: list[Days] = []
    given: list[tuple[Path, _On]] = _listed("on", when.on)
    for path, on in given:
        found = _on_day(frequency, on, work)
        if found is not None:
            days.append(found)
            findings += _rare(path, frequency, on)
        elif not isinstance(on, BusinessDay) or work:
            findings.append(_unsuitable(path, frequency, on))
    if not days:
        days = [_DEFAULT_DAYS[frequency]]
    place: Path = ("at",) if when.at is not None else ("frequency",)
    one = days[0] if len(days) == 1 else AnyDays(tuple(days))
    return _rule(when, place, one, times), findings


def _times(when: When, frequency: str) -> tuple[tuple[int, ...], list[Finding]]:
    """Seconds after midnight, in order, each once."""
    given = _listed("at", when.at)
    if not given:
        given = [(("at",), ":00" if frequency == "hourly" else "00:00")]
    times: set[int] = set()
    findings = []
    for path, text in given:
        found = _hourly(text) if frequency == "hourly" else _daily(text)
        times |= found
        if not found:
            findings.append(_not_a_time(path, frequency, text))
    return tuple(sorted(times)), findings


def _hourly(text: str) -> set[int]:
    if not re.fullmatch(r":[0-5][0-9]", text):
        return set()
    return {hour * 3600 + int(text[1:]) * 60 for hour in range(24)}


def _daily(text: str) -> set[int]:
    try:
        found = parse_time(text)
    except ValueError:
        return set()
    return {found.hour * 3600 + found.minute * 60 + found.second}


def _not_a_time(path: Path, frequency: str, text: str) -> Finding:
    if frequency == "hourly":
        detail = f"{text!r} is not a minute of the hour"
        todo = 'write ":00" to ":59"; for certain hours use `frequency: daily`'
    else:
        detail = f"{text!r} is not a time of day"
        todo = 'write "HH:MM" from "00:00" to "23:59", such as "06:30" or "18:05"'
    return Finding(code="BOE075", path=path, detail=detail, help=todo)


def _on_day(frequency: str, on: _On, work: WorkingDays | None) -> Days | None:
    """The days that one value of `on` means; None where it does not suit."""
    if frequency not in _ON:
        return None
    if isinstance(on, BusinessDay):
        if not work or not 1 <= abs(on.business_day) <= _MOST[frequency]:
            return None
        return BusinessDays(cast("BusinessPeriod", frequency), on.business_day, work)
    if on == "last":
        return _LAST.get(frequency)
    if isinstance(on, int):
        months = {"monthly": ALL_MONTHS, "quarterly": _QUARTERS}.get(frequency)
        in_range = 1 <= on <= 31
        return (
            CronDays(days=frozenset({on}), months=months)
            if months and in_range
            else None
        )
    return _named_day(frequency, on)


_LAST = {
    "monthly": CronDays(days=frozenset(), last=True),
    "quarterly": CronDays(days=frozenset(), last=True, months=_QUARTER_ENDS),
    "yearly": CronDays(days=frozenset(), last=True, months=frozenset({12})),
}


def _named_day(frequency: str, on: str) -> Days | None:
    """A weekday, or the MM-DD of a year."""
    if frequency == "weekly" and on in WEEKDAYS:
        return CronDays(weekdays=frozenset({WEEKDAYS.index(on)}))
    if frequency != "yearly" or not re.fullmatch(r"[0-9]{2}-[0-9]{2}", on):
        return None
    month, day = int(on[:2]), int(on[3:])
    days = CronDays(days=frozenset({day}), months=frozenset({month}))
    leap_year = range(2028 * 12, 2028 * 12 + 12)
    return days if any(days.in_month(month) for month in leap_year) else None


def _unsuitable(path: Path, frequency: str, on: _On) -> Finding:
    text = (
        f"{{business_day: {on.business_day}}}"
        if isinstance(on, BusinessDay)
        else repr(on)
    )
    if frequency in _ON:
        todo = f"{frequency} takes {_ON[frequency]}"
    else:
        todo = "take `on` out, or use `frequency: weekly` with `on: [mon, tue]`"
    detail = f"{text} does not go with `frequency: {frequency}`"
    return Finding(code="BOE074", path=path, detail=detail, help=todo)


def _rare(path: Path, frequency: str, on: _On) -> Iterator[Finding]:
    """Warns of a day that some months do not have."""
    if on == "02-29":
        detail, todo = "29 February comes in leap years only", 'or write "02-28"'
    elif on == 31 or (frequency == "monthly" and on in (29, 30)):
        detail = f"months without a day {on} are left out"
        todo = "`last` is the last day of each one"
    else:
        return
    yield Finding(
        code="BOE079", path=path, detail=detail, help=todo, severity="warning"
    )


# --- What only the whole set shows ------------------------------------------------


#: Fields that may leave nothing of what the others say, the likeliest first.
_LIMITS = ("end_at", "start_at", "calendar", "anchor", "once")


def _never(
    when: When, timetable: Timetable, calendar: CalendarSpec | None
) -> Iterator[Finding]:
    """A calendar or a bound that leaves nothing within 10 years."""
    limits = _given(when, *_LIMITS)
    if not limits:
        return
    found = timetable.next(zones.to_datetime(timetable.first - 1))
    last_off = last_day_off(calendar) if calendar else None
    known = to_day(last_off) * _DAY if last_off else FIRST
    start = max(timetable.first, known, zones.to_seconds(when.anchor or EPOCH))
    if when.end_at or when.once:
        start = LAST
    if found is None or zones.to_seconds(found) > start + 3653 * _DAY:
        yield Finding(
            code="BOE067",
            path=(limits[0],),
            detail=f"with this {limits[0]} no run is left within 10 years",
            help="look at it together with the days and times of `when`",
        )


def _too_often(when: When, stream: Stream, least: timedelta) -> Iterator[Finding]:
    closest = _closest(stream, int(least.total_seconds()))
    if closest is None or closest >= least.total_seconds():
        return
    shape = _given(when, *_SHAPES)[0]
    yield Finding(
        code="BOE072",
        path=(shape,),
        detail=f"runs come {format_duration(timedelta(seconds=closest))} apart; "
        f"the least allowed is {format_duration(least)}",
        help="run less often, or ask for a smaller min_interval in policy.yaml",
    )


def _closest(stream: Stream, least: int) -> int | None:
    """The shortest distance of two runs by the wall clock, if it may be below `least`."""
    if isinstance(stream, OnWorkingDays | Fixed):
        instants = stream.instants
        first = instants[:2] if isinstance(instants, range) else instants
        return min((after - before for before, after in pairwise(first)), default=None)
    times = sorted({time for rule in stream.rules for time in rule.times})
    if _least_distance([*times, times[0] + _DAY]) >= least:
        return None
    return _closest_walls(stream)


def _least_distance(walls: Sequence[int]) -> int:
    return min((after - before for before, after in pairwise(walls)), default=_DAY)


def _closest_walls(wall: Wall) -> int:
    """Over 8 years, which hold every pattern of weekdays that matters."""
    distances = [_DAY]
    seen: set[tuple[int, ...]] = set()
    before = -_DAY
    for month in range(2024 * 12, 2032 * 12):
        for day, times in wall.month(month).items():
            distances.append(times[0] + day * _DAY - before)
            before = day * _DAY + times[-1]
            if times not in seen:
                seen.add(times)
                distances.append(_least_distance(times))
    return min(distances)


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
        clock, when = zones.clock_text(wall), to_date(wall // _DAY)
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
