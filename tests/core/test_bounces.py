"""What mails that come back tell, and which mail they are about."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.bounces import (
    Report,
    identity_of,
    read_mail,
    read_ses,
    return_path,
    tag_of,
)
from boe_reconciler.core.language.addresses import LONGEST_LOCAL_PART
from boe_reconciler.core.runs import News

KEY, OTHER = b"k" * 32, b"o" * 32
IDENTITY = "0123456789abcdef" * 4
TAG = tag_of(IDENTITY, KEY)


def a_report(status: str, *, to: str = f"bounces+{TAG}@example.com") -> bytes:
    """A delivery status notification with these lines for its recipient."""
    lines = [
        "From: MAILER-DAEMON@mx.example.net (Mail Delivery System)",
        f"To: {to}",
        "Subject: Undelivered Mail Returned to Sender",
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"',
        "",
        "--b",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        "I'm sorry to have to inform you. 250 ok",
        "--b",
        "Content-Type: message/delivery-status",
        "",
        "Reporting-MTA: dns; mx.example.net",
        "",
        *status.splitlines(),
        "--b",
        "Content-Type: message/rfc822",
        "",
        "Subject: Carriers",
        "",
        "5.1.1 stands in the mail itself",
        "--b--",
        "",
    ]
    return "\r\n".join(lines).encode()


def read(content: bytes) -> Report:
    found = read_mail(content)
    assert found is not None
    return found


# --- The tag --------------------------------------------------------------------------


def test_a_tag_names_its_delivery_whatever_becomes_of_its_capitals() -> None:
    assert identity_of(TAG, KEY) == IDENTITY[:20]
    assert identity_of(TAG.upper(), KEY) == IDENTITY[:20]
    assert len(TAG) == 32


def test_a_tag_that_somebody_made_up_names_nothing() -> None:
    assert identity_of(TAG, OTHER) is None
    assert identity_of(tag_of("f" * 64, OTHER), KEY) is None
    assert identity_of("a" * 32, KEY) is None


def test_the_longest_return_path_has_room_for_it() -> None:
    path = return_path("x" * LONGEST_LOCAL_PART + "@example.com", TAG)
    assert path.startswith("x" * LONGEST_LOCAL_PART + "+" + TAG + "@")
    assert len(path.partition("@")[0]) == 64


def test_a_forged_bounce_names_no_mail() -> None:
    forged = a_report(
        "Final-Recipient: rfc822; anna@example.com\nAction: failed\nStatus: 5.1.1",
        to=f"bounces+{tag_of(IDENTITY, OTHER)}@example.com",
    )
    assert read(forged).told("d", KEY).identity is None
    assert read(forged.replace(b"bounces+", b"")).told("d", KEY).identity is None


@pytest.mark.parametrize(
    "to",
    [
        f"Bounces+{TAG.upper()}@EXAMPLE.com",
        f"<SRS0=ab=cd=example.com=bounces+{TAG}@relay.example.net>",
        f"x@example.com\r\nDelivered-To: bounces+{TAG}@example.com",
    ],
)
def test_the_mail_is_known_by_the_tag_wherever_it_stands(to: str) -> None:
    content = a_report("Action: failed\nStatus: 5.1.1", to=to)
    assert read(content).told("d", KEY).identity == IDENTITY[:20]


def test_the_tag_comes_back_as_the_envelope_id() -> None:
    content = a_report("Action: failed\nStatus: 5.1.1", to="bounces@example.com")
    content = content.replace(
        b"Reporting-MTA", f"Original-Envelope-Id: {TAG}\r\nReporting-MTA".encode()
    )
    told = read(content).told("digest", KEY)
    assert (told.identity, told.digest, told.kind) == (
        IDENTITY[:20],
        "digest",
        News.BOUNCED,
    )


# --- What it says ---------------------------------------------------------------------

POSTFIX = """Final-Recipient: rfc822; nobody@example.net
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <nobody@example.net>: Recipient address rejected:
    User unknown"""
EXCHANGE = """Final-Recipient: rfc822;nobody@example.net
Action: failed
Status: 5.4.1
Diagnostic-Code: smtp;550 5.4.1 Recipient address rejected: Access denied."""
GMAIL = """Final-Recipient: rfc822; full@gmail.com
Action: failed
Status: 5.2.2
Diagnostic-Code: smtp; 552-5.2.2 The recipient's inbox is out of storage space."""


