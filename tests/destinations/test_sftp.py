"""What the destination `sftp` promises, most of it against asyncssh's server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from boe_reconciler.core.errors import Cancelled
from boe_reconciler.core.ports import Cancel, Never, Shipment
from boe_reconciler.core.runs import DeliveryStatus, Outcome
from boe_reconciler.destinations import sftp
from tests import sftp_servers
from tests.cutting import Fault, cutting
from tests.sftp_servers import Server
from tests.shipments import CONTENT, a_shipment, means

ACCEPTED, DEFERRED, FAILED, UNCONFIRMED = (
    DeliveryStatus.ACCEPTED,
    DeliveryStatus.DEFERRED,
    DeliveryStatus.FAILED,
    DeliveryStatus.UNCONFIRMED,
)
DAY = "2026/11/24"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with sftp_servers.in_process(tmp_path / "root") as started:
        yield started


def there_at(
    home: Path, server: Server, policy: Any = None, **connection: Any
) -> sftp.SftpDestination:
    made = means(
        home,
        connections={"bank": server.connection(**connection)},
        environment=server.environment,
        **(policy or {}),
    )
    return sftp.create(made)


def ship(home: Path, content: bytes = CONTENT, **fields: Any) -> Shipment:
    spec = {"type": "sftp", "connection": "bank", "base_path": "/in", **fields}
    return a_shipment(home, spec, content=content)


def intents(shipment: Shipment) -> list[Any]:
    found: list[Any] = shipment.begin.intents  # type: ignore[attr-defined]  # of tests/shipments.py
    return found


def send(
    there: sftp.SftpDestination, shipment: Shipment, cancel: Cancel | None = None
) -> Outcome:
    (outcome,) = there.deliver([shipment], cancel or Never())
    return outcome


def again(shipment: Shipment) -> Shipment:
    """The next attempt, as the ledger knows it."""
    known = intents(shipment)
    return replace(shipment, intent=known[-1]) if known else shipment


def until_final(there: sftp.SftpDestination, shipment: Shipment) -> list[Outcome]:
    outcomes = [send(there, shipment)]
    while not outcomes[-1].status.final:
        assert len(outcomes) < 5
        shipment = again(shipment)
        outcomes.append(send(there, shipment))
    return outcomes


@contextmanager
def in_front(tmp_path: Path, kind: type[asyncssh.SFTPServer]) -> Iterator[Server]:
    with sftp_servers.in_process(tmp_path / "root", kind) as started:
        yield started


def aborted(server: asyncssh.SFTPServer) -> asyncssh.SFTPFailure:
    """The connection is gone before this answer leaves."""
    server.channel.get_connection().abort()
    return asyncssh.SFTPFailure("nobody hears it")


# --- Cut connections ------------------------------------------------------------------


class Counting(asyncssh.SFTPServer):
    named = 0

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        super().rename(oldpath, newpath)
        Counting.named += 1


def cut_everywhere(tmp_path: Path, points: int, does: Any = "cut") -> None:
    with in_front(tmp_path, Counting) as server, cutting(server.port) as proxy:
        there = there_at(tmp_path, server, port=proxy.port, timeout="2s")
        whole = ship(tmp_path, done_marker="{file}.done", base_path="/whole")
        assert send(there, whole).status is ACCEPTED
        (passed,) = proxy.passed
        for way in ("out", "back"):
            for number in range(points):
                name = f"/{way}{number}"
                Counting.named = 0
                cut = Fault(does=does, way=way, after=passed[way] * number // points)
                proxy.arm(cut)
                shipment = ship(tmp_path, done_marker="{file}.done", base_path=name)
                last = until_final(there, shipment)[-1]
                assert last.status is ACCEPTED
                left = sorted(
                    path.name for path in (server.folder / name[1:] / DAY).iterdir()
                )
                assert left == ["carriers.csv", "carriers.csv.done"]
                assert (
                    server.folder / name[1:] / DAY / left[0]
                ).read_bytes() == CONTENT
                assert Counting.named == 1


@pytest.mark.slow
def test_a_cut_at_any_step_ends_in_one_whole_file(tmp_path: Path) -> None:
    cut_everywhere(tmp_path, 25)


@pytest.mark.slow
def test_a_stall_at_any_step_ends_in_one_whole_file(tmp_path: Path) -> None:
    cut_everywhere(tmp_path, 4, "stall")


class LosesTheAnswer(asyncssh.SFTPServer):
    """To a rename, which happens all the same."""

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        super().rename(oldpath, newpath)
        raise aborted(self)


class LosesTheQuestion(asyncssh.SFTPServer):
    """The first rename never happens."""

    lost = 0

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        if not LosesTheQuestion.lost:
            LosesTheQuestion.lost += 1
            raise aborted(self)
        super().rename(oldpath, newpath)


class IsEmptiedAtOnce(asyncssh.SFTPServer):
    """Somebody takes each file while the answer is on its way."""

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        super().rename(oldpath, newpath)
        self.remove(newpath)
        raise aborted(self)


def test_a_lost_answer_to_the_rename_is_settled_by_a_look(tmp_path: Path) -> None:
    with in_front(tmp_path, LosesTheAnswer) as server:
        outcome = send(there_at(tmp_path, server), ship(tmp_path))
        assert outcome.status is ACCEPTED
        assert server.files() == [CONTENT]


def test_a_rename_that_never_happened_is_done_again(tmp_path: Path) -> None:
    LosesTheQuestion.lost = 0
    with in_front(tmp_path, LosesTheQuestion) as server:
        there, shipment = there_at(tmp_path, server), ship(tmp_path)
        outcomes = until_final(there, shipment)
        assert [one.status for one in outcomes] == [DEFERRED, ACCEPTED]
        assert server.files() == [CONTENT]


def test_what_was_taken_while_its_answer_was_lost_is_unconfirmed(
    tmp_path: Path,
) -> None:
    with in_front(tmp_path, IsEmptiedAtOnce) as server:
        outcome = send(there_at(tmp_path, server), ship(tmp_path))
        assert (outcome.status, outcome.reason) == (UNCONFIRMED, "answer_lost")


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", ["write", "name", "marker"])
@pytest.mark.parametrize("atomic", [True, False])
def test_a_death_at_each_step_ends_in_one_whole_file(
    tmp_path: Path, server: Server, step: str, atomic: bool
) -> None:
    there = there_at(tmp_path, server)
    shipment = ship(tmp_path, done_marker="{file}.done", atomic=atomic)

    def die(intent: Any) -> None:
        shipment.begin(intent)
        if intent["step"] == step:
            raise Killed

    with pytest.raises(Killed):
        send(there, replace(shipment, begin=die))
    outcome = there.probe(again(shipment)) or send(there, again(shipment))
    assert outcome.status is ACCEPTED
    assert server.files() == [CONTENT, b""]


# --- Who is let in --------------------------------------------------------------------


def test_another_host_key_stops_before_anybody_logs_in(
    tmp_path: Path, server: Server
) -> None:
    there = there_at(tmp_path, server, host_key="SHA256:" + "A" * 43)
    outcome = send(there, ship(tmp_path))
    assert (outcome.status, outcome.reason) == (FAILED, "host_key_differs")
    assert all(key in outcome.message for key in server.host_keys)
    assert sftp_servers.asked == []


def test_any_of_the_servers_keys_may_be_the_pinned_one(
    tmp_path: Path, server: Server
) -> None:
    for key in server.host_keys:
        there = there_at(tmp_path, server, host_key=key)
        assert send(there, ship(tmp_path)).status is ACCEPTED


def test_a_refused_login_is_final_and_not_asked_again(
    tmp_path: Path, server: Server
) -> None:
    wrong = means(
        tmp_path,
        connections={"bank": server.connection()},
        environment={"PASSWORD": "not it"},
    )
    outcomes = sftp.create(wrong).deliver([ship(tmp_path), ship(tmp_path)], Never())
    found = [(one.status, one.reason) for one in outcomes]
    assert found == [(FAILED, "auth_failed")] * 2
    assert sftp_servers.asked == ["boe"]


def test_a_locked_key_is_told_as_such(tmp_path: Path, server: Server) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    locked = key.export_private_key(passphrase="secret", rounds=50).decode()
    spec = {**server.connection(), "private_key": {"env": "KEY"}}
    there = sftp.create(
        means(
            tmp_path,
            connections={"bank": spec},
            environment={"PASSWORD": "-", "KEY": locked},
        )
    )
    outcome = send(there, ship(tmp_path))
    assert (outcome.status, outcome.reason) == (FAILED, "bad_key")
    assert "passphrase" in outcome.message


def test_a_host_that_policy_does_not_list_is_not_reached(
    tmp_path: Path, server: Server
) -> None:
    there = there_at(tmp_path, server, {"hosts": ["*.internal"]})
    assert send(there, ship(tmp_path)).reason == "host_refused"
    assert sftp_servers.asked == []


def test_a_server_that_is_down_is_tried_again(tmp_path: Path, server: Server) -> None:
    there = there_at(tmp_path, server, port=1)
    outcome = send(there, ship(tmp_path))
    assert (outcome.status, outcome.reason) == (DEFERRED, "connection_lost")


# --- What is there already -------------------------------------------------------------


def put(server: Server, content: bytes, name: str = "carriers.csv") -> Path:
    path = server.folder / "in" / DAY / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("atomic", [True, False])
def test_other_content_of_that_name_stays(
    tmp_path: Path, server: Server, atomic: bool
) -> None:
    put(server, b"something else")
    outcome = send(there_at(tmp_path, server), ship(tmp_path, atomic=atomic))
    assert (outcome.status, outcome.reason) == (FAILED, "exists")
    assert server.files() == [b"something else"]


class Races(asyncssh.SFTPServer):
    """Somebody takes the name right before us."""

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        Path(os.fsdecode(self.map_path(newpath))).write_bytes(b"theirs")
        super().rename(oldpath, newpath)


def test_a_name_that_is_taken_meanwhile_is_never_replaced(tmp_path: Path) -> None:
    with in_front(tmp_path, Races) as server:
        outcome = send(there_at(tmp_path, server), ship(tmp_path))
        assert (outcome.status, outcome.reason) == (FAILED, "exists")
        assert server.files() == [b"theirs"]


def test_our_own_content_under_that_name_is_our_success(
    tmp_path: Path, server: Server
) -> None:
    path = put(server, CONTENT)
    before = path.stat().st_mtime_ns
    outcome = send(there_at(tmp_path, server), ship(tmp_path))
    assert outcome.status is ACCEPTED
    assert outcome.remote == f"sftp://127.0.0.1:{server.port}/in/{DAY}/carriers.csv"
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("atomic", [True, False])
def test_overwrite_replaces_it(tmp_path: Path, server: Server, atomic: bool) -> None:
    put(server, b"a longer text than that which comes now, by far")
    shipment = ship(tmp_path, if_exists="overwrite", atomic=atomic)
    assert send(there_at(tmp_path, server), shipment).status is ACCEPTED
    assert server.files() == [CONTENT]


class KnowsNoPosixRename(asyncssh.SFTPServer):
    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPOpUnsupported("never heard of it")


def test_overwrite_works_where_a_rename_cannot_replace(tmp_path: Path) -> None:
    with in_front(tmp_path, KnowsNoPosixRename) as server:
        put(server, b"something else")
        shipment = ship(tmp_path, if_exists="overwrite")
        assert send(there_at(tmp_path, server), shipment).status is ACCEPTED
        assert server.files() == [CONTENT]


class ForbidsRenames(asyncssh.SFTPServer):
    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPPermissionDenied("a drop-box")


def test_a_drop_box_gets_the_file_under_its_name_at_once(tmp_path: Path) -> None:
    with in_front(tmp_path, ForbidsRenames) as server:
        there = there_at(tmp_path, server)
        refused = send(there, ship(tmp_path))
        assert (refused.status, refused.reason) == (FAILED, "no_permission")
        assert server.files() == []
        assert send(there, ship(tmp_path, atomic=False)).status is ACCEPTED
        assert server.files() == [CONTENT]


def test_half_a_file_of_our_own_is_written_again(
    tmp_path: Path, server: Server
) -> None:
    there, shipment = there_at(tmp_path, server), ship(tmp_path, atomic=False)

    def die(intent: Any) -> None:
        shipment.begin(intent)
        raise Killed

    with pytest.raises(Killed):
        send(there, replace(shipment, begin=die))
    put(server, CONTENT[:5])
    assert there.probe(again(shipment)) is None
    assert send(there, again(shipment)).status is ACCEPTED
    assert server.files() == [CONTENT]


# --- What goes wrong there -------------------------------------------------------------


class ForgetsAPiece(asyncssh.SFTPServer):
    def write(self, file_obj: Any, offset: int, data: bytes) -> int:
        if offset == 2 * 32768:
            raise asyncssh.SFTPFailure("no space left on device")
        return int(super().write(file_obj, offset, data))


def test_one_bad_answer_among_the_writes_is_never_a_success(tmp_path: Path) -> None:
    with in_front(tmp_path, ForgetsAPiece) as server:
        shipment = ship(tmp_path, os.urandom(9 * 32768))
        outcome = send(there_at(tmp_path, server), shipment)
        assert (outcome.status, outcome.reason) == (DEFERRED, "no_space")
        assert outcome.retry_after == 60
        assert server.files() == []


class RefusesTheMarkerOnce(asyncssh.SFTPServer):
    opened: list[str] = []  # noqa: RUF012 of a test

    def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
        name = os.fsdecode(path).rpartition("/")[2]
        RefusesTheMarkerOnce.opened.append(name)
        if self.opened.count(name) == 1 and name.endswith(".done"):
            raise asyncssh.SFTPFailure("later")
        return super().open(path, pflags, attrs)


def test_the_markers_retry_never_sends_the_data_again(tmp_path: Path) -> None:
    RefusesTheMarkerOnce.opened.clear()
    with in_front(tmp_path, RefusesTheMarkerOnce) as server:
        shipment = ship(tmp_path, done_marker="{file}.done")
        outcomes = until_final(there_at(tmp_path, server), shipment)
        assert [one.status for one in outcomes] == [DEFERRED, ACCEPTED]
        assert server.files() == [CONTENT, b""]
        data = [name for name in RefusesTheMarkerOnce.opened if name.startswith(".boe")]
        assert len(data) == 1


def test_a_marker_that_ends_in_sha256_holds_it(tmp_path: Path, server: Server) -> None:
    shipment = ship(tmp_path, done_marker="{file}.sha256")
    assert send(there_at(tmp_path, server), shipment).status is ACCEPTED
    said = (server.folder / "in" / DAY / "carriers.csv.sha256").read_text()
    assert said == f"{shipment.sha256}  carriers.csv\n"


class IsOverQuota(asyncssh.SFTPServer):
    def write(self, file_obj: Any, offset: int, data: bytes) -> int:
        raise asyncssh.SFTPFailure("Disk Quota exceeded")


def test_a_used_up_quota_is_final_and_leaves_nothing(tmp_path: Path) -> None:
    with in_front(tmp_path, IsOverQuota) as server:
        outcome = send(there_at(tmp_path, server), ship(tmp_path))
        assert (outcome.status, outcome.reason) == (FAILED, "quota")
        assert server.files() == []


def test_a_folder_above_its_base_is_refused(tmp_path: Path, server: Server) -> None:
    for path in ("../x", "/in/../x"):
        outcome = send(there_at(tmp_path, server), ship(tmp_path, base_path=path))
        assert (outcome.status, outcome.reason) == (FAILED, "bad_folder")


@pytest.mark.slow
def test_a_silent_server_is_left_after_the_connections_timeout(
    tmp_path: Path, server: Server
) -> None:
    with cutting(server.port, Fault(does="stall", after=3000, times=None)) as proxy:
        there = there_at(tmp_path, server, port=proxy.port, timeout="1s")
        # More than the buffers between here and there hold.
        outcome = send(there, ship(tmp_path, os.urandom(20_000_000)))
        assert (outcome.status, outcome.reason) == (DEFERRED, "timeout")


class Stopped(Never):
    """At the n-th look; and whoever waits is interrupted."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def check(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise Cancelled("cancelled", "somebody asked for it")


