"""What every destination promises, whatever far side is behind it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.backends import DESTINATIONS
from boe_reconciler.core.errors import Cancelled
from boe_reconciler.core.ports import Destination, Shipment
from boe_reconciler.core.resources.distribution import DESTINATIONS as SPECS
from boe_reconciler.core.runs import DeliveryStatus
from tests import mail_servers, sftp_servers
from tests.mail_servers import Arrived
from tests.receivers import receiving
from tests.shipments import CONTENT, a_shipment, means


class Cancel:
    def __init__(self, *, cancelled: bool = False) -> None:
        self.cancelled = cancelled

    def check(self) -> None:
        if self.cancelled:
            raise Cancelled("cancelled", "somebody asked for it")

    def on_cancel(self, callback: Callable[[], None]) -> AbstractContextManager[None]:
        return nullcontext()


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


Start = Callable[[Path], AbstractContextManager[FarSide]]
ADDRESS = "anna@example.com"


@contextmanager
def local(tmp_path: Path) -> Iterator[FarSide]:
    root = tmp_path / "root"
    root.mkdir()
    module = importlib.import_module(DESTINATIONS["local"])
    yield FarSide(
        destination=module.create(means(tmp_path, local_root=root)),
        fields={"type": "local", "base_path": "exports"},
        arrived=lambda: [p.read_bytes() for p in root.rglob("*") if p.is_file()],
    )


def sftp(serve: Callable[[Path], AbstractContextManager[Any]]) -> Start:
    @contextmanager
    def start(tmp_path: Path) -> Iterator[FarSide]:
        with serve(tmp_path / "root") as server:
            module = importlib.import_module(DESTINATIONS["sftp"])
            yield FarSide(
                destination=module.create(
                    means(
                        tmp_path,
                        connections={"bank": server.connection()},
                        environment=server.environment,
                    )
                ),
                fields={"type": "sftp", "connection": "bank", "base_path": server.path},
                arrived=server.files,
            )

    return start


def mails(
    home: Path, connection: dict[str, Any], arrived: Callable[[], Iterable[Arrived]]
) -> FarSide:
    spec = {"from": "reports@example.com", **connection}
    keys = {"KEY_ID": "AKIAEXAMPLE", "KEY": "s3cret-key-of-ses"}
    found = means(home, connections={"mail": spec}, environment=keys)
    return FarSide(
        destination=importlib.import_module(DESTINATIONS["email"]).create(found),
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
def aiosmtpd(tmp_path: Path) -> Iterator[FarSide]:
    with mail_servers.smtp_server() as inbox:
        server = {"type": "smtp", "host": "localhost", "port": inbox.port}
        yield mails(tmp_path, {**server, "tls": "none"}, lambda: inbox.mails)


@contextmanager
def postfix(tmp_path: Path) -> Iterator[FarSide]:
    with mail_servers.postfix("anna") as running:
        server = {"type": "smtp", "host": "localhost", "port": running.port}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(running.trusted))
            yield mails(tmp_path, server, lambda: running.mails("anna"))


@contextmanager
def ses(tmp_path: Path) -> Iterator[FarSide]:
    keys = {"access_key_id": {"env": "KEY_ID"}, "secret_access_key": {"env": "KEY"}}
    region = {"type": "ses", "region": "eu-central-1"}
    with (
        mail_servers.ses_server() as running,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("AWS_ENDPOINT_URL_SESV2", running.url)
        yield mails(tmp_path, region | keys, running.mails)


@contextmanager
def webhook(tmp_path: Path) -> Iterator[FarSide]:
    with receiving() as receiver:
        module = importlib.import_module(DESTINATIONS["webhook"])
        yield FarSide(
            destination=module.create(means(tmp_path, private_addresses=True)),
            fields={"type": "webhook", "url": receiver.url, "send": "file"},
            arrived=receiver.files,
            repeats=True,
        )


#: One row for each destination and each server behind it: what starts its far side.
FAR_SIDES: dict[str, Start] = {
    "local": local,
    "email aiosmtpd": aiosmtpd,
    "email postfix": postfix,
    "email ses": ses,
    "sftp asyncssh": sftp(sftp_servers.in_process),
    "sftp openssh": sftp(sftp_servers.openssh),
    "sftp rclone": sftp(sftp_servers.rclone),
    "webhook": webhook,
}


#: Those whose promises the quicker ones beside them show, too.
#: Those whose promises the quicker ones beside them show, too.
_SLOW = ("sftp openssh", "sftp rclone", "email postfix", "email ses")


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.slow) if name in _SLOW else name
        for name in FAR_SIDES
    ]
)
def far_side(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FarSide]:
    with FAR_SIDES[request.param](tmp_path) as started:
        yield started


Ship = Callable[..., Shipment]


@pytest.fixture
def ship(tmp_path: Path, far_side: FarSide) -> Ship:
    def make(run_id: str = "run-1", content: bytes = CONTENT) -> Shipment:
        return a_shipment(
            tmp_path,
            far_side.fields,
            run_id=run_id,
            content=content,
            recipient=far_side.recipient,
        )

    return make


def begun(shipment: Shipment) -> Shipment:
    """The same delivery, as it is known after a crash: with its last intent."""
    intents = shipment.begin.intents  # type: ignore[attr-defined]  # of tests/shipments.py
    return replace(shipment, intent=intents[-1])


def test_every_destination_has_its_spec_its_module_and_its_row_here() -> None:
    assert set(DESTINATIONS) == {name.partition(" ")[0] for name in FAR_SIDES}
    assert set(DESTINATIONS) <= set(SPECS)


def test_nothing_has_arrived_when_the_act_begins(far_side: FarSide, ship: Ship) -> None:
    seen = []
    shipment = replace(ship(), begin=lambda _: seen.append(far_side.arrived()))
    list(far_side.destination.deliver([shipment], Cancel()))
    assert seen[0] == []


def test_an_intent_is_text_and_not_empty(far_side: FarSide, ship: Ship) -> None:
    shipment = ship()
    list(far_side.destination.deliver([shipment], Cancel()))
    intent = begun(shipment).intent
    assert intent
    assert all(isinstance(value, str) for value in intent.values())


def test_the_next_shipment_is_taken_after_the_outcome_of_the_one_before(
    far_side: FarSide, ship: Ship
) -> None:
    taken: list[str] = []

    def shipments() -> Iterator[Shipment]:
        for name in ("run-1", "run-2"):
            taken.append(name)
            yield ship(name, name.encode())

    outcomes = far_side.destination.deliver(shipments(), Cancel())
    next(outcomes)
    assert taken == ["run-1"]
    next(outcomes)
    assert taken == ["run-1", "run-2"]


def test_what_is_accepted_is_there_byte_for_byte(far_side: FarSide, ship: Ship) -> None:
    (outcome,) = far_side.destination.deliver([ship()], Cancel())
    assert outcome.status is DeliveryStatus.ACCEPTED
    assert outcome.remote
    assert far_side.arrived() == [CONTENT]


def test_several_shipments_give_an_outcome_each_in_order(
    far_side: FarSide, ship: Ship
) -> None:
    good, bad = ship("run-1"), ship("run-2")
    bad.path.unlink()
    outcomes = list(far_side.destination.deliver([bad, good], Cancel()))
    assert [each.status for each in outcomes] == [
        DeliveryStatus.FAILED,
        DeliveryStatus.ACCEPTED,
    ]
    assert outcomes[0].reason
    assert outcomes[0].message


def test_nothing_is_found_of_an_attempt_that_never_began(
    far_side: FarSide, ship: Ship
) -> None:
    assert far_side.destination.probe(ship()) is None


def test_a_finished_attempt_whose_answer_was_lost_is_found(
    far_side: FarSide, ship: Ship
) -> None:
    shipment = ship()
    list(far_side.destination.deliver([shipment], Cancel()))
    outcome = far_side.destination.probe(begun(shipment))
    if far_side.repeats:
        assert outcome is None
        (outcome,) = far_side.destination.deliver([begun(shipment)], Cancel())
    assert outcome is not None
    told = DeliveryStatus.ACCEPTED if far_side.tells else DeliveryStatus.UNCONFIRMED
    assert outcome.status is told
    assert far_side.arrived() == [CONTENT]


def test_another_delivery_never_replaces_the_first(
    far_side: FarSide, ship: Ship
) -> None:
    first, second = ship("run-1"), ship("run-2", b"other")
    list(far_side.destination.deliver([first, second], Cancel()))
    assert CONTENT in far_side.arrived()


def test_a_cancelled_delivery_stops_before_the_act(
    far_side: FarSide, ship: Ship
) -> None:
    with pytest.raises(Cancelled):
        list(far_side.destination.deliver([ship()], Cancel(cancelled=True)))
    assert far_side.arrived() == []
