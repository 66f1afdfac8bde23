"""How fast timetables answer, side by side with croniter: `python benches/occurrences.py`.

10,000 schedules over the crons and zones below; each engine is asked for the next run
of all of them, and for a week of the first 1,000. The best of three rounds counts.
"""

from __future__ import annotations

import itertools
import sys
import timeit
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter

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
NOW = datetime(2026, 11, 23, 12, 30, 15, tzinfo=UTC)
WEEK = timedelta(days=7)


def schedules() -> list[tuple[str, str]]:
    times = itertools.product(range(0, 60, 7), range(24))
    space = itertools.product(times, DAYS, ZONES)
    return [(f"{m} {h} {days}", zone) for (m, h), days, zone in space][:10_000]


def compiled(given: list[tuple[str, str]]) -> list[Timetable]:
    made = [compile_when(When(cron=cron, timezone=zone)) for cron, zone in given]
    return [one.timetable for one in made if one.timetable]


def croniter_next(given: list[tuple[str, str]]) -> None:
    for cron, zone in given:
        croniter(cron, NOW.astimezone(ZoneInfo(zone))).get_next(datetime)


def croniter_week(given: list[tuple[str, str]]) -> None:
    for cron, zone in given:
        runs = croniter(cron, NOW.astimezone(ZoneInfo(zone)))
        while runs.get_next(datetime) <= NOW + WEEK:
            pass


def best(work: Callable[[], object]) -> float:
    return min(timeit.repeat(work, number=1, repeat=3))


def report(what: str, ours: float, theirs: float) -> None:
    ratio = theirs / ours
    sys.stdout.write(f"{what:34} {ours:8.3f} s {theirs:8.3f} s {ratio:7.0f} x\n")


def main() -> None:
    given = schedules()
    started = timeit.default_timer()
    tables = compiled(given)
    took = timeit.default_timer() - started
    sys.stdout.write(f"compiling {len(tables)} schedules: {took:.3f} s\n")
    sys.stdout.write(f"{'':34} {'here':>10} {'croniter':>10}\n")
    report(
        f"next run of {len(given):,}",
        best(lambda: [table.next(NOW) for table in tables]),
        best(lambda: croniter_next(given)),
    )
    report(
        "a week of 1,000",
        best(lambda: [table.between(NOW, NOW + WEEK) for table in tables[:1000]]),
        best(lambda: croniter_week(given[:1000])),
    )


if __name__ == "__main__":
    main()
