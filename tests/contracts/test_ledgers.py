"""What every ledger promises (docs/life-of-a-run.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from boe_reconciler.core import due, lifecycle
from boe_reconciler.core.due import Standing
from boe_reconciler.core.errors import InputError, LeaseLost
from boe_reconciler.core.limits import ConnectionState, Phase
from boe_reconciler.core.outcome import Ending, Verdict
from boe_reconciler.core.overlap import Candidate
from boe_reconciler.core.ports import Claimed, Ledger
from boe_reconciler.core.punctual import pattern
from boe_reconciler.core.run_ids import backfill_run_id
from boe_reconciler.core.runs import (
    AttemptStatus,
    DeliveryKey,
    DeliveryStatus,
    Event,
    NewRun,
    Outcome,
    PauseTarget,
    Resend,
    RunRecord,
    RunStatus,
    Trigger,
)
from boe_reconciler.core.spec import RunSpec
from boe_reconciler.ledgers import memory
from boe_reconciler.ledgers.memory import MemoryLedger
from boe_reconciler.ledgers.sqlite.store import SqliteStore
from tests.builders import (
    REVISION,
    a_delivery,
    a_manual_run,
    a_pause,
    a_schedule,
    an_activation,
    an_artifact,
    at,
    uid_of,
)

START = at("2026-03-01 06:30")
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
ACCEPTED = Outcome(
    status=DeliveryStatus.ACCEPTED, receipt="r1", remote="exports/daily.csv"
)
REFUSED = Outcome(status=DeliveryStatus.REFUSED, reason="permission", message="No.")


@pytest.fixture
def hourly(ledger: Ledger) -> Ledger:
    """A ledger that serves `daily`, due every hour, since 06:30."""
    ledger.activate(an_activation(a_schedule()), now=START)
    return ledger


def serve(ledger: Ledger, now: datetime = START, **execution: Any) -> None:
    ledger.activate(an_activation(a_schedule(execution=execution)), now=now)


def statuses(ledger: Ledger) -> dict[str, str]:
    """Time of the occurrence -> status and reason, oldest first."""
    return {
        f"{one.run.occurrence:%H:%M}": f"{one.run.status} {one.run.reason}".strip()
        for one in reversed(ledger.runs(limit=1000))
    }


def take(ledger: Ledger, now: datetime, limit: int = 10) -> list[Claimed]:
    return list(ledger.claim("worker", now=now, limit=limit))


def one_claim(ledger: Ledger, now: datetime = START + HOUR) -> Claimed:
    ledger.materialise(now=now)
    (claimed,) = take(ledger, now)
    return claimed


def exported(ledger: Ledger, claimed: Claimed, now: datetime) -> DeliveryKey:
    """A run whose file is there, with one delivery that is owed."""
    new = a_delivery(claimed.claim.run_id)
    ledger.begin_attempt(claimed.claim, parameters={}, now=now)
    ledger.commit_artifacts(claimed.claim, [an_artifact()], [new], now=now)
    return new.key


def delivered(
    ledger: Ledger, claimed: Claimed, now: datetime, outcome: Outcome = ACCEPTED
) -> DeliveryKey:
    key = exported(ledger, claimed, now)
    ledger.intend(claimed.claim, key, {"name": "exports/daily.csv"}, now=now)
    ledger.settle(claimed.claim, key, outcome, now=now)
    status = (
        RunStatus.SUCCEEDED
        if outcome.status is DeliveryStatus.ACCEPTED
        else RunStatus.FAILED
    )
    ledger.finish(claimed.claim, status, outcome.reason, "", rows=1, now=now)
    return key


def record(ledger: Ledger, run_id: str) -> RunRecord:
    found = ledger.run(run_id)
    assert found is not None
    return found


def end(ledger: Ledger, claimed: Claimed, now: datetime, status: RunStatus) -> None:
    ledger.finish(claimed.claim, status, "", "", now=now)


# --- What is served -----------------------------------------------------------------


def test_a_new_ledger_serves_nothing(ledger: Ledger) -> None:
    served = ledger.served()
    assert (served.attempted, served.serving) == (None, None)
    assert (list(served.objects), list(served.statuses)) == ([], [])
    assert (ledger.states(), ledger.runs(), ledger.open_runs()) == ([], [], 0)


def test_what_was_activated_is_served(ledger: Ledger) -> None:
    problems = [{"code": "BOE012", "range": {"start": {"line": 3}}}]
    activation = an_activation(a_schedule(), a_schedule("other"), problems=problems)
    ledger.activate(activation, now=START)
    served = ledger.served()
    assert (served.attempted, served.serving) == (REVISION, REVISION)
    assert list(served.objects) == list(activation.objects)
    assert list(served.statuses) == list(activation.statuses)
    assert list(served.problems) == problems
    assert ledger.schedule_spec("other") == activation.schedules[1].spec
    assert ledger.schedule_spec("unknown") is None
    assert [one.name for one in ledger.states()] == ["daily", "other"]


def test_what_goes_on_is_from_the_revision_that_is_served_or_from_an_older_one(
    hourly: Ledger,
) -> None:
    newer = an_activation(a_schedule(), revision="r2")
    hourly.activate(newer, now=START + HOUR / 2)
    older = replace(newer.objects[0], revision="r2")
    kept = replace(newer, attempted="r3", serving="r3", objects=[older])
    hourly.activate(kept, now=START + HOUR * 3 / 2)
    mended = an_activation(a_schedule(), revision="r4")
    hourly.activate(mended, now=START + HOUR * 5 / 2)
    hourly.materialise(now=START + HOUR * 4)
    found = [one.run.revision for one in hourly.runs(schedule="daily")]
    assert sorted(found) == sorted([REVISION, "r2", "r2", "r4"])


def test_a_refused_revision_changes_only_what_is_told(hourly: Ledger) -> None:
    refused = an_activation(revision="r2", serving=None, problems=[{"code": "BOE001"}])
    hourly.activate(refused, now=START + HOUR)
    served = hourly.served()
    assert (served.attempted, served.serving) == ("r2", REVISION)
    assert list(served.problems) == [{"code": "BOE001"}]
    assert [one.name for one in served.objects] == ["daily"]
    assert [one.name for one in hourly.states()] == ["daily"]


def test_a_first_activation_owes_nothing_before_it(hourly: Ledger) -> None:
    tick = hourly.materialise(now=START)
    assert (tick.inserted, tick.next_due) == (0, at("2026-03-01 07:00"))


def test_an_activation_covers_what_the_old_plan_owed(hourly: Ledger) -> None:
    moved = an_activation(a_schedule(when={"every": "24h"}), revision="r2")
    now = at("2026-03-01 08:00")
    hourly.activate(moved, now=now)
    assert statuses(hourly) == {"07:00": "pending", "08:00": "pending"}
    (state,) = hourly.states()
    assert (state.high_water, state.next_due) == (now, at("2026-03-02 00:00"))
    assert hourly.broken_invariants(now=now) == []


def test_other_edits_do_not_move_the_mark(hourly: Ledger) -> None:
    before = hourly.states()[0]
    edited = an_activation(a_schedule(title="Another"), revision="r2")
    hourly.activate(edited, now=START)
    after = hourly.states()[0]
    assert after == before
    hourly.materialise(now=START + HOUR)
    (claimed,) = take(hourly, START + HOUR)
    assert (claimed.spec.title, claimed.record.run.revision) == ("Another", "r2")


def test_a_queued_run_keeps_the_spec_it_was_queued_with(hourly: Ledger) -> None:
    hourly.materialise(now=START + HOUR)
    edited = an_activation(a_schedule(title="Another"), revision="r2")
    hourly.activate(edited, now=START + HOUR)
    (claimed,) = take(hourly, START + HOUR)
    assert (claimed.spec.title, claimed.record.run.revision) == ("Daily", REVISION)


def test_a_removed_schedule_starts_nothing_and_lets_finish(ledger: Ledger) -> None:
    serve(ledger, overlap="buffer_all")
    running = one_claim(ledger)
    ledger.materialise(now=START + 2 * HOUR)
    ledger.activate(an_activation(revision="r2"), now=START + 2 * HOUR)
    assert statuses(ledger) == {"07:00": "running", "08:00": "cancelled removed"}
    end(ledger, running, START + 2 * HOUR, RunStatus.SUCCEEDED)
    assert ledger.states() == []
    assert ledger.materialise(now=START + 9 * HOUR).inserted == 0


def test_a_schedule_that_comes_back_is_another_one(hourly: Ledger) -> None:
    before = hourly.states()[0].uid
    hourly.materialise(now=START + HOUR)
    hourly.activate(an_activation(revision="r2"), now=START + HOUR)
    hourly.activate(an_activation(a_schedule()), now=START + HOUR)
    assert hourly.states()[0].uid != before
    assert hourly.broken_invariants(now=START + HOUR) == []


def test_a_schedule_that_comes_back_never_repeats_an_occurrence(hourly: Ledger) -> None:
    hourly.materialise(now=START + 2 * HOUR)
    hourly.activate(an_activation(revision="r2"), now=START + 2 * HOUR)
    back = START - HOUR
    hourly.activate(an_activation(a_schedule()), now=back)
    assert hourly.states()[0].high_water == at("2026-03-01 08:00")
    hourly.materialise(now=START + 3 * HOUR)
    assert len(hourly.runs()) == 3
    assert hourly.broken_invariants(now=START + 3 * HOUR) == []


def test_a_renamed_schedule_keeps_its_uid_marks_and_pause(hourly: Ledger) -> None:
    hourly.pause(a_pause(START))
    before = hourly.states()[0]
    renamed = a_schedule("hourly", renamed_from="daily")
    hourly.activate(an_activation(renamed), now=START + HOUR)
    (after,) = hourly.states()
    assert (after.name, after.uid) == ("hourly", before.uid)
    assert (after.high_water, after.pause is not None) == (before.high_water, True)
    assert hourly.resume(PauseTarget.SCHEDULE, "hourly", by="ada", now=START + 2 * HOUR)


def test_what_is_served_for_a_run_goes_by_its_schedule_and_else_by_its_name(
    hourly: Ledger,
) -> None:
    run = one_claim(hourly).record.run
    daily, renamed = a_schedule(), a_schedule("other", renamed_from="daily")
    found = []
    for served in ([renamed], [daily, renamed], [daily], []):
        hourly.activate(an_activation(*served), now=START + HOUR)
        spec = hourly.served_spec(run)
        found.append(spec and spec.schedule)
    assert found == ["other", "other", "daily", None]


def test_a_run_that_was_queued_before_a_rename_counts_as_a_failure(
    ledger: Ledger,
) -> None:
    rules = {"pause_after_failures": 1}
    serve(ledger, **rules)
    claimed = one_claim(ledger)
    now = START + HOUR
    renamed = a_schedule("hourly", renamed_from="daily", execution=rules)
    ledger.activate(an_activation(renamed), now=now)
    end(ledger, claimed, now, RunStatus.FAILED)
    (after,) = ledger.states()
    assert after.pause is not None


@pytest.mark.parametrize("also", ["daily", "hourly"])
def test_a_rename_needs_the_old_name_gone_and_the_new_one_free(
    hourly: Ledger, also: str
) -> None:
    hourly.activate(an_activation(a_schedule(), a_schedule("hourly")), now=START)
    uids = {one.name: one.uid for one in hourly.states()}
    renamed = a_schedule("hourly", renamed_from="daily")
    others = [a_schedule()] if also == "daily" else []
    hourly.activate(an_activation(*others, renamed), now=START)
    assert {one.name: one.uid for one in hourly.states()}["hourly"] == uids["hourly"]


def test_a_former_name_that_never_was_means_nothing(ledger: Ledger) -> None:
    renamed = a_schedule("hourly", renamed_from="never")
    ledger.activate(an_activation(renamed), now=START)
    assert [one.name for one in ledger.states()] == ["hourly"]


# --- Ticks --------------------------------------------------------------------------


def test_each_occurrence_gets_one_row(hourly: Ledger) -> None:
    now = at("2026-03-01 07:00") + SECOND
    assert hourly.materialise(now=now).inserted == 1
    assert hourly.materialise(now=now).inserted == 0
    (found,) = hourly.runs()
    run = found.run
    assert run.run_id == "daily.20260301T070000Z"
    assert (run.trigger, run.status, run.fence) == (
        Trigger.SCHEDULE,
        RunStatus.PENDING,
        0,
    )
    assert run.expires == at("2026-03-02 07:00")
    assert run.tzdb
    assert run.spec_digest


def test_a_tick_takes_a_batch_and_says_whether_there_is_more(ledger: Ledger) -> None:
    schedules = [a_schedule(f"s{number}") for number in range(5)]
    ledger.activate(an_activation(*schedules), now=START)
    now = START + HOUR
    ticks = [ledger.materialise(now=now, limit=2) for _ in range(3)]
    assert [(tick.inserted, tick.more) for tick in ticks] == [
        (2, True),
        (2, True),
        (1, False),
    ]
    assert len(take(ledger, now)) == 5


def test_what_nobody_served_is_caught_up_and_missed_with_reasons(
    hourly: Ledger,
) -> None:
    hourly.materialise(now=at("2026-03-01 09:30"))
    assert statuses(hourly) == {
        "07:00": "missed catchup_latest",
        "08:00": "missed catchup_latest",
        "09:00": "pending",
    }
    newest = hourly.runs()[0].run
    assert newest.trigger is Trigger.CATCHUP


def test_a_long_outage_is_one_gap(ledger: Ledger) -> None:
    often = a_schedule(when={"every": "1s"})
    ledger.activate(an_activation(often), now=START)
    now = START + timedelta(days=30)
    tick = ledger.materialise(now=now)
    (gap,) = ledger.gaps("daily")
    assert gap.count == 30 * 86_400 - 62
    assert (gap.since, gap.reason) == (START, "catchup_latest")
    assert tick.inserted == 1 + 1 + 61
    assert ledger.broken_invariants(now=now) == []
    assert ledger.gaps("unknown") == ()


def test_a_clock_set_back_repeats_nothing(hourly: Ledger) -> None:
    hourly.materialise(now=START + 2 * HOUR)
    before = statuses(hourly)
    assert hourly.materialise(now=START + HOUR).inserted == 0
    assert hourly.materialise(now=START + 2 * HOUR).inserted == 0
    assert statuses(hourly) == before


def test_another_when_never_moves_the_mark_back(hourly: Ledger) -> None:
    hourly.materialise(now=START + 2 * HOUR)
    often = an_activation(a_schedule(when={"every": "10m"}))
    hourly.activate(often, now=START + HOUR)
    (state,) = hourly.states()
    assert (state.high_water, state.next_due) == (
        START + 2 * HOUR,
        START + 2 * HOUR + timedelta(minutes=10),
    )
    assert hourly.broken_invariants(now=START + HOUR) == []


def test_a_clock_far_behind_is_told_and_starts_nothing(hourly: Ledger) -> None:
    hourly.materialise(now=START + 3 * HOUR)
    tick = hourly.materialise(now=START + HOUR)
    assert tick.clock_behind == START + 3 * HOUR
    assert (tick.inserted, tick.more) == (0, False)
    assert hourly.materialise(now=START + 2 * HOUR).clock_behind is None


def test_the_next_start_is_the_first_of_schedules_and_waiting_rows(
    hourly: Ledger,
) -> None:
    claimed = one_claim(hourly)
    until = START + HOUR + timedelta(minutes=5)
    hourly.wait(claimed.claim, until, "locked", "", now=START + HOUR)
    assert hourly.materialise(now=START + HOUR).next_due == until
    assert hourly.materialise(now=until).next_due == at("2026-03-01 08:00")


def test_a_living_executor_makes_ordinary_rows_however_late(ledger: Ledger) -> None:
    ledger.activate(an_activation(a_schedule(when={"every": "1s"})), now=START)
    for second in range(0, 200, 50):
        ledger.materialise(now=START + timedelta(seconds=second), limit=0)
    ledger.materialise(now=START + timedelta(seconds=180))
    triggers = {one.run.trigger for one in ledger.runs(limit=500)}
    assert triggers == {Trigger.SCHEDULE}
    assert len(ledger.runs(limit=500)) == 180


# --- Rows that people ask for -------------------------------------------------------


def test_a_manual_run_does_not_move_the_mark(hourly: Ledger) -> None:
    new = a_manual_run(now=START, parameters={"month": "2026-02"}, to="me@example.com")
    assert hourly.enqueue([new], now=START) == [new.run_id]
    (state,) = hourly.states()
    assert (state.high_water, state.last_run_id) == (START, new.run_id)
    (claimed,) = take(hourly, START)
    assert claimed.record.run.options == new.options
    assert hourly.broken_invariants(now=START) == []


def test_a_backfill_inserts_each_row_once(hourly: Ledger) -> None:
    hourly.materialise(now=START + HOUR)
    occurrence = at("2026-03-01 07:00")
    new = NewRun(
        run_id=backfill_run_id("daily", occurrence, "1"),
        schedule="daily",
        occurrence=occurrence,
        trigger=Trigger.BACKFILL,
        not_before=START,
    )
    other = replace(new, run_id=backfill_run_id("daily", occurrence, "2"))
    assert hourly.enqueue([new], now=START) == [new.run_id]
    assert hourly.enqueue([new, other], now=START) == [other.run_id]


def test_only_what_is_served_can_be_asked_for(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="no schedule 'daily'"):
        ledger.enqueue([a_manual_run()], now=START)


# --- Claims -------------------------------------------------------------------------


def test_a_run_is_claimed_once(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    assert take(hourly, START + HOUR) == []
    run = claimed.record.run
    assert (run.status, run.fence, run.worker) == (RunStatus.RUNNING, 1, "worker")
    assert run.started_at == START + HOUR
    assert run.lease_until == START + HOUR + timedelta(seconds=60)
    assert record(hourly, run.run_id).run == run
    assert claimed.spec == a_schedule().spec


def test_nothing_starts_before_its_time(hourly: Ledger) -> None:
    now = at("2026-03-01 07:00")
    hourly.materialise(now=now)
    assert take(hourly, now - SECOND) == []
    assert len(take(hourly, now)) == 1


def test_those_that_waited_longest_start_first(ledger: Ledger) -> None:
    schedules = [
        a_schedule("a", when={"every": "3h"}),
        a_schedule("b", when={"every": "1h"}),
        a_schedule("c", when={"every": "2h"}),
    ]
    ledger.activate(an_activation(*schedules), now=START)
    for hour in (7, 8, 9):
        ledger.materialise(now=START.replace(hour=hour, minute=0))
    order = [
        one.record.run.schedule
        for _ in range(3)
        for one in take(ledger, START.replace(hour=9), limit=1)
    ]
    assert order == ["b", "c", "a"]


def test_a_command_claims_its_own_run_alone(hourly: Ledger) -> None:
    hourly.materialise(now=START + HOUR)
    new = a_manual_run(now=START + HOUR)
    hourly.enqueue([new], now=START + HOUR)
    found = hourly.claim("w", now=START + HOUR, limit=5, only=[new.run_id])
    assert [one.claim.run_id for one in found] == [new.run_id]


def test_a_run_that_did_not_start_in_time_is_missed(ledger: Ledger) -> None:
    serve(ledger, deadline="10m", catchup_window="30m")
    ledger.materialise(now=START + HOUR / 2)
    assert take(ledger, START + HOUR) == []
    assert statuses(ledger) == {"07:00": "missed deadline"}
    assert ledger.runs()[0].run.message


def test_the_window_counts_where_it_ends_first(ledger: Ledger) -> None:
    serve(ledger, deadline="2h", catchup_window="30m")
    ledger.materialise(now=START + HOUR / 2)
    take(ledger, at("2026-03-01 07:30"))
    assert statuses(ledger)["07:00"] == "running"
    ledger.materialise(now=at("2026-03-01 08:00"))
    take(ledger, at("2026-03-01 08:30") + SECOND)
    assert statuses(ledger)["08:00"] == "missed catchup_window"


def two_due(ledger: Ledger, **execution: Any) -> Claimed:
    """07:00 runs, 08:00 and 09:00 are due."""
    serve(ledger, **execution)
    first = one_claim(ledger)
    for hours in (2, 3):
        ledger.materialise(now=START + hours * HOUR)
    return first


def test_overlap_skip_skips(ledger: Ledger) -> None:
    first = two_due(ledger)
    manual = a_manual_run(now=START + 3 * HOUR)
    ledger.enqueue([manual], now=START + 3 * HOUR)
    assert take(ledger, START + 3 * HOUR) == []
    ends = {"07:00": "running", "08:00": "skipped overlap", "09:00": "skipped overlap"}
    assert statuses(ledger) == {**ends, "09:30": "pending"}
    end(ledger, first, START + 3 * HOUR, RunStatus.SUCCEEDED)
    assert [one.claim.run_id for one in take(ledger, START + 3 * HOUR)] == [
        manual.run_id
    ]


def test_overlap_buffer_one_keeps_the_newest(ledger: Ledger) -> None:
    first = two_due(ledger, overlap="buffer_one")
    assert take(ledger, START + 3 * HOUR) == []
    ends = {"07:00": "running", "08:00": "skipped overlap", "09:00": "pending"}
    assert statuses(ledger) == ends
    end(ledger, first, START + 3 * HOUR, RunStatus.SUCCEEDED)
    assert len(take(ledger, START + 3 * HOUR)) == 1


def test_overlap_buffer_all_keeps_the_order(ledger: Ledger) -> None:
    first = two_due(ledger, overlap="buffer_all")
    now = START + 3 * HOUR
    assert take(ledger, now) == []
    end(ledger, first, now, RunStatus.SUCCEEDED)
    (second,) = take(ledger, now)
    assert second.claim.run_id == "daily.20260301T080000Z"
    assert take(ledger, now) == []


def test_overlap_allow_all_has_its_limit(ledger: Ledger) -> None:
    two_due(ledger, overlap="allow_all", max_concurrent_runs=2)
    now = START + 3 * HOUR
    assert len(take(ledger, now)) == 1
    assert take(ledger, now) == []
    assert statuses(ledger)["09:00"] == "pending"


def test_overlap_cancel_other_asks_the_older_to_make_way(ledger: Ledger) -> None:
    first = two_due(ledger, overlap="cancel_other")
    now = START + 3 * HOUR
    assert take(ledger, now) == []
    assert ledger.heartbeat([first.claim], now=now) == {first.claim.run_id: True}
    assert statuses(ledger)["08:00"] == "skipped overlap"
    end(ledger, first, now, RunStatus.CANCELLED)
    (newest,) = take(ledger, now)
    assert newest.claim.run_id == "daily.20260301T090000Z"


def test_who_does_not_make_way_in_a_minute_is_cut_off(ledger: Ledger) -> None:
    first = two_due(ledger, overlap="cancel_other")
    now = START + 3 * HOUR
    take(ledger, now)
    take(ledger, now + timedelta(seconds=59))
    assert statuses(ledger)["07:00"] == "running overlap"
    take(ledger, now + timedelta(seconds=60))
    assert statuses(ledger)["07:00"] == "cancelled overlap"
    with pytest.raises(LeaseLost):
        end(ledger, first, now, RunStatus.SUCCEEDED)
    assert len(take(ledger, now + timedelta(seconds=61))) == 1


def test_nobody_makes_way_once_something_may_have_left(ledger: Ledger) -> None:
    first = two_due(ledger, overlap="cancel_other")
    now = START + 3 * HOUR
    key = exported(ledger, first, now)
    ledger.intend(first.claim, key, {"name": "x"}, now=now)
    assert take(ledger, now) == []
    assert ledger.heartbeat([first.claim], now=now) == {first.claim.run_id: False}


def test_a_waiting_run_does_not_count_for_overlap(hourly: Ledger) -> None:
    first = one_claim(hourly)
    until = START + 2 * HOUR + timedelta(minutes=1)
    hourly.wait(first.claim, until, "locked", "The file is locked.", now=START + HOUR)
    hourly.materialise(now=START + 2 * HOUR)
    (second,) = take(hourly, START + 2 * HOUR)
    assert statuses(hourly) == {"07:00": "waiting locked", "08:00": "running"}
    assert take(hourly, until) == []
    assert statuses(hourly)["07:00"] == "waiting locked"
    end(hourly, second, until, RunStatus.SUCCEEDED)
    (again,) = take(hourly, until)
    assert (again.claim.run_id, again.claim.fence) == (first.claim.run_id, 2)
    assert again.record.run.started_at == START + HOUR


def test_many_that_cannot_start_do_not_hide_those_that_can(ledger: Ledger) -> None:
    often = a_schedule(
        "often",
        when={"every": "1s"},
        execution={"overlap": "buffer_all", "catchup": "all", "catchup_max_runs": 900},
    )
    ledger.activate(an_activation(often, a_schedule()), now=START)
    now = at("2026-03-01 07:00")
    ledger.materialise(now=now)
    assert {one.record.run.schedule for one in take(ledger, now)} == {"often", "daily"}
    assert ledger.open_runs() == 961 + 1


# --- Leases -------------------------------------------------------------------------


def test_a_heartbeat_keeps_the_lease(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    now = START + HOUR + timedelta(seconds=50)
    assert hourly.heartbeat([claimed.claim], now=now) == {claimed.claim.run_id: False}
    assert hourly.expire(now=START + HOUR + timedelta(seconds=100)) == []
    assert hourly.expire(now=START + HOUR + timedelta(seconds=111)) == [
        claimed.claim.run_id
    ]
    assert hourly.heartbeat([claimed.claim], now=now) == {}


def test_a_lost_run_is_taken_over_with_a_higher_fence(hourly: Ledger) -> None:
    old = one_claim(hourly)
    hourly.begin_attempt(old.claim, parameters={}, now=START + HOUR)
    now = START + HOUR + timedelta(seconds=61)
    hourly.expire(now=now)
    (new,) = hourly.claim("other", now=now, limit=1)
    assert new.claim.fence == old.claim.fence + 1
    (attempt,) = new.record.attempts
    assert (attempt.status, attempt.worker) == (AttemptStatus.LOST, "worker")
    assert new.record.run.attempts == 0
    assert hourly.begin_attempt(new.claim, parameters={}, now=now) == 2
    assert [one.action for one in hourly.events(new.claim.run_id)] == ["lease_lost"]


def test_whoever_lost_the_lease_writes_nothing(hourly: Ledger) -> None:
    old = one_claim(hourly)
    key = exported(hourly, old, START + HOUR)
    now = START + HOUR + timedelta(seconds=61)
    hourly.expire(now=now)
    stale = old.claim
    calls: list[Callable[[], object]] = [
        lambda: hourly.begin_attempt(stale, parameters={}, now=now),
        lambda: hourly.commit_artifacts(stale, [], [], now=now),
        lambda: hourly.intend(stale, key, {}, now=now),
        lambda: hourly.settle(stale, key, ACCEPTED, now=now),
        lambda: hourly.wait(stale, now, "", "", now=now),
        lambda: hourly.finish(stale, RunStatus.SUCCEEDED, "", "", now=now),
        lambda: hourly.give_back(stale, now=now),
    ]
    for taken_over in (False, True):
        if taken_over:
            hourly.claim("other", now=now, limit=1)
        before = hourly.run(stale.run_id)
        for call in calls:
            with pytest.raises(LeaseLost):
                call()
        assert hourly.run(stale.run_id) == before


def test_each_write_for_a_claim_moves_its_lease(hourly: Ledger) -> None:
    claim = one_claim(hourly).claim
    one, other = (a_delivery(claim.run_id, destination=name) for name in "ab")
    later = Outcome(status=DeliveryStatus.DEFERRED, reason="busy")
    ending = Ending(rows=1)
    writes: list[Callable[[datetime], object]] = [
        lambda now: hourly.begin_attempt(claim, parameters={}, now=now),
        lambda now: hourly.commit_artifacts(
            claim, [an_artifact()], [one, other], now=now
        ),
        lambda now: hourly.owe(claim, [], now=now),
        lambda now: hourly.intend(claim, one.key, {}, now=now),
        lambda now: hourly.settle(claim, one.key, ACCEPTED, ending=ending, now=now),
        lambda now: hourly.settle(
            claim, other.key, later, next_attempt_at=now + HOUR, now=now
        ),
    ]
    for number, write in enumerate(writes, 1):
        now = START + HOUR + number * SECOND
        write(now)
        until = record(hourly, claim.run_id).run.lease_until
        assert until == now + lifecycle.LEASE


def test_who_takes_the_lock_takes_all_leases(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    assert hourly.expire(now=START + HOUR, all_leases=True) == [claimed.claim.run_id]
    assert statuses(hourly) == {"07:00": "pending"}


def test_a_run_that_takes_its_worker_down_three_times_is_poison(hourly: Ledger) -> None:
    now = START + HOUR
    hourly.materialise(now=now)
    for _ in range(3):
        (claimed,) = take(hourly, now)
        hourly.begin_attempt(claimed.claim, parameters={}, now=now)
        hourly.expire(now=now, all_leases=True)
    assert statuses(hourly) == {"07:00": "failed poison"}
    assert hourly.broken_invariants(now=now) == []


def test_one_delivery_is_found_by_its_key(hourly: Ledger) -> None:
    key = exported(hourly, one_claim(hourly), START + HOUR)
    assert hourly.delivery(key) == record(hourly, key.run_id).deliveries[0]
    assert hourly.delivery(replace(key, recipient="nobody@example.com")) is None


def test_a_delivery_may_begin_as_its_file_is_kept(hourly: Ledger) -> None:
    now, intent = START + HOUR, {"name": "sales.csv"}
    claim = one_claim(hourly).claim
    kept, owed = (
        replace(a_delivery(claim.run_id, destination=name), intent=intent)
        for name in ("kept", "owed")
    )
    hourly.begin_attempt(claim, parameters={}, now=now)
    told = hourly.commit_artifacts(claim, [an_artifact()], [kept], now=now)
    assert told == record(hourly, claim.run_id)
    hourly.owe(claim, [owed], now=now)
    for new in (kept, owed):
        found = hourly.delivery(new.key)
        assert found is not None
        assert (found.status, found.intent) == (DeliveryStatus.SENDING, intent)
        assert (found.attempts, found.first_attempt_at) == (1, now)
    # Whoever goes on with it goes on with that attempt.
    hourly.intend(claim, kept.key, {}, now=now + HOUR)
    assert [one.attempts for one in record(hourly, claim.run_id).deliveries] == [1, 1]


def test_what_has_arrived_before_its_run_is_poison_is_not_forgotten(
    hourly: Ledger,
) -> None:
    now = START + HOUR
    claimed = one_claim(hourly)
    run_id, claim = claimed.claim.run_id, claimed.claim
    one, other = (a_delivery(run_id, destination=name) for name in "ab")
    hourly.begin_attempt(claim, parameters={}, now=now)
    hourly.commit_artifacts(claim, [an_artifact()], [one, other], now=now)
    hourly.intend(claim, one.key, {}, now=now)
    hourly.settle(claim, one.key, ACCEPTED, now=now)
    for _ in range(3):
        hourly.expire(now=now, all_leases=True)
        take(hourly, now)
    assert statuses(hourly) == {"07:00": "partial poison"}
    hourly.reopen(run_id, now=now)
    take(hourly, now)
    hourly.expire(now=now, all_leases=True)
    # Whoever sends it again gives it as many tries as before.
    assert statuses(hourly) == {"07:00": "pending"}


def test_a_run_is_not_blamed_for_what_others_were_doing_too(ledger: Ledger) -> None:
    ledger.activate(an_activation(a_schedule(), a_schedule("other")), now=START)
    now = START + HOUR
    ledger.materialise(now=now)
    for _ in range(5):
        assert len(take(ledger, now)) == 2
        ledger.expire(now=now, all_leases=True)
    assert ledger.open_runs() == 2


def test_a_lost_run_that_was_cancelled_ends(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    assert hourly.cancel(claimed.claim.run_id, by="ada", now=START + HOUR) == "running"
    hourly.expire(now=START + HOUR, all_leases=True)
    assert statuses(hourly) == {"07:00": "cancelled cancelled"}


def test_a_drain_uses_up_no_attempt(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    hourly.begin_attempt(claimed.claim, parameters={}, now=START + HOUR)
    hourly.give_back(claimed.claim, now=START + HOUR)
    found = record(hourly, claimed.claim.run_id)
    assert (found.run.status, found.run.attempts) == (RunStatus.PENDING, 0)
    assert [one.status for one in found.attempts] == [AttemptStatus.RELEASED]
    assert len(take(hourly, START + 50 * HOUR)) == 1


# --- Within a claim -----------------------------------------------------------------


def test_attempts_are_numbered_and_counted(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    now = START + HOUR
    for number in (1, 2, 3, 4):
        assert hourly.begin_attempt(claimed.claim, parameters={}, now=now) == number
        with pytest.raises(ValueError, match=r"in its attempt|used up"):
            hourly.begin_attempt(claimed.claim, parameters={}, now=now)
        hourly.wait(claimed.claim, now, "locked", "Locked.", now=now)
        (claimed,) = take(hourly, now)
    found = record(hourly, claimed.claim.run_id)
    assert found.run.attempts == 4
    assert {one.reason for one in found.attempts} == {"locked"}
    with pytest.raises(ValueError, match="used up its 4 attempts"):
        hourly.begin_attempt(claimed.claim, parameters={}, now=now)


def test_a_run_tells_the_parameters_of_its_last_attempt(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    now = START + HOUR
    assert claimed.record.run.parameters == {}
    for year in ("2013", "2014"):
        given = {"year": year, "city": "Zürich"}
        hourly.begin_attempt(claimed.claim, parameters=given, now=now)
        assert record(hourly, claimed.claim.run_id).run.parameters == given
        hourly.wait(claimed.claim, now, "locked", "Locked.", now=now)
        (claimed,) = take(hourly, now)
    assert claimed.record.run.parameters["year"] == "2014"


def test_a_run_that_was_asked_to_stop_does_not_wait_for_its_next_try(
    hourly: Ledger,
) -> None:
    for put_down in (
        lambda claim, now: hourly.wait(claim, now + HOUR, "locked", "", now=now),
        lambda claim, now: hourly.give_back(claim, now=now),
    ):
        now = hourly.states()[0].high_water + HOUR
        claimed = one_claim(hourly, now)
        hourly.begin_attempt(claimed.claim, parameters={}, now=now)
        hourly.cancel(claimed.claim.run_id, by="ada", now=now)
        put_down(claimed.claim, now)
        found = record(hourly, claimed.claim.run_id)
        assert (found.run.status, found.run.reason) == ("cancelled", "cancelled")
        assert hourly.broken_invariants(now=now) == []


def test_what_a_pause_holds_is_not_waited_for(hourly: Ledger) -> None:
    hourly.materialise(now=START + HOUR)
    assert hourly.open_runs() == 1
    hourly.pause(a_pause(START + HOUR))
    assert hourly.open_runs() == 0
    hourly.enqueue([a_manual_run("daily", now=START + HOUR)], now=START + HOUR)
    assert hourly.open_runs() == 1


def test_a_run_that_kills_its_worker_counts_as_a_failure(ledger: Ledger) -> None:
    serve(ledger, pause_after_failures=1)
    now = START + HOUR
    ledger.materialise(now=now)
    for _ in range(3):
        take(ledger, now)
        now += timedelta(seconds=61)
        ledger.expire(now=now)
    assert statuses(ledger) == {"07:00": "failed poison"}
    assert [one.by for one in ledger.pauses()] == ["boe"]


def test_a_run_goes_from_claim_to_success(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    now = START + HOUR
    key = delivered(hourly, claimed, now)
    found = record(hourly, claimed.claim.run_id)
    assert found.run.status is RunStatus.SUCCEEDED
    assert (found.run.rows, found.run.finished_at) == (1, now)
    assert (found.run.worker, found.run.lease_until) == (None, None)
    assert found.artifacts == (an_artifact(),)
    assert [one.status for one in found.attempts] == [AttemptStatus.SUCCEEDED]
    (delivery,) = found.deliveries
    assert (delivery.key, delivery.status, delivery.attempts) == (
        key,
        DeliveryStatus.ACCEPTED,
        1,
    )
    assert delivery.intent == {"name": "exports/daily.csv"}
    assert (delivery.receipt, delivery.remote) == ("r1", "exports/daily.csv")
    assert hourly.broken_invariants(now=now) == []


def test_an_interrupted_act_goes_on_as_the_same_attempt(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    now = START + HOUR
    key = exported(hourly, claimed, now)
    hourly.intend(claimed.claim, key, {"name": "a"}, now=now)
    hourly.intend(claimed.claim, key, {"name": "b"}, now=now)
    (delivery,) = record(hourly, key.run_id).deliveries
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.SENDING, 1)
    assert delivery.intent == {"name": "b"}


def test_a_deferred_delivery_has_its_next_attempt(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    now = START + HOUR
    key = exported(hourly, claimed, now)
    hourly.intend(claimed.claim, key, {}, now=now)
    later = now + timedelta(minutes=5)
    busy = Outcome(status=DeliveryStatus.DEFERRED, reason="busy")
    hourly.settle(claimed.claim, key, busy, next_attempt_at=later, now=now)
    hourly.wait(claimed.claim, later, "delivery_retry", "", now=now)
    (again,) = take(hourly, later)
    (delivery,) = again.record.deliveries
    assert (delivery.status, delivery.next_attempt_at) == ("deferred", later)
    hourly.intend(again.claim, key, {}, now=later)
    (delivery,) = record(hourly, key.run_id).deliveries
    assert (delivery.attempts, delivery.first_attempt_at) == (2, now)


def test_what_was_settled_stays_settled(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    now = START + HOUR
    key = exported(hourly, claimed, now)
    hourly.intend(claimed.claim, key, {}, now=now)
    hourly.settle(claimed.claim, key, ACCEPTED, now=now)
    with pytest.raises(ValueError, match="no open delivery"):
        hourly.settle(claimed.claim, key, REFUSED, now=now)
    with pytest.raises(ValueError, match="no open delivery"):
        hourly.intend(claimed.claim, key, {}, now=now)


def test_an_attempt_begins_with_its_claim_where_that_is_wished(hourly: Ledger) -> None:
    now = START + HOUR
    hourly.materialise(now=now)
    (claimed,) = hourly.claim("worker", now=now, limit=1, begin=True)
    found = record(hourly, claimed.claim.run_id)
    assert claimed.begun
    assert (claimed.record.run, found.run.attempts) == (found.run, 1)
    assert [one.status for one in found.attempts] == [AttemptStatus.RUNNING]
    with pytest.raises(ValueError, match="in its attempt 1 already"):
        hourly.begin_attempt(claimed.claim, parameters={}, now=now)
    hourly.expire(now=now, all_leases=True)
    (again,) = hourly.claim("worker", now=now, limit=1, begin=True)
    delivery = a_delivery(again.claim.run_id)
    hourly.commit_artifacts(again.claim, [an_artifact()], [delivery], now=now)
    hourly.wait(again.claim, now, "later", "", now=now)
    # Its file is there: there is nothing to begin.
    (last,) = hourly.claim("worker", now=now, limit=1, begin=True)
    assert not last.begun
    states = [one.status for one in record(hourly, claimed.claim.run_id).attempts]
    assert states == [AttemptStatus.LOST, AttemptStatus.SUCCEEDED]


@pytest.mark.parametrize(
    "fields",
    [
        {"wait_for": [{"file": "a.csv", "deadline": "1h"}]},
        {
            "report": {
                "connection": "flights",
                "query": "select :n as n",
                "parameters": {"n": {"type": "int"}},
            }
        },
    ],
    ids=["wait_for", "parameters"],
)
def test_an_attempt_that_needs_more_before_begins_later(
    ledger: Ledger, fields: dict[str, Any]
) -> None:
    ledger.activate(an_activation(a_schedule(**fields)), now=START)
    ledger.materialise(now=START + HOUR)
    (claimed,) = ledger.claim("worker", now=START + HOUR, limit=1, begin=True)
    assert not claimed.begun
    assert record(ledger, claimed.claim.run_id).attempts == ()


def test_a_run_ends_with_the_last_of_its_deliveries(hourly: Ledger) -> None:
    claim, now = one_claim(hourly).claim, START + HOUR
    one, other = (a_delivery(claim.run_id, destination=name) for name in "ab")
    hourly.begin_attempt(claim, parameters={}, now=now)
    found = hourly.commit_artifacts(claim, [an_artifact()], [one, other], now=now)
    assert found == record(hourly, claim.run_id)
    ending = Ending(rows=7, addition="Two went to nobody.")
    ends = [
        hourly.settle(claim, new.key, outcome, ending=ending, now=now)
        for new, outcome in ((one, REFUSED), (other, ACCEPTED))
    ]
    run = record(hourly, claim.run_id).run
    last = ends.pop()
    assert ends == [None]
    assert last == Verdict(
        status=RunStatus.PARTIAL, reason=run.reason, message=run.message
    )
    assert run.message.endswith(" Two went to nobody.")
    assert (run.status, run.rows, run.finished_at) == (RunStatus.PARTIAL, 7, now)
    with pytest.raises(LeaseLost):
        hourly.finish(claim, RunStatus.SUCCEEDED, "", "", now=now)


def test_what_is_said_of_files_is_committed_with_them(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    run_id = claimed.claim.run_id
    now = START + HOUR
    hourly.begin_attempt(claimed.claim, parameters={}, now=now)
    told = Event(at=now, action="manifest_made", message="Told.", run_id=run_id)
    hourly.commit_artifacts(claimed.claim, [an_artifact()], [], events=[told], now=now)
    assert told in hourly.events(run_id)
    stale = replace(claimed.claim, fence=0)
    with pytest.raises(LeaseLost):
        hourly.commit_artifacts(stale, [], [], events=[told], now=now)
    assert list(hourly.events(run_id)).count(told) == 1


def test_a_run_keeps_the_spec_it_was_made_with(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    hourly.activate(an_activation(revision="r2"), now=START + HOUR)
    assert hourly.run_spec(claimed.claim.run_id) == claimed.spec
    assert hourly.run_spec("unknown") is None


def test_nothing_is_delivered_that_was_not_committed(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    owed = [a_delivery(claimed.claim.run_id, part="other")]
    with pytest.raises(ValueError, match=r"not committed|refuses"):
        hourly.commit_artifacts(claimed.claim, [an_artifact()], owed, now=START + HOUR)
    with pytest.raises(ValueError, match=r"twice|refuses"):
        hourly.commit_artifacts(
            claimed.claim, [an_artifact(), an_artifact()], [], now=START + HOUR
        )
    assert record(hourly, claimed.claim.run_id).artifacts == ()


def test_a_run_does_not_succeed_with_open_deliveries(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    exported(hourly, claimed, START + HOUR)
    with pytest.raises(ValueError, match="open deliveries"):
        end(hourly, claimed, START + HOUR, RunStatus.SUCCEEDED)


def test_what_a_cancelled_run_leaves_open_is_cancelled_or_unconfirmed(
    hourly: Ledger,
) -> None:
    claimed = one_claim(hourly)
    now = START + HOUR
    run_id = claimed.claim.run_id
    owed = [a_delivery(run_id, destination=name) for name in ("a", "b")]
    hourly.begin_attempt(claimed.claim, parameters={}, now=now)
    hourly.commit_artifacts(claimed.claim, [an_artifact()], owed, now=now)
    hourly.intend(claimed.claim, owed[0].key, {}, now=now)
    end(hourly, claimed, now, RunStatus.CANCELLED)
    found = record(hourly, run_id).deliveries
    assert [one.status for one in found] == ["unconfirmed", "cancelled"]


def test_the_open_attempt_ends_with_its_run(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    hourly.begin_attempt(claimed.claim, parameters={}, now=START + HOUR)
    hourly.finish(claimed.claim, RunStatus.FAILED, "bad", "Bad.", now=START + HOUR)
    (attempt,) = record(hourly, claimed.claim.run_id).attempts
    assert (attempt.status, attempt.reason) == (AttemptStatus.FAILED, "bad")


# --- Pauses -------------------------------------------------------------------------


def test_a_paused_schedule_makes_no_rows_and_one_gap(hourly: Ledger) -> None:
    hourly.pause(a_pause(at("2026-03-01 07:30")))
    assert hourly.materialise(now=at("2026-03-01 11:30")).inserted == 0
    (state,) = hourly.states()
    assert (state.next_due, state.pause) == (None, hourly.pauses()[0])
    now = at("2026-03-01 11:45")
    assert hourly.resume(PauseTarget.SCHEDULE, "daily", by="ada", now=now)
    (gap,) = hourly.gaps("daily")
    assert (gap.count, gap.reason, gap.until) == (4, "paused", now)
    assert statuses(hourly) == {"07:00": "pending"}
    hourly.materialise(now=at("2026-03-01 12:00"))
    assert statuses(hourly)["12:00"] == "pending"
    assert hourly.broken_invariants(now=now) == []
    assert not hourly.resume(PauseTarget.SCHEDULE, "daily", by="ada", now=now)


def test_a_pause_holds_back_rows_that_were_due_before_it(hourly: Ledger) -> None:
    now = START + HOUR
    hourly.materialise(now=now)
    hourly.pause(a_pause(now))
    manual = a_manual_run(now=now)
    hourly.enqueue([manual], now=now)
    (claimed,) = take(hourly, now)
    assert claimed.claim.run_id == manual.run_id
    end(hourly, claimed, now, RunStatus.SUCCEEDED)
    hourly.resume(PauseTarget.SCHEDULE, "daily", by="ada", now=now)
    assert len(take(hourly, now)) == 1


def test_a_row_that_expires_in_a_pause_was_missed_for_the_pause(hourly: Ledger) -> None:
    hourly.materialise(now=START + HOUR)
    hourly.pause(a_pause(START + HOUR))
    take(hourly, START + 48 * HOUR)
    assert statuses(hourly) == {"07:00": "missed paused"}


def test_what_has_begun_goes_on_in_a_pause(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    hourly.wait(claimed.claim, START + 2 * HOUR, "locked", "", now=START + HOUR)
    hourly.pause(a_pause(START + HOUR))
    assert len(take(hourly, START + 2 * HOUR)) == 1


def test_a_pause_ends_by_itself(hourly: Ledger) -> None:
    until = at("2026-03-01 09:30")
    hourly.pause(a_pause(START, until=until))
    assert hourly.materialise(now=START).next_due == until
    hourly.materialise(now=at("2026-03-01 10:00"))
    (gap,) = hourly.gaps("daily")
    assert (gap.count, gap.until) == (3, until)
    assert statuses(hourly) == {"10:00": "pending"}
    assert hourly.pauses() == []
    assert hourly.broken_invariants(now=until) == []


def test_the_longest_pause_counts(hourly: Ledger) -> None:
    hourly.pause(a_pause(START, until=START + HOUR))
    hourly.pause(
        a_pause(START, target=PauseTarget.ALL, value="", until=START + 3 * HOUR)
    )
    hourly.pause(
        a_pause(
            START,
            target=PauseTarget.OWNER,
            value="ops@example.com",
            until=START + 2 * HOUR,
        )
    )
    hourly.materialise(now=START + 2 * HOUR)
    assert statuses(hourly) == {}
    (state,) = hourly.states()
    assert state.pause
    assert state.pause.target is PauseTarget.ALL
    hourly.resume(PauseTarget.ALL, "", by="ada", now=START + 2 * HOUR)
    hourly.materialise(now=START + 2.5 * HOUR)
    assert statuses(hourly) == {"09:00": "pending"}


@pytest.mark.parametrize(
    ("target", "value"),
    [
        (PauseTarget.ALL, ""),
        (PauseTarget.OWNER, "ops@example.com"),
        (PauseTarget.LABEL, "team=finance"),
        (PauseTarget.CONNECTION, "flights"),
        (PauseTarget.CONNECTION, "bank"),
    ],
)
def test_pauses_reach_what_they_name(
    ledger: Ledger, target: PauseTarget, value: str
) -> None:
    spec = {"type": "sftp", "connection": "bank", "base_path": "/in"}
    mine = a_schedule(
        labels={"team": "finance"},
        destinations=[{"key": "sftp", "distribution": None, "spec": spec}],
    )
    other = a_schedule(
        "other",
        owner="olaf@example.com",
        connection_name="other",
        labels={"team": "sales"},
    )
    ledger.activate(an_activation(mine, other), now=START)
    ledger.pause(a_pause(START, target=target, value=value))
    paused = {one.name for one in ledger.states() if one.pause}
    assert paused == ({"daily", "other"} if target is PauseTarget.ALL else {"daily"})


def test_a_pause_in_git_counts_from_its_activation(hourly: Ledger) -> None:
    paused = an_activation(a_schedule(paused=True))
    hourly.activate(paused, now=at("2026-03-01 07:30"))
    hourly.materialise(now=at("2026-03-01 09:30"))
    assert [one.paused_in_git for one in hourly.states()] == [True]
    hourly.activate(an_activation(a_schedule()), now=at("2026-03-01 10:30"))
    (gap,) = hourly.gaps("daily")
    assert gap.count == 3
    hourly.materialise(now=at("2026-03-01 11:00"))
    assert statuses(hourly) == {"07:00": "pending", "11:00": "pending"}
    assert hourly.broken_invariants(now=START) == []


def test_a_resume_does_not_lift_a_pause_in_git(ledger: Ledger) -> None:
    ledger.activate(an_activation(a_schedule(paused=True)), now=START)
    ledger.pause(a_pause(START))
    assert ledger.resume(PauseTarget.SCHEDULE, "daily", by="ada", now=START + HOUR)
    assert ledger.materialise(now=START + 5 * HOUR).inserted == 0


def test_another_when_in_a_pause_starts_where_it_was_activated(hourly: Ledger) -> None:
    hourly.pause(a_pause(START))
    now = at("2026-03-01 08:30")
    hourly.activate(an_activation(a_schedule(when={"every": "10m"})), now=now)
    hourly.resume(PauseTarget.SCHEDULE, "daily", by="ada", now=START + 3 * HOUR)
    assert [one.count for one in hourly.gaps("daily")] == [2, 6]
    assert hourly.broken_invariants(now=now) == []


def test_a_new_schedule_of_a_paused_owner_is_paused(hourly: Ledger) -> None:
    hourly.pause(a_pause(START, target=PauseTarget.ALL, value=""))
    hourly.activate(an_activation(a_schedule(), a_schedule("new")), now=START)
    assert hourly.materialise(now=START + 9 * HOUR).inserted == 0


def test_only_what_is_served_can_be_paused(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="no schedule 'daily'"):
        ledger.pause(a_pause(START))


def test_failures_in_a_row_pause_the_schedule(ledger: Ledger) -> None:
    serve(ledger, pause_after_failures=2)
    outcomes = [RunStatus.FAILED, RunStatus.SUCCEEDED, RunStatus.FAILED]
    for hours, status in enumerate(outcomes, start=1):
        end(ledger, one_claim(ledger, START + hours * HOUR), START, status)
    assert ledger.pauses() == []
    now = START + 4 * HOUR
    end(ledger, one_claim(ledger, now), now, RunStatus.FAILED)
    (pause,) = ledger.pauses()
    assert (pause.value, pause.by, pause.since) == ("daily", "boe", now)
    assert pause.why == "2 runs in a row failed"
    ledger.resume(PauseTarget.SCHEDULE, "daily", by="ada", now=now)
    end(ledger, one_claim(ledger, now + HOUR), now + HOUR, RunStatus.FAILED)
    assert ledger.pauses() == []


def test_a_failed_run_of_a_schedule_that_is_gone_pauses_nobody(ledger: Ledger) -> None:
    serve(ledger, pause_after_failures=1)
    claimed = one_claim(ledger)
    ledger.activate(an_activation(), now=START + HOUR)
    end(ledger, claimed, START + HOUR, RunStatus.FAILED)
    assert ledger.pauses() == []


# --- What people ask of a run -------------------------------------------------------


def test_a_run_that_nobody_executes_is_cancelled_at_once(hourly: Ledger) -> None:
    hourly.materialise(now=START + HOUR)
    run_id = hourly.runs()[0].run.run_id
    assert hourly.cancel(run_id, by="ada", now=START + HOUR) is RunStatus.CANCELLED
    assert hourly.cancel(run_id, by="ada", now=START + HOUR) is RunStatus.CANCELLED
    assert record(hourly, run_id).run.message == "Cancelled by ada."
    assert [one.action for one in hourly.events(run_id)] == ["cancel_requested"]


def test_a_running_one_is_asked_to_stop(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    run_id = claimed.claim.run_id
    assert hourly.cancel(run_id, by="ada", now=START + HOUR) is RunStatus.RUNNING
    assert hourly.heartbeat([claimed.claim], now=START + HOUR) == {run_id: True}


def test_a_run_has_to_be_there(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="no run 'x'"):
        ledger.cancel("x", by="ada", now=START)
    with pytest.raises(InputError, match="no run 'x'"):
        ledger.reopen("x", now=START)


def test_a_resend_opens_what_was_not_accepted(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    now = START + HOUR
    run_id = claimed.claim.run_id
    owed = [a_delivery(run_id, recipient=name) for name in ("anna", "bob", "carl")]
    hourly.begin_attempt(claimed.claim, parameters={}, now=now)
    hourly.commit_artifacts(claimed.claim, [an_artifact()], owed, now=now)
    for new, outcome in zip(owed, [ACCEPTED, REFUSED, REFUSED], strict=True):
        hourly.intend(claimed.claim, new.key, {}, now=now)
        hourly.settle(claimed.claim, new.key, outcome, now=now)
    end(hourly, claimed, now, RunStatus.PARTIAL)
    assert hourly.reopen(run_id, Resend(recipient="bob"), now=now) == [owed[1].key]
    found = record(hourly, run_id)
    assert [one.status for one in found.deliveries] == [
        "accepted",
        "pending",
        "refused",
    ]
    assert (found.run.status, found.run.finished_at) == (RunStatus.PENDING, None)
    with pytest.raises(InputError, match="still delivers"):
        hourly.reopen(run_id, now=now)
    (again,) = take(hourly, now)
    assert again.record.artifacts == (an_artifact(),)
    hourly.intend(again.claim, owed[1].key, {}, now=now)
    hourly.settle(again.claim, owed[1].key, ACCEPTED, now=now)
    end(hourly, again, now, RunStatus.PARTIAL)
    assert hourly.broken_invariants(now=now) == []


def test_a_resend_of_everything_makes_new_copies(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    now = START + HOUR
    key = delivered(hourly, claimed, now)
    assert hourly.reopen(key.run_id, now=now) == []
    assert statuses(hourly) == {"07:00": "succeeded"}
    for copy in (1, 2):
        (again,) = hourly.reopen(key.run_id, Resend(everything=True), now=now)
        assert again == replace(key, copy=copy)
        assert again.identity != key.identity
        (claimed,) = take(hourly, now)
        hourly.intend(claimed.claim, again, {}, now=now)
        hourly.settle(claimed.claim, again, ACCEPTED, now=now)
        end(hourly, claimed, now, RunStatus.SUCCEEDED)
    assert len(record(hourly, key.run_id).deliveries) == 3


def test_a_resend_runs_a_paused_schedule_too(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    now = START + HOUR
    key = delivered(hourly, claimed, now, REFUSED)
    hourly.pause(a_pause(now))
    hourly.reopen(key.run_id, now=now)
    assert len(take(hourly, now)) == 1


def test_a_run_without_a_file_cannot_be_sent_again(hourly: Ledger) -> None:
    claimed = one_claim(hourly)
    end(hourly, claimed, START + HOUR, RunStatus.FAILED)
    with pytest.raises(InputError, match="no deliveries"):
        hourly.reopen(claimed.claim.run_id, now=START + HOUR)


# --- History ------------------------------------------------------------------------


def test_history_is_newest_first_and_can_be_narrowed(ledger: Ledger) -> None:
    ledger.activate(an_activation(a_schedule(), a_schedule("other")), now=START)
    for hours in (1, 2, 3):
        ledger.materialise(now=START + hours * HOUR)
    end(ledger, take(ledger, START + HOUR, 1)[0], START + HOUR, RunStatus.FAILED)
    mine = ledger.runs(schedule="daily")
    assert [one.run.occurrence.hour for one in mine] == [9, 8, 7]
    assert len(ledger.runs(limit=4)) == 4
    eight = at("2026-03-01 08:00")
    assert len(ledger.runs(since=eight)) == 4
    assert len(ledger.runs(since=eight, until=eight)) == 2
    assert [one.run.run_id for one in ledger.runs(status=RunStatus.FAILED)] == [
        "daily.20260301T070000Z"
    ]
    assert ledger.run("unknown") is None


def test_events_are_kept_with_their_run(hourly: Ledger) -> None:
    hourly.materialise(now=START + HOUR)
    run_id = hourly.runs()[0].run.run_id
    events = [
        Event(at=START, action="text_cut", message="é" * 5000, run_id=run_id),
        Event(at=START, action="other", message="", schedule="daily"),
        Event(at=START, action="sheet_added", message="", run_id=run_id),
    ]
    hourly.note(events)
    hourly.note([])
    assert hourly.events(run_id) == [events[0], events[2]]


def test_the_digest_is_that_of_the_rows_last_delivered_whole(hourly: Ledger) -> None:
    assert hourly.last_rows_digest(uid_of(hourly)) is None
    assert hourly.last_rows_digest("unknown") is None
    delivered(hourly, one_claim(hourly), START + HOUR)
    now = START + 2 * HOUR
    hourly.enqueue([a_manual_run(now=now, dry_run=True)], now=now)
    (dry,) = hourly.claim("w", now=now, limit=1, only=[a_manual_run().run_id])
    other = an_artifact(rows_digest="c" * 64)
    hourly.commit_artifacts(dry.claim, [other], [], now=now)
    end(hourly, dry, now, RunStatus.SUCCEEDED)
    assert hourly.last_rows_digest(uid_of(hourly)) == "b" * 64


def test_a_verb_that_fails_changes_nothing(ledger: Ledger) -> None:
    ledger.activate(an_activation(a_schedule()), now=START)
    new = [a_manual_run(number=1), replace(a_manual_run(number=2), schedule="unknown")]
    with pytest.raises(InputError):
        ledger.enqueue(new, now=START)
    assert ledger.runs() == []


def test_a_change_is_noticed_and_a_look_is_not_a_change(hourly: Ledger) -> None:
    hourly.wait_for_change(0)
    take(hourly, START)
    hourly.materialise(now=START)
    hourly.wait_for_change(0)
    take(hourly, START)
    hourly.materialise(now=START + SECOND)
    assert not hourly.wait_for_change(0.05)
    hourly.materialise(now=START + HOUR)
    assert hourly.wait_for_change(5)
    assert not hourly.wait_for_change(0.05)


def test_what_is_stored_can_be_told_as_json(hourly: Ledger) -> None:
    assert json.dumps([dict(one) for one in hourly.served().problems]) == "[]"


def seen_by_claims(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[Candidate]:
    """From now on, the runs that claims look at."""
    store = memory._MemoryStore if isinstance(ledger, MemoryLedger) else SqliteStore
    real, seen = store.candidates, []

    def candidates(self: Any, now: datetime, page: Any) -> Any:
        found = real(self, now, page)
        seen.extend(found)
        return found

    monkeypatch.setattr(store, "candidates", candidates)
    return seen


@pytest.mark.parametrize(
    "overlap", ["skip", "buffer_one", "buffer_all", "cancel_other"]
)
def test_a_claim_does_not_look_at_all_that_somebody_asked_for(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, overlap: str
) -> None:
    """Ten years of a daily schedule that are made anew would cost each claim so much."""
    daily = a_schedule(execution={"overlap": overlap})
    ledger.activate(an_activation(daily, a_schedule("other")), now=START)
    ledger.enqueue([a_manual_run(now=START, number=n) for n in range(300)], now=START)
    seen = seen_by_claims(ledger, monkeypatch)
    take(ledger, START, limit=2)
    now = START + HOUR
    ledger.materialise(now=now)
    (other,) = take(ledger, now, limit=2)
    assert other.record.run.schedule == "other"
    assert len(seen) < 60
    owed = record(ledger, "daily.20260301T070000Z").run.status
    assert owed == ("skipped" if overlap == "skip" else "pending")


# --- One that is broken harms no other ----------------------------------------------


def good_and_bad(ledger: Ledger, deadline: str) -> None:
    """Two schedules that are told apart by their timing alone."""
    bad = a_schedule("bad", execution={"deadline": deadline})
    ledger.activate(an_activation(bad, a_schedule("good")), now=START)


def broken_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can work out what the bad schedule owes."""
    real = due._parsed

    def parsed(timing: str) -> Any:
        if "7h" in timing:
            raise ZeroDivisionError("of all things")
        return real(timing)

    pattern.cache_clear()
    monkeypatch.setattr(due, "_parsed", parsed)


