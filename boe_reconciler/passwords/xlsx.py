"""Workbooks as Excel itself encrypts them: ECMA-376 agile, AES with 256 bits."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import BinaryIO

from msoffcrypto.format.ooxml import OOXMLFile

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import Protection, Sealing

#: The library holds the workbook in memory, some five times.
MAX_BYTES = 200_000_000
#: The library puts a smaller one where no reader looks for it.
MIN_BYTES = 4096


class Xlsx:
    def protect(self, plain: Path, target: BinaryIO, sealing: Sealing) -> None:
        if plain.stat().st_size > MAX_BYTES:
            raise Permanent(
                "too_large",
                f"A workbook with a password has {MAX_BYTES:,} bytes at most.",
                "Use compress: zip, which encrypts files of any size.",
            )
        sealing.cancel.check()
        content = io.BytesIO(plain.read_bytes())
        if len(content.getbuffer()) < MIN_BYTES:
            with zipfile.ZipFile(content, "a") as archive:
                archive.comment = b" " * MIN_BYTES
        OOXMLFile(content).encrypt(sealing.password, target)


def create() -> Protection:
    return Xlsx()
