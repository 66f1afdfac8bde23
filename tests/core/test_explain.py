"""Planted states, and the reason and the place that `boe explain` gives for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from boe_reconciler.cli.explaining import gathered
from boe_reconciler.core.explain import GATES, REASONS, Explanation, explain
from boe_reconciler.core.explain.facts import Facts
from boe_reconciler.core.explain.outcomes import ended as told_end
from boe_reconciler.core.holds import HoldKind, Wait
from boe_reconciler.core.outcome import LISTED
from boe_reconciler.core.plan import make_plan
from boe_reconciler.core.plan.past import in_its_window
from boe_reconciler.core.ports import Claimed
from boe_reconciler.core.runs import (
    Delivery,
    DeliveryKey,
    DeliveryStatus,
    Outcome,
    PauseTarget,
    RunStatus,
)
from boe_reconciler.core.whereabouts import whereabouts
from boe_reconciler.core.wording import both
from boe_reconciler.ledgers.memory import MemoryLedger
from tests.builders import (
    a_bounce,
    a_delivery,
    a_mail,
    a_manual_run,
    a_pause,
    an_artifact,
    at,
)
from tests.revisions import GOOD, a_document, a_snapshot

NOW = at("2026-11-23 12:00")  # a Monday
DUE = at("2026-11-24 06:30")
RUN = "daily.20261124T063000Z"
DAILY, DB = "schedules/daily.yaml", "connections/db.yaml"
MINUTE = timedelta(minutes=1)


def a_daily(*more: str, when: str = '{cron: "30 6 * * *", timezone: UTC}') -> str:
    lines = ["report: sales", f"when: {when}", "deliver_to: [archive]", *more]
    return a_document("Schedule", "daily", "\n".join(lines))


def a_db(*more: str) -> str:
    return a_document("Connection", "db", "\n".join(["type: duckdb", *more]))


@dataclass
class House:
    """Files, a ledger, a clock moved by hand, and whether somebody serves."""

    files: dict[str, str] = field(default_factory=lambda: dict(GOOD))
    now: datetime = NOW
    serves: str | None = "process 1"
    has_state: bool = True
    #: What lies in the folder, if that is not what is served.
    folder: dict[str, str] | None = None
    ledger: MemoryLedger = field(default_factory=MemoryLedger)

    def write(self, file: str, text: str) -> None:
        self.files[file] = text

    def activate(self) -> None:
        plan = make_plan(
            a_snapshot(self.files), served=self.ledger.served(), now=self.now
        )
        self.ledger.activate(plan.activation, now=self.now)

    def served(self, file: str = DAILY, text: str | None = None) -> House:
        """With one file other than the good ones."""
        if text is not None:
            self.write(file, text)
        self.activate()
        return self

    def at(self, moment: datetime, *, tick: bool = True) -> House:
        """The moment comes, and somebody has served all the time."""
        while tick and self.now < moment:
            self.now = min(self.now + MINUTE, moment)
            self.ledger.materialise(now=self.now)
        self.now = moment
        return self

    def due(self, text: str | None = None) -> House:
        """Half past six: the run has its row."""
        self.served(text=text)
        self.now = DUE - MINUTE
        self.ledger.materialise(now=self.now)
        return self.at(DUE)

    def claim(self) -> Claimed:
        (claimed,) = self.ledger.claim("w", now=self.now, limit=1)
        self.ledger.begin_attempt(claimed.claim, parameters={}, now=self.now)
        return claimed

    def end(self, status: RunStatus, reason: str, message: str = "") -> None:
        self.ledger.finish(self.claim().claim, status, reason, message, now=self.now)

    @property
    def in_folder(self) -> dict[str, str]:
        return self.files if self.folder is None else self.folder

    def explained(self, asked: str = "daily") -> Explanation:
        app: Any = SimpleNamespace(
            clock=SimpleNamespace(now=lambda: self.now),
            repo=SimpleNamespace(snapshot=lambda: a_snapshot(self.in_folder)),
            ledger=self.ledger,
            has_state=self.has_state,
            who_serves=lambda: self.serves,
            settings=SimpleNamespace(workers=2, env=None),
            blobs=SimpleNamespace(read=None),
        )
        return explain(gathered(app, asked))

    def place(self, where: str) -> str | None:
        """ "file: needle" -> file:line of the only line with the needle."""
        if not where:
            return None
        file, _, needle = where.partition(": ")
        if not needle:
            return file
        lines = self.files[file].splitlines()
        (number,) = [n for n, line in enumerate(lines, 1) if needle in line]
        return f"{file}:{number}"


# --- Planting -------------------------------------------------------------------------


def plain() -> House:
    return House().served()


def files_alone() -> House:
    return House(has_state=False, serves=None)


def removed() -> House:
    house = House().due()
    house.end(RunStatus.SUCCEEDED, "")
    del house.files[DAILY]
    house.activate()
    return house


def invalid() -> House:
    return House().served(text=a_daily("paused: perhaps"))


def older() -> House:
    house = House().served()
    return house.served(text=a_daily("paused: perhaps"))


def held() -> House:
    """A change, and something new, outside of the change windows."""
    house = House()
    windows = "change_windows: [{cron: '0 3 * * sun', duration: 1h, timezone: UTC}]"
    house.write("policy.yaml", a_document("Policy", "policy", windows))
    house.served()
    house.write(DAILY, a_daily("paused: true"))
    house.write("schedules/new.yaml", a_daily().replace("daily", "new"))
    served = house.ledger.served()
    plan = make_plan(a_snapshot(house.files), served=served, now=house.now)
    waiting = in_its_window(plan, served, now=house.now)
    house.ledger.activate(waiting.activation, now=house.now)
    return house


def needs_what_is_wrong() -> House:
    return House().served("reports/sales.yaml", GOOD["reports/sales.yaml"] + "  x: 1\n")


def paused_in_git() -> House:
    return House().served(text=a_daily("paused: true"))


def paused_by_template() -> House:
    house = House()
    house.write("templates/t.yaml", a_document("ScheduleTemplate", "t", "paused: true"))
    return house.served(text=a_daily("template: t"))


def paused_by_policy() -> House:
    house = House()
    house.write(
        "policy.yaml", a_document("Policy", "policy", "defaults: {paused: true}")
    )
    return house.served()


def paused(target: PauseTarget = PauseTarget.SCHEDULE, value: str = "daily") -> House:
    house = House().served()
    house.ledger.pause(a_pause(NOW, target=target, value=value))
    return house


def paused_in_a_blackout() -> House:
    house = blackout()
    house.ledger.pause(a_pause(house.now))
    return house


def paused_twice() -> House:
    house = paused_in_git()
    house.ledger.pause(a_pause(NOW))
    return house


def paused_after_failures() -> House:
    house = House().due(a_daily("execution: {pause_after_failures: 1}"))
    house.end(RunStatus.FAILED, "query_failed", "no such table")
    return house


def a_when(when: str) -> House:
    return House().served(text=a_daily(when=f"{{{when}, timezone: UTC}}"))


def ended() -> House:
    house = a_when('cron: "30 6 * * *", end_at: 2026-11-25T00:00:00Z')
    return house.at(at("2026-11-26 00:00"), tick=False)


def once_past() -> House:
    house = a_when("once: [2026-11-25T00:00:00Z]")
    return house.at(at("2026-11-26 00:00"), tick=False)


def nobody_serves() -> House:
    house = House().served()
    house.serves = None
    return house


def clock_behind() -> House:
    house = House().due()
    return house.at(DUE - timedelta(hours=3), tick=False)


def running() -> House:
    house = House().due()
    house.claim()
    return house


def running_and_asked_to_stop() -> House:
    house = running()
    house.ledger.cancel(RUN, by="ada", now=house.now)
    return house


def retry() -> House:
    house = House().due()
    claim = house.claim().claim
    again = house.now + 5 * MINUTE
    house.ledger.wait(claim, again, "connection_failed", "db refused", now=house.now)
    return house


def waits_for_a_file() -> House:
    house = House().due(a_daily("wait_for: [{file: ready.txt}]"))
    claim, again = house.claim().claim, house.now + 5 * MINUTE
    words = "It waits for the file ready.txt."
    house.ledger.wait(claim, again, "wait_for", words, now=house.now)
    return house


def waits_for_a_release(kind: HoldKind = HoldKind.APPROVAL) -> House:
    house = House().due(a_daily("approval: {by: [ada@example.com]}"))
    wait = Wait(kind=kind, subject=RUN, message="The files wait.")
    house.ledger.await_release(house.claim().claim, wait, now=house.now)
    return house


def too_many_recipients() -> House:
    return waits_for_a_release(HoldKind.RECIPIENTS)


def released() -> House:
    house = waits_for_a_release()
    (hold,) = house.ledger.holds()
    by = "ada@example.com"
    house.ledger.release(hold.hold_id, by=by, why="seen", now=house.now)
    return house


def waited_in_vain() -> House:
    house = waits_for_a_file().at(DUE + 5 * MINUTE)
    house.end(RunStatus.SKIPPED, "wait_for", "It waited in vain.")
    return house


def delivery(status: DeliveryStatus, at_once: bool = True) -> House:
    house = House().due()
    claim, now = house.claim().claim, house.now
    new = a_delivery(RUN)
    house.ledger.commit_artifacts(claim, [an_artifact()], [new], now=now)
    house.ledger.intend(claim, new.key, {}, now=now)
    if at_once:
        outcome = Outcome(status=status, reason="full", message="the disk is full")
        again = now + 5 * MINUTE if status is DeliveryStatus.DEFERRED else None
        house.ledger.settle(claim, new.key, outcome, next_attempt_at=again, now=now)
    return house


def delivery_retry() -> House:
    house = delivery(DeliveryStatus.DEFERRED)
    house.ledger.wait(
        *(replace_fence(house), house.now + 5 * MINUTE, "delivery_retry", ""),
        now=house.now,
    )
    return house


def replace_fence(house: House) -> Any:
    (record,) = house.ledger.runs(status=RunStatus.RUNNING)
    run = record.run
    return SimpleNamespace(run_id=run.run_id, fence=run.fence, worker=run.worker)


def unconfirmed() -> House:
    house = delivery(DeliveryStatus.SENDING, at_once=False)
    house.ledger.finish(
        *(replace_fence(house), RunStatus.PARTIAL, "unconfirmed", "cut off"),
        now=house.now,
    )
    return house


def delivery_failed() -> House:
    house = delivery(DeliveryStatus.REFUSED)
    house.ledger.finish(
        *(replace_fence(house), RunStatus.FAILED, "full", "the disk is full"),
        now=house.now,
    )
    return house


def lost() -> House:
    house = running()
    house.ledger.expire(now=house.now, all_leases=True)
    return house


def jitter() -> House:
    return House().due(a_daily(when='{cron: "30 6 * * *", timezone: UTC, jitter: 50m}'))


def overlap(rule: str) -> House:
    text = a_daily(f"execution: {{{rule}}}", when="{every: 1m, timezone: UTC}")
    house = House().due(text)
    house.claim()
    return house.at(DUE + MINUTE)


def blackout() -> House:
    house = House()
    black = 'blackouts: [{cron: "0 6 * * *", duration: 2h, timezone: UTC}]'
    house.write(DB, a_db(black))
    return house.due()


def blackout_ahead() -> House:
    """The next time lies in one; the run before it is over."""
    house = blackout().at(at("2026-11-24 09:00"))
    house.end(RunStatus.SUCCEEDED, "")
    return house


def breaker_open() -> House:
    house = House()
    house.write(DB, a_db("circuit_breaker: {failures: 1}"))
    house.due()
    house.ledger.used("db", failure="connection refused", now=house.now)
    return house


def connection_limit() -> House:
    house = two_due("max_concurrent: 1")
    house.claim()
    return house


def rate_limit() -> House:
    house = two_due("rate_limit: {per_second: 0.01}")
    house.end(RunStatus.SUCCEEDED, "")
    return house


def two_due(limit: str) -> House:
    """ "another" is due beside it, and comes first."""
    house = House()
    house.write(DB, a_db(limit))
    house.write("schedules/another.yaml", a_daily().replace("daily", "another"))
    return house.due()


def workers_busy() -> House:
    house = House()
    for name in ("a", "b"):
        house.write(f"schedules/{name}.yaml", a_daily().replace("daily", name))
    house.due()
    house.claim()
    house.claim()
    return house


def starting() -> House:
    return House().due()


def manual_beside_a_pause() -> House:
    house = paused_in_git()
    house.ledger.enqueue([a_manual_run(now=house.now)], now=house.now)
    return house


def day_off(days: str, rule: str = "skip") -> House:
    house = House()
    house.write("calendars/work.yaml", a_document("Calendar", "work", days))
    when = f'{{cron: "30 6 * * *", timezone: UTC, calendar: work, if_day_off: {rule}}}'
    return house.served(text=a_daily(when=when))


def a_holiday() -> House:
    return day_off(
        """
        days_off:
          - 2026-11-23
          - {from: 2026-05-01, to: 2026-05-02}
          - {from: 2026-11-24, to: 2026-11-25, why: Harvest}
        """
    )


def a_weekend() -> House:
    return day_off("working_days: fri", "next")


def over(status: RunStatus, reason: str, message: str = "", *more: str) -> Plant:
    def plant() -> House:
        house = House().due(a_daily(*more))
        house.end(status, reason, message)
        return house

    return plant


def missed(*more: str) -> House:
    house = House().due(a_daily("execution: {deadline: 10m}"))
    house = house.at(DUE + 20 * MINUTE)
    house.ledger.claim("w", now=house.now, limit=1)
    return house


def after_an_outage(*more: str) -> House:
    house = House().served(text=a_daily(*more))
    house.now = at("2026-11-27 12:00")
    house.ledger.materialise(now=house.now)
    return house


def in_a_pause() -> House:
    house = House().served()
    house.ledger.pause(a_pause(NOW))
    house.now = at("2026-11-25 12:00")
    house.ledger.resume(PauseTarget.SCHEDULE, "daily", by="ada", now=house.now)
    return house


def missed_for_a_blackout() -> House:
    house = House()
    black = 'blackouts: [{cron: "0 6 * * *", duration: 2h, timezone: UTC}]'
    house.write(DB, a_db(black))
    house.due(a_daily("execution: {deadline: 10m}")).at(DUE + 20 * MINUTE)
    house.ledger.claim("w", now=house.now, limit=1)
    return house


def dry_run() -> House:
    house = House().served()
    house.ledger.enqueue([a_manual_run(now=NOW, dry_run=True)], now=NOW)
    house.end(RunStatus.SUCCEEDED, "dry_run")
    return house


def older_and_past() -> House:
    house = once_past().served(text=a_daily("paused: perhaps"))
    house.end(RunStatus.SUCCEEDED, "")
    return house


def cancelled() -> House:
    house = House().due()
    house.ledger.cancel(RUN, by="ada", now=house.now)
    return house


Plant = Callable[[], House]

#: What is planted, what is asked, verdict, reason code, place ("file: needle").
PLANTED: list[tuple[Plant, str, str, str, str]] = [
    # What is in the files.
    (plain, "daily", "will_run", "not_due", f"{DAILY}: when:"),
    (files_alone, "daily", "will_run", "not_due", f"{DAILY}: when:"),
    (plain, "dayly", "unknown", "unknown_name", ""),
    (removed, "daily", "will_not_run", "removed", ""),
    (invalid, "daily", "will_not_run", "invalid", f"{DAILY}: paused"),
    (older, "daily", "will_run", "older_version", f"{DAILY}: paused"),
    (held, "daily", "will_run", "held", DAILY),
    (held, "new", "will_not_run", "held", "schedules/new.yaml: apiVersion"),
    (
        *(needs_what_is_wrong, "daily", "will_not_run", "invalid"),
        "reports/sales.yaml: x: 1",
    ),
    # Pauses.
    (paused_in_git, "daily", "will_not_run", "paused_in_git", f"{DAILY}: paused"),
    (
        *(paused_by_template, "daily", "will_not_run", "paused_in_git"),
        "templates/t.yaml: paused",
    ),
    (
        *(paused_by_policy, "daily", "will_not_run", "paused_in_git"),
        "policy.yaml: paused",
    ),
    (paused, "daily", "will_not_run", "paused", ""),
    (
        *(paused_after_failures, "daily", "will_not_run", "paused_after_failures"),
        f"{DAILY}: pause_after_failures",
    ),
    # The order of precedence, where several things hold it.
    (paused_twice, "daily", "will_not_run", "paused_in_git", f"{DAILY}: paused"),
    (paused_in_a_blackout, "daily", "will_not_run", "paused", ""),
    (manual_beside_a_pause, "daily", "will_run", "starting", ""),
    # Its timetable.
    (
        lambda: a_when('cron: "30 6 * * *", start_at: 2026-12-01T00:00:00Z'),
        *("daily", "will_run", "not_started", f"{DAILY}: start_at"),
    ),
    (ended, "daily", "will_not_run", "ended", f"{DAILY}: end_at"),
    (once_past, "daily", "will_not_run", "once_past", f"{DAILY}: once"),
    # Who does it.
    (nobody_serves, "daily", "will_not_run", "nobody_serves", ""),
    (clock_behind, "daily", "will_not_run", "clock_behind", ""),
    # What is going on.
    (running, "daily", "running", "running", ""),
    (running, RUN, "running", "running", ""),
    (running_and_asked_to_stop, "daily", "running", "running", ""),
    (retry, "daily", "waits", "retry", f"{DAILY}: spec:"),
    (waits_for_a_file, "daily", "waits", "wait_for", f"{DAILY}: wait_for"),
    (waited_in_vain, RUN, "skipped", "wait_for", f"{DAILY}: wait_for"),
    (waits_for_a_release, RUN, "waits", "approval", f"{DAILY}: approval"),
    (too_many_recipients, RUN, "waits", "recipients", f"{DAILY}: spec:"),
    (released, RUN, "will_run", "starting", ""),
    (delivery_retry, RUN, "waits", "delivery_retry", f"{DAILY}: spec:"),
    (lost, "daily", "will_run", "lost", ""),
    (jitter, "daily", "waits", "jitter", f"{DAILY}: jitter"),
    (
        lambda: overlap("overlap: buffer_all"),
        *("daily", "waits", "overlap", f"{DAILY}: overlap"),
    ),
    (
        lambda: overlap("overlap: allow_all, max_concurrent_runs: 1"),
        *("daily", "waits", "max_concurrent_runs", f"{DAILY}: max_concurrent_runs"),
    ),
    (
        lambda: overlap("overlap: allow_all, max_concurrent_runs: 2"),
        *("daily", "will_run", "starting", ""),
    ),
    (blackout, "daily", "waits", "blackout", f"{DB}: blackouts"),
    (blackout, RUN, "waits", "blackout", f"{DB}: blackouts"),
    (blackout_ahead, "daily", "waits", "blackout", f"{DB}: blackouts"),
    (breaker_open, "daily", "waits", "breaker_open", f"{DB}: circuit_breaker"),
    (connection_limit, "daily", "waits", "connection_limit", f"{DB}: max_concurrent"),
    (rate_limit, "daily", "waits", "rate_limit", f"{DB}: rate_limit"),
    (workers_busy, "daily", "waits", "workers_busy", ""),
    (starting, "daily", "will_run", "starting", ""),
    # Days off.
    (a_holiday, "daily", "will_run", "day_off", "calendars/work.yaml: Harvest"),
    (a_holiday, RUN, "will_not_run", "day_off", "calendars/work.yaml: Harvest"),
    (
        lambda: day_off("days_off: [2026-11-24]"),
        *("daily", "will_run", "day_off", "calendars/work.yaml: days_off"),
    ),
    (a_weekend, "daily", "will_run", "day_off", "calendars/work.yaml: working_days"),
    # What became of a run.
    (over(RunStatus.SUCCEEDED, ""), RUN, "succeeded", "succeeded", ""),
    (
        *(over(RunStatus.FAILED, "query_failed", "no such table"), RUN, "failed"),
        *("query_failed", ""),
    ),
    (
        *(over(RunStatus.FAILED, "gave_up", "Given up: it refuses"), RUN, "failed"),
        *("gave_up", f"{DAILY}: spec:"),
    ),
    (delivery_failed, RUN, "failed", "full", ""),
    (unconfirmed, RUN, "partial", "unconfirmed", ""),
    (
        over(RunStatus.SKIPPED, "only_if", "", "only_if: {query: select false}"),
        *(RUN, "skipped", "only_if", f"{DAILY}: only_if"),
    ),
    (
        over(RunStatus.SKIPPED, "unchanged", "", "if_unchanged: skip"),
        *(RUN, "skipped", "unchanged", f"{DAILY}: if_unchanged"),
    ),
    (
        over(RunStatus.SKIPPED, "empty", "", "if_empty: skip"),
        *(RUN, "skipped", "empty", f"{DAILY}: if_empty"),
    ),
    (
        *(over(RunStatus.SKIPPED, "overlap", "", "execution: {overlap: skip}"), RUN),
        *("skipped", "overlap", f"{DAILY}: overlap"),
    ),
    (missed, RUN, "missed", "deadline", f"{DAILY}: deadline"),
    (
        lambda: after_an_outage("execution: {catchup: latest}"),
        *(RUN, "missed", "catchup_latest", f"{DAILY}: catchup"),
    ),
    (
        lambda: after_an_outage("execution: {catchup: none, catchup_max_runs: 1}"),
        *(RUN, "missed", "catchup_none", f"{DAILY}: catchup_max_runs"),
    ),
    (missed_for_a_blackout, RUN, "missed", "blackout", f"{DB}: blackouts"),
    (dry_run, f"daily.m{1:032x}", "succeeded", "dry_run", ""),
    (older_and_past, "daily", "will_not_run", "once_past", DAILY),
    (
        *(a_holiday, "daily.20261124T063100Z", "will_not_run", "not_an_occurrence"),
        f"{DAILY}: when:",
    ),
    (
        lambda: once_past().at(NOW, tick=False),
        *("daily.20261126T000000Z", "will_not_run", "not_an_occurrence"),
        f"{DAILY}: when:",
    ),
    (cancelled, RUN, "cancelled", "cancelled", ""),
    # Occurrences without a row.
    (in_a_pause, RUN, "missed", "paused", ""),
    (plain, RUN, "will_run", "not_due", ""),
    (
        plain,
        "daily.20261124T063100Z",
        "will_not_run",
        "not_an_occurrence",
        f"{DAILY}: when:",
    ),
    (plain, "daily.20251124T063000Z", "missed", "before_first_activation", ""),
    (
        lambda: plain().at(DUE + MINUTE, tick=False),
        RUN,
        "will_not_run",
        "nobody_serves",
        "",
    ),
    (plain, "other.20251124T063000Z", "unknown", "unknown_name", ""),
    (removed, "daily.20251124T063000Z", "will_not_run", "removed", ""),
    (plain, "daily.m123", "unknown", "unknown_name", ""),
]


def test_what_is_held_back_is_not_said_to_start_in_a_moment() -> None:
    house = House().due()
    assert "starts in a moment" in house.explained("daily").text
    house.serves = None
    found = house.explained("daily")
    assert found.reason_code == "nobody_serves"
    assert not any("starts in a moment" in gate.text for gate in found.gates)


@pytest.mark.parametrize(
    ("plant", "asked", "verdict", "code", "where"),
    PLANTED,
    ids=[f"{number}-{row[3]}" for number, row in enumerate(PLANTED)],
)
def test_the_reason_and_the_place(
    plant: Plant, asked: str, verdict: str, code: str, where: str
) -> None:
    house = plant()
    found = house.explained(asked)
    told = (found.verdict, found.reason_code, found.place)
    assert told == (verdict, code, house.place(where)), found.text
    assert found.text.endswith((".", "?")), found.text
    assert ".." not in found.text
    assert set(found.as_json()) == {"verdict", "reason_code", "place", "text", "gates"}


def test_every_reason_of_the_table_is_known_and_most_are_planted() -> None:
    planted = {row[3] for row in PLANTED}
    assert len(planted) > 30
    assert planted - set(REASONS) == {"query_failed", "full"}


# --- The order ------------------------------------------------------------------------


def test_all_gates_are_told_in_their_order() -> None:
    found = paused_in_a_blackout().explained()
    assert [gate.gate for gate in found.gates] == list(GATES)
    held = [gate.reason_code for gate in found.gates if not gate.passed]
    assert held == ["paused", "blackout"]
    both = paused_twice().explained()
    held = [gate.reason_code for gate in both.gates if not gate.passed]
    assert held == ["paused_in_git", "paused", "not_due"]


def test_what_cannot_be_known_is_not_asked() -> None:
    assert [gate.gate for gate in invalid().explained().gates] == ["exists", "file"]


def test_of_mails_that_went_well_it_tells_how_many_and_no_server() -> None:
    key = a_delivery(RUN).key
    folder = a_delivery_of(key, remote="exports/a.csv")
    mails = [
        a_delivery_of(replace(key, recipient=who), remote="smtp.example.com")
        for who in ("anna@example.com", "bob@example.com")
    ]
    house = over(RunStatus.SUCCEEDED, "")()
    (record,) = house.ledger.runs()
    assert (record.places, record.mails) == ([], 0)
    record = replace(record, deliveries=(folder, *mails))
    facts = cast(Facts, SimpleNamespace(when=str, place=lambda *_: None))
    text = told_end(facts, record.run, record).text
    assert text.endswith(": exports/a.csv, 2 mails.")


def a_delivery_of(key: DeliveryKey, remote: str) -> Delivery:
    return Delivery(
        key=key,
        type="local",
        status=DeliveryStatus.ACCEPTED,
        attempts=1,
        reason="",
        message="",
        receipt=None,
        remote=remote,
        intent={},
        first_attempt_at=None,
        next_attempt_at=None,
        at=NOW,
    )


def test_how_the_last_run_ended_is_told_as_well() -> None:
    house = over(RunStatus.FAILED, "query_failed", "no such table")()
    last = house.explained().gates[-1]
    assert (last.gate, last.reason_code) == ("last_run", "query_failed")
    assert f"`boe rerun {RUN}`" in last.text


def test_a_mail_that_bounced_after_a_good_run_is_told() -> None:
    house = House().due(a_daily())
    [claimed] = house.ledger.claim("w", now=house.now, limit=1)
    mail = a_mail(RUN, "anna@example.com")
    sent = Outcome(status=DeliveryStatus.ACCEPTED, receipt="1")
    house.ledger.commit_artifacts(claimed.claim, [an_artifact()], [mail], now=house.now)
    house.ledger.settle(claimed.claim, mail.key, sent, now=house.now)
    house.ledger.finish(claimed.claim, RunStatus.SUCCEEDED, "", "", now=house.now)
    assert house.explained().gates[-1].passed
    house.ledger.hear(a_bounce(receipt="1"), now=house.now)
    told = "The mail to anna@example.com bounced for good: 5.1.1 550 no such user."
    assert told in house.explained().gates[-1].text
    assert told in house.explained(RUN).text


def test_who_was_left_out_of_a_good_run_is_told() -> None:
    house = House().due(a_daily())
    [claimed] = house.ledger.claim("w", now=house.now, limit=1)
    mails = [a_mail(RUN, who) for who in ("anna@x.org", "bob@x.org", "carl@x.org")]
    house.ledger.commit_artifacts(claimed.claim, [an_artifact()], mails, now=house.now)
    sent = Outcome(status=DeliveryStatus.ACCEPTED, receipt="1")
    house.ledger.settle(claimed.claim, mails[0].key, sent, now=house.now)
    for one in mails[1:]:
        listed = Outcome(
            status=DeliveryStatus.SUPPRESSED,
            reason=LISTED,
            message=f"{one.key.recipient} is on the suppression list",
        )
        house.ledger.settle(claimed.claim, one.key, listed, now=house.now)
    house.ledger.finish(claimed.claim, RunStatus.SUCCEEDED, "", "", now=house.now)
    told = "Left out: bob@x.org is on the suppression list. (And 1 more.)"
    assert told in house.explained().gates[-1].text
    assert house.explained(RUN).text.endswith(told)


def test_a_file_that_cannot_be_read_may_hold_the_name() -> None:
    house = plain()
    house.write("schedules/new.yaml", "kind: Schedule\n  metadata: {")
    house.activate()
    found = house.explained("new")
    assert found.place == "schedules/new.yaml:2"
    assert "which cannot be read" in found.text


def test_without_a_line_the_file_of_an_older_version_is_named() -> None:
    house = House().served(text=a_daily("paused: true"))
    house.write(DAILY, a_daily("paused: true", "title: wrong"))
    house.activate()
    gate = next(g for g in house.explained().gates if g.gate == "paused_in_git")
    assert gate.place == DAILY


# --- The words --------------------------------------------------------------------------

SENTENCES = {
    paused_in_git: "It is paused in its files (`paused: true` at schedules/daily.yaml:10). "
    "Remove that line to have it run; `boe trigger` runs it once by hand.",
    paused: "ada paused it since Mon 2026-11-23 12:00 UTC: a test. It lasts until somebody "
    "ends it; `boe resume daily` ends it.",
    retry: "Try 1 of 4 failed: Db refused. It is tried again on Tue 2026-11-24 06:35 UTC, "
    "by itself.",
    blackout: "The Connection db is left alone until Tue 2026-11-24 08:00 UTC (a blackout). "
    "It starts right after.",
    a_holiday: "Tue 2026-11-24 is a day off, Harvest (calendars/work.yaml:9); "
    "`if_day_off: skip` leaves it out. It runs next on Thu 2026-11-26 06:30 UTC.",
    cancelled: "It ended on Tue 2026-11-24 06:30 UTC: Cancelled by ada. "
    f"`boe rerun {RUN}` makes up for it.",
    breaker_open: "The Connection db failed once and is left alone until Tue 2026-11-24 "
    "06:35 UTC. The last time it said: Connection refused. It is tried again by itself.",
    connection_limit: "The Connection db is in use by another run, and no more than 1 may "
    "use it at once. It starts when one of them has read its rows.",
    nobody_serves: "Nobody serves this folder, so nothing starts by itself. Start "
    "`boe run`; what was due meanwhile is made up for as its `catchup` says.",
}


@pytest.mark.parametrize("plant", SENTENCES, ids=lambda plant: plant.__name__)
def test_the_words_are_golden(plant: Plant) -> None:
    asked = RUN if plant is cancelled else "daily"
    assert plant().explained(asked).text == SENTENCES[plant]


@pytest.mark.parametrize(
    ("target", "value", "told"),
    [
        (PauseTarget.ALL, "", "everything"),
        (PauseTarget.OWNER, "ops@example.com", "owner ops@example.com"),
        (PauseTarget.CONNECTION, "db", "connection db"),
    ],
)
def test_it_is_told_what_was_paused(target: PauseTarget, value: str, told: str) -> None:
    found = paused(target, value).explained()
    assert told in found.text
    assert f"`boe resume --{target.value}" in found.text


def test_a_pause_with_an_end_tells_it() -> None:
    house = House().served()
    house.ledger.pause(a_pause(NOW, until=NOW + timedelta(days=1)))
    assert "ends by itself on Tue 2026-11-24 12:00 UTC" in house.explained().text


def test_times_are_told_in_the_zone_and_in_utc() -> None:
    moment = at("2026-11-23 23:30:15")
    assert both(moment, "UTC") == "Mon 2026-11-23 23:30:15 UTC"
    assert (
        both(moment, "Europe/Berlin") == "Tue 2026-11-24 00:30:15 CET (11-23 23:30 UTC)"
    )


def test_what_is_in_no_file_has_no_place() -> None:
    assert whereabouts(a_snapshot(GOOD)).place("Calendar", "none") is None


def test_the_docs_have_every_reason() -> None:
    text = (Path(__file__).parents[2] / "docs" / "explain.md").read_text()
    rows = [f"| `{code}` | {meaning} |" for code, meaning in REASONS.items()]
    assert [row for row in rows if row not in text] == []
    assert [name for name in GATES if f"`{name}`" not in text] == []


def test_counts_are_told_in_words() -> None:
    house = House()
    house.write(DB, a_db("circuit_breaker: {failures: 2}", "max_concurrent: 2"))
    for name in ("a", "b"):
        house.write(f"schedules/{name}.yaml", a_daily().replace("daily", name))
    house.due()
    house.claim()
    house.claim()
    busy = house.explained()
    assert "in use by 2 runs" in busy.text
    for _ in range(2):
        house.ledger.used("db", failure="refused", now=house.now)
    assert "failed 2 times in a row" in house.explained().text


def test_what_is_served_from_elsewhere_names_its_file() -> None:
    house = paused_in_git()
    house.folder = {}
    assert house.explained().place == DAILY


def test_a_deadline_is_told_to_those_who_wait() -> None:
    house = House()
    black = 'blackouts: [{cron: "0 6 * * *", duration: 2h, timezone: UTC}]'
    house.write(DB, a_db(black))
    house.due(a_daily("execution: {deadline: 10m}"))
    told = "If it has not started by Tue 2026-11-24 06:40 UTC, it is missed."
    assert house.explained().text.endswith(told)
