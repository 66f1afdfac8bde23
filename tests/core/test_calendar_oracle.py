"""Timetables against an oracle that looks at every minute, around every clock change."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
import pytz

from boe_reconciler.core.calendar import Timetable, compile_when, zones
from boe_reconciler.core.resources.when import When
from tests.oracles.minutes import (
    MINUTES_A_DAY,
    Expression,
    Window,
    changes,
    occurrences,
    random_expression,
    window,
)

FIRST_YEAR, LAST_YEAR = 2005, 2035
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: pytz has no zone for the place that has no time.
ZONES = sorted(zones.names() - {"Factory"})


def instant(minutes: int) -> datetime:
    return EPOCH + timedelta(minutes=minutes)


def timetable(
    zone: str, expression: Expression, dst: dict[str, str] | None
) -> Timetable | None:
    """None for the few random expressions that never fire."""
    when = When.model_validate(
        {
            "cron": expression.text,
            "timezone": zone,
            "day_match": expression.day_match,
            "dst": dst,
        }
    )
    compiled = compile_when(when)
    errors = [each.code for each in compiled.findings if each.severity == "error"]
    assert errors in ([], ["BOE067"]), compiled.findings
    return compiled.timetable


def differences(
    zone: str, at: int, seen: Window, chance: random.Random
) -> Iterable[str]:
    near = (EPOCH + timedelta(minutes=at)).astimezone(zones.zone(zone))
    expression = random_expression(chance, near.replace(tzinfo=None))
    dst = {}
    if chance.random() < 0.25:
        dst["gap"] = chance.choice(["shift", "skip"])
    if chance.random() < 0.25:
        dst["fold"] = chance.choice(["first", "last", "both"])
    table = timetable(zone, expression, dst or None)
    if table is None:
        return
    low, high = at - 2 * MINUTES_A_DAY, at + 2 * MINUTES_A_DAY
    due = occurrences(seen, expression, dst.get("gap"), dst.get("fold"))
    want = [instant(minute) for minute in due if low < minute <= high]
    got = table.between(instant(low), instant(high))
    if got != want:
        odd = [f"{each:%F %R}" for each in sorted(set(got) ^ set(want))[:5]]
        yield f"{zone} {instant(at)} {expression} {dst}: {odd}"
    if table.count(instant(low), instant(high)) != len(want):
        yield f"{zone} {instant(at)} {expression} {dst}: count"


def compare(
    places: Iterable[tuple[str, int]], chance: random.Random, times: int
) -> list[str]:
    found: list[str] = []
    for zone, at in places:
        seen = window(zone, at - 3 * MINUTES_A_DAY, at + 3 * MINUTES_A_DAY)
        for _ in range(times):
            found += differences(zone, at, seen, chance)
    return found


def places() -> list[tuple[str, int]]:
    return [(zone, at) for zone in ZONES for at in changes(zone, FIRST_YEAR, LAST_YEAR)]


def test_both_opinions_read_the_same_zone_data() -> None:
    assert pytz.OLSON_VERSION == zones.TZDB_VERSION


def test_a_sample_of_clock_changes_agrees_with_the_oracle() -> None:
    chance = random.Random(20261031)
    assert compare(chance.sample(places(), 150), chance, 5) == []


def test_a_sample_of_ordinary_days_agrees_with_the_oracle() -> None:
    chance = random.Random(20270328)
    start, end = (
        int((datetime(year, 1, 1, tzinfo=UTC) - EPOCH).total_seconds()) // 60
        for year in (FIRST_YEAR, LAST_YEAR)
    )
    some = [(zone, chance.randint(start, end)) for zone in chance.sample(ZONES, 40)]
    assert compare(some, chance, 5) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_clock_change_of_every_zone_agrees_with_the_oracle() -> None:
    everything = places()
    assert len(everything) > 13_000
    assert compare(everything, random.Random(1), 12) == []
