"""Mail servers for tests: aiosmtpd in this process, and a Postfix of its own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


@dataclass(frozen=True, kw_only=True)
class Arrived:
    sender: str
    recipient: str
    content: bytes

    @property
    def message(self) -> EmailMessage:
        return cast(EmailMessage, message_from_bytes(self.content, policy=default))

    @property
    def files(self) -> dict[str, bytes]:
        """Name -> content of each attachment."""
        parts = self.message.iter_attachments()
        return {
            str(part.get_filename()): cast(bytes, part.get_payload(decode=True))
            for part in parts
        }


@dataclass
class Inbox:
    """What arrives, and what is answered: to MAIL, to RCPT, and to the final dot."""

    mails: list[Arrived] = field(default_factory=list)
    #: Contents that came whole, taken or not.
    heard: list[bytes] = field(default_factory=list)
    #: Recipient -> answers, each given once and the last for ever.
    to_rcpt: Mapping[str, Sequence[str]] = field(default_factory=dict)
    to_data: Mapping[str, Sequence[str]] = field(default_factory=dict)
    to_mail: str = "250 OK"
    #: Connections that said EHLO or EHLO again after STARTTLS.
    greeted: int = 0
    #: Seconds before the answer to a whole mail.
    delay: float = 0.0
    port: int = 0
    asked: dict[str, int] = field(default_factory=dict)

    def of(self, recipient: str) -> list[Arrived]:
        return [mail for mail in self.mails if mail.recipient == recipient]

    async def handle_EHLO(  # noqa: N802 aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, hostname: Any, responses: Any
    ) -> Any:
        self.greeted += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, *rest: Any) -> str:  # noqa: N802 as above
        envelope, address, options = rest[2:5]
        if self.to_mail.startswith("250"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return self.to_mail

    async def handle_RCPT(self, *rest: Any) -> str:  # noqa: N802 as above
        envelope, address = rest[2:4]
        answer = self._next("rcpt", self.to_rcpt, address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, *rest: Any) -> str:  # noqa: N802 as above
        envelope = rest[2]
        (recipient,) = envelope.rcpt_tos
        content = bytes(envelope.original_content)
        self.heard.append(content)
        answer = self._next("data", self.to_data, recipient)
        await asyncio.sleep(self.delay)
        if answer.startswith("250"):
            sender = envelope.mail_from
            self.mails.append(
                Arrived(sender=sender, recipient=recipient, content=content)
            )
        return answer

    def _next(self, step: str, answers: Mapping[str, Sequence[str]], to: str) -> str:
        given = answers.get(to, ("250 2.0.0 Ok: queued as 4F1",))
        count = self.asked.get(f"{step} {to}", 0)
        self.asked[f"{step} {to}"] = count + 1
        return given[min(count, len(given) - 1)]


class _AnyPort(Controller):
    def _trigger_server(self) -> None:
        """It calls its own port, which the system has chosen meanwhile."""
        server: Any = self.server
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def smtp_server(inbox: Inbox | None = None, **options: Any) -> Iterator[Inbox]:
    """`options` are those of aiosmtpd's SMTP; `implicit` is a context for TLS at once."""
    inbox = inbox or Inbox()
    implicit = options.pop("implicit", None)
    server = _AnyPort(
        inbox, hostname="127.0.0.1", port=0, ssl_context=implicit, **options
    )
    server.start()
    inbox.port = server.port
    try:
        yield inbox
    finally:
        server.stop()


def login(users: Mapping[str, str]) -> Any:
    """Knows these users and their passwords."""

    def check(*rest: Any) -> AuthResult:
        mechanism, given = rest[3:5]
        if isinstance(given, LoginPassword):
            known = users.get(given.login.decode())
            right = known is not None and known.encode() == given.password
        else:
            right = mechanism == "XOAUTH2" and given in users.values()
        # With handled=True aiosmtpd would expect an answer to have been given.
        return AuthResult(success=right, handled=False)

    return check


def certificate(folder: Path, name: str = "localhost") -> tuple[Path, ssl.SSLContext]:
    """A certificate that signs itself, and a server's context that shows it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path = folder / f"{name}.pem"
    path.write_bytes(built.public_bytes(pem))
    private = folder / f"{name}.key"
    private.write_bytes(
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path, private)
    return path, context
