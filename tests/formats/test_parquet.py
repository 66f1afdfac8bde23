"""parquet: types, row groups and zones, read by DuckDB and pyarrow."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boe_reconciler.core.ports import FormatOptions, Table
from boe_reconciler.core.resources.report import Column
from boe_reconciler.formats import parquet

OPTIONS = FormatOptions(
    title="t",
    timezone=ZoneInfo("Europe/Berlin"),
    occurrence=datetime(2026, 1, 1, tzinfo=UTC),
)


def written(rows: pa.Table, **columns: Column) -> bytes:
    target = io.BytesIO()
    batches = iter(rows.to_batches(max_chunksize=10_000))
    table = Table(name="t", schema=rows.schema, batches=batches, columns=columns)
    parquet.create().write([table], target, OPTIONS)
    return target.getvalue()


def read(content: bytes) -> pq.ParquetFile:
    return pq.ParquetFile(io.BytesIO(content))


def test_row_groups_are_of_one_size_and_compressed_with_zstd() -> None:
    meta = read(written(pa.table({"n": range(300_000)}))).metadata
    groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
    assert [group.num_rows for group in groups] == [131_072, 131_072, 37_856]
    assert groups[0].column(0).compression == "ZSTD"


def test_a_source_that_fails_ends_the_file_in_the_callers_thread() -> None:
    threads = []

    def batches() -> Iterator[pa.RecordBatch]:
        for _ in range(30):
            threads.append(threading.current_thread())
            yield from pa.table({"n": range(10_000)}).to_batches()
        raise OSError("gone")

    schema = pa.schema([pa.field("n", pa.int64())])
    table = Table(name="t", schema=schema, batches=batches())
    with pytest.raises(OSError, match="gone"):
        parquet.create().write([table], io.BytesIO(), OPTIONS)
    assert set(threads) == {threading.current_thread()}


def test_wide_rows_make_smaller_groups() -> None:
    rows = pa.table({"text": ["x" * 100_000] * 2000})
    assert read(written(rows)).metadata.num_row_groups > 1


def test_types_and_values_are_exact() -> None:
    rows = pa.table(
        {
            "n": pa.array([2**63 - 1, None]),
            "u": pa.array([2**64 - 1, None], pa.uint64()),
            "d": pa.array([Decimal("1.50"), None], pa.decimal128(38, 2)),
            "f": [float("inf"), None],
            "t": pa.array(["", None], pa.large_string()),
            "b": pa.array([b"\x00", None], pa.large_binary()),
            "l": pa.array([[1], None]),
            "ns": pa.array([1, None], pa.timestamp("ns")),
        }
    )
    assert pq.read_table(io.BytesIO(written(rows))).equals(rows)


def test_timestamps_keep_the_instant_and_name_the_schedules_zone() -> None:
    at = pa.array(
        [datetime(2026, 10, 25, 1, 30, tzinfo=UTC)], pa.timestamp("us", "UTC")
    )
    table = pq.read_table(io.BytesIO(written(pa.table({"at": at}))))
    assert table.schema.field("at").type == pa.timestamp("us", "Europe/Berlin")
    instant = table["at"][0].as_py().astimezone(UTC)
    assert instant == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_what_parquet_has_no_type_for_is_text() -> None:
    rows = pa.table(
        {
            "wait": pa.array([(1, 2, 0)], pa.month_day_nano_interval()),
            "deep": pa.array([[(0, 1, 0)]], pa.list_(pa.month_day_nano_interval())),
        }
    )
    table = pq.read_table(io.BytesIO(written(rows)))
    assert table.to_pylist() == [{"wait": "P1M2D", "deep": '["P1D"]'}]


def test_names_are_those_of_the_query_and_nothing_of_the_source_leaks() -> None:
    schema = pa.schema(
        [pa.field("n", pa.int8(), metadata={"a": "b"})], {"pandas": "{}"}
    )
    content = written(pa.table({"n": [1]}, schema), n=Column(title="Number"))
    found = read(content).schema_arrow
    assert found.names == ["n"]
    assert found.metadata is None
    assert not (found.field("n").metadata or {}).get(b"a")


def test_duckdb_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(written(pa.table({"n": range(10), "s": ["é"] * 10})))
    found = duckdb.connect().execute(f"select sum(n), min(s) from '{path}'").fetchall()
    assert found == [(45, "é")]
