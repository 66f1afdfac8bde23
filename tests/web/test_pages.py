"""The pages over a real HTTP connection, while the loop behind them hangs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from boe_reconciler.clock import SystemClock
from boe_reconciler.core.facts import Reconciled
from boe_reconciler.core.runs import Tick
from boe_reconciler.engine.vitals import LATE, STUCK, Vitals
from boe_reconciler.ledgers.memory import MemoryLedger
from boe_reconciler.web.looking import Looking, Outlook
from boe_reconciler.web.pages import pages
from boe_reconciler.web.server import Server
from tests.builders import an_activation
from tests.engine.world import World, a_spec


class Blocked(MemoryLedger):
    """Answers what is due only once it is freed, and all else at once."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.free = threading.Event(), threading.Event()

    def materialise(self, *, now: datetime, limit: int = 500) -> Tick:
        self.asked.set()
        self.free.wait(60)
        return super().materialise(now=now, limit=limit)


@pytest.fixture
def vitals(world: World) -> Vitals:
    found = Vitals(clock=world.clock)
    world.observers.append(found.observe)
    return found


@pytest.fixture
def ledger(world: World, vitals: Vitals) -> Blocked:
    """One that serves a plan and is not blocked yet; one tick is done."""
    world.ledger = ledger = Blocked()
    ledger.free.set()
    world.serve(a_spec())
    vitals.observe(Reconciled(activation=an_activation()))
    return ledger


@pytest.fixture
def url(world: World, vitals: Vitals, tmp_path: Path) -> Iterator[str]:
    registry = CollectorRegistry()
    outlook = Outlook(
        ledger=world.ledger, state=tmp_path, ready=vitals.ready, clock=world.clock
    )
    registry.register(Looking(outlook))
    found = pages(registry, alive=vitals.alive, ready=vitals.ready)
    server = Server("127.0.0.1:0", found, clock=SystemClock())
    yield server.url
    server.close()


def test_a_loop_that_hangs_is_told_with_its_reason(
    world: World, ledger: Blocked, url: str
) -> None:
    executor, stop = world.executor(), threading.Event()
    executor.step()
    assert httpx.get(f"{url}/readyz").json() == {
        "ready": True,
        "reason": "",
        "message": "",
        "step_age_seconds": 0.0,
        "tick_age_seconds": 0.0,
    }
    ledger.free.clear()
    ledger.asked.clear()
    world.clock.move(25)
    loop = threading.Thread(target=executor.serve, args=(stop,))
    loop.start()
    assert ledger.asked.wait(10)
    world.clock.move(LATE)
    ready = httpx.get(f"{url}/readyz")
    assert (ready.status_code, ready.json()["reason"]) == (503, "tick_late")
    assert ready.json()["tick_age_seconds"] == LATE + 25
    assert httpx.get(f"{url}/healthz").status_code == 200
    world.clock.move(STUCK)
    alive = httpx.get(f"{url}/healthz")
    assert (alive.status_code, alive.json()["reason"]) == (503, "loop_stuck")
    text = httpx.get(f"{url}/metrics").text
    assert "boe_ready 0.0" in text
    assert f"boe_last_tick_age_seconds {LATE + STUCK + 25}" in text
    stop.set()
    ledger.free.set()
    loop.join(10)
    executor.drain(0)


def test_metrics_come_in_the_form_that_is_asked_for(url: str, ledger: Blocked) -> None:
    plain = httpx.get(f"{url}/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    open_ = httpx.get(f"{url}/metrics", headers=accept)
    assert open_.headers["content-type"].startswith("application/openmetrics-text")
    assert open_.text.endswith("# EOF\n")
