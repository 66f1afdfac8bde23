"""Every ledger, for the promises that each of them keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from boe_reconciler.core.ports import Ledger
from boe_reconciler.ledgers import sqlite
from boe_reconciler.ledgers.memory import MemoryLedger


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    memory = request.param == "memory"
    found = MemoryLedger() if memory else sqlite.create(tmp_path / "ledger.sqlite")
    yield found
    found.close()
