"""The zip container of workbooks, as Python's own zipfile sees it."""

from __future__ import annotations

import io
import zipfile
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.formats.xlsx import container
from boe_reconciler.formats.xlsx.container import Deflated, Sizes, ZipWriter

WHEN = datetime(2026, 11, 24, 5, 30, 7, tzinfo=UTC)


def zipped(*entries: tuple[str, bytes]) -> bytes:
    target = io.BytesIO()
    with ZipWriter(target, WHEN) as file:
        for name, content in entries:
            file.add(name, content)
    return target.getvalue()


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_the_crc_of_two_pieces_is_that_of_the_whole(
    first: bytes, second: bytes
) -> None:
    data = Deflated()
    data.write(second)
    data.close()
    data.put_before(first)
    data.discard()
    assert data.crc == zlib.crc32(first + second)


def test_entries_read_back_with_their_time() -> None:
    content = zipped(("a.txt", b"x" * 100_000), ("é/b", b""))
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        assert file.namelist() == ["a.txt", "é/b"]
        assert file.read("a.txt") == b"x" * 100_000
        assert file.infolist()[0].date_time == (2026, 11, 24, 5, 30, 6)


def test_a_head_may_be_put_before_what_is_written() -> None:
    data = Deflated()
    data.write(b"body" * 1_000)
    data.close()
    data.put_before(b"head ")
    target = io.BytesIO()
    with ZipWriter(target, WHEN) as file:
        file.add_deflated("x", data)
    with zipfile.ZipFile(target) as read:
        assert read.read("x") == b"head " + b"body" * 1_000


def test_what_does_not_fit_in_memory_goes_through_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(container, "SPOOL", 10)
    content = zipped(("a", bytes(range(256)) * 10))
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.read("a") == bytes(range(256)) * 10


def test_sizes_beyond_32_bits_stand_in_zip64_fields(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a small limit: every field that would overflow is written as zip64."""
    monkeypatch.setattr(container, "MAX_16", 1)
    content = zipped(("a", b"x" * 1_000), ("b", b"y"))
    assert b"PK\x06\x06" in content
    huge = Sizes(size=1 << 33, packed=1_000, crc=0)
    entry = container._directory_entry("a", huge, 0, 1 << 34)
    assert (1 << 33).to_bytes(8, "little") in entry
    assert (1 << 34).to_bytes(8, "little") in entry
    local = container._local_header("a", huge, 0)
    assert local[26:30] == b"\x01\x00\x14\x00"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_entry_of_more_than_4_gb_reads_back() -> None:
    data = Deflated()
    for _ in range(4_200):
        data.write(b"\0" * (1 << 20))
    data.close()
    target = io.BytesIO()
    with ZipWriter(target, WHEN) as file:
        file.add_deflated("large", data)
        file.add("after", b"small")
    with zipfile.ZipFile(target) as read:
        assert read.getinfo("large").file_size == 4_200 << 20
        assert read.testzip() is None
        assert read.read("after") == b"small"


def test_years_that_a_zip_cannot_hold_are_the_nearest() -> None:
    early = container.dos_time(datetime(1970, 1, 1, tzinfo=UTC))
    assert early >> 25 == 0
    assert container.dos_time(datetime(2200, 1, 1, tzinfo=UTC)) >> 25 == 127
