"""What is special about the ledger in a file: its locks, its versions, its other processes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.pool import Pool

from boe_reconciler.core.errors import InputError, Temporary
from boe_reconciler.core.ports import Ledger
from boe_reconciler.core.runs import RunStatus
from boe_reconciler.ledgers import sqlite
from boe_reconciler.ledgers._store import Store
from boe_reconciler.ledgers.sqlite import SqliteLedger, opening, tables
from boe_reconciler.ledgers.sqlite.bulk import driver
from boe_reconciler.ledgers.sqlite.runs import _finding
from boe_reconciler.ledgers.sqlite.writer import Writer
from tests.builders import (
    a_delivery,
    a_manual_run,
    a_schedule,
    an_activation,
    an_artifact,
    at,
    uid_of,
)
from tests.ledgers.keeping import KEPT

START = at("2026-03-01 06:30")
HOUR = timedelta(hours=1)
#: Of SQLite's `synchronous`.
FULL = 2
#: Another process that opens the ledger, says so, and does what it is told.
_OTHER = """
import sys
from datetime import timedelta
from pathlib import Path
from boe_reconciler.core.runs import RunStatus
from boe_reconciler.ledgers import sqlite
from tests.builders import a_manual_run, at
now = at("2026-03-01 07:30")
ledger = sqlite.create(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.readline()
"""
#: Stops after 300: neither process can have all 500, however late the other begins.
_CLAIM = """
count = 0
while count < 300 and (claims := ledger.claim(sys.argv[2], now=now, limit=3)):
    count += len(claims)
    for one in claims:
        print(one.claim.run_id, flush=True)
ledger.close()
"""
_WORK = """
number = int(sys.argv[2]) * 1_000_000
while True:
    number += 1
    now += timedelta(seconds=1)
    ledger.enqueue([a_manual_run("daily", now, number=number)], now=now)
    ledger.materialise(now=now)
    for one in ledger.claim(sys.argv[2], now=now, limit=2):
        ledger.begin_attempt(one.claim, parameters={}, now=now)
        ledger.finish(one.claim, RunStatus.FAILED, "why", "", now=now)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    found = sqlite.create(path)
    found.activate(an_activation(a_schedule(when={"every": "1s"})), now=START)
    yield found
    found.close()


def other(path: Path, program: str, name: str) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", _OTHER + program, str(path), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def raw(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


# --- Rows ---------------------------------------------------------------------------


def test_files_and_deliveries_come_as_they_were_added_wherever_they_lie(
    ledger: SqliteLedger,
) -> None:
    ledger.enqueue([a_manual_run(now=START)], now=START)
    (one,) = ledger.claim("w", now=START, limit=1)
    ledger.begin_attempt(one.claim, parameters={}, now=START)
    run_id, parts = one.claim.run_id, ["z", "b", "a"]
    artifacts = [an_artifact(part) for part in parts]
    new = [a_delivery(run_id, part=part) for part in parts]
    ledger.commit_artifacts(one.claim, artifacts, new, now=START)
    ledger.owe(one.claim, [a_delivery(run_id, part="b", destination="a")], now=START)
    ledger.owe(one.claim, [a_delivery(run_id, part="a", destination="a")], now=START)
    ledger.enqueue([a_manual_run(now=START, number=2)], now=START)
    alone = ledger.run(run_id)
    among_others = {each.run.run_id: each for each in ledger.runs()}[run_id]
    for found in (alone, among_others):
        assert found is not None
        assert [file.part for file in found.artifacts] == parts
        keys = [(each.key.part, each.key.destination) for each in found.deliveries]
        assert keys == [(part, "local") for part in parts] + [("b", "a"), ("a", "a")]


@given(st.none() | st.integers(-(10**15), 250 * 10**15))
@example(1_796_000_000_123_457)
@example(tables._EXACT - 1)
@example(tables._EXACT)
def test_an_instant_is_read_to_the_microsecond(one: int | None) -> None:
    (found,) = tables.instants([one])
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert found == (None if one is None else epoch + timedelta(microseconds=one))


# --- Several processes --------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_claim_each_run_once(ledger: Ledger, path: Path) -> None:
    now = at("2026-03-01 07:30")
    new = [a_manual_run("daily", now, number=number) for number in range(500)]
    everyone = a_schedule(when={"every": "24h"}, execution={"overlap": "allow_all"})
    ledger.activate(an_activation(everyone), now=START)
    ledger.enqueue(new, now=now)
    processes = [other(path, _CLAIM, name) for name in ("one", "two")]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate()[0].split() for process in processes]
    assert sorted(outputs[0] + outputs[1]) == sorted(one.run_id for one in new)


