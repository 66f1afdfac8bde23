"""A mail for each recipient, through a mail server or Amazon SES.

Accepted means: the far side took the whole mail for this one recipient. Each gets a
transaction of its own, so that nobody's refusal touches the others; all go over one
session. What was begun and not answered is `unconfirmed`: only a person can ask there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, Protocol

from boe_reconciler.core.bounces import return_path
from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.language.addresses import has_room
from boe_reconciler.core.mail import (
    attaches,
    enclosures,
    encoded_size,
    header_value,
    letter,
)
from boe_reconciler.core.ports import (
    Cancel,
    Means,
    Never,
    SecretResolver,
    Shipment,
)
from boe_reconciler.core.resources.connection import SmtpBounces
from boe_reconciler.core.resources.distribution import Attach, FileText
from boe_reconciler.core.resources.types import format_size
from boe_reconciler.core.runs import DeliveryStatus, Outcome
from boe_reconciler.core.templates import TemplateError, render
from boe_reconciler.destinations._message import (
    Heading,
    Mail,
    address,
    compose,
    signed,
)
from boe_reconciler.destinations._outcomes import outcome_of
from boe_reconciler.destinations._ses import SesChannel
from boe_reconciler.destinations._smtp import SmtpChannel

_CHANNELS: dict[str, type[SmtpChannel] | type[SesChannel]] = {
    "smtp": SmtpChannel,
    "ses": SesChannel,
}


def create(means: Means) -> EmailDestination:
    return EmailDestination(means)


def check(connection: Any, secrets: SecretResolver) -> None:
    """Whether it can be reached and takes the login; nothing is sent."""
    channel = _CHANNELS[connection.type]("", connection, secrets, None)
    with closing(channel):
        if isinstance(channel, SesChannel):
            channel.ask()
        else:
            channel.open(Never())


class Channel(Protocol):
    """A provider, for as long as one call of `deliver` lasts."""

    @property
    def limit(self) -> int | None:
        """The largest mail that it takes, once it is open."""

    def open(self, cancel: Cancel) -> None:
        """Ready for a mail. Temporary or Permanent, from then on always the same."""

    def send(self, mail: Mail, begin: Any, cancel: Cancel) -> Outcome: ...

    def close(self) -> None: ...


class EmailDestination:
    def __init__(self, means: Means) -> None:
        self._means = means

    def deliver(
        self, shipments: Iterable[Shipment], cancel: Cancel
    ) -> Iterator[Outcome]:
        with closing(_Channels(self._means)) as channels:
            for shipment in shipments:
                cancel.check()
                yield self._one(shipment, channels, cancel)

    def probe(self, shipment: Shipment) -> Outcome | None:
        """A mail that was on its way when BOE stopped may have arrived."""
        if not shipment.intent:
            return None
        return Outcome(
            status=DeliveryStatus.UNCONFIRMED,
            reason="answer_lost",
            message="BOE stopped before the mail server said that it has the mail",
        )

    def _one(self, shipment: Shipment, channels: _Channels, cancel: Cancel) -> Outcome:
        try:
            _check_attached(shipment)
            mail = self._mail(shipment)
            return self._send(shipment, mail, channels, cancel)
        except (Temporary, Permanent) as error:
            cancel.check()  # it may be what ended it
            return outcome_of(error)

    def _send(
        self, shipment: Shipment, mail: Mail, channels: _Channels, cancel: Cancel
    ) -> Outcome:
        """Through the first provider that opens."""
        name, channel = channels.opened(shipment.spec.connection, cancel)
        if channel.limit is not None and len(mail.content) > channel.limit:
            raise _too_large(len(mail.content), channel.limit, f"the Connection {name}")
        self._means.pace(name, cancel)
        mail = _returning(mail, shipment.tag, self._means.connections[name])
        return channel.send(mail, lambda: self._begin(shipment, mail, name), cancel)

    def _begin(self, shipment: Shipment, mail: Mail, through: str) -> None:
        intent = {
            "message_id": mail.message_id,
            "stored": self._means.blobs.put(mail.content),
            "through": through,
        }
        shipment.begin(intent | ({"linked": "yes"} if mail.linked else {}))

    # The mail.

    def _mail(self, shipment: Shipment) -> Mail:
        """The one of an earlier attempt, byte for byte, or a new one."""
        connection = self._means.connections[shipment.spec.connection]
        sender = _sender(shipment, connection)
        message_id = f"<{shipment.key.identity}@{sender.domain}>"
        linked, intent = shipment.link is not None, shipment.intent
        stored = intent.get("stored") if linked == ("linked" in intent) else None
        if stored is not None:
            content = self._means.blobs.read(stored)
        else:
            heading = Heading(
                sender=sender,
                message_id=message_id,
                date=self._means.clock.now(),
                reply_to=_reply_to(shipment),
            )
            content = self._written(shipment, connection, heading)
        return Mail(
            sender=sender.addr_spec,
            recipient=address(shipment.key.recipient).addr_spec,
            message_id=message_id,
            content=content,
            linked=linked,
            left=_left(shipment, len(content)),
            identity=shipment.key.identity,
        )

    def _written(self, shipment: Shipment, connection: Any, heading: Heading) -> bytes:
        found = letter(
            shipment,
            text=self._template(shipment.spec.text),
            html=self._template(shipment.spec.html),
        )
        content = compose(shipment, found, heading)
        dkim = getattr(connection, "dkim", None)
        if dkim is None:
            return content
        key = self._means.secrets.resolve(dkim.key)
        return signed(content, domain=dkim.domain, selector=dkim.selector, key=key)

    def _template(self, value: str | FileText | None) -> str | None:
        if not isinstance(value, FileText):
            return value
        stored = self._means.files.get(value.file)
        if stored is None:
            detail = f"{value.file} is not among what was kept of this revision"
            raise Permanent("text_missing", detail, "run `boe rerun`")
        return self._means.blobs.read(stored).decode("utf-8-sig")


def _returning(mail: Mail, tag: str, connection: Any) -> Mail:
    """With the address that it comes back to, where somebody reads that."""
    bounces = getattr(connection, "bounces", None)
    if not tag or not isinstance(bounces, SmtpBounces):
        return mail
    back = address(bounces.address).addr_spec if bounces.address else mail.sender
    if has_room(back):
        back = return_path(back, tag)
    return replace(mail, sender=back, tag=tag)


def _left(shipment: Shipment, whole: int) -> Callable[[int], None]:
    """Bytes of the mail -> bytes of the files, which are most of it."""
    files = shipment.bytes + sum(one.bytes for one in shipment.beside)
    return lambda left: shipment.sent(files * left // whole)


class _Channels:
    """One for each Connection that was tried."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._made: dict[str, Channel] = {}

    def opened(self, name: str, cancel: Cancel) -> tuple[str, Channel]:
        """The first that opens: this one, or those to fall back on; else its own error."""
        wanted = [name, *getattr(self._means.connections[name], "fallback", ())]
        errors: list[RunError] = []
        for each in wanted:
            channel = self._channel(each)
            try:
                channel.open(cancel)
            except (Temporary, Permanent) as error:
                cancel.check()
                errors.append(error)
            else:
                return each, channel
        raise next((one for one in errors if isinstance(one, Temporary)), errors[0])

    def close(self) -> None:
        for channel in self._made.values():
            channel.close()

    def _channel(self, name: str) -> Channel:
        if name not in self._made:
            spec = self._means.connections[name]
            means = self._means
            made: Any = _CHANNELS[spec.type](name, spec, means.secrets, means.clock)
            self._made[name] = made
        return self._made[name]


