"""A zip file, written in one pass to a target that need not be seekable.

Contents are deflated by igzip as they come and kept in a spool, so that an entry's
sizes are known before its header is written: no data descriptors, and zip64 only
where it is needed. Same contents and same time give the same bytes.
"""

from __future__ import annotations

import io
import shutil
import struct
import tempfile
from datetime import datetime
from types import TracebackType
from typing import BinaryIO, Final, NamedTuple

from isal import isal_zlib

from boe_reconciler.core.blocks import Blocks

#: Up to this much stays in memory, beyond it in a temporary file.
SPOOL = 1 << 20
LEVEL = 1
#: The largest value that fits a field without zip64.
MAX_32, MAX_16 = 0xFFFFFFFF, 0xFFFF
ZIP64_EXTRA: Final = 1
UTF8_NAMES: Final = 0x800
DEFLATED: Final = 8


class Deflated:
    """Raw deflate data that grows at its end; a piece may still be put before it."""

    def __init__(self) -> None:
        self.size = 0
        self.crc = 0
        self.packed = 0
        self._head = b""
        self._spool = _spool()
        self._stream = _stream()
        self._blocks = Blocks()

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        self.size += view.nbytes
        self.crc = isal_zlib.crc32(view, self.crc)
        for block in self._blocks.of(view):
            self._keep(self._stream.compress(block))

    def close(self) -> None:
        """No more is written."""
        self._keep(self._stream.compress(self._blocks.rest()))
        self._keep(self._stream.flush())

    def put_before(self, data: bytes) -> None:
        """`data` comes before all there is: a closed block of its own."""
        stream = _stream()
        piece = stream.compress(data) + stream.flush(isal_zlib.Z_SYNC_FLUSH)
        self._head = piece + self._head
        crc = isal_zlib.crc32(data)
        self.crc = isal_zlib.crc32_combine(crc, self.crc, self.size)
        self.size += len(data)
        self.packed += len(piece)

    def copy_to(self, target: BinaryIO) -> None:
        target.write(self._head)
        self._spool.seek(0)
        shutil.copyfileobj(self._spool, target, SPOOL)

    def content(self) -> bytes:
        """All of it, unpacked. Close it before."""
        packed = io.BytesIO()
        self.copy_to(packed)
        return isal_zlib.decompress(packed.getvalue(), -isal_zlib.MAX_WBITS)

    def discard(self) -> None:
        self._spool.close()

    def _keep(self, piece: bytes) -> None:
        self.packed += len(piece)
        self._spool.write(piece)


def _spool() -> BinaryIO:
    return tempfile.SpooledTemporaryFile(max_size=SPOOL)  # type: ignore[return-value]  # a BinaryIO in all but name; closed by discard


def _stream() -> isal_zlib.Compress:
    return isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)


class Sizes(NamedTuple):
    """Of an entry."""

    size: int
    packed: int
    crc: int


class ZipWriter:
    def __init__(self, target: BinaryIO, when: datetime) -> None:
        """`when` stands as the time of every entry."""
        self._target = target
        self._time = dos_time(when)
        self._at = 0
        self._directory: list[bytes] = []

    def add(self, name: str, content: bytes | str) -> None:
        data = content.encode() if isinstance(content, str) else content
        packed = isal_zlib.compress(data, LEVEL, -isal_zlib.MAX_WBITS)
        self._begin(name, Sizes(len(data), len(packed), isal_zlib.crc32(data)))
        self._put(packed)

    def add_deflated(self, name: str, data: Deflated) -> None:
        """`data` must be closed; it is discarded."""
        try:
            self._begin(name, Sizes(data.size, data.packed, data.crc))
            data.copy_to(self._target)
        finally:
            data.discard()
        self._at += data.packed

    def __enter__(self) -> ZipWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()

    def close(self) -> None:
        start = self._at
        for entry in self._directory:
            self._put(entry)
        self._put(_ending(len(self._directory), start, self._at - start))

    def _begin(self, name: str, sizes: Sizes) -> None:
        self._directory.append(_directory_entry(name, sizes, self._time, self._at))
        self._put(_local_header(name, sizes, self._time))

    def _put(self, data: bytes) -> None:
        self._target.write(data)
        self._at += len(data)


def dos_time(when: datetime) -> int:
    """As zip files keep it: 1980 to 2107, in steps of two seconds."""
    year = min(max(when.year, 1980), 2107) - 1980
    date = year << 9 | when.month << 5 | when.day
    return date << 16 | when.hour << 11 | when.minute << 5 | when.second // 2


def _local_header(name: str, data: Sizes, time: int) -> bytes:
    large = max(data.size, data.packed) >= MAX_32
    extra = struct.pack("<HHQQ", ZIP64_EXTRA, 16, data.size, data.packed)
    return (
        b"PK\x03\x04"
        + _common(name, data, time, [data.packed, data.size] if not large else [])
        + struct.pack("<H", len(extra) if large else 0)
        + name.encode()
        + (extra if large else b"")
    )


def _directory_entry(name: str, data: Sizes, time: int, offset: int) -> bytes:
    fits = max(data.size, data.packed, offset) < MAX_32
    extra = struct.pack("<HHQQQ", ZIP64_EXTRA, 24, data.size, data.packed, offset)
    return (
        b"PK\x01\x02"
        + struct.pack("<H", 45)
        + _common(name, data, time, [data.packed, data.size] if fits else [])
        + struct.pack("<HHHHL", 0 if fits else len(extra), 0, 0, 0, 0)
        + struct.pack("<L", offset if fits else MAX_32)
        + name.encode()
        + (b"" if fits else extra)
    )


def _common(name: str, data: Sizes, time: int, sizes: list[int]) -> bytes:
    """What both headers hold; no `sizes` means they stand in the zip64 extra."""
    packed, size = sizes or (MAX_32, MAX_32)
    start = struct.pack("<HHHL", 20 if sizes else 45, UTF8_NAMES, DEFLATED, time)
    return start + struct.pack("<LLLH", data.crc, packed, size, len(name.encode()))


def _ending(entries: int, start: int, size: int) -> bytes:
    large = start + size >= MAX_32 or entries >= MAX_16
    zip64 = (
        b"PK\x06\x06"
        + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, entries, entries, size, start)
        + b"PK\x06\x07"
        + struct.pack("<LQL", 0, start + size, 1)
    )
    count = min(entries, MAX_16)
    end = struct.pack(
        "<HHHHLLH", 0, 0, count, count, min(size, MAX_32), min(start, MAX_32), 0
    )
    return (zip64 if large else b"") + b"PK\x05\x06" + end
