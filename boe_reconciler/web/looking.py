"""Numbers that are read when somebody asks: from the ledger, the disk, and the loop."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from boe_reconciler.core.census import Census
from boe_reconciler.core.health import Health
from boe_reconciler.core.holds import HoldKind
from boe_reconciler.core.limits import ConnectionState, Phase
from boe_reconciler.core.ports import Clock, Ledger
from boe_reconciler.core.runs import RunStatus

T = TypeVar("T")
#: Seconds that a scrape waits for the ledger: the other numbers are to arrive anyhow.
PATIENCE = 3.0
_OPEN = (RunStatus.PENDING, RunStatus.WAITING, RunStatus.RUNNING)
#: Name -> what it is, and its labels.
FAMILIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ready": ("1 if /readyz says so: runs that are due now start in time.", ()),
    "last_step_age_seconds": ("Since the executor's loop came round.", ()),
    "last_tick_age_seconds": ("Since the ledger was asked what is due.", ()),
    "ledger_up": ("1 if the ledger answered while the metrics were read.", ()),
    "runs_open": ("Runs that are pending, waiting or running.", ("status",)),
    "runs_ended_last_day": (
        "Runs that ended within a day, those included that nobody executed.",
        ("status", "reason"),
    ),
    "gap_occurrences_last_day": (
        "Occurrences within a day that one row covers: paused, or many missed at once.",
        ("reason",),
    ),
    "schedules": ("Schedules that are served: active or paused.", ("state",)),
    "holds": ("What waits for `boe release`.", ("kind",)),
    "oldest_due_age_seconds": (
        "How long the first schedule is due whose rows are not made; 0 if none is.",
        (),
    ),
    "oldest_start_age_seconds": (
        "How long the first run could have gone on that still waits; 0 if none could.",
        (),
    ),
    "breaker_open": (
        "1 while a Connection that failed is left alone, or tried once.",
        ("connection",),
    ),
    "connection_failures": (
        "Failures in a row that may pass, of a Connection with a limit.",
        ("connection",),
    ),
    "state_free_bytes": ("Free on the disk of the state folder.", ()),
    "state_disk_bytes": ("The size of the disk of the state folder.", ()),
    "ledger_bytes": ("The ledger's file and its log beside it.", ()),
}
#: Name -> label values and number.
Samples = dict[str, list[tuple[Sequence[str], float]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What is looked at."""

    ledger: Ledger
    state: Path
    ready: Callable[[], Health]
    clock: Clock


class Looking(Collector):
    """Reads the numbers anew for each scrape."""

    def __init__(self, outlook: Outlook) -> None:
        self._outlook = outlook
        self._asked = Patient(self._ask, PATIENCE)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found = self._loop() | _disk(self._outlook.state) | self._ledger()
        for name, (what, labels) in FAMILIES.items():
            family = GaugeMetricFamily(f"boe_{name}", what, labels=labels)
            for values, number in found.get(name, ()):
                family.add_metric(values, number)
            yield family

    def _loop(self) -> Samples:
        health = self._outlook.ready()
        ages = {
            "last_step_age_seconds": health.step_age,
            "last_tick_age_seconds": health.tick_age,
        }
        found: Samples = {"ready": [((), float(health.well))]}
        for name, age in ages.items():
            found[name] = [] if age is None else [((), age)]
        return found

    def _ledger(self) -> Samples:
        return self._asked.ask() or {"ledger_up": [((), 0.0)]}

    def _ask(self) -> Samples:
        now, ledger = self._outlook.clock.now(), self._outlook.ledger
        counts = _counts(ledger.census(now=now), now)
        limits = ledger.limits(now=now)
        return {"ledger_up": [((), 1.0)], **counts, **_limits(limits)}


def _counts(census: Census, now: datetime) -> Samples:
    active = census.schedules - census.paused
    return {
        "runs_open": [((one.value,), census.open.get(one, 0)) for one in _OPEN],
        "runs_ended_last_day": [
            ((status.value, reason), count)
            for (status, reason), count in census.ended.items()
        ],
        "gap_occurrences_last_day": [
            ((reason,), count) for reason, count in census.gaps.items()
        ],
        "schedules": [(("active",), active), (("paused",), census.paused)],
        "holds": [((one.value,), census.holds.get(one, 0)) for one in HoldKind],
        "oldest_due_age_seconds": [((), _age(census.next_due, now))],
        "oldest_start_age_seconds": [((), _age(census.next_start, now))],
    }


def _limits(connections: Sequence[ConnectionState]) -> Samples:
    return {
        "breaker_open": [
            ((one.name,), float(one.breaker is not Phase.CLOSED)) for one in connections
        ],
        "connection_failures": [((one.name,), one.failures) for one in connections],
    }


def _age(since: datetime | None, now: datetime) -> float:
    return max((now - since).total_seconds(), 0.0) if since else 0.0


def _disk(state: Path) -> Samples:
    """Nothing of it where the folder cannot be looked at."""
    try:
        usage = shutil.disk_usage(state)
        ledger = (state / "ledger.sqlite", state / "ledger.sqlite-wal")
        files = sum(file.stat().st_size for file in ledger if file.exists())
    except OSError:
        return {}
    return {
        "state_free_bytes": [((), usage.free)],
        "state_disk_bytes": [((), usage.total)],
        "ledger_bytes": [((), files)],
    }


class Patient(Generic[T]):
    """Asks in another thread, which may hang; nobody waits for it longer than that."""

    def __init__(self, question: Callable[[], T], patience: float) -> None:
        self._question = question
        self._patience = patience
        self._asking = threading.Lock()

    def ask(self) -> T | None:
        """None: no answer in time, or it failed. One that hangs is not asked again."""
        answers: list[T] = []
        if not self._asking.acquire(timeout=self._patience):
            return None
        thread = threading.Thread(
            target=self._answer, args=(answers,), name="looking", daemon=True
        )
        thread.start()
        thread.join(self._patience)
        return answers[0] if answers else None

    def _answer(self, answers: list[T]) -> None:
        try:
            answers.append(self._question())
        except Exception:  # noqa: S110 whoever asked sees that there is no answer
            pass
        finally:
            self._asking.release()
