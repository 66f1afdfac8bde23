"""What the destination `webhook` promises, against a receiver that keeps everything."""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core.calendar.periods import Period
from boe_reconciler.core.errors import Cancelled
from boe_reconciler.core.marks import Marks
from boe_reconciler.core.ports import Cancel, Never, Shipment
from boe_reconciler.core.runs import DeliveryStatus, Outcome
from boe_reconciler.destinations import webhook
from tests.cutting import Fault, cutting
from tests.receivers import Answer, Receiver, is_signed, receiving
from tests.shipments import CONTENT, a_shipment, means

ACCEPTED, DEFERRED, FAILED = (
    DeliveryStatus.ACCEPTED,
    DeliveryStatus.DEFERRED,
    DeliveryStatus.FAILED,
)
#: The one of the specification's examples, and another.
OLD, NEW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_bmV3LWtleS1ieS10aGUtd2F5"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


def there_at(
    home: Path, url: str, resolve: webhook.Resolve = webhook.resolved, **given: Any
) -> webhook.WebhookDestination:
    policy = {"private_addresses": True} | given.pop("policy", {})
    connection = {"type": "webhook", "url": url, **given}
    made = means(
        home,
        connections={"hook": connection},
        environment={"OLD": OLD, "NEW": NEW, "RAW": "no base64 at all"},
        **policy,
    )
    return webhook.WebhookDestination(made, resolve)


def ship(home: Path, content: bytes = CONTENT, **given: Any) -> Shipment:
    spec = {"type": "webhook", "connection": "hook", **given.pop("spec", {})}
    return a_shipment(home, spec, content=content, **given)


def send(
    there: webhook.WebhookDestination, shipment: Shipment, cancel: Cancel | None = None
) -> Outcome:
    (outcome,) = there.deliver([shipment], cancel or Never())
    return outcome


def again(shipment: Shipment) -> Shipment:
    known = shipment.begin.intents  # type: ignore[attr-defined]  # of tests/shipments.py
    return replace(shipment, intent=known[-1]) if known else shipment


# --- What is sent -----------------------------------------------------------------------


def test_the_event_tells_of_the_run(tmp_path: Path, receiver: Receiver) -> None:
    period = Period(start=date(2026, 10, 1), end=date(2026, 10, 31), label="2026-10")
    shipment = ship(
        tmp_path,
        link="https://files.example/1",
        context={
            "schedule": "daily",
            "report": "Carriers",
            "period": period,
            "parameters": {"least": Decimal("1.50"), "day": date(2026, 10, 1)},
        },
    )
    outcome = send(there_at(tmp_path, receiver.url), shipment)
    assert outcome.status is ACCEPTED
    (request,) = receiver.requests
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "type": "boe.report.delivered",
        "timestamp": again(shipment).intent["at"],
        "data": {
            "run": "daily.20261124T053000Z",
            "schedule": "daily",
            "report": "Carriers",
            "destination": "there",
            "part": None,
            "occurrence": {
                "utc": "2026-11-24T05:30:00+00:00",
                "local": "2026-11-24T06:30:00+01:00",
                "timezone": "Europe/Berlin",
            },
            "period": {"name": "2026-10", "start": "2026-10-01", "end": "2026-10-31"},
            "parameters": {"least": "1.50", "day": "2026-10-01"},
            "rows": 1,
            "file": {
                "name": "carriers.csv",
                "media_type": "text/csv",
                "bytes": len(CONTENT),
                "sha256": hashlib.sha256(CONTENT).hexdigest(),
            },
            "notice": None,
            "links": {"file": "https://files.example/1"},
            "corrected": None,
            "rerun_of": None,
            "redirected_by": None,
            "notes": [],
        },
    }


def test_what_the_report_was_made_without_is_told_at_each_attempt(
    tmp_path: Path, receiver: Receiver
) -> None:
    shipment = ship(tmp_path, marks=Marks(notes=["Made without a.csv."]))
    for _ in range(2):
        send(there_at(tmp_path, receiver.url), shipment)
        shipment = again(shipment)
    first, second = (request.body for request in receiver.requests)
    assert json.loads(first)["data"]["notes"] == ["Made without a.csv."]
    assert first == second


