"""News of mails that come back to us: which mail is meant, and what became of it.

Only the tag of a mail is believed (docs/decisions/0035): whoever knows one got that mail.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import b32decode, b32encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from email.utils import parseaddr
from typing import Any

from boe_reconciler.core.runs import News
from boe_reconciler.core.suppression import Told
from boe_reconciler.core.wording import one_line

#: Bytes of a mail that are looked at: what it returns of ours stands behind the rest.
MOST = 1_000_000
#: Octets of a delivery's identity in a tag, and of what proves it.
_NAMED, _PROOF = 10, 10
#: As long as this is, in base32.
_LENGTH = 32
_TAG = re.compile(rb"(?<![A-Za-z0-9])[A-Za-z2-7]{%d}(?![A-Za-z0-9])" % _LENGTH)
#: SES gives it back with what it tells of a mail.
DELIVERY_TAG = "boe-delivery"
#: Tags of one mail that are tried.
_TRIED = 1000
#: Characters of what the far side said.
_KEPT = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What one message tells, and the ways it names its mail."""

    kind: News
    lasting: bool = False
    code: str = ""
    message: str = ""
    #: What looks like tags, in their order: none is believed yet.
    tags: Sequence[str] = ()
    #: The identity of the delivery, and SES's id of the mail, from a channel of our own.
    identity: str | None = None
    receipt: str | None = None

    def told(self, digest: str, key: bytes) -> Told:
        """Once its tags were held against the ledger's key."""
        named = (identity_of(tag, key) for tag in self.tags)
        return Told(
            kind=self.kind,
            lasting=self.lasting,
            code=self.code,
            message=self.message,
            digest=digest,
            identity=self.identity or next((one for one in named if one), None),
            receipt=self.receipt,
        )


# --- The tag --------------------------------------------------------------------------


def tag_of(identity: str, key: bytes) -> str:
    """What an answer to this mail carries, in letters that survive small and capital."""
    named = bytes.fromhex(identity)[:_NAMED]
    return b32encode(named + _proof(named, key)).decode().lower()


def identity_of(tag: str, key: bytes) -> str | None:
    """How the identity begins that this tag names; None: it is none of ours."""
    raw = b32decode(tag.upper())
    named = raw[:_NAMED]
    return (
        named.hex() if hmac.compare_digest(raw[_NAMED:], _proof(named, key)) else None
    )


def _proof(named: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"return path " + named, hashlib.sha256)[:_PROOF]


def return_path(address: str, tag: str) -> str:
    """reports@example.com -> reports+TAG@example.com"""
    local, _, domain = address.rpartition("@")
    return f"{local}+{tag}@{domain}"


# --- A mail: RFC 3464, RFC 5965, and what older servers write -------------------------

_ACTIONS = {
    "failed": News.BOUNCED,
    "delayed": News.DELAYED,
    "delivered": News.DELIVERED,
    "expanded": News.DELIVERED,
}
#: Feedback that asks for no more mails.
_COMPLAINTS = ("abuse", "fraud", "virus", "opt-out", "opt-out-list", "miscategorized")
_SYSTEMS = re.compile(r"(mailer-daemon|postmaster|mail-daemon|microsoftexchange)", re.I)
_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_REPLY = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.])")
_DELAYED = re.compile(r"\b(delay(ed)?|warning)\b", re.I)
#: Replies that mean the mailbox, where nothing tells more.
_ABOUT_MAILBOX = ("550", "551", "553")
#: RFC 3463 without its class: about the address or the mailbox, but not for good.
_PASSES = ("1.7", "1.8", "2.2", "2.3", "2.4")
#: About the domain: no such one, or (as Exchange says it) nobody in it.
_NO_DOMAIN = ("4.1", "4.4")


def read_mail(content: bytes) -> Report | None:
    """What a mail tells of one of ours; None: nothing that is known here.

    Whatever the bytes are, nothing is raised.
    """
    head = content[:MOST]
    try:
        found = _read(BytesParser().parsebytes(head))
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError):
        # Python's parser has not met all that arrives.
        found = None
    if found is None:
        return None
    tags = dict.fromkeys(one.decode().lower() for one in _TAG.findall(head))
    return Report(
        kind=found.kind,
        lasting=found.lasting,
        code=found.code,
        message=found.message,
        tags=[*tags][:_TRIED],
    )


def _read(mail: Message) -> Report | None:
    parts = {part.get_content_type(): part for part in _parts(mail)}
    feedback = parts.get("message/feedback-report")
    if feedback is not None:
        return _complaint(feedback)
    status = parts.get("message/delivery-status")
    if status is not None:
        blocks = [*_blocks(status)]
        if blocks:
            return _status(blocks)
    return _older(mail)


def _parts(mail: Message) -> Iterator[Message]:
    """Those of the mail itself, not of what it returns; the last comes first."""
    yield mail
    if mail.get_content_maintype() == "multipart":
        yield from reversed(_messages(mail))


def _complaint(part: Message) -> Report | None:
    fields = [one for one in _messages(part) if "Feedback-Type" in one]
    kind = _field(fields[0], "Feedback-Type").lower() if fields else ""
    if kind not in _COMPLAINTS:
        return None
    said = _field(fields[0], "User-Agent")
    return Report(kind=News.COMPLAINED, code=kind, message=said)


def _blocks(part: Message) -> Iterator[Message]:
    """What it says of each recipient that it says something of."""
    for one in _messages(part):
        if _field(one, "Action").lower() in _ACTIONS:
            yield one