def test_a_cancel_between_two_packets_leaves_nothing(
    tmp_path: Path, server: Server
) -> None:
    shipment = ship(tmp_path, os.urandom(300_000))
    with pytest.raises(Cancelled):
        send(there_at(tmp_path, server), shipment, Stopped(5))
    assert server.files() == []


class Interrupting(Stopped):
    """Interrupts while the server is silent."""

    def on_cancel(self, callback: Callable[[], None]) -> AbstractContextManager[None]:
        def interrupt() -> None:
            self.looks = 0
            callback()

        threading.Timer(0.5, interrupt).start()
        return super().on_cancel(callback)


@pytest.mark.slow
def test_a_cancel_interrupts_a_silent_server(tmp_path: Path, server: Server) -> None:
    with cutting(server.port, Fault(does="stall", after=20_000)) as proxy:
        there = there_at(tmp_path, server, port=proxy.port)
        with pytest.raises(Cancelled):
            send(there, ship(tmp_path, os.urandom(300_000)), Interrupting(10**6))
    assert server.files() == []


# --- A big one ----------------------------------------------------------------------------

_BIG = """
import resource, sys
from pathlib import Path
from tests.destinations import test_sftp as t
home, size = Path(sys.argv[1]), int(sys.argv[2])
server = t.Server(port=int(sys.argv[3]), user=sys.argv[4], host_keys=(sys.argv[5],),
    secret={"private_key": Path(sys.argv[6]).read_text()}, path="", folder=home)
print(t.big(home, server, size, sys.argv[7]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def big(home: Path, server: Server, size: int, to: str) -> str:
    import hashlib

    home.mkdir()
    shipment = ship(home, base_path=to)
    digest = hashlib.sha256()
    with shipment.path.open("wb") as file:
        for _ in range(size):
            file.write(piece := os.urandom(1 << 20))
            digest.update(piece)
    whole = replace(shipment, bytes=size << 20, sha256=digest.hexdigest())
    return send(there_at(home, server), whole).status.value


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_gigabyte_takes_no_more_memory_than_a_megabyte(tmp_path: Path) -> None:
    used = []
    with sftp_servers.openssh(tmp_path / "root") as server:
        for size in (1, 1024):
            command = [
                *(sys.executable, "-c", _BIG, str(tmp_path / f"home{size}")),
                *(str(size), str(server.port), server.user, server.host_keys[0]),
                *(str(tmp_path / "sshd" / "user"), f"{server.path}/{size}"),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            status, memory = done.stdout.split()
            assert status == "accepted"
            used.append(int(memory))
    assert used[1] < used[0] * 1.25
