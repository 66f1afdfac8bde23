"""Sessions with a mail server: encryption, login, limits, and lines that break."""

from __future__ import annotations

import gc
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from boe_reconciler.core.errors import Cancelled, Permanent, Temporary
from boe_reconciler.core.ports import Never
from boe_reconciler.core.resources.connection import CONNECTIONS
from boe_reconciler.destinations import _oauth2, email
from tests.cutting import Cutting, Fault, cutting
from tests.destinations.test_email import (
    STATUS,
    A,
    a_mail,
    again,
    connection,
    outcomes,
    sending,
)
from tests.folders import until
from tests.mail_servers import Inbox, certificate, login, smtp_server
from tests.shipments import means

PASSWORD = {"user": "boe", "password": {"env": "MAIL_PASSWORD"}}
NEEDS_LOGIN = {"auth_required": True, "auth_require_tls": False}
# aiosmtpd warns of servers that take passwords in the clear.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning"),
]
RIGHT = {"MAIL_PASSWORD": "s3cret-word"}


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with smtp_server() as found:
        yield found


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server's context whose certificate this machine trusts, for `localhost`."""
    path, context = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return context


# --- TLS ----------------------------------------------------------------------------


def test_starttls_encrypts_before_anything_is_said(
    tmp_path: Path, trusted: Any
) -> None:
    with smtp_server(tls_context=trusted, require_starttls=True) as inbox:
        (found,) = outcomes(sending(tmp_path, inbox, tls="starttls"), a_mail(tmp_path))
    assert found.status is STATUS.ACCEPTED


def test_implicit_tls_encrypts_from_the_first_byte(
    tmp_path: Path, trusted: Any
) -> None:
    with smtp_server(implicit=trusted) as inbox:
        (found,) = outcomes(sending(tmp_path, inbox, tls="implicit"), a_mail(tmp_path))
    assert found.status is STATUS.ACCEPTED


