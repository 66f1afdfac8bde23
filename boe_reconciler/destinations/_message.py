"""The bytes of a mail: one for each recipient, made once and sent as they are ever after."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage, MIMEPart
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, parseaddr
from typing import Any
from urllib.parse import quote

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.language.addresses import address_flaw
from boe_reconciler.core.mail import (
    Letter,
    enclosures,
    header_flaw,
    header_value,
    ways_out,
)
from boe_reconciler.core.ports import Enclosure, Shipment
from boe_reconciler.destinations._artifacts import check_unchanged, opened

#: Names that need no second writing.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._()+-]{0,59}")
#: A line of a header that is written as it stands: RFC 5322 has 998 at most.
_LONGEST = 998
#: Which of the headers a signature covers, where a mail has them.
_SIGNED = (
    "From To Cc Reply-To Subject Date Message-ID MIME-Version Content-Type "
    "List-Unsubscribe List-Unsubscribe-Post Auto-Submitted"
).split()


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """Ready to leave: an envelope, and what is in it."""

    sender: str
    recipient: str
    message_id: str
    content: bytes
    #: Whether it only links to its file.
    linked: bool
    #: To be called with how many bytes of its content have left: see `Shipment.sent`.
    left: Callable[[int], None]
    #: What an answer to it carries; "": none is waited for.
    tag: str = ""
    #: Of its delivery, in hex.
    identity: str = ""

    @property
    def needs_utf8(self) -> bool:
        """Whether an address is one that only SMTPUTF8 can carry."""
        return not (self.sender + self.recipient).isascii()


@dataclass(frozen=True, kw_only=True, slots=True)
class Heading:
    """Who writes, and when."""

    sender: Address
    message_id: str
    date: datetime
    reply_to: str | None


def address(text: str) -> Address:
    """`Anna <anna@example.com>` or the address alone, its domain as DNS has it.

    Permanent `bad_address`.
    """
    name, spec = parseaddr(text)
    local, _, domain = spec.rpartition("@")
    flaw = header_flaw(text) or address_flaw(spec)
    if text.strip() != spec and not text.strip().endswith(f"<{spec}>"):
        flaw = flaw or "is more than one address"
    try:
        if flaw:
            raise ValueError(flaw)
        ascii_domain = domain.encode("idna").decode()
        return Address(name, username=local, domain=ascii_domain)
    except (ValueError, IndexError) as error:
        raise Permanent(
            "bad_address", f"{text[:80]!r} is no address: {error}"
        ) from error


def compose(shipment: Shipment, letter: Letter, heading: Heading) -> bytes:
    """Permanent `artifact_missing`, `header_refused` or `bad_address`."""
    people = _people(shipment)
    ascii_only = all(each.addr_spec.isascii() for _, each in people)
    policy = SMTP if ascii_only and heading.sender.addr_spec.isascii() else SMTPUTF8
    # Headers that are set raw are for machines: nobody folds or encodes them.
    message = EmailMessage(policy=policy.clone(refold_source="none"))
    for name, value in _raw_headers(shipment, heading):
        message.set_raw(name, _raw(name, value))
    message["Subject"] = letter.subject
    message["From"] = heading.sender
    for name in ("To", "Cc"):
        shown = [each for at, each in people if at == name]
        if shown:
            message[name] = shown
    if heading.reply_to:
        message["Reply-To"] = address(heading.reply_to)
    message.set_content(letter.text, cte="quoted-printable")
    if letter.html is not None:
        message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    for file in enclosures(shipment):
        _attach(message, file)
    return message.as_bytes()


def _people(shipment: Shipment) -> Sequence[tuple[str, Address]]:
    shown = [
        (name.title(), address(each))
        for name in ("to", "cc")
        for each in shipment.addressed.get(name, ())
    ]
    return shown or [("To", address(shipment.key.recipient))]


def _raw_headers(shipment: Shipment, heading: Heading) -> Iterator[tuple[str, str]]:
    yield "Date", format_datetime(heading.date)
    yield "Message-ID", heading.message_id
    yield "Auto-Submitted", "auto-generated"
    yield "X-Auto-Response-Suppress", "All"
    for name, value in shipment.provenance().items():
        yield f"X-BOE-{name.replace('_', '-').title()}", value
    yield from _unsubscribe(ways_out(shipment))


def _unsubscribe(ways: Sequence[str]) -> Iterator[tuple[str, str]]:
    """RFC 2369, and RFC 8058 where a POST to an https address does it."""
    if ways:
        yield "List-Unsubscribe", ", ".join(f"<{each}>" for each in ways)
    if ways and ways[0].lower().startswith("https:"):
        yield "List-Unsubscribe-Post", "List-Unsubscribe=One-Click"


def _raw(name: str, value: str) -> str:
    header_value(f"header {name}", value)
    if not value.isascii() or len(name) + len(value) + 2 > _LONGEST:
        todo = "write it in ASCII, and shorter"
        detail = f"the mail's header {name} cannot be written as it is"
        raise Permanent("header_refused", detail, todo)
    return value


def _attach(message: EmailMessage, file: Shipment | Enclosure) -> None:
    header_value("file name", file.filename)
    with opened(file.path) as stored:
        content = stored.read()
    check_unchanged(hashlib.sha256(content).hexdigest(), file.sha256)
    main, _, sub = file.media_type.partition(";")[0].partition("/")
    part: Any = MIMEPart(policy=message.policy)
    part.set_content(content, main, sub)
    part.set_raw("Content-Disposition", f"attachment; {_named(file.filename)}")
    if message.get_content_type() != "multipart/mixed":
        message.make_mixed()
    message.attach(part)


def _named(filename: str) -> str:
    """In one line: RFC 2231 in several parts is more than some readers understand."""
    if _PLAIN_NAME.fullmatch(filename):
        return f'filename="{filename}"'
    return f"filename*=utf-8''{quote(filename, safe='')}"


def signed(content: bytes, *, domain: str, selector: str, key: str) -> bytes:
    """With a DKIM signature above it. Permanent `dkim_key`."""
    import dkim

    found = dkim.DKIM(content)
    present = {name.lower() for name, _ in found.headers}
    covered = [name.encode() for name in _SIGNED if name.lower().encode() in present]
    try:
        signature: bytes = found.sign(
            selector.encode(),
            domain.encode("idna"),
            key.encode(),
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=covered,
        )
    except (dkim.DKIMException, ValueError, TypeError, IndexError) as error:
        todo = "give an RSA key in PEM, as `openssl genrsa 2048` writes it"
        detail = f"the DKIM key of {domain} cannot sign"
        raise Permanent("dkim_key", detail, todo) from error
    return signature + content
