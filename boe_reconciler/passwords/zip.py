"""Zip files after WinZip's AE-2: AES with 256 bits, written as the file is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from stream_zip import ZIP_64, stream_zip

from boe_reconciler.core.ports import Cancel, Protection, Sealing

CHUNK = 1 << 18


class Zip:
    def protect(self, plain: Path, target: BinaryIO, sealing: Sealing) -> None:
        moment = sealing.occurrence.replace(tzinfo=None)
        member = (sealing.name, moment, 0o100644, ZIP_64, _read(plain, sealing.cancel))
        # The library turns each character into a byte; readers take UTF-8.
        password = sealing.password.encode().decode("latin-1")
        for piece in stream_zip([member], chunk_size=CHUNK, password=password):
            target.write(piece)


def create() -> Protection:
    return Zip()


def _read(path: Path, cancel: Cancel) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            cancel.check()
            yield piece
