"""What is special about S3 and the stores that speak its language."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from boe_reconciler.core.errors import Cancelled, Permanent, RunError
from boe_reconciler.core.ports import Never
from boe_reconciler.core.resources.connection import S3Connection
from boe_reconciler.core.runs import DeliveryStatus, Outcome
from boe_reconciler.destinations import _reach, s3
from tests.far_sides import SECRET, FarSide, Servers, at, s3_client, s3_moto, s3_rclone
from tests.shipments import CONTENT, Begun, a_shipment, means

BIG = bytes(9 << 20)
KEY = "out/2026/11/24/carriers.csv"
CONNECTION = {
    "type": "s3",
    "region": "eu-central-1",
    "path_style": True,
    "access_key_id": {"env": "KEY_ID"},
    "secret_access_key": {"env": "KEY"},
}
SECRETS = {"KEY_ID": "boe", "KEY": SECRET}
FIELDS = {"type": "s3", "connection": "store", "bucket": "reports", "prefix": "out/"}


# --- A store of one answer ------------------------------------------------------------


@contextmanager
def answering(
    status: int, code: str = "", headers: Mapping[str, str] = {}
) -> Iterator[str]:
    """A store without objects that answers every write so: its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # which knows Expect: 100-continue

        def do_HEAD(self) -> None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = f"<Error><Code>{code}</Code><Message>so it is</Message></Error>"
            body = "" if status == 200 else body
            self.send_response(status)
            for name, text in headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def tried(home: Path, given: Mapping[str, Any] = {}, **connection: Any) -> Outcome:
    found = means(
        home,
        connections={"store": CONNECTION | connection},
        environment=SECRETS,
        **given,
    )
    (outcome,) = s3.create(found).deliver([a_shipment(home, FIELDS)], Never())
    return outcome


@pytest.mark.parametrize(
    ("status", "code", "expected", "reason"),
    [
        (503, "SlowDown", DeliveryStatus.DEFERRED, "rate_limited"),
        (500, "", DeliveryStatus.DEFERRED, "far_side_error"),
        (429, "TooMany", DeliveryStatus.DEFERRED, "far_side_error"),
        (507, "XMinioStorageFull", DeliveryStatus.DEFERRED, "no_space"),
        (409, "ConditionalRequestConflict", DeliveryStatus.DEFERRED, "busy"),
        (400, "BadDigest", DeliveryStatus.DEFERRED, "damaged"),
        (403, "AccessDenied", DeliveryStatus.FAILED, "no_permission"),
        (403, "InvalidAccessKeyId", DeliveryStatus.FAILED, "bad_credentials"),
        (403, "RequestTimeTooSkewed", DeliveryStatus.FAILED, "wrong_clock"),
        (404, "NoSuchBucket", DeliveryStatus.FAILED, "bucket_missing"),
        (400, "InvalidStorageClass", DeliveryStatus.FAILED, "refused"),
        (501, "NotImplemented", DeliveryStatus.FAILED, "refused"),
    ],
)
def test_what_the_store_answers_says_whether_to_try_again(
    tmp_path: Path, status: int, code: str, expected: DeliveryStatus, reason: str
) -> None:
    with answering(status, code) as address:
        outcome = tried(tmp_path, endpoint_url=address)
    assert (outcome.status, outcome.reason) == (expected, reason)
    assert code in outcome.message or reason == "busy"


@pytest.mark.parametrize(("text", "wait"), [("7", 7), ("9" * 20, 7 * 86400)])
def test_a_store_that_is_busy_says_for_how_long(
    tmp_path: Path, text: str, wait: int
) -> None:
    with answering(503, "SlowDown", {"Retry-After": text}) as address:
        assert tried(tmp_path, endpoint_url=address).retry_after == wait


def test_a_store_that_keeps_nothing_is_not_believed(tmp_path: Path) -> None:
    with answering(200) as address:
        outcome = tried(tmp_path, endpoint_url=address)
    assert (outcome.status, outcome.reason) == (DeliveryStatus.FAILED, "not_kept")


# --- Where it may go ------------------------------------------------------------------


def test_the_policys_hosts_are_asked_again_right_before_sending(tmp_path: Path) -> None:
    outcome = tried(
        tmp_path, {"hosts": ["*.internal"]}, endpoint_url="http://127.0.0.1:1"
    )
    assert (outcome.status, outcome.reason) == (DeliveryStatus.FAILED, "host_refused")


def test_a_name_that_leads_to_credentials_of_the_machine_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(2, 1, 6, "", ("169.254.169.254", 0))]
    monkeypatch.setattr(_reach.socket, "getaddrinfo", lambda *_, **__: found)
    outcome = tried(tmp_path, endpoint_url="http://store.example")
    assert (outcome.status, outcome.reason) == (DeliveryStatus.FAILED, "host_refused")


