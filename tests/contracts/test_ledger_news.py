"""What every ledger promises of news of mails, and of the suppression list."""

from __future__ import annotations

from datetime import timedelta

import pytest

from boe_reconciler.core.ports import Ledger
from boe_reconciler.core.runs import (
    DeliveryEvent,
    DeliveryKey,
    DeliveryStatus,
    News,
    Outcome,
    Resend,
    RunRecord,
    RunStatus,
)
from tests.builders import (
    a_bounce,
    a_mail,
    a_manual_run,
    a_schedule,
    an_activation,
    an_artifact,
    at,
)

NOW = at("2026-03-01 06:30")
LATER = NOW + timedelta(hours=1)
ANNA = "Anna@Example.com"
RECEIPT = "0100-ses-id"


@pytest.fixture
def key(ledger: Ledger) -> DeliveryKey:
    """A mail that its server took."""
    ledger.activate(an_activation(a_schedule("daily")), now=NOW)
    [run_id] = ledger.enqueue([a_manual_run(now=NOW)], now=NOW)
    [claimed] = ledger.claim("worker", now=NOW, limit=1)
    mail = a_mail(run_id, ANNA)
    intent = {"message_id": f"<{mail.key.identity}@example.com>"}
    taken = Outcome(status=DeliveryStatus.ACCEPTED, receipt=RECEIPT)
    ledger.begin_attempt(claimed.claim, parameters={}, now=NOW)
    ledger.commit_artifacts(claimed.claim, [an_artifact()], [mail], now=NOW)
    ledger.intend(claimed.claim, mail.key, intent, now=NOW)
    ledger.settle(claimed.claim, mail.key, taken, now=NOW)
    ledger.finish(claimed.claim, RunStatus.SUCCEEDED, "", "", now=NOW)
    return mail.key


def record_of(ledger: Ledger, key: DeliveryKey) -> RunRecord:
    found = ledger.run(key.run_id)
    assert found is not None
    return found


def news_of(ledger: Ledger, key: DeliveryKey) -> list[DeliveryEvent]:
    return list(record_of(ledger, key).news)


def test_news_belongs_to_the_delivery_whose_identity_begins_so(
    ledger: Ledger, key: DeliveryKey
) -> None:
    told = a_bounce(identity=key.identity[:20])
    assert ledger.hear(told, now=LATER) == key
    assert news_of(ledger, key) == [told.event(key, LATER)]


def test_news_belongs_to_the_delivery_with_that_receipt(
    ledger: Ledger, key: DeliveryKey
) -> None:
    told = a_bounce(receipt=RECEIPT, identity="0" * 20)
    assert ledger.hear(told, now=LATER) == key


@pytest.mark.parametrize("fields", [{}, {"identity": "0" * 20}, {"receipt": "other"}])
def test_news_of_nothing_known_is_not_kept(
    ledger: Ledger, key: DeliveryKey, fields: dict[str, str]
) -> None:
    assert ledger.hear(a_bounce(**fields), now=LATER) is None
    assert news_of(ledger, key) == []
    assert ledger.suppressions() == []


def test_the_same_message_is_heard_once(ledger: Ledger, key: DeliveryKey) -> None:
    told = a_bounce(receipt=RECEIPT)
    assert [ledger.hear(told, now=LATER) for _ in range(3)] == [key] * 3
    assert len(news_of(ledger, key)) == 1
    events = [one.action for one in ledger.events(key.run_id)]
    assert events.count("mail_bounced") == 1


def test_news_changes_no_state(ledger: Ledger, key: DeliveryKey) -> None:
    before = record_of(ledger, key)
    ledger.hear(a_bounce(receipt=RECEIPT), now=LATER)
    after = record_of(ledger, key)
    assert (after.run, after.deliveries) == (before.run, before.deliveries)
    assert ledger.broken_invariants(now=LATER) == []


@pytest.mark.parametrize(
    ("kind", "lasting", "listed"),
    [
        (News.BOUNCED, True, True),
        (News.BOUNCED, False, False),
        (News.COMPLAINED, False, True),
        (News.DELAYED, False, False),
        (News.DELIVERED, False, False),
    ],
)
def test_what_never_arrives_and_who_complains_is_on_the_list(
    ledger: Ledger, key: DeliveryKey, kind: News, lasting: bool, listed: bool
) -> None:
    told = a_bounce(receipt=RECEIPT, kind=kind, lasting=lasting)
    ledger.hear(told, now=LATER)
    found = ledger.suppressions("anna@EXAMPLE.com")
    assert [(one.address, one.by, one.run_id) for one in found] == (
        [(ANNA, "boe", key.run_id)] if listed else []
    )