@pytest.mark.slow
def test_a_kill_in_the_middle_breaks_no_promise(ledger: Ledger, path: Path) -> None:
    for number in range(1, 9):
        process = other(path, _WORK, str(number))
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(0.1 + number * 0.037)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        assert process.stdout is not None
        process.stdout.close()
        ledger.expire(now=START + 2 * HOUR, all_leases=True)
        assert ledger.broken_invariants(now=START) == []
    assert len(ledger.runs(limit=10_000)) > 8
    assert raw(path, "PRAGMA integrity_check") == [("ok",)]


def test_processes_that_open_a_new_ledger_at_once_make_it_once(path: Path) -> None:
    many = 8
    for number in range(20):
        new = path.with_name(f"{number}.sqlite")
        start = Barrier(many)

        def opened(_: int, new: Path = new, start: Barrier = start) -> None:
            start.wait()
            sqlite.create(new).close()

        with ThreadPoolExecutor(many) as pool:
            list(pool.map(opened, range(many)))
        assert raw(new, "SELECT version_num FROM alembic_version") == [(tables.NEWEST,)]


def test_a_change_by_another_process_is_noticed(ledger: Ledger, path: Path) -> None:
    ledger.wait_for_change(0)
    assert not ledger.wait_for_change(0.1)
    second = sqlite.create(path)
    second.enqueue([a_manual_run(now=START)], now=START)
    second.close()
    assert ledger.wait_for_change(5)


def test_a_writer_waits_for_the_lock_of_another(ledger: Ledger, path: Path) -> None:
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        connection.execute("BEGIN IMMEDIATE")
        tick = pool.submit(ledger.materialise, now=START + HOUR)
        time.sleep(0.3)
        assert not tick.done()
        assert ledger.runs() == []  # reading goes on
        connection.execute("COMMIT")
        assert tick.result().inserted > 0


def test_two_that_read_and_then_write_do_not_lock_each_other_out(path: Path) -> None:
    engine = opening.open_engine(path)
    start = Barrier(2)

    def count(_: int) -> None:
        start.wait()
        for _ in range(50):
            with opening.writing(engine) as connection, connection.begin():
                row = connection.execute(text("SELECT count(*) FROM events")).one()
                connection.execute(
                    text("INSERT INTO events VALUES (:n, 'a', '', NULL, NULL)"),
                    {"n": row[0]},
                )

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(count, range(2)))
    engine.dispose()
    assert raw(path, "SELECT count(DISTINCT at) FROM events") == [(100,)]


# --- One writer ---------------------------------------------------------------------


def put_mark(connection: Connection, name: str) -> str:
    statement = text("INSERT INTO marks VALUES (:name, '1')")
    connection.execute(statement, {"name": name})
    return name


def test_verbs_that_wait_together_fail_alone(path: Path) -> None:
    engine = opening.open_engine(path)
    writer = Writer(engine)

    def verb(number: int) -> int:
        def note(connection: Connection) -> int:
            put_mark(connection, f"m{number}")
            if number % 3 == 0:
                raise KeyError(number)
            if number % 3 == 1:
                put_mark(connection, "m2")
            return number

        return writer.do(note)

    writer.do(lambda connection: connection.execute(text("SELECT 1")).one())
    assert verb(2) == 2
    with ThreadPoolExecutor(30) as pool:
        futures = {number: pool.submit(verb, number) for number in range(3, 33)}
    for number, future in futures.items():
        error = future.exception()
        assert type(error) is (KeyError, IntegrityError, type(None))[number % 3]
    writer.close()
    engine.dispose()
    kept = {int(name[1:]) for (name,) in raw(path, "SELECT name FROM marks")}
    assert kept == {number for number in range(2, 33) if number % 3 == 2}


