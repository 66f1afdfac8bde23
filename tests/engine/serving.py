"""A folder and whoever serves it: all real, but for a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from boe_reconciler.app import App
from boe_reconciler.core.runs import RunRecord
from boe_reconciler.settings import read_settings
from tests.engine.world import HandClock
from tests.folders import a_folder, schedule, write

HOURLY = {"cron": "30 * * * *", "timezone": "UTC"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-24T{text}").replace(tzinfo=UTC)


class Serving:
    """One `boe run`, step by step."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self.clock = HandClock(now)
        self.app = App(read_settings(root=folder, state=None), self.clock)
        assert self.app.serve_lock.try_acquire()
        try:
            self._reconciler = self.app.reconciler()
            self._executor = self.app.executor()
            self.reconcile()
            self._executor.start()
        except BaseException:
            self.app.close()
            raise

    def reconcile(self) -> None:
        self._reconciler.reconcile()

    def set(self, moment: str) -> None:
        self.clock.move((at(moment) - self.clock.now()).total_seconds())

    def serve_until(self, moment: str) -> None:
        """As a living process does, with at least one pass a minute."""
        while self.clock.now() < at(moment):
            left = (at(moment) - self.clock.now()).total_seconds()
            self.clock.move(min(55, left))
            self.work()

    def begin(self) -> None:
        """Start what is due, and do not wait for its end."""
        assert self._executor.step()

    def work(self) -> None:
        while self._executor.step():
            self.app.ledger.wait_for_change(0.01)

    def end(self) -> None:
        self._executor.drain(0)
        self.app.close()

    def step(self, times: int) -> None:
        """While something is broken, work may never end."""
        for _ in range(times):
            self._executor.step()
            self.app.ledger.wait_for_change(0.02)

    def records(self) -> list[RunRecord]:
        return list(self.app.ledger.runs(limit=100))

    def outcomes(self) -> dict[str, str]:
        """Occurrence -> what became of it; each has exactly one row."""
        runs = [one.run for one in self.records()]
        found = {f"{run.occurrence:%H:%M}": run.status.value for run in runs}
        assert len(found) == len(runs)
        assert self.app.ledger.broken_invariants(now=self.clock.now()) == []
        return found


class Folder:
    """The repo, and whoever serves it."""

    def __init__(
        self, path: Path, policy: Mapping[str, Any] | None = None, **spec: Any
    ) -> None:
        self.path = a_folder(path / "repo", self._schedule(**spec), policy=policy)
        self.serving: Serving | None = None

    def merge(self, **spec: Any) -> None:
        write(self.path / "schedules/report.yaml", self._schedule(**spec))

    def start(self, moment: str) -> Serving:
        self.stop()
        self.serving = Serving(self.path, at(moment))
        return self.serving

    def stop(self) -> None:
        if self.serving is not None:
            self.serving.end()
            self.serving = None

    def files(self) -> list[str]:
        """All delivered files, hidden ones included."""
        found = (self.path / "exports").rglob("*")
        return sorted(path.name for path in found if path.is_file())

    def _schedule(self, **spec: Any) -> Any:
        return schedule("report", **{"when": HOURLY, **spec})
