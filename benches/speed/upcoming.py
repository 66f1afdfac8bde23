"""The next runs of many schedules, beside croniter, which must name the same ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import process_time
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter

from benches import pages
from benches.speed.measure import Part, middle, spread
from boe_reconciler.core.calendar import Timetable, compile_when
from boe_reconciler.core.resources.when import When

DAYS = ("* * *", "* * mon-fri", "* * mon", "1 * *", "L * *", "* * 5#2", "1 1,7 *")
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "UTC",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Europe/London",
)
#: No clock changes in the week after it, of which the two think otherwise.
NOW = datetime(2026, 11, 23, 12, 30, 15, tzinfo=UTC)
WEEK = timedelta(days=7)


def measured(count: int, rounds: int) -> Part:
    given = schedules(count)
    start = process_time()
    tables = compiled(given)
    compiling = process_time() - start
    some, few = given[: count // 10], tables[: count // 10]
    lines = [
        _line(
            f"the next run of {count:,}",
            lambda: [table.next(NOW) for table in tables],
            lambda: [_next(cron, zone) for cron, zone in given],
            rounds,
        ),
        _line(
            f"a week of {count // 10:,}",
            lambda: [table.between(NOW, NOW + WEEK) for table in few],
            lambda: [_week(cron, zone) for cron, zone in some],
            rounds,
        ),
    ]
    head = ("asked for", "BOE, seconds of CPU", "croniter", "time of BOE's")
    return Part(
        text=f"### When schedules run next\n\n{pages.table(head, lines)}\n\n"
        f"Both name the same instants. Compiling {count:,} schedules took {compiling:.2f} s before.\n"
    )


def schedules(count: int) -> list[tuple[str, str]]:
    times = itertools.product(range(0, 60, 7), range(24))
    space = itertools.product(times, DAYS, ZONES)
    found = [(f"{m} {h} {days}", zone) for (m, h), days, zone in space]
    return found[:count]


def compiled(given: list[tuple[str, str]]) -> list[Timetable]:
    made = [compile_when(When(cron=cron, timezone=zone)) for cron, zone in given]
    return [one.timetable for one in made if one.timetable]


def _next(cron: str, zone: str) -> datetime:
    found: datetime = _croniter(cron, zone).get_next(datetime)
    return found.astimezone(UTC)


def _week(cron: str, zone: str) -> list[datetime]:
    runs = _croniter(cron, zone)
    found = []
    while (following := runs.get_next(datetime)) <= NOW + WEEK:
        found.append(following.astimezone(UTC))
    return found


def _croniter(cron: str, zone: str) -> croniter:
    return croniter(cron, NOW.astimezone(ZoneInfo(zone)))


def _line(
    what: str,
    ours: Callable[[], list[Any]],
    theirs: Callable[[], list[Any]],
    rounds: int,
) -> tuple[str, ...]:
    took: list[tuple[float, float]] = []
    for _ in range(rounds):
        (mine, found), (other, expected) = _timed(ours), _timed(theirs)
        if found != expected:
            raise RuntimeError(f"{what}: not what croniter says")
        took.append((mine, other))
    mean = [middle(times) for times in zip(*took, strict=True)]
    ratio = spread(other / mine for mine, other in took)
    return (what, f"{mean[0]:.3f}", f"{mean[1]:.3f}", f"{ratio} x")


def _timed(work: Callable[[], list[Any]]) -> tuple[float, list[Any]]:
    start = process_time()
    found = work()
    return process_time() - start, found
