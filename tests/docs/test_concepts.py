"""docs/concepts.md names each kind and each reason, in the words of the code."""

from __future__ import annotations

from pathlib import Path

from boe_reconciler.core.plan import REASONS
from boe_reconciler.core.resources.envelope import KINDS

TEXT = (Path(__file__).parents[2] / "docs" / "concepts.md").read_text()


def test_each_reason_of_a_status_is_explained() -> None:
    missing = [
        reason
        for reason, text in REASONS.items()
        if f"| {reason} | {text} |" not in TEXT
    ]
    assert missing == []


def test_each_kind_is_named() -> None:
    assert [kind for kind in KINDS if f"| {kind} |" not in TEXT] == []
