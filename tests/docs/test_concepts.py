"""The page on concepts names what the code knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from boe_reconciler.core.plan import REASONS
from boe_reconciler.core.plan.files import FOLDERS
from boe_reconciler.core.resources.envelope import KINDS

PAGE = (Path(__file__).parents[2] / "docs/concepts.md").read_text()


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_a_status_is_explained(reason: str) -> None:
    assert f"| {reason} | {REASONS[reason]} |" in PAGE


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_named(kind: str) -> None:
    assert f"| {kind} |" in PAGE


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_is_named(folder: str) -> None:
    assert f"{folder}/" in PAGE
