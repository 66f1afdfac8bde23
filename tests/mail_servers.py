"""Mail servers for tests: aiosmtpd in this process, and a Postfix of its own."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
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


# --- Postfix ------------------------------------------------------------------------

_MAIN = """\
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
maillog_file = {home}/log
maillog_file_prefixes = {home}
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = localhost
message_size_limit = 50000000
mydestination =
alias_maps =
virtual_mailbox_domains = example.com
virtual_mailbox_base = {home}/mail
virtual_mailbox_maps = inline:{{{people}}}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
virtual_minimum_uid = 1
recipient_delimiter = +
virtual_alias_maps = inline:{{gone@example.com=nobody@example.com}}
smtpd_tls_security_level = may
smtpd_tls_cert_file = {home}/localhost.pem
smtpd_tls_key_file = {home}/localhost.key
"""
_SERVICES = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
smtp unix - - n - - smtp
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
_QUEUES = ("incoming", "active", "maildrop")


@dataclass(frozen=True, kw_only=True)
class Postfix:
    home: Path
    port: int

    @property
    def trusted(self) -> Path:
        """The certificate to trust."""
        return self.home / "localhost.pem"

    def mails(self, local_part: str) -> list[Arrived]:
        """What lies in that mailbox, once nothing is under way."""
        for _ in range(100):
            if not any(self._waiting()):
                break
            time.sleep(0.02)
        found = sorted((self.home / "mail" / local_part / "new").glob("*"))
        return [
            Arrived(sender="", recipient=local_part, content=path.read_bytes())
            for path in found
        ]

    def _waiting(self) -> Iterator[Path]:
        for name in _QUEUES:
            for path in (self.home / "queue" / name).rglob("*"):
                if path.is_file():
                    yield path


@contextmanager
def postfix(*people: str) -> Iterator[Postfix]:
    """A Postfix of its own for {people}@example.com; skips, with the reason, without it."""
    program = shutil.which("postfix", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("Postfix is not installed")
    if os.geteuid() != 0:
        pytest.skip("only root starts a Postfix")
    home = Path(tempfile.mkdtemp(prefix="boe-postfix-"))
    try:
        server = _configured(home, people)
        run = partial(subprocess.run, check=True, capture_output=True)
        run([program, "-c", str(home), "start"])
        try:
            yield server
        finally:
            run([program, "-c", str(home), "stop"])
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _configured(home: Path, people: Sequence[str]) -> Postfix:
    home.chmod(0o755)
    nobody = pwd.getpwnam("nobody").pw_uid
    for name in ("queue", "mail"):
        (home / name).mkdir(mode=0o755)
    os.chown(home / "mail", nobody, -1)
    (home / "data").mkdir(mode=0o700)
    os.chown(home / "data", pwd.getpwnam("postfix").pw_uid, -1)
    certificate(home)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    known = ", ".join(f"{who}@example.com={who}/" for who in people)
    (home / "main.cf").write_text(_MAIN.format(home=home, people=known, uid=nobody))
    (home / "master.cf").write_text(_SERVICES.format(port=port))
    return Postfix(home=home, port=port)


# --- SES ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Ses:
    url: str

    def mails(self) -> list[Arrived]:
        """All that it took."""
        from moto.ses.models import ses_backends

        # moto adds those in the header to those of the envelope.
        return [
            Arrived(
                sender=message.source,
                recipient=message.destinations[0],
                content=message.raw_data.encode(),
            )
            for account in ses_backends.values()
            for message in account["eu-central-1"].sent_messages
        ]


@contextmanager
def ses_server() -> Iterator[Ses]:
    """With reports@example.com as a sender that it knows."""
    import boto3
    from moto.server import ThreadedMotoServer
    from moto.ses.models import ses_backends

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    ses_backends.reset()
    try:
        _, port = server.get_host_and_port()
        url = f"http://127.0.0.1:{port}"
        client = boto3.client(
            "ses",
            region_name="eu-central-1",
            endpoint_url=url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        client.verify_email_identity(EmailAddress="reports@example.com")
        client.close()
        yield Ses(url=url)
    finally:
        server.stop()
