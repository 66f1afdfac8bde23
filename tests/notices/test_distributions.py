"""Notices over the wire: a mail server, a webhook, and what they answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.app import App
from boe_reconciler.core.errors import Permanent, Temporary
from boe_reconciler.core.notices import Owed
from boe_reconciler.core.runs import DeliveryStatus, Outcome
from boe_reconciler.notices import distributions
from boe_reconciler.settings import Settings
from tests.builders import an_activation, at
from tests.core.test_shapes import NOTICE
from tests.engine.test_troubles import an_object
from tests.mail_servers import Inbox, smtp_server
from tests.receivers import Answer, Receiver, receiving

NOW = at("2026-03-01 06:30")


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with smtp_server() as found:
        yield found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def an_owed(**body: Any) -> Owed:
    found = {**NOTICE, "who": "ada@example.com", "connection": None, "url": None}
    return Owed(
        channel="mail",
        key="ada@example.com 06:30",
        body={**found, **body},
        since=NOW,
        next_try=NOW,
    )


@pytest.fixture
def app(tmp_path: Path, inbox: Inbox, receiver: Receiver) -> Iterator[App]:
    """One that serves a Connection to that server, and may reach private addresses."""
    app = App(
        Settings(
            root=tmp_path,
            state=tmp_path / ".boe",
            data_root=tmp_path,
            local_root=tmp_path,
            workers=1,
            memory_limit="256MB",
            child_memory="500MB",
            environment={},
        )
    )
    mailer = {
        "type": "smtp",
        "host": "localhost",
        "port": inbox.port,
        "tls": "none",
        "from": "boe@example.com",
    }
    objects = [
        an_object("Connection", "mailer", mailer),
        an_object("Connection", "chat", {"type": "webhook", "url": receiver.url}),
        an_object("Policy", "policy", {"allow": {"private_addresses": True}}),
    ]
    app.ledger.activate(replace(an_activation(), objects=objects), now=NOW)
    yield app
    app.close()


def test_a_notice_is_a_mail_with_text_and_html(app: App, inbox: Inbox) -> None:
    owed = an_owed(connection="mailer")
    send = distributions.mails(app.reach)
    send(owed)
    send(owed)
    first, second = inbox.of("ada@example.com")
    assert first.message["Subject"] == "Sales failed"
    assert first.message["Auto-Submitted"] == "auto-generated"
    assert first.message["Message-ID"] == second.message["Message-ID"]
    text = first.message.get_body(("plain",))
    html = first.message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().startswith("Sales failed.\r\n")
    assert "1 &lt; 2 &amp; &lt;!channel&gt;" in html.get_content()
    assert "<code>boe rerun daily.1</code>" in html.get_content()
    assert first.files == {}


def test_a_mail_server_that_wants_to_wait_is_asked_again(
    app: App, inbox: Inbox
) -> None:
    send = distributions.mails(app.reach)
    inbox.to_rcpt = {"ada@example.com": ["451 Later", "550 Never"]}
    with pytest.raises(Temporary):
        send(an_owed(connection="mailer"))
    with pytest.raises(Permanent):
        send(an_owed(connection="mailer"))
    assert inbox.mails == []


def test_a_webhook_gets_the_notice_with_one_id(app: App, receiver: Receiver) -> None:
    send = distributions.hooks(app.reach)
    receiver.answers = [Answer(status=503)]
    for place in ({"connection": "chat"}, {"url": receiver.url}):
        owed = an_owed(**place)
        if not receiver.requests:
            with pytest.raises(Temporary):
                send(owed)
        send(owed)
    first = receiver.requests[0]
    said = json.loads(first.body)
    assert said["type"] == "boe.notice"
    assert said["subject"] == "Sales failed"
    assert len({one.headers["webhook-id"] for one in receiver.requests}) == 1


def test_a_notice_reaches_no_private_address_unless_policy_lets_it(
    app: App, receiver: Receiver
) -> None:
    app.ledger.activate(an_activation(), now=NOW)
    with pytest.raises(Permanent) as caught:
        distributions.hooks(app.reach)(an_owed(url=receiver.url))
    assert caught.value.reason == "host_refused"
    assert receiver.requests == []


def test_of_a_connection_that_is_gone_it_says_so(app: App) -> None:
    app.ledger.activate(an_activation(), now=NOW)
    with pytest.raises(Permanent) as caught:
        distributions.mails(app.reach)(an_owed(connection="mailer"))
    assert "mailer" in caught.value.message


def test_what_may_have_arrived_is_sent_once_more_and_no_more() -> None:
    class Silent:
        def deliver(self, shipments: Any, cancel: Any) -> Iterator[Outcome]:
            yield Outcome(status=DeliveryStatus.UNCONFIRMED, reason="answer_lost")

    send = distributions.mails(lambda kind, name: (Silent(), None))  # type: ignore[arg-type, return-value]  # all it needs
    with pytest.raises(Temporary):
        send(an_owed(connection="mailer"))
    send(replace(an_owed(connection="mailer"), tries=1))
