"""A mail server's answers, as ours."""

from __future__ import annotations

import re

from boe_reconciler.core.runs import DeliveryStatus, Outcome
from boe_reconciler.core.wording import one_line

#: Characters of an answer that are kept.
_KEPT = 300
_ENHANCED = re.compile(r"\s*[245]\.(\d{1,3}\.\d{1,3})\b")
#: RFC 3463 without its class -> reason. The same for what is so now, and for good.
_REASONS = {
    "1.0": "bad_address",
    "1.1": "no_such_mailbox",
    "1.2": "no_such_domain",
    "1.3": "bad_address",
    "1.6": "mailbox_moved",
    "1.7": "sender_refused",
    "1.8": "sender_refused",
    "1.10": "takes_no_mail",
    "2.0": "mailbox_refused",
    "2.1": "mailbox_disabled",
    "2.2": "mailbox_full",
    "2.3": "too_large",
    "3.1": "server_full",
    "3.4": "too_large",
    "4.1": "no_answer_there",
    "4.3": "no_route",
    "4.4": "no_route",
    "4.7": "gave_up_there",
    "7.0": "policy",
    "7.1": "not_allowed",
    "7.23": "sender_not_authenticated",
    "7.25": "sender_not_authenticated",
    "7.26": "sender_not_authenticated",
    "7.27": "sender_refused",
}
#: Where there is no enhanced code, or one that says nothing.
_BY_CODE = {
    421: "server_busy",
    450: "mailbox_busy",
    451: "server_busy",
    452: "server_full",
    550: "mailbox_refused",
    551: "mailbox_moved",
    552: "too_large",
    553: "bad_address",
    554: "refused",
}
#: Answers to any command that say: log in first, or not like this.
LOGIN_CODES = (530, 534, 535, 538)


def reason_of(code: int, text: str) -> str:
    """A short stable word for an answer that is no success."""
    found = _ENHANCED.match(text)
    if found and found[1] in _REASONS:
        return _REASONS[found[1]]
    return _BY_CODE.get(code, "server_busy" if code < 500 else "refused")


def said(code: int, text: str) -> str:
    return f"{code} {one_line(text)}"[:_KEPT]


def outcome_of_reply(host: str, code: int, text: str) -> Outcome:
    """Of an answer that decides: 2xx, 4xx or 5xx."""
    if 200 <= code < 300:
        return Outcome(
            status=DeliveryStatus.ACCEPTED, receipt=said(code, text), remote=host
        )
    later = code < 500
    return Outcome(
        status=DeliveryStatus.DEFERRED if later else DeliveryStatus.REFUSED,
        reason=reason_of(code, text),
        message=f"{host} answers: {said(code, text)}",
    )
