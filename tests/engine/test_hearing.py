"""News of mails, from a maildir into the ledger."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from boe_reconciler.bounces import maildir
from boe_reconciler.core.bounces import tag_of
from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.facts import Fact, Heard
from boe_reconciler.core.ports import Mailbox
from boe_reconciler.core.runs import DeliveryStatus, News, Outcome, RunStatus
from boe_reconciler.engine.hearing import Hearer
from boe_reconciler.ledgers.memory import MemoryLedger
from tests.builders import (
    a_mail,
    a_manual_run,
    a_schedule,
    an_activation,
    an_artifact,
    at,
)
from tests.core.test_bounces import POSTFIX, a_report
from tests.engine.world import HandClock

NOW = at("2026-11-24 05:00")
ANNA = "anna@example.com"


class House:
    """A ledger with one mail that was taken, and a maildir."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "Maildir"
        for name in ("new", "cur", "tmp"):
            (self.folder / name).mkdir(parents=True)
        self.ledger = MemoryLedger()
        self.box: Mailbox = maildir.create(self.folder)
        self.hearer = Hearer(
            ledger=self.ledger, clock=HandClock(), mailboxes=lambda: {"mail": self.box}
        )
        self.ledger.activate(an_activation(a_schedule("daily")), now=NOW)
        [self.run_id] = self.ledger.enqueue([a_manual_run(now=NOW)], now=NOW)
        [claimed] = self.ledger.claim("worker", now=NOW, limit=1)
        mail = a_mail(self.run_id, ANNA)
        intent = {"message_id": f"<{mail.key.identity}@example.com>"}
        sent = Outcome(status=DeliveryStatus.ACCEPTED)
        self.ledger.commit_artifacts(claimed.claim, [an_artifact()], [mail], now=NOW)
        self.ledger.intend(claimed.claim, mail.key, intent, now=NOW)
        self.ledger.settle(claimed.claim, mail.key, sent, now=NOW)
        self.ledger.finish(claimed.claim, RunStatus.SUCCEEDED, "", "", now=NOW)
        self.tag = tag_of(mail.key.identity, self.ledger.return_key())

    def put(self, name: str, content: bytes) -> None:
        (self.folder / "new" / name).write_bytes(content)

    def bounce(self, tag: str = "") -> bytes:
        return a_report(POSTFIX, to=f"bounces+{tag or self.tag}@example.com")

    @property
    def news(self) -> list[News]:
        record = self.ledger.run(self.run_id)
        assert record is not None
        return [one.kind for one in record.news]

    def lies(self, folder: str) -> list[str]:
        return sorted(one.name for one in (self.folder / folder).iterdir())


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_bounce_is_news_of_its_mail_and_lies_in_cur_as_seen(house: House) -> None:
    house.put("1.mx", house.bounce())
    facts: list[Fact] = []
    house.hearer.observe = facts.append
    assert house.hearer.look() == 1
    assert facts == [Heard(news="bounced")]
    assert house.news == [News.BOUNCED]
    assert [one.address for one in house.ledger.suppressions()] == [ANNA]
    assert (house.lies("new"), house.lies("cur")) == ([], ["1.mx:2,S"])


def test_what_is_no_news_of_ours_is_kept_and_flagged(house: House) -> None:
    house.put("1.mx", b"\xff\x00 no mail at all")
    house.put("2.mx", house.bounce(tag_of("f" * 64, b"another key")))
    house.put("3.mx", house.bounce(tag_of("f" * 64, house.ledger.return_key())))
    assert house.hearer.look() == 0
    assert house.news == []
    assert house.ledger.suppressions() == []
    assert house.lies("cur") == ["1.mx:2,F", "2.mx:2,F", "3.mx:2,F"]


def test_one_that_is_read_again_after_a_kill_is_heard_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    house.put("1.mx", house.bounce())
    with monkeypatch.context() as patch:
        patch.setattr(house.box, "put_away", kill)
        with pytest.raises(Killed):
            house.hearer.look()
    assert house.lies("new") == ["1.mx"]
    assert house.hearer.look() == 1
    assert house.news == [News.BOUNCED]
    assert house.lies("new") == []


def test_what_is_no_plain_file_stays_and_holds_up_nothing(house: House) -> None:
    new = house.folder / "new"
    (new / "0.link").symlink_to("/etc/passwd")
    (new / "0.folder").mkdir()
    os.mkfifo(new / "0.pipe")
    house.put("1.mx", house.bounce())
    assert house.hearer.look() == 1
    assert house.lies("new") == ["0.folder", "0.link", "0.pipe"]


def test_many_that_cannot_be_read_hold_up_nothing_and_are_told_once(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boe_reconciler.engine.hearing.MOST", 1)
    for number in range(3):
        (house.folder / "new" / f"0.{number}").mkdir()
    house.put("1.mx", house.bounce())
    with caplog.at_level(logging.WARNING):
        assert [house.hearer.look(), house.hearer.look()] == [1, 0]
    [told] = [one.__dict__["detail"] for one in caplog.records]
    assert told.endswith("new has mails that cannot be read, such as 0.0")


def test_a_folder_that_fails_is_told_and_looked_at_again(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> list[str]:
        raise OSError(5, "Input/output error")

    house.put("1.mx", house.bounce())
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(Path, "iterdir", fail)
        assert house.hearer.look() == 0
    assert [one.message for one in caplog.records] == ["bounces_unreadable"]
    assert house.hearer.look() == 1


def test_what_is_not_understood_is_told_once_though_it_comes_again(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boe_reconciler.engine.hearing._REMEMBERED", 2)
    told = []
    for number, content in enumerate([b"a", b"a", b"b", b"c", b"c"]):
        house.put(f"{number}.mx", content)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            house.hearer.look()
        told.append(len(caplog.records))
    assert told == [1, 0, 1, 1, 0]


def test_a_maildir_that_is_none_is_told_once(
    tmp_path: Path, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.box = maildir.create(tmp_path / "elsewhere")
    with pytest.raises(Permanent, match="has no folder new"):
        house.box.check()
    with caplog.at_level(logging.WARNING):
        house.hearer.look()
        house.hearer.look()
    assert [one.message for one in caplog.records] == ["bounces_unreadable"]


def test_its_thread_ends_with_it(house: House) -> None:
    house.hearer.start()
    house.hearer.close()
    assert house.hearer._thread is not None
    assert not house.hearer._thread.is_alive()
