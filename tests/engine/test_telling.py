"""People are told how revisions fare: nothing twice, nothing lost, nobody held up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from boe_reconciler.core.errors import Permanent, Temporary
from boe_reconciler.core.facts import Fact, Noticed, Posted
from boe_reconciler.core.notices import FORGE, GIVE_UP, WEBHOOK, Owed
from boe_reconciler.core.spec import Activation
from boe_reconciler.engine import telling
from boe_reconciler.engine.telling import Postman, Teller, dismiss
from boe_reconciler.ledgers.memory import MemoryLedger
from tests.builders import a_schedule, an_activation
from tests.engine.world import HandClock

COMMIT = "1" * 40
REVISION = f"main@sha1:{COMMIT}"


def good(revision: str = REVISION) -> Activation:
    return an_activation(a_schedule(), revision=revision)


def bad(revision: str = REVISION) -> Activation:
    stalled = [
        replace(one, ready=False, reason="Invalid", serving_revision="main@sha1:0")
        for one in good().statuses
    ]
    return replace(good(revision), stalled=stalled)


class Weak(MemoryLedger):
    """A ledger that cannot be written for a while."""

    fails = 0

    def tell(self, *given: Any, **named: Any) -> None:
        if self.fails:
            self.fails -= 1
            raise Temporary("ledger_unavailable", "The disk is full.")
        super().tell(*given, **named)


@dataclass
class Site:
    ledger: Weak = field(default_factory=Weak)
    clock: HandClock = field(default_factory=HandClock)
    #: What a channel raises next.
    errors: list[Exception] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def teller(self) -> Teller:
        """As after a start: what it knew before stands in the ledger."""
        self.postmen = [self._postman(name) for name in (FORGE, WEBHOOK)]
        return Teller(
            ledger=self.ledger,
            clock=self.clock,
            postmen=self.postmen,
            remind=timedelta(hours=24),
            observe=self.facts.append,
        )

    def _postman(self, channel: str) -> Postman:
        return Postman(
            channel=channel,
            send=self._send,
            ledger=self.ledger,
            clock=self.clock,
            random=lambda: 1.0,
            observe=self.facts.append,
        )

    def _send(self, owed: Owed) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append((owed.channel, owed.body.get("state") or owed.body["text"]))

    def post(self) -> list[str]:
        """What was sent since the last time."""
        self.sent.clear()
        for one in self.postmen:
            one.round()
        return [what for _, what in self.sent]

    def words(self) -> list[str]:
        return [one.word for one in self.facts if isinstance(one, Noticed)]

    def results(self) -> list[str]:
        return [one.result for one in self.facts if isinstance(one, Posted)]


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_commit_is_red_and_the_next_one_green(site: Site) -> None:
    teller = site.teller()
    teller.begun(REVISION)
    assert site.post() == []
    site.clock.move(3)
    assert site.post() == ["pending"]
    teller.found(bad())
    state, text = site.post()
    assert state == "failure"
    assert "1 of 1 objects keeps its last good version" in text
    teller.found(good(f"main@sha1:{'2' * 40}"))
    state, text = site.post()
    assert state == "success"
    assert text.startswith("Well again")
    assert site.words() == ["failing", "recovered"]


def test_only_the_last_word_about_a_commit_is_sent(site: Site) -> None:
    teller = site.teller()
    teller.begun(REVISION)
    teller.found(good())
    assert site.post() == ["success"]


def test_what_no_longer_holds_is_not_told_late(site: Site) -> None:
    teller = site.teller()
    site.errors = [Temporary("down", "No."), Temporary("down", "No.")]
    teller.found(bad())
    assert site.post() == []
    site.clock.move(60)
    teller.found(good(f"main@sha1:{'2' * 40}"))
    texts = [one for one in site.post() if one not in ("failure", "success")]
    assert [one[:10] for one in texts] == ["Well again"]


def test_each_day_has_its_reminder(site: Site) -> None:
    teller = site.teller()
    teller.found(bad())
    site.post()
    for _ in range(3):
        site.clock.move(24 * 3600)
        teller.look()
        assert len(site.post()) == 1


def test_a_restart_says_nothing_twice(site: Site) -> None:
    site.teller().found(bad())
    assert len(site.post()) == 2
    site.teller().found(bad())
    assert site.post() == []


def test_what_was_owed_before_a_restart_is_sent_after_it(site: Site) -> None:
    site.teller().found(bad())
    site.teller()
    assert len(site.post()) == 2


def test_a_failure_that_lasts_is_told_again_though_nothing_can_be_fetched(
    site: Site,
) -> None:
    site.teller().found(bad())
    site.post()
    teller = site.teller()
    teller.look()
    assert site.post() == []
    site.clock.move(24 * 3600)
    teller.look()
    teller.look()
    (text,) = site.post()
    assert text.startswith("Still so, since 2026-")
    assert site.words() == ["failing", "reminder"]


def test_what_could_not_be_written_is_told_at_the_next_look(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    teller = site.teller()
    site.ledger.fails = 2
    teller.begun(REVISION)
    teller.found(bad())
    assert site.post() == []
    teller.look()
    assert site.post() == []
    site.clock.move(telling.AGAIN)
    teller.look()
    assert len(site.post()) == 2
    assert site.words() == ["failing"]
    assert {one.message for one in caplog.records} == {
        "ledger_unavailable",
        "revision_failing",
    }


def test_a_folder_has_no_commit_to_mark(site: Site) -> None:
    site.teller().found(bad("folder@sha1:" + "1" * 40))
    (text,) = site.post()
    assert "folder@sha1" in text


def test_whatever_breaks_here_stops_no_reconciler(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    teller = site.teller()
    monkeypatch.setattr(site.ledger, "notices", lambda: 1 / 0)
    teller.found(bad())
    assert "telling_crashed" in {one.message for one in caplog.records}


# --- Sending ----------------------------------------------------------------------


def test_what_may_pass_is_tried_again_and_told_once(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.teller().begun(REVISION)
    site.clock.move(3)
    site.errors = [Temporary("forge_down", "No.") for _ in range(2)]
    assert site.post() == []
    assert site.post() == []
    site.clock.move(5)
    assert site.post() == []
    site.clock.move(10)
    assert site.post() == ["pending"]
    assert site.results() == ["failed", "failed", "sent"]
    told = [one for one in caplog.records if one.message == "post_failed"]
    assert len(told) == 1


def test_a_forge_that_asks_for_patience_gets_it_for_all_that_is_owed(
    site: Site,
) -> None:
    teller = site.teller()
    for number in "12":
        teller.begun(f"main@sha1:{number * 40}")
    site.clock.move(3)
    site.errors = [Temporary("forge_busy", "Wait.", delay=timedelta(seconds=60))]
    assert site.post() == []
    site.clock.move(59)
    assert site.post() == []
    site.clock.move(1)
    assert site.post() == ["pending", "pending"]


@pytest.mark.parametrize(
    "error", [Permanent("forge_forbidden", "No."), KeyError("s3cret")]
)
def test_what_has_no_sense_is_given_up_with_a_line_in_the_log(
    site: Site, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    site.teller().begun(REVISION)
    site.clock.move(3)
    site.errors = [error]
    assert site.post() == []
    assert site.post() == []
    assert site.results() == ["given_up"]
    (record,) = [one for one in caplog.records if one.message == "post_given_up"]
    assert "s3cret" not in str(vars(record))


def test_a_forge_that_is_down_for_a_day_is_given_up(site: Site) -> None:
    site.teller().begun(REVISION)
    site.clock.move(3)
    site.errors = [Temporary("forge_down", "No.")] * 2
    site.post()
    site.clock.move(GIVE_UP.total_seconds())
    site.post()
    assert site.results() == ["failed", "given_up"]


def test_what_was_given_up_is_sent_when_a_later_start_finds_the_same(
    site: Site,
) -> None:
    site.teller().found(good())
    site.errors = [Permanent("forge_unauthorized", "No.")]
    assert site.post() == []
    site.teller().found(good())
    assert site.post() == ["success"]


@pytest.fixture
def started(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Teller]:
    monkeypatch.setattr(telling, "FAREWELL", 0.3)
    teller = site.teller()
    for one in site.postmen:
        one.start()
    yield teller
    dismiss(site.postmen, site.clock)


def test_what_is_owed_at_the_end_is_still_sent(site: Site, started: Teller) -> None:
    started.found(bad())
    dismiss(site.postmen, site.clock)
    assert len(site.sent) == 2


def test_a_slow_forge_holds_up_neither_the_reconciler_nor_the_end(
    site: Site, started: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(owed: Owed) -> None:
        hangs.set()
        goes_on.wait(5)

    monkeypatch.setattr(site.postmen[0], "send", hang)
    started.found(bad())
    assert hangs.wait(5)
    started.found(good())
    dismiss(site.postmen, site.clock)
    assert site.words() == ["failing", "recovered"]
    assert len(site.ledger.owed(FORGE)) == 1
    goes_on.set()


def test_a_ledger_that_cannot_be_read_ends_no_postman(
    site: Site,
    started: Teller,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    errors: list[Exception] = [Temporary("ledger_unavailable", "No."), KeyError("x")]
    failed = threading.Event()
    real = site.ledger.owed

    def owed(channel: str) -> Any:
        if errors:
            raise errors.pop()
        failed.set()
        return real(channel)

    monkeypatch.setattr(site.ledger, "owed", owed)
    while not failed.is_set():
        site.clock.move(telling.AGAIN)
        for one in site.postmen:
            one.wake()
        failed.wait(0.01)
    site.clock.move(telling.AGAIN)
    assert {"post_crashed", "ledger_unavailable"} <= {
        one.message for one in caplog.records
    }
    started.found(good())
    dismiss(site.postmen, site.clock)
    assert ("forge", "success") in site.sent
