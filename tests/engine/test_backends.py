"""What the engine gets from `app`: Sources that are opened once and closed in time."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from boe_reconciler.app import App
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.ports import Never
from boe_reconciler.core.runs import RunStatus
from boe_reconciler.settings import read_settings
from boe_reconciler.sources.duckdb import DuckDBSource
from boe_reconciler.transforms.small import KeptSource
from tests.engine.world import World, a_spec
from tests.folders import until

OLD, NEW = {"type": "duckdb"}, {"type": "duckdb", "timeout": "9s"}


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[DuckDBSource]:
    """Those that were closed, in order."""
    found: list[DuckDBSource] = []
    real = DuckDBSource.close

    def close(source: DuckDBSource) -> None:
        found.append(source)
        real(source)

    monkeypatch.setattr(DuckDBSource, "close", close)
    return found


def test_runs_share_the_source_of_a_connection(
    world: World, closed: list[DuckDBSource]
) -> None:
    spec = a_spec(connection=OLD)
    with (
        world.backends.source(spec) as one,
        world.backends.source(a_spec("select 2 as two", connection=OLD)) as other,
    ):
        assert one is other
    with world.backends.source(spec) as again:
        assert again is one
    assert closed == []


def test_the_source_of_an_edited_connection_closes_with_its_last_run(
    world: World, closed: list[DuckDBSource]
) -> None:
    with world.backends.source(a_spec(connection=OLD)) as old:
        with world.backends.source(a_spec(connection=NEW)) as new:
            assert new is not old
        assert closed == []
    assert closed == [old]
    world.backends.close()
    assert closed == [old, new]


def test_the_source_of_an_edited_connection_that_nobody_uses_closes_at_once(
    world: World, closed: list[DuckDBSource]
) -> None:
    with world.backends.source(a_spec(connection=OLD)) as old:
        pass
    with world.backends.source(a_spec(connection=NEW)):
        assert closed == [old]


@pytest.mark.parametrize("size", ["much", "1MB"])
def test_a_limit_of_memory_that_is_none_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setenv("BOE_CHILD_MEMORY", size)
    app = App(read_settings(root=tmp_path))
    with pytest.raises(InputError, match="BOE_CHILD_MEMORY"):
        assert app.backends


def test_many_small_files_at_once_are_written_by_children(world: World) -> None:
    kept = world.backends.kept
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(kept.child(Never()))
    until(lambda: kept._idle)
    (child,) = kept._idle
    record = world.run_now(a_spec("select 'Łódź' as city", export={"format": "xlsx"}))
    assert record.run.status is RunStatus.SUCCEEDED
    assert kept._idle == [child]
    (name,) = world.files()
    book = openpyxl.load_workbook(world.root / "exports" / name)
    assert [*book.active.values] == [("city",), ("Łódź",)]
    world.backends.close()
    assert not list(world.root.rglob("child-*"))


@pytest.mark.parametrize(
    ("connection", "limit", "kept"),
    [
        (OLD, "300MB", True),
        (OLD, "512 mb", False),
        ({**OLD, "read_only": False}, "300MB", False),
        ({"type": "sqlite"}, "300MB", False),
    ],
)
def test_a_child_reads_for_a_file_what_is_only_read(
    world: World, connection: dict[str, Any], limit: str, kept: bool
) -> None:
    """The children together have the memory of a Connection, where that is known."""
    backends = world.backends
    backends.settings = replace(backends.settings, memory_limit=limit)
    with backends.source(a_spec(connection=connection), for_file=True) as found:
        assert isinstance(found, KeptSource) == kept
        if isinstance(found, KeptSource):
            bytes_ = int(found.memory_limit.removesuffix("B"))
            assert bytes_ * backends._most_kept in range(299_999_000, 300_000_001)
