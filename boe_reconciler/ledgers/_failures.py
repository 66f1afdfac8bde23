"""`pause_after_failures`: so many failed runs in a row pause their schedule."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from boe_reconciler.core import due
from boe_reconciler.core.due import Standing
from boe_reconciler.core.runs import Pause, PauseTarget, Run, RunStatus
from boe_reconciler.ledgers import _time
from boe_reconciler.ledgers._store import Store


def count(store: Store, run: Run, status: RunStatus, now: datetime) -> None:
    """A run has ended: one more failure in a row, or none any more."""
    if run.options.dry_run:
        return
    # Not by its name: it may have been renamed since.
    uid = run.schedule_uid
    if status in (RunStatus.SUCCEEDED, RunStatus.PARTIAL):
        store.forget_failures(uid)
    elif status is RunStatus.FAILED:
        for standing in store.standings_of([uid]):
            _failed_again(store, standing, now)


def _failed_again(store: Store, standing: Standing, now: datetime) -> None:
    most = due.execution(standing).pause_after_failures
    failures = standing.failures + 1
    store.put_standings([replace(standing, failures=failures)])
    if most and failures >= most and not standing.paused:
        _pause(store, standing.name, failures, now)


def _pause(store: Store, schedule: str, failures: int, now: datetime) -> None:
    runs = "1 run failed" if failures == 1 else f"{failures} runs in a row failed"
    pause = Pause(
        target=PauseTarget.SCHEDULE, value=schedule, by="boe", why=runs, since=now
    )
    _time.pause(store, pause)
