"""Two simulations of one span, run by run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.runs import RunStatus, Trigger
from boe_reconciler.core.simulate import Simulated
from boe_reconciler.core.simulate.differences import Difference, Kind, differences
from tests.builders import at

DAY = "2026-03-02"


def a_run(
    time: str, schedule: str = "a", *, starts: str = "", **fields: Any
) -> Simulated:
    due = at(f"{DAY} {time}")
    runs = fields.get("status", RunStatus.SUCCEEDED) is RunStatus.SUCCEEDED
    start = at(f"{DAY} {starts or time}") if runs else None
    data = {
        "schedule": schedule,
        "occurrence": due,
        "trigger": Trigger.SCHEDULE,
        "status": RunStatus.SUCCEEDED,
        "started_at": start,
        "finished_at": start and start + timedelta(minutes=1),
    }
    return Simulated(**{**data, **fields})


def skipped(time: str, reason: str = "overlap") -> Simulated:
    return a_run(time, status=RunStatus.SKIPPED, reason=reason)


def between(
    before: list[Simulated], after: list[Simulated], **renamed: str
) -> list[Difference]:
    names = {run.schedule for run in [*before, *after]}
    zones = dict.fromkeys({*names, *renamed.values()}, "Europe/Berlin")
    return differences(before, after, renamed=renamed, zones=zones)


def kinds(
    before: list[Simulated], after: list[Simulated], **renamed: str
) -> list[Kind]:
    return [one.kind for one in between(before, after, **renamed)]


def test_what_is_the_same_on_both_sides_does_not_differ() -> None:
    runs = [a_run("06:00"), skipped("07:00"), a_run("08:00", starts="08:10")]
    assert not between(runs, list(runs))


def test_each_way_to_differ_has_its_kind() -> None:
    one, late = a_run("06:00"), a_run("06:00", late=True)
    assert kinds([one], []) == [Kind.LOST]
    assert kinds([], [one]) == [Kind.ADDED]
    assert kinds([one], [a_run("07:00")]) == [Kind.MOVED]
    assert kinds([one], [skipped("06:00")]) == [Kind.STOPS]
    assert kinds([skipped("06:00")], [one]) == [Kind.RUNS]
    assert kinds([skipped("06:00")], [skipped("06:00", "paused")]) == [Kind.OTHERWISE]
    assert kinds([one], [late]) == [Kind.LATE]
    assert kinds([late], [one]) == [Kind.PUNCTUAL]
    assert kinds([one], [a_run("06:00", starts="06:05")]) == [Kind.LATER]
    assert kinds([a_run("06:00", starts="06:05")], [one]) == [Kind.EARLIER]


def test_a_run_moves_within_its_local_day_only() -> None:
    # 22:30 and 23:30 in UTC lie on two days in Berlin.
    assert kinds([a_run("22:30")], [a_run("23:30")]) == [Kind.LOST, Kind.ADDED]
    assert (
        kinds([a_run("06:00")], [a_run("07:00"), a_run("08:00")])
        == [
            *(Kind.ADDED, Kind.ADDED),
            Kind.LOST,
        ][::-1]
    )


def test_what_must_not_be_missed_stands_first_and_then_the_soonest() -> None:
    before = [a_run("06:00"), a_run("07:00"), a_run("08:00", "b")]
    after = [skipped("07:00"), a_run("05:00", "c"), a_run("04:00", "c")]
    found = [(one.kind, f"{one.occurrence:%H:%M}") for one in between(before, after)]
    assert found == [
        (Kind.LOST, "06:00"),
        (Kind.LOST, "08:00"),
        (Kind.STOPS, "07:00"),
        (Kind.ADDED, "04:00"),
        (Kind.ADDED, "05:00"),
    ]


def test_a_renamed_schedule_is_the_same() -> None:
    [found] = between([a_run("06:00", "old")], [a_run("07:00", "new")], old="new")
    assert (found.kind, found.schedule) == (Kind.MOVED, "new")


_RUNS = st.lists(
    st.builds(
        lambda hour, name, late: a_run(f"{hour:02}:00", name, late=late),
        st.integers(0, 23),
        st.sampled_from("ab"),
        st.booleans(),
    ),
    max_size=12,
    unique_by=lambda run: (run.schedule, run.occurrence),
)


@given(_RUNS, _RUNS)
def test_the_differences_make_one_side_of_the_other(
    before: list[Simulated], after: list[Simulated]
) -> None:
    found = between(before, after)
    made = {(run.schedule, run.occurrence): run for run in before}
    for one in found:
        if one.before:
            assert made.pop((one.schedule, one.before.occurrence)) == one.before
    for one in found:
        if one.after:
            made[one.schedule, one.after.occurrence] = one.after
    assert made == {(run.schedule, run.occurrence): run for run in after}
