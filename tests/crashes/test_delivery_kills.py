"""SIGKILL at more than 200 points of a run to five destinations and twenty recipients.

The servers are real and outlive the process that dies; they, not the ledger, say what
arrived. Nobody gets two copies by itself, no object is written twice, and what nobody
can know is told.
"""

from __future__ import annotations

import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import asyncssh
import pytest

from boe_reconciler.core.holds import Hold, HoldKind
from boe_reconciler.core.runs import DeliveryStatus, RunRecord, RunStatus
from boe_reconciler.ledgers import sqlite
from tests.crashes.nursery import Nursery
from tests.far_sides import SECRET, at, moto, s3_client
from tests.folders import OWNER, a_folder, document, schedule, write
from tests.mail_servers import Inbox, smtp_server
from tests.receivers import Receiver, receiving
from tests.sftp_servers import Server, in_process

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)
RUN = "daily.20261124T053000Z"
PEOPLE = tuple(f"p{number:02}@example.com" for number in range(20))
#: His server has no time for his mail at first: one that is tried again.
BUSY = PEOPLE[7]
CONTENT = b"number,name\n1,one\n2,two\n"
NAME = "Numbers.csv"
FILES = {NAME: CONTENT, f"{NAME}.done": b""}
#: At so many of the times that a run passes a point it is killed there, and at so many
#: moments that have no name.
PASSES, MOMENTS = 9, 20
#: Seconds from the claim in which a run is under way.
LONGEST = 0.5
#: How often these are passed depends on how fast the machine is.
BY_CHANCE = ("tick", "claim")
GROUPS = 6
#: A death between the final dot and its answer.
UNANSWERED = "mail, after the dot"
Order = dict[str, Any]


class Sftp(asyncssh.SFTPServer):
    """Keeps the names that files got."""

    named: ClassVar[list[str]] = []

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        super().rename(oldpath, newpath)
        Sftp.named.append(PurePosixPath(newpath.decode()).name)


@dataclass(frozen=True, kw_only=True)
class FarSides:
    """Four servers, which keep all that ever arrives."""

    inbox: Inbox
    s3: int
    #: Of that store.
    client: Any
    sftp: Server
    receiver: Receiver

    def reset(self) -> None:
        for kept in (self.inbox.mails, self.inbox.asked, self.receiver.requests):
            kept.clear()
        Sftp.named.clear()
        shutil.rmtree(self.sftp.folder / "in", ignore_errors=True)
        at(self.s3, "/moto-api/reset")
        place = {"LocationConstraint": "eu-central-1"}
        self.client.create_bucket(Bucket="reports", CreateBucketConfiguration=place)
        kept_all = {"Status": "Enabled"}
        self.client.put_bucket_versioning(
            Bucket="reports", VersioningConfiguration=kept_all
        )

    def mails(self) -> Counter[tuple[str, str]]:
        """Copies by recipient and Message-ID."""
        return Counter(
            (mail.recipient, str(mail.message["Message-ID"]))
            for mail in self.inbox.mails
        )

    def objects(self) -> list[tuple[str, bytes]]:
        """Each version that was ever written."""
        client = self.client
        found = client.list_object_versions(Bucket="reports").get("Versions", [])
        return [
            (
                PurePosixPath(one["Key"]).name,
                client.get_object(
                    Bucket="reports", Key=one["Key"], VersionId=one["VersionId"]
                )["Body"].read(),
            )
            for one in found
        ]


@pytest.fixture(scope="module")
def far_sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarSides]:
    busy = {BUSY: ["451 4.7.1 later", "250 2.0.0 Ok"]}
    root = tmp_path_factory.mktemp("sftp") / "root"
    with ExitStack() as stack:
        s3 = stack.enter_context(moto())
        yield FarSides(
            inbox=stack.enter_context(smtp_server(Inbox(to_data=busy))),
            s3=s3,
            client=s3_client(s3),
            sftp=stack.enter_context(in_process(root, Sftp)),
            receiver=stack.enter_context(receiving()),
        )


@pytest.fixture(scope="module")
def nursery(far_sides: FarSides) -> Iterator[Nursery]:
    keys = {"KEY_ID": "boe", "KEY": SECRET}
    made = Nursery(keys | far_sides.sftp.environment)
    yield made
    made.close()


