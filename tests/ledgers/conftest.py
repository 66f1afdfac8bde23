"""Ledgers themselves: theirs are made by the migrations."""

from __future__ import annotations

import pytest

from boe_reconciler.ledgers.sqlite import opening
from tests import ready_tables


@pytest.fixture(autouse=True)
def _by_migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_migrate", ready_tables.migrate)