def test_a_transaction_that_breaks_is_told_to_all_who_wait(path: Path) -> None:
    engine = opening.open_engine(path)
    writer = Writer(engine)

    def breaks(connection: Connection) -> None:
        connection.execute(text("SELECT * FROM nowhere"))

    with pytest.raises(OperationalError, match="nowhere"):
        writer.do(breaks)
    assert writer.do(lambda connection: 1) == 1
    writer.close()
    engine.dispose()
    with pytest.raises(RuntimeError, match="closed"):
        writer.do(lambda connection: 1)


def test_ctrl_c_is_heard_while_another_process_writes(
    ledger: SqliteLedger, path: Path
) -> None:
    program = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
print("asks", flush=True)
ledger.enqueue([a_manual_run(now=now)], now=now)
"""
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as connection,
        other(path, program, "waits") as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        connection.execute("BEGIN IMMEDIATE")
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "asks\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.wait(opening.PATIENCE / 2)
    assert process.returncode == -signal.SIGINT
    assert ledger.runs() == []


def test_what_waits_while_another_writes_is_done_in_one_transaction(
    path: Path,
) -> None:
    engine = opening.open_engine(path)
    writer = Writer(engine)
    inside, go_on = Event(), Event()
    begun: list[str] = []

    def first(connection: Connection) -> None:
        driver(connection).set_trace_callback(begun.append)
        inside.set()
        assert go_on.wait(10)

    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(writer.do, first)]
        assert inside.wait(10)
        futures += [pool.submit(writer.do, lambda _: None) for _ in range(5)]
        while len(writer._waiting) < 5:
            Event().wait(0.001)
        go_on.set()
        assert [one.result() for one in futures] == [None] * 6
    writer.close()
    engine.dispose()
    assert begun.count("BEGIN IMMEDIATE") == 1  # the first one's was not traced yet


# Some come while Python tidies up, where none can be told of: they are as good as not sent.
@pytest.mark.filterwarnings(
    "ignore:(?s).*KeyboardInterrupt:pytest.PytestUnraisableExceptionWarning"
)
def test_ctrl_c_comes_between_no_two_lines_of_a_transaction(path: Path) -> None:
    """Neither does a verb fail that is committed, nor is one lost that others wait for."""
    engine = opening.open_engine(path)
    writer = Writer(engine)
    over = Event()

    def mark(name: str) -> str:
        return writer.do(lambda connection: put_mark(connection, name))

    def marks(of: int) -> set[str]:
        names = iter(over.is_set, True)
        return {mark(f"{of}.{count}") for count, _ in enumerate(names)}

    with ThreadPoolExecutor(2) as pool:
        others = [pool.submit(marks, of) for of in range(2)]
        try:
            done = {f"main.{n}" for n in range(300) if uninterrupted(mark, n)}
        finally:
            over.set()
        done = done.union(*[one.result() for one in others])
    writer.close()
    engine.dispose()
    found = {name for (name,) in raw(path, "SELECT name FROM marks")}
    assert done < found  # what was interrupted in the main thread is there, too
    assert {name.partition(".")[0] for name in found - done} == {"main"}


def uninterrupted(mark: Callable[[str], str], number: int) -> bool:
    """Whether no Ctrl-C came while the main thread waited for its mark."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0002 * (number % 10 + 1))
        mark(f"main.{number}")
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        return False
    finally:
        signal.signal(signal.SIGALRM, before)
    return True


