"""Real far sides of destinations, for the promises that all of them keep."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from boe_reconciler.backends import DESTINATIONS
from boe_reconciler.core.ports import Destination
from tests import mail_servers
from tests.mail_servers import Arrived
from tests.receivers import receiving
from tests.sftp_servers import Server
from tests.shipments import means

BIN = Path(sys.executable).parent
#: What no message may show.
SECRET = "k7/Canary+Secret=9x"


@dataclass(frozen=True, kw_only=True)
class FarSide:
    destination: Destination
    #: The destination's fields in YAML.
    fields: dict[str, Any]
    #: The bytes of every file that arrived there.
    arrived: Callable[[], list[bytes]]
    #: Whether it can be asked later what became of a delivery.
    tells: bool = True
    recipient: str = "-"
    #: It is sent again instead, and known there by its identity.
    repeats: bool = False
    #: Fields of a target that is not there.
    missing: dict[str, Any] = field(default_factory=dict)
    #: The port of the server; None: there is none.
    port: int | None = None
    #: The same far side by other fields of its Connection, such as a proxy's port or a
    #: short time-out; None: it has no Connection.
    with_connection: Callable[..., Destination] | None = None
    #: What `with_connection` takes for credentials that are refused.
    refused: dict[str, Any] = field(default_factory=dict)
    #: Its Connection, and the secrets of that.
    connection: dict[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Whether the bytes of a file can be read on the wire.
    plain: bool = False
    #: Whether it takes a file in one request, so that nobody knows more meanwhile.
    whole: bool = False


class Servers:
    """What is started once, and ended with the session."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._started: dict[Any, Any] = {}

    def get(self, start: Callable[[], AbstractContextManager[int]]) -> int:
        """The port of the server that `start` starts."""
        if start not in self._started:
            self._started[start] = self._stack.enter_context(start())
        port: int = self._started[start]
        return port

    def close(self) -> None:
        self._stack.close()


@contextmanager
def program(*command: str | Path, port: int, **options: Any) -> Iterator[int]:
    """A server that listens on the port."""
    running = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )
    try:
        _await(port, running)
        yield port
    finally:
        running.terminate()
        running.wait(10)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def _await(port: int, running: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    while running.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"the server does not start: {running.args!r}")


def at(port: int, path: str, method: str = "POST", body: bytes = b"") -> bytes:
    """Ask a server's own verbs."""
    request = Request(f"http://127.0.0.1:{port}{path}", data=body, method=method)
    request.add_header("Content-Type", "text/plain")
    with urlopen(request, timeout=10) as answer:
        found: bytes = answer.read()
    return found


Start = Callable[[Path, Servers], AbstractContextManager[FarSide]]


# --- A folder -----------------------------------------------------------------


@contextmanager
def local(home: Path, servers: Servers) -> Iterator[FarSide]:
    root = home / "root"
    root.mkdir()
    module = import_module(DESTINATIONS["local"])
    yield FarSide(
        destination=module.create(means(home, local_root=root)),
        fields={"type": "local", "base_path": "exports"},
        arrived=lambda: [p.read_bytes() for p in root.rglob("*") if p.is_file()],
        missing={"base_path": "/nowhere"},
    )


# --- Mail -----------------------------------------------------------------------

ADDRESS = "anna@example.com"


def mails(
    home: Path, connection: dict[str, Any], arrived: Callable[[], Iterable[Arrived]]
) -> FarSide:
    spec = {"from": "reports@example.com", **connection}
    keys = {"KEY_ID": "AKIAEXAMPLE", "KEY": "s3cret-key-of-ses"}
    found = means(home, connections={"mail": spec}, environment=keys)
    return FarSide(
        destination=import_module(DESTINATIONS["email"]).create(found),
        fields={
            "type": "email",
            "connection": "mail",
            "to": [ADDRESS],
            "subject": "Carriers",
        },
        arrived=lambda: [
            content for mail in arrived() for content in mail.files.values()
        ],
        tells=False,
        recipient=ADDRESS,
    )


@contextmanager
def aiosmtpd(home: Path, servers: Servers) -> Iterator[FarSide]:
    with mail_servers.smtp_server() as inbox:
        server = {"type": "smtp", "host": "localhost", "port": inbox.port}
        yield mails(home, {**server, "tls": "none"}, lambda: inbox.mails)


