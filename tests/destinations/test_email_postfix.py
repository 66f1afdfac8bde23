"""Mails through a mail server that others run, too: a Postfix of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.destinations.test_email import STATUS, a_mail, outcomes, sending
from tests.mail_servers import Inbox, postfix
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