def _sender(shipment: Shipment, connection: Any) -> Any:
    text = shipment.spec.from_ or connection.from_
    if text is None:
        todo = "set `from` in the Connection or in the destination"
        raise Permanent("no_sender", "nobody says whom the mail is from", todo)
    return address(header_value("from", text))


def _reply_to(shipment: Shipment) -> str | None:
    template = shipment.spec.reply_to
    if template is None:
        return None
    try:
        text = render(template, {"rows": shipment.rows, **shipment.context}).strip()
    except TemplateError as error:
        detail = f"the mail's reply_to: {error.message}"
        raise Permanent("template_failed", detail, error.help) from error
    return header_value("reply_to", text)


def _check_attached(shipment: Shipment) -> None:
    """Permanent `too_large` where the files are more than the destination says."""
    attach = shipment.spec.attach
    if isinstance(attach, Attach) and attaches(shipment):
        size = sum(encoded_size(each.bytes) for each in enclosures(shipment))
        if size > attach.max:
            raise _too_large(size, attach.max, "`attach.max`")


def _too_large(size: int, limit: int, whose: str) -> Permanent:
    detail = f"the mail would have {size:,} bytes; {whose} allows {format_size(limit)}"
    todo = "attach less, or set attach.over_max to link to the file instead"
    return Permanent("too_large", detail, todo)
