"""Mails against a mail server in this process: who got what, and what we then say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core.ports import Never, Shipment
from boe_reconciler.core.runs import DeliveryStatus, Outcome
from boe_reconciler.destinations import email
from tests.mail_servers import Inbox, smtp_server
from tests.shipments import CONTENT, a_shipment, means

A, B, C = "a@example.com", "b@example.com", "c@example.com"
FIELDS = {
    "type": "email",
    "connection": "mail",
    "to": [A],
    "subject": "{{ report }}",
}
STATUS = DeliveryStatus


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with smtp_server() as found:
        yield found


def connection(port: int, **given: Any) -> dict[str, Any]:
    return {
        "type": "smtp",
        "host": "localhost",
        "port": port,
        "tls": "none",
        "from": "Reports <reports@example.com>",
    } | given


def sending(home: Path, inbox: Inbox, **given: Any) -> email.EmailDestination:
    """A destination in front of that server; `given` is for the Connection."""
    others = given.pop("connections", {})
    rest = {name: given.pop(name) for name in ("environment", "pace") if name in given}
    port = given.pop("port", inbox.port)
    mail = connection(port, **given)
    return email.create(means(home, connections={"mail": mail, **others}, **rest))


def a_mail(home: Path, recipient: str = A, **given: Any) -> Shipment:
    fields = FIELDS | given.pop("fields", {})
    found = {"context": {"report": "Carriers"}, **given}
    return a_shipment(home, fields, recipient=recipient, **found)


def outcomes(destination: email.EmailDestination, *mails: Shipment) -> list[Outcome]:
    return list(destination.deliver(mails, Never()))


def again(mail: Shipment) -> Shipment:
    """The next attempt, which knows what the last one began with."""
    intents = mail.begin.intents  # type: ignore[attr-defined]  # of tests/shipments.py
    return replace(mail, intent=intents[-1] if intents else {})


# --- Who gets it --------------------------------------------------------------------

ANSWERS = {
    "250 2.1.5 Ok": (STATUS.ACCEPTED, ""),
    "451 4.3.0 try later": (STATUS.DEFERRED, "server_busy"),
    "550 5.1.1 no such user": (STATUS.REFUSED, "no_such_mailbox"),
}


ORDERS = list(permutations(ANSWERS))


@pytest.mark.parametrize(
    "order",
    [ORDERS[0], *(pytest.param(one, marks=pytest.mark.slow) for one in ORDERS[1:])],
)
@pytest.mark.parametrize("step", ["to_rcpt", "to_data"])
def test_each_recipient_has_one_mail_or_the_true_refusal(
    tmp_path: Path, inbox: Inbox, order: tuple[str, ...], step: str
) -> None:
    people = dict(zip((A, B, C), order, strict=True))
    setattr(inbox, step, {who: [answer] for who, answer in people.items()})
    destination = sending(tmp_path, inbox)
    mails = {who: a_mail(tmp_path, who) for who in people}
    for _ in range(8):
        found = outcomes(destination, *mails.values())
        assert [(one.status, one.reason) for one in found] == [
            ANSWERS[answer] for answer in order
        ]
        mails = {
            who: again(mail)
            for who, mail in mails.items()
            if people[who].startswith("451")
        }
        order = tuple(people[who] for who in mails)
    got = {who: len(inbox.of(who)) for who in people}
    assert got == {who: int(answer.startswith("250")) for who, answer in people.items()}


def test_a_retried_mail_is_the_first_one_byte_for_byte(
    tmp_path: Path, inbox: Inbox
) -> None:
    inbox.to_data = {A: ["451 4.7.1 Greylisted"] * 7 + ["250 Ok"]}
    destination = sending(tmp_path, inbox)
    mail = a_mail(tmp_path)
    for _ in range(8):
        (found,) = outcomes(destination, mail)
        mail = again(mail)
    assert found.status is STATUS.ACCEPTED
    assert len(inbox.heard) == 8
    assert len(set(inbox.heard)) == 1
    assert len(inbox.mails) == 1


def test_many_mails_go_over_one_session(tmp_path: Path, inbox: Inbox) -> None:
    people = [f"p{number}@example.com" for number in range(5)]
    outcomes(sending(tmp_path, inbox), *(a_mail(tmp_path, who) for who in people))
    assert [mail.recipient for mail in inbox.mails] == people
    assert inbox.greeted == 1


def test_a_session_carries_no_more_mails_than_it_may(
    tmp_path: Path, inbox: Inbox
) -> None:
    destination = sending(tmp_path, inbox, rate_limit={"per_session": 2})
    mails = [a_mail(tmp_path, f"p{number}@example.com") for number in range(5)]
    found = outcomes(destination, *mails)
    assert {one.status for one in found} == {STATUS.ACCEPTED}
    assert inbox.greeted == 3


def test_the_file_is_in_the_mail(tmp_path: Path, inbox: Inbox) -> None:
    (found,) = outcomes(sending(tmp_path, inbox), a_mail(tmp_path))
    assert found.status is STATUS.ACCEPTED
    assert found.receipt == "250 2.0.0 Ok: queued as 4F1"
    (mail,) = inbox.mails
    assert mail.files == {"carriers.csv": CONTENT}
    assert mail.sender == "reports@example.com"


# --- Where it comes back to -----------------------------------------------------------


@pytest.mark.parametrize(
    ("bounces", "sender"),
    [
        (None, "reports@example.com"),
        ({"maildir": "m"}, "reports+TAG@example.com"),
        ({"maildir": "m", "address": "b@example.org"}, "b+TAG@example.org"),
    ],
)
def test_a_mail_returns_where_bounces_are_read(
    tmp_path: Path, inbox: Inbox, bounces: object, sender: str
) -> None:
    far = sending(tmp_path, inbox, **({"bounces": bounces} if bounces else {}))
    assert outcomes(far, replace(a_mail(tmp_path), tag="TAG"))[0].status == (
        STATUS.ACCEPTED
    )
    [mail] = inbox.mails
    assert mail.sender == sender
    assert "reports@example.com" in str(mail.message["From"])


def test_a_return_path_without_room_for_a_tag_has_none(
    tmp_path: Path, inbox: Inbox
) -> None:
    sender = "x" * 40 + "@example.com"
    bounces = {"maildir": "m"}
    far = sending(tmp_path, inbox, bounces=bounces, **{"from": sender})
    outcomes(far, replace(a_mail(tmp_path), tag="TAG"))
    assert inbox.mails[0].sender == sender
