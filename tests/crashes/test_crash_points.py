"""A death at each named point: nothing is lost, nothing doubled, nothing half there.

The first half kills real processes over a real folder. The second half does the same to
the ledger in memory, where a death is an exception that nothing catches.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from inspect import isfunction, signature
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb
import pytest

from boe_reconciler.core.holds import Hold
from boe_reconciler.core.ports import Ledger
from boe_reconciler.core.runs import DeliveryStatus, RunRecord, RunStatus
from boe_reconciler.ledgers import sqlite
from boe_reconciler.ledgers._ledger import StoredLedger
from tests.crashes.nursery import Nursery
from tests.crashes.points import OTHERS, POINTS, trap
from tests.engine.world import World, a_spec
from tests.folders import a_folder, schedule

DUE = datetime(2026, 11, 24, 5, 30, tzinfo=UTC)
CONTENT = b"number,name\n1,one\n2,two\n"
DELIVERED = {
    "2026/11/24/Numbers_2026-11-24_053000.csv": CONTENT,
    "2026/11/24/Numbers_2026-11-24_053000.csv.done": b"",
}
OPS = "ops@example.com"
FIELDS: Mapping[str, Any] = {
    "metadata": {"title": "Numbers"},
    "query": "select * from (values (1, 'one'), (2, 'two')) t(number, name) order by 1",
    "when": {"cron": "30 5 * * *", "timezone": "UTC"},
    "execution": {"retry": {"initial": "1s"}},
    "deliver_to": [
        {
            "type": "local",
            "base_path": "exports",
            "filename_pattern": "Numbers_{date}_{time}.{format}",
            "done_marker": "{file}.done",
        }
    ],
}
DAILY = schedule("daily", **FIELDS)
APPROVED = schedule("daily", **FIELDS, approval={"by": [OPS]})
#: How it is told to end. The second SIGTERM is impatient: runs are interrupted.
SIGNALS = {
    "SIGKILL": [signal.SIGKILL],
    "SIGTERM": [signal.SIGTERM],
    "SIGTERM twice": [signal.SIGTERM, signal.SIGTERM],
}
KILL = SIGNALS["SIGKILL"]
#: A death here, of a delivery to a far side that cannot be asked, is one of which nobody
#: can know whether it arrived. Everywhere else it is known.
UNKNOWN = (
    *("commit, after", "settle, before", "settle, inside"),
    *("end, before", "end, inside"),
)
#: The only file for a folder is kept together with the word that its delivery begins.
REACHED = [point for point in POINTS if not point.startswith("intend,")]
#: Two folders: the second file's delivery begins by itself.
TWO = [{**FIELDS["deliver_to"][0], "name": name, "base_path": name} for name in "ab"]
TWICE = schedule("daily", **{**FIELDS, "deliver_to": TWO})


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(scope="module")
def served(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return served_at_five(nursery, tmp_path_factory.mktemp("served"), DAILY)


def served_at_five(nursery: Nursery, where: Path, document: Any) -> Path:
    """A folder that was served half an hour before its schedule is due."""
    folder = a_folder(where / "repo", document)
    assert nursery.boe(folder, "run", "--once", now="2026-11-24T05:00:00") == 0
    return folder


@pytest.fixture
def folder(served: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(served, tmp_path / "repo"))


def dies(
    nursery: Nursery,
    folder: Path,
    point: str,
    signals: list[int],
    *,
    also: Mapping[str, list[int]] = MappingProxyType({}),
    **order: object,
) -> int:
    """It serves as the schedule comes due, and meets its end, or a SIGTERM."""
    # An activation covers what is owed; a tick comes after it.
    begun = "05:30:00" if point.startswith("activate") else "05:29:59"
    return nursery.boe(
        folder,
        *("run", "--once"),
        now=f"2026-11-24T{begun}",
        then="2026-11-24T05:30:00",
        traps={point: signals, **also},
        fails_once=point.startswith("wait"),
        **order,
    )


def comes_back(nursery: Nursery, folder: Path, time: str, **order: object) -> int:
    return nursery.boe(folder, "run", "--once", now=f"2026-11-24T{time}", **order)


def log_of(folder: Path) -> str:
    return (folder.parent / "log.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("told", SIGNALS)
@pytest.mark.parametrize("point", REACHED)
def test_a_process_that_ends_at_a_point_has_lost_and_doubled_nothing(
    nursery: Nursery, folder: Path, point: str, told: str
) -> None:
    code = dies(nursery, folder, point, SIGNALS[told])
    if told == "SIGKILL":
        assert code == -signal.SIGKILL, log_of(folder)
    else:
        assert code == 0, log_of(folder)
        assert_nobody_is_left(folder)
    assert comes_back(nursery, folder, "05:32:00") == 0, log_of(folder)
    assert_done_once(nursery, folder)


@pytest.mark.slow
@pytest.mark.parametrize("point", REACHED)
def test_a_process_that_dies_twice_at_a_point_has_lost_and_doubled_nothing(
    nursery: Nursery, folder: Path, point: str
) -> None:
    """What comes after the first death may go another way, past that point."""
    assert dies(nursery, folder, point, KILL) == -signal.SIGKILL
    traps = {point: KILL}
    assert comes_back(nursery, folder, "05:32:00", traps=traps) in (-signal.SIGKILL, 0)
    assert comes_back(nursery, folder, "05:34:00") == 0, log_of(folder)
    assert_done_once(nursery, folder)


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("where", ["before", "inside", "after"])
def test_a_process_that_dies_as_one_of_two_deliveries_begins_delivers_both_once(
    nursery: Nursery, tmp_path: Path, where: str, nth: int
) -> None:
    folder = served_at_five(nursery, tmp_path, TWICE)
    ends = dies(nursery, folder, f"intend, {where}", KILL, nth=nth)
    assert ends == -signal.SIGKILL, log_of(folder)
    assert comes_back(nursery, folder, "05:32:00") == 0, log_of(folder)
    (record,) = records(folder)
    assert (record.run.occurrence, record.run.status) == (DUE, RunStatus.SUCCEEDED)
    assert [delivered(folder, name) for name in "ab"] == [DELIVERED, DELIVERED]
    assert left_over(folder) == []
    assert nursery.boe(folder, "doctor") == 0, log_of(folder)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["tick, inside", "claim, after", "deliver, after"])
def test_a_process_that_dies_as_it_takes_over_has_lost_and_doubled_nothing(
    nursery: Nursery, folder: Path, point: str
) -> None:
    assert dies(nursery, folder, point, KILL) == -signal.SIGKILL
    for n, place in enumerate(("expire, before", "expire, inside", "expire, after")):
        traps = {place: KILL}
        code = comes_back(nursery, folder, f"05:3{n + 1}:00", traps=traps)
        assert code == -signal.SIGKILL, log_of(folder)
    assert comes_back(nursery, folder, "05:35:00") == 0, log_of(folder)
    assert_done_once(nursery, folder)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["before", "inside", "after"])
@pytest.mark.parametrize("point", ["export, before", "adopt, after", "deliver, before"])
def test_a_process_that_dies_as_it_gives_back_has_lost_and_doubled_nothing(
    nursery: Nursery, folder: Path, point: str, where: str
) -> None:
    """It was told to end, twice, and is killed before all is put down."""
    also = {f"give_back, {where}": KILL}
    told = SIGNALS["SIGTERM twice"]
    assert dies(nursery, folder, point, told, also=also) == -signal.SIGKILL
    assert comes_back(nursery, folder, "05:32:00") == 0, log_of(folder)
    assert_done_once(nursery, folder)


@pytest.mark.slow
@pytest.mark.parametrize("point", [p for p in REACHED if not p.startswith("deliver,")])
def test_what_a_blind_far_side_may_have_got_is_unconfirmed_and_not_sent_again(
    nursery: Nursery, folder: Path, point: str
) -> None:
    assert dies(nursery, folder, point, KILL, blind=True) < 0
    code = comes_back(nursery, folder, "05:32:00", blind=True)
    unknown = point in UNKNOWN
    assert code == (1 if unknown else 0), log_of(folder)
    (record,) = records(folder)
    (delivery,) = record.deliveries
    expected = DeliveryStatus.UNCONFIRMED if unknown else DeliveryStatus.ACCEPTED
    assert delivery.status is expected
    assert record.run.status is (RunStatus.FAILED if unknown else RunStatus.SUCCEEDED)
    arrived = list((folder / "letterbox").rglob("*.csv"))
    assert len(arrived) == (0 if point == "commit, after" else 1)
    assert nursery.boe(folder, "doctor") == 0, log_of(folder)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["before", "inside", "after"])
def test_of_two_deliveries_to_a_blind_far_side_only_one_that_began_is_unconfirmed(
    nursery: Nursery, tmp_path: Path, where: str
) -> None:
    folder = served_at_five(nursery, tmp_path, TWICE)
    assert dies(nursery, folder, f"intend, {where}", KILL, blind=True) < 0
    code = comes_back(nursery, folder, "05:32:00", blind=True)
    began = where == "after"
    assert code == (1 if began else 0), log_of(folder)
    (record,) = records(folder)
    first = DeliveryStatus.UNCONFIRMED if began else DeliveryStatus.ACCEPTED
    assert [one.status for one in record.deliveries] == [first, DeliveryStatus.ACCEPTED]
    arrived = list((folder / "letterbox").rglob("*.csv"))
    assert len(arrived) == (1 if began else 2)


# --- What must be true afterwards -----------------------------------------------------


def records(folder: Path) -> list[RunRecord]:
    ledger: Ledger = sqlite.create(folder / ".boe/ledger.sqlite")
    try:
        assert ledger.broken_invariants(now=DUE) == []
        return list(ledger.runs(limit=100))
    finally:
        ledger.close()


def assert_nobody_is_left(folder: Path) -> None:
    """A SIGTERM gives everything back: no lease stays, nothing was called lost."""
    for record in records(folder):
        assert record.run.status is not RunStatus.RUNNING
        assert record.run.lost == 0


def assert_done_once(nursery: Nursery, folder: Path) -> None:
    (record,) = records(folder)
    assert (record.run.occurrence, record.run.status) == (DUE, RunStatus.SUCCEEDED)
    assert [one.status for one in record.deliveries] == [DeliveryStatus.ACCEPTED]
    assert delivered(folder) == DELIVERED
    assert left_over(folder) == []
    assert nursery.boe(folder, "doctor") == 0, log_of(folder)


def delivered(folder: Path, root: str = "exports") -> dict[str, bytes]:
    exports = folder / root
    return {
        path.relative_to(exports).as_posix(): path.read_bytes()
        for path in exports.rglob("*")
        if path.is_file()
    }


def left_over(folder: Path) -> list[Path]:
    state = folder / ".boe"
    return [
        path
        for path in (*state.glob("scratch/*"), *state.glob("blobs/incoming/*"))
        if path.exists()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["before", "inside", "after"])
def test_a_process_that_ends_as_files_wait_for_a_release_asks_once_and_delivers_once(
    nursery: Nursery, tmp_path: Path, where: str
) -> None:
    folder = served_at_five(nursery, tmp_path, APPROVED)
    ends = dies(nursery, folder, f"await_release, {where}", KILL)
    assert ends == -signal.SIGKILL, log_of(folder)
    assert comes_back(nursery, folder, "05:32:00") == 0, log_of(folder)
    assert delivered(folder) == {}
    (hold,) = holds(folder)
    given = ["release", hold.hold_id, "--by", OPS, "--why", "it is right"]
    assert nursery.boe(folder, *given, now="2026-11-24T05:33:00") == 0, log_of(folder)
    assert comes_back(nursery, folder, "05:34:00") == 0, log_of(folder)
    assert_done_once(nursery, folder)


def holds(folder: Path) -> Sequence[Hold]:
    ledger = sqlite.create(folder / ".boe/ledger.sqlite")
    try:
        return ledger.holds()
    finally:
        ledger.close()


# --- In memory ------------------------------------------------------------------------


class Death(BaseException):
    """The process dies here: nothing after it is executed."""


def death() -> None:
    raise Death


@pytest.mark.parametrize("point", REACHED)
def test_a_death_at_a_point_loses_and_doubles_nothing_in_memory(
    world: World, point: str
) -> None:
    spec = a_spec(connection={"type": "duckdb", "path": "absent.duckdb"})
    world.serve(a_spec() if not point.startswith("wait") else spec)
    world.clock.wall = DUE
    with trap(point, death):
        if point.startswith("activate"):
            with pytest.raises(Death):
                world.serve(a_spec())
        else:
            world.work_until(Death)
    world.ledger.expire(now=world.clock.now(), all_leases=True)
    if point.startswith("activate"):
        world.serve(a_spec())
    if point.startswith("wait"):
        duckdb.connect(str(world.root / "absent.duckdb")).close()
        world.clock.move(60)
    world.work()
    (record,) = world.ledger.runs()
    assert (record.run.occurrence, record.run.status) == (DUE, RunStatus.SUCCEEDED)
    assert [one.status for one in record.deliveries] == [DeliveryStatus.ACCEPTED]
    assert len(world.files()) == 1
    assert world.ledger.broken_invariants(now=world.clock.now()) == []


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("where", ["before", "inside", "after"])
def test_a_death_as_one_of_two_deliveries_begins_delivers_both_once(
    world: World, where: str, nth: int
) -> None:
    two = [{"type": "local", "name": name, "base_path": name} for name in "ab"]
    world.serve(a_spec(destinations=two))
    run_id = world.ask("daily")
    with trap(f"intend, {where}", death, nth):
        world.work_until(Death)
    world.ledger.expire(now=world.clock.now(), all_leases=True)
    world.work()
    assert world.record(run_id).run.status is RunStatus.SUCCEEDED
    assert [len([*(world.root / name).rglob("*.csv")]) for name in "ab"] == [1, 1]
    assert world.ledger.broken_invariants(now=world.clock.now()) == []


@pytest.mark.parametrize("where", ["before", "inside", "after"])
def test_a_death_as_an_attempt_begins_costs_none(world: World, where: str) -> None:
    """Of a run whose parameters have to be worked out first."""
    year = {"type": "int", "default": 2013}
    world.serve(a_spec("select :year as n", report={"parameters": {"year": year}}))
    run_id = world.ask("daily")
    with trap(f"begin_attempt, {where}", death):
        world.work_until(Death)
    world.ledger.expire(now=world.clock.now(), all_leases=True)
    world.work()
    record = world.record(run_id)
    assert (record.run.status, record.run.attempts) == (RunStatus.SUCCEEDED, 1)
    assert record.run.parameters == {"year": "2013"}
    assert world.ledger.broken_invariants(now=world.clock.now()) == []


@pytest.mark.parametrize("where", ["before", "inside", "after"])
def test_a_death_as_a_run_fails_lets_it_fail_once(world: World, where: str) -> None:
    world.serve(a_spec("select nothing from nowhere"))
    run_id = world.ask("daily")
    with trap(f"finish, {where}", death):
        world.work_until(Death)
    world.ledger.expire(now=world.clock.now(), all_leases=True)
    world.work()
    record = world.record(run_id)
    assert (record.run.status, record.run.reason) == (RunStatus.FAILED, "query_failed")
    assert world.ledger.broken_invariants(now=world.clock.now()) == []


def test_every_verb_that_a_worker_may_die_in_has_its_points() -> None:
    """One that takes a claim, or that decides about others' claims."""
    named = {place.partition(":")[2] for place, _ in (POINTS | OTHERS).values()}
    within_a_claim = {
        f"StoredLedger.{name}"
        for name, verb in vars(StoredLedger).items()
        if isfunction(verb) and "claim" in signature(verb).parameters
    }
    assert within_a_claim
    assert within_a_claim <= named