@pytest.mark.parametrize(
    "url",
    ["http://evil.test/b", "http://[::ffff:169.254.1.1]/", "http://mystore.test/"],
)
def test_no_redirect_leads_elsewhere(url: str) -> None:
    with pytest.raises(Permanent, match=r"host|credentials"):
        _reach.refuse(url, "http://store.test:9000", None)


def test_a_bucket_in_the_hosts_name_is_below_the_endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_reach.socket, "getaddrinfo", lambda *_, **__: [])
    _reach.refuse("http://b.store.test/k", "http://store.test:9000", ["store.test"])


# --- Fields ---------------------------------------------------------------------------


def test_a_prefix_that_is_no_path_is_refused(tmp_path: Path) -> None:
    shipment = a_shipment(tmp_path, FIELDS | {"prefix": "../up"})
    found = means(tmp_path, connections={"store": CONNECTION}, environment=SECRETS)
    (outcome,) = s3.create(found).deliver([shipment], Never())
    assert (outcome.status, outcome.reason) == (DeliveryStatus.FAILED, "bad_name")


@pytest.mark.parametrize(
    ("expires", "fields"),
    [
        (timedelta(days=8), {}),
        (timedelta(hours=13), {"access_key_id": None, "secret_access_key": None}),
    ],
)
def test_a_link_does_not_promise_more_than_its_credentials_keep(
    tmp_path: Path,
    expires: timedelta,
    fields: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "boe")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of a role")
    connection = {**CONNECTION, **fields}
    found = means(tmp_path, connections={"store": connection}, environment=SECRETS)
    with pytest.raises(Permanent) as raised:
        s3.create(found).link(a_shipment(tmp_path, FIELDS), expires)
    assert raised.value.reason == "link_too_long"


# --- Real stores ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    started = Servers()
    yield started
    started.close()


@pytest.fixture
def strict(tmp_path: Path, servers: Servers) -> Iterator[FarSide]:
    with s3_moto(tmp_path, servers) as started:
        yield started


@pytest.fixture
def lenient(tmp_path: Path, servers: Servers) -> Iterator[FarSide]:
    with s3_rclone(tmp_path, servers) as started:
        yield started


def one(far_side: FarSide, home: Path, **given: Any) -> Outcome:
    shipment = a_shipment(home, far_side.fields | given.pop("fields", {}), **given)
    (outcome,) = far_side.destination.deliver([shipment], Never())
    return outcome


def put(far_side: FarSide, body: bytes) -> Callable[[Mapping[str, str]], None]:
    """Somebody else writes under our key right before we do."""

    def write(intent: Mapping[str, str]) -> None:
        client, bucket = s3_client(far_side.port or 0), far_side.fields["bucket"]
        client.put_object(Bucket=bucket, Key=intent["key"], Body=body)

    return write


@pytest.mark.slow
@pytest.mark.parametrize("content", [CONTENT, BIG], ids=["small", "large"])
def test_who_comes_in_between_is_not_overwritten(
    strict: FarSide, tmp_path: Path, content: bytes
) -> None:
    outcome = one(strict, tmp_path, content=content, begin=put(strict, b"theirs"))
    assert (outcome.status, outcome.reason) == (DeliveryStatus.FAILED, "exists")
    assert strict.arrived() == [b"theirs"]
    assert uploads(strict) == []


@pytest.mark.slow
def test_what_was_there_stays_though_the_store_ignores_the_condition(
    lenient: FarSide, tmp_path: Path
) -> None:
    put(lenient, b"theirs")({"key": KEY})
    outcome = one(lenient, tmp_path)
    assert (outcome.status, outcome.reason) == (DeliveryStatus.FAILED, "exists")
    assert lenient.arrived() == [b"theirs"]


@pytest.mark.slow
def test_a_conflict_names_the_run_whose_file_is_there(
    strict: FarSide, tmp_path: Path
) -> None:
    for run_id, content in (("daily.m1", b"one"), ("daily.m2", b"two")):
        shipment = a_shipment(
            tmp_path,
            strict.fields,
            run_id=run_id,
            content=content,
            provenance=partial(dict, run=run_id),
        )
        (outcome,) = strict.destination.deliver([shipment], Never())
    assert outcome.message.startswith(f"{KEY!r} is already there, the file of daily.m1")
    assert "{time} or {run_id} into filename_pattern" in outcome.message


