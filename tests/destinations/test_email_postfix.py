"""Mails through a mail server that others run, too: a Postfix of our own."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from boe_reconciler.bounces import maildir
from boe_reconciler.core.bounces import tag_of
from boe_reconciler.core.ports import Returned
from boe_reconciler.core.runs import News
from tests.destinations.test_email import STATUS, a_mail, outcomes, sending
from tests.mail_servers import Inbox, Postfix, postfix
from tests.shipments import CONTENT

pytestmark = pytest.mark.slow


def test_postfix_takes_each_mail_over_tls_and_names_whom_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postfix("anna", "bob") as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.trusted))
        far = sending(tmp_path, Inbox(port=server.port), tls="starttls")
        names = ("anna", "nobody", "bob")
        mails = [a_mail(tmp_path, f"{who}@example.com") for who in names]
        found = outcomes(far, *mails)
        assert [one.status for one in found] == [
            STATUS.ACCEPTED,
            STATUS.REFUSED,
            STATUS.ACCEPTED,
        ]
        assert found[1].reason == "no_such_mailbox"
        assert "queued as" in (found[0].receipt or "")
        for who in ("anna", "bob"):
            (mail,) = server.mails(who)
            assert mail.files == {"carriers.csv": CONTENT}


def test_a_mail_that_postfix_returns_is_known_by_its_return_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the mail, finds out later, and says so with our ENVID."""
    with postfix("bounces") as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.trusted))
        bounces = {"maildir": "unused", "address": "bounces@example.com"}
        port = Inbox(port=server.port)
        far = sending(tmp_path, port, tls="starttls", bounces=bounces)
        key = b"k" * 32
        mail = a_mail(tmp_path, "gone@example.com")
        mail = replace(mail, tag=tag_of(mail.key.identity, key))
        assert [one.status for one in outcomes(far, mail)] == [STATUS.ACCEPTED]
        box = maildir.create(server.home / "mail" / "bounces")
        [found] = wait_for(server, box)
    assert found.report is not None
    told = found.report.told(found.digest, key)
    assert (told.kind, told.lasting, told.code) == (News.BOUNCED, True, "5.1.1")
    assert told.identity == mail.key.identity[:20]
    assert "unknown user" in told.message


def wait_for(server: Postfix, box: maildir.Maildir) -> list[Returned]:
    for _ in range(100):
        if server.mails("bounces"):
            return list(box.arrived(10))
        time.sleep(0.05)
    return []
