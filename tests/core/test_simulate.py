"""A simulation gives what the ledger gives, minute by minute, under a hand-moved clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from boe_reconciler.cli.nextruns import timetable_of
from boe_reconciler.core.ports import Claimed
from boe_reconciler.core.resources.others import CalendarSpec
from boe_reconciler.core.runs import RunStatus
from boe_reconciler.core.simulate import (
    Assumed,
    Peak,
    Simulated,
    described,
    note,
    simulate,
    unusual,
)
from boe_reconciler.core.spec import PlannedSchedule
from boe_reconciler.ledgers.memory import MemoryLedger
from tests.builders import a_pause, a_schedule, an_activation, at

START = at("2026-03-01 00:00")
MINUTE = timedelta(minutes=1)
FIVE = 5 * MINUTE


def minutes(number: int) -> timedelta:
    return number * MINUTE


def assume(
    schedules: Sequence[PlannedSchedule], hours: int = 12, **given: Any
) -> Assumed:
    took = given.pop("takes", MINUTE)
    takes = took if isinstance(took, dict) else {one.name: took for one in schedules}
    return Assumed(
        **{
            "since": START,
            "until": START + timedelta(hours=hours),
            "duration": takes,
            "workers": 2,
            **given,
        }
    )


def told(*schedules: PlannedSchedule, **given: Any) -> list[str]:
    """What becomes of each occurrence."""
    return [
        described(run) for run in simulate(schedules, assume(schedules, **given)).runs
    ]


# --- Against the ledger ---------------------------------------------------------------


class Served:
    """A MemoryLedger under somebody who executes, one look a minute."""

    def __init__(self, schedules: Sequence[PlannedSchedule], assumed: Assumed) -> None:
        self.ledger = MemoryLedger()
        self.assumed = assumed
        self.going: list[tuple[datetime, Claimed]] = []
        before = assumed.since - timedelta(seconds=1)
        self.ledger.activate(an_activation(*schedules), now=before)
        self.ledger.materialise(now=before)

    def go(self) -> None:
        """A minute at a time, to the end of the last run."""
        now = self.assumed.since
        while now <= self.assumed.until or self.ledger.open_runs():
            self.look(now)
            now += MINUTE

    def look(self, now: datetime) -> None:
        outages = self.assumed.outages
        if any(end == now for _, end in outages):
            self.ledger.expire(now=now, all_leases=True)
        serves = not any(since < now < end for since, end in outages)
        if serves:
            self.finish(now)
        if serves and now <= self.assumed.until:
            self.ledger.materialise(now=now)
        for pause in self.assumed.pauses:
            if pause.since == now:
                self.ledger.pause(pause)
        if any(since == now for since, _ in outages):
            self.going = []
        elif serves:
            self.claim(now)

    def finish(self, now: datetime) -> None:
        over = [one for end, one in self.going if end <= now]
        self.going = [each for each in self.going if each[0] > now]
        for one in over:
            self.ledger.finish(one.claim, RunStatus.SUCCEEDED, "", "", now=now)

    def claim(self, now: datetime) -> None:
        while True:
            free = self.assumed.workers - len(self.going)
            if free <= 0:
                return
            started = self.ledger.claim("w", now=now, limit=free)
            for one in started:
                took = self.assumed.duration[one.record.run.schedule]
                self.going.append((now + took, one))
            if not self.make_way(now) and not started:
                return

    def make_way(self, now: datetime) -> bool:
        asked = self.ledger.heartbeat([one.claim for _, one in self.going], now=now)
        for end, one in list(self.going):
            if asked.get(one.claim.run_id):
                self.going.remove((end, one))
                self.ledger.finish(
                    *(one.claim, RunStatus.CANCELLED, "overlap", ""), now=now
                )
        return any(asked.values())


_SCHEDULES = st.fixed_dictionaries(
    {
        "every": st.sampled_from(["10m", "15m", "30m", "1h"]),
        "takes": st.sampled_from([5, 10, 20, 45]),
        "overlap": st.sampled_from(
            ["skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"]
        ),
        "catchup": st.sampled_from(["latest", "all", "none"]),
        "deadline": st.sampled_from([None, "10m", "25m"]),
        "connection": st.sampled_from(
            [
                {},
                {"max_concurrent": 1},
                {"blackouts": [{"cron": "0 1 * * *", "duration": "40m"}]},
            ]
        ),
    }
)


@settings(max_examples=15, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    drawn=st.lists(_SCHEDULES, min_size=1, max_size=3),
    workers=st.integers(1, 3),
    outage=st.tuples(st.integers(0, 14), st.integers(1, 20)) | st.none(),
    pause=st.tuples(st.integers(0, 14), st.integers(1, 20)) | st.none(),
)
def test_it_is_what_the_ledger_does(
    drawn: list[dict[str, Any]],
    workers: int,
    outage: tuple[int, int] | None,
    pause: tuple[int, int] | None,
) -> None:
    schedules = []
    for number, one in enumerate(drawn):
        limit = {"max_concurrent_runs": 2} if one["overlap"] == "allow_all" else {}
        schedules.append(
            a_schedule(
                f"s{number}",
                when={"every": one["every"]},
                connection_name=f"c{number}",
                connection={"type": "duckdb", **one["connection"]},
                execution={
                    "overlap": one["overlap"],
                    "catchup": one["catchup"],
                    "catchup_max_runs": 4,
                    "deadline": one["deadline"],
                    **limit,
                },
            )
        )
    spans = [] if outage is None else [_span(outage)]
    pauses = []
    if pause is not None:
        since, until = _span(pause)
        pauses = [a_pause(since, value="s0", until=until)]
    assumed = assume(
        schedules,
        hours=3,
        takes={f"s{n}": minutes(one["takes"]) for n, one in enumerate(drawn)},
        workers=workers,
        outages=spans,
        pauses=pauses,
    )
    served = Served(schedules, assumed)
    served.go()
    found = simulate(schedules, assumed)
    assert [_short(run) for run in found.runs] == _history(served.ledger)


def _span(drawn: tuple[int, int]) -> tuple[datetime, datetime]:
    start = START + drawn[0] * FIVE + 2 * MINUTE
    return start, start + drawn[1] * FIVE


def _short(run: Simulated) -> tuple[Any, ...]:
    started = run.started_at
    return (run.occurrence, run.schedule, run.trigger, run.status, run.reason, started)


def _history(ledger: MemoryLedger) -> list[tuple[Any, ...]]:
    runs = [record.run for record in ledger.runs(limit=10_000)]
    return sorted(
        (
            one.occurrence,
            one.schedule,
            one.trigger,
            one.status,
            one.reason,
            one.started_at,
        )
        for one in runs
    )


# --- Of itself ------------------------------------------------------------------------

DAILY = {"every": None, "cron": "30 2 * * *", "timezone": "Europe/Berlin"}


def berlin(when: dict[str, Any] | None = None, **fields: Any) -> PlannedSchedule:
    found = a_schedule("berlin", when={**DAILY, **(when or {})}, **fields)
    occurrences = found.occurrences.model_copy(update={"timezone": "Europe/Berlin"})
    return replace(found, occurrences=occurrences)


def notes(planned: PlannedSchedule, since: str, until: str) -> list[str]:
    assumed = assume([planned], since=at(since), until=at(until))
    clock = timetable_of(planned)
    return [
        note(planned, clock, run.occurrence)
        for run in simulate([planned], assumed).runs
    ]


def test_a_time_that_does_not_exist_is_noted() -> None:
    found = notes(berlin(), "2026-03-28 00:00", "2026-03-31 00:00")
    assert found == ["", "moved from 02:30: clock change", ""]


def test_most_times_have_nothing_to_note() -> None:
    assert notes(berlin(), "2026-05-04 00:00", "2026-05-05 00:00") == [""]


def test_both_passes_of_a_time_that_comes_twice_run() -> None:
    both = berlin({"dst": {"fold": "both"}})
    assert notes(both, "2026-10-25 00:00", "2026-10-26 00:00") == [
        "first of two 02:30",
        "second of two 02:30",
    ]


def test_a_day_off_is_noted_where_the_run_moves() -> None:
    weekly = {"cron": "0 6 * * sun", "calendar": "work", "if_day_off": "next"}
    found = a_schedule("s", when={"every": None, "timezone": "UTC", **weekly})
    occurrences = found.occurrences.model_copy(update={"calendar": CalendarSpec()})
    moved = replace(found, occurrences=occurrences)
    assert notes(moved, "2026-03-01 00:00", "2026-03-03 00:00") == [
        "moved from a day off 2026-03-01"
    ]


def test_a_first_and_a_last_moment_both_count() -> None:
    assert told(a_schedule(), hours=2) == ["runs"] * 3


def test_a_long_run_has_its_next_one_skipped() -> None:
    assert told(a_schedule(), hours=2, takes=minutes(90)) == [
        "runs",
        "skipped: the run before it still goes on",
        "runs",
    ]


def test_one_worker_makes_others_wait() -> None:
    both = [a_schedule("a"), a_schedule("b")]
    assert told(*both, hours=0, workers=1, takes=minutes(5)) == [
        "runs",
        "runs, later: all workers were busy",
    ]


def test_what_is_late_by_its_grace() -> None:
    prompt = a_schedule(execution={"grace": "4m", "deadline": "30s"})
    other = a_schedule("a")
    assert told(prompt, hours=0, takes=FIVE) == ["runs, late"]
    assert told(prompt, hours=0) == ["runs"]
    found = simulate([other, prompt], assume([other, prompt], hours=0, workers=1))
    assert [(run.status, run.late) for run in found.runs] == [
        (RunStatus.SUCCEEDED, False),
        (RunStatus.MISSED, True),
    ]


def test_a_newer_run_takes_the_place_of_another() -> None:
    newest = a_schedule(execution={"overlap": "cancel_other", "grace": "1m"})
    found = simulate([newest], assume([newest], hours=1, takes=minutes(90)))
    assert described(found.runs[0]) == "cancelled: a newer run takes its place"
    assert not found.runs[0].late


def test_what_was_missed_in_an_outage_is_told() -> None:
    out = [(START + minutes(30), START + minutes(150))]
    assert told(a_schedule(), hours=3, outages=out) == [
        "runs",
        "missed: nobody served; only the newest is made up for",
        "runs to make up for it",
        "runs",
    ]


def test_an_outage_shorter_than_a_minute_is_none() -> None:
    out = [(START + minutes(60) - MINUTE / 2, START + minutes(60) + MINUTE / 4)]
    assert told(a_schedule(), hours=2, outages=out) == [
        "runs",
        "runs, later: nobody served",
        "runs",
    ]


def test_what_a_pause_or_an_outage_leaves_out_is_counted() -> None:
    def gaps(planned: PlannedSchedule, **given: Any) -> list[tuple[int, str]]:
        found = simulate([planned], assume([planned], hours=3, **given))
        return [(gap.count, gap.reason) for gap in found.gaps]

    assert gaps(a_schedule(paused=True)) == [(4, "paused")]
    until = START + minutes(90)
    assert gaps(a_schedule(), pauses=[a_pause(START, until=until)]) == [(2, "paused")]
    out = [(START + minutes(30), START + timedelta(days=2))]
    assert gaps(a_schedule(), outages=out) == [(3, "nobody_serves")]
    quiet = [(START + minutes(190), START + timedelta(days=2))]
    assert gaps(a_schedule(), outages=quiet) == []
    whole = [(START - MINUTE, START + timedelta(days=2))]
    assert gaps(a_schedule(), outages=whole) == [(4, "nobody_serves")]


def test_a_pause_holds_what_has_not_begun() -> None:
    jitter = a_schedule(when={"every": "1h", "jitter": "50m"})
    pause = a_pause(START + timedelta(seconds=1), until=START + timedelta(minutes=55))
    assert told(jitter, hours=0, pauses=[pause]) == ["runs, later: paused"]


def test_a_connection_holds_runs_back() -> None:
    def waited(**limits: Any) -> list[str]:
        two = [
            a_schedule(name, connection={"type": "duckdb", **limits})
            for name in ("a", "b")
        ]
        return told(*two, hours=0)

    black = [{"cron": "50 23 * * *", "duration": "20m"}]
    held = "runs, later: its Connection is in a blackout"
    assert waited(blackouts=black) == [held, held]
    assert waited(max_concurrent=1) == [
        "runs",
        "runs, later: its Connection is in use by as many as may",
    ]
    assert waited(rate_limit={"per_second": 0.1}) == [
        "runs",
        "runs, later: its Connection may be used only so often",
    ]


def test_the_load_is_told() -> None:
    both = [a_schedule("a"), a_schedule("b", when={"every": "2h"})]
    found = simulate(both, assume(both, hours=2, takes=FIVE))
    assert found.starts == Peak(at=START, count=2)
    assert found.at_once == Peak(at=START, count=2)
    nothing = simulate([], assume([]))
    assert (nothing.runs, nothing.starts, nothing.at_once) == ([], None, None)


def test_a_jitter_comes_from_the_uid() -> None:
    spread = a_schedule(when={"every": "1h", "jitter": "50m"})
    starts = [
        simulate([spread], assume([spread], hours=0, uids=uids)).runs[0].started_at
        for uids in ({}, {"daily": "another"})
    ]
    assert starts[0] != starts[1]
    found = simulate([spread], assume([spread], hours=0)).runs[0]
    assert unusual(found) is False


def test_a_pause_without_an_end_leaves_the_rest_out() -> None:
    pauses = [a_pause(START + minutes(90))]
    found = simulate([a_schedule()], assume([a_schedule()], hours=3, pauses=pauses))
    assert [described(run) for run in found.runs] == ["runs"] * 2
    assert [(gap.count, gap.reason) for gap in found.gaps] == [(2, "paused")]


def test_several_runs_of_a_schedule_go_on_at_once() -> None:
    free = a_schedule(execution={"overlap": "allow_all"})
    found = simulate([free], assume([free], hours=3, takes=minutes(150), workers=9))
    assert found.at_once == Peak(at=START + minutes(120), count=3)


def test_many_that_wait_their_turn_hold_up_no_other() -> None:
    many = {"overlap": "buffer_all", "catchup": "all", "catchup_max_runs": 40}
    patient = a_schedule("a", when={"every": "10m"}, execution=many)
    other = a_schedule("b", when={"every": "6h"})
    out = [(START + minutes(12), START + minutes(359))]
    assumed = assume(
        [patient, other], hours=6, takes=minutes(9), outages=out, workers=3
    )
    found = simulate([patient, other], assumed)
    last = [run for run in found.runs if run.schedule == "b"][-1]
    assert last.started_at == START + minutes(360)


def test_what_a_connection_kept_from_starting_is_missed_for_it() -> None:
    def missed(**limits: Any) -> list[str]:
        two = [
            a_schedule(
                name,
                connection={"type": "duckdb", **limits},
                execution={"deadline": "5m"},
            )
            for name in ("a", "b")
        ]
        found = simulate(two, assume(two, hours=0, takes=minutes(10)))
        return [run.reason for run in found.runs]

    black = [{"cron": "50 23 * * *", "duration": "20m"}]
    assert missed(blackouts=black) == ["blackout", "blackout"]
    assert missed(max_concurrent=1) == ["", "connection_limit"]
