"""Whatever a run is doing, a drain interrupts it within a second and leaves nothing."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from boe_reconciler.backends import FORMATS
from boe_reconciler.core.resources.connection import DuckDBConnection
from boe_reconciler.core.runs import RunStatus
from boe_reconciler.engine.cancel import CancelToken, Drained, Stop
from boe_reconciler.sources import duckdb
from tests.engine.world import World, a_spec
from tests.folders import until

#: One second, and three for a busy machine.
STOPPED_WITHIN = 4.0
ROWS = "select range as n, 'row number ' || range as a, range / 7 as b from range({})"
ENDLESS = ROWS.format(10**12)
#: Not more than a pdf holds, and still many seconds of drawing.
PAGES = "select *, a as c, a as d, a as e, a as f from (" + ROWS.format(49_000) + ")"


#: The two that are quick to test stand for the others in the quick suite.
EACH = [
    pytest.param(name, marks=() if name in ("csv", "pdf") else pytest.mark.slow)
    for name in FORMATS
    if name != "preview"  # no file that anybody asks for
]


@pytest.mark.parametrize("name", EACH)
def test_a_drain_interrupts_the_writing_of_any_format(world: World, name: str) -> None:
    query = PAGES if name == "pdf" else ENDLESS
    spec = a_spec(query, export={"format": name})
    assert_stops(world, spec)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"export": {"format": ["csv", "jsonl"]}},
        {"export": {"format": "csv", "compress": "zip"}},
        {"if_unchanged": "skip"},
        {"only_if": {"query": f"select sum(n) > 0 from ({ENDLESS})"}},
    ],
    ids=["spooling", "compressing", "comparing", "asking"],
)
def test_a_drain_interrupts_every_step_of_an_export(
    world: World, fields: dict[str, object]
) -> None:
    assert_stops(world, a_spec(ENDLESS, **fields))


def assert_stops(world: World, spec: object) -> None:
    world.serve(spec)  # type: ignore[arg-type]  # a RunSpec
    run_id = world.ask("daily")
    executor = world.executor()
    executor.step()
    until(lambda: list((world.root / ".boe/scratch").glob("*")))
    time.sleep(0.7)
    began = time.monotonic()
    executor.drain(0)
    assert time.monotonic() - began < STOPPED_WITHIN
    record = world.record(run_id)
    assert record.run.status is RunStatus.PENDING, record.run.message
    assert record.run.attempts == 0
    assert world.files() == []
    # DuckDB's own folder goes with its instance, soon after.
    scratch = world.root / ".boe/scratch"
    assert [each for each in scratch.iterdir() if "duckdb" not in each.name] == []


def test_an_interrupted_query_gives_its_memory_and_its_files_back(
    tmp_path: Path,
) -> None:
    spec = DuckDBConnection.model_validate({"type": "duckdb"})
    scratch = tmp_path / "scratch"
    source = duckdb.create(
        spec,
        secrets=None,
        data_root=tmp_path,
        memory_limit="200MB",
        scratch=scratch,  # type: ignore[arg-type]
    )
    before, cancel = resident(), CancelToken()
    query = "select n from range(100000000) t(n) order by hash(n)"
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(source.rows, query, {}, cancel)
        instance = until(lambda: source._instance)
        spill = Path(instance.spill.name)
        assert spill.parent == scratch
        until(lambda: spilled(spill))
        cancel.stop(Stop.DRAIN)
        with pytest.raises(Drained):
            asked.result(STOPPED_WITHIN)
    until(lambda: source._instance is None, 5)
    assert not spill.exists()
    assert resident() < before + 100_000_000
    source.close()


def spilled(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def resident() -> int:
    """Bytes of this process in memory."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except OSError:
        pytest.skip("this system does not tell")
