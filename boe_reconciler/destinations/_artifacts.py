"""The stored file of a delivery: opened to read, and held against its digest."""

from __future__ import annotations

from io import BufferedReader
from pathlib import Path

from boe_reconciler.core.errors import Permanent, Temporary


def opened(path: Path) -> BufferedReader:
    """Permanent `artifact_missing` where it is gone, Temporary where it cannot be read."""
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        detail = "the stored file is not there any more"
        raise Permanent("artifact_missing", detail, "run `boe rerun`") from error
    except OSError as error:
        detail = f"the stored file cannot be read: {error.strerror}"
        raise Temporary("artifact_unread", detail) from error


def check_unchanged(found: str, sha256: str) -> None:
    """Permanent `artifact_changed` where what was read is not what was stored."""
    if found != sha256:
        raise Permanent("artifact_changed", "the stored file is not what it was")
