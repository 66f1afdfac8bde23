"""A ledger of every older version is brought up to date, and loses nothing by it."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from boe_reconciler.cli import run
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.ports import Ledger
from boe_reconciler.core.runs import DeliveryStatus, RunStatus
from boe_reconciler.ledgers import sqlite
from boe_reconciler.ledgers.sqlite import opening, tables
from tests.folders import a_folder
from tests.ledgers.keeping import END, KEPT, a_history

FILES = sorted(KEPT.glob("ledger-*.sqlite"))
#: Columns whose values a migration changes on purpose: (version, table, column).
CHANGED: set[tuple[str, str, str]] = set()
#: Says where it is in the middle of its work, and waits there.
_SLOW = """
import sys, time
from alembic import op
revision, down_revision = "9999", {newest!r}
def upgrade():
    op.execute("ALTER TABLE events ADD COLUMN level TEXT")
    op.execute("DELETE FROM runs")
    if {waits}:
        print("middle", flush=True)
        time.sleep(60)
"""
_OPEN = """
import sys
from pathlib import Path
from boe_reconciler.ledgers import sqlite
from boe_reconciler.ledgers.sqlite import opening
opening.MIGRATIONS, opening.NEWEST = Path(sys.argv[2]), "9999"
sqlite.create(Path(sys.argv[1])).close()
"""


def version_of(file: Path) -> str:
    return file.stem.removeprefix("ledger-")


@pytest.fixture(params=FILES, ids=version_of)
def kept(request: pytest.FixtureRequest) -> Path:
    file: Path = request.param
    return file


@pytest.fixture
def path(kept: Path, tmp_path: Path) -> Path:
    """A state folder's ledger, of an older version or the newest."""
    target = tmp_path / "state" / "ledger.sqlite"
    target.parent.mkdir()
    shutil.copy(kept, target)
    return target