def test_bad_news_is_found_by_its_time_and_with_its_schedule(
    ledger: Ledger, key: DeliveryKey
) -> None:
    for number, kind in enumerate(News):
        told = a_bounce(receipt=RECEIPT, kind=kind, digest=str(number))
        ledger.hear(told, now=NOW + number * timedelta(minutes=1))
    found = ledger.news_since(NOW)
    assert [(name, one.kind) for name, one in found] == [
        ("daily", News.COMPLAINED),
        ("daily", News.BOUNCED),
    ]
    assert len(ledger.news_since(NOW, limit=1)) == 1
    assert ledger.news_since(NOW + timedelta(minutes=4)) == []


def test_news_goes_with_its_run(ledger: Ledger, key: DeliveryKey) -> None:
    ledger.hear(a_bounce(receipt=RECEIPT), now=LATER)
    [newer] = ledger.enqueue([a_manual_run(now=LATER, number=2)], now=LATER)
    ledger.cancel(newer, by="ada", now=LATER)
    year = NOW + timedelta(days=400)
    ledger.enqueue([a_manual_run(now=year, number=3)], now=year)
    [claimed] = ledger.claim("worker", now=year, limit=1)
    ledger.begin_attempt(claimed.claim, parameters={}, now=year)
    ledger.commit_artifacts(claimed.claim, [an_artifact()], [], now=year)
    ledger.finish(claimed.claim, RunStatus.SUCCEEDED, "", "", now=year)
    ledger.sweep(timedelta(days=30), now=year)
    assert ledger.run(key.run_id) is None
    assert ledger.news_since(NOW) == []
    assert ledger.hear(a_bounce(receipt=RECEIPT), now=year) is None
    assert len(ledger.suppressions()) == 1


def test_a_mail_that_is_sent_again_is_still_known_by_its_identity(
    ledger: Ledger, key: DeliveryKey
) -> None:
    ledger.reopen(key.run_id, Resend(everything=True), now=LATER)
    told = a_bounce(identity=key.identity[:20])
    assert ledger.hear(told, now=LATER) == key


# --- The list -----------------------------------------------------------------------


def test_an_address_is_on_the_list_once_however_it_is_written(ledger: Ledger) -> None:
    new = ledger.suppress("anna@bücher.de", by="ada", why="Left.", now=NOW)
    assert new is not None
    again = "ANNA@xn--bcher-kva.de"
    assert ledger.suppress(again, by="bob", why="Left.", now=LATER) is None
    assert ledger.suppressions() == [new]
    assert ledger.suppressions(again) == [new]
    assert ledger.suppressions("bob@bücher.de") == []


def test_who_was_taken_off_the_list_is_remembered(ledger: Ledger) -> None:
    given = {"by": "ada", "why": "Left."}
    assert ledger.unsuppress(ANNA, now=NOW, **given) is None
    first = ledger.suppress(ANNA, now=NOW, **given)
    assert first is not None
    over = ledger.unsuppress(ANNA.lower(), by="bob", why="Is back.", now=LATER)
    assert over == first.ended(by="bob", why="Is back.", now=LATER)
    assert ledger.suppressions() == []
    second = ledger.suppress(ANNA, now=LATER, **given)
    assert ledger.suppressions(ANNA) == [over, second]


def test_a_bounce_leaves_who_is_on_the_list_as_they_are(
    ledger: Ledger, key: DeliveryKey
) -> None:
    first = ledger.suppress(ANNA, by="ada", why="Left.", now=NOW)
    ledger.hear(a_bounce(receipt=RECEIPT), now=LATER)
    assert ledger.suppressions(ANNA) == [first]


def test_the_key_of_a_ledger_is_its_own_and_stays(ledger: Ledger) -> None:
    from boe_reconciler.ledgers.memory import MemoryLedger

    assert len(ledger.return_key()) == 32
    assert ledger.return_key() == ledger.return_key() != MemoryLedger().return_key()