def test_whatever_a_verb_raises_it_is_undone(path: Path) -> None:
    engine = opening.open_engine(path)
    writer = Writer(engine)

    def ends(connection: Connection) -> None:
        put_mark(connection, "undone")
        raise SystemExit

    with pytest.raises(SystemExit):
        writer.do(ends)
    writer.do(lambda connection: put_mark(connection, "after"))
    writer.close()
    engine.dispose()
    assert raw(path, "SELECT name FROM marks") == [("after",)]


def test_every_commit_waits_for_the_disk(path: Path) -> None:
    engine = opening.open_engine(path)
    writer = Writer(engine)

    def waits(connection: Connection) -> bool:
        return bool(connection.exec_driver_sql("PRAGMA synchronous").scalar() == FULL)

    assert writer.do(waits)
    assert writer.do(waits)
    writer.close()
    engine.dispose()


def test_of_a_row_only_what_is_different_is_written(ledger: SqliteLedger) -> None:
    (run_id,) = ledger.enqueue([a_manual_run(now=START)], now=START)

    def verb(store: Store) -> None:
        run = store.run(run_id)
        assert run is not None
        store._c.execute("UPDATE runs SET message = 'kept'")  # type: ignore[attr-defined]  # of this ledger
        store.put_runs([replace(run, reason="new")])

    ledger._backend.write(verb)
    found = ledger.run(run_id)
    assert found is not None
    assert (found.run.reason, found.run.message) == ("new", "kept")


def test_what_was_undone_is_written_again(ledger: SqliteLedger) -> None:
    (run_id,) = ledger.enqueue([a_manual_run(now=START)], now=START)

    def verb(store: Store) -> None:
        run = store.run(run_id)
        assert run is not None
        asked = replace(run, reason="asked")

        def fail() -> None:
            store.put_runs([asked])
            raise KeyError(run_id)

        assert isinstance(store.trial(fail)[1], KeyError)
        store.put_runs([asked])

    ledger._backend.write(verb)
    found = ledger.run(run_id)
    assert found is not None
    assert found.run.reason == "asked"


def test_many_threads_write_at_once(ledger: Ledger) -> None:
    def ask(number: int) -> None:
        ledger.enqueue([a_manual_run(now=START, number=number)], now=START)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(300)))
    assert ledger.open_runs() == 300


# --- The file -----------------------------------------------------------------------


def test_what_was_written_is_there_after_opening_again(path: Path) -> None:
    first = sqlite.create(path)
    activation = an_activation(a_schedule(), problems=[{"code": "BOE012"}])
    first.activate(activation, now=START)
    first.materialise(now=START + HOUR)
    before = (first.runs(), first.states(), first.served())
    first.close()
    again = sqlite.create(path)
    assert (again.runs(), again.states(), again.served()) == before
    assert again.schedule_spec("daily") == activation.schedules[0].spec
    again.close()


def test_the_file_is_set_up_to_lose_nothing(ledger: Ledger, path: Path) -> None:
    assert raw(path, "PRAGMA journal_mode") == [("wal",)]
    engine = opening.open_engine(path)
    with engine.connect() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("synchronous", "foreign_keys", "busy_timeout")
        ]
    engine.dispose()
    assert found == [2, 1, 30_000]


