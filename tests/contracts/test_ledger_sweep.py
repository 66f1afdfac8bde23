"""What every ledger promises about what it keeps no longer (docs/operating/retention.md)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from boe_reconciler.core.ports import Claimed, Ledger
from boe_reconciler.core.runs import (
    DeliveryKey,
    DeliveryStatus,
    Event,
    NewRun,
    Outcome,
    PauseTarget,
    Resend,
    RunStatus,
    Trigger,
)
from boe_reconciler.core.spec import ServedObject
from tests.builders import (
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
DAY = timedelta(days=1)
ACCEPTED = Outcome(status=DeliveryStatus.ACCEPTED)


@pytest.fixture
def ledger(ledger: Ledger) -> Ledger:
    ledger.activate(an_activation(a_schedule()), now=START)
    return ledger


def due(ledger: Ledger, now: datetime) -> Claimed:
    """The run of `daily` that is due now, claimed."""
    ledger.materialise(now=now)
    (claimed,) = ledger.claim("worker", now=now, limit=1)
    return claimed


def built(
    ledger: Ledger, claimed: Claimed, now: datetime, sha256: str = "a" * 64
) -> DeliveryKey:
    ledger.begin_attempt(claimed.claim, parameters={}, now=now)
    owed = a_delivery(claimed.claim.run_id)
    artifact = an_artifact(sha256=sha256, rows_digest=sha256)
    ledger.commit_artifacts(claimed.claim, [artifact], [owed], now=now)
    return owed.key


def delivered(ledger: Ledger, now: datetime, sha256: str = "a" * 64) -> str:
    """A run of `daily` that went well; its id."""
    claimed = due(ledger, now)
    key = built(ledger, claimed, now, sha256)
    ledger.intend(claimed.claim, key, {"name": "x"}, now=now)
    ledger.settle(claimed.claim, key, ACCEPTED, now=now)
    ledger.finish(claimed.claim, RunStatus.SUCCEEDED, "", "", rows=1, now=now)
    return claimed.claim.run_id


def skipped(ledger: Ledger, now: datetime) -> str:
    claimed = due(ledger, now)
    ledger.finish(claimed.claim, RunStatus.SKIPPED, "unchanged", "", now=now)
    return claimed.claim.run_id


def ids(ledger: Ledger) -> list[str]:
    """Oldest first."""
    return [one.run.run_id for one in reversed(ledger.runs(limit=10_000))]


def sweep_all(ledger: Ledger, keep: timedelta, now: datetime, limit: int = 200) -> int:
    count, more = 0, True
    while more:
        swept = ledger.sweep(keep, now=now, limit=limit)
        count, more = count + swept.runs, swept.more
    assert ledger.broken_invariants(now=now) == []
    return count


# --- Runs ---------------------------------------------------------------------------


def test_an_old_run_goes_with_all_its_rows(ledger: Ledger) -> None:
    old, *_ = [delivered(ledger, START + hours * HOUR) for hours in (1, 2, 30)]
    now = START + 30 * HOUR
    ledger.note([Event(at=START, action="text_cut", message="", run_id=old)])
    assert ledger.events(old) != []
    assert sweep_all(ledger, DAY, now) == 2
    assert ledger.run(old) is None
    assert ledger.events(old) == []
    assert all(old not in one for one in ids(ledger))


def test_a_run_is_kept_for_as_long_as_it_ended_after(ledger: Ledger) -> None:
    first = delivered(ledger, START + HOUR)
    delivered(ledger, START + 2 * HOUR)
    end = START + HOUR + DAY
    assert sweep_all(ledger, DAY, end) == 0
    assert first in ids(ledger)
    assert sweep_all(ledger, DAY, end + timedelta(seconds=1)) == 1
    assert first not in ids(ledger)


def test_an_old_occurrence_that_ran_today_is_kept(ledger: Ledger) -> None:
    """A backfill is as old as its end."""
    now = START + 30 * DAY
    again = NewRun(
        run_id="daily.20260101T000000Z.b1",
        schedule="daily",
        occurrence=at("2026-01-01 00:00"),
        trigger=Trigger.BACKFILL,
        not_before=now,
    )
    ledger.enqueue([again], now=now)
    ledger.cancel(again.run_id, by="ada", now=now)
    ledger.enqueue([a_manual_run(now=now)], now=now)
    assert sweep_all(ledger, DAY, now + HOUR) == 0
    assert sweep_all(ledger, DAY, now + 2 * DAY) == 1


@pytest.mark.parametrize("state", ["pending", "running", "waiting"])
def test_a_run_that_has_not_ended_is_kept(ledger: Ledger, state: str) -> None:
    asked = a_manual_run(now=START)
    ledger.enqueue([asked, a_manual_run(now=START + HOUR, number=2)], now=START)
    if state != "pending":
        (claimed,) = ledger.claim("worker", now=START, limit=1)
        built(ledger, claimed, START)
        if state == "waiting":
            ledger.wait(claimed.claim, START + HOUR, "why", "", now=START)
    sweep_all(ledger, DAY, START + 900 * DAY)
    assert asked.run_id in ids(ledger)


def test_a_run_that_is_sent_again_is_kept(ledger: Ledger) -> None:
    old = delivered(ledger, START + HOUR)
    delivered(ledger, START + 2 * HOUR)
    ledger.reopen(old, Resend(everything=True), now=START + 900 * DAY)
    sweep_all(ledger, DAY, START + 900 * DAY)
    assert old in ids(ledger)


def test_a_batch_is_as_large_as_it_was_asked_to_be(ledger: Ledger) -> None:
    for hour in range(1, 8):
        skipped(ledger, START + hour * HOUR)
    before, now = ids(ledger), START + 20 * DAY
    swept = ledger.sweep(DAY, now=now, limit=4)
    assert (swept.runs, swept.more) == (4, True)
    assert ids(ledger) == before[4:]
    assert ledger.broken_invariants(now=now) == []
    swept = ledger.sweep(DAY, now=now, limit=4)
    assert (swept.runs, swept.more) == (2, False)


def test_nothing_to_sweep_wakes_nobody(ledger: Ledger) -> None:
    delivered(ledger, START + HOUR)
    while ledger.wait_for_change(0):
        pass
    assert ledger.sweep(DAY, now=START + HOUR).runs == 0
    assert not ledger.wait_for_change(0)


def test_the_newest_run_of_a_schedule_is_kept_for_its_status(ledger: Ledger) -> None:
    """A yearly report has its last run in `boe status`, however short history is."""
    last = [skipped(ledger, START + hour * HOUR) for hour in (1, 2)][-1]
    sweep_all(ledger, DAY, START + 900 * DAY)
    assert ids(ledger) == [last]
    assert [one.last_run_id for one in ledger.states()] == [last]


def test_what_if_unchanged_compares_with_survives(ledger: Ledger) -> None:
    good = delivered(ledger, START + HOUR, "b" * 64)
    for hour in (2, 3, 4):
        skipped(ledger, START + hour * HOUR)
    sweep_all(ledger, DAY, START + 900 * DAY)
    assert len(ids(ledger)) == 2
    assert good in ids(ledger)
    assert ledger.last_rows_digest(uid_of(ledger)) == "b" * 64
    later = START + 900 * DAY
    newer = delivered(ledger, later, "c" * 64)
    assert sweep_all(ledger, DAY, later + 2 * DAY) > 0
    assert ids(ledger)[-1] == newer
    assert ledger.last_rows_digest(uid_of(ledger)) == "c" * 64


def test_of_a_removed_schedule_nothing_is_kept_for_ever(ledger: Ledger) -> None:
    delivered(ledger, START + HOUR)
    ledger.activate(an_activation(a_schedule("other")), now=START + 2 * HOUR)
    sweep_all(ledger, DAY, START + 900 * DAY)
    assert ids(ledger) == []


# --- What stays for ever ------------------------------------------------------------


def test_gaps_pauses_and_what_was_done_to_the_house_stay(ledger: Ledger) -> None:
    ledger.pause(a_pause(START))
    ledger.resume(PauseTarget.SCHEDULE, "daily", by="ada", now=START + 9 * HOUR)
    ledger.pause(a_pause(START + 20 * HOUR, target=PauseTarget.ALL, value=""))
    gaps, pauses = ledger.gaps("daily"), ledger.pauses()
    assert gaps
    sweep_all(ledger, DAY, START + 900 * DAY)
    assert (ledger.gaps("daily"), ledger.pauses()) == (gaps, pauses)


def test_what_was_swept_is_not_owed_again(ledger: Ledger) -> None:
    for hour in range(1, 6):
        delivered(ledger, START + hour * HOUR)
    late = START + 5 * HOUR + timedelta(minutes=1)
    sweep_all(ledger, timedelta(), late + DAY)
    left = ids(ledger)
    ledger.materialise(now=late)
    assert ids(ledger) == left


# --- Specs and files ----------------------------------------------------------------


def test_specs_go_with_the_last_run_that_names_them(ledger: Ledger) -> None:
    delivered(ledger, START + HOUR)
    newer = a_schedule(title="Newer", files={"q.sql": "d" * 64})
    ledger.activate(an_activation(newer), now=START + HOUR)
    assert ledger.sweep(DAY, now=START + HOUR).specs == 0
    delivered(ledger, START + 2 * HOUR)
    swept = ledger.sweep(DAY, now=START + 9 * DAY)
    assert (swept.runs, swept.specs) == (1, 1)
    spec = ledger.schedule_spec("daily")
    assert spec is not None
    assert spec.title == "Newer"
    # The older spec may come back.
    back = a_schedule()
    ledger.activate(an_activation(back), now=START + 9 * DAY)
    asked = a_manual_run(now=START + 9 * DAY)
    ledger.enqueue([asked], now=START + 9 * DAY)
    only = [asked.run_id]
    (claimed,) = ledger.claim("w", now=START + 9 * DAY, limit=1, only=only)
    assert claimed.spec == back.spec


def test_a_file_is_in_use_while_its_run_is_kept_or_open(ledger: Ledger) -> None:
    kept, old, open_, nobodys = (letter * 64 for letter in "abcd")
    delivered(ledger, START + HOUR, old)
    delivered(ledger, START + 2 * HOUR, open_)
    ledger.reopen(
        ids(ledger)[-1],
        Resend(everything=True),
        now=START + 2 * HOUR + timedelta(minutes=1),
    )
    now = START + 9 * DAY
    (again,) = ledger.claim("worker", now=now, limit=1)
    stored = [kept, old, open_, nobodys]
    assert set(ledger.blobs_in_use(stored, DAY, now=now)) == {open_}
    key = replace(a_delivery(again.claim.run_id).key, copy=1)
    ledger.intend(again.claim, key, {}, now=now)
    ledger.settle(again.claim, key, ACCEPTED, now=now)
    ledger.finish(again.claim, RunStatus.SUCCEEDED, "", "", now=now)
    delivered(ledger, now + HOUR, kept)
    found = ledger.blobs_in_use(stored, DAY, now=now + HOUR)
    assert set(found) == {kept, open_}
    assert set(ledger.blobs_in_use([old], DAY, now=START + HOUR)) == {old}


def test_the_same_bytes_of_a_newer_run_stay(ledger: Ledger) -> None:
    same = "a" * 64
    delivered(ledger, START + HOUR, same)
    delivered(ledger, START + 40 * DAY, same)
    used = ledger.blobs_in_use([same], 30 * DAY, now=START + 40 * DAY)
    assert set(used) == {same}


def test_first_rows_are_in_use_as_long_as_their_file(ledger: Ledger) -> None:
    file, preview = "a" * 64, "b" * 64
    now = START + HOUR
    claimed = due(ledger, now)
    ledger.begin_attempt(claimed.claim, parameters={}, now=now)
    artifact = an_artifact(sha256=file, preview=preview)
    ledger.commit_artifacts(claimed.claim, [artifact], [], now=now)
    ledger.finish(claimed.claim, RunStatus.SUCCEEDED, "", "", now=now)
    both = {file, preview}
    assert set(ledger.blobs_in_use(sorted(both), DAY, now=now)) == both
    needed = ledger.blobs_needed(DAY, now=now)
    assert needed[preview] == f"{claimed.claim.run_id}, the first rows of daily.csv,"
    assert set(ledger.blobs_in_use(sorted(both), DAY, now=now + 2 * DAY)) == set()


def test_files_of_specs_and_objects_are_in_use(ledger: Ledger) -> None:
    served, queued, of_object, former = (letter * 64 for letter in "cdef")
    for name, sha256 in (("one", former), ("two", queued), ("three", served)):
        spec = a_schedule(files={"q.sql": sha256}, title=name)
        activation = an_activation(spec)
        one: ServedObject = replace(activation.objects[0], files={"t": of_object})
        ledger.activate(replace(activation, objects=[one]), now=START)
        if name == "two":
            ledger.enqueue([a_manual_run(now=START)], now=START)
    now = START + 900 * DAY
    used = ledger.blobs_in_use([served, queued, of_object, former], DAY, now=now)
    assert set(used) == {served, queued, of_object}