def test_the_file_goes_with_the_event(tmp_path: Path, receiver: Receiver) -> None:
    content = os.urandom(300_000)
    shipment = ship(
        tmp_path, content, spec={"send": "file"}, filename='Übersicht "今日".csv'
    )
    there = there_at(tmp_path, receiver.url, secret={"env": "OLD"})
    assert send(there, shipment).status is ACCEPTED
    (request,) = receiver.requests
    assert is_signed(request, OLD)
    assert request.parts["file"].get_payload(decode=True) == content
    event = json.loads(request.parts["event"].get_payload())  # type: ignore[arg-type]  # one part is text
    assert event["data"]["file"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert 'filename="Übersicht %22今日%22.csv"'.encode() in request.body


def test_each_secret_signs(tmp_path: Path, receiver: Receiver) -> None:
    there = there_at(tmp_path, receiver.url, secret=[{"env": "NEW"}, {"env": "OLD"}])
    send(there, ship(tmp_path))
    (request,) = receiver.requests
    assert is_signed(request, OLD)
    assert is_signed(request, NEW)
    assert not is_signed(request, "whsec_AAAA")


def test_a_secret_that_is_no_base64_signs_as_it_is(
    tmp_path: Path, receiver: Receiver
) -> None:
    send(there_at(tmp_path, receiver.url, secret={"env": "RAW"}), ship(tmp_path))
    (request,) = receiver.requests
    assert is_signed(request, "whsec_bm8gYmFzZTY0IGF0IGFsbA==")


def test_a_bare_url_gets_no_signature(tmp_path: Path, receiver: Receiver) -> None:
    spec = {"type": "webhook", "url": receiver.url}
    there = webhook.create(means(tmp_path, private_addresses=True))
    assert send(there, a_shipment(tmp_path, spec)).status is ACCEPTED
    assert "webhook-signature" not in receiver.requests[0].headers
    assert "webhook-id" in receiver.requests[0].headers


def test_the_connections_headers_never_replace_ours(
    tmp_path: Path, receiver: Receiver
) -> None:
    headers = {"X-Team": "finance", "Webhook-Id": "mine", "Host": "elsewhere"}
    shipment = ship(tmp_path)
    send(there_at(tmp_path, receiver.url, headers=headers), shipment)
    found = receiver.requests[0].headers
    assert found["x-team"] == "finance"
    assert found["webhook-id"] == shipment.key.identity
    assert found["host"] == f"127.0.0.1:{receiver.port}"


def test_a_retry_has_the_same_id_and_body_and_a_signature_of_its_own(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = [Answer(status=503)]
    there = there_at(tmp_path, receiver.url, secret={"env": "OLD"})
    shipment = ship(tmp_path)
    assert send(there, shipment).status is DEFERRED
    assert send(there, again(shipment)).status is ACCEPTED
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert is_signed(second, OLD)


# --- What is answered ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((200, ACCEPTED), (202, ACCEPTED), (204, ACCEPTED)),
        *((301, FAILED), (307, FAILED), (400, FAILED), (401, FAILED), (404, FAILED)),
        *((408, DEFERRED), (429, DEFERRED), (500, DEFERRED), (503, DEFERRED)),
    ],
)
def test_the_status_decides(
    tmp_path: Path, receiver: Receiver, status: int, expected: DeliveryStatus
) -> None:
    receiver.answers = [Answer(status=status)]
    assert send(there_at(tmp_path, receiver.url), ship(tmp_path)).status is expected


