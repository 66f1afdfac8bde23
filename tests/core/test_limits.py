"""What a Connection's limits mean."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core import limits
from boe_reconciler.core.limits import Breaker, Budget, Limits, Phase, Use
from boe_reconciler.core.resources.connection import (
    CircuitBreaker,
    DuckDBConnection,
)
from tests.builders import at

NOW = at("2026-03-01 12:00")
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
RULES = CircuitBreaker(failures=2, open_for=timedelta(minutes=5))


def window(cron: str, duration: str, timezone: str | None = "UTC") -> dict[str, Any]:
    return {"cron": cron, "duration": duration, "timezone": timezone}


def some(**fields: Any) -> Limits:
    return Limits.model_validate(fields)


def end(now: str, *windows: dict[str, Any]) -> datetime | None:
    return limits.blackout_end(some(blackouts=list(windows)), at(now))


def use(running: int = 0, **fields: Any) -> tuple[int | None, str]:
    """The room there is, and what bounds it."""
    state = {one: fields.pop(one) for one in ("breaker", "budget") if one in fields}
    trying = fields.pop("trying", False)
    one = Use(name="db", limits=some(**fields), **state)
    found = limits.room(one, running, NOW, trying=trying)
    return found.starts, found.reason


# --- Blackouts ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-01 01:59", None),
        ("2026-03-01 02:00", "2026-03-01 03:00"),
        ("2026-03-01 02:59", "2026-03-01 03:00"),
        ("2026-03-01 03:00", None),
    ],
)
def test_a_blackout_lasts_from_its_cron_for_its_duration(
    now: str, until: str | None
) -> None:
    expected = at(until) if until else None
    assert end(now, window("0 2 * * *", "1h")) == expected


def test_without_blackouts_there_is_none() -> None:
    assert end("2026-03-01 02:00") is None


def test_the_spec_of_a_connection_can_be_asked_itself() -> None:
    spec = DuckDBConnection.model_validate(
        {"type": "duckdb", "blackouts": [window("0 12 * * *", "1h")]}
    )
    assert limits.blackout_end(spec, NOW) == at("2026-03-01 13:00")


def test_windows_that_overlap_or_touch_are_one_blackout() -> None:
    night = window("0 22 * * *", "4h")
    backup = window("0 1 * * *", "2h")
    load = window("0 3 * * *", "30m")
    assert end("2026-03-01 23:00", load, night, backup) == at("2026-03-02 03:30")
    assert end("2026-03-01 22:00", night, window("1 2 * * *", "1h")) == at(
        "2026-03-02 02:00"
    )


def test_a_window_may_overlap_itself() -> None:
    assert end("2026-03-01 12:00", window("0 12,13 * * *", "90m")) == at(
        "2026-03-01 14:30"
    )


def test_a_blackout_without_an_end_is_told_of_for_a_while() -> None:
    always = window("0 * * * *", "1h")
    until = end("2026-03-01 12:30", always)
    assert until == at("2026-03-01 12:00") + timedelta(hours=100)


def test_windows_open_by_the_clock_of_their_zone() -> None:
    summer = window("0 2 * * *", "1h", "Europe/Berlin")
    assert end("2026-07-01 00:30", summer) == at("2026-07-01 01:00")
    assert end("2026-12-01 00:30", summer) is None
    # 02:00 does not exist on that day: it opens at 03:00.
    assert end("2026-03-29 01:30", summer) == at("2026-03-29 02:00")


def test_a_window_without_a_zone_is_in_utc() -> None:
    assert end("2026-03-01 02:30", window("0 2 * * *", "1h", None)) == at(
        "2026-03-01 03:00"
    )


def test_a_cron_that_never_fires_never_opens() -> None:
    assert end("2026-03-01 02:30", window("0 0 31 2 *", "1h")) is None


# --- The circuit breaker --------------------------------------------------------------


def after(*failures: datetime, breaker: Breaker = limits.NEVER_FAILED) -> Breaker:
    for instant in failures:
        breaker = limits.failed(breaker, RULES, f"refused at {instant:%H:%M}", instant)
    return breaker


def test_a_breaker_opens_after_so_many_failures_in_a_row() -> None:
    one, two = after(NOW), after(NOW, NOW + MINUTE)
    assert limits.phase(one, RULES, NOW) is Phase.CLOSED
    assert limits.phase(two, RULES, NOW + MINUTE) is Phase.OPEN
    assert (two.opened_at, two.cause) == (NOW + MINUTE, "refused at 12:01")


def test_after_its_cooldown_it_is_half_open() -> None:
    breaker = after(NOW, NOW)
    just = NOW + RULES.open_for
    assert limits.phase(breaker, RULES, just - SECOND) is Phase.OPEN
    assert limits.phase(breaker, RULES, just) is Phase.HALF_OPEN


def test_a_failed_try_opens_it_again_at_once() -> None:
    later = NOW + RULES.open_for
    again = after(later, breaker=after(NOW, NOW))
    assert limits.phase(again, RULES, later) is Phase.OPEN
    assert (again.opened_at, again.failures, again.trying) == (later, 3, None)


def test_what_began_before_it_opened_keeps_it_open_no_longer() -> None:
    breaker = after(NOW, NOW, NOW + MINUTE)
    assert (breaker.opened_at, breaker.failures) == (NOW, 3)


def test_without_rules_or_with_the_clock_set_back_nothing_is_open() -> None:
    breaker = after(NOW, NOW)
    assert limits.phase(breaker, None, NOW) is Phase.CLOSED
    assert limits.phase(breaker, RULES, NOW - MINUTE) is Phase.HALF_OPEN


# --- The rate -------------------------------------------------------------------------


def test_a_new_budget_holds_a_second_of_starts_and_at_least_one() -> None:
    assert limits.budget(None, 5.0, NOW).tokens == 5.0
    assert limits.budget(None, 0.1, NOW).tokens == 1.0


def test_tokens_come_back_with_time_up_to_a_second_of_them() -> None:
    empty = limits.spent(None, 4.0, 4, NOW)
    assert empty == Budget(tokens=0.0, at=NOW)
    assert limits.budget(empty, 4.0, NOW + SECOND / 2).tokens == 2.0
    assert limits.budget(empty, 4.0, NOW + MINUTE).tokens == 4.0


def test_a_clock_that_was_set_back_holds_up_nothing() -> None:
    empty = limits.spent(None, 1.0, 1, NOW)
    back = NOW - timedelta(hours=1)
    free = limits.next_free(empty, 1.0, back)
    one = Use(name="db", limits=some(rate_limit={"per_second": 1.0}), budget=empty)
    assert limits.room(one, 0, free).starts == 1


def test_the_next_start_is_when_a_whole_token_is_there() -> None:
    empty = limits.spent(None, 0.5, 1, NOW)
    assert limits.next_free(empty, 0.5, NOW) == NOW + 2 * SECOND
    assert limits.next_free(None, 0.5, NOW) == NOW


@given(
    rate=st.floats(0.001, 1000),
    tokens=st.floats(0, 1),
    micros=st.integers(0, 10**9),
)
def test_at_the_instant_that_was_named_there_is_room(
    rate: float, tokens: float, micros: int
) -> None:
    known = Budget(tokens=tokens, at=NOW)
    now = NOW + timedelta(microseconds=micros)
    free = limits.next_free(known, rate, now)
    one = Use(name="db", limits=some(rate_limit={"per_second": rate}), budget=known)
    assert (limits.room(one, 0, free).starts or 0) >= 1


@given(rate=st.floats(0.1, 50), steps=st.lists(st.integers(0, 3_000_000), max_size=40))
def test_never_more_start_than_the_rate_allows(rate: float, steps: list[int]) -> None:
    now, known, started = NOW, None, 0
    for step in steps:
        now += timedelta(microseconds=step)
        one = Use(name="db", limits=some(rate_limit={"per_second": rate}), budget=known)
        starts = limits.room(one, 0, now).starts or 0
        known = limits.spent(known, rate, starts, now)
        started += starts
    allowed = max(rate, 1.0) + (now - NOW).total_seconds() * rate
    assert started <= allowed + 1e-6


# --- All together ---------------------------------------------------------------------


def test_what_has_no_limits_always_has_room() -> None:
    assert use(running=1000) == (None, "")
    assert limits.limits_of(DuckDBConnection(type="duckdb")) == limits.UNLIMITED


@pytest.mark.parametrize(("running", "left"), [(0, 2), (1, 1), (2, 0), (5, 0)])
def test_no_more_than_max_concurrent_use_it(running: int, left: int) -> None:
    assert use(running, max_concurrent=2) == (left, "connection_limit")


def test_a_blackout_or_an_open_breaker_leaves_no_room() -> None:
    dark = {"blackouts": [window("0 12 * * *", "1h")], "max_concurrent": 2}
    assert use(**dark) == (0, "blackout")
    opened = Breaker(failures=5, opened_at=NOW)
    assert use(circuit_breaker={}, breaker=opened) == (0, "breaker_open")


def test_a_half_open_breaker_has_room_for_one_try() -> None:
    cold = Breaker(failures=5, opened_at=NOW - 5 * MINUTE)
    assert use(circuit_breaker={}, breaker=cold) == (1, "breaker_open")
    assert use(circuit_breaker={}, breaker=cold, trying=True) == (0, "breaker_open")
    closed = Breaker(failures=4)
    assert use(circuit_breaker={}, breaker=closed) == (None, "")


def test_the_tightest_limit_counts() -> None:
    both = {"max_concurrent": 9, "rate_limit": {"per_second": 3.0}}
    assert use(**both) == (3, "rate_limit")
    assert use(8, **both) == (1, "connection_limit")
    assert use(rate_limit={"per_session": 100}) == (None, "")


def test_it_can_be_asked_what_held_it_at_an_earlier_instant() -> None:
    one = Use(
        name="db",
        limits=some(circuit_breaker={}, blackouts=[window("0 2 * * *", "1h")]),
        breaker=Breaker(failures=5, opened_at=NOW),
    )
    assert limits.held_at(one, at("2026-03-01 02:30")) == "blackout"
    assert limits.held_at(one, NOW + MINUTE) == "breaker_open"
    assert limits.held_at(one, NOW - MINUTE) == ""


def test_a_state_tells_each_limit_and_what_holds_the_next_one() -> None:
    one = Use(
        name="db",
        limits=some(
            max_concurrent=3,
            circuit_breaker={"failures": 2, "open_for": "5m"},
            rate_limit={"per_second": 1.0},
        ),
        breaker=Breaker(failures=2, opened_at=NOW - MINUTE, cause="refused"),
        budget=Budget(tokens=0.0, at=NOW),
    )
    state = limits.state_of(one, 2, NOW)
    assert (state.running, state.max_concurrent, state.held_by) == (
        2,
        3,
        "breaker_open",
    )
    assert (state.breaker, state.breaker_until) == (Phase.OPEN, NOW + 4 * MINUTE)
    assert (state.failures, state.cause) == (2, "refused")
    assert (state.blackout_until, state.next_by_rate) == (None, NOW + SECOND)


def test_the_state_of_what_is_free_names_nothing() -> None:
    one = Use(name="db", limits=some(max_concurrent=2))
    state = limits.state_of(one, 1, NOW)
    assert (state.held_by, state.breaker, state.next_by_rate) == (
        "",
        Phase.CLOSED,
        None,
    )
    assert state.breaker_until is None
