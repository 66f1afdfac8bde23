"""The same rows, spec and occurrence give the same bytes, wherever and whenever."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from boe_reconciler.core.runs import RunStatus
from boe_reconciler.engine.packing import gzipped
from tests.engine.world import World, a_spec

FORMATS = ["xlsx", "csv", "tsv", "json", "jsonl", "parquet", "html", "pdf"]
QUERY = """
    select i as n, 'Übersicht ' || i as name, i * 1.5 as share, date '2026-01-01' as day,
        timestamptz '2026-01-01 12:00:00+00' as at, {'b': 1, 'a': [i]} as nested
    from range(25) t(i) order by i
"""


def digests(root: Path) -> dict[str, list[str]]:
    """Of every format in every compression, whole and split, and of two sheets."""
    world, found = World(root), {}
    split = {"max_rows": 10, "on_too_many": "split"}
    sheets = [{"name": name, "query": QUERY} for name in ("One", "Two")]
    for compress in (False, "gzip", "zip"):
        one = {"compress": compress, "format": FORMATS}
        several = {"compress": compress, "format": ["xlsx", "html", "pdf"]}
        book = {"query": None, "workbook": {"sheets": sheets}}
        for what, spec in {
            "whole": a_spec(QUERY, export=one),
            "split": a_spec(QUERY, export=one, report=split),
            "sheets": a_spec(export=several, report=book),
        }.items():
            record = world.run_now(spec, dry_run=True)
            assert record.run.status is RunStatus.SUCCEEDED, record.run.message
            found[f"{compress} {what}"] = [
                f"{one.name} {one.sha256}" for one in record.artifacts
            ]
    return found


def test_gzip_gives_the_same_bytes_however_its_input_is_cut() -> None:
    text = b"".join(b"%d,%d\n" % (n, n * n % 9973) for n in range(60_000))

    def packed(step: int) -> bytes:
        raw = io.BytesIO()
        with gzipped(raw, datetime(2026, 11, 24, tzinfo=UTC)) as target:
            for start in range(0, len(text), step):
                target.write(memoryview(text)[start : start + step])
            assert target.tell() == len(text)
        return raw.getvalue()

    whole = packed(len(text))
    assert gzip.decompress(whole) == text
    assert packed(1_000) == packed(300_001) == whole


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    """They differ in the time of day, the zone, the seed of hashes and all folders."""
    first, second = (_in_a_process(tmp_path / name, name) for name in ("1", "22"))
    assert len(first) == 9
    assert first == second


def _in_a_process(folder: Path, seed: str) -> dict[str, list[str]]:
    (folder / "temporary").mkdir(parents=True)
    different = {
        "PYTHONHASHSEED": seed,
        "TMPDIR": str(folder / "temporary"),
        "TZ": {"1": "Asia/Tokyo"}.get(seed, "America/New_York"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    code = (
        "import json, sys; from pathlib import Path; "
        "from tests.engine.test_reproducible import digests; "
        "print(json.dumps(digests(Path(sys.argv[1]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env={**os.environ, **different},
        capture_output=True,
        check=True,
        timeout=120,
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found
