"""Cron expressions: croniter reads their values, this module refuses its traps.

A value, a name, a range of them and `*` are read here: they are most of what people
write, and to import croniter takes as long as to judge all schedules of the demo.

Each item of a field ("*/15", "mon-fri") is read alone, so that a finding can name it
and equal items of many schedules are read once. docs/time.md has the dialect.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from boe_reconciler.core.calendar.days import (
    ALL_DAYS,
    ALL_MONTHS,
    ALL_WEEKDAYS,
    CronDays,
)
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.problems import Path, Severity
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.when import DayMatch

MINUTE, HOUR, DAY, MONTH, WEEKDAY = range(5)
_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)
#: Each value of a field, and what it may be called instead.
_VALUES: tuple[dict[str, int], ...] = (
    {str(value): value for value in range(60)},
    {str(value): value for value in range(24)},
    {str(value): value for value in range(1, 32)},
    {str(value): value for value in range(1, 13)}
    | {name: number for number, name in enumerate(_MONTHS, start=1)},
    {str(value): value for value in range(7)}
    | {name: number for number, name in enumerate(_WEEKDAYS)},
)
_SPANS = ("0-59", "0-23", "1-31", "1-12 or jan-dec", "0-7 or sun-sat")
#: Days that every month has.
_EVERY_MONTH = frozenset(range(1, 29))
#: The step of these should divide their number of values.
_CYCLES = {MINUTE: 60, HOUR: 24}
_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_VALUE = r"[0-9]{1,2}|[a-z]{3}"
_ANY_CASE = re.IGNORECASE | re.ASCII
_ITEM = re.compile(
    rf"(?:\*|(?P<low>{_VALUE})(?:-(?P<high>{_VALUE}))?)(?:/(?P<step>[0-9]{{1,4}}))?",
    _ANY_CASE,
)
_NTH = re.compile(r"([0-7]|[a-z]{3})#([1-5])", _ANY_CASE)
#: (pattern of an item, fields it is looked for in, what it is, what to write instead).
_FOREIGN = (
    (
        re.compile(r"h(\(.*\))?(/.*)?", _ANY_CASE),
        range(5),
        "is Jenkins' hashed time, which differs from system to system",
        "write a number; `jitter: 10m` spreads the starts of many schedules",
    ),
    (
        re.compile(r"r(\(.*\))?(/.*)?", _ANY_CASE),
        range(5),
        "is a random time, which would be another one at each start",
        "write a number; `jitter: 10m` spreads the starts of many schedules",
    ),
    (
        re.compile(r".*\?.*", _ANY_CASE),
        range(5),
        "comes from Quartz, where it means any value",
        "write * for any value",
    ),
    (
        re.compile(r"[0-9]+w|w[0-9]+|lw|wl", _ANY_CASE),
        (DAY,),
        "asks for the nearest weekday, which engines read differently",
        "use `frequency: monthly` with `on: {business_day: n}` and a calendar, "
        "or a calendar with `if_day_off: next` or `previous`",
    ),
    (
        re.compile(r"l-?[0-9]+|[0-9]+l", _ANY_CASE),
        (DAY,),
        "counts from the end of the month in some engines only",
        "L alone is the last day; `frequency: monthly` with "
        "`on: {business_day: -3}` counts working days from the end",
    ),
    (
        re.compile(r"l.*|[0-9]+l|[a-z]{3}l", _ANY_CASE),
        (WEEKDAY,),
        "means the last such weekday of a month in one engine and another day in "
        "the next",
        "use `frequency: monthly` with `on: {business_day: -1}` and a Calendar "
        "whose `working_days` is that weekday",
    ),
)


@dataclass(frozen=True, slots=True)
class Cron:
    days: CronDays
    #: Seconds after midnight, in order.
    times: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Field:
    #: Plain values, as croniter counts them: Sunday is 0.
    values: frozenset[int]
    #: "L" was there (day of month only).
    last: bool = False
    #: (weekday, n) of each "5#2", Sunday is 0.
    nth: frozenset[tuple[int, int]] = frozenset()


class _CronError(ValueError):
    def __init__(self, code: str, detail: str, help: str) -> None:  # noqa: A002 the word the output uses
        super().__init__(detail)
        self.code, self.detail, self.help = code, detail, help


@lru_cache(maxsize=1024)
def parse_cron(
    text: str, day_match: DayMatch | None = None, path: Path = ()
) -> tuple[Cron | None, Sequence[Finding]]:
    """Read one expression. None where a finding is an error; all findings at once.

    A repo of thousands of schedules has a few dozen of them.
    """
    parts = _ALIASES.get(text.strip().lower(), text).split()
    try:
        _count(text, parts)
        fields, findings = _fields(parts, path)
        if len(fields) < 5:
            return None, tuple(findings)
        days = _days(fields[DAY], fields[MONTH], fields[WEEKDAY], day_match)
        _check_silence(text, days)
    except _CronError as no:
        finding = Finding(code=no.code, path=path, detail=no.detail, help=no.help)
        return None, (finding,)
    hours, minutes = sorted(fields[HOUR].values), sorted(fields[MINUTE].values)
    times = tuple(hour * 3600 + minute * 60 for hour in hours for minute in minutes)
    return Cron(days, times), tuple(findings)


def _count(text: str, parts: list[str]) -> None:
    """Refuse anything but five fields."""
    if text.strip().startswith("@") and len(parts) != 5:
        names = "@hourly, @daily, @weekly, @monthly or @yearly"
        every = "; for a distance in real time use `every: 5m`"
        raise _CronError(
            "BOE063", f"{text!r} is not known", f"write five fields, {names}{every}"
        )
    if len(parts) in (6, 7):
        raise _CronError(
            "BOE063",
            f"{text!r} has {len(parts)} fields; engines disagree on whether the extra "
            "ones are seconds or years",
            "write five: minute, hour, day of month, month, day of week; for seconds "
            "use `every: 30s`",
        )
    if len(parts) != 5:
        raise _CronError(
            "BOE063",
            f"{text!r} has {len(parts)} field{'s' * (len(parts) != 1)}, not five",
            "write minute, hour, day of month, month and day of week, such as "
            '"30 6 * * mon-fri"',
        )


def _fields(parts: list[str], path: Path) -> tuple[list[_Field], list[Finding]]:
    """The fields that can be read, and a finding for each item that cannot."""
    fields: list[_Field] = []
    findings: list[Finding] = []
    for index, part in enumerate(parts):
        items = []
        for item in part.split(","):
            try:
                items.append(_item(index, item))
            except _CronError as no:
                findings.append(_finding(no, path, "error"))
            else:
                findings += _uneven(index, item, path)
        if len(items) == len(part.split(",")):
            fields.append(_union(items))
    return fields, findings


def _finding(no: _CronError, path: Path, severity: Severity) -> Finding:
    return Finding(
        code=no.code, path=path, detail=no.detail, help=no.help, severity=severity
    )


def _union(items: list[_Field]) -> _Field:
    return _Field(
        frozenset().union(*(item.values for item in items)),
        any(item.last for item in items),
        frozenset().union(*(item.nth for item in items)),
    )


@lru_cache(maxsize=4096)
def _item(index: int, item: str) -> _Field:
    """One item of a field. Raises _CronError."""
    if index == DAY and item in ("L", "l"):
        return _Field(frozenset(), last=True)
    nth = _NTH.fullmatch(item)
    if index == WEEKDAY and nth:
        weekday = _value(index, nth[1], item)
        return _Field(frozenset(), nth=frozenset({(weekday, int(nth[2]))}))
    _refuse_foreign(index, item)
    match = _ITEM.fullmatch(item)
    if not match:
        raise _not_a_value(index, item)
    low, high, step = match["low"], match["high"], match["step"]
    if high:
        _check_range(index, item, low, high)
    elif low:
        _value(index, low, item)
    values = _expand(index, item)
    if step and len(values) == 1:
        raise _CronError(
            "BOE066",
            f"the step in {item!r} ({_FIELDS[index]}) leaves the single value "
            f"{min(values)}",
            "write that value alone if it is meant; a longer distance than the field "
            "holds needs `every`",
        )
    return _Field(values)


def _refuse_foreign(index: int, item: str) -> None:
    for pattern, fields, what, instead in _FOREIGN:
        if index in fields and pattern.fullmatch(item):
            raise _CronError("BOE064", f"{item!r} ({_FIELDS[index]}) {what}", instead)


def _check_range(index: int, item: str, low: str, high: str) -> None:
    first, last = _value(index, low, item), _value(index, high, item)
    if index == WEEKDAY and last == 0 and (high == "7" or first):
        last = 7  # Sunday ends a week as well as it begins one
    if first == last or low.lower() == high.lower():
        raise _CronError(
            "BOE065",
            f"the range {item!r} ({_FIELDS[index]}) begins and ends with one value",
            f"write {low} alone, or * for all values",
        )
    if first > last:
        raise _CronError(
            "BOE065",
            f"the range {item!r} ({_FIELDS[index]}) runs backwards",
            f"to go over the end write {_over_the_end(index, first, last)}",
        )


def _over_the_end(index: int, first: int, last: int) -> str:
    if index == WEEKDAY:
        days = [(first + n) % 7 for n in range(last - first + 8)]
        return ",".join(_WEEKDAYS[day] for day in days)
    least, most = min(_expand(index, "*")), max(_expand(index, "*"))
    parts = ((first, most), (least, last))
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def _value(index: int, text: str, item: str) -> int:
    """A single value of a field, as croniter counts it."""
    try:
        return min(_expand(index, text))
    except _CronError:
        raise _not_a_value(index, item) from None


def _not_a_value(index: int, item: str) -> _CronError:
    return _CronError(
        "BOE064",
        f"{item!r} is not understood as {_FIELDS[index]}",
        f"values are {_SPANS[index]}; also lists 1,2, ranges 1-5 and steps */5",
    )


@lru_cache(maxsize=4096)
def _expand(index: int, item: str) -> frozenset[int]:
    """What croniter makes of an item standing alone in its field."""
    return _plain(index, item) or _by_croniter(index, item)


def _plain(index: int, item: str) -> frozenset[int]:
    """Of `*`, a value or a range that needs no second thought; else empty."""
    known = _VALUES[index]
    if item == "*":
        return frozenset(known.values())
    ends = [known.get(end, -1) for end in item.lower().split("-")]
    if -1 in ends or len(ends) > 2 or ends != sorted({*ends}):
        return frozenset()
    return frozenset(range(ends[0], ends[-1] + 1))


def _by_croniter(index: int, item: str) -> frozenset[int]:
    from croniter import CroniterError, croniter  # noqa: PLC0415 30 ms, only for some

    fields = ["*"] * 5
    fields[index] = item
    try:
        found = croniter.expand(" ".join(fields))[0][index]
    except CroniterError:
        raise _not_a_value(index, item) from None
    values = {value for value in found if isinstance(value, int)}
    return frozenset(values) or frozenset(
        range(croniter.RANGES[index][0], croniter.RANGES[index][1] + 1)
    )


def _uneven(index: int, item: str, path: Path) -> list[Finding]:
    """Warns of a step such as */7, which starts again at each full hour or day."""
    start, _, step = item.partition("/")
    cycle = _CYCLES.get(index)
    if not cycle or not step or "-" in start or cycle % int(step) == 0:
        return []
    values = sorted(_expand(index, item))
    rest = cycle - values[-1] + values[0]
    unit, whole = ("minutes", "hour") if index == MINUTE else ("hours", "day")
    warning = _CronError(
        "BOE070",
        f"{item!r} begins anew each {whole}: after {values[-1]} the next run comes "
        f"{rest} {unit} later, not {step}",
        f"use a step that divides {cycle}, or `every` for an even distance",
    )
    return [_finding(warning, path, "warning")]


# --- The days -------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _days(
    day: _Field, month: _Field, week: _Field, day_match: DayMatch | None
) -> CronDays:
    """Equal fields give the same object: looking up its days is then quicker."""
    by_date = day.values != ALL_DAYS
    by_weekday = len(week.values) < 7
    if by_date and week.nth:
        raise _CronError(
            "BOE068",
            "# in the day of week does not go with a restricted day of month",
            "write * for the day of month, or two crons in a list",
        )
    if by_date and by_weekday and day_match is None:
        raise _CronError(
            "BOE069",
            "day of month and day of week are both restricted; cron means either of "
            "them, most people mean both",
            "add `day_match: and` for days that match both, `day_match: or` for days "
            "that match one of them",
        )
    return CronDays(
        days=day.values,
        last=day.last,
        months=month.values or ALL_MONTHS,
        weekdays=_mondays_first(week.values) if by_weekday else ALL_WEEKDAYS,
        nth=frozenset(((number + 6) % 7, n) for number, n in week.nth),
        either=by_date and by_weekday and day_match == "or",
    )


def _mondays_first(values: frozenset[int]) -> frozenset[int]:
    """Sunday is 0 -> Monday is 0."""
    return frozenset((value + 6) % 7 for value in values)


def _check_silence(text: str, days: CronDays) -> None:
    if longest_silence(days) >= 10:
        raise _CronError(
            "BOE067",
            f"{text!r} never fires within 10 years",
            "look at the day of month, the month and the day of week together",
        )


@lru_cache(maxsize=4096)
def longest_silence(days: CronDays) -> int:
    """The most years in a row without a day, over the 28 that the calendar repeats."""
    dates, weekdays = days.days & _EVERY_MONTH, days.weekdays
    if (dates and weekdays == ALL_WEEKDAYS) or (weekdays and days.days == ALL_DAYS):
        return 0
    longest = silent = 0
    for year in (*range(2001, 2029), *range(2001, 2029)):
        months = range(year * 12, year * 12 + 12)
        silent = 0 if any(days.in_month(month) for month in months) else silent + 1
        longest = max(longest, silent)
    return longest
