"""The texts behind csv, json, html and pdf: zones by zoneinfo, exact numbers."""

from __future__ import annotations

import io
import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.formats import _values as values

UNITS = ("s", "ms", "us", "ns")
YEARS = st.datetimes(datetime(1680, 1, 1), datetime(2260, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 the zone is given beside them


@given(
    zone=st.sampled_from(sorted(available_timezones())).map(ZoneInfo),
    instants=st.lists(st.none() | YEARS, max_size=8),
    unit=st.sampled_from(UNITS),
)
def test_wall_time_is_that_of_zoneinfo(
    zone: ZoneInfo, instants: list[datetime | None], unit: str
) -> None:
    array = pa.array(instants, pa.timestamp("us", "UTC"))
    array = array.cast(pa.timestamp(unit, "UTC"), safe=False)
    wall, offsets = values.wall_clock(array, zone)
    local = [
        at.astimezone(zone)
        for at in array.cast(pa.timestamp("us", "UTC")).to_pylist()
        if at
    ]
    found = [at for at in wall.cast(pa.timestamp("us")).to_pylist() if at]
    assert found == [at.replace(tzinfo=None) for at in local]
    assert [o for o in offsets.to_pylist() if o is not None] == [
        round((at.utcoffset() or timedelta()).total_seconds()) for at in local
    ]


TZDATA = files("tzdata")
NAMES = TZDATA.joinpath("zones").read_text().split()


def zone_file(name: str) -> bytes:
    return TZDATA.joinpath("zoneinfo", *name.split("/")).read_bytes()


def changes(content: bytes) -> list[int]:
    """The instants at which a zone's offset changes, read from its TZif file."""
    header = struct.Struct(">4s c 15x 6l")
    _, _, utc, std, leap, times, kinds, chars = header.unpack_from(content)
    skip = header.size + times * 5 + kinds * 6 + chars + leap * 8 + std + utc
    *_, times, kinds, _ = header.unpack_from(content, skip)
    start = skip + header.size
    instants = struct.unpack_from(f">{times}q", content, start)
    indexes = struct.unpack_from(f">{times}B", content, start + times * 8)
    at = start + times * 9
    offsets = [struct.unpack_from(">l", content, at + 6 * k)[0] for k in range(kinds)]
    steps = [offsets[0], *(offsets[index] for index in indexes)]
    return [t for t, (a, b) in zip(instants, pairwise(steps), strict=True) if a != b]


def test_no_zone_changes_its_clock_twice_in_a_utc_day() -> None:
    assert len(NAMES) > 500
    for name in NAMES:
        days = [instant // values.DAY for instant in changes(zone_file(name))]
        assert len(days) == len(set(days)), name


def test_every_change_of_every_zone_is_at_its_second() -> None:
    for name in NAMES:
        content = zone_file(name)
        zone = ZoneInfo.from_file(io.BytesIO(content), name)
        seconds = [t + d for t in changes(content) for d in (-1, 0) if t > values.FIRST]
        array = pa.array(seconds, pa.int64()).cast(pa.timestamp("s", "UTC"))
        _, offsets = values.wall_clock(array, zone)
        known = [datetime.fromtimestamp(t, zone).utcoffset() for t in seconds]
        assert offsets.to_pylist() == [
            round(o.total_seconds()) for o in known if o is not None
        ], name


@given(
    st.lists(
        st.decimals(
            allow_nan=False,
            allow_infinity=False,
            places=9,
            min_value=-(10**20),
            max_value=10**20,
        )
    )
)
def test_decimals_have_their_digits(numbers: list[Decimal]) -> None:
    array = pa.array(numbers, pa.decimal128(38, 9))
    texts = values.text(array, ZoneInfo("UTC")).to_pylist()
    assert [Decimal(text) for text in texts] == numbers
    assert not any("E" in text for text in texts)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_floats_come_back_as_they_were(numbers: list[float]) -> None:
    texts = values.text(pa.array(numbers, pa.float64()), ZoneInfo("UTC")).to_pylist()
    assert [float(text) for text in texts] == numbers


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ((0, 0, 0), "PT0S"),
        ((14, 0, 0), "P14M"),
        ((1, -2, 3_000_000_000), "P1M-2DT3S"),
        ((0, 0, -1_500_000_000), "PT-1.5S"),
        ((0, 0, 1), "PT0.000000001S"),
    ],
)
def test_lengths_of_time_are_iso_8601(parts: tuple[int, int, int], text: str) -> None:
    assert values.iso_duration(*parts) == text


def test_slices_are_small_however_large_the_batch() -> None:
    wide = pa.record_batch({"t": ["x" * 1_000_000] * 40})
    sizes = [piece.num_rows for piece in values.slices(iter([wide]))]
    assert sum(sizes) == 40
    assert max(sizes) <= 17
    long = pa.record_batch({"n": range(100_000)})
    assert [p.num_rows for p in values.slices(iter([long]))] == [32768] * 3 + [1696]
    huge = pa.record_batch({"t": ["x" * (20 << 20)] * 2})
    assert [p.num_rows for p in values.slices(iter([huge]))] == [1, 1]


def test_a_slice_is_as_large_as_its_own_rows() -> None:
    batch = pa.record_batch({"t": ["x" * 1_000] * 1_000})
    assert values.larger([batch], 900_000)
    assert not values.larger([batch.slice(n * 10, 10) for n in range(5)], 900_000)


def test_values_in_slices_are_those_of_the_slice() -> None:
    zone = ZoneInfo("UTC")
    lists = pa.array([[1], None, [2, None], [], [3]])
    fixed = pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2))
    maps = pa.array([[("a", 1)], [("b", 2)], None], pa.map_(pa.string(), pa.int8()))
    structs = pa.array([{"a": 1}, {"a": 2}, None])
    assert values.text(lists.slice(1, 3), zone).to_pylist() == [None, "[2,null]", "[]"]
    assert values.text(fixed.slice(1), zone).to_pylist() == [None, "[3,4]"]
    assert values.text(maps.slice(1), zone).to_pylist() == ['{"b":2}', None]
    assert values.text(structs.slice(1), zone).to_pylist() == ['{"a":2}', None]