@pytest.mark.parametrize(
    ("status", "kind", "lasting", "code"),
    [
        (POSTFIX, News.BOUNCED, True, "5.1.1"),
        (EXCHANGE, News.BOUNCED, True, "5.4.1"),
        (GMAIL, News.BOUNCED, False, "5.2.2"),
        ("Action: failed\nStatus: 4.4.7", News.BOUNCED, False, "4.4.7"),
        ("Action: failed\nStatus: 5.7.1", News.BOUNCED, False, "5.7.1"),
        ("Action: failed\nStatus: 5.1.8", News.BOUNCED, False, "5.1.8"),
        ("Action: failed\nStatus: 5.2.1 (disabled)", News.BOUNCED, True, "5.2.1"),
        ("Action: failed\nStatus: 5.0.0", News.BOUNCED, False, "5.0.0"),
        (
            "Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 unknown",
            *(News.BOUNCED, True, "5.0.0"),
        ),
        (
            "Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 5.7.1 spam",
            *(News.BOUNCED, False, "5.7.1"),
        ),
        (
            "Action: failed\nStatus: ?\nDiagnostic-Code: 553 no mailbox",
            *(News.BOUNCED, True, "553"),
        ),
        ("Action: failed", News.BOUNCED, False, ""),
        ("Action: Delayed\nStatus: 4.4.1", News.DELAYED, False, "4.4.1"),
        ("Action: delivered\nStatus: 2.1.5", News.DELIVERED, False, "2.1.5"),
        (
            "Action: delivered\nStatus: 2.0.0\n\nAction: failed\nStatus: 5.1.1",
            *(News.BOUNCED, True, "5.1.1"),
        ),
    ],
)
def test_what_a_server_reports(
    status: str, kind: News, lasting: bool, code: str
) -> None:
    found = read(a_report(status))
    assert (found.kind, found.lasting, found.code) == (kind, lasting, code)


def test_the_words_of_the_server_are_kept_on_one_line() -> None:
    found = read(a_report(POSTFIX.replace("User", "\x1b[31mUser\xff")))
    assert found.message.startswith("550 5.1.1 <nobody@example.net>: Recipient")
    assert "\x1b" not in found.message
    assert "\n" not in found.message


QMAIL = b"""From: MAILER-DAEMON@mx.example.net
To: bounces+TAG@example.com
Subject: failure notice

Hi. This is the qmail-send program at mx.example.net.

<nobody@example.net>:
Sorry, no mailbox here by that name. (#5.1.1)
"""
EXIM = b"""From: Mail Delivery System <Mailer-Daemon@mx.example.net>
To: bounces+TAG@example.com
X-Failed-Recipients: nobody@example.net
Subject: Mail delivery failed: returning message to sender

  nobody@example.net
    host mx.example.org: 550 No such user here
"""
LATE = b"""From: Mailer-Daemon@mx.example.net
To: bounces+TAG@example.com
Subject: Warning: message delayed 24 hours
Content-Type: text/plain

It is tried again.
"""
BARE = b"""From: postmaster@mx.example.net
To: bounces+TAG@example.com
Subject: Undeliverable: Carriers
Content-Type: application/pdf

x"""


@pytest.mark.parametrize(
    ("content", "kind", "lasting", "code"),
    [
        (QMAIL, News.BOUNCED, True, "5.1.1"),
        (EXIM, News.BOUNCED, True, "550"),
        (LATE, News.DELAYED, False, ""),
        (BARE, News.BOUNCED, False, ""),
        (a_report("nothing here"), News.BOUNCED, False, "250"[:0]),
    ],
)
def test_what_follows_no_standard_is_read_as_far_as_it_goes(
    content: bytes, kind: News, lasting: bool, code: str
) -> None:
    found = read(content.replace(b"TAG", TAG.encode()))
    assert (found.kind, found.lasting, found.code) == (kind, lasting, code)
    assert found.told("d", KEY).identity == IDENTITY[:20]


def a_complaint(kind: str) -> bytes:
    return (
        f"From: fbl@isp.example.net\nTo: bounces+{TAG}@example.com\n"
        "Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n"
        "--b\nContent-Type: message/feedback-report\n\n"
        f"{kind}\nUser-Agent: SomeFBL/1.0\n\n--b--\n"
    ).encode()


