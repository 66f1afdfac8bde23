"""Mails through Amazon SES, as moto plays it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core.ports import Shipment
from boe_reconciler.destinations import email
from tests.cutting import Fault, cutting
from tests.destinations.test_email import STATUS, A, a_mail, again, outcomes
from tests.mail_servers import ses_server
from tests.shipments import means

pytestmark = pytest.mark.slow
KEYS = {"KEY_ID": "AKIAEXAMPLE", "KEY": "s3cret-key-of-ses"}


def sending(home: Path, url: str, patch: pytest.MonkeyPatch) -> email.EmailDestination:
    patch.setenv("AWS_ENDPOINT_URL_SESV2", url)
    mail = {
        "type": "ses",
        "region": "eu-central-1",
        "from": "reports@example.com",
        "access_key_id": {"env": "KEY_ID"},
        "secret_access_key": {"env": "KEY"},
        "timeout": "1s",
    }
    return email.create(means(home, connections={"mail": mail}, environment=KEYS))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ses_server() as found:
        yield found.url


def test_ses_takes_each_mail_and_gives_its_id(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = sending(tmp_path, url, monkeypatch)
    mail = a_mail(tmp_path)
    (found,) = outcomes(far, mail)
    assert found.status is STATUS.ACCEPTED
    assert found.receipt
    assert found.remote == "ses:eu-central-1"
    assert again(mail).intent["through"] == "mail"


def test_an_answer_that_was_lost_is_unconfirmed_and_never_asked_for_again(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(url.rpartition(":")[2])
    for does in ("swallow", "stall"):
        fault = Fault(does=does, at=b"FromEmailAddress", times=None)  # type: ignore[arg-type]  # both are
        with cutting(port, fault) as proxy:
            far = sending(tmp_path, f"http://127.0.0.1:{proxy.port}", monkeypatch)
            (found,) = outcomes(far, a_mail(tmp_path))
            assert (found.status, found.reason) == (STATUS.UNCONFIRMED, "answer_lost")
            assert len(proxy.passed) == 1


def test_ses_that_cannot_be_reached_is_tried_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = sending(tmp_path, "http://127.0.0.1:1", monkeypatch)
    found = outcomes(far, a_mail(tmp_path), a_mail(tmp_path, "b@example.com"))
    assert {(one.status, one.reason) for one in found} == {
        (STATUS.DEFERRED, "unreachable")
    }


#: What SES answers -> what we say.
ANSWERS = {
    (429, "TooManyRequestsException"): (STATUS.DEFERRED, "rate_limited"),
    (400, "LimitExceededException"): (STATUS.DEFERRED, "quota"),
    (503, "ServiceUnavailable"): (STATUS.DEFERRED, "server_busy"),
    (500, "Whatever"): (STATUS.DEFERRED, "server_busy"),
    (400, "MessageRejected"): (STATUS.REFUSED, "refused"),
    (400, "NeverHeardOf"): (STATUS.REFUSED, "refused"),
    (400, "MailFromDomainNotVerifiedException"): (STATUS.FAILED, "sender_refused"),
    (400, "AccountSuspendedException"): (STATUS.FAILED, "account_stopped"),
    (403, "InvalidSignatureException"): (STATUS.FAILED, "login_refused"),
}


@contextmanager
def answering(status: int, code: str) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"message": "told by a test"}).encode()
            self.send_response(status)
            self.send_header("x-amzn-ErrorType", code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "code"), ANSWERS)
def test_what_ses_says_is_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, code: str
) -> None:
    mails: list[Shipment] = [a_mail(tmp_path), a_mail(tmp_path, A.replace("a", "b", 1))]
    with answering(status, code) as (url, asked):
        found = outcomes(sending(tmp_path, url, monkeypatch), *mails)
    expected = ANSWERS[status, code]
    assert [(one.status, one.reason) for one in found] == [expected] * 2
    # What stops the account is asked once, what is about one mail for each.
    assert len(asked) == (1 if expected[0] is STATUS.FAILED else 2)
    assert KEYS["KEY"] not in str(found)
