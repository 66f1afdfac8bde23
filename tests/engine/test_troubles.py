"""People are told of troubles: once, together, again when it lasts, and when it is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from boe_reconciler.clock import SystemClock
from boe_reconciler.core.errors import LedgerClosed, Permanent, Temporary
from boe_reconciler.core.facts import Fact, Noticed
from boe_reconciler.core.listeners import Listeners
from boe_reconciler.core.notices import CHANNELS, Owed
from boe_reconciler.core.runs import Pause, PauseTarget
from boe_reconciler.core.spec import Activation, ObjectStatus, ServedObject
from boe_reconciler.engine.telling import Postman, Teller, dismiss
from boe_reconciler.engine.troubles import TroubleTeller
from boe_reconciler.ledgers.memory import MemoryLedger
from tests.builders import a_schedule, an_activation
from tests.engine.world import World, a_spec

REVISION = "folder@sha1:1"
MAILER = {"type": "smtp", "host": "mail.example.com", "from": "boe@example.com"}
BROKEN = "select * from nothing_of_this_name"


@dataclass
class House:
    """A world that tells people, with what they got."""

    world: World
    sent: list[Owed] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def serve(
        self, *schedules: Mapping[str, Any], objects: Sequence[ServedObject] = ()
    ) -> None:
        """Schedules that run the query BROKEN unless they have another."""
        specs = [
            a_spec(
                **{
                    "query": BROKEN,
                    "resolved": {"schedule": one["name"], "title": one["name"]},
                    **one.get("spec", {}),
                }
            )
            for one in schedules
        ]
        self.world.serve(*specs, when={"every": "1h"})
        activation = Activation(
            attempted=REVISION,
            serving=REVISION,
            objects=[
                *(self._schedule(one) for one in schedules),
                an_object("Connection", "mailer", MAILER),
                *objects,
            ],
            stalled=(),
            schedules=self.world.planned,
            problems=(),
        )
        self.world.ledger.activate(activation, now=self.world.clock.now())

    def _schedule(self, one: Mapping[str, Any]) -> ServedObject:
        owner = one.get("owner", "ada@example.com")
        return an_object("Schedule", one["name"], one.get("data", {}), owner)

    def teller(self) -> TroubleTeller:
        """As after a start: what it knew before stands in the ledger."""
        self.postmen = [
            Postman(
                channel=channel,
                send=self._send,
                ledger=self.world.ledger,
                clock=self.world.clock,
                random=lambda: 1.0,
                apart=True,
            )
            for channel in CHANNELS
        ]
        return TroubleTeller(
            ledger=self.world.ledger,
            clock=self.world.clock,
            postmen=self.postmen,
            remind=timedelta(hours=24),
            listeners=lambda served, now: Listeners(served=served, today=now.date()),
            redact=lambda text: text.replace("hunter2", "***"),
            observe=self.facts.append,
        )

    def _send(self, owed: Owed) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append(owed)

    def hour(self) -> None:
        """The next occurrence of all schedules, and their runs."""
        now = self.world.clock.now()
        self.world.clock.move(3600 - now.minute * 60 - now.second)
        self.world.work()

    def post(self) -> list[Owed]:
        self.sent.clear()
        for one in self.postmen:
            one.round()
        return [*self.sent]

    def told(self, teller: TroubleTeller, seconds: float = 31) -> list[str]:
        """Subjects of what is sent once all that belongs together was waited for."""
        teller.look()
        self.world.clock.move(seconds)
        teller.look()
        return [one.body["subject"] for one in self.post()]


def an_object(
    kind: str, name: str, spec: Mapping[str, Any], owner: str | None = None
) -> ServedObject:
    return ServedObject(
        kind=kind,
        name=name,
        file=f"{name}.yaml",
        index=0,
        data={
            "metadata": {"name": name, **({"owner": owner} if owner else {})},
            "spec": dict(spec),
        },
        revision=REVISION,
    )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    world = World(tmp_path)
    yield House(world)
    world.backends.close()


def test_a_failed_run_is_told_to_the_owner_with_all_that_mends_it(house: House) -> None:
    house.serve({"name": "daily"})
    teller = house.teller()
    teller.look()
    house.hour()
    teller.look()
    assert house.post() == []
    house.world.clock.move(31)
    teller.look()
    (owed,) = house.post()
    assert owed.body["who"] == "ada@example.com"
    assert owed.body["subject"] == "daily failed"
    text = owed.body["text"]
    assert "nothing_of_this_name" in text
    assert "Occurrence    Tue 2026-11-24 07:00 CET (06:00 UTC)" in text
    assert "Since         2026-11-24 06:00 UTC" in text
    assert "Revision      folder@sha1:1" in text
    assert "To mend it    boe rerun daily.20261124T060000Z" in text


@pytest.mark.slow
def test_what_lasts_is_told_once_then_ever_more_seldom(house: House) -> None:
    house.serve({"name": "daily"})
    teller = house.teller()
    teller.look()
    house.hour()
    assert house.told(teller) == ["daily failed"]
    days = []
    for hour in range(1, 24 * 9):
        house.hour()
        if house.told(teller):
            days.append(hour // 24)
    assert days == [1, 2, 4, 8]


def test_the_end_is_told_to_who_heard_of_the_beginning(house: House) -> None:
    house.serve({"name": "daily"})
    teller = house.teller()
    teller.look()
    house.hour()
    house.told(teller)
    house.serve({"name": "daily", "spec": {"query": "select 1 as one"}})
    house.hour()
    teller.look()
    house.world.clock.move(300)
    teller.look()
    (owed,) = house.post()
    assert owed.body["subject"] == "Well again: daily"
    assert "It was not for 1 h 0 min" in owed.body["text"]
    assert "boe rerun daily.20261124T060000Z" in owed.body["text"]
    assert house.world.ledger.board().troubles == {}
    assert [one.word for one in house.facts if isinstance(one, Noticed)] == [
        "failing",
        "recovered",
    ]


@pytest.mark.slow
def test_three_hundred_failures_of_one_cause_are_one_message_each(house: House) -> None:
    ops = an_object("Distribution", "ops", {"destinations": [_mail("ops@example.com")]})
    policy = an_object("Policy", "policy", {"notices": {"ops": ["ops"]}})
    house.serve(
        *({"name": f"r{number:03}"} for number in range(300)), objects=[ops, policy]
    )
    teller = house.teller()
    teller.look()
    house.hour()
    assert house.told(teller) == ["300 schedules failed"] * 2
    assert {one.body["who"] for one in house.sent} == {
        "ada@example.com",
        "ops@example.com",
    }
    text = house.sent[0].body["text"]
    assert "boe rerun --failed --since 2026-11-24T06:00:00Z" in text
    assert "… and 280 more" in text
    assert len(text) < 5000


def _mail(to: str) -> dict[str, Any]:
    return {"type": "email", "connection": "mailer", "to": [to], "subject": "x"}


def test_what_comes_in_drops_is_told_every_five_minutes(house: House) -> None:
    house.serve({"name": "a"}, {"name": "b"})
    teller = house.teller()
    teller.look()
    house.hour()
    house.told(teller)
    house.world.ledger.pause(
        Pause(
            target=PauseTarget.SCHEDULE,
            value="a",
            by="ada",
            why="a holiday",
            since=house.world.clock.now() - timedelta(hours=4),
            until=house.world.clock.now() + timedelta(minutes=30),
        )
    )
    assert house.told(teller) == []
    assert house.told(teller, 300) == ["The pause of the schedule a ends soon"]


def test_a_restart_says_nothing_twice_and_forgets_nothing(house: House) -> None:
    house.serve({"name": "daily"})
    house.teller().look()
    house.hour()
    # Killed before the first look: the next process finds it in the ledger.
    assert house.told(house.teller()) == ["daily failed"]
    assert house.told(house.teller(), 400) == []
    house.hour()
    assert house.told(house.teller(), 400) == []


def test_what_could_not_be_sent_waits_and_takes_the_news_with_it(house: House) -> None:
    house.serve({"name": "daily"})
    teller = house.teller()
    teller.look()
    house.hour()
    house.errors = [Temporary("down", "No answer.")] * 3
    assert house.told(teller) == []
    house.hour()
    assert house.told(teller) == []
    house.errors = []
    house.world.clock.move(900)
    assert [one.body["subject"] for one in house.post()] == ["daily failed"]
    assert house.told(teller, 400) == []


def test_a_far_side_that_refuses_holds_up_nobody_else(house: House) -> None:
    house.serve({"name": "a"}, {"name": "b", "owner": "bob@example.com"})
    teller = house.teller()
    teller.look()
    house.hour()
    house.errors = [Permanent("refused", "No such user.")]
    assert house.told(teller) == ["b failed"]
    assert house.world.ledger.owed("mail") == []
    (lost,) = house.world.ledger.given_up()
    assert (lost.body["who"], lost.detail) == ("ada@example.com", "No such user.")


def test_who_asks_for_a_run_is_at_the_terminal(house: House) -> None:
    house.serve({"name": "daily"})
    teller = house.teller()
    teller.look()
    house.world.ask("daily")
    house.world.ask("daily", dry_run=True)
    house.world.ask("daily", to="me@example.com")
    house.world.work()
    assert house.told(teller) == []


def test_secrets_stand_in_no_notice(house: House) -> None:
    house.serve({"name": "daily", "spec": {"query": "select 1 from hunter2"}})
    teller = house.teller()
    teller.look()
    house.hour()
    house.told(teller)
    assert "hunter2" not in str(house.sent[0].body)
    assert "***" in str(house.sent[0].body)


def test_recipients_of_reports_hear_nothing(house: House) -> None:
    targets = [_mail("customer@example.com")]
    house.serve({"name": "daily", "data": {"deliver_to": targets}})
    teller = house.teller()
    teller.look()
    house.hour()
    house.told(teller)
    assert [one.body["who"] for one in house.sent] == ["ada@example.com"]


def test_a_run_that_is_late_is_told_and_then_that_it_came(house: House) -> None:
    late = {"query": "select 1 as one", "execution": {"grace": "5m"}}
    house.serve({"name": "daily", "spec": late})
    teller = house.teller()
    teller.look()
    house.world.clock.move(3600)
    house.world.ledger.materialise(now=house.world.clock.now())
    teller.look()
    house.world.clock.move(301)
    house.world.ledger.materialise(now=house.world.clock.now())
    assert house.told(teller) == ["daily is late"]
    assert "boe explain daily.20261124T060000Z" in house.sent[0].body["text"]
    house.world.work()
    assert house.told(teller, 400) == ["Well again: daily"]


def test_missed_occurrences_are_told_though_the_newest_was_caught_up(
    house: House,
) -> None:
    house.serve({"name": "daily", "spec": {"query": "select 1 as one"}})
    teller = house.teller()
    teller.look()
    house.hour()
    house.world.clock.move(4 * 3600)
    house.world.work()
    assert house.told(teller) == ["Well again: daily"]
    assert "did not run" in house.sent[0].body["text"]


def test_a_breaker_that_opens_is_told_to_the_ops_channel(house: House) -> None:
    policy = an_object("Policy", "policy", {"notices": {"ops": ["ops"]}})
    ops = an_object("Distribution", "ops", {"destinations": [_mail("ops@example.com")]})
    guarded = {"type": "duckdb", "circuit_breaker": {"failures": 1, "open_for": "10m"}}
    house.serve(
        {"name": "daily", "spec": {"connection": guarded}}, objects=[policy, ops]
    )
    teller = house.teller()
    teller.look()
    now = house.world.clock.now()
    house.world.ledger.used("db", failure="It does not answer.", now=now)
    assert house.told(teller) == ["Connection db is left alone"]
    assert "It does not answer." in house.sent[0].body["text"]
    house.world.ledger.used("db", failure=None, now=house.world.clock.now())


def test_of_a_schedule_that_is_removed_nobody_hears_more(house: House) -> None:
    house.serve({"name": "daily"})
    teller = house.teller()
    teller.look()
    house.hour()
    house.told(teller)
    house.serve({"name": "other", "spec": {"query": "select 1 as one"}})
    assert house.told(teller, 90_000) == []
    assert house.world.ledger.board().troubles == {}


def test_at_its_end_all_is_told_at_once_where_nothing_comes_after(house: House) -> None:
    house.serve({"name": "daily"})
    teller = house.teller()
    teller.look()
    house.hour()
    teller.flush = True
    teller.start()
    for one in house.postmen:
        one.start()
    teller.close()
    dismiss(house.postmen, house.world.clock)
    assert [one.body["subject"] for one in house.sent] == ["daily failed"]


# --- Revisions --------------------------------------------------------------------


def a_revision(number: int, *broken: str) -> Activation:
    """One in which these files cannot be used."""
    stalled = [
        ObjectStatus(
            kind="Report",
            name=name,
            ready=False,
            reason="Invalid",
            message="",
            observed_revision=f"main@sha1:{number}",
            serving_revision=REVISION,
        )
        for name in broken
    ]
    problems = [
        {
            "severity": "error",
            "code": "BOE012",
            "detail": f"{name} is wrong",
            "resource": {"kind": "Report", "name": name},
            "range": {"filename": f"reports/{name}.yaml", "start": {"line": 3}},
        }
        for name in broken
    ]
    revision = f"main@sha1:{number}"
    return replace(
        an_activation(a_schedule(), revision=revision),
        serving=revision,
        stalled=stalled,
        problems=problems,
    )


def with_ops(house: House, *, remind: timedelta = timedelta(hours=24)) -> Teller:
    """Somebody listens who is told of everything; and who looks at revisions."""
    policy = an_object("Policy", "policy", {"notices": {"ops": ["ops"]}})
    hook = {"type": "webhook", "url": "https://chat.example.com/x"}
    ops = {"destinations": [_mail("ops@example.com"), hook]}
    house.serve(
        {"name": "daily"}, objects=[policy, an_object("Distribution", "ops", ops)]
    )
    return Teller(
        ledger=house.world.ledger, clock=house.world.clock, postmen=[], remind=remind
    )


def test_the_ops_channel_is_told_how_revisions_fare(house: House) -> None:
    revisions, teller = with_ops(house), house.teller()
    teller.look()
    revisions.found(a_revision(1, "sales"))
    assert house.told(teller) == ["The newest revision is not served whole"] * 2
    assert {one.body["who"] for one in house.sent} == {"ops@example.com", "ops/webhook"}
    text = house.sent[0].body["text"]
    assert "main@sha1:1" in text
    assert "- reports/sales.yaml:3: BOE012 sales is wrong" in text
    assert "To mend it    boe validate" in text
    # Another commit with the same mistake is no news; another mistake is.
    revisions.found(a_revision(2, "sales"))
    assert house.told(teller, 400) == []
    revisions.found(a_revision(3, "sales", "stock"))
    assert house.told(teller, 400) == ["The newest revision is not served whole"] * 2
    revisions.found(a_revision(4))
    assert house.told(teller, 400) == ["Well again: The newest revision"] * 2
    assert house.world.ledger.board().troubles == {}


def test_a_restart_says_nothing_twice_of_a_revision(house: House) -> None:
    with_ops(house).found(a_revision(1, "sales"))
    assert len(house.told(house.teller())) == 2
    with_ops(house).found(a_revision(1, "sales"))
    assert house.told(house.teller(), 400) == []


def test_a_revision_that_stays_broken_is_told_ever_more_seldom(house: House) -> None:
    revisions, teller = with_ops(house), house.teller()
    revisions.found(a_revision(1, "sales"))
    assert len(house.told(teller)) == 2
    days = []
    for hour in range(1, 24 * 5):
        house.world.clock.move(3600)
        revisions.look()
        if subjects := house.told(teller):
            assert subjects == ["The newest revision still is not served whole"] * 2
            days.append(hour // 24)
    assert days == [1, 2, 4]


def test_a_revision_that_flaps_is_told_as_seldom_as_at_the_url(house: House) -> None:
    revisions, teller = with_ops(house), house.teller()
    told = 0
    for minute in range(60):
        revisions.found(a_revision(minute, *["sales"] * (minute % 2)))
        told += len(house.told(teller, 60)) // 2
    assert told <= 4


def test_a_revision_and_a_run_that_fail_are_one_message(house: House) -> None:
    revisions, teller = with_ops(house), house.teller()
    teller.look()
    revisions.found(a_revision(1, "sales"))
    house.world.clock.move(10)
    house.hour()
    subjects = house.told(teller)
    assert (
        subjects.count("daily failed, and 1 more")
        + subjects.count("The newest revision is not served whole, and 1 more")
        == 2
    )
    assert "daily failed" in subjects  # the owner hears of the run alone


def test_a_teller_ends_with_its_ledger_and_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever closes the ledger alone leaves no thread that complains for ever."""

    class Closed(MemoryLedger):
        def board(self) -> NoReturn:
            raise LedgerClosed("the ledger is closed")

    teller = TroubleTeller(
        ledger=Closed(),
        clock=SystemClock(),
        postmen=[],
        remind=timedelta(hours=24),
        listeners=lambda served, now: Listeners(served=served, today=now.date()),
        redact=str,
    )
    teller.start()
    assert teller._thread is not None
    teller._thread.join(10)
    assert not teller._thread.is_alive()
    teller.close()
    assert "telling_crashed" not in caplog.text
