"""What every format promises, whatever it writes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from html.parser import HTMLParser
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pypdf
import pytest

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import Format, FormatOptions, Table, Written
from boe_reconciler.core.resources.report import Column

BERLIN = ZoneInfo("Europe/Berlin")
FORMATS = ("csv", "tsv", "json", "jsonl", "parquet", "html", "pdf", "xlsx")
#: Formats that people read: they show titles; the others keep the names of the query.
TITLED = ("csv", "tsv", "html", "pdf", "xlsx")
ONE_TABLE = ("csv", "tsv", "json", "jsonl", "parquet")
HOSTILE = "=1+1 <script>alert(1)</script> & \"q\" 'a', b;c\\d Łódź Москва"


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.in_cell = False
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag not in ("th", "td")

    def handle_data(self, data: str) -> None:
        if self.in_cell:
            self.rows[-1][-1] += data


def _html(content: bytes) -> list[list[Any]]:
    page = _Cells()
    page.feed(content.decode())
    assert "script" not in page.tags
    return page.rows


def _objects(rows: list[dict[str, Any]]) -> list[list[Any]]:
    return [list(rows[0]), *(list(row.values()) for row in rows)] if rows else []


def _json(content: bytes) -> list[list[Any]]:
    return _objects(json.loads(content, parse_float=Decimal))


def _jsonl(content: bytes) -> list[list[Any]]:
    lines = content.decode().split("\n")[:-1]
    return _objects([json.loads(line, parse_float=Decimal) for line in lines])


def _delimited(separator: str) -> Callable[[bytes], list[list[Any]]]:
    def read(content: bytes) -> list[list[Any]]:
        text = io.StringIO(content.decode(), newline="")
        return list(csv.reader(text, delimiter=separator))

    return read


def _parquet(content: bytes) -> list[list[Any]]:
    table = pq.read_table(io.BytesIO(content))
    columns = [column.to_pylist() for column in table.columns]
    return [table.column_names, *map(list, zip(*columns, strict=True))]


def _xlsx(content: bytes) -> list[list[Any]]:
    sheet = openpyxl.load_workbook(io.BytesIO(content)).worksheets[0]
    looks = sheet.column_dimensions
    seen = [column for column in sheet.columns if not _is_hidden(looks, column)]
    return [list(row) for row in zip(*[_values(c) for c in seen], strict=True)]


def _is_hidden(looks: Any, column: Any) -> bool:
    letter = column[0].column_letter
    return letter in looks and bool(looks[letter].hidden)


def _values(column: Any) -> list[Any]:
    return [cell.value for cell in column]


def _pdf(content: bytes) -> list[list[Any]]:
    pages = pypdf.PdfReader(io.BytesIO(content)).pages
    return [[line] for page in pages for line in page.extract_text().splitlines()]


READ: dict[str, Callable[[bytes], list[list[Any]]]] = {
    "csv": _delimited(","),
    "tsv": _delimited("\t"),
    "json": _json,
    "jsonl": _jsonl,
    "parquet": _parquet,
    "html": _html,
    "pdf": _pdf,
    "xlsx": _xlsx,
}


def create(name: str) -> Format:
    made: Format = import_module(f"boe_reconciler.formats.{name}").create()
    return made


def options(**changes: Any) -> FormatOptions:
    defaults: dict[str, Any] = {
        "title": "Margin by region",
        "timezone": BERLIN,
        "occurrence": datetime(2026, 11, 24, 5, 30, tzinfo=UTC),
    }
    return FormatOptions(**defaults | changes)


def a_table(rows: pa.Table, columns: dict[str, Column] | None = None) -> Table:
    return Table(
        name="Regions",
        schema=rows.schema,
        batches=iter(rows.to_batches()),
        columns=columns or {},
    )


def write(
    name: str,
    rows: pa.Table,
    columns: dict[str, Column] | None = None,
    **changes: Any,
) -> tuple[bytes, Written]:
    target = io.BytesIO()
    written = create(name).write([a_table(rows, columns)], target, options(**changes))
    return target.getvalue(), written


def shown(name: str, rows: pa.Table) -> str:
    """All that another library reads in the file."""
    content, _ = write(name, rows)
    return "\n".join(str(cell) for row in READ[name](content) for cell in row)


class Pipe(io.BytesIO):
    """A target that only writes, and has room for so many bytes."""

    def __init__(self, room: int = 1 << 30) -> None:
        super().__init__()
        self.room = room
        self.content = bytearray()

    def seekable(self) -> bool:
        return False

    def write(self, data: Any) -> int:
        if len(self.content) + len(data) > self.room:
            raise OSError(28, "No space left on device")
        self.content += data
        return len(data)

    def seek(self, *_: Any) -> int:
        raise io.UnsupportedOperation("seek")

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")


pytestmark = pytest.mark.parametrize("name", FORMATS)

THREE = pa.table({"region": ["North", "South", None], "flights": [58, None, 7]})


def test_the_rows_are_counted_and_all_there(name: str) -> None:
    content, written = write(name, THREE)
    assert written.rows == 3
    assert "58" in shown(name, THREE)
    if name != "pdf":
        table = [row for row in READ[name](content) if row and row != ["No rows"]]
        assert len(table) == 4


def test_no_rows_are_a_valid_file(name: str) -> None:
    content, written = write(name, THREE.slice(0, 0))
    assert written.rows == 0
    assert all("North" not in map(str, row) for row in READ[name](content))


def test_no_batches_at_all_are_a_valid_file(name: str) -> None:
    table = Table(name="None", schema=THREE.schema, batches=iter(()))
    target = io.BytesIO()
    assert create(name).write([table], target, options()).rows == 0
    READ[name](target.getvalue())


def test_titles_are_shown_and_hidden_columns_are_left_out(name: str) -> None:
    looks = {"region": Column(title="Where it was"), "flights": Column(hidden=True)}
    content, _ = write(name, THREE, looks)
    text = "\n".join(str(cell) for row in READ[name](content) for cell in row)
    assert ("Where it was" in text) == (name in TITLED)
    # A workbook keeps a hidden column, and hides it.
    assert "58" not in text
    assert "flights" not in text


def test_headers_can_be_left_out(name: str) -> None:
    content, written = write(name, THREE, include_headers=False)
    assert written.rows == 3
    text = "\n".join(str(cell) for row in READ[name](content) for cell in row)
    assert ("flights" in text) == (name not in TITLED)


def test_a_table_whose_columns_are_all_hidden_is_refused_or_looks_empty(
    name: str,
) -> None:
    looks = {"region": Column(hidden=True), "flights": Column(hidden=True)}
    if name == "xlsx":
        assert READ[name](write(name, THREE, looks)[0]) == []
        return
    with pytest.raises(Permanent):
        write(name, THREE, looks)


def test_the_target_need_not_be_seekable_and_stays_open(name: str) -> None:
    target = Pipe()
    create(name).write([a_table(THREE)], target, options())
    assert bytes(target.content) == write(name, THREE)[0]
    assert not target.closed


def test_an_error_of_the_target_comes_out_as_it_is(name: str) -> None:
    many = pa.table({"n": list(range(2000))})
    with pytest.raises(OSError, match="No space left"):
        create(name).write([a_table(many)], Pipe(room=100), options())


def test_an_error_of_the_source_comes_out_as_it_is(name: str) -> None:
    def rows() -> Iterator[pa.RecordBatch]:
        yield from THREE.to_batches()
        raise Permanent("query_failed", "the server went away")

    table = Table(name="Broken", schema=THREE.schema, batches=rows())
    with pytest.raises(Permanent, match="went away"):
        create(name).write([table], io.BytesIO(), options())


def test_the_same_rows_give_the_same_bytes(name: str) -> None:
    rows = pa.table({"n": list(range(2000)), "s": [HOSTILE, "東京 ≥", None, ""] * 500})
    whole, _ = write(name, rows)
    assert whole == write(name, rows)[0]
    parts = Table(
        name="Regions",
        schema=rows.schema,
        batches=iter(rows.to_batches(max_chunksize=999)),
    )
    target = io.BytesIO()
    create(name).write([parts], target, options())
    assert target.getvalue() == whole


def test_hostile_text_stays_text(name: str) -> None:
    text = shown(name, pa.table({"name": [HOSTILE]}))
    if name == "pdf":
        # It wraps there.
        assert "".join(HOSTILE.split()) in "".join(text.split())
    else:
        assert HOSTILE in text


def test_line_ends_tabs_and_controls_do_no_harm(name: str) -> None:
    rows = pa.table({"name": ["a\nb\r\nc\td\x00\x1b\x7f\ufffeé", "next"], "n": [1, 2]})
    content, written = write(name, rows)
    assert written.rows == 2
    assert any("next" in str(cell) for row in READ[name](content) for cell in row)


def test_decimals_are_exact(name: str) -> None:
    numbers = [Decimal("12345678901234.50"), Decimal("-0.01"), None]
    text = shown(name, pa.table({"n": pa.array(numbers, pa.decimal128(18, 2))}))
    assert "12345678901234.5" in text
    assert "-0.01" in text


def test_tiny_decimals_have_all_their_digits(name: str) -> None:
    number = Decimal("0.00000000012")
    table = pa.table({"n": pa.array([number], pa.decimal128(20, 11))})
    text = shown(name, table).casefold()
    # Where the file holds a number, the text is its reader's.
    assert f"{number:f}" in text or str(number).casefold() in text


def test_the_largest_integers_keep_all_digits(name: str) -> None:
    numbers = [2**63 - 1, -(2**63), 2**53 + 1]
    text = shown(name, pa.table({"n": pa.array(numbers, pa.int64())}))
    assert all(str(number) in text for number in numbers)
    text = shown(name, pa.table({"n": pa.array([2**64 - 1], pa.uint64())}))
    assert str(2**64 - 1) in text


def test_nan_and_infinity_are_not_shown(name: str) -> None:
    numbers = [float("nan"), float("inf"), float("-inf"), 1.5]
    text = shown(name, pa.table({"n": numbers})).casefold()
    assert "1.5" in text
    # Parquet has them; the others show nothing.
    assert ("nan" in text) == (name == "parquet")
    assert ("inf" in text) == (name == "parquet")


def test_timestamps_read_as_wall_time_over_both_clock_changes(name: str) -> None:
    instants = [
        datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 0, 0, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 30, 0, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 30, 0, tzinfo=UTC),
        None,
    ]
    array = pa.array(instants, pa.timestamp("us", "UTC"))
    text = shown(name, pa.table({"at": array})).replace("T", " ")
    assert "2026-03-29 01:59:59" in text
    assert "2026-03-29 03:00:00" in text
    assert text.count("2026-10-25 02:30:00") == 2
    assert ("+02:00" in text) == (name in ("json", "jsonl", "parquet"))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_without_zone_stay_as_they_are(name: str, unit: str) -> None:
    array = pa.array([datetime(2026, 3, 29, 2, 30, 0)], pa.timestamp(unit))  # noqa: DTZ001 an hour that Berlin does not have
    assert "2026-03-29 02:30:00" in shown(name, pa.table({"at": array})).replace(
        "T", " "
    )


def test_the_first_and_last_dates_are_shown(name: str) -> None:
    days = [date(1, 1, 1), date(1899, 12, 31), date(9999, 12, 31)]
    text = shown(name, pa.table({"day": days}))
    assert all(day.isoformat() in text for day in days)


def test_timestamps_at_the_ends_of_time_do_not_break(name: str) -> None:
    counts = pa.array([-62135596800 * 10**6, 253402300799 * 10**6])
    naive = counts.cast(pa.timestamp("us"))
    text = shown(name, pa.table({"at": naive})).replace("T", " ")
    assert "0001-01-01 00:00:00" in text
    aware = counts.cast(pa.timestamp("us", "UTC"))
    assert write(name, pa.table({"at": aware}))[1].rows == 2


def test_the_infinity_of_a_database_does_not_break(name: str) -> None:
    stamps = pa.array([2**63 - 1, -(2**63) + 1]).cast(pa.timestamp("us"))
    days = pa.array([2**31 - 1, -(2**31) + 1], pa.int32()).cast(pa.date32())
    assert write(name, pa.table({"at": stamps, "day": days}))[1].rows == 2


RICH = {
    "flag": pa.array([True, None]),
    "bytes": pa.array([b"\x00\xff", None]),
    "fixed": pa.array([b"ab", None], pa.binary(2)),
    "list": pa.array([[1, None, 3], None]),
    "texts": pa.array([['a"b', "c\nd"], []]),
    "struct": pa.array([{"a": 1, "b": {"c": Decimal("1.50")}}, None]),
    "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
    "time": pa.array([3723, None], pa.int32()).cast(pa.time32("s")),
    "length": pa.array([90_500, None], pa.duration("ms")),
    "code": pa.array(["x", None]).dictionary_encode(),
    "none": pa.nulls(2),
    "interval": pa.array([(1, 2, 3_000_000_000), None], pa.month_day_nano_interval()),
    "half": pa.array([1.5, None], pa.float32()).cast(pa.float16()),
    "view": pa.array(["v", None], pa.string_view()),
    "aware": pa.array([[datetime(2026, 10, 25, 1, 30, tzinfo=UTC)], None]),
}


@pytest.mark.parametrize("kind", RICH)
def test_every_type_of_value_can_be_written(name: str, kind: str) -> None:
    content, written = write(name, pa.table({kind: RICH[kind], "n": [1, 2]}))
    assert written.rows == 2
    assert READ[name](content)


def test_nested_values_are_there(name: str) -> None:
    text = shown(name, pa.table({"value": RICH["struct"]}))
    assert "1.50" in text


def test_two_columns_of_one_name_are_both_there(name: str) -> None:
    rows = pa.Table.from_arrays([pa.array([11]), pa.array([22])], names=["n", "n"])
    text = shown(name, rows)
    assert "11" in text
    assert "22" in text


def test_several_tables_are_taken_or_refused_as_declared(name: str) -> None:
    backend = create(name)
    assert backend.several_tables == (name not in ONE_TABLE)
    assert backend.extension == name
    assert "/" in backend.media_type
    tables = [a_table(THREE), a_table(THREE)]
    if backend.several_tables:
        assert backend.write(tables, io.BytesIO(), options()).rows == 6
    else:
        with pytest.raises(Permanent, match="one table"):
            backend.write(tables, io.BytesIO(), options())


_STREAM = """
import resource, sys
from datetime import UTC, datetime
from importlib import import_module
from zoneinfo import ZoneInfo
import pyarrow as pa
from boe_reconciler.core.ports import FormatOptions, Table

batch = pa.record_batch(
    {
        "n": list(range(10_000)),
        "s": [f"text {i}" for i in range(10_000)],
        "at": pa.array(range(10_000)).cast(pa.timestamp("s", "UTC")),
    }
)
class Nowhere:
    def write(self, data): return len(data)
    def flush(self): pass
options = FormatOptions(
    title="t",
    timezone=ZoneInfo("Europe/Berlin"),
    occurrence=datetime(2026, 1, 1, tzinfo=UTC),
)
backend = import_module("boe_reconciler.formats." + sys.argv[1]).create()
def peak(batches):
    rows = (batch for _ in range(batches))
    table = Table(name="t", schema=batch.schema, batches=rows)
    assert backend.write([table], Nowhere(), options).rows == batches * 10_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak(40)
print((peak(200) - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_million_rows_need_no_more_memory_than_a_few(name: str) -> None:
    if name == "pdf":
        with pytest.raises(Permanent, match="50,000 rows"):
            write(name, pa.table({"n": range(50_001)}))
        return
    run = subprocess.run(
        [sys.executable, "-c", _STREAM, name],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(run.stdout) < 48
