"""Which runs start, wait or are skipped: a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pytest

from boe_reconciler.core.limits import Left, Room
from boe_reconciler.core.overlap import Candidate, Decision, decide
from tests.builders import at

START = at("2026-03-01 07:00")


def due(name: str, overlap: str, **fields: object) -> Candidate:
    """The run `name` of one schedule, due at its place in the alphabet."""
    time = START + timedelta(hours=ord(name) - ord("a"))
    values = {
        "run_id": name,
        "schedule_uid": "u1",
        "not_before": time,
        "occurrence": time,
        "overlap": overlap,
        "max_concurrent": None,
        "skippable": True,
    }
    return Candidate(**{**values, **fields})  # type: ignore[arg-type]  # values of each kind


def decided(
    candidates: Sequence[Candidate],
    running: Mapping[str, int],
    limit: int,
    rooms: Mapping[str, Room] | None = None,
) -> Decision:
    """With these as all that may start."""
    newest: dict[str, datetime] = {}
    for one in candidates:
        if one.skippable:
            before = newest.get(one.schedule_uid, one.occurrence)
            newest[one.schedule_uid] = max(before, one.occurrence)
    return decide(candidates, running, newest, Left(rooms or {}), limit)


@pytest.mark.parametrize(
    ("overlap", "running", "start", "skip", "make_way"),
    [
        ("skip", 0, "a", "bc", False),
        ("skip", 1, "", "abc", False),
        ("buffer_one", 0, "a", "b", False),
        ("buffer_one", 1, "", "ab", False),
        ("buffer_all", 0, "a", "", False),
        ("buffer_all", 1, "", "", False),
        ("cancel_other", 0, "c", "ab", False),
        ("cancel_other", 1, "", "ab", True),
        ("allow_all", 5, "abc", "", False),
    ],
)
def test_three_due_runs_of_a_schedule(
    overlap: str, running: int, start: str, skip: str, make_way: bool
) -> None:
    decision = decided([due(name, overlap) for name in "abc"], {"u1": running}, 9)
    assert ("".join(decision.start), "".join(decision.skip)) == (start, skip)
    assert bool(decision.make_way) == make_way


@pytest.mark.parametrize(
    "overlap", ["skip", "buffer_one", "buffer_all", "cancel_other"]
)
def test_what_somebody_asked_for_waits(overlap: str) -> None:
    asked = due("a", overlap, skippable=False)
    assert decided([asked], {"u1": 0}, 9).start == ["a"]
    decision = decided([asked], {"u1": 1}, 9)
    assert (decision.start, decision.skip, decision.make_way) == ([], [], set())


def test_allow_all_stops_at_its_limit() -> None:
    many = [due(name, "allow_all", max_concurrent=2) for name in "abc"]
    decision = decided(many, {"u1": 1}, 9)
    assert (decision.start, decision.skip, decision.full) == (["a"], [], {"u1"})


def test_what_comes_after_the_limit_is_left_as_it_is() -> None:
    runs = [due("a", "skip"), due("b", "skip"), due("c", "skip", schedule_uid="u2")]
    decision = decided(runs, {}, 1)
    assert (decision.start, decision.skip) == (["a"], [])


def test_the_newest_is_that_of_the_newest_occurrence() -> None:
    late = due("a", "buffer_one", not_before=START + timedelta(days=1))
    decision = decided([due("b", "buffer_one"), late], {"u1": 1}, 9)
    assert decision.skip == ["a"]


def test_runs_start_while_their_connection_has_room() -> None:
    runs = [due(name, "skip", schedule_uid=name, connection="db") for name in "abc"]
    free = due("d", "skip", schedule_uid="d", connection="other")
    rooms = {
        "db": Room(starts=2, reason="connection_limit"),
        "other": Room(starts=None),
    }
    decision = decided([*runs, free], {}, 9, rooms)
    assert (decision.start, decision.skip) == (["a", "b", "d"], [])
    assert decision.full == {"c"}


def test_a_connection_without_room_skips_nothing_that_overlap_does_not() -> None:
    shut = {"db": Room(starts=0, reason="blackout")}
    runs = [due(name, "skip", connection="db") for name in "ab"]
    assert decided(runs, {}, 9, shut).skip == []
    assert decided(runs, {"u1": 1}, 9, shut).skip == ["a", "b"]


@pytest.mark.parametrize(
    ("reason", "asked"), [("blackout", False), ("connection_limit", True)]
)
def test_nobody_makes_way_for_a_run_that_could_not_start_then(
    reason: str, asked: bool
) -> None:
    run = due("a", "cancel_other", connection="db")
    decision = decided([run], {"u1": 1}, 9, {"db": Room(starts=0, reason=reason)})
    assert bool(decision.make_way) == asked