@contextmanager
def postfix(home: Path, servers: Servers) -> Iterator[FarSide]:
    with mail_servers.postfix("anna") as running:
        server = {"type": "smtp", "host": "localhost", "port": running.port}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(running.trusted))
            yield mails(home, server, lambda: running.mails("anna"))


@contextmanager
def ses(home: Path, servers: Servers) -> Iterator[FarSide]:
    keys = {"access_key_id": {"env": "KEY_ID"}, "secret_access_key": {"env": "KEY"}}
    region = {"type": "ses", "region": "eu-central-1"}
    with (
        mail_servers.ses_server() as running,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("AWS_ENDPOINT_URL_SESV2", running.url)
        yield replace(mails(home, region | keys, running.mails), whole=True)


# --- A webhook ------------------------------------------------------------------


@contextmanager
def webhook(home: Path, servers: Servers) -> Iterator[FarSide]:
    with receiving() as receiver:
        module = import_module(DESTINATIONS["webhook"])
        yield FarSide(
            destination=module.create(means(home, private_addresses=True)),
            fields={"type": "webhook", "url": receiver.url, "send": "file"},
            arrived=receiver.files,
            repeats=True,
        )


# --- SFTP ---------------------------------------------------------------------


def sftp(serve: Callable[[Path], AbstractContextManager[Server]]) -> Start:
    @contextmanager
    def start(home: Path, servers: Servers) -> Iterator[FarSide]:
        with serve(home / "root") as server:
            module = import_module(DESTINATIONS["sftp"])

            def with_connection(
                *, environment: Mapping[str, str] = {}, **fields: Any
            ) -> Destination:
                made: Destination = module.create(
                    means(
                        home,
                        connections={"bank": server.connection(**fields)},
                        environment={**server.environment, **environment},
                    )
                )
                return made

            yield FarSide(
                destination=with_connection(),
                fields={"type": "sftp", "connection": "bank", "base_path": server.path},
                arrived=server.files,
                port=server.port,
                with_connection=with_connection,
                refused={
                    "environment": dict.fromkeys(server.environment, "not-the-one")
                },
            )

    return start


# --- S3 -----------------------------------------------------------------------


@contextmanager
def moto() -> Iterator[int]:
    """Honours conditions; checks neither signatures nor checksums."""
    port = free_port()
    with program(BIN / "moto_server", "-H", "127.0.0.1", "-p", f"{port}", port=port):
        yield port


@contextmanager
def _rclone() -> Iterator[int]:
    """Checks signatures and MD5, and ignores conditions."""
    port, folder = free_port(), tempfile.mkdtemp(prefix="boe-rclone-")
    command = [BIN / "rclone", "serve", "s3", "--addr", f"127.0.0.1:{port}"]
    keys = ["--auth-key", f"boe,{SECRET}", folder]
    try:
        with program(*command, *keys, port=port):
            yield port
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def s3_moto(home: Path, servers: Servers) -> Iterator[FarSide]:
    port = servers.get(moto)
    at(port, "/moto-api/reset")
    yield replace(_s3(home, port, {}), refused={})


@contextmanager
def s3_rclone(home: Path, servers: Servers) -> Iterator[FarSide]:
    yield _s3(home, servers.get(_rclone), {"checksums": "when_required"})


def s3_client(port: int) -> Any:
    import boto3

    return boto3.session.Session("boe", SECRET, region_name="eu-central-1").client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}"
    )


def _s3(home: Path, port: int, more: Mapping[str, Any]) -> FarSide:
    client, bucket = s3_client(port), _name(home)
    place = {"LocationConstraint": "eu-central-1"}
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)

    def arrived() -> list[bytes]:
        found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return [
            client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
            for one in found
        ]

    connection: dict[str, Any] = {
        "type": "s3",
        "region": "eu-central-1",
        "path_style": True,
        "access_key_id": {"env": "KEY_ID"},
        "secret_access_key": {"env": "KEY"},
        **more,
    }
    return _store(
        home,
        port,
        connection,
        environment={"KEY_ID": "boe", "KEY": SECRET},
        fields={"type": "s3", "bucket": bucket, "prefix": "out/"},
        arrived=arrived,
        missing={"bucket": "nobody-has-this"},
    )


# --- Azure --------------------------------------------------------------------

