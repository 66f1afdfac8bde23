"""What every destination promises, whatever far side is behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.backends import DESTINATIONS
from boe_reconciler.core.errors import Cancelled
from boe_reconciler.core.ports import Shipment
from boe_reconciler.core.resources.distribution import DESTINATIONS as SPECS
from boe_reconciler.core.runs import DeliveryStatus, Outcome
from boe_reconciler.engine.cancel import CancelToken, Stop
from tests import sftp_servers
from tests.cutting import Fault, cutting
from tests.far_sides import (
    FarSide,
    Servers,
    Start,
    aiosmtpd,
    azurite,
    gcs_emulator,
    local,
    postfix,
    s3_moto,
    s3_rclone,
    ses,
    sftp,
    webhook,
)
from tests.shipments import CONTENT, a_shipment


class Cancel:
    """Cancelled after as many looks; None: never."""

    def __init__(self, *, after: int | None = None) -> None:
        self._left = after

    def check(self) -> None:
        if self._left is not None:
            self._left -= 1
        if self._left is not None and self._left < 0:
            raise Cancelled("cancelled", "somebody asked for it")

    def on_cancel(self, callback: Callable[[], None]) -> AbstractContextManager[None]:
        return nullcontext()


#: One row for each destination and each server behind it: what starts its far side.
FAR_SIDES: dict[str, Start] = {
    "local": local,
    "email aiosmtpd": aiosmtpd,
    "email postfix": postfix,
    "email ses": ses,
    "azure azurite": azurite,
    "gcs emulator": gcs_emulator,
    "s3 moto": s3_moto,
    "s3 rclone": s3_rclone,
    "sftp asyncssh": sftp(sftp_servers.in_process),
    "sftp openssh": sftp(sftp_servers.openssh),
    "sftp rclone": sftp(sftp_servers.rclone),
    "webhook": webhook,
}
#: Those whose promises the quicker ones beside them, or the tests of the destination
#: itself, show too.
_SLOW = (
    "azure azurite",
    "gcs emulator",
    "email postfix",
    "email ses",
    "s3 moto",
    "s3 rclone",
    "sftp openssh",
    "sftp rclone",
)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    started = Servers()
    yield started
    started.close()


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.slow) if name in _SLOW else name
        for name in FAR_SIDES
    ]
)
def far_side(
    request: pytest.FixtureRequest, tmp_path: Path, servers: Servers
) -> Iterator[FarSide]:
    with FAR_SIDES[request.param](tmp_path, servers) as started:
        yield started


Ship = Callable[..., Shipment]


@pytest.fixture
def ship(tmp_path: Path, far_side: FarSide) -> Ship:
    def make(
        run_id: str = "run-1", content: bytes = CONTENT, **fields: Any
    ) -> Shipment:
        spec = far_side.fields | fields
        return a_shipment(
            tmp_path,
            spec,
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
        list(far_side.destination.deliver([ship()], Cancel(after=0)))
    assert far_side.arrived() == []


# --- Crashes, conflicts, lost answers -----------------------------------------------


class Killed(BaseException):
    """The process ends here."""


def one(far_side: FarSide, shipment: Shipment) -> Outcome:
    (outcome,) = far_side.destination.deliver([shipment], Cancel())
    return outcome


def need(there: Any, why: str) -> None:
    if not there:
        pytest.skip(why)


@pytest.fixture
def keeps(far_side: FarSide, ship: Ship) -> FarSide:
    """One that keeps files under names, and can refuse a name that is taken."""
    need(hasattr(ship().spec, "if_exists"), "it keeps no files")
    return far_side


@pytest.fixture
def wired(far_side: FarSide) -> FarSide:
    need(far_side.with_connection, "nothing lies between it and us")
    return far_side


def test_the_same_delivery_again_is_done_already(keeps: FarSide, ship: Ship) -> None:
    first = ship(if_exists="error")
    assert one(keeps, first).status is DeliveryStatus.ACCEPTED
    again = one(keeps, begun(first))
    assert again.status is DeliveryStatus.ACCEPTED
    assert keeps.arrived() == [CONTENT]


def test_a_file_of_other_content_is_a_conflict_and_stays(
    keeps: FarSide, ship: Ship
) -> None:
    one(keeps, ship("run-1", if_exists="error"))
    outcome = one(keeps, ship("run-2", b"other", if_exists="error"))
    assert (outcome.status, outcome.reason) == (DeliveryStatus.FAILED, "exists")
    assert "filename_pattern" in outcome.message
    assert "if_exists" in outcome.message
    assert keeps.arrived() == [CONTENT]


def test_overwriting_replaces_it(keeps: FarSide, ship: Ship) -> None:
    one(keeps, ship("run-1", if_exists="overwrite"))
    outcome = one(keeps, ship("run-2", b"other", if_exists="overwrite"))
    assert outcome.status is DeliveryStatus.ACCEPTED
    assert keeps.arrived() == [b"other"]


def test_a_crash_right_before_the_act_leaves_nothing(
    far_side: FarSide, ship: Ship
) -> None:
    intents: list[Mapping[str, str]] = []

    def killed(intent: Mapping[str, str]) -> None:
        intents.append(dict(intent))
        raise Killed

    with pytest.raises(Killed):
        one(far_side, replace(ship(), begin=killed))
    assert far_side.arrived() == []
    after = replace(ship(), intent=intents[-1])
    found = far_side.destination.probe(after)
    if not far_side.tells:
        assert found is not None
        assert found.status is DeliveryStatus.UNCONFIRMED
        return
    assert found is None
    assert one(far_side, after).status is DeliveryStatus.ACCEPTED
    assert far_side.arrived() == [CONTENT]


def test_the_marker_comes_last_and_its_retry_sends_no_data(
    keeps: FarSide, ship: Ship
) -> None:
    shipment = ship(done_marker="{file}.done", if_exists="error")
    one(keeps, replace(shipment, spec=ship(if_exists="error").spec))
    # As after a crash between the two; whatever would be sent now would be wrong.
    shipment.path.write_bytes(bytes(len(CONTENT)))
    outcome = one(keeps, begun(shipment))
    assert outcome.status is DeliveryStatus.ACCEPTED
    assert outcome.remote
    assert outcome.remote.endswith("carriers.csv")
    assert sorted(keeps.arrived()) == [b"", CONTENT]


def test_a_target_that_is_not_there_is_told(keeps: FarSide, ship: Ship) -> None:
    need(keeps.missing, "it makes what is not there")
    outcome = one(keeps, ship(**keeps.missing))
    assert outcome.status is not DeliveryStatus.ACCEPTED
    assert outcome.reason
    assert outcome.message
    assert keeps.arrived() == []


@pytest.mark.slow
def test_a_large_file_arrives_whole(far_side: FarSide, ship: Ship) -> None:
    content = bytes(range(256)) * (36 << 10)  # 9 MiB
    assert one(far_side, ship(content=content)).status is DeliveryStatus.ACCEPTED
    assert far_side.arrived() == [content]


@pytest.mark.slow
def test_a_cancel_stops_a_large_file_and_leaves_nothing(
    far_side: FarSide, ship: Ship
) -> None:
    shipment = ship(content=bytes(9 << 20))
    with pytest.raises(Cancelled):
        list(far_side.destination.deliver([shipment], Cancel(after=2)))
    assert far_side.arrived() == []


def in_parts(far_side: FarSide) -> bytes:
    """A file that goes in more than one piece, and that Postfix takes."""
    return bytes((9 if "prefix" in far_side.fields else 3) << 20)


def test_how_much_was_sent_grows_and_ends_at_the_size(
    far_side: FarSide, ship: Ship
) -> None:
    content = in_parts(far_side)
    sent: list[int] = []
    shipment = replace(ship(content=content), sent=sent.append)
    assert one(far_side, shipment).status is DeliveryStatus.ACCEPTED
    assert sent == sorted(sent)
    assert sent[-1] == len(content)
    assert far_side.whole or any(0 < each < len(content) for each in sent)


def test_a_cancel_in_the_middle_is_obeyed(far_side: FarSide, ship: Ship) -> None:
    need(not far_side.whole, "all of it goes in one request")
    cancel = CancelToken()

    def stop(taken: int) -> None:
        if taken:
            cancel.stop(Stop.CANCELLED)

    content = in_parts(far_side)
    shipment = replace(ship(content=content), sent=stop)
    with pytest.raises(Cancelled):
        list(far_side.destination.deliver([shipment], cancel))
    # rclone's server may go on writing what came, after the temporary file was removed.
    assert content not in far_side.arrived()


def test_a_file_that_changed_since_it_was_made_is_not_sent(
    keeps: FarSide, ship: Ship
) -> None:
    shipment = ship()
    shipment.path.write_bytes(bytes(len(CONTENT)))
    outcome = one(keeps, shipment)
    assert outcome.status is DeliveryStatus.FAILED
    assert outcome.reason == "artifact_changed"
    assert keeps.arrived() == []


def test_a_stored_file_that_cannot_be_read_holds_up_itself_alone(
    far_side: FarSide, ship: Ship
) -> None:
    shipment, other = ship("run-1"), ship("run-2", b"other")
    shipment.path.unlink()
    shipment.path.symlink_to(shipment.path)  # ELOOP: no right lets anybody read it
    outcomes = list(far_side.destination.deliver([shipment, other], Cancel()))
    assert [one.status for one in outcomes] == [
        DeliveryStatus.DEFERRED,
        DeliveryStatus.ACCEPTED,
    ]
    assert outcomes[0].reason == "artifact_unread"


@pytest.mark.slow
def test_refused_credentials_are_final_and_stay_secret(
    wired: FarSide, ship: Ship, caplog: pytest.LogCaptureFixture
) -> None:
    need(wired.refused, "this server takes any")
    destination = wired.with_connection(**wired.refused)  # type: ignore[misc]  # is there
    (outcome,) = destination.deliver([ship()], Cancel())
    assert outcome.status is DeliveryStatus.FAILED
    assert outcome.reason
    (wrong,) = wired.refused["environment"].values()
    assert wrong not in f"{outcome} {caplog.text}"
    assert wired.arrived() == []


@pytest.mark.slow
def test_a_secret_that_is_missing_is_told(wired: FarSide, ship: Ship) -> None:
    need(wired.refused, "this server takes any")
    nothing = dict.fromkeys(wired.refused["environment"], "")
    destination = wired.with_connection(environment=nothing)  # type: ignore[misc]  # is there
    (outcome,) = destination.deliver([ship()], Cancel())
    assert outcome.status is DeliveryStatus.FAILED
    assert outcome.reason == "secret_missing"


@pytest.mark.slow
def test_a_server_that_is_down_is_tried_later(wired: FarSide, ship: Ship) -> None:
    destination = wired.with_connection(port=1)  # type: ignore[misc]  # is there
    (outcome,) = destination.deliver([ship()], Cancel())
    assert outcome.status is DeliveryStatus.DEFERRED
    assert outcome.reason


@pytest.mark.slow
def test_a_server_that_says_nothing_is_given_up_in_time(
    wired: FarSide, ship: Ship
) -> None:
    with cutting(wired.port or 0, Fault(does="stall", times=None)) as proxy:
        slow = wired.with_connection(port=proxy.port, timeout="1s")  # type: ignore[misc]  # is there
        (outcome,) = slow.deliver([ship()], Cancel())
    assert outcome.status is DeliveryStatus.DEFERRED
    assert outcome.reason == "timeout"
    assert wired.arrived() == []


#: What goes wrong, after how many bytes of what is sent, and the size of the file.
WIRE = [
    ("cut", (0, 1, 300, 700, 1200, 1700), len(CONTENT)),
    ("swallow", (1, 300, 700, 1200, 1700), len(CONTENT)),
    ("stall", (1, 700, 1200), len(CONTENT)),
    ("cut", (1500, 1 << 20, 9 << 20, (9 << 20) + 3000), 9 << 20),
]


@pytest.mark.slow
@pytest.mark.parametrize(("does", "points", "size"), WIRE)
def test_whatever_the_wire_does_there_is_one_file_in_the_end(
    wired: FarSide, ship: Ship, does: Any, points: tuple[int, ...], size: int
) -> None:
    """What is said of a broken connection is so, and a retry ends it."""
    content = (CONTENT * (size // len(CONTENT) + 1))[:size]
    for number, after in enumerate(points):
        shipment = replace(ship(f"run-{number}", content), filename=f"{number}.csv")
        with cutting(wired.port or 0, Fault(does=does, after=after)) as proxy:
            far = wired.with_connection(port=proxy.port, timeout="1s")  # type: ignore[misc]  # is there
            (outcome,) = far.deliver([shipment], Cancel())
        there = len(wired.arrived())
        if outcome.status is DeliveryStatus.ACCEPTED:
            assert there == number + 1
        else:
            assert outcome.status is DeliveryStatus.DEFERRED
        assert one(wired, shipment).status is DeliveryStatus.ACCEPTED
        assert wired.arrived() == [content] * (number + 1)


@pytest.mark.slow
def test_a_lost_answer_to_the_act_is_a_success_that_is_looked_up(
    wired: FarSide, ship: Ship
) -> None:
    need(wired.plain, "nobody can tell the act from what goes over the wire")
    shipment = ship()
    fault = Fault(does="swallow", at=CONTENT[-9:])
    with cutting(wired.port or 0, fault) as proxy:
        far = wired.with_connection(port=proxy.port, timeout="5s")  # type: ignore[misc]  # is there
        (outcome,) = far.deliver([shipment], Cancel())
        assert proxy.happened == 1
    assert outcome.status is DeliveryStatus.ACCEPTED
    assert wired.arrived() == [CONTENT]
