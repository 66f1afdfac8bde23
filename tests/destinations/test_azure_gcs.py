"""What is special about Azure Blob Storage and Google Cloud Storage."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import Never
from boe_reconciler.core.runs import DeliveryStatus, Outcome
from tests.far_sides import ACCOUNT, ACCOUNT_KEY, Servers, azurite
from tests.shipments import CONTENT, a_shipment, means

DEFERRED, FAILED = DeliveryStatus.DEFERRED, DeliveryStatus.FAILED
FIELDS: dict[str, dict[str, Any]] = {
    "azure": {"type": "azure", "connection": "store", "container": "reports"},
    "gcs": {"type": "gcs", "connection": "store", "bucket": "reports"},
}


@dataclass
class Store:
    """Holds nothing, and answers every write in the same way."""

    url: str = ""
    asked: list[str] = field(default_factory=list)


@contextmanager
def answering(status: int, code: str) -> Iterator[Store]:
    store = Store()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer(404, "BlobNotFound")

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            store.asked.append(f"{self.path} {self.headers['If-None-Match']}")
            self.answer(status, code)

        def do_POST(self) -> None:
            self.do_PUT()

        def answer(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("x-ms-error-code", code)
            self.send_header("Retry-After", "7")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    store.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def destination(kind: str, home: Path, url: str, **given: Any) -> Any:
    connection = {"type": kind, "endpoint" if kind == "gcs" else "account_url": url}
    if kind == "azure":
        connection["account_url"] = f"{url}/{ACCOUNT}"
        connection["credential"] = {"env": "KEY"}
    found = means(
        home,
        connections={"store": connection | given.pop("connection", {})},
        environment={"KEY": ACCOUNT_KEY, **given.pop("environment", {})},
        **given,
    )
    return import_module(f"boe_reconciler.destinations.{kind}").create(found)


def tried(kind: str, home: Path, url: str, **given: Any) -> Outcome:
    far = destination(kind, home, url, **given)
    outcome: Outcome
    (outcome,) = far.deliver([a_shipment(home, FIELDS[kind])], Never())
    return outcome


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "status", "code", "expected", "reason"),
    [
        ("azure", 503, "ServerBusy", DEFERRED, "rate_limited"),
        ("azure", 500, "InternalError", DEFERRED, "far_side_error"),
        ("azure", 409, "BlobAlreadyExists", DEFERRED, "busy"),
        ("azure", 412, "ConditionNotMet", DEFERRED, "busy"),
        ("azure", 403, "AuthenticationFailed", FAILED, "bad_credentials"),
        ("azure", 403, "AuthorizationPermissionMismatch", FAILED, "no_permission"),
        ("azure", 404, "ContainerNotFound", FAILED, "bucket_missing"),
        ("azure", 301, "", FAILED, "refused"),
        ("azure", 400, "InvalidMetadata", FAILED, "refused"),
        ("gcs", 503, "", DEFERRED, "far_side_error"),
        ("gcs", 429, "", DEFERRED, "rate_limited"),
        ("gcs", 412, "", DEFERRED, "busy"),
        ("gcs", 401, "", FAILED, "bad_credentials"),
        ("gcs", 403, "", FAILED, "no_permission"),
        ("gcs", 404, "", FAILED, "bucket_missing"),
        ("gcs", 400, "", FAILED, "refused"),
    ],
)
def test_what_the_store_answers_says_whether_to_try_again(
    tmp_path: Path,
    kind: str,
    status: int,
    code: str,
    expected: DeliveryStatus,
    reason: str,
) -> None:
    with answering(status, code) as store:
        outcome = tried(kind, tmp_path, store.url)
    assert (outcome.status, outcome.reason) == (expected, reason)
    if expected is DEFERRED and reason != "busy":
        assert outcome.retry_after == 7
    assert len(store.asked) == 1


@pytest.mark.slow
def test_the_condition_stands_in_what_is_sent(tmp_path: Path) -> None:
    with answering(500, "") as store:
        tried("gcs", tmp_path, store.url)
        tried("azure", tmp_path, store.url)
    assert "ifGenerationMatch=0" in store.asked[0]
    assert store.asked[1].endswith(" *")


@pytest.mark.slow
@pytest.mark.parametrize("kind", FIELDS)
def test_the_policys_hosts_are_asked_again_right_before_sending(
    tmp_path: Path, kind: str
) -> None:
    outcome = tried(kind, tmp_path, "http://127.0.0.1:1", hosts=["*.internal"])
    assert (outcome.status, outcome.reason) == (FAILED, "host_refused")


@pytest.mark.slow
@pytest.mark.parametrize("kind", FIELDS)
def test_a_credential_that_is_none_is_told_without_it(
    tmp_path: Path, kind: str
) -> None:
    wrong = "canary1"  # no JSON, and no base64
    outcome = tried(
        kind,
        tmp_path,
        "http://127.0.0.1:1",
        connection={"credential": {"env": "WRONG"}},
        environment={"WRONG": wrong},
    )
    assert outcome.status is FAILED
    assert "canary" not in outcome.message


@pytest.mark.slow
def test_a_link_of_gcs_needs_credentials_that_sign(tmp_path: Path) -> None:
    far = destination("gcs", tmp_path, "http://127.0.0.1:1")
    shipment = a_shipment(tmp_path, FIELDS["gcs"])
    for expires, reason in (
        (timedelta(days=8), "link_too_long"),
        (timedelta(days=1), "link_impossible"),
    ):
        with pytest.raises(Permanent) as raised:
            far.link(shipment, expires)
        assert raised.value.reason == reason


@pytest.mark.slow
def test_a_link_of_azure_opens_the_file(tmp_path: Path) -> None:
    servers = Servers()
    try:
        with azurite(tmp_path, servers) as far_side:
            shipment = a_shipment(tmp_path, far_side.fields)
            far: Any = far_side.destination
            list(far.deliver([shipment], Never()))
            with urlopen(far.link(shipment, timedelta(days=30)), timeout=10) as answer:
                assert answer.read() == CONTENT
    finally:
        servers.close()