@pytest.fixture(scope="module")
def served(
    far_sides: FarSides, nursery: Nursery, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A repo that was served half an hour before its Schedule is due."""
    folder = tmp_path_factory.mktemp("served") / "repo"
    a_folder(folder, DAILY, policy={"allow": {"private_addresses": True}})
    for name, spec in connections(far_sides).items():
        write(folder / f"connections/{name}.yaml", document("Connection", name, spec))
    code = nursery.boe(folder, "run", "--once", now="2026-11-24T05:00:00")
    assert code == 0, (folder.parent / "log.txt").read_text()
    return folder


def connections(far_sides: FarSides) -> dict[str, dict[str, Any]]:
    mail = {"type": "smtp", "host": "localhost", "port": far_sides.inbox.port}
    return {
        "mail": mail | {"tls": "none", "from": "reports@example.com"},
        "store": {
            "type": "s3",
            "region": "eu-central-1",
            "endpoint_url": f"http://127.0.0.1:{far_sides.s3}",
            "path_style": True,
            "access_key_id": {"env": "KEY_ID"},
            "secret_access_key": {"env": "KEY"},
        },
        "bank": far_sides.sftp.connection(),
        "hook": {"type": "webhook", "url": far_sides.receiver.url},
    }


MARKED = {"filename_pattern": "Numbers.{format}", "done_marker": "{file}.done"}
DAILY = schedule(
    "daily",
    query="select * from (values (1, 'one'), (2, 'two')) t(number, name) order by 1",
    when={"cron": "30 5 * * *", "timezone": "UTC"},
    execution={"delivery_retry": {"initial": "1s"}},
    deliver_to=[
        {"type": "local", "base_path": "exports", **MARKED},
        {
            "type": "email",
            "connection": "mail",
            "to": list(PEOPLE),
            "subject": "Numbers",
        },
        {"type": "s3", "connection": "store", "bucket": "reports", **MARKED},
        {"type": "sftp", "connection": "bank", "base_path": "/in", **MARKED},
        {"type": "webhook", "connection": "hook", "send": "file"},
    ],
)


# --- Where it dies --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Passed:
    """A point on the way of a run: it is passed the nth time."""

    point: str
    nth: int
    #: Where on the way that is.
    step: int


def chosen(way: Sequence[str]) -> list[Passed]:
    """Of each point the first time, the last, and some between; in their order."""
    steps: dict[str, list[int]] = {}
    for step, point in enumerate(way):
        steps.setdefault(point, []).append(step)
    found = []
    for point, at_ in steps.items():
        last = 0 if point.startswith(BY_CHANCE) else len(at_) - 1
        count = min(last, PASSES - 1)
        for index in {number * last // max(count, 1) for number in range(count + 1)}:
            found.append(Passed(point=point, nth=index + 1, step=at_[index]))
    return sorted(found, key=lambda one: one.step)


def deaths(way: Sequence[str]) -> list[tuple[Order, Order]]:
    """Two for each life; a third would be one too many for any run."""
    points = chosen(way)
    half = len(points) // 2
    found = []
    for one, other in zip(points[:half], points[-half:], strict=True):
        # The first death may have left less to pass.
        left = way[one.step + 1 : other.step + 1].count(other.point)
        found.append(
            (trapped(one.point, one.nth), trapped(other.point, max(left - 1, 1)))
        )
    chance = random.Random(6)
    moments = [{"killed_after": chance.uniform(0, LONGEST)} for _ in range(MOMENTS)]
    return [*found, *zip(moments[::2], moments[1::2], strict=True)]


def trapped(point: str, nth: int) -> Order:
    return {"traps": {point: [signal.SIGKILL]}, "nth": nth}


@pytest.fixture(scope="module")
def way(
    far_sides: FarSides,
    nursery: Nursery,
    served: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Sequence[str]:
    """The points that a run passes which nobody disturbs."""
    home = tmp_path_factory.mktemp("way")
    life = a_life(far_sides, nursery, served, home)
    life.goes_on(DIES, counts=str(home / "points.txt"))
    life.comes_back()
    assert life.end() == set()
    return (home / "points.txt").read_text().splitlines()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("group", range(GROUPS))
def test_kills_at_two_hundred_points_double_nothing_and_lose_nothing(
    far_sides: FarSides,
    nursery: Nursery,
    served: Path,
    way: Sequence[str],
    tmp_path: Path,
    group: int,
) -> None:
    assert len(chosen(way)) > 220
    planned, killed = deaths(way)[group::GROUPS], 0
    for number, (first, second) in enumerate(planned):
        life = a_life(far_sides, nursery, served, tmp_path / f"{number}")
        dies(life, first)
        life.goes_on("05:31:00", **second)
        life.comes_back()
        life.end()
        killed += life.codes.count(-signal.SIGKILL)
        shutil.rmtree(life.folder)
    # A moment may come too late, and so may a point that there was no need to pass.
    assert killed >= 0.9 * 2 * len(planned)


# --- One life -------------------------------------------------------------------------

DIES = "05:29:59"


@dataclass(kw_only=True)
class Life:
    """A run from its due time to its end, over several processes."""

    far_sides: FarSides
    nursery: Nursery
    folder: Path
    codes: list[int] = field(default_factory=list)
    #: Who had a mail on its way when a process died.
    in_doubt: set[str] = field(default_factory=set)
    records: list[RunRecord] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)

    def goes_on(self, time: str, **order: Any) -> int:
        if time == DIES:
            order["then"] = "2026-11-24T05:30:00"
        now = f"2026-11-24T{time}"
        code = self.nursery.boe(self.folder, "run", "--once", now=now, **order)
        self.codes.append(code)
        self.look()
        begun = {
            one.key.recipient
            for record in self.records
            for one in record.deliveries
            if one.status is DeliveryStatus.SENDING and one.type == "email"
        }
        self.in_doubt |= begun
        if UNANSWERED in order.get("traps", ()) and code < 0 and not self.over:
            assert len(begun) == 1
        return code

    def comes_back(self) -> None:
        """As often as it takes; the one that ends the run tells who is in doubt."""
        for minute in (32, 34, 36):
            over = self.over
            code = self.goes_on(f"05:{minute}:00")
            if self.over:
                break
        assert code == (1 if self.in_doubt and not over else 0), self.log()

    @property
    def over(self) -> bool:
        return any(record.run.status.final for record in self.records)

    def end(self) -> set[str]:
        """All that has to be true in the end; who is unconfirmed."""
        (record,) = self.records
        unknown = self.recipients(record)
        assert unknown == self.in_doubt, self.log()
        self.mails_are_right(record)
        self.files_are_right(record)
        self.told_is_right(record)
        assert self.nursery.boe(self.folder, "doctor") == 0, self.log()
        return unknown

    def recipients(self, record: RunRecord) -> set[str]:
        """Who is unconfirmed; everybody else has it, and the run says so."""
        assert len(record.deliveries) == len(PEOPLE) + 4
        left = {
            one.key.recipient
            for one in record.deliveries
            if one.status is not DeliveryStatus.ACCEPTED
        }
        unknown = {
            one.key.recipient
            for one in record.deliveries
            if one.status is DeliveryStatus.UNCONFIRMED
        }
        assert left == unknown, self.log()
        ends = RunStatus.PARTIAL if unknown else RunStatus.SUCCEEDED
        assert record.run.status is ends, self.log()
        return unknown

    def mails_are_right(self, record: RunRecord) -> None:
        """The server's own count, held against the rows."""
        rows = [one for one in record.deliveries if one.type == "email"]
        identities = {one.key.recipient: one.key.identity for one in rows}
        assert sorted(identities) == sorted(PEOPLE)
        arrived = self.far_sides.mails()
        notices = [mail for mail in arrived if mail[0] == OWNER]
        assert bool(notices) >= bool(self.in_doubt)
        for mail in notices:
            del arrived[mail]
        assert all(copies == 1 for copies in arrived.values()), arrived
        assert len({who for who, _ in arrived}) == len(arrived)
        for who, message_id in arrived:
            assert message_id == f"<{identities[who]}@example.com>"
        assert set(PEOPLE) - {who for who, _ in arrived} <= self.in_doubt
        for mail in self.far_sides.inbox.mails:
            if mail.recipient != OWNER:
                assert list(mail.files.values()) == [CONTENT]

    def files_are_right(self, record: RunRecord) -> None:
        assert sorted(self.far_sides.objects()) == sorted(FILES.items())
        assert Sftp.named == [NAME]
        assert files_in(self.far_sides.sftp.folder) == FILES
        assert files_in(self.folder / "exports") == FILES
        assert list((self.folder / ".boe/blobs/incoming").glob("*")) == []
        requests = self.far_sides.receiver.requests
        (hook,) = (one for one in record.deliveries if one.type == "webhook")
        assert {one.headers["webhook-id"] for one in requests} == {hook.key.identity}
        assert len({one.body for one in requests}) == 1
        assert len(requests) <= len(self.codes)

    def told_is_right(self, record: RunRecord) -> None:
        """What nobody can know waits in a Hold, and `boe show` tells of it."""
        waiting = [one for one in self.holds if one.waits]
        assert len(waiting) == bool(self.in_doubt), waiting
        if not waiting:
            return
        assert (waiting[0].kind, waiting[0].subject) == (HoldKind.UNCONFIRMED, RUN)
        before = len(self.log())
        assert self.nursery.boe(self.folder, "show", RUN) == 0
        shown = self.log()[before:]
        assert f"boe release {waiting[0].hold_id}" in shown, shown
        for who in self.in_doubt:
            assert f"{who}: unconfirmed" in shown, shown

    def look(self) -> None:
        """What the ledger says between two processes."""
        with closing(sqlite.create(self.folder / ".boe/ledger.sqlite")) as ledger:
            assert ledger.broken_invariants(now=NOW) == []
            self.records = list(ledger.runs(limit=100))
            self.holds = list(ledger.holds())

    def log(self) -> str:
        return (self.folder.parent / "log.txt").read_text()


def a_life(far_sides: FarSides, nursery: Nursery, served: Path, home: Path) -> Life:
    home.mkdir(exist_ok=True)
    far_sides.reset()
    folder = Path(shutil.copytree(served, home / "repo"))
    return Life(far_sides=far_sides, nursery=nursery, folder=folder)


def dies(life: Life, order: Order) -> None:
    code = life.goes_on(DIES, **order)
    assert code == -signal.SIGKILL or "killed_after" in order, life.log()


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