def test_a_reader_who_calls_it_spam_complains() -> None:
    found = read(a_complaint("Feedback-Type: abuse"))
    assert (found.kind, found.code) == (News.COMPLAINED, "abuse")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        a_complaint("Feedback-Type: not-spam"),
        a_complaint("Nothing: x"),
        b"From: anna@example.com\nAuto-Submitted: auto-replied\n\nI am away. 5.1.1",
        a_report("Action: relayed").replace(b"MAILER-DAEMON", b"anna"),
        a_report("x").replace(b"MAILER-DAEMON", b"anna").replace(b"status\r", b"x\r"),
    ],
)
def test_what_tells_nothing_of_a_mail_is_no_news(content: bytes) -> None:
    assert read_mail(content) is None


def test_what_pythons_parser_breaks_on_is_no_news(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from boe_reconciler.core import bounces

    def broken(*_: Any) -> None:
        raise LookupError("unknown encoding")

    monkeypatch.setattr(bounces, "_read", broken)
    assert read_mail(a_report(POSTFIX)) is None


_PIECES = st.sampled_from(
    [a_report(POSTFIX), QMAIL, a_complaint("Feedback-Type: abuse"), b"\xff", b"\r\n--b"]
)


@given(st.lists(st.one_of(st.binary(max_size=200), _PIECES), max_size=5))
def test_no_bytes_break_it(pieces: list[bytes]) -> None:
    found = read_mail(b"".join(pieces))
    assert found is None or found.told("d", KEY)


@given(st.integers(0, 600), st.binary(max_size=20))
def test_no_report_that_is_cut_or_spoilt_breaks_it(at: int, spoilt: bytes) -> None:
    content = a_report(POSTFIX)
    read_mail(content[:at] + spoilt + content[at + len(spoilt) :])
    read_mail(content[:at])


# --- Amazon SES -----------------------------------------------------------------------


def a_notification(kind: str, **fields: Any) -> dict[str, Any]:
    return {"notificationType": kind, "mail": {"messageId": "0100-1"}, **fields}


NO_EMAIL = {
    "bounceType": "Permanent",
    "bounceSubType": "NoEmail",
    "bouncedRecipients": [{"status": "5.1.1", "diagnosticCode": "smtp; 550 no\nuser"}],
}


@pytest.mark.parametrize(
    ("told", "kind", "lasting", "words"),
    [
        (
            a_notification("Bounce", bounce=NO_EMAIL),
            *(News.BOUNCED, True, ("5.1.1", "smtp; 550 no user")),
        ),
        (
            a_notification("Bounce", bounce={"bounceType": "Transient"}),
            *(News.BOUNCED, False, ("Transient", "")),
        ),
        (
            a_notification("Complaint", complaint={"complaintFeedbackType": "abuse"}),
            *(News.COMPLAINED, False, ("abuse", "")),
        ),
        (
            a_notification("Delivery", delivery={"smtpResponse": "250 ok"}),
            *(News.DELIVERED, False, ("", "250 ok")),
        ),
        (
            {"eventType": "DeliveryDelay", "mail": {"messageId": "0100-1"}},
            *(News.DELAYED, False, ("", "")),
        ),
    ],
)
@pytest.mark.parametrize("enveloped", [False, True])
def test_what_ses_tells(
    told: dict[str, Any], kind: News, lasting: bool, words: Any, enveloped: bool
) -> None:
    text = json.dumps(told)
    text = json.dumps({"Type": "Notification", "Message": text}) if enveloped else text
    found = read_ses(text)
    assert found is not None
    assert (found.kind, found.lasting, found.receipt) == (kind, lasting, "0100-1")
    assert (found.code, found.message) == words
    assert found.told("d", KEY).receipt == "0100-1"


def test_our_own_tag_of_a_mail_names_it() -> None:
    mail = {"messageId": "0100-1", "tags": {"boe-delivery": [IDENTITY]}}
    found = read_ses(json.dumps({"eventType": "Delivery", "mail": mail}))
    assert found is not None
    assert found.told("d", KEY).identity == IDENTITY


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[1]", "Successfully validated SNS topic", "[" * 100_000),
        '{"notificationType": "AmazonSnsSubscriptionSucceeded"}',
        '{"notificationType": "Bounce", "mail": {}}',
        json.dumps(
            a_notification("Complaint", complaint={"complaintFeedbackType": "not-spam"})
        ),
    ],
)
def test_what_ses_does_not_tell_is_no_news(text: str) -> None:
    assert read_ses(text) is None
