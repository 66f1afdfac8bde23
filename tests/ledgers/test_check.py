"""The live check finds what no verb would do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from boe_reconciler.core.holds import Hold, HoldKind
from boe_reconciler.core.runs import (
    Attempt,
    AttemptStatus,
    Delivery,
    DeliveryStatus,
    GapRow,
    Run,
    RunStatus,
)
from boe_reconciler.ledgers._store import Store
from boe_reconciler.ledgers.memory import MemoryLedger
from tests.builders import a_delivery, a_schedule, an_activation, an_artifact, at

NOW = at("2026-03-01 07:00")
Damage = Callable[[Store, Run], None]


def damaged(damage: Damage) -> Sequence[str]:
    """What the check says after damage to a run that delivers."""
    ledger = MemoryLedger()
    ledger.activate(an_activation(a_schedule()), now=at("2026-03-01 06:30"))
    ledger.materialise(now=NOW)
    (claimed,) = ledger.claim("worker", now=NOW, limit=1)
    ledger.begin_attempt(claimed.claim, parameters={}, now=NOW)
    owed = [a_delivery(claimed.claim.run_id)]
    ledger.commit_artifacts(claimed.claim, [an_artifact()], owed, now=NOW)
    assert ledger.broken_invariants(now=NOW) == []
    run = claimed.record.run
    ledger._backend.write(lambda store: damage(store, replace(run, attempts=1)))
    return ledger.broken_invariants(now=NOW)


def runs(**changes: Any) -> Damage:
    return lambda store, run: store.put_runs([replace(run, **changes)])


def copies(**changes: Any) -> Damage:
    """Another run beside it."""

    def damage(store: Store, run: Run) -> None:
        other = replace(run, run_id="other", attempts=0, **changes)
        store.put_runs([other])

    return damage


def attempts(store: Store, run: Run) -> None:
    for number in (2, 3):
        store.put_attempt(
            Attempt(
                run_id=run.run_id,
                number=number,
                fence=1,
                worker="worker",
                status=AttemptStatus.RUNNING,
                reason="",
                message="",
                started_at=NOW,
                finished_at=None,
            )
        )


def delivery_without_hash(store: Store, run: Run) -> None:
    """Accepted, while its artifact's hash is empty."""
    store.put_runs([replace(run, run_id="other", attempts=0, overlap="allow_all")])
    store.insert_artifacts("other", [an_artifact(sha256="")])
    (delivery,) = store.deliveries([run.run_id])[run.run_id]
    accepted: Delivery = replace(
        delivery,
        key=replace(delivery.key, run_id="other"),
        status=DeliveryStatus.ACCEPTED,
    )
    store.put_deliveries([accepted])


def gap(store: Store, run: Run) -> None:
    standing = store.standings()[0]
    store.insert_gaps(
        [
            GapRow(
                schedule=standing.name,
                schedule_uid=standing.uid,
                since=standing.covered_from,
                until=NOW,
                count=1,
                reason="paused",
            )
        ]
    )


def hold_of_another_revision(store: Store, run: Run) -> None:
    hold = Hold(
        hold_id="h1",
        kind=HoldKind.CHANGE_WINDOW,
        subject=f"main@sha1:{run.run_id}",
        message="",
        since=NOW,
    )
    store.put_holds([hold])


LATER = NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (copies(status=RunStatus.FAILED, worker=None, finished_at=NOW), "I1: daily"),
        (gap, "I2: daily has rows and gaps for 2 of the 1"),
        (gap, "I2: daily has rows within the gap"),
        (runs(occurrence=LATER), "I3: daily has rows after"),
        (runs(finished_at=NOW), "I4: daily.20260301T070000Z is running"),
        (runs(status=RunStatus.FAILED), "I4: daily.20260301T070000Z is failed, its"),
        (runs(lease_until=None), "I5: daily.20260301T070000Z is running"),
        (runs(fence=0), "I5: daily.20260301T070000Z runs without"),
        (attempts, "I5: daily.20260301T070000Z is running with open attempts [2, 3]"),
        (runs(attempts=3), "I6: daily.20260301T070000Z counts 3"),
        (runs(max_attempts=0), "I6: daily.20260301T070000Z counts 1"),
        (copies(), "I7: 2 runs"),
        (delivery_without_hash, "I8: other: local accepted"),
        (runs(started_at=NOW - timedelta(seconds=1)), "I9: daily"),
        (runs(tzdb=""), "I10: daily"),
        (hold_of_another_revision, "I11: h1 waits for the release of main@sha1:"),
    ],
)
def test_each_broken_promise_is_told(damage: Damage, told: str) -> None:
    assert any(one.startswith(told) for one in damaged(damage))
