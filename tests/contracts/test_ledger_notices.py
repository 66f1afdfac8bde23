"""What every ledger promises about notices: nothing is told twice, nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from boe_reconciler.core import notices
from boe_reconciler.core.errors import Permanent, Temporary
from boe_reconciler.core.notices import Incident, Owed
from boe_reconciler.core.ports import Ledger
from boe_reconciler.core.runs import Event
from tests.builders import at

NOW = at("2026-03-01 06:30")
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
INCIDENT = Incident(
    subject="revision",
    since=NOW,
    failing="a",
    message="2 of 14",
    told="a",
    told_at=(NOW, NOW + SECOND),
)


def owed(key: str = "k", state: str = "success", channel: str = "forge") -> Owed:
    body = {"state": state, "target_url": None}
    return Owed(channel=channel, key=key, body=body, since=NOW, next_try=NOW)


def test_an_incident_is_kept_as_it_was_found_last(ledger: Ledger) -> None:
    assert ledger.notices() == []
    ledger.tell(INCIDENT, [], [Event(at=NOW, action="revision_failing", message="x")])
    assert ledger.notices() == [INCIDENT]
    over = Incident(subject="revision", told_at=(NOW,))
    ledger.tell(over)
    assert ledger.notices() == [over]


def test_what_is_owed_is_there_until_it_is_sent(ledger: Ledger) -> None:
    one = owed()
    ledger.tell(None, [one])
    assert ledger.owed("forge") == [one]
    assert ledger.owed("webhook") == []
    assert ledger.tried(one, notices.sent(one))
    assert ledger.owed("forge") == []


def test_what_was_sent_is_not_owed_again(ledger: Ledger) -> None:
    one = owed()
    ledger.tell(None, [one])
    ledger.tried(one, notices.sent(one))
    ledger.tell(None, [replace(one, since=NOW + SECOND)])
    assert ledger.owed("forge") == []


def test_other_words_about_the_same_take_the_place_of_the_first(ledger: Ledger) -> None:
    pending, done = owed(state="pending"), owed()
    ledger.tell(None, [pending])
    ledger.tell(None, [done])
    assert ledger.owed("forge") == [done]
    assert not ledger.tried(pending, notices.sent(pending))
    assert ledger.owed("forge") == [done]


def test_what_failed_is_owed_later_and_after_what_is_due(ledger: Ledger) -> None:
    first, second = owed("a"), owed("b")
    ledger.tell(None, [first, second])
    error = Temporary("forge_down", "No.", delay=SECOND)
    later = notices.failed(first, error, now=NOW, random=0.5)
    assert ledger.tried(first, later)
    assert ledger.owed("forge") == [second, later]


def test_what_was_given_up_is_owed_again_when_it_is_said_again(ledger: Ledger) -> None:
    one = owed()
    ledger.tell(None, [one])
    no = Permanent("forge_forbidden", "No.")
    ledger.tried(one, notices.failed(one, no, now=NOW, random=0.5))
    assert ledger.owed("forge") == []
    ledger.tell(None, [one])
    assert ledger.owed("forge") == [one]


def test_what_was_given_up_can_be_looked_at_for_a_week(ledger: Ledger) -> None:
    no = Permanent("refused", "No such user.")
    lost = [replace(owed(key), since=NOW + HOUR * at) for at, key in enumerate("ab")]
    for one in lost:
        ledger.tell(None, [one])
        ledger.tried(one, notices.failed(one, no, now=NOW, random=0.5))
    assert [one.key for one in ledger.given_up()] == ["b", "a"]
    assert ledger.given_up()[0].detail == "No such user."
    ledger.tell(None, [replace(owed("c"), since=NOW + timedelta(days=7) + SECOND)])
    assert [one.key for one in ledger.given_up()] == ["b"]


def test_what_was_sent_is_kept_only_until_the_next(ledger: Ledger) -> None:
    for key in ("a", "b"):
        ledger.tell(None, [owed(key)])
        ledger.tried(owed(key), notices.sent(owed(key)))
    ledger.tell(None, [owed("a")])
    assert ledger.owed("forge") == [owed("a")]
