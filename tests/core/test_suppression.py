"""How news of a mail is told."""

from __future__ import annotations

from typing import Any

import pytest

from boe_reconciler.core.runs import DeliveryEvent, DeliveryKey, News
from boe_reconciler.core.suppression import bounces, heard, mailbox, said
from tests.builders import a_bounce, at

NOW = at("2026-03-01 06:30")


def an_event(who: str = "anna", **fields: Any) -> DeliveryEvent:
    address = f"{who}@example.com"
    key = DeliveryKey(
        run_id="daily.m1", part="-", destination="team/mail", recipient=address
    )
    return a_bounce(**fields).event(key, NOW)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "bounced for good: 5.1.1 550 no such user"),
        ({"lasting": False, "code": "4.2.2", "message": ""}, "bounced: 4.2.2"),
        ({"kind": News.DELIVERED, "code": "", "message": ""}, "was delivered"),
        (
            {"kind": News.COMPLAINED, "code": ""},
            "was reported as spam: 550 no such user",
        ),
    ],
)
def test_what_became_of_it_and_why(fields: dict[str, Any], told: str) -> None:
    assert said(an_event(**fields)) == told


def test_the_first_bounce_is_told_and_how_many_more() -> None:
    assert bounces([]) == ""
    assert bounces([an_event(kind=News.DELIVERED)]) == ""
    good = an_event(kind=News.DELAYED)
    two = [good, an_event(), an_event(), an_event("bob")]
    assert bounces(two) == (
        " The mail to anna@example.com bounced for good: 5.1.1 550 no such user "
        "(and 1 more)."
    )


def test_the_history_of_the_run_has_it() -> None:
    found = heard(an_event(kind=News.DELAYED, message=""), "daily")
    assert (found.action, found.run_id, found.schedule) == (
        "mail_delayed",
        "daily.m1",
        "daily",
    )
    assert found.message == (
        "The mail to anna@example.com is delayed, and still tried: 5.1.1."
    )


@pytest.mark.parametrize(
    "written", ["Anna@Bücher.de", " anna@BÜCHER.de ", "anna@xn--bcher-kva.de"]
)
def test_a_mailbox_is_the_same_however_it_is_written(written: str) -> None:
    assert mailbox(written) == "anna@xn--bcher-kva.de"