def a_repo_with(file: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A repo whose ledger is a kept file, and that ledger."""
    folder = a_folder(tmp_path / "repo")
    target = folder / ".boe" / "ledger.sqlite"
    target.parent.mkdir(mode=0o700)
    shutil.copy(file, target)
    return folder, target


def ask(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def names_of(path: Path) -> list[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
    return [name for (name,) in ask(path, query)]


def columns_of(path: Path, table: str) -> list[str]:
    return [row[1] for row in ask(path, f"PRAGMA table_info({table})")]


def rows_of(path: Path, table: str, columns: list[str]) -> list[Any]:
    names = ", ".join(f'"{name}"' for name in columns)
    return sorted(ask(path, f"SELECT {names} FROM {table}"), key=repr)


def schema_of(path: Path) -> list[Any]:
    """All that the file is made of, whatever the spaces in it."""
    found = ask(path, "SELECT type, name, tbl_name, sql FROM sqlite_master")
    return sorted((*row[:3], " ".join((row[3] or "").split())) for row in found)


def contents_of(path: Path) -> dict[str, list[Any]]:
    return {
        name: rows_of(path, name, columns_of(path, name)) for name in names_of(path)
    }


# --- The kept files -----------------------------------------------------------------


def test_each_version_has_its_kept_file() -> None:
    """`python -m tests.ledgers.keeping` makes it, with the code of that version."""
    config = Config()
    config.set_main_option("script_location", str(opening.MIGRATIONS))
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    assert {one.revision for one in scripts} == {version_of(file) for file in FILES}


def test_a_kept_file_is_of_its_version_and_has_rows_in_every_table(kept: Path) -> None:
    assert ask(kept, "SELECT * FROM alembic_version") == [(version_of(kept),)]
    assert [name for name, rows in contents_of(kept).items() if not rows] == []
    open_runs = "SELECT DISTINCT status FROM runs WHERE finished_at IS NULL"
    assert {status for (status,) in ask(kept, open_runs)} == {
        *("pending", "waiting", "running"),
    }
    deliveries = {row[0] for row in ask(kept, "SELECT DISTINCT status FROM deliveries")}
    assert deliveries > {"pending", "sending", "deferred", "accepted"}


# --- Upgraded -----------------------------------------------------------------------


def test_it_becomes_what_a_new_ledger_is(path: Path, tmp_path: Path) -> None:
    sqlite.create(path).close()
    sqlite.create(tmp_path / "new.sqlite").close()
    assert schema_of(path) == schema_of(tmp_path / "new.sqlite")
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]
    assert ask(path, "PRAGMA foreign_key_check") == []


def test_a_new_ledger_is_what_the_migrations_make(tmp_path: Path) -> None:
    """`make schema` writes it down."""
    made, migrated = tmp_path / "made.sqlite", tmp_path / "migrated.sqlite"
    sqlite.create(made).close()
    engine = opening.connected(migrated)
    opening.migrate(engine, migrated)
    engine.dispose()
    assert schema_of(made) == schema_of(migrated)
    contents, expected = contents_of(made), contents_of(migrated)
    (key,), (other,) = (each.pop("return_key") for each in (contents, expected))
    assert len(key[0]) == len(other[0]) == 64
    assert key != other
    assert contents == expected


def test_it_keeps_every_row(path: Path, kept: Path) -> None:
    sqlite.create(path).close()
    for table in {*names_of(kept)} - {"alembic_version"}:
        changed = {one[2] for one in CHANGED if one[:2] == (version_of(kept), table)}
        same = [name for name in columns_of(kept, table) if name not in changed]
        assert rows_of(path, table, same) == rows_of(kept, table, same), table


def test_it_is_sound_and_goes_on(path: Path) -> None:
    ledger = sqlite.create(path)
    assert ledger.broken_invariants(now=END) == []
    spec = ledger.schedule_spec("ships")
    assert spec is not None
    assert spec.files == {"queries/ships.sql": "c" * 64}
    _finish_all(ledger)
    assert ledger.open_runs() == 0
    assert ledger.broken_invariants(now=END) == []
    ledger.close()


def _finish_all(ledger: Ledger) -> None:
    """As `boe run` would: take over, tick, and bring each run to its end."""
    later = END.replace(hour=18)
    ledger.expire(now=later, all_leases=True)
    ledger.materialise(now=later)
    while claims := ledger.claim("next", now=later, limit=10):
        for one in claims:
            for delivery in one.record.deliveries:
                assert delivery.status is not DeliveryStatus.SENDING or delivery.intent
            ledger.finish(one.claim, RunStatus.FAILED, "over", "", now=later)


def test_the_copy_beside_it_is_a_way_back(path: Path, kept: Path) -> None:
    version = version_of(kept)
    before = contents_of(path)
    sqlite.create(path).close()
    copy = path.with_name(f"ledger.sqlite.version-{version}")
    if version == tables.NEWEST:
        assert not copy.exists()
        return
    assert contents_of(copy) == before
    assert schema_of(copy) == schema_of(kept)
    for name in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        path.with_name(name).unlink(missing_ok=True)
    copy.rename(path)  # as docs/operating/versions.md tells
    sqlite.create(path).close()
    assert ask(path, "SELECT * FROM alembic_version") == [(tables.NEWEST,)]


def test_the_newest_history_is_the_one_that_the_kept_files_hold(
    tmp_path: Path,
) -> None:
    """Whoever adds a table adds rows of it to the history, too."""
    ledger = sqlite.create(tmp_path / "ledger.sqlite")
    a_history(ledger)
    ledger.close()
    found = contents_of(tmp_path / "ledger.sqlite")
    assert [name for name, rows in found.items() if not rows] == []


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_who_waits_for_an_upgrade_is_told(
    log_format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not among lines of JSON."""
    folder, _ = a_repo_with(FILES[0], tmp_path)
    said = []
    for _ in range(2):
        assert run(["-C", str(folder), "--log-format", log_format, "runs"]) == 0
        said.append(capsys.readouterr().err)
    told = "Upgrading the ledger from version 0001: a million runs take a minute.\n"
    assert said == [told if log_format == "text" else "", ""]


# --- Refused, and cut off -----------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["status", "runs", "run", "trigger ships", "doctor"]
)
def test_a_ledger_of_a_newer_version_is_left_alone(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, target = a_repo_with(FILES[-1], tmp_path)
    with closing(sqlite3.connect(target)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = contents_of(target)
    assert run(["-C", str(folder), *command.split()]) == 1
    told = "".join(capsys.readouterr())
    assert "written by a newer BOE (its version is 9999" in told
    assert "Install that version again" in told
    assert contents_of(target) == before


def test_who_opens_it_waits_for_an_upgrade_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than for any other transaction."""
    path = tmp_path / "ledger.sqlite"
    shutil.copy(FILES[0], path)
    monkeypatch.setattr(opening, "PATIENCE", 0.05)
    with closing(_locked(path)) as other:
        monkeypatch.setattr(opening, "_UPGRADING", 2)
        with pytest.raises(InputError, match="locked"):
            sqlite.create(path)
        monkeypatch.setattr(opening, "_UPGRADING", 1_000)
        done = Timer(0.5, other.execute, ["COMMIT"])
        done.start()
        sqlite.create(path).close()
        done.join()
    assert ask(path, "SELECT * FROM alembic_version") == [(tables.NEWEST,)]
    log = path.with_name("ledger.sqlite-wal")
    assert not log.exists() or log.stat().st_size == 0


def _locked(path: Path) -> sqlite3.Connection:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("BEGIN IMMEDIATE")
    return other


@pytest.fixture
def migrations(tmp_path: Path) -> Callable[..., Path]:
    """The migrations with one more, which may stop in the middle."""

    def make(*, waits: bool) -> Path:
        folder = tmp_path / f"migrations-{waits}"
        shutil.copytree(opening.MIGRATIONS, folder)
        text = _SLOW.format(newest=tables.NEWEST, waits=waits)
        (folder / "versions" / "9999_slow.py").write_text(text)
        return folder

    return make


def test_an_upgrade_that_is_killed_in_the_middle_has_changed_nothing(
    tmp_path: Path, migrations: Callable[..., Path]
) -> None:
    path = tmp_path / "ledger.sqlite"
    shutil.copy(FILES[-1], path)
    before = contents_of(path)
    command = [sys.executable, "-c", _OPEN, str(path)]
    with subprocess.Popen(
        [*command, str(migrations(waits=True))], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "middle\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert contents_of(path) == before
    subprocess.run([*command, str(migrations(waits=False))], check=True)
    assert ask(path, "SELECT * FROM alembic_version") == [("9999",)]
    assert ask(path, "SELECT count(*) FROM runs") == [(0,)]
    copy = path.with_name(f"ledger.sqlite.version-{tables.NEWEST}")
    assert contents_of(copy) == before
