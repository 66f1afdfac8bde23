"""Wall and monotonic clock apart: a machine that slept, clocks that were set, the calendar's edges."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from boe_reconciler.core.runs import RunStatus, Trigger
from boe_reconciler.destinations.local import LocalDestination
from boe_reconciler.engine.executor import Executor
from tests.engine.world import World, a_spec

HOURLY = {"cron": "30 * * * *", "timezone": "UTC"}
HOUR = 3600


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def settle(world: World, executor: Executor) -> None:
    """Step until nothing is in hand; time stands still."""
    while executor.step():
        world.ledger.wait_for_change(0.01)


def rows(world: World) -> dict[str, tuple[Trigger, RunStatus]]:
    """Local to UTC: day and time of each occurrence -> its trigger and end."""
    runs = [one.run for one in world.ledger.runs(limit=1000)]
    found = {f"{run.occurrence:%d %H:%M}": (run.trigger, run.status) for run in runs}
    assert len(found) == len(runs)
    assert world.ledger.broken_invariants(now=world.clock.now()) == []
    return found


def jumps(monkeypatch: pytest.MonkeyPatch, world: World) -> list[str]:
    """The messages of the events that tell of a clock that jumped."""
    told: list[str] = []
    real = world.ledger.note

    def note(events: Any) -> None:
        told.extend(one.message for one in events if one.action == "clock_jumped")
        real(events)

    monkeypatch.setattr(world.ledger, "note", note)
    return told


def served(world: World, **execution: Any) -> Executor:
    """Every hour at half past, served since 05:00."""
    world.serve(a_spec(execution=execution), when=HOURLY)
    executor = world.executor()
    executor.start()
    settle(world, executor)
    return executor


ORDINARY = (Trigger.SCHEDULE, RunStatus.SUCCEEDED)
CAUGHT_UP = (Trigger.CATCHUP, RunStatus.SUCCEEDED)
MISSED = (Trigger.CATCHUP, RunStatus.MISSED)


# --- A machine that slept -------------------------------------------------------------


@pytest.mark.parametrize("counted", [0, 8 * HOUR], ids=["not counted", "counted"])
def test_eight_hours_of_sleep_are_caught_up_like_any_outage(
    world: World, monkeypatch: pytest.MonkeyPatch, counted: int
) -> None:
    """Whether the monotonic clock counts sleep differs between systems."""
    told = jumps(monkeypatch, world)
    executor = served(world)
    world.clock.wall += timedelta(hours=8)
    world.clock.ticks += counted
    settle(world, executor)
    executor.drain(0)
    missed = {f"24 {hour:02d}:30": MISSED for hour in range(5, 12)}
    assert rows(world) == {**missed, "24 12:30": CAUGHT_UP}
    assert bool(told) == (counted == 0)


def test_a_run_that_slept_with_its_machine_goes_on_and_is_not_started_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = served(world, catchup="none")
    under_way, go_on = threading.Event(), threading.Event()
    real = LocalDestination.deliver

    def deliver(self: Any, shipments: Any, cancel: Any) -> Any:
        under_way.set()
        assert go_on.wait(10)
        return real(self, shipments, cancel)

    monkeypatch.setattr(LocalDestination, "deliver", deliver)
    world.clock.wall = at("2026-11-24 05:30")
    executor.step()
    assert under_way.wait(10)
    world.clock.wall += timedelta(hours=8)
    world.clock.ticks += 25  # a heartbeat is due: the first thing that it does
    executor.step()
    go_on.set()
    settle(world, executor)
    executor.drain(5)
    record = next(
        one
        for one in world.ledger.runs(limit=100)
        if one.run.occurrence == at("2026-11-24 05:30")
    )
    assert (record.run.status, record.run.fence) == (RunStatus.SUCCEEDED, 1)
    assert len(world.files()) == 1


# --- Clocks that were set -------------------------------------------------------------


def test_an_hour_forward_is_caught_up_and_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = jumps(monkeypatch, world)
    executor = served(world)
    world.clock.step_wall(HOUR)
    settle(world, executor)
    world.clock.move(1800)
    settle(world, executor)
    executor.drain(0)
    assert rows(world) == {"24 05:30": CAUGHT_UP, "24 06:30": ORDINARY}
    assert told == ["The wall clock moved +3600.0 s against the monotonic clock."]


def test_an_hour_back_repeats_nothing_and_goes_on_where_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = jumps(monkeypatch, world)
    executor = served(world)
    world.clock.move(1800)
    settle(world, executor)
    assert rows(world) == {"24 05:30": ORDINARY}
    world.clock.step_wall(-HOUR)
    for _ in range(12):
        world.clock.move(600)
        settle(world, executor)
    executor.drain(0)
    assert world.clock.now() == at("2026-11-24 06:30")
    assert rows(world) == {"24 05:30": ORDINARY, "24 06:30": ORDINARY}
    assert len(told) == 1


def test_what_somebody_asks_for_runs_though_the_clock_was_set_back(
    world: World,
) -> None:
    executor = served(world)
    world.clock.move(1800)
    settle(world, executor)
    world.clock.step_wall(-HOUR + 60)
    run_id = world.ask("daily")
    settle(world, executor)
    executor.drain(0)
    assert world.record(run_id).run.status is RunStatus.SUCCEEDED


def test_a_clock_that_swings_back_and_forth_runs_each_occurrence_once(
    world: World,
) -> None:
    executor = served(world)
    world.clock.wall = at("2026-11-24 05:29:50")
    for seconds in (15, -20, 25, -30, 35, -40, 60):
        world.clock.step_wall(seconds)
        settle(world, executor)
    executor.drain(0)
    assert rows(world) == {"24 05:30": ORDINARY}


def test_a_lease_survives_a_step_back_and_is_not_taken_after_a_step_forward(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = served(world, catchup="none")
    under_way, go_on = threading.Event(), threading.Event()
    real = LocalDestination.deliver

    def deliver(self: Any, shipments: Any, cancel: Any) -> Any:
        under_way.set()
        assert go_on.wait(10)
        return real(self, shipments, cancel)

    monkeypatch.setattr(LocalDestination, "deliver", deliver)
    world.clock.wall = at("2026-11-24 05:30")
    executor.step()
    assert under_way.wait(10)
    for seconds in (-HOUR, HOUR, 50 * 60):
        world.clock.step_wall(seconds)
        world.clock.ticks += 25
        executor.step()
    go_on.set()
    settle(world, executor)
    executor.drain(5)
    assert rows(world)["24 05:30"] == ORDINARY
    assert [one.run.fence for one in world.ledger.runs()] == [1]


# --- The calendar's edges -------------------------------------------------------------


def occurrences(
    world: World, when: dict[str, Any], since: str, until: str
) -> list[str]:
    """Serve from one instant to another, moving from due to due; local time of each run."""
    world.clock.wall = at(since)
    world.serve(a_spec(resolved={"timezone": when["timezone"]}), when=when)
    executor = world.executor()
    settle(world, executor)
    while True:
        (state,) = world.ledger.states()
        if state.next_due is None or state.next_due > at(until):
            break
        world.clock.move((state.next_due - world.clock.now()).total_seconds())
        settle(world, executor)
    executor.drain(0)
    runs = [one.run for one in world.ledger.runs(limit=1000)]
    assert {(run.trigger, run.status) for run in runs} <= {ORDINARY}
    assert world.ledger.broken_invariants(now=world.clock.now()) == []
    assert len(world.files()) == len(runs)
    return sorted(f"{run.occurrence:%Y-%m-%d %H:%M}" for run in runs)


@pytest.mark.parametrize(
    ("cron", "zone", "since", "until", "expected"),
    [
        # Spring: 02:30 does not exist, and 03:30 takes its place.
        (
            *("30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", "2026-03-30 12:00"),
            ["2026-03-29 01:30", "2026-03-30 00:30"],
        ),
        (
            *("30 2 * * *", "America/New_York", "2026-03-07 12:00", "2026-03-09 12:00"),
            ["2026-03-08 07:30", "2026-03-09 06:30"],
        ),
        # Autumn: 02:30 comes twice, and the first counts.
        (
            *("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", "2026-10-26 12:00"),
            ["2026-10-25 00:30", "2026-10-26 01:30"],
        ),
        (
            *("30 1 * * *", "America/New_York", "2026-10-31 12:00", "2026-11-02 12:00"),
            ["2026-11-01 05:30", "2026-11-02 06:30"],
        ),
        # Half an hour, the other way round.
        (
            *(
                "45 1 * * *",
                "Australia/Lord_Howe",
                "2026-04-04 00:00",
                "2026-04-05 20:00",
            ),
            ["2026-04-04 14:45", "2026-04-05 15:15"],
        ),
        # The leap day, once in four years.
        (
            *("0 6 29 2 *", "UTC", "2027-01-01 00:00", "2032-12-31 00:00"),
            ["2028-02-29 06:00", "2032-02-29 06:00"],
        ),
        # The last day of February, in a leap year and in the next.
        (
            *("0 6 L 2 *", "UTC", "2028-01-01 00:00", "2029-12-31 00:00"),
            ["2028-02-29 06:00", "2029-02-28 06:00"],
        ),
        # The year's end, far from Greenwich on either side.
        (
            *(
                "59 23 31 12 *",
                "Pacific/Auckland",
                "2026-12-30 00:00",
                "2027-12-31 23:00",
            ),
            ["2026-12-31 10:59", "2027-12-31 10:59"],
        ),
        (
            *("0 0 1 1 *", "Pacific/Pago_Pago", "2026-12-30 00:00", "2027-06-01 00:00"),
            ["2027-01-01 11:00"],
        ),
    ],
)
def test_each_edge_of_the_calendar_runs_once_at_the_right_instant(
    world: World, cron: str, zone: str, since: str, until: str, expected: list[str]
) -> None:
    when = {"cron": cron, "timezone": zone}
    assert occurrences(world, when, since, until) == expected


@pytest.mark.parametrize(
    ("night", "quarters"),
    [("2026-03-29", 9), ("2026-10-25", 17)],
    ids=["spring", "autumn"],
)
def test_quarter_hours_over_a_clock_change_are_real_quarter_hours(
    world: World, night: str, quarters: int
) -> None:
    """From midnight to three o'clock, both included: two real hours, or four."""
    start = datetime.fromisoformat(f"{night} 00:00").replace(tzinfo=UTC)
    since = start - timedelta(hours=1 if quarters == 9 else 2, minutes=1)
    until = since + timedelta(minutes=15 * (quarters - 1) + 2)
    when = {"cron": "*/15 * * * *", "timezone": "Europe/Berlin"}
    found = occurrences(
        world, when, f"{since:%Y-%m-%d %H:%M}", f"{until:%Y-%m-%d %H:%M}"
    )
    assert len(found) == quarters


@pytest.mark.parametrize(
    "outage", ["2026-03-29", "2026-10-25"], ids=["spring", "autumn"]
)
@pytest.mark.parametrize("catchup", ["latest", "all"])
def test_an_outage_over_a_clock_change_accounts_for_every_occurrence(
    world: World, outage: str, catchup: str
) -> None:
    world.clock.wall = at(f"{outage} 00:00") - timedelta(hours=6)
    spec = a_spec(execution={"catchup": catchup, "overlap": "buffer_all"})
    world.serve(spec, when={"cron": "30 * * * *", "timezone": "Europe/Berlin"})
    executor = world.executor()
    settle(world, executor)
    world.clock.move(12 * HOUR)
    settle(world, executor)
    executor.drain(0)
    ends = list(rows(world).values())
    assert len(ends) == 12
    assert ends.count(CAUGHT_UP) == (12 if catchup == "all" else 1)
