"""The command line: one file a command group."""

from __future__ import annotations

from boe_reconciler.cli.main import run

__all__ = ["run"]