def test_gone_has_a_reason_of_its_own(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [Answer(status=410)]
    outcome = send(there_at(tmp_path, receiver.url), ship(tmp_path))
    assert (outcome.status, outcome.reason) == (FAILED, "gone")


def test_a_wait_that_is_asked_for_is_kept(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [Answer(status=429, headers={"Retry-After": "77"})]
    outcome = send(there_at(tmp_path, receiver.url), ship(tmp_path))
    assert outcome.retry_after == 77.0


def test_a_redirect_is_told_without_secrets_and_not_followed(
    tmp_path: Path, receiver: Receiver
) -> None:
    to = {"Location": f"http://user:pw@127.0.0.1:{receiver.port}/other?token=t0ken"}
    receiver.answers = [Answer(status=308, headers=to)]
    outcome = send(there_at(tmp_path, receiver.url), ship(tmp_path))
    assert (outcome.status, outcome.reason) == (FAILED, "redirected")
    assert f"points to http://127.0.0.1:{receiver.port}" in outcome.message
    assert not {"pw", "t0ken", "other"} & set(outcome.message.replace("/", " ").split())
    assert len(receiver.requests) == 1


def test_the_far_sides_words_are_one_short_line_without_our_address(
    tmp_path: Path, receiver: Receiver
) -> None:
    words = (
        b"no hook at /hooks/s3cr3t-path?key=k3y%21k3y or k3y!k3y\r\n\x1b[31m"
        + b"x" * 99_999
    )
    receiver.answers = [Answer(status=404, body=words)]
    there = there_at(tmp_path, f"{receiver.url}?key=k3y%21k3y")
    outcome = send(there, ship(tmp_path))
    assert "no hook at" in outcome.message
    assert "s3cr3t" not in outcome.message
    assert "k3y" not in outcome.message
    assert outcome.message.isprintable()
    assert len(outcome.message) < 400


# --- Connections that break ----------------------------------------------------------------


@pytest.mark.parametrize("mode", ["event", "file"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(after=0),
        Fault(at=b"POST "),
        Fault(at=b"webhook-id"),
        Fault(at=b"\r\n\r\n"),
        Fault(at=b"boe.report.delivered"),
        Fault(does="swallow", at=b"\r\n\r\n"),
        Fault(way="back", after=0),
        Fault(way="back", after=5),
        pytest.param(Fault(does="stall", at=b"POST "), marks=pytest.mark.slow),
        pytest.param(Fault(does="stall", way="back"), marks=pytest.mark.slow),
    ],
)
def test_a_cut_at_any_step_is_told_again_with_the_same_id(
    tmp_path: Path, receiver: Receiver, fault: Fault, mode: str
) -> None:
    with cutting(receiver.port, fault) as proxy:
        url = f"http://127.0.0.1:{proxy.port}/"
        there = there_at(tmp_path, url, timeout="1s" if fault.does == "stall" else None)
        shipment = ship(tmp_path, os.urandom(50_000), spec={"send": mode})
        assert send(there, shipment).status is DEFERRED
        assert proxy.happened == 1
        assert send(there, again(shipment)).status is ACCEPTED
    ids = {one.headers["webhook-id"] for one in receiver.requests}
    assert ids == {shipment.key.identity}


def test_an_answer_whose_words_break_off_still_counts(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = [Answer(status=200, body=b"y" * 1000)]
    with cutting(receiver.port, Fault(way="back", at=b"yyy")) as proxy:
        there = there_at(tmp_path, f"http://127.0.0.1:{proxy.port}/")
        assert send(there, ship(tmp_path)).status is ACCEPTED


def test_nobody_there_is_tried_again(tmp_path: Path) -> None:
    outcome = send(there_at(tmp_path, "http://127.0.0.1:1/key"), ship(tmp_path))
    assert (outcome.status, outcome.reason) == (DEFERRED, "unreachable")
    assert "key" not in outcome.message


class Interrupting(Never):
    """Cancels half a second after the far side fell silent."""

    over = False

    def check(self) -> None:
        if self.over:
            raise Cancelled("cancelled", "somebody asked for it")

    def on_cancel(self, callback: Callable[[], None]) -> AbstractContextManager[None]:
        def interrupt() -> None:
            self.over = True
            callback()

        threading.Timer(0.3, interrupt).start()
        return super().on_cancel(callback)


def test_a_cancel_interrupts_a_silent_far_side(
    tmp_path: Path, receiver: Receiver
) -> None:
    with cutting(receiver.port, Fault(does="stall", at=b"POST ")) as proxy:
        there = there_at(tmp_path, f"http://127.0.0.1:{proxy.port}/")
        with pytest.raises(Cancelled):
            send(there, ship(tmp_path), Interrupting())


# --- Where it may lead ----------------------------------------------------------------------


class Names:
    """A resolver whose answers a test gives, one after the other."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers.pop(0).split()


CLOSED = {"private_addresses": False}


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "127.0.0.1",
        "10.0.0.1",
        "100.64.0.1",
        "::1",
        "::ffff:10.0.0.1",
    ],
)
def test_a_name_that_leads_into_ones_own_network_is_refused(
    tmp_path: Path, address: str
) -> None:
    names = Names(f"1.1.1.1 {address}")
    there = there_at(tmp_path, "http://hooks.example/", names, policy=CLOSED)
    shipment = ship(tmp_path)
    outcome = send(there, shipment)
    assert (outcome.status, outcome.reason) == (FAILED, "host_refused")
    assert not again(shipment).intent


def test_a_name_is_resolved_once_and_what_was_checked_is_what_is_reached(
    tmp_path: Path, receiver: Receiver
) -> None:
    names = Names("127.0.0.1", "169.254.169.254")
    url = f"http://hooks.example:{receiver.port}/"
    assert send(there_at(tmp_path, url, names), ship(tmp_path)).status is ACCEPTED
    assert names.asked == ["hooks.example"]
    assert receiver.requests[0].headers["host"] == f"hooks.example:{receiver.port}"


def test_each_attempt_looks_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[Any] = []

    def nobody(address: Any, *args: Any, **more: Any) -> Any:
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr("socket.create_connection", nobody)
    names = Names("1.1.1.1 1.0.0.1", "169.254.169.254")
    there = there_at(tmp_path, "http://hooks.example/", names, policy=CLOSED)
    shipment = ship(tmp_path)
    assert send(there, shipment).reason == "unreachable"
    assert send(there, again(shipment)).reason == "host_refused"
    assert connected == ["1.1.1.1", "1.0.0.1"]


def test_a_host_that_policy_does_not_list_is_not_reached(
    tmp_path: Path, receiver: Receiver
) -> None:
    there = there_at(tmp_path, receiver.url, policy={"hosts": ["*.internal"]})
    assert send(there, ship(tmp_path)).reason == "host_refused"
    assert receiver.requests == []


def test_proxies_of_the_environment_are_not_used(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert send(there_at(tmp_path, receiver.url), ship(tmp_path)).status is ACCEPTED


def test_another_scheme_is_refused(tmp_path: Path) -> None:
    for url in ("ftp://hooks.example/", "hooks.example", "http://", "http://[::1"):
        outcome = send(there_at(tmp_path, url), ship(tmp_path))
        assert (outcome.status, outcome.reason) == (FAILED, "bad_url")


def a_certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """Signed by itself; and a server that shows it."""
    from datetime import timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context


def test_the_certificate_has_to_be_that_of_the_name_not_of_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, context = a_certificate(tmp_path, "hooks.example")
    shown: list[str | None] = []
    context.sni_callback = lambda line, name, of: shown.append(name)
    monkeypatch.setattr(
        webhook, "_trusted", lambda: ssl.create_default_context(cafile=str(path))
    )
    with receiving(context) as receiver:
        for name, expected in (("hooks", ACCEPTED), ("others", DEFERRED)):
            url = f"https://{name}.example:{receiver.port}/"
            there = there_at(tmp_path, url, Names("127.0.0.1"))
            outcome = send(there, ship(tmp_path))
            assert outcome.status is expected
    assert "certificate" in outcome.message
    assert shown == ["hooks.example", "others.example"]
    assert len(receiver.requests) == 1
