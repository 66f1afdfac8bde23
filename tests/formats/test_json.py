"""json and jsonl: exact texts that another parser reads."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.ports import FormatOptions, Table, Written
from boe_reconciler.formats import json as json_format
from boe_reconciler.formats import jsonl


def write(rows: pa.Table, backend: Any = json_format) -> tuple[str, Written]:
    target = io.BytesIO()
    options = FormatOptions(
        title="t",
        timezone=ZoneInfo("Europe/Berlin"),
        occurrence=datetime(2026, 1, 1, tzinfo=UTC),
    )
    table = Table(name="t", schema=rows.schema, batches=iter(rows.to_batches()))
    done = backend.create().write([table], target, options)
    return target.getvalue().decode(), done


def test_an_array_has_an_object_a_line() -> None:
    rows = pa.table({"a": [1, None], "b": ["x", ""]})
    assert write(rows)[0] == '[\n{"a":1,"b":"x"},\n{"a":null,"b":""}\n]\n'
    assert write(rows.slice(0, 0))[0] == "[]\n"


def test_lines_stand_alone() -> None:
    rows = pa.table({"a": ["x\ny", None]})
    assert write(rows, jsonl)[0] == '{"a":"x\\ny"}\n{"a":null}\n'
    assert write(rows.slice(0, 0), jsonl)[0] == ""


def test_batches_are_joined_with_commas() -> None:
    rows = pa.concat_tables([pa.table({"a": [1]}), pa.table({"a": [2, 3]})])
    assert json.loads(write(rows)[0]) == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_timestamps_carry_the_offset_of_their_instant() -> None:
    instants = [
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
        datetime(1880, 1, 1, tzinfo=UTC),
    ]
    rows = pa.table({"at": pa.array(instants, pa.timestamp("us", "UTC"))})
    texts = [row["at"] for row in json.loads(write(rows)[0])]
    assert texts[:2] == ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]
    # Berlin had its own mean time.
    assert texts[2] == "1880-01-01T00:53:28+00:53:28"
    assert [datetime.fromisoformat(text) for text in texts] == instants


def test_numbers_keep_all_digits() -> None:
    wide = Decimal("1234567890123456789012345678.0123456789")
    rows = pa.table({"n": [2**63 - 1], "d": pa.array([wide], pa.decimal128(38, 10))})
    assert write(rows)[0] == f'[\n{{"n":{2**63 - 1},"d":{wide}}}\n]\n'


def test_nested_values_are_native() -> None:
    value = {"list": [1, None], "inner": {"t": 'q"', "d": Decimal("1.10")}, "e": []}
    rows = pa.table({"v": [value, None], "m": pa.nulls(2)})
    text, _ = write(rows)
    assert json.loads(text, parse_float=Decimal)[0]["v"] == value
    assert json.loads(text)[1]["v"] is None


def test_a_second_column_of_a_name_is_numbered_and_noted() -> None:
    arrays = [pa.array([n]) for n in (1, 2, 3, 4)]
    rows = pa.Table.from_arrays(arrays, names=["n", "n", "n_2", "n"])
    text, done = write(rows)
    assert json.loads(text) == [{"n": 1, "n_3": 2, "n_2": 3, "n_4": 4}]
    assert [note[0] for note in done.notes] == ["column_renamed", "column_renamed"]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                'te"xt\n': st.none() | TEXTS,
                "list": st.none() | st.lists(st.none() | st.integers(-9, 9)),
                "float": st.none() | st.floats(allow_nan=False, allow_infinity=False),
                "deep": st.none()
                | st.lists(
                    st.fixed_dictionaries(
                        {"a": st.none() | TEXTS, "b": st.lists(TEXTS, max_size=2)}
                    ),
                    max_size=3,
                ),
            }
        )
    ),
    st.integers(0, 3),
)
def test_any_value_comes_back_from_another_parser(
    rows: list[dict[str, Any]], skipped: int
) -> None:
    deep = pa.struct([("a", pa.string()), ("b", pa.list_(pa.string()))])
    schema = pa.schema(
        [
            ('te"xt\n', pa.string()),
            ("list", pa.list_(pa.int8())),
            ("float", pa.float64()),
            ("deep", pa.list_(deep)),
        ]
    )
    table = pa.Table.from_pylist(rows, schema).slice(skipped)
    text, done = write(table)
    assert json.loads(text) == rows[skipped:]
    assert done.rows == len(rows[skipped:])
    lines = write(table, jsonl)[0].split("\n")[:-1]
    assert [json.loads(line) for line in lines] == rows[skipped:]
