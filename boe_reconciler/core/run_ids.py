"""The ids of runs: stable, safe in files, URLs and Message-IDs."""

from __future__ import annotations

from datetime import UTC, datetime


def run_id(schedule: str, occurrence: datetime) -> str:
    """Id of the scheduled run."""
    return f"{schedule}.{occurrence.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def manual_run_id(schedule: str, uuid7_hex: str) -> str:
    return f"{schedule}.m{uuid7_hex}"


def backfill_run_id(schedule: str, occurrence: datetime, backfill: str) -> str:
    return f"{run_id(schedule, occurrence)}.b{backfill}"
