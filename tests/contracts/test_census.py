"""What every ledger counts for those who watch it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from boe_reconciler.core.census import Census
from boe_reconciler.core.ports import Ledger
from boe_reconciler.core.runs import RunStatus
from tests.builders import a_manual_run, a_pause, a_schedule, an_activation, at

START = at("2026-03-01 06:30")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def hourly(ledger: Ledger) -> Ledger:
    ledger.activate(an_activation(a_schedule()), now=START)
    return ledger


def test_an_empty_ledger_counts_nothing(ledger: Ledger) -> None:
    assert ledger.census(now=START) == Census()


def test_open_runs_are_counted_by_status(hourly: Ledger) -> None:
    runs = [a_manual_run("daily", START, number=number) for number in range(3)]
    hourly.enqueue(runs, now=START)
    (claimed,) = hourly.claim("w", now=START, limit=1)
    assert hourly.census(now=START).open == {RunStatus.RUNNING: 1, RunStatus.PENDING: 2}
    hourly.wait(claimed.claim, START + HOUR, "query_failed", "No.", now=START)
    found = hourly.census(now=START).open
    assert found == {RunStatus.WAITING: 1, RunStatus.PENDING: 2}


def test_what_ended_is_counted_by_reason_for_a_day(hourly: Ledger) -> None:
    hourly.enqueue([a_manual_run("daily", START, number=1)], now=START)
    (claimed,) = hourly.claim("w", now=START, limit=1)
    hourly.finish(claimed.claim, RunStatus.FAILED, "query_failed", "No.", now=START)
    ended = {(RunStatus.FAILED, "query_failed"): 1}
    assert hourly.census(now=START + DAY).ended == ended
    assert hourly.census(now=START + DAY + HOUR).ended == {}


def test_what_nobody_ran_is_counted_too(hourly: Ledger) -> None:
    hourly.materialise(now=START)
    hourly.materialise(now=START + 5 * HOUR)
    ended = hourly.census(now=START + 5 * HOUR).ended
    assert ended == {(RunStatus.MISSED, "catchup_latest"): 4}
    hourly.materialise(now=START + 60 * HOUR)
    gaps = hourly.census(now=START + 60 * HOUR).gaps
    assert list(gaps) == ["catchup_latest"]
    assert gaps["catchup_latest"] > 50
    assert hourly.census(now=START + 90 * HOUR).gaps == {}


def test_schedules_are_counted_and_those_that_are_paused(hourly: Ledger) -> None:
    found = hourly.census(now=START)
    assert (found.schedules, found.paused) == (1, 0)
    hourly.pause(a_pause(START))
    found = hourly.census(now=START)
    assert (found.schedules, found.paused) == (1, 1)


def test_the_first_instants_are_told_at_which_something_is_due(hourly: Ledger) -> None:
    found = hourly.census(now=START)
    assert (found.next_due, found.next_start) == (at("2026-03-01 07:00"), None)
    hourly.materialise(now=at("2026-03-01 07:00"))
    found = hourly.census(now=START + HOUR)
    assert found.next_due == at("2026-03-01 08:00")
    assert found.next_start == at("2026-03-01 07:00")


def test_a_run_that_a_pause_holds_is_not_late(hourly: Ledger) -> None:
    hourly.materialise(now=at("2026-03-01 07:00"))
    hourly.pause(a_pause(at("2026-03-01 07:00")))
    found = hourly.census(now=START + HOUR)
    assert (found.open, found.next_start) == ({RunStatus.PENDING: 1}, None)