AZURITE = BIN.parent / "node/node_modules/.bin/azurite-blob"
#: What each Azurite has, and everybody knows.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/"
    "KBHBeksoGMGw=="
)


@contextmanager
def _azurite() -> Iterator[int]:
    port = free_port()
    where = ["--blobHost", "127.0.0.1", "--blobPort", f"{port}"]
    how = ["--inMemoryPersistence", "--skipApiVersionCheck", "--silent"]
    with program(AZURITE, *where, *how, port=port):
        yield port


@contextmanager
def azurite(home: Path, servers: Servers) -> Iterator[FarSide]:
    if shutil.which("node") is None or not AZURITE.exists():
        pytest.skip("no Azurite here: it needs node, and `make node-programs`")
    from azure.storage.blob import ContainerClient

    port, name = servers.get(_azurite), _name(home)
    account = f"http://127.0.0.1:{port}/{ACCOUNT}"
    key = {"account_name": ACCOUNT, "account_key": ACCOUNT_KEY}
    with ContainerClient(account, name, credential=key) as container:
        container.create_container()
        yield _store(
            home,
            port,
            {
                "type": "azure",
                "credential": {"env": "AZURE_KEY"},
                "path": f"/{ACCOUNT}",
            },
            environment={"AZURE_KEY": ACCOUNT_KEY},
            fields={"type": "azure", "container": name, "prefix": "out/"},
            arrived=lambda: [
                container.download_blob(one.name).readall()
                for one in container.list_blobs()
            ],
            missing={"container": "nobody-has-this"},
        )


# --- Google Cloud Storage -----------------------------------------------------


@contextmanager
def _gcs() -> Iterator[int]:
    """Ignores the condition on the generation, and takes any credential."""
    port = free_port()
    where = ["start", "--host=127.0.0.1", f"--port={port}", "--in-memory"]
    with program(BIN / "gcp-storage-emulator", *where, port=port):
        yield port


@contextmanager
def gcs_emulator(home: Path, servers: Servers) -> Iterator[FarSide]:
    port, name = servers.get(_gcs), _name(home)
    with gcs_bucket(port, name) as bucket:
        yield _store(
            home,
            port,
            {"type": "gcs"},
            environment={},
            fields={"type": "gcs", "bucket": name, "prefix": "out/"},
            # By name: the address of its bytes may be that of a proxy that is gone.
            arrived=lambda: [
                bucket.blob(one.name).download_as_bytes(retry=None)
                for one in bucket.list_blobs(retry=None)
            ],
            missing={"bucket": "nobody-has-this"},
        )


@contextmanager
def gcs_bucket(port: int, name: str) -> Iterator[Any]:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    client = storage.Client(
        "boe",
        AnonymousCredentials(),
        client_options={"api_endpoint": f"http://127.0.0.1:{port}"},
    )
    try:
        bucket = client.bucket(name)
        yield bucket if bucket.exists() else client.create_bucket(name)
    finally:
        client.close()


# --- All stores -----------------------------------------------------------------


def _name(home: Path) -> str:
    """Of a bucket: another one for each test."""
    return f"reports-{re.sub('[^a-z0-9]', '', home.name.lower())[-20:]}"


def _store(
    home: Path,
    port: int,
    connection: dict[str, Any],
    environment: Mapping[str, str],
    **given: Any,
) -> FarSide:
    """The store behind the port, through a Connection `store`."""
    kind = connection["type"]
    module = import_module(DESTINATIONS[kind])
    address = {"azure": "account_url", "gcs": "endpoint"}.get(kind, "endpoint_url")
    path = connection.pop("path", "")
    secrets = environment

    def with_connection(
        *, port: int = port, environment: Mapping[str, str] = {}, **fields: Any
    ) -> Destination:
        spec = {**connection, address: f"http://127.0.0.1:{port}{path}", **fields}
        found = means(
            home, connections={"store": spec}, environment={**secrets, **environment}
        )
        made: Destination = module.create(found)
        return made

    given["fields"]["connection"] = "store"
    wrong = {name: "d3Jvbmcga2V5IGhlcmU=" for name in secrets if name != "KEY_ID"}
    return FarSide(
        destination=with_connection(),
        port=port,
        with_connection=with_connection,
        connection={**connection, address: f"http://127.0.0.1:{port}{path}"},
        environment=environment,
        plain=True,
        refused={"environment": wrong} if wrong else {},
        **given,
    )
