"""The bytes of a mail: its headers, its names, its size, its signature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from email.utils import getaddresses
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core.marks import Marks
from boe_reconciler.core.ports import Enclosure
from tests.destinations.test_email import STATUS, A, a_mail, again, outcomes, sending
from tests.mail_servers import Arrived, Inbox, smtp_server
from tests.shipments import CONTENT

NAME = "Übersicht 今日.xlsx"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with smtp_server(enable_SMTPUTF8=True) as found:
        yield found


def sent(home: Path, inbox: Inbox, recipient: str = A, **given: Any) -> Arrived:
    """The mail as it arrived."""
    connection = given.pop("connection", {})
    mail = a_mail(home, recipient, **given)
    (found,) = outcomes(sending(home, inbox, **connection), mail)
    assert found.status is STATUS.ACCEPTED, found
    return inbox.mails[-1]


# --- Names --------------------------------------------------------------------------


def by_python(mail: Arrived) -> list[str | None]:
    return list(mail.files)


def by_rust(mail: Arrived) -> list[str | None]:
    parser = pytest.importorskip("fast_mail_parser")
    return [each.filename for each in parser.parse_email(mail.content).attachments]


def by_another(mail: Arrived) -> list[str | None]:
    parser = pytest.importorskip("mailparse")
    return [each.filename for each in parser.parse(mail.content).attachments]


@pytest.mark.parametrize("reader", [by_python, by_rust, by_another])
@pytest.mark.parametrize(
    "name", [NAME, "sales 2026-10.csv", f"{'今日' * 40}.xlsx", 'a"b.csv']
)
def test_the_name_of_a_file_is_what_three_readers_show(
    tmp_path: Path, inbox: Inbox, reader: Any, name: str
) -> None:
    assert reader(sent(tmp_path, inbox, filename=name)) == [name]


def test_no_line_is_longer_than_998_octets(tmp_path: Path, inbox: Inbox) -> None:
    people = [f"Übersetzerin {n} <p{n}@example.com>" for n in range(200)]
    mail = sent(
        tmp_path,
        inbox,
        filename="今日" * 41 + ".xlsx",
        addressed={"to": people},
        fields={"text": "x" * 5000, "html": "<p>" + "y" * 5000},
        context={"report": "Ü" * 300},
        provenance=lambda: {"run": "r" * 80, "revision": "f" * 40},
    )
    lines = mail.content.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert mail.content.count(b"\n") == len(lines) - 1
    assert mail.content.isascii()
    assert len(getaddresses([mail.message["To"]])) == 200
    assert mail.message["Subject"] == "Ü" * 300


# --- Headers ------------------------------------------------------------------------


def test_headers_say_what_it_is_and_where_it_is_from(
    tmp_path: Path, inbox: Inbox
) -> None:
    run = f"{'a' * 63}.20261124T053000Z"
    mail = sent(
        tmp_path,
        inbox,
        recipient="hidden@example.com",
        addressed={
            "to": ["Anna <a@example.com>", "b@example.com"],
            "cc": ["c@example.com"],
        },
        provenance=lambda: {"run": run, "revision": "f" * 40},
        fields={
            "reply_to": "{{ owner }}",
            "unsubscribe": {
                "url": "https://example.com/stop?a=1",
                "mailto": "stop@example.com",
            },
        },
        context={"report": "Carriers", "owner": "finance@example.com"},
    )
    found = mail.message
    assert found["From"] == "Reports <reports@example.com>"
    assert found["To"] == "Anna <a@example.com>, b@example.com"
    assert found["Cc"] == "c@example.com"
    assert found["Reply-To"] == "finance@example.com"
    assert b"hidden" not in mail.content
    assert found["Auto-Submitted"] == "auto-generated"
    assert found["X-Auto-Response-Suppress"] == "All"
    assert found["X-BOE-Run"] == run
    assert found["X-BOE-Revision"] == "f" * 40
    assert found["List-Unsubscribe"] == (
        "<https://example.com/stop?a=1>, <mailto:stop@example.com>"
    )
    assert found["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert len(found.get_all("Date", [])) == len(found.get_all("Message-ID", [])) == 1


def test_the_message_id_is_the_delivery_at_the_senders_domain(
    tmp_path: Path, inbox: Inbox
) -> None:
    mail = sent(tmp_path, inbox)
    identity = a_mail(tmp_path).key.identity
    assert mail.message["Message-ID"] == f"<{identity}@example.com>"


def test_one_click_is_only_promised_over_https(tmp_path: Path, inbox: Inbox) -> None:
    only = {"unsubscribe": {"mailto": "stop@example.com"}}
    found = sent(tmp_path, inbox, fields=only).message
    assert found["List-Unsubscribe"] == "<mailto:stop@example.com>"
    assert "List-Unsubscribe-Post" not in found


def test_a_domain_is_written_as_dns_has_it(tmp_path: Path, inbox: Inbox) -> None:
    mail = sent(tmp_path, inbox, recipient="anna@bücher.example")
    assert mail.recipient == "anna@xn--bcher-kva.example"
    assert mail.message["To"] == "anna@xn--bcher-kva.example"


def test_an_address_that_is_not_ascii_needs_a_server_that_takes_it(
    tmp_path: Path, inbox: Inbox
) -> None:
    assert (
        sent(tmp_path, inbox, recipient="änna@example.com").recipient
        == "änna@example.com"
    )
    with smtp_server(enable_SMTPUTF8=False) as plain:
        mail = a_mail(tmp_path, "änna@example.com")
        (found,) = outcomes(sending(tmp_path, plain), mail)
        assert (found.status, found.reason) == (STATUS.FAILED, "smtputf8_missing")
        assert outcomes(sending(tmp_path, plain), a_mail(tmp_path))[0].reason == ""


def test_nobody_who_writes_it_means_no_mail(tmp_path: Path, inbox: Inbox) -> None:
    far = sending(tmp_path, inbox, **{"from": None})
    (found,) = outcomes(far, a_mail(tmp_path))
    assert (found.status, found.reason) == (STATUS.FAILED, "no_sender")


# --- Bodies and files ---------------------------------------------------------------


def test_bodies_can_be_files_of_the_repo(tmp_path: Path, inbox: Inbox) -> None:
    far = sending(tmp_path, inbox)
    stored = far._means.blobs.put("<p>Grüße, {{ report }}</p>".encode())
    far._means = replace(far._means, files={"mails/m.html": stored})
    fields = {"html": {"file": "mails/m.html"}, "text": "Hello"}
    outcomes(far, a_mail(tmp_path, fields=fields))
    html = inbox.mails[0].message.get_body(("html",))
    assert html is not None
    assert "<p>Grüße, Carriers</p>" in html.get_content()


def test_a_body_that_was_not_kept_is_told(tmp_path: Path, inbox: Inbox) -> None:
    mail = a_mail(tmp_path, fields={"text": {"file": "mails/gone.txt"}})
    (found,) = outcomes(sending(tmp_path, inbox), mail)
    assert (found.status, found.reason) == (STATUS.FAILED, "text_missing")


def test_no_address_and_no_host_ends_the_others_deliveries(
    tmp_path: Path, inbox: Inbox
) -> None:
    odd = (
        "@example.com",
        "a@",
        "a b@example.com",
        '"a\tb"@example.com',
        "a@" + "x" * 70,
    )
    mails = [a_mail(tmp_path, f"p{number}@example.com") for number in range(len(odd))]
    mails = [
        replace(one, key=replace(one.key, recipient=who))
        for one, who in zip(mails, odd, strict=True)
    ]
    *bad, good = outcomes(sending(tmp_path, inbox), *mails, a_mail(tmp_path))
    assert {(one.status, one.reason) for one in bad} == {(STATUS.FAILED, "bad_address")}
    assert good.status is STATUS.ACCEPTED
    (found,) = outcomes(sending(tmp_path, inbox, host="x" * 70), a_mail(tmp_path))
    assert found.status in (STATUS.FAILED, STATUS.DEFERRED)


def test_all_formats_are_in_one_mail(tmp_path: Path, inbox: Inbox) -> None:
    mail = a_mail(tmp_path)
    other = Enclosure(
        path=mail.path,
        filename=NAME,
        media_type="application/vnd.ms-excel",
        bytes=mail.bytes,
        sha256=mail.sha256,
        rows=1,
    )
    assert sent(tmp_path, inbox, beside=(other,)).files == {
        "carriers.csv": CONTENT,
        NAME: CONTENT,
    }


def test_news_without_a_file_has_none(tmp_path: Path, inbox: Inbox) -> None:
    assert sent(tmp_path, inbox, marks=Marks(notice="empty")).files == {}


def test_a_file_that_changed_since_it_was_made_is_not_sent(
    tmp_path: Path, inbox: Inbox
) -> None:
    mail = a_mail(tmp_path)
    mail.path.write_bytes(bytes(len(CONTENT)))
    (found,) = outcomes(sending(tmp_path, inbox), mail)
    assert (found.status, found.reason) == (STATUS.FAILED, "artifact_changed")


@pytest.mark.parametrize("limit", ["attach", "connection", "server"])
def test_what_is_too_large_is_said_before_it_is_sent(
    tmp_path: Path, limit: str
) -> None:
    fields = {"attach": {"max": "10KB"}} if limit == "attach" else {}
    with smtp_server(data_size_limit=10_000 if limit == "server" else None) as inbox:
        far = sending(
            tmp_path,
            inbox,
            **({"max_message_size": "10KB"} if limit == "connection" else {}),
        )
        mail = a_mail(tmp_path, content=bytes(9_000), fields=fields)
        (found,) = outcomes(far, mail)
        assert (found.status, found.reason) == (STATUS.FAILED, "too_large")
        assert again(mail).intent == {}
        assert inbox.heard == []
        (found,) = outcomes(far, replace(mail, link="https://s3.example.com/x"))
        assert found.status is STATUS.ACCEPTED
        assert inbox.mails[0].files == {}
        assert b"https://s3.example.com/x" in inbox.mails[0].content


def test_a_mail_that_was_refused_for_its_size_is_written_anew_with_a_link(
    tmp_path: Path, inbox: Inbox
) -> None:
    inbox.to_data = {A: ["552 5.3.4 too big", "451 later", "250 Ok"]}
    far = sending(tmp_path, inbox)
    mail = a_mail(tmp_path)
    (found,) = outcomes(far, mail)
    assert (found.status, found.reason) == (STATUS.REFUSED, "too_large")
    linked = replace(again(mail), link="https://s3.example.com/x")
    for _ in range(2):
        outcomes(far, linked)
        linked = replace(again(linked), link="https://s3.example.com/another")
    assert b"https://s3.example.com/x" in inbox.heard[1]
    assert inbox.heard[1] == inbox.heard[2]


# --- Signature ----------------------------------------------------------------------


def test_a_signature_covers_what_readers_see(tmp_path: Path, inbox: Inbox) -> None:
    import base64

    import dkim
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    dkim_fields = {"domain": "example.com", "selector": "boe", "key": {"env": "DKIM"}}
    connection = {"dkim": dkim_fields, "environment": {"DKIM": private}}
    stop = {"unsubscribe": {"url": "https://example.com/stop"}}
    mail = sent(tmp_path, inbox, connection=connection, fields=stop)

    def dns(name: bytes, **_: Any) -> bytes:
        assert name == b"boe._domainkey.example.com."
        return record

    assert dkim.verify(mail.content, dnsfunc=dns)
    covered = mail.message["DKIM-Signature"].replace(" ", "").lower()
    for name in ("subject", "from", "to", "date", "list-unsubscribe-post"):
        assert f":{name}" in covered or f"h={name}" in covered
    assert not dkim.verify(mail.content.replace(b"carriers", b"Carriers"), dnsfunc=dns)


def test_a_key_that_cannot_sign_is_told_without_it(
    tmp_path: Path, inbox: Inbox
) -> None:
    dkim_fields = {"domain": "example.com", "selector": "boe", "key": {"env": "DKIM"}}
    far = sending(
        tmp_path, inbox, dkim=dkim_fields, environment={"DKIM": "no-key-at-all"}
    )
    (found,) = outcomes(far, a_mail(tmp_path))
    assert (found.status, found.reason) == (STATUS.FAILED, "dkim_key")
    assert "no-key-at-all" not in found.message
