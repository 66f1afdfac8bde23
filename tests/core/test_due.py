"""What a schedule owes, and what becomes of it after an outage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core import due
from boe_reconciler.core.calendar import jitter_of
from boe_reconciler.core.due import Owed, Standing, Ticks
from boe_reconciler.core.resources.others import CalendarSpec
from boe_reconciler.core.resources.schedule import Execution
from boe_reconciler.core.resources.when import When
from boe_reconciler.core.runs import RunStatus, Trigger
from boe_reconciler.core.spec import OccurrenceSet, timing_json
from tests.builders import at

START = at("2026-03-01 06:30")
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def occurrences(when: Mapping[str, Any] | None = None, **fields: Any) -> OccurrenceSet:
    found = When.model_validate({"every": "1h", "timezone": "UTC", **(when or {})})
    return OccurrenceSet(when=found, timezone="UTC", **fields)


def standing(
    when: Mapping[str, Any] | None = None, since: datetime = START, **execution: Any
) -> Standing:
    timing = timing_json(occurrences(when), Execution.model_validate(execution))
    return Standing(
        name="daily",
        uid="u1",
        revision="r1",
        spec_digest="d1",
        timing=timing,
        covered_from=since,
        high_water=since,
        next_due=None,
        paused_in_git=False,
    )


def told(owed: Owed) -> list[str]:
    """Each row as time, trigger and status or reason."""
    return [
        f"{run.occurrence:%d %H:%M} {run.trigger} {run.reason or run.status}"
        for run in owed.runs
    ]


def covered(owed: Owed) -> int:
    return len(owed.runs) + sum(gap.count for gap in owed.gaps)


def test_nothing_is_owed_before_the_first_occurrence() -> None:
    owed = due.owed(standing(), Ticks(), START)
    assert (owed.runs, owed.gaps) == ((), ())
    assert owed.standing.next_due == at("2026-03-01 07:00")


def test_an_occurrence_within_the_minute_is_ordinary() -> None:
    owed = due.owed(standing(), Ticks(), at("2026-03-01 07:01"))
    assert told(owed) == ["01 07:00 schedule pending"]
    assert owed.standing.high_water == at("2026-03-01 07:01")
    assert owed.standing.next_due == at("2026-03-01 08:00")


def test_a_minute_later_it_is_caught_up() -> None:
    owed = due.owed(standing(), Ticks(), at("2026-03-01 07:01") + timedelta(seconds=1))
    assert told(owed) == ["01 07:00 catchup pending"]


def test_catchup_latest_runs_the_newest() -> None:
    owed = due.owed(standing(), Ticks(), at("2026-03-01 09:30"))
    assert told(owed) == [
        "01 07:00 catchup catchup_latest",
        "01 08:00 catchup catchup_latest",
        "01 09:00 catchup pending",
    ]


def test_what_is_on_time_is_ordinary_beside_what_is_caught_up() -> None:
    owed = due.owed(standing(), Ticks(), at("2026-03-01 09:00"))
    assert told(owed) == [
        "01 07:00 catchup catchup_latest",
        "01 08:00 catchup pending",
        "01 09:00 schedule pending",
    ]


def test_catchup_all_runs_the_newest_few() -> None:
    owed = due.owed(
        standing(catchup="all", catchup_max_runs=2), Ticks(), at("2026-03-01 10:30")
    )
    assert told(owed) == [
        "01 07:00 catchup catchup_max_runs",
        "01 08:00 catchup catchup_max_runs",
        "01 09:00 catchup pending",
        "01 10:00 catchup pending",
    ]


def test_catchup_none_runs_none() -> None:
    owed = due.owed(standing(catchup="none"), Ticks(), at("2026-03-01 08:30"))
    assert told(owed) == [
        "01 07:00 catchup catchup_none",
        "01 08:00 catchup catchup_none",
    ]


@pytest.mark.parametrize(
    ("window", "first"), [("90m", "01 09:00"), ("30m", "01 10:00"), ("20m", None)]
)
def test_what_is_older_than_the_window_is_missed(
    window: str, first: str | None
) -> None:
    late = standing(catchup="all", catchup_window=window)
    owed = due.owed(late, Ticks(), at("2026-03-01 10:30"))
    running = [one[:8] for one in told(owed) if one.endswith("pending")]
    assert running[:1] == ([first] if first else [])
    assert {run.reason for run in owed.runs} <= {"", "catchup_window"}
    assert covered(owed) == 4


@pytest.mark.parametrize(
    ("when", "late", "runs"),
    [
        ({"every": "7d"}, 6 * DAY, True),
        ({"every": "1h"}, 6 * DAY, True),
        ({"every": None, "cron": "0 7 1 * *"}, 30 * DAY, True),
        ({"every": None, "cron": "0 7 1 3 *"}, 30 * DAY, True),
        ({"every": None, "cron": "0 7 1 3 *"}, 32 * DAY, False),
        ({"every": None, "once": ["2026-03-01T07:00:00+00:00"]}, 30 * DAY, True),
        ({"every": None, "once": ["2026-03-01T07:00:00+00:00"]}, 32 * DAY, False),
    ],
)
def test_the_window_lasts_to_the_next_occurrence_or_a_month(
    when: Mapping[str, Any], late: timedelta, runs: bool
) -> None:
    given_ = {"anchor": "2026-03-01T07:00:00+00:00"} if when["every"] == "7d" else {}
    found = standing({**when, **given_})
    owed = due.owed(found, Ticks(), at("2026-03-01 07:00") + late)
    pending = [run for run in owed.runs if run.status is RunStatus.PENDING]
    assert bool(pending) == runs


def test_many_misses_are_one_gap() -> None:
    late = standing(catchup_max_runs=3)
    few = due.owed(late, Ticks(), at("2026-03-01 10:30"))
    assert (len(few.runs), few.gaps) == (4, ())
    many = due.owed(late, Ticks(), at("2026-03-01 11:30"))
    assert told(many) == ["01 11:00 catchup pending"]
    (gap,) = many.gaps
    assert (gap.since, gap.count, gap.reason) == (START, 4, "catchup_latest")
    assert at("2026-03-01 10:00") <= gap.until < at("2026-03-01 11:00")


def test_ten_years_of_seconds_are_counted_not_listed() -> None:
    owed = due.owed(standing({"every": "1s"}), Ticks(), START + 3650 * DAY)
    assert len(owed.runs) == 1 + 61
    assert covered(owed) == 3650 * 86_400


def test_a_run_expires_with_its_deadline_or_its_window() -> None:
    both = standing(deadline="15m", catchup_window="10m")
    (run,) = due.owed(both, Ticks(), at("2026-03-01 07:00")).runs
    assert run.expires == at("2026-03-01 07:10")
    assert run.expires_reason == "catchup_window"
    (run,) = due.owed(standing(deadline="15m"), Ticks(), at("2026-03-01 07:00")).runs
    assert (run.expires, run.expires_reason) == (at("2026-03-01 07:15"), "deadline")


def test_jitter_moves_the_start_and_not_the_occurrence() -> None:
    spread = standing({"jitter": "30m"})
    (run,) = due.owed(spread, Ticks(), at("2026-03-01 07:00")).runs
    after = jitter_of("u1", run.occurrence, 30 * MINUTE, run.occurrence + HOUR)
    assert run.run_id == "daily.20260301T070000Z"
    assert run.not_before == run.occurrence + after
    assert timedelta() < after < 30 * MINUTE


# --- Who was there ------------------------------------------------------------------


def test_a_living_executor_that_ticks_late_is_no_outage() -> None:
    ticks = Ticks()
    for seconds in range(0, 301, 30):
        ticks = ticks.and_now(START + timedelta(seconds=seconds))
    assert ticks.since == START
    late = standing({"every": "1m"}, since=START)
    owed = due.owed(late, ticks, START + timedelta(seconds=310))
    assert {run.trigger for run in owed.runs} == {Trigger.SCHEDULE}


def test_after_an_outage_all_batches_are_late_alike() -> None:
    now = START + 5 * HOUR
    old = Ticks(since=START - HOUR, last=START)
    first = due.owed(standing(), old, now)
    later = due.owed(standing(), old.and_now(now), now + timedelta(seconds=20))
    assert told(first) == told(later)


def test_a_chain_of_ticks_outlives_a_clock_set_back() -> None:
    chain = Ticks(since=START, last=START + HOUR).and_now(START - HOUR)
    assert chain == Ticks(since=START - HOUR, last=START - HOUR)


# --- Pauses -------------------------------------------------------------------------


def test_a_paused_schedule_owes_nothing_until_its_pause_ends() -> None:
    forever = replace(standing(), paused=True)
    owed = due.owed(forever, Ticks(), START + DAY)
    assert (owed.runs, owed.gaps, owed.standing) == ((), (), forever)
    until = replace(forever, paused_until=at("2026-03-01 08:30"))
    assert due.owed(until, Ticks(), START).standing.next_due == until.paused_until
    owed = due.owed(until, Ticks(), at("2026-03-01 09:00"))
    assert told(owed) == ["01 09:00 schedule pending"]
    (gap,) = owed.gaps
    assert (gap.count, gap.reason, gap.until) == (2, "paused", until.paused_until)
    assert not owed.standing.paused


def test_a_pause_in_which_nothing_fell_leaves_no_gap() -> None:
    paused = replace(standing(), paused=True)
    ended = due.unpaused(paused, START + MINUTE)
    assert (ended.gaps, ended.standing.high_water) == ([], START + MINUTE)
    back = due.unpaused(paused, START - MINUTE)
    assert (back.gaps, back.standing.high_water) == ((), START)


# --- Clocks and sets ----------------------------------------------------------------


def test_a_clock_set_back_owes_nothing_twice() -> None:
    owed = due.owed(standing(), Ticks(), START - HOUR)
    assert (owed.runs, owed.standing.high_water) == ((), START)
    assert owed.standing.next_due == at("2026-03-01 07:00")


def test_a_set_of_occurrences_is_the_same_whatever_else_changes() -> None:
    def text(jitter: str | None = None, **execution: Any) -> str:
        rules = Execution.model_validate(execution)
        return timing_json(occurrences({"jitter": jitter}), rules)

    assert due.same_occurrences(text(), text())
    assert due.same_occurrences(text(), text(jitter="5m", overlap="allow_all"))
    other = timing_json(occurrences({"every": "2h"}), Execution())
    assert not due.same_occurrences(text(), other)


def test_a_calendar_counts_as_part_of_the_set() -> None:
    def text(off: str) -> str:
        when = {"every": None, "cron": "0 7 * * *", "calendar": "bank"}
        calendar = CalendarSpec.model_validate({"days_off": [off]})
        return timing_json(occurrences(when, calendar=calendar), Execution())

    assert due.same_occurrences(text("2026-12-25"), text("2026-12-25"))
    assert not due.same_occurrences(text("2026-12-25"), text("2026-12-24"))


def test_a_when_that_is_no_longer_understood_owes_nothing() -> None:
    wrong = standing({"timezone": "Nowhere/Land"})
    owed = due.owed(wrong, Ticks(), START + DAY)
    assert (owed.runs, owed.standing.next_due) == ([], None)
    assert due.execution(wrong) == Execution()


@given(
    st.lists(st.integers(1, 200_000), min_size=1, max_size=12),
    st.sampled_from(["latest", "all", "none"]),
    st.sampled_from(["7m", "1h", "1d"]),
    st.sampled_from([1, 3, 20]),
)
def test_whenever_it_ticks_each_occurrence_is_covered_once(
    pauses: list[int], catchup: str, every: str, most: int
) -> None:
    found = standing({"every": every}, catchup=catchup, catchup_max_runs=most)
    now, ticks, count = START, Ticks(), 0
    seen: set[datetime] = set()
    for seconds in pauses:
        now += timedelta(seconds=seconds)
        owed = due.owed(found, ticks, now)
        times = [run.occurrence for run in owed.runs]
        assert times == sorted(times)
        assert not seen & set(times)
        assert len(owed.runs) <= 2 * most + 2
        for gap in owed.gaps:
            assert not any(gap.since < one <= gap.until for one in times)
        seen |= set(times)
        count += covered(owed)
        found, ticks = owed.standing, ticks.and_now(now)
    assert count == due.timetable(found).count(START, now)
