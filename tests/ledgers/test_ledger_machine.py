"""Any order of ticks, claims, crashes, clock steps, edits and requests keeps every promise."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from boe_reconciler.core.errors import InputError, LeaseLost
from boe_reconciler.core.ports import Claimed, Ledger
from boe_reconciler.core.run_ids import backfill_run_id
from boe_reconciler.core.runs import (
    DeliveryStatus,
    NewRun,
    Outcome,
    PauseTarget,
    Resend,
    Run,
    RunOptions,
    RunStatus,
    Trigger,
)
from boe_reconciler.core.spec import PlannedSchedule
from boe_reconciler.ledgers import sqlite
from boe_reconciler.ledgers.memory import MemoryLedger
from tests.builders import (
    a_delivery,
    a_manual_run,
    a_pause,
    a_schedule,
    a_spec,
    an_activation,
    an_artifact,
    at,
)

NAMES = ("a", "b")
#: Each of these names the multiples of so many seconds since 1970, in UTC.
STEPS = {30: {"every": "30s"}, 3600: {"every": "1h"}}
STEPS[900] = {"cron": "*/15 * * * *", "every": None}
OVERLAPS = ("skip", "buffer_one", "buffer_all", "cancel_other", "allow_all")
ASKED = (Trigger.MANUAL, Trigger.BACKFILL, Trigger.RERUN)
OUTCOMES = (DeliveryStatus.ACCEPTED, DeliveryStatus.REFUSED, DeliveryStatus.DEFERRED)
FINAL = (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.SKIPPED)
#: All that a pause can be about, and that covers both schedules or one of them.
TARGETS = (
    (PauseTarget.SCHEDULE, "a"),
    (PauseTarget.SCHEDULE, "b"),
    (PauseTarget.OWNER, "ops@example.com"),
    (PauseTarget.LABEL, "team=sales"),
    (PauseTarget.CONNECTION, "flights"),
    (PauseTarget.ALL, ""),
)
names = st.sampled_from(NAMES)
_BREAKER = {"failures": 2, "open_for": "5m"}
_DARK = [{"cron": "40 * * * *", "duration": "30m", "timezone": "UTC"}]
#: What the Connection that both schedules read from can bear.
LIMITS: Sequence[dict[str, Any]] = (
    {},
    {"max_concurrent": 1},
    {"rate_limit": {"per_second": 0.01}},
    {"blackouts": _DARK},
    {"circuit_breaker": _BREAKER},
    {"max_concurrent": 2, "circuit_breaker": _BREAKER, "blackouts": _DARK},
)
limits = st.sampled_from(LIMITS)


@dataclass
class Owed:
    """What is known of a schedule without asking the ledger: its own oracle."""

    #: Seconds between two occurrences.
    step: int
    #: Its occurrences after this instant are owed.
    since: datetime

    def count(self, until: datetime) -> int:
        return int(until.timestamp() // self.step - self.since.timestamp() // self.step)


@dataclass
class Source:
    """What is known of the Connection without asking the ledger: its own oracle."""

    limits: Mapping[str, Any]
    #: Runs that read from it.
    readers: set[str] = field(default_factory=set)
    #: Failures in a row, and when it was last left alone because of them.
    failures: int = 0
    opened_at: datetime | None = None
    #: Seconds that the clock has moved, either way, since the rate let one start.
    moved: float = math.inf

    def fails(self, now: datetime) -> None:
        if "circuit_breaker" in self.limits:
            self.failures += 1
            tried = self.opened_at is not None and not self._open(now)
            if tried or (self.opened_at is None and self.failures >= 2):
                self.opened_at = now

    def answers(self) -> None:
        if "circuit_breaker" in self.limits:
            self.failures, self.opened_at = 0, None

    def _open(self, now: datetime) -> bool:
        at = self.opened_at
        return at is not None and at <= now < at + timedelta(minutes=5)

    def start(self, count: int, now: datetime) -> None:
        """So many that read from it were just claimed: whether they might."""
        if "blackouts" in self.limits:
            assert (now.minute - 40) % 60 >= 30
        if "circuit_breaker" in self.limits and self.opened_at is not None:
            assert not self._open(now)
            assert count == 1
        if "rate_limit" in self.limits:
            assert (count, self.moved >= 99.9) == (1, True)
            self.moved = 0.0

    def is_read_by(self, readers: set[str]) -> None:
        """Who read from it when it could bear more may go on."""
        if readers - self.readers:
            assert len(readers) <= self.limits.get("max_concurrent", math.inf)
        self.readers = readers


class LedgerMachine(RuleBasedStateMachine):
    make: Callable[[], Ledger]

    def __init__(self) -> None:
        super().__init__()
        self.ledger = self.make()
        self.now = at("2026-03-01 06:30")
        self.claims: list[Claimed] = []
        self.source = Source(limits={})
        self.served = {name: self._schedule(name) for name in NAMES}
        self.steps = dict.fromkeys(NAMES, 3600)
        self.owed: dict[str, Owed] = {}
        self.requests = 0
        self.marks: dict[str, datetime] = {}
        self.fences: dict[str, int] = {}
        self.swept: list[tuple[str, datetime]] = []
        self.ends: dict[str, tuple[RunStatus, int]] = {}
        self._activate()

    def teardown(self) -> None:
        self.ledger.close()

    def _schedule(self, name: str, **fields: Any) -> PlannedSchedule:
        labels = {"team": "sales"} if name == "a" else {}
        source = {"type": "duckdb", **self.source.limits}
        return a_schedule(name, labels=labels, connection=source, **fields)

    def _activate(self) -> None:
        self.ledger.activate(an_activation(*self.served.values()), now=self.now)
        marks = {one.name: one.high_water for one in self.ledger.states()}
        before, self.owed = self.owed, {}
        for name in self.served:
            old, step = before.get(name), self.steps[name]
            same = old is not None and old.step == step
            self.owed[name] = old if same else Owed(step=step, since=marks[name])
        if not self.served:
            # A Connection that nobody reads from is not served: it is forgotten.
            self.source = Source(limits=self.source.limits, readers=self.source.readers)

    def _at(self, now: datetime) -> None:
        self.source.moved += abs((now - self.now).total_seconds())
        self.now = now

    # --- Time -----------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 20, 70, 600, 4000, 90_000, 3_000_000]))
    def time_passes(self, seconds: int) -> None:
        self._at(self.now + timedelta(seconds=seconds))

    @rule(seconds=st.sampled_from([2, 90, 3000, 9000]))
    def the_clock_is_set_back(self, seconds: int) -> None:
        self._at(self.now - timedelta(seconds=seconds))

    @rule(hours=st.sampled_from([1, 8, 60]))
    def the_machine_sleeps(self, hours: int) -> None:
        """Who wakes up looks after the own leases first, and then for lost ones."""
        self._at(self.now + timedelta(hours=hours))
        self.heartbeat()
        self.ledger.expire(now=self.now)
        self.ledger.materialise(now=self.now)

    @rule(limit=st.integers(1, 3))
    def tick(self, limit: int) -> None:
        self.ledger.materialise(now=self.now, limit=limit)

    @rule(
        seconds=st.sampled_from([0, 60, 4000, 100_000]),
        limit=st.sampled_from([1, 3, 99]),
    )
    def sweep(self, seconds: int, limit: int) -> None:
        before = {one.run.run_id: one.run for one in self.ledger.runs(limit=10_000)}
        digests = self._digests()
        keep = timedelta(seconds=seconds)
        self.ledger.sweep(keep, now=self.now, limit=limit)
        kept = {one.run.run_id for one in self.ledger.runs(limit=10_000)}
        for run_id in before.keys() - kept:
            self._forget(before[run_id])
        assert self._digests() == digests
        self.claims = [one for one in self.claims if one.claim.run_id in kept]

    def _digests(self) -> list[str | None]:
        return [self.ledger.last_rows_digest(one.uid) for one in self.ledger.states()]

    def _forget(self, run: Run) -> None:
        assert run.status.final
        self.fences.pop(run.run_id, None)
        self.ends.pop(run.run_id, None)
        if run.owed:
            self.swept.append((run.schedule_uid, run.occurrence))

    # --- Plans ----------------------------------------------------------------------

    @rule(
        name=names,
        step=st.sampled_from(sorted(STEPS)),
        overlap=st.sampled_from(OVERLAPS),
        catchup=st.sampled_from(["latest", "all", "none"]),
        paused=st.booleans(),
        deadline=st.sampled_from([None, "5m"]),
    )
    def edit(
        self,
        name: str,
        step: int,
        overlap: str,
        catchup: str,
        paused: bool,
        deadline: str | None,
    ) -> None:
        execution = {
            "overlap": overlap,
            "catchup": catchup,
            "deadline": deadline,
            "pause_after_failures": 2,
        }
        self.served[name] = self._schedule(
            name, when=STEPS[step], paused=paused, execution=execution
        )
        self.steps[name] = step
        self._activate()

    @initialize(limits=limits)
    def begin_with(self, limits: Mapping[str, Any]) -> None:
        self.limit(limits)

    @rule(limits=limits)
    def limit(self, limits: Mapping[str, Any]) -> None:
        self.source.limits = limits
        source = a_spec(connection={"type": "duckdb", **limits}).connection
        for name, before in self.served.items():
            spec = before.spec.model_copy(update={"connection": source})
            self.served[name] = replace(before, spec=spec)
        self._activate()

    @rule(name=names, title=st.sampled_from(["One", "Two"]))
    def describe(self, name: str, title: str) -> None:
        if name in self.served:
            before = self.served[name]
            spec = before.spec.model_copy(update={"title": title})
            self.served[name] = replace(before, spec=spec)
            self._activate()

    @rule(name=names)
    def remove(self, name: str) -> None:
        self.served.pop(name, None)
        self._activate()

    @rule(name=names)
    def rename(self, name: str) -> None:
        """To a new name and back: it stays the same schedule, wherever it was."""
        other = f"{name}-renamed"
        if other in self.served:
            name, other = other, name
        if name not in self.served or other in self.served:
            return
        before, step = self.served.pop(name), self.steps[name]
        spec = before.spec.model_copy(update={"schedule": other})
        self.served[other] = replace(before, name=other, spec=spec, renamed_from=name)
        self.steps[other] = step
        self.owed[other] = self.owed.pop(name)
        self._activate()
        self.served[other] = replace(self.served[other], renamed_from=None)

    @rule(about=st.sampled_from(TARGETS), seconds=st.sampled_from([None, 100, 5000]))
    def pause(self, about: tuple[PauseTarget, str], seconds: int | None) -> None:
        until = self.now + timedelta(seconds=seconds) if seconds else None
        kind, value = about
        if kind is PauseTarget.SCHEDULE and value not in self.served:
            return
        self.ledger.pause(a_pause(self.now, target=kind, value=value, until=until))

    @rule(about=st.sampled_from(TARGETS))
    def resume(self, about: tuple[PauseTarget, str]) -> None:
        self.ledger.resume(*about, by="ada", now=self.now)

    # --- Work -----------------------------------------------------------------------

    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        found = self.ledger.claim("worker", now=self.now, limit=limit)
        for claimed in found:
            assert claimed.claim.fence > self.fences.get(claimed.claim.run_id, 0)
            assert claimed.record.run.not_before <= self.now
        self.claims += found
        reading = [one for one in found if one.record.run.connection]
        # Runs of removed schedules go on; nobody serves limits for them.
        if reading and self.served:
            self.source.start(len(reading), self.now)

    @rule(limits=limits, fails=st.integers(0, 2), seconds=st.sampled_from([20, 400]))
    def everybody_asks_at_once(
        self, limits: Mapping[str, Any], fails: int, seconds: int
    ) -> None:
        """What limits are for: more wants to start than may, and again soon after."""
        self.limit(limits)
        self.the_source_fails(fails)
        for _ in range(2):
            for name in self.served:
                self.ask_for_a_run(name, Trigger.MANUAL)
            self.claim(4)
            self._at(self.now + timedelta(seconds=seconds))
        self.claim(4)

    @rule(times=st.integers(1, 2))
    def the_source_fails(self, times: int) -> None:
        for _ in range(times if self.served else 0):
            self.ledger.used("flights", failure="Down.", now=self.now)
            self.source.fails(self.now)

    @rule(all_=st.booleans())
    def crash(self, all_: bool) -> None:
        """Workers vanish, but those left behind still believe in their claims."""
        self.ledger.expire(now=self.now, all_leases=all_)

    @rule()
    def heartbeat(self) -> None:
        """Whoever is told nothing about a claim has lost it; nobody else has."""
        claims = [claimed.claim for claimed in self.claims]
        told = self.ledger.heartbeat(claims, now=self.now)
        for claim in claims:
            record = self.ledger.run(claim.run_id)
            assert record is not None
            holds = record.run.status is RunStatus.RUNNING
            if holds and record.run.fence == claim.fence:
                assert told[claim.run_id] == record.run.cancel_requested

    @rule()
    def drain(self) -> None:
        """All that is at work is given back at once, and nothing has been used up."""
        for claimed in self.claims:
            before = self.ledger.run(claimed.claim.run_id)
            with suppress(LeaseLost):
                self.ledger.give_back(claimed.claim, now=self.now)
                after = self.ledger.run(claimed.claim.run_id)
                assert before is not None
                assert after is not None
                assert after.run.attempts <= before.run.attempts
        self.claims = []

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), deliveries=st.integers(0, 2))
    def export(self, data: st.DataObject, deliveries: int) -> None:
        claim = data.draw(st.sampled_from(self.claims)).claim
        owed = [
            a_delivery(claim.run_id, destination=f"d{n}") for n in range(deliveries)
        ]
        try:
            self.ledger.begin_attempt(claim, parameters={}, now=self.now)
            self.ledger.commit_artifacts(claim, [an_artifact()], owed, now=self.now)
            self.source.answers()
        except (LeaseLost, ValueError):
            pass

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def try_in_vain(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims)).claim
        try:
            self.ledger.begin_attempt(claim, parameters={}, now=self.now)
            self.ledger.wait(claim, self.now, "why", "Why.", now=self.now)
        except (LeaseLost, ValueError):
            pass

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), status=st.sampled_from(OUTCOMES))
    def deliver(self, data: st.DataObject, status: DeliveryStatus) -> None:
        claim = data.draw(st.sampled_from(self.claims)).claim
        record = self.ledger.run(claim.run_id)
        assert record is not None
        for delivery in record.deliveries:
            try:
                self.ledger.intend(claim, delivery.key, {"name": "x"}, now=self.now)
                outcome = Outcome(status=status)
                self.ledger.settle(claim, delivery.key, outcome, now=self.now)
            except (LeaseLost, ValueError):
                pass

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), status=st.sampled_from(FINAL))
    def finish(self, data: st.DataObject, status: RunStatus) -> None:
        claim = data.draw(st.sampled_from(self.claims)).claim
        before = self.ledger.run(claim.run_id)
        assert before is not None
        with suppress(LeaseLost, ValueError):
            self.ledger.finish(claim, status, "why", "Why.", now=self.now)
            if status is RunStatus.SKIPPED and before.run.connection:
                self.source.answers()

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), back=st.booleans())
    def stop(self, data: st.DataObject, back: bool) -> None:
        claim = data.draw(st.sampled_from(self.claims)).claim
        try:
            if back:
                self.ledger.give_back(claim, now=self.now)
            else:
                until = self.now + timedelta(minutes=1)
                self.ledger.wait(claim, until, "later", "", now=self.now)
        except LeaseLost:
            pass

    # --- People ---------------------------------------------------------------------

    @rule(name=names, trigger=st.sampled_from(ASKED))
    def ask_for_a_run(self, name: str, trigger: Trigger) -> None:
        self.requests += 1
        new = a_manual_run(name, self.now, number=self.requests)
        if trigger is Trigger.RERUN:
            options = RunOptions(rerun_of=f"{name}.20260301T070000Z")
            new = replace(new, trigger=trigger, options=options)
        if trigger is Trigger.BACKFILL:
            occurrence = at("2026-03-01 07:00")
            new = NewRun(
                run_id=backfill_run_id(name, occurrence, "1"),
                schedule=name,
                occurrence=occurrence,
                trigger=Trigger.BACKFILL,
                not_before=self.now,
            )
        try:
            self.ledger.enqueue([new], now=self.now)
        except InputError:
            assert name not in self.served

    @rule(data=st.data(), everything=st.booleans())
    def ask_of_a_run(self, data: st.DataObject, everything: bool) -> None:
        runs = self.ledger.runs(limit=20)
        if not runs:
            return
        run_id = data.draw(st.sampled_from([one.run.run_id for one in runs]))
        if data.draw(st.booleans()):
            self.ledger.cancel(run_id, by="ada", now=self.now)
            return
        try:
            if self.ledger.reopen(run_id, Resend(everything=everything), now=self.now):
                self.ends.pop(run_id, None)
        except InputError:
            pass

    # --- Promises -------------------------------------------------------------------

    @invariant()
    def nothing_is_broken(self) -> None:
        assert self.ledger.broken_invariants(now=self.now) == []

    @invariant()
    def marks_never_fall(self) -> None:
        marks = {one.uid: one.high_water for one in self.ledger.states()}
        for uid, mark in marks.items():
            assert mark >= self.marks.get(uid, mark)
        self.marks = marks

    @invariant()
    def runs_are_what_they_may_be(self) -> None:
        runs = [one.run for one in self.ledger.runs(limit=10_000)]
        self._fences_grow_and_ends_are_final(runs)
        self._count_for_itself(runs)
        reading = [one for one in runs if one.connection]
        readers = {one.run_id for one in reading if one.status is RunStatus.RUNNING}
        if self.served:
            self.source.is_read_by(readers)
        self.source.readers = readers

    def _fences_grow_and_ends_are_final(self, runs: Sequence[Run]) -> None:
        for run in runs:
            assert run.fence >= self.fences.get(run.run_id, 0)
            self.fences[run.run_id] = run.fence
            if run.run_id in self.ends:
                assert (run.status, run.reopened) == self.ends[run.run_id]
            if run.status.final:
                self.ends[run.run_id] = (run.status, run.reopened)

    def _count_for_itself(self, runs: Sequence[Run]) -> None:
        """Each occurrence is covered once, by an oracle that shares no code (I1, I2)."""
        for state in self.ledger.states():
            owed = self.owed[state.name]
            rows = [
                run.occurrence
                for run in runs
                if run.owed and run.schedule_uid == state.uid
            ]
            rows += [occurrence for uid, occurrence in self.swept if uid == state.uid]
            assert len(set(rows)) == len(rows)
            rows = [one for one in rows if one > owed.since]
            assert all(one.timestamp() % owed.step == 0 for one in rows)
            gaps = [
                gap for gap in self.ledger.gaps(state.name) if gap.since >= owed.since
            ]
            covered = len(rows) + sum(gap.count for gap in gaps)
            assert covered == owed.count(state.high_water)


def _check(make: Callable[[], Ledger], examples: int | None, steps: int) -> None:
    class Machine(LedgerMachine):
        pass

    Machine.make = staticmethod(make)  # type: ignore[method-assign]  # each its ledger
    chosen = settings(stateful_step_count=steps)
    if examples is not None:
        chosen = settings(chosen, max_examples=examples)
    run_state_machine_as_test(Machine, settings=chosen)


def _sqlite() -> Ledger:
    folder = Path(tempfile.mkdtemp())
    return sqlite.create(folder / "ledger.sqlite")


def test_any_story_keeps_the_promises_in_memory() -> None:
    _check(MemoryLedger, None, 25)


def test_any_story_keeps_the_promises_in_sqlite() -> None:
    _check(_sqlite, 8, 20)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_thousand_stories_in_memory() -> None:
    _check(MemoryLedger, 2000, 50)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_stories_in_sqlite() -> None:
    _check(_sqlite, 200, 50)
