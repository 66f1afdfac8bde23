"""What a ledger does once it comes out of a backup (docs/operating/backup.md)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from boe_reconciler.core.ports import Ledger
from boe_reconciler.core.runs import DeliveryStatus, RunStatus
from tests.builders import (
    a_delivery,
    a_manual_run,
    a_pause,
    a_schedule,
    an_activation,
    an_artifact,
    at,
)

START = at("2026-03-01 06:30")
HOUR = timedelta(hours=1)
NOW = START + 9 * HOUR


@pytest.fixture
def ledger(ledger: Ledger) -> Iterator[Ledger]:
    """One run was delivering and one was waiting when the backup was made."""
    ledger.activate(an_activation(a_schedule()), now=START)
    ledger.materialise(now=START + HOUR)
    (claimed,) = ledger.claim("worker", now=START + HOUR, limit=1)
    owed = [a_delivery(claimed.claim.run_id, destination=name) for name in "ab"]
    ledger.begin_attempt(claimed.claim, parameters={}, now=START + HOUR)
    ledger.commit_artifacts(claimed.claim, [an_artifact()], owed, now=START + HOUR)
    ledger.intend(claimed.claim, owed[0].key, {"name": "x"}, now=START + HOUR)
    ledger.enqueue([a_manual_run(now=START + HOUR)], now=START + HOUR)
    yield ledger
    assert ledger.broken_invariants(now=NOW) == []


def test_what_was_open_goes_on_and_what_was_due_is_caught_up(ledger: Ledger) -> None:
    ledger.restored(START + HOUR, catch_up=True, now=NOW)
    assert {one.run.status for one in ledger.runs()} == {RunStatus.PENDING}
    ledger.materialise(now=NOW)
    assert max(one.run.occurrence for one in ledger.runs()) == at("2026-03-01 15:00")


def test_without_catching_up_what_was_open_ends_and_the_rest_is_a_gap(
    ledger: Ledger,
) -> None:
    ledger.restored(START + HOUR, catch_up=False, now=NOW)
    found = {(one.run.status, one.run.reason) for one in ledger.runs()}
    assert found == {(RunStatus.CANCELLED, "restored")}
    deliveries = [one.status for each in ledger.runs() for one in each.deliveries]
    assert sorted(deliveries) == [DeliveryStatus.CANCELLED, DeliveryStatus.UNCONFIRMED]
    (gap,) = ledger.gaps("daily")
    assert (gap.reason, gap.count, gap.until) == ("restored", 8, NOW)
    assert ledger.materialise(now=NOW).inserted == 0
    assert ledger.materialise(now=NOW + HOUR).inserted == 1


def test_a_pause_outlives_it(ledger: Ledger) -> None:
    ledger.pause(a_pause(START + 2 * HOUR))
    ledger.restored(START + 2 * HOUR, catch_up=False, now=NOW)
    assert list(ledger.gaps("daily")) == []
    assert ledger.materialise(now=NOW + HOUR).inserted == 0
    assert [one.value for one in ledger.pauses()] == ["daily"]
