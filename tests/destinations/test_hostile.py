"""What a report's rows, names and templates may try: nothing of it changes a message."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core import names
from boe_reconciler.core.bulletins import message
from boe_reconciler.core.mail import header_flaw
from boe_reconciler.core.ports import Never, Shipment
from boe_reconciler.core.recipients import refusal
from boe_reconciler.core.resources.distribution import Unsubscribe
from boe_reconciler.core.runs import DeliveryStatus
from boe_reconciler.core.troubles import Bulletin
from boe_reconciler.destinations import _objects, sftp, webhook
from tests.core.test_troubles import NOW, a_trouble
from tests.destinations.test_email import a_mail, outcomes, sending
from tests.destinations.test_webhook import send, ship, there_at
from tests.mail_servers import Inbox, smtp_server
from tests.receivers import Receiver, receiving
from tests.shipments import a_shipment, means

#: What could bring in a header, end a text, or make one thing look like another.
BAD = {
    "a header": "\r\nBcc: x@y.example",
    "a line feed": "\nX: y",
    "a carriage return": "\rX: y",
    "an empty line": "\r\n\r\nText",
    "a null": "\x00",
    "an escape": "\x1b[2J",
    "a next line": "\x85X: y",
    "a line separator": "\u2028X: y",
    "a paragraph separator": "\u2029X: y",
    "an override": "\u202egpj.exe",
    "an isolate": "\u2066gpj.exe",
    "half a character": "\ud800",
    "no end": "x" * 2000,
}
bad = pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
#: The same, where something is sent: one now, the others under `make slow`.
bad_on_the_wire = pytest.mark.parametrize(
    "bad",
    [
        pytest.param(one, id=name, marks=pytest.mark.slow if number else ())
        for number, (name, one) in enumerate(BAD.items())
    ],
)


@pytest.fixture(scope="module")
def inbox() -> Iterator[Inbox]:
    with smtp_server() as found:
        yield found


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


# --- Mails ----------------------------------------------------------------------------


def written(mail: Shipment, **fields: Any) -> Shipment:
    """With these fields of its destination, whatever they hold."""
    return replace(mail, spec=mail.spec.model_copy(update=fields))


def stopping(mail: Shipment, **ways: str) -> Shipment:
    return written(mail, unsubscribe=Unsubscribe.model_construct(**ways))


#: Each field of a mail, with something in it.
FIELDS: dict[str, Callable[[Shipment, str], Shipment]] = {
    "subject": lambda mail, _: written(mail, subject="{{ evil }}"),
    "reply_to": lambda mail, _: written(mail, reply_to="{{ evil }}"),
    "from": lambda mail, evil: written(mail, from_=evil),
    "to": lambda mail, evil: replace(mail, addressed={"to": [evil]}),
    "cc": lambda mail, evil: replace(mail, addressed={"cc": [evil]}),
    "unsubscribe.url": lambda mail, evil: stopping(mail, url=evil),
    "unsubscribe.mailto": lambda mail, evil: stopping(mail, mailto=evil),
    "the name of a file": lambda mail, evil: replace(mail, filename=evil),
    "where it is from": lambda mail, evil: replace(
        mail, provenance=lambda: {"run": evil}
    ),
}


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
@bad_on_the_wire
def test_no_field_of_a_mail_brings_in_a_header(
    tmp_path: Path, inbox: Inbox, field: Callable[[Shipment, str], Shipment], bad: str
) -> None:
    evil = f"a@example.com{bad}"
    mail = a_mail(tmp_path, context={"report": "Carriers", "evil": evil})
    (found,) = outcomes(sending(tmp_path, inbox), field(mail, evil))
    assert found.status is DeliveryStatus.FAILED
    assert found.reason in ("header_refused", "bad_address")
    assert inbox.heard == []


@bad
def test_nobody_is_written_to_whose_address_is_more_than_one(bad: str) -> None:
    """Of `to`, `cc` and `bcc`, whatever their templates give."""
    found = refusal(f"a@example.com{bad}", None)
    assert found is not None
    assert found[0] == "bad_address"


# --- Names and keys -------------------------------------------------------------------

NAMES = {
    **BAD,
    "a folder above": "../../etc/passwd",
    "only above": "..",
    "an absolute path": "/etc/passwd",
    "a path of Windows": "C:\\Windows\\x.csv",
    "a share": "\\\\host\\share",
    "a slash in full width": "..\uff0f..\uff0fx",
    "a home": "~root",
    "a device": "nul.csv",
    "a quote": 'a".csv"; filename="b.exe',
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("kind", ["s3", "sftp"])
def test_no_name_of_a_file_leaves_its_folder(
    tmp_path: Path, kind: str, name: str
) -> None:
    spec = {
        "s3": {"type": "s3", "connection": "there", "bucket": "b", "prefix": "in"},
        "sftp": {"type": "sftp", "connection": "there", "base_path": "in"},
    }[kind]
    shipment = a_shipment(tmp_path, spec, filename=name)
    if kind == "s3":
        key = _objects._item(shipment).key
    else:
        host = {
            "type": "sftp",
            "host": "x",
            "host_key": f"SHA256:{'A' * 43}",
            "user": "x",
        }
        line = sftp._Line(means(tmp_path, connections={"there": host}))
        place = sftp._Act(line, shipment, Never())._wanted()
        key = f"{place.folder}/{place.name}"
    start, last = key[: len("in/2026/11/24/")], key[len("in/2026/11/24/") :]
    assert start == "in/2026/11/24/"
    assert last not in ("", ".", "..")
    assert not re.search(r'[/\\:"]', last)
    assert all(unicodedata.category(each)[0] != "C" for each in last)
    assert len(last.encode()) <= names.MAX_BYTES


# --- Webhooks -------------------------------------------------------------------------


@bad_on_the_wire
@pytest.mark.parametrize("part", ["name", "value"])
def test_no_header_of_a_connection_brings_in_another(
    tmp_path: Path, receiver: Receiver, part: str, bad: str
) -> None:
    receiver.requests.clear()
    headers = {f"x{bad}": "y"} if part == "name" else {"x": f"y{bad}"}
    there = there_at(tmp_path, receiver.url, headers=headers)
    found = send(there, ship(tmp_path))
    if found.status is DeliveryStatus.ACCEPTED:
        (request,) = receiver.requests
        assert "bcc" not in {name.lower() for name in request.headers}
    else:
        assert (found.status, found.reason) == (DeliveryStatus.FAILED, "bad_request")
        assert receiver.requests == []


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_no_name_of_a_file_ends_its_part_of_a_request(
    tmp_path: Path, name: str
) -> None:
    shipment = ship(tmp_path, filename=name, spec={"send": "file"})
    head = webhook._body(shipment, "now").before
    lines = head.split(b"\r\n")
    assert len(lines) == 10
    assert re.fullmatch(rb'[^\r\n]*; filename="[^"\r\n\x00-\x1f]*"', lines[6])


# --- Notices --------------------------------------------------------------------------


@bad
def test_no_notice_is_kept_from_leaving_by_what_it_tells(bad: str) -> None:
    """It is written from names, reasons and far sides' words: it has to leave anyhow."""
    trouble = a_trouble(
        title=f"Sales{bad}", what=f"It says: {bad}", lacking=bad, cause=bad
    )
    pause = a_trouble(subject=f"the pause of the owner x{bad}", schedule="")
    for one in (trouble, pause):
        bulletin = Bulletin(who="ada", news=[one], reminders=(), over=())
        found = message(bulletin, environment="staging", now=NOW)
        assert header_flaw(found.subject) is None
        found.subject.encode()
        found.text.encode()


def test_a_notice_of_many_troubles_with_long_names_is_no_longer_than_a_mail_may_be() -> (
    None
):
    news: list[Any] = [
        a_trouble(f"r{one}", cause=f"{one % 25}", title="T" * 200, what="w" * 400)
        for one in range(1000)
    ]
    bulletin = Bulletin(who="ada", news=news, reminders=(), over=())
    assert len(message(bulletin, environment=None, now=NOW).text) < 50_000
