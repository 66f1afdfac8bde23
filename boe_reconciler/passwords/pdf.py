"""PDF 2.0 with AES of 256 bits: it opens with the password, and then allows all."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from pypdf import PdfWriter

from boe_reconciler.core.ports import Protection, Sealing


class Pdf:
    def protect(self, plain: Path, target: BinaryIO, sealing: Sealing) -> None:
        sealing.cancel.check()
        document = PdfWriter(clone_from=plain)
        document.encrypt(sealing.password, algorithm="AES-256")
        document.write(target)


def create() -> Protection:
    return Pdf()