@pytest.mark.slow
def test_an_object_tells_where_it_comes_from(strict: FarSide, tmp_path: Path) -> None:
    fields = {
        "tags": {"team": "finance + co=1"},
        "storage_class": "STANDARD_IA",
        "sse": "AES256",
    }
    shipment = a_shipment(
        tmp_path, strict.fields | fields, provenance=lambda: {"run": "daily.1"}
    )
    (outcome,) = strict.destination.deliver([shipment], Never())
    client, bucket = s3_client(strict.port or 0), strict.fields["bucket"]
    head = client.head_object(Bucket=bucket, Key=KEY)
    assert head["Metadata"] == {
        "boe-delivery": shipment.key.identity,
        "boe-sha256": shipment.sha256,
        "boe-run": "daily.1",
    }
    assert head["ContentType"] == "text/csv"
    assert head["StorageClass"] == "STANDARD_IA"
    assert head["ServerSideEncryption"] == "AES256"
    tags = client.get_object_tagging(Bucket=bucket, Key=KEY)["TagSet"]
    assert tags == [{"Key": "team", "Value": "finance + co=1"}]
    assert outcome.receipt == head["ETag"].strip('"')
    assert outcome.remote == f"s3://{bucket}/{KEY}"


def uploads(far_side: FarSide) -> list[str]:
    client = s3_client(far_side.port or 0)
    found = client.list_multipart_uploads(Bucket=far_side.fields["bucket"])
    return [each["UploadId"] for each in found.get("Uploads", [])]


class After(Never):
    """Cancelled at the third look, between two parts."""

    looks = 0

    def check(self) -> None:
        self.looks += 1
        if self.looks > 2:
            raise Cancelled("cancelled", "somebody asked for it")


@pytest.mark.slow
def test_a_cancelled_upload_leaves_no_part(strict: FarSide, tmp_path: Path) -> None:
    begin = Begun()
    shipment = a_shipment(tmp_path, strict.fields, content=BIG, begin=begin)
    with pytest.raises(Cancelled):
        list(strict.destination.deliver([shipment], After()))
    assert "upload" in begin.intents[-1]
    assert uploads(strict) == []


@pytest.mark.slow
def test_a_look_after_a_crash_removes_the_parts(
    strict: FarSide, tmp_path: Path
) -> None:
    client, bucket = s3_client(strict.port or 0), strict.fields["bucket"]
    begun = client.create_multipart_upload(Bucket=bucket, Key=KEY)["UploadId"]
    intent = {"key": KEY, "upload": begun}
    shipment = a_shipment(tmp_path, strict.fields, content=BIG, intent=intent)
    assert strict.destination.probe(shipment) is None
    assert uploads(strict) == []


@pytest.mark.slow
def test_a_look_that_is_refused_leaves_it_open(
    lenient: FarSide, tmp_path: Path
) -> None:
    assert lenient.with_connection
    intent = {"key": KEY}
    shipment = a_shipment(tmp_path, lenient.fields, intent=intent)
    outcome = lenient.with_connection(**lenient.refused).probe(shipment)
    assert outcome
    assert outcome.status is DeliveryStatus.UNCONFIRMED


@pytest.mark.slow
def test_a_link_opens_the_file(lenient: FarSide, tmp_path: Path) -> None:
    shipment = a_shipment(tmp_path, lenient.fields)
    list(lenient.destination.deliver([shipment], Never()))
    link = lenient.destination.link(shipment, timedelta(days=7))  # type: ignore[attr-defined]  # it can
    with urlopen(link, timeout=10) as answer:
        assert answer.read() == CONTENT


@pytest.mark.slow
def test_a_key_without_the_rights_is_told_which_it_needs(
    strict: FarSide, tmp_path: Path
) -> None:
    import boto3

    port = strict.port or 0
    iam = boto3.session.Session("boe", SECRET, region_name="eu-central-1").client(
        "iam", endpoint_url=f"http://127.0.0.1:{port}"
    )
    iam.create_user(UserName="boe")
    key = iam.create_access_key(UserName="boe")["AccessKey"]
    at(port, "/moto-api/reset-auth", body=b"0")
    try:
        assert strict.with_connection
        environment = {"KEY_ID": key["AccessKeyId"], "KEY": key["SecretAccessKey"]}
        far = strict.with_connection(environment=environment)
        (outcome,) = far.deliver([a_shipment(tmp_path, strict.fields)], Never())
    finally:
        at(port, "/moto-api/reset-auth", body=b"1000000000")
    assert (outcome.status, outcome.reason) == (DeliveryStatus.FAILED, "no_permission")
    assert "s3:ListBucket" in outcome.message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "reason"), [(SECRET, None), ("not-the-key", "bad_credentials")]
)
def test_a_connection_is_checked_without_a_trace(
    lenient: FarSide, tmp_path: Path, key: str, reason: str | None
) -> None:
    address = f"http://127.0.0.1:{lenient.port}"
    spec = S3Connection.model_validate(CONNECTION | {"endpoint_url": address})
    secrets = means(tmp_path, environment=SECRETS | {"KEY": key}).secrets
    try:
        s3.check(spec, secrets)
        found = None
    except RunError as error:
        found = error.reason
    assert found == reason
    assert lenient.arrived() == []