def test_its_files_are_their_owners_alone_in_any_folder(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    ledger = sqlite.create(folder / "ledger.sqlite")
    ledger.activate(an_activation(), now=START)
    modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    assert modes
    assert set(modes.values()) == {0o600}


def test_a_ledger_of_a_newer_version_is_refused(path: Path) -> None:
    sqlite.create(path).close()
    raw(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(InputError, match=r"written by a newer BOE.*9999"):
        sqlite.create(path)


def test_a_file_that_is_no_ledger_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("select 1;" * 1000)
    with pytest.raises(InputError, match="cannot be opened"):
        sqlite.create(path)


def test_the_newest_version_needs_no_alembic(path: Path) -> None:
    sqlite.create(path).close()
    program = (
        "import sys; from pathlib import Path; from boe_reconciler.ledgers import sqlite;"
        "sqlite.create(Path(sys.argv[1])).close(); print('alembic' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "False\n"


def test_the_newest_version_is_the_last_migration() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(opening.MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == tables.NEWEST


def test_an_older_ledger_is_kept_beside_the_upgraded_one(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = sqlite.create(path)
    ledger.activate(an_activation(a_schedule()), now=START)
    ledger.materialise(now=START + HOUR)
    before = ledger.runs()
    ledger.close()
    migrations = tmp_path / "migrations"
    shutil.copytree(opening.MIGRATIONS, migrations)
    (migrations / "versions" / "9999_next.py").write_text(
        "from alembic import op\n"
        f"revision = '9999'\ndown_revision = '{tables.NEWEST}'\n"
        "def upgrade():\n    op.execute('ALTER TABLE events ADD COLUMN level TEXT')\n"
    )
    monkeypatch.setattr(opening, "MIGRATIONS", migrations)
    monkeypatch.setattr(opening, "NEWEST", "9999")
    upgraded = sqlite.create(path)
    assert upgraded.runs() == before
    upgraded.close()
    kept = path.with_name(f"ledger.sqlite.version-{tables.NEWEST}")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert raw(kept, "SELECT version_num FROM alembic_version") == [(tables.NEWEST,)]
    assert len(raw(kept, "SELECT * FROM runs")) == len(before)
    assert raw(path, "SELECT level FROM events") == [(None,)]


def test_a_ledger_from_before_connections_learns_of_them(path: Path) -> None:
    path.parent.mkdir()
    shutil.copy(KEPT / "ledger-0001.sqlite", path)
    limit = "json_set(spec, '$.connection.max_concurrent', 2)"
    raw(path, f"UPDATE specs SET spec = {limit}")
    # Of the three that are open, one has its files already.
    raw(
        path,
        "UPDATE runs SET status = 'running', worker = 'w', lease_until = 1 "
        "WHERE status IN ('pending', 'waiting') AND schedule = 'ships'",
    )
    (unread,) = raw(
        path,
        "SELECT count(*) FROM runs WHERE status = 'running' "
        "AND run_id NOT IN (SELECT run_id FROM artifacts)",
    )
    ledger = sqlite.create(path)
    (state,) = ledger.limits(now=START)
    assert (state.name, state.running, state.max_concurrent) == ("flights", *unread, 2)
    assert state.running > 0
    ledger.close()


def test_the_tables_are_those_that_the_migrations_make(path: Path) -> None:
    sqlite.create(path).close()
    for name, table in tables.metadata.tables.items():
        made = {row[1] for row in raw(path, f"PRAGMA table_info({name})")}
        assert made == set(table.c.keys()), name


# --- Promises that the file itself keeps --------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE schedules SET high_water = high_water - 1",
        "UPDATE runs SET fence = fence - 1 WHERE status = 'running'",
        "UPDATE runs SET status = 'done'",
        "UPDATE runs SET status = 'pending', finished_at = NULL WHERE status = 'missed'",
        "UPDATE runs SET attempts = 5",
        "UPDATE runs SET occurrence = occurrence + 1",
        "UPDATE runs SET started_at = occurrence - 1 WHERE status = 'missed'",
        "UPDATE runs SET lease_until = NULL WHERE status = 'running'",
        "UPDATE runs SET revision = ''",
        "UPDATE runs SET spec_digest = 'x'",
        "UPDATE runs SET status = 'running', lease_until = 1, worker = 'w' "
        "WHERE status = 'pending'",
        "INSERT INTO runs SELECT 'other', schedule, schedule_uid, occurrence, "
        '"trigger", status, reason, message, attempts, max_attempts, not_before, '
        "expires, expires_reason, overlap, max_concurrent, options, whole, "
        "cancel_requested, cancel_requested_at, fence, worker, lease_until, started_at, "
        "finished_at, rows, lost, reopened, parameters, revision, spec_digest, tzdb, created_at, "
        "connection, late_at "
        "FROM runs WHERE status = 'missed'",
        "INSERT INTO deliveries VALUES ('x', '-', 'd', '-', 0, 'local', 'accepted', 1, "
        "'', '', NULL, NULL, '{}', NULL, NULL, 1, '', '', 0, 0, 0)",
    ],
)
def test_sql_itself_refuses_to_break_a_promise(
    ledger: Ledger, path: Path, statement: str
) -> None:
    ledger.materialise(now=START + timedelta(seconds=63))
    assert len(ledger.claim("w", now=START + timedelta(seconds=63), limit=1)) == 1
    ledger.enqueue([a_manual_run(now=START)], now=START)
    known = {one.run.status for one in ledger.runs(limit=100)}
    assert known >= {RunStatus.MISSED, RunStatus.RUNNING, RunStatus.PENDING}
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)


def test_no_error_of_the_driver_escapes(ledger: Ledger, path: Path) -> None:
    raw(path, "DROP TABLE marks")
    with pytest.raises(Temporary, match="cannot be used") as told:
        ledger.served()
    assert told.value.reason == "ledger_unavailable"
    with pytest.raises(Temporary):
        ledger.materialise(now=START + HOUR)


def test_the_verbs_of_every_step_look_up_and_do_not_search(
    ledger: Ledger, path: Path
) -> None:
    """No statement of a tick, a claim or a look at history reads all runs."""
    seen: set[str] = set()

    def remember(driver: sqlite3.Connection, *_: object) -> None:
        driver.set_trace_callback(seen.add)

    ledger.close()
    event.listen(Pool, "connect", remember)
    ledger = sqlite.create(path)
    now = START + HOUR
    ledger.materialise(now=now)
    (claimed,) = ledger.claim("w", now=now, limit=1)
    ledger.heartbeat([claimed.claim], now=now)
    ledger.expire(now=now)
    ledger.wait(claimed.claim, now + HOUR, "why", "", now=now)
    for look in (ledger.runs, ledger.open_runs, ledger.states):
        look()
    ledger.runs(schedule="daily", since=START)
    ledger.unfinished(now)
    ledger.last_rows_digest(uid_of(ledger))
    event.remove(Pool, "connect", remember)
    ledger.close()
    about_runs = [one for one in seen if one.startswith(("SELECT", "UPDATE runs"))]
    assert len(about_runs) > 10
    with closing(sqlite3.connect(path)) as connection:
        plans = {
            statement: connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            for statement in about_runs
        }
    # Of all that is owed, most is done.
    searched = [
        statement
        for statement, plan in plans.items()
        if any(
            step[3].endswith(("SCAN runs", "runs_owed_once", "(occurrence<?)"))
            for step in plan
        )
    ]
    assert searched == []


@pytest.mark.parametrize("narrowed", [(), ("schedule",), ("since",), ("until",)])
@pytest.mark.parametrize("status", [*RunStatus])
def test_runs_in_a_status_are_found_where_there_are_fewest(
    ledger: Ledger, path: Path, status: RunStatus, narrowed: tuple[str, ...]
) -> None:
    ledger.materialise(now=START + timedelta(seconds=63))
    given = {"schedule": "daily", "since": START, "until": START + HOUR}
    asked: dict[str, Any] = {name: given[name] for name in narrowed}
    known = ledger.runs(limit=100, **asked)
    assert {one.run.status for one in known} == {RunStatus.MISSED, RunStatus.PENDING}
    found = ledger.runs(status=status, limit=100, **asked)
    assert found == [one for one in known if one.run.status is status]
    sql, _, _ = _finding(narrowed, status)._compiled
    with closing(sqlite3.connect(path)) as connection:
        values = [0] * sql.count("?")
        (_, _, _, first), *_ = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
    (index,) = re.findall(r" runs USING (?:COVERING )?INDEX (\w+)", first)
    assert index == _best_index(status, narrowed)


def _best_index(status: RunStatus, narrowed: tuple[str, ...]) -> str:
    if status is RunStatus.RUNNING:
        return "runs_executing"
    if not status.final:
        return "runs_to_start"
    if "schedule" in narrowed:
        return "runs_by_schedule"
    return "runs_by_time" if status is RunStatus.SUCCEEDED else "runs_in_vain"
