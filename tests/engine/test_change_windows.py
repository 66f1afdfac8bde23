"""Changes wait for their window, and go on by themselves or by a release."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core.errors import Temporary
from boe_reconciler.engine import reconciler as reconciler_module
from boe_reconciler.engine.reconciler import Reconciler
from tests.engine.test_serving_git import Noted, Site
from tests.engine.world import HandClock
from tests.folders import document, schedule, until
from tests.gits import Upstream

#: The evening of a Thursday; the next window opens on Monday at 08:00.
THURSDAY = datetime(2026, 11, 26, 20, tzinfo=UTC)
MONDAY = datetime(2026, 11, 30, 8, tzinfo=UTC)
WINDOWS = [{"cron": "0 8 * * mon-thu", "duration": "8h", "timezone": "UTC"}]
POLICY = document("Policy", "policy", {"change_windows": WINDOWS})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """One that serves a Policy with windows, from outside of them."""
    found = Site(Upstream(tmp_path / "upstream.git"), tmp_path / "state", Noted())
    found.push(POLICY, schedule("a"))
    begin(found, HandClock(THURSDAY)).reconcile()
    yield found
    if found.repo is not None:
        found.repo.close()


def begin(site: Site, clock: HandClock, **fields: Any) -> Reconciler:
    """A process that starts."""
    reconciler = site.reconciler(**fields)
    reconciler.clock = clock
    return reconciler


@contextmanager
def watching(reconciler: Reconciler) -> Iterator[None]:
    stop = threading.Event()
    watcher = threading.Thread(target=reconciler.watch, args=(stop,))
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def waiting(site: Site) -> list[str]:
    return [one.subject for one in site.ledger.holds() if one.waits]


def release(site: Site) -> None:
    (hold,) = site.ledger.holds()
    site.ledger.release(hold.hold_id, by="ada", why="urgent", now=THURSDAY)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler_module, "LOOK", 0.02)


def test_what_waits_is_served_as_before_and_its_successor_takes_its_place(
    site: Site,
) -> None:
    before = site.serving()
    reconciler = begin(site, HandClock(THURSDAY))
    for number in (2, 3):
        revision = site.push(POLICY, schedule("a", query=f"select {number} as n"))
        reconciler.reconcile()
        reconciler.reconcile()
        assert (site.serving(), waiting(site)) == (before, [revision])
    assert site.ledger.broken_invariants(now=THURSDAY) == []
    spec = site.ledger.schedule_spec("a")
    assert spec
    assert spec.report.query == "select 1 as one"


def test_a_release_is_taken_up_at_once_by_whoever_serves(site: Site) -> None:
    revision = site.push(POLICY, schedule("b"))
    with watching(begin(site, HandClock(THURSDAY))):
        until(lambda: waiting(site) == [revision])
        release(site)
        until(lambda: site.serving() == revision)
    assert site.ledger.holds() == []


def test_a_release_lets_nothing_through_but_its_revision(site: Site) -> None:
    site.push(POLICY, schedule("b"))
    reconciler = begin(site, HandClock(THURSDAY))
    reconciler.reconcile()
    before = site.serving()
    release(site)
    newer = site.push(POLICY, schedule("c"))
    reconciler.reconcile()
    assert (site.serving(), waiting(site)) == (before, [newer])


def test_when_its_window_opens_it_is_served_though_git_is_down(
    site: Site, tmp_path: Path
) -> None:
    """Also by a process that started meanwhile, and has never reached git."""
    revision = site.push(POLICY, schedule("b"))
    begin(site, HandClock(THURSDAY)).reconcile()
    site.upstream.path.rename(tmp_path / "away")
    clock = HandClock(THURSDAY)
    with watching(begin(site, clock, poll=timedelta(seconds=1))):
        until(lambda: site.ledger.noted == ["reconcile_failed"])
        assert waiting(site) == [revision]
        # Not even the pause after a failure is waited for.
        clock.step_wall((MONDAY - THURSDAY).total_seconds())
        until(lambda: site.serving() == revision)
    assert site.ledger.holds() == []
    assert site.ledger.noted == ["reconcile_failed"]


def test_a_change_that_drops_the_windows_waits_for_them(site: Site) -> None:
    before = site.serving()
    revision = site.push(schedule("a"))
    reconciler = begin(site, HandClock(THURSDAY))
    plan = reconciler.reconcile()
    assert (site.serving(), waiting(site)) == (before, [revision])
    assert {one.reason for one in plan.statuses} == {"Served", "ChangeWindow"}


def test_a_ledger_that_fails_is_asked_again_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = site.push(POLICY, schedule("b"))
    reconciler = begin(site, HandClock(THURSDAY))
    reconciler.reconcile()
    release(site)
    asked = []

    def down() -> Any:
        asked.append(1)
        raise Temporary("ledger_unavailable", "The disk is full.")

    with monkeypatch.context() as broken:
        broken.setattr(site.ledger, "holds", down)
        with watching(reconciler):
            until(lambda: site.ledger.noted)
    assert len(asked) < 3
    reconciler.clock.sleep(reconciler_module.AGAIN)
    with watching(reconciler):
        until(lambda: site.serving() == revision)


def test_a_mirror_that_is_gone_is_fetched_anew(site: Site) -> None:
    revision = site.push(POLICY, schedule("b"))
    begin(site, HandClock(THURSDAY)).reconcile()
    release(site)
    reconciler = begin(site, HandClock(THURSDAY))
    assert site.repo
    site.repo._mirror.remove()
    with watching(reconciler):
        until(lambda: site.serving() == revision)
