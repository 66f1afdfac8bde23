"""Any order of ticks, claims, crashes, clock steps, edits and requests keeps every promise."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
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
    RunStatus,
    Trigger,
)
from boe_reconciler.ledgers import sqlite
from boe_reconciler.ledgers.memory import MemoryLedger
from tests.builders import (
    a_delivery,
    a_manual_run,
    a_pause,
    a_schedule,
    an_activation,
    an_artifact,
    at,
)

NAMES = ("a", "b")
WHENS = ({"every": "30s"}, {"every": "1h"}, {"cron": "*/15 * * * *", "every": None})
OVERLAPS = ("skip", "buffer_one", "buffer_all", "cancel_other", "allow_all")
OUTCOMES = (DeliveryStatus.ACCEPTED, DeliveryStatus.REFUSED, DeliveryStatus.DEFERRED)
FINAL = (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.SKIPPED)
names = st.sampled_from(NAMES)


class LedgerMachine(RuleBasedStateMachine):
    make: Callable[[], Ledger]

    def __init__(self) -> None:
        super().__init__()
        self.ledger = self.make()
        self.now = at("2026-03-01 06:30")
        self.claims: list[Claimed] = []
        self.served = {name: a_schedule(name) for name in NAMES}
        self.requests = 0
        self.marks: dict[str, datetime] = {}
        self.fences: dict[str, int] = {}
        self.ends: dict[str, tuple[RunStatus, int]] = {}
        self._activate()

    def teardown(self) -> None:
        self.ledger.close()

    def _activate(self) -> None:
        self.ledger.activate(an_activation(*self.served.values()), now=self.now)

    # --- Time -----------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 20, 70, 600, 4000, 90_000, 3_000_000]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(seconds=st.sampled_from([2, 90, 3000, 9000]))
    def the_clock_is_set_back(self, seconds: int) -> None:
        self.now -= timedelta(seconds=seconds)

    @rule(limit=st.integers(1, 3))
    def tick(self, limit: int) -> None:
        self.ledger.materialise(now=self.now, limit=limit)

    # --- Plans ----------------------------------------------------------------------

    @rule(
        name=names,
        when=st.sampled_from(WHENS),
        overlap=st.sampled_from(OVERLAPS),
        catchup=st.sampled_from(["latest", "all", "none"]),
        paused=st.booleans(),
        deadline=st.sampled_from([None, "5m"]),
    )
    def edit(
        self,
        name: str,
        when: dict[str, str],
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
        self.served[name] = a_schedule(
            name, when=when, paused=paused, execution=execution
        )
        self._activate()

    @rule(name=names, title=st.sampled_from(["One", "Two"]))
    def describe(self, name: str, title: str) -> None:
        if name in self.served:
            before = self.served[name]
            spec = before.spec.model_copy(update={"title": title})
            self.served[name] = type(before)(
                name=name,
                spec=spec,
                occurrences=before.occurrences,
                paused=before.paused,
            )
            self._activate()

    @rule(name=names)
    def remove(self, name: str) -> None:
        self.served.pop(name, None)
        self._activate()

    @rule(name=names, seconds=st.sampled_from([None, 100, 5000]))
    def pause(self, name: str, seconds: int | None) -> None:
        until = self.now + timedelta(seconds=seconds) if seconds else None
        if name in self.served:
            self.ledger.pause(a_pause(self.now, value=name, until=until))

    @rule(until=st.booleans())
    def pause_all(self, until: bool) -> None:
        end = self.now + timedelta(hours=1) if until else None
        everything = a_pause(self.now, target=PauseTarget.ALL, value="", until=end)
        self.ledger.pause(everything)

    @rule(name=names, all_=st.booleans())
    def resume(self, name: str, all_: bool) -> None:
        target = PauseTarget.ALL if all_ else PauseTarget.SCHEDULE
        value = "" if all_ else name
        self.ledger.resume(target, value, by="ada", now=self.now)

    # --- Work -----------------------------------------------------------------------

    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        found = self.ledger.claim("worker", now=self.now, limit=limit)
        for claimed in found:
            assert claimed.claim.fence > self.fences.get(claimed.claim.run_id, 0)
            assert claimed.record.run.not_before <= self.now
        self.claims += found

    @rule(all_=st.booleans())
    def crash(self, all_: bool) -> None:
        """Workers vanish, but those left behind still believe in their claims."""
        self.ledger.expire(now=self.now, all_leases=all_)

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
        with suppress(LeaseLost, ValueError):
            self.ledger.finish(claim, status, "why", "Why.", now=self.now)

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

    @rule(name=names, backfill=st.booleans())
    def ask_for_a_run(self, name: str, backfill: bool) -> None:
        self.requests += 1
        new = a_manual_run(name, self.now, number=self.requests)
        if backfill:
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
            if self.ledger.reopen(run_id, everything=everything, now=self.now):
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
    def fences_grow_and_ends_are_final(self) -> None:
        for record in self.ledger.runs(limit=10_000):
            run = record.run
            assert run.fence >= self.fences.get(run.run_id, 0)
            self.fences[run.run_id] = run.fence
            if run.run_id in self.ends:
                assert (run.status, run.reopened) == self.ends[run.run_id]
            if run.status.final:
                self.ends[run.run_id] = (run.status, run.reopened)


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