def test_a_schedule_that_cannot_be_worked_out_holds_up_no_other(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    good_and_bad(ledger, "7h")
    now = at("2026-03-01 07:00")
    with monkeypatch.context() as patch:
        broken_bad(patch)
        tick = ledger.materialise(now=now)
        assert tick.next_due is not None
        assert tick.next_due > now
        assert [one.run.schedule for one in ledger.runs()] == ["good"]
        ledger.activate(an_activation(a_schedule("good"), revision="r2"), now=now)
    assert [one.name for one in ledger.states()] == ["good"]


@pytest.mark.parametrize("seconds", [60, 90, 130])
def test_what_could_not_be_worked_out_is_not_forgotten(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """After more than a minute without a tick neither."""
    good_and_bad(ledger, "7h")
    now = at("2026-03-01 07:00")
    with monkeypatch.context() as patch:
        broken_bad(patch)
        ledger.materialise(now=now)
    ledger.materialise(now=now + timedelta(seconds=seconds))
    assert sorted(one.run.schedule for one in ledger.runs()) == ["bad", "good"]
    assert ledger.broken_invariants(now=now) == []


def test_rows_that_are_refused_hold_up_no_other_schedule(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    good_and_bad(ledger, "8h")
    real = lifecycle.inserted

    def inserted(new: NewRun, standing: Standing, now: datetime) -> Any:
        if "8h" in standing.timing:
            raise ValueError("the ledger refuses it")
        return real(new, standing, now)

    monkeypatch.setattr(lifecycle, "inserted", inserted)
    now = at("2026-03-01 07:00")
    ledger.materialise(now=now)
    assert [one.run.schedule for one in ledger.runs()] == ["good"]
    assert {one.name: one.high_water for one in ledger.states()}["bad"] == START


def test_a_run_with_a_spec_of_another_version_fails_alone(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.activate(an_activation(a_schedule("bad"), a_schedule("good")), now=START)
    now = at("2026-03-01 07:00")
    ledger.materialise(now=now)
    digest = {one.run.schedule: one.run.spec_digest for one in ledger.runs()}["bad"]
    store = memory._MemoryStore if isinstance(ledger, MemoryLedger) else SqliteStore
    real = store.spec

    def spec(self: Any, wanted: str) -> RunSpec:
        if wanted == digest:
            raise ValueError("an unknown field")
        return real(self, wanted)

    monkeypatch.setattr(store, "spec", spec)
    (claimed,) = take(ledger, now)
    assert claimed.spec.schedule == "good"
    bad = record(ledger, "bad.20260301T070000Z").run
    assert (bad.status, bad.reason) == (RunStatus.FAILED, "spec_unreadable")


def test_a_lease_that_is_fresh_is_not_written_again(hourly: Ledger) -> None:
    """Each write wakes whoever waits for changes, who renews its leases then."""
    claimed = one_claim(hourly)
    now = START + HOUR
    while hourly.wait_for_change(0):
        pass
    for seconds in (0, 1, 10):
        soon = now + timedelta(seconds=seconds)
        kept = hourly.heartbeat([claimed.claim], now=soon)
        assert kept == {claimed.claim.run_id: False}
    assert not hourly.wait_for_change(0)
    hourly.heartbeat([claimed.claim], now=now + timedelta(seconds=20))
    assert hourly.expire(now=now + timedelta(seconds=75)) == []


def test_a_command_may_claim_from_among_very_many_rows_of_its_own(
    hourly: Ledger,
) -> None:
    mine = [f"daily.m{number:032x}" for number in range(40_000)]
    hourly.enqueue([a_manual_run(now=START, number=7)], now=START)
    found = hourly.claim("worker", now=START, limit=1, only=mine)
    assert [one.claim.run_id for one in found] == [mine[7]]


def test_one_that_made_way_says_so(ledger: Ledger) -> None:
    first = two_due(ledger, overlap="cancel_other")
    now = START + 2 * HOUR
    take(ledger, now)
    while ledger.wait_for_change(0):
        pass
    take(ledger, now + SECOND)
    assert not ledger.wait_for_change(0), "it was asked once more"
    end(ledger, first, now, RunStatus.CANCELLED)
    found = record(ledger, first.claim.run_id).run
    assert (found.status, found.reason) == (RunStatus.CANCELLED, "overlap")


@pytest.mark.parametrize("overlap", ["buffer_one", "cancel_other"])
def test_the_newest_waits_alone_however_many_were_due(
    ledger: Ledger, overlap: str
) -> None:
    more = {"catchup": "all", "catchup_max_runs": 100, "catchup_window": "7d"}
    serve(ledger, overlap=overlap, **more)
    now = START + 60 * HOUR
    take_first = overlap == "buffer_one"
    ledger.materialise(now=now)
    take(ledger, now, limit=2)
    left = [one.run for one in ledger.runs(limit=100)]
    newest = max(left, key=lambda run: run.occurrence)
    oldest = min(left, key=lambda run: run.occurrence)
    going_on = {run.run_id: run.status.value for run in left if not run.status.final}
    if take_first:
        assert going_on == {newest.run_id: "pending", oldest.run_id: "running"}
    else:
        assert going_on == {newest.run_id: "running"}
    assert len(left) == 60


# --- Connections with limits ----------------------------------------------------------


def limited(ledger: Ledger, *names: str, now: datetime = START, **limits: Any) -> None:
    """Serve schedules (`daily`, unless named) that read from one Connection."""
    execution = limits.pop("execution", {})
    source = {"type": "duckdb", **limits}
    schedules = [
        a_schedule(name, connection=source, execution=execution)
        for name in names or ("daily",)
    ]
    ledger.activate(an_activation(*schedules), now=now)


def state(ledger: Ledger, now: datetime) -> ConnectionState:
    (found,) = ledger.limits(now=now)
    return found


def dark(start: str, duration: str) -> list[dict[str, str]]:
    hour, minute = start.split(":")
    return [{"cron": f"{minute} {hour} * * *", "duration": duration, "timezone": "UTC"}]


def test_a_run_waits_for_the_end_of_a_blackout(ledger: Ledger) -> None:
    limited(ledger, blackouts=dark("06:45", "1h"))
    ledger.materialise(now=START + HOUR)
    assert take(ledger, START + HOUR) == []
    assert statuses(ledger) == {"07:00": "pending"}
    assert state(ledger, START + HOUR).blackout_until == at("2026-03-01 07:45")
    (claimed,) = take(ledger, at("2026-03-01 07:45"))
    assert claimed.record.run.attempts == 0


def test_what_expires_in_a_blackout_says_so(ledger: Ledger) -> None:
    rules = {"deadline": "10m"}
    limited(ledger, blackouts=dark("06:45", "1h"), execution=rules)
    ledger.materialise(now=START + HOUR)
    take(ledger, at("2026-03-01 07:50"))
    assert statuses(ledger) == {"07:00": "missed blackout"}
    assert "flights" in record(ledger, "daily.20260301T070000Z").run.message


def test_a_blackout_that_was_over_is_not_blamed(ledger: Ledger) -> None:
    rules = {"deadline": "59m"}
    limited(ledger, blackouts=dark("06:45", "1h"), execution=rules)
    ledger.materialise(now=START + HOUR)
    take(ledger, at("2026-03-01 08:30"))
    assert statuses(ledger) == {"07:00": "missed deadline"}


def test_no_more_runs_read_from_a_connection_than_may(ledger: Ledger) -> None:
    limited(ledger, *"abcd", max_concurrent=2)
    now = START + HOUR
    ledger.materialise(now=now)
    first = take(ledger, now)
    assert [one.record.run.schedule for one in first] == ["a", "b"]
    assert take(ledger, now) == []
    found = state(ledger, now)
    assert (found.running, found.held_by) == (2, "connection_limit")
    end(ledger, first[0], now, RunStatus.FAILED)
    assert [one.record.run.schedule for one in take(ledger, now)] == ["c"]


def test_a_run_uses_its_connection_until_its_files_are_there(ledger: Ledger) -> None:
    limited(ledger, *"ab", max_concurrent=1)
    now = START + HOUR
    ledger.materialise(now=now)
    (first,) = take(ledger, now)
    exported(ledger, first, now)
    assert state(ledger, now).running == 0
    assert [one.record.run.schedule for one in take(ledger, now)] == ["b"]
    # What has still to be delivered goes on, however busy its source is.
    ledger.wait(first.claim, now, "delivery_retry", "", now=now)
    assert [one.record.run.schedule for one in take(ledger, now)] == ["a"]


def test_what_expires_before_a_full_connection_says_so(ledger: Ledger) -> None:
    limited(ledger, *"ab", max_concurrent=1, execution={"deadline": "10m"})
    now = at("2026-03-01 07:00")
    ledger.materialise(now=now)
    (first,) = take(ledger, now)
    for minutes in range(11):
        assert take(ledger, now + minutes * timedelta(minutes=1)) == []
    # Its slot is given up too late.
    end(ledger, first, now + timedelta(minutes=10), RunStatus.SUCCEEDED)
    take(ledger, now + timedelta(minutes=10) + SECOND)
    missed = record(ledger, "b.20260301T070000Z").run
    assert (missed.status, missed.reason) == (RunStatus.MISSED, "connection_limit")


def test_overlap_decides_on_a_schedule_that_itself_fills_the_connection(
    ledger: Ledger,
) -> None:
    limited(ledger, max_concurrent=1)
    one_claim(ledger)
    ledger.materialise(now=START + 2 * HOUR)
    assert take(ledger, START + 2 * HOUR) == []
    assert statuses(ledger) == {"07:00": "running", "08:00": "skipped overlap"}


def test_a_crowd_before_a_full_connection_hides_nobody(ledger: Ledger) -> None:
    busy = {"type": "duckdb", "max_concurrent": 1}
    crowd = [a_schedule(f"a{number:03}", connection=busy) for number in range(200)]
    free = a_schedule("z", connection_name="other")
    ledger.activate(an_activation(*crowd, free), now=START)
    now = START + HOUR
    ledger.materialise(now=now)
    taken = [one.record.run.schedule for one in take(ledger, now, limit=3)]
    assert taken == ["a000", "z"]
    assert take(ledger, now, limit=3) == []


def test_no_more_runs_start_than_the_rate_allows(ledger: Ledger) -> None:
    limited(ledger, *"abcdef", rate_limit={"per_second": 2.0})
    now = START + HOUR
    ledger.materialise(now=now)
    assert len(take(ledger, now)) == 2
    assert take(ledger, now) == []
    assert state(ledger, now).next_by_rate == now + SECOND / 2
    assert len(take(ledger, now + SECOND / 2)) == 1
    assert len(take(ledger, now + 10 * SECOND)) == 2
    missing = ledger.claim("w", now=now + 20 * SECOND, limit=9, only=["none"])
    assert missing == []


def fail(ledger: Ledger, claimed: Claimed, now: datetime) -> list[str]:
    """Its source could not be reached: it waits for its next try."""
    run_id, cause = claimed.claim.run_id, "connection refused"
    events = ledger.used("flights", failure=cause, run_id=run_id, now=now)
    ledger.wait(claimed.claim, now, "database_unreachable", cause, now=now)
    return [one.action for one in events]


def tripped(ledger: Ledger) -> datetime:
    """Three schedules whose Connection has just failed twice."""
    limited(ledger, *"abc", circuit_breaker={"failures": 2, "open_for": "5m"})
    now = START + HOUR
    ledger.materialise(now=now)
    taken = take(ledger, now, limit=2)
    assert [fail(ledger, one, now) for one in taken] == [[], ["breaker_opened"]]
    return now


def test_a_breaker_opens_after_failures_in_a_row_and_says_why(ledger: Ledger) -> None:
    now = tripped(ledger)
    assert take(ledger, now + SECOND) == []
    found = state(ledger, now)
    assert (found.breaker, found.held_by) == (Phase.OPEN, "breaker_open")
    assert found.breaker_until == now + timedelta(minutes=5)
    told = list(ledger.events("b.20260301T070000Z"))
    assert [one.action for one in told] == ["breaker_opened"]
    assert "flights" in told[0].message
    assert "connection refused" in told[0].message
    run = record(ledger, "c.20260301T070000Z").run
    assert (run.status, run.attempts) == (RunStatus.PENDING, 0)


def test_a_half_open_breaker_lets_one_run_try(ledger: Ledger) -> None:
    later = tripped(ledger) + timedelta(minutes=5)
    (trial,) = take(ledger, later)
    assert state(ledger, later).breaker is Phase.HALF_OPEN
    assert take(ledger, later) == []
    exported(ledger, trial, later)
    assert state(ledger, later).breaker is Phase.CLOSED
    actions = [one.action for one in ledger.events(trial.claim.run_id)]
    assert actions == ["breaker_closed"]
    assert len(take(ledger, later)) == 2


def test_a_try_that_fails_opens_the_breaker_again(ledger: Ledger) -> None:
    later = tripped(ledger) + timedelta(minutes=5)
    (trial,) = take(ledger, later)
    assert fail(ledger, trial, later) == ["breaker_opened"]
    assert take(ledger, later + SECOND) == []


def test_a_try_that_vanished_makes_way_for_another(ledger: Ledger) -> None:
    later = tripped(ledger) + timedelta(minutes=5)
    (trial,) = take(ledger, later)
    ledger.give_back(trial.claim, now=later)
    assert len(take(ledger, later)) == 1


def test_what_the_export_decided_shows_that_the_source_answers(ledger: Ledger) -> None:
    later = tripped(ledger) + timedelta(minutes=5)
    (trial,) = take(ledger, later)
    ledger.finish(trial.claim, RunStatus.SKIPPED, "only_if", "", now=later)
    assert state(ledger, later).breaker is Phase.CLOSED


def test_what_expires_while_a_breaker_is_open_says_so(ledger: Ledger) -> None:
    rules = {"deadline": "32m"}
    source = {"circuit_breaker": {"failures": 1, "open_for": "5m"}, "execution": rules}
    limited(ledger, *"ab", **source)
    now = START + HOUR
    ledger.materialise(now=now)
    (first,) = take(ledger, now, limit=1)
    fail(ledger, first, now)
    take(ledger, now + timedelta(minutes=3))
    missed = record(ledger, "b.20260301T070000Z").run
    assert (missed.status, missed.reason) == (RunStatus.MISSED, "breaker_open")


def test_an_edit_of_a_connection_keeps_its_breaker(ledger: Ledger) -> None:
    now = tripped(ledger)
    rules = {"failures": 2, "open_for": "9m"}
    limited(ledger, *"abc", now=now, circuit_breaker=rules, max_concurrent=7)
    found = state(ledger, now)
    assert (found.breaker, found.max_concurrent) == (Phase.OPEN, 7)
    assert found.breaker_until == now + timedelta(minutes=9)
    limited(ledger, *"abc", now=now)
    assert len(take(ledger, now)) == 3


def test_a_connection_that_nobody_uses_any_more_is_forgotten(ledger: Ledger) -> None:
    now = tripped(ledger)
    ledger.activate(an_activation(), now=now)
    assert ledger.limits(now=now) == []
    assert ledger.used("flights", failure="refused", now=now) == ()


def test_without_a_breaker_failures_change_nothing(hourly: Ledger) -> None:
    assert hourly.used("flights", failure="refused", now=START) == ()
    assert state(hourly, START).failures == 0


# --- Late runs ------------------------------------------------------------------------


def late(ledger: Ledger, run_id: str = "daily.20260301T070000Z") -> list[str]:
    return [one.message for one in ledger.events(run_id) if one.action == "run_late"]


def test_a_run_that_has_not_succeeded_by_its_grace_is_late_once(ledger: Ledger) -> None:
    serve(ledger, grace="15m")
    seven = at("2026-03-01 07:00")
    assert ledger.materialise(now=seven).next_due == seven + timedelta(minutes=15)
    (claimed,) = take(ledger, seven)
    ledger.materialise(now=seven + timedelta(minutes=14))
    assert late(ledger) == []
    for minutes in (15, 16):
        ledger.materialise(now=seven + timedelta(minutes=minutes))
    (told,) = late(ledger)
    assert "07:15" in told
    assert "running" in told
    end(ledger, claimed, seven + HOUR, RunStatus.FAILED)
    ledger.materialise(now=seven + HOUR)
    assert len(late(ledger)) == 1


@pytest.mark.parametrize(
    ("status", "reason", "told"),
    [
        (RunStatus.SUCCEEDED, "", 0),
        (RunStatus.CANCELLED, "cancelled", 0),
        (RunStatus.SKIPPED, "unchanged", 0),
        (RunStatus.FAILED, "query_failed", 1),
        (RunStatus.PARTIAL, "refused", 1),
    ],
)
def test_a_run_that_ended_as_it_should_is_never_late(
    ledger: Ledger, status: RunStatus, reason: str, told: int
) -> None:
    serve(ledger, grace="15m")
    seven = at("2026-03-01 07:00")
    ledger.materialise(now=seven)
    (claimed,) = take(ledger, seven)
    ledger.finish(claimed.claim, status, reason, "", now=seven)
    ledger.materialise(now=seven + HOUR / 2)
    assert len(late(ledger)) == told


def test_a_missed_or_skipped_run_is_late_too(ledger: Ledger) -> None:
    serve(ledger, grace="15m")
    now = at("2026-03-01 09:30")
    ledger.materialise(now=now)
    assert statuses(ledger)["07:00"] == "missed catchup_latest"
    ledger.materialise(now=now)
    assert len(late(ledger)) == 1


def test_what_somebody_asked_for_has_no_grace(ledger: Ledger) -> None:
    serve(ledger, grace="15m")
    ledger.enqueue([a_manual_run(now=START)], now=START)
    ledger.materialise(now=START + HOUR / 3)
    (found,) = ledger.runs()
    assert late(ledger, found.run.run_id) == []
