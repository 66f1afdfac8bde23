"""The stored file of a delivery: opened to read, and held against its digest."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from boe_reconciler.core.errors import Permanent


def opened(path: Path) -> BinaryIO:
    """Permanent `artifact_missing` where it is gone; other OSErrors come through."""
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        detail = "the stored file is not there any more"
        raise Permanent("artifact_missing", detail, "run `boe rerun`") from error


def check_unchanged(found: str, sha256: str) -> None:
    """Permanent `artifact_changed` where what was read is not what was stored."""
    if found != sha256:
        raise Permanent("artifact_changed", "the stored file is not what it was")