def test_a_server_without_starttls_gets_nothing(tmp_path: Path, inbox: Inbox) -> None:
    (found,) = outcomes(sending(tmp_path, inbox, tls="starttls"), a_mail(tmp_path))
    assert (found.status, found.reason) == (STATUS.FAILED, "tls_missing")
    assert inbox.heard == []


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("name", ["localhost", "elsewhere.example"])
def test_a_certificate_that_is_not_trusted_gets_nothing(
    tmp_path: Path, tls: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not trusted at all, or trusted for another name."""
    path, context = certificate(tmp_path, name)
    if name != "localhost":
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
    options: dict[str, Any] = (
        {"implicit": context} if tls == "implicit" else {"tls_context": context}
    )
    with smtp_server(**options) as inbox:
        (found,) = outcomes(sending(tmp_path, inbox, tls=tls), a_mail(tmp_path))
    assert (found.status, found.reason) == (STATUS.FAILED, "tls_untrusted")
    assert inbox.heard == []


# --- Login --------------------------------------------------------------------------


@contextmanager
def with_login(**users: str) -> Iterator[Inbox]:
    with smtp_server(authenticator=login(users), **NEEDS_LOGIN) as inbox:
        yield inbox


def test_a_password_logs_in(tmp_path: Path) -> None:
    with with_login(boe="s3cret-word") as inbox:
        far = sending(tmp_path, inbox, environment=RIGHT, **PASSWORD)
        (found,) = outcomes(far, a_mail(tmp_path))
    assert found.status is STATUS.ACCEPTED


def test_a_refused_login_stops_all_mails_of_the_call_and_stays_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with with_login(boe="another") as inbox:
        far = sending(tmp_path, inbox, environment=RIGHT, **PASSWORD)
        found = outcomes(far, a_mail(tmp_path), a_mail(tmp_path, "b@example.com"))
    assert [(one.status, one.reason) for one in found] == [
        (STATUS.FAILED, "login_refused")
    ] * 2
    assert "Connection mail" in found[0].message
    assert RIGHT["MAIL_PASSWORD"] not in f"{found} {caplog.text}"
    assert inbox.greeted == 1
    assert inbox.heard == []


def test_a_server_that_wants_a_login_stops_the_channel(tmp_path: Path) -> None:
    with with_login(boe="s3cret-word") as inbox:
        found = outcomes(
            sending(tmp_path, inbox),
            a_mail(tmp_path),
            a_mail(tmp_path, "b@example.com"),
        )
    assert {(one.status, one.reason) for one in found} == {
        (STATUS.FAILED, "login_refused")
    }


# --- Tokens -------------------------------------------------------------------------


class _Tokens(BaseHTTPRequestHandler):
    asked: list[dict[str, list[str]]]
    answers: list[tuple[int, dict[str, Any]]]

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.asked.append(parse_qs(self.rfile.read(length).decode()))
        number = min(len(self.asked), len(self.answers)) - 1
        status, answer = self.answers[number]
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def tokens(*answers: tuple[int, dict[str, Any]]) -> Iterator[Any]:
    handler = type("Handler", (_Tokens,), {"asked": [], "answers": list(answers)})
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    handler.url = f"http://127.0.0.1:{server.server_port}/token"  # type: ignore[attr-defined]  # for the test
    try:
        yield handler
    finally:
        server.shutdown()
        server.server_close()


class _XOAuth2(Inbox):
    """Takes one token."""

    token: str = "good"
    tried: int = 0

    async def auth_XOAUTH2(self, server: Any, args: list[str]) -> Any:  # noqa: N802 aiosmtpd's name
        import base64

        from aiosmtpd.smtp import AuthResult

        self.tried += 1
        given = base64.b64decode(args[1]).decode()
        right = given == f"user=boe\x01auth=Bearer {self.token}\x01\x01"
        return AuthResult(success=right, handled=False)


def oauth2(server: Any) -> dict[str, Any]:
    return {
        "user": "boe",
        "oauth2": {
            "token_url": server.url,
            "client_id": "boe",
            "client_secret": {"env": "MAIL_PASSWORD"},
            "scope": "mail.send",
        },
        "environment": RIGHT,
    }


@pytest.fixture
def no_tokens_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_oauth2, "_KEPT", {})


@pytest.mark.usefixtures("no_tokens_kept")
def test_a_token_is_kept_and_renewed_once_it_is_refused(tmp_path: Path) -> None:
    inbox = _XOAuth2()
    good = (200, {"access_token": "good", "expires_in": 3600})
    newer = (200, {"access_token": "newer", "expires_in": 3600})
    with (
        tokens(good, newer) as server,
        smtp_server(inbox, **NEEDS_LOGIN),
    ):
        far = sending(tmp_path, inbox, **oauth2(server))
        for _ in range(2):
            (found,) = outcomes(far, a_mail(tmp_path))
            assert found.status is STATUS.ACCEPTED
        assert len(server.asked) == 1
        assert server.asked[0]["grant_type"] == ["client_credentials"]
        assert server.asked[0]["scope"] == ["mail.send"]
        inbox.token = "newer"
        (found,) = outcomes(far, a_mail(tmp_path))
        assert found.status is STATUS.ACCEPTED
        assert len(server.asked) == 2
        inbox.token, inbox.tried = "newest", 0
        (found,) = outcomes(far, a_mail(tmp_path))
        assert (found.status, found.reason) == (STATUS.FAILED, "login_refused")
        assert inbox.tried == 2


@pytest.mark.usefixtures("no_tokens_kept")
@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        ((401, {"error": "invalid_client"}), STATUS.FAILED, "no_token"),
        ((200, {"nothing": 1}), STATUS.FAILED, "no_token"),
        ((503, {}), STATUS.DEFERRED, "token_unavailable"),
    ],
)
def test_no_token_means_no_mail(
    tmp_path: Path, inbox: Inbox, answer: Any, status: Any, reason: str
) -> None:
    with tokens(answer) as server:
        (found,) = outcomes(
            sending(tmp_path, inbox, **oauth2(server)), a_mail(tmp_path)
        )
    assert (found.status, found.reason) == (status, reason)
    assert RIGHT["MAIL_PASSWORD"] not in found.message


# --- Providers ----------------------------------------------------------------------


def test_another_provider_takes_it_where_the_first_is_down(
    tmp_path: Path, inbox: Inbox
) -> None:
    others = {"other": connection(inbox.port)}
    far = sending(tmp_path, inbox, port=1, fallback=["other"], connections=others)
    mail = a_mail(tmp_path)
    (found,) = outcomes(far, mail)
    assert found.status is STATUS.ACCEPTED
    assert again(mail).intent["through"] == "other"
    assert again(mail).intent["message_id"] == inbox.mails[0].message["Message-ID"]


def test_all_providers_down_means_later(tmp_path: Path, inbox: Inbox) -> None:
    far = sending(
        tmp_path, inbox, port=1, fallback=["b"], connections={"b": connection(2)}
    )
    (found,) = outcomes(far, a_mail(tmp_path))
    assert (found.status, found.reason) == (STATUS.DEFERRED, "unreachable")


def test_no_other_provider_gets_what_the_first_has_heard(
    tmp_path: Path, inbox: Inbox
) -> None:
    """A refusal, and an answer that was lost, are this mail's last word for now."""
    with (
        smtp_server(Inbox(to_data={A: ["451 later"]})) as first,
        cutting(first.port, Fault(does="cut", at=b"\r\n.\r\n")) as proxy,
    ):
        others = {"other": connection(inbox.port)}
        for port in (first.port, proxy.port):
            far = sending(
                tmp_path, first, port=port, fallback=["other"], connections=others
            )
            (found,) = outcomes(far, a_mail(tmp_path))
            assert found.status in (STATUS.DEFERRED, STATUS.UNCONFIRMED)
    assert inbox.heard == []


# --- Rates and cancels --------------------------------------------------------------


def test_each_mail_waits_for_its_turn_on_the_connection(
    tmp_path: Path, inbox: Inbox
) -> None:
    waited: list[str] = []
    far = sending(tmp_path, inbox, pace=lambda name, cancel: waited.append(name))
    outcomes(far, a_mail(tmp_path), a_mail(tmp_path, "b@example.com"))
    assert waited == ["mail", "mail"]


class Stop(Never):
    """Somebody cancels while a step of the session waits."""

    def __init__(self) -> None:
        self.stopped = False

    def check(self) -> None:
        if self.stopped:
            raise Cancelled("cancelled", "somebody asked for it")

    @contextmanager
    def on_cancel(self, callback: Any) -> Iterator[None]:  # type: ignore[override]  # one is enough
        def stop() -> None:
            self.stopped = True
            callback()

        timer = threading.Timer(0.2, stop)
        timer.start()
        yield
        timer.cancel()


def test_a_cancel_interrupts_a_server_that_says_nothing(
    tmp_path: Path, inbox: Inbox
) -> None:
    with cutting(inbox.port, Fault(does="stall", way="back")) as proxy:
        far = sending(tmp_path, inbox, port=proxy.port)
        with pytest.raises(Cancelled):
            list(far.deliver([a_mail(tmp_path)], Stop()))
    assert inbox.heard == []


def deaf(server: socket.socket, asked: threading.Event, ended: threading.Event) -> None:
    """A server that reads nothing of a mail, and looks what became of it when asked."""
    line, _ = server.accept()
    with line, line.makefile("rb") as said:
        line.sendall(b"220 here\r\n")
        for command in said:
            if command.startswith(b"DATA"):
                break
            line.sendall(b"250 fine\r\n")
        line.sendall(b"354 go on\r\n")
        assert asked.wait(30)
        line.settimeout(10)
        with suppress(ConnectionResetError):
            while line.recv(1 << 20):
                pass
    ended.set()


def test_a_cancel_in_the_middle_of_a_mail_closes_the_line(tmp_path: Path) -> None:
    """At once, and not when Python comes to tidy up."""
    asked, ended = threading.Event(), threading.Event()
    mail = a_mail(tmp_path, content=b"x" * 12_000_000)
    gc.disable()
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            threading.Thread(target=deaf, args=(server, asked, ended)).start()
            far = sending(tmp_path, Inbox(), port=server.getsockname()[1])
            with pytest.raises(Cancelled):
                list(far.deliver([mail], Stop()))
            asked.set()
            assert ended.wait(20)
    finally:
        gc.enable()


def silent_at_last(
    server: socket.socket, context: ssl.SSLContext, ended: threading.Event
) -> None:
    """A server that says goodbye to a session, but not to its encryption."""
    raw, _ = server.accept()
    line = context.wrap_socket(raw, server_side=True)
    with line.makefile("rb") as said:
        line.sendall(b"220 here\r\n")
        for command in said:
            verb = command[:4].upper()
            line.sendall(_ANSWERS.get(verb, b"250 fine\r\n"))
            if verb == b"DATA":
                while said.readline() != b".\r\n":
                    pass
                line.sendall(b"250 taken\r\n")
            if verb == b"QUIT":
                break
    with socket.socket(fileno=line.detach()) as below:
        below.settimeout(10)
        with suppress(ConnectionResetError):
            while below.recv(1 << 20):
                pass
    ended.set()


_ANSWERS = {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}


def test_an_encrypted_line_is_closed_though_the_server_says_no_more(
    tmp_path: Path, trusted: Any
) -> None:
    """At once, and not when Python comes to tidy up."""
    ended = threading.Event()
    gc.disable()
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            threading.Thread(
                target=silent_at_last, args=(server, trusted, ended)
            ).start()
            port = server.getsockname()[1]
            far = sending(tmp_path, Inbox(), port=port, tls="implicit")
            (found,) = outcomes(far, a_mail(tmp_path))
            assert found.status is STATUS.ACCEPTED
            assert ended.wait(20)
    finally:
        gc.enable()


# --- Lines that break ---------------------------------------------------------------

#: Where the line breaks -> what is true then.
STEPS = {
    b"EHLO": STATUS.DEFERRED,
    b"MAIL FROM": STATUS.DEFERRED,
    b"RCPT TO": STATUS.DEFERRED,
    b"DATA\r\n": STATUS.DEFERRED,
    b"Subject": STATUS.DEFERRED,
    b"carriers.csv": STATUS.DEFERRED,
    b"\r\n.\r\n": STATUS.UNCONFIRMED,
}
CONTENT = (b"Subject", b"carriers.csv")


def dot_after_cut(mail: Any, proxy: Cutting) -> Any:
    """The mail is small: its dot would leave in the moment of a cut in its content."""

    def begin(intent: Mapping[str, str]) -> None:
        until(lambda: proxy.broken)
        mail.begin(intent)

    return replace(mail, begin=begin)


@pytest.mark.parametrize("does", ["cut", "swallow"])
@pytest.mark.parametrize("step", STEPS)
def test_a_broken_line_is_no_false_success_and_no_second_copy(
    tmp_path: Path, inbox: Inbox, step: bytes, does: Any
) -> None:
    mail = a_mail(tmp_path)
    cut_content = does == "cut" and step in CONTENT
    with cutting(inbox.port, Fault(does=does, at=step)) as proxy:
        far = sending(tmp_path, inbox, port=proxy.port, timeout="1s")
        (found,) = outcomes(far, dot_after_cut(mail, proxy) if cut_content else mail)
        assert proxy.happened == 1
        if does == "cut" or step not in CONTENT:
            assert found.status is STEPS[step]
        # With the answers thrown away but the content heard, silence is all there is.
        assert found.status is not STATUS.ACCEPTED
        if found.status is STATUS.DEFERRED:
            (found,) = outcomes(far, again(mail))
            assert found.status is STATUS.ACCEPTED
            assert len(inbox.mails) == 1
    assert len(inbox.mails) <= 1


def test_silence_after_the_final_dot_is_unconfirmed(tmp_path: Path) -> None:
    with smtp_server(Inbox(delay=3)) as inbox:
        far = sending(tmp_path, inbox, timeout="1s")
        mail = a_mail(tmp_path)
        (found,) = outcomes(far, mail)
    assert (found.status, found.reason) == (STATUS.UNCONFIRMED, "answer_lost")
    assert far.probe(again(mail)) is not None


def test_a_line_that_was_lost_between_two_mails_is_opened_again(
    tmp_path: Path, inbox: Inbox
) -> None:
    with cutting(inbox.port) as proxy:
        far = sending(tmp_path, inbox, port=proxy.port)
        mails = iter([a_mail(tmp_path), a_mail(tmp_path, "b@example.com")])

        def one_after_the_other() -> Iterator[Any]:
            yield next(mails)
            proxy.arm(Fault(does="cut", at=b"MAIL FROM"))
            yield next(mails)

        found = list(far.deliver(one_after_the_other(), Never()))
    assert [one.status for one in found] == [STATUS.ACCEPTED] * 2
    assert len(inbox.mails) == 2


def test_a_row_that_cannot_be_written_sends_nothing(
    tmp_path: Path, inbox: Inbox
) -> None:
    class Lost(BaseException):
        """The lease is another's."""

    def lost(intent: Any) -> None:
        raise Lost

    far = sending(tmp_path, inbox)
    with pytest.raises(Lost):
        outcomes(far, replace(a_mail(tmp_path), begin=lost))
    assert inbox.heard == []


# --- boe validate --online ----------------------------------------------------------


def test_a_check_logs_in_and_sends_nothing(tmp_path: Path) -> None:
    with with_login(boe="s3cret-word") as inbox:
        spec = CONNECTIONS["smtp"].model_validate(connection(inbox.port, **PASSWORD))
        email.check(spec, means(tmp_path, environment=RIGHT).secrets)
        wrong = {"MAIL_PASSWORD": "another-word"}
        with pytest.raises(Permanent) as caught:
            email.check(spec, means(tmp_path, environment=wrong).secrets)
    assert caught.value.reason == "login_refused"
    assert inbox.heard == []
    with pytest.raises(Temporary):
        email.check(spec, means(tmp_path, environment=RIGHT).secrets)