def _messages(part: Message) -> Sequence[Message]:
    payload = part.get_payload()
    found = payload if isinstance(payload, list) else ()
    return [one for one in found if isinstance(one, Message)]


def _status(blocks: Sequence[Message]) -> Report:
    """Each mail has one recipient; of several blocks one that failed counts."""
    failed = [one for one in blocks if _field(one, "Action").lower() == "failed"]
    block = (failed or blocks)[0]
    kind = _ACTIONS[_field(block, "Action").lower()]
    said = _field(block, "Diagnostic-Code")
    said = said.partition(";")[2].strip() or said
    return _judged(kind, _field(block, "Status"), said)


def _older(mail: Message) -> Report | None:
    """Those that follow no standard: qmail, Exim, and whatever is cut off."""
    system = _SYSTEMS.match(parseaddr(_field(mail, "From"))[1])
    if not system and "X-Failed-Recipients" not in mail:
        return None
    text, subject = _text(mail), _field(mail, "Subject")
    found = _ENHANCED.search(text)
    reply = _REPLY.search(text)
    start = min((one.start() for one in (found, reply) if one), default=0)
    said = plain(text[max(start - 100, 0) : start + 200]) or subject
    delayed = _DELAYED.search(subject)
    kind = News.DELAYED if delayed else News.BOUNCED
    return _judged(
        kind, found[0] if found else "", said, reply=reply[1] if reply else ""
    )


def _text(mail: Message) -> str:
    for part in mail.walk():
        if part.get_content_maintype() == "text":
            payload = part.get_payload(decode=True)
            return payload.decode("latin-1") if isinstance(payload, bytes) else ""
    return ""


def _judged(kind: News, status: str, said: str, *, reply: str = "") -> Report:
    code = _code(status, said)
    answer = _REPLY.search(said)
    reply = reply or (answer[1] if answer else "")
    return Report(
        kind=kind,
        lasting=kind is News.BOUNCED and _for_good(code, reply),
        code=code or reply,
        message=said[:_KEPT],
    )


def _code(status: str, said: str) -> str:
    """The status; where that says nothing, the one that the server's words have."""
    given, found = _ENHANCED.match(status), _ENHANCED.search(said)
    if given and (found is None or given[2] != "0"):
        return given[0]
    return found[0] if found else ""


def _for_good(code: str, reply: str) -> bool:
    """Whether no mail will ever arrive there; nothing is held against an address that
    is about us, our mail, or this day."""
    found = _ENHANCED.match(code)
    if found is None or found[2] == "0":
        return (not code or code[0] == "5") and reply in _ABOUT_MAILBOX
    rest = f"{found[2]}.{found[3]}"
    about = found[2] in "12" and rest not in _PASSES
    return found[1] == "5" and (about or rest in _NO_DOMAIN)


def _field(part: Message, name: str) -> str:
    return plain(str(part.get(name, "")))


def plain(text: str) -> str:
    """On one line, and nothing in it that would steer a terminal."""
    return one_line("".join(one if one.isprintable() else " " for one in text))


# --- Amazon SES -----------------------------------------------------------------------

_SES = {
    "Bounce": News.BOUNCED,
    "Reject": News.BOUNCED,
    "Complaint": News.COMPLAINED,
    "Delivery": News.DELIVERED,
    "DeliveryDelay": News.DELAYED,
}


def read_ses(text: str) -> Report | None:
    """What a notification of SES tells, as it is or in the envelope of SNS."""
    told = _json(text)
    inner = _at(told, "Message")
    told = _json(inner) if isinstance(inner, str) else told
    kind = _SES.get(str(_at(told, "notificationType") or _at(told, "eventType")))
    receipt = _at(told, "mail", "messageId")
    if kind is None or not isinstance(receipt, str):
        return None
    if _at(told, "complaint", "complaintFeedbackType") == "not-spam":
        return None
    tag = _at(told, "mail", "tags", DELIVERY_TAG, 0)
    code, said = _ses_words(told)
    return Report(
        kind=kind,
        lasting=_at(told, "bounce", "bounceType") == "Permanent",
        code=code,
        message=said[:_KEPT],
        identity=tag if isinstance(tag, str) and tag else None,
        receipt=receipt,
    )


def _ses_words(told: Any) -> tuple[str, str]:
    """The code, and what was said."""
    bounce, complaint = _at(told, "bounce") or {}, _at(told, "complaint") or {}
    who = _at(bounce, "bouncedRecipients", 0) or _at(
        told, "deliveryDelay", "delayedRecipients", 0
    )
    kinds = [_at(bounce, "bounceType"), _at(bounce, "bounceSubType")]
    code = _at(who, "status") or "/".join(one for one in kinds if isinstance(one, str))
    code = code or _at(complaint, "complaintFeedbackType") or ""
    said = (
        _at(who, "diagnosticCode")
        or _at(bounce, "bounceSubType")
        or _at(told, "deliveryDelay", "delayType")
        or _at(told, "reject", "reason")
        or _at(told, "delivery", "smtpResponse")
        or ""
    )
    return plain(str(code))[:_KEPT], plain(str(said))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _at(value: Any, *steps: str | int) -> Any:
    """What stands there; None where there is no such place."""
    for step in steps:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, Mapping) else None
        else:
            value = (
                value[step] if isinstance(value, list) and len(value) > step else None
            )
    return value
