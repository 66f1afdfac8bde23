"""Ledgers of every version, kept as files: `python -m tests.ledgers.keeping` makes one.

A migration comes with the kept file of its version, made by the code of that version;
files of earlier versions are never made again.
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from boe_reconciler.core.notices import Incident, Owed, sent
from boe_reconciler.core.ports import Claimed, Ledger
from boe_reconciler.core.runs import (
    DeliveryKey,
    DeliveryStatus,
    Event,
    Outcome,
    PauseTarget,
    Resend,
    RunStatus,
)
from boe_reconciler.core.spec import Activation, ObjectStatus
from boe_reconciler.ledgers import sqlite
from boe_reconciler.ledgers.sqlite import tables
from tests.builders import (
    REVISION,
    a_bounce,
    a_delivery,
    a_mail,
    a_manual_run,
    a_pause,
    a_schedule,
    a_wait,
    an_activation,
    an_artifact,
    at,
)

KEPT = Path(__file__).parent / "kept"
START = at("2026-03-01 06:30")
#: The instant at which the history ends.
END = at("2026-03-04 12:30")
_HOUR = timedelta(hours=1)


def a_history(ledger: Ledger) -> None:
    """Something of everything: each table has rows, and much of it is still open."""
    ledger.activate(_activation(), now=START)
    _work_for_a_day(ledger)
    _fall_behind(ledger)
    _leave_things_open(ledger)


def _activation(title: str = "Ships") -> Activation:
    files = {"queries/ships.sql": "c" * 64}
    patient = {"overlap": "allow_all", "retry": {"max_retries": 2}}
    problem = {"code": "BOE012", "range": {"filename": "x.yaml", "start": {"line": 3}}}
    found = an_activation(
        a_schedule("ships", title=title, files=files, execution=patient),
        a_schedule("daily", when={"every": "24h"}, labels={"team": "a"}),
        a_schedule("quick", when={"every": "1m"}, execution={"catchup": "none"}),
        a_schedule("asleep", paused=True),
        problems=[problem],
    )
    stalled = ObjectStatus(
        kind="Report",
        name="broken",
        ready=False,
        reason="Invalid",
        message="x.yaml:3:1: error BOE012",
        observed_revision=found.attempted,
        serving_revision=None,
    )
    return replace(found, stalled=[stalled])


def _work_for_a_day(ledger: Ledger) -> None:
    """Runs that succeed, fail, are skipped, are cancelled, or are sent again."""
    ledger.pause(a_pause(START, value="quick"))
    for hour in range(1, 7):
        now = START + hour * _HOUR
        ledger.materialise(now=now)
        for one in ledger.claim("worker", now=now, limit=10):
            _end(ledger, one, hour)
    (good,) = ledger.runs(status=RunStatus.SUCCEEDED, limit=1)
    ledger.reopen(good.run.run_id, Resend(everything=True), now=now)
    (again,) = ledger.claim("worker", now=now, limit=10)
    ledger.finish(again.claim, RunStatus.PARTIAL, "gave_up", "No.", rows=1, now=now)
    ledger.note([Event(at=now, action="clock_jumped", message="By an hour.")])
    _hold_two_revisions(ledger)
    _tell(ledger)
    _bounce(ledger)


def _bounce(ledger: Ledger) -> None:
    """A mail that came back, and an address that was taken off the list again."""
    now = START + 6 * _HOUR
    ledger.enqueue([a_manual_run("daily", now)], now=now)
    (one,) = ledger.claim("worker", now=now, limit=1)
    mail = a_mail(one.claim.run_id, "anna@example.com")
    ledger.begin_attempt(one.claim, parameters={}, now=now)
    ledger.commit_artifacts(one.claim, [an_artifact()], [mail], now=now)
    ledger.intend(one.claim, mail.key, {"message_id": "<a@b>"}, now=now)
    outcome = Outcome(status=DeliveryStatus.ACCEPTED, receipt="250 queued as 1")
    ledger.settle(one.claim, mail.key, outcome, now=now)
    ledger.finish(one.claim, RunStatus.SUCCEEDED, "", "", rows=1, now=now)
    ledger.hear(a_bounce(receipt="250 queued as 1"), now=now)
    ledger.suppress("bob@example.com", by="ada", why="He left.", now=now)
    ledger.unsuppress("bob@example.com", by="ada", why="He came back.", now=now)


def _tell(ledger: Ledger) -> None:
    """An incident that was told; one message is open, one was sent."""
    now = START + 6 * _HOUR
    incident = Incident(
        subject="revision",
        since=now,
        failing="f" * 64,
        message="2 of 14 objects keep their last good version.",
        told="f" * 64,
        told_at=(now,),
    )
    status = {"state": "failure", "description": "2 of 14"}
    owed = [
        Owed(channel=channel, key="1" * 40, body=status, since=now, next_try=now)
        for channel in ("forge", "webhook")
    ]
    ledger.tell(incident, owed)
    ledger.tried(owed[0], sent(owed[0]))


def _hold_two_revisions(ledger: Ledger) -> None:
    """One is replaced by the next, which is released and not taken up."""
    for number in "23":
        revision = REVISION.replace("1", number)
        wait = a_wait(revision, until=END)
        held = an_activation(revision=revision, serving=None, waits=[wait])
        ledger.activate(held, now=START + 6 * _HOUR)
    (hold,) = ledger.holds()
    ledger.release(hold.hold_id, by="ada", why="Now.", now=START + 6 * _HOUR)


def _end(ledger: Ledger, one: Claimed, hour: int) -> None:
    now = START + hour * _HOUR
    if hour % 3 == 0:
        ledger.begin_attempt(one.claim, parameters={}, now=now)
        ledger.finish(one.claim, RunStatus.FAILED, "query_failed", "No.", now=now)
        return
    key = _exported(ledger, one, hour)
    ledger.intend(one.claim, key, {"name": f"{hour}.csv"}, now=now)
    outcome = Outcome(status=DeliveryStatus.ACCEPTED, remote=f"exports/{hour}.csv")
    ledger.settle(one.claim, key, outcome, now=now)
    ledger.finish(one.claim, RunStatus.SUCCEEDED, "", "", rows=hour, now=now)


def _exported(ledger: Ledger, one: Claimed, number: int) -> DeliveryKey:
    now = START + number * _HOUR
    owed = a_delivery(one.claim.run_id)
    ledger.begin_attempt(one.claim, parameters={"n": str(number)}, now=now)
    artifact = an_artifact(sha256=f"{number:064x}", rows=number)
    ledger.commit_artifacts(one.claim, [artifact], [owed], now=now)
    return owed.key


def _fall_behind(ledger: Ledger) -> None:
    """Two days of outage: runs that are missed, gaps, a pause, another plan."""
    later = END - 2 * _HOUR
    ledger.resume(PauseTarget.SCHEDULE, "quick", by="ada", now=later)
    ledger.materialise(now=later)
    ledger.activate(_activation("All ships"), now=later)
    label = a_pause(later, target=PauseTarget.LABEL, value="team=a", until=END + _HOUR)
    ledger.pause(label)
    ledger.pause(a_pause(later, value="quick"))
    skipped = a_manual_run("ships", later, number=1, dry_run=True)
    ledger.enqueue([skipped], now=later)
    ledger.cancel(skipped.run_id, by="ada", now=later)


def _leave_things_open(ledger: Ledger) -> None:
    """One run pending, one waiting, one running, with deliveries in every open state."""
    asked = [a_manual_run("ships", END, number=number) for number in (2, 3, 4)]
    ledger.enqueue(asked, now=END - _HOUR)
    claims = {
        one.claim.run_id: one for one in ledger.claim("worker", now=END, limit=10)
    }
    waits, runs = (claims.pop(one.run_id) for one in asked[:2])
    _deliver_in_part(ledger, waits)
    until = END + timedelta(minutes=5)
    ledger.wait(waits.claim, until, "delivery_retry", "Not yet.", now=END)
    _deliver_in_part(ledger, runs)
    for number, one in enumerate(claims.values()):
        if number:
            ledger.begin_attempt(one.claim, parameters={}, now=END)
            ledger.wait(one.claim, until, "source_down", "Later.", now=END)
        else:
            ledger.give_back(one.claim, now=END)


def _deliver_in_part(ledger: Ledger, one: Claimed) -> None:
    run_id = one.claim.run_id
    owed = [a_delivery(run_id, destination=name) for name in ("a", "b", "c")]
    ledger.begin_attempt(one.claim, parameters={}, now=END)
    ledger.commit_artifacts(one.claim, [an_artifact()], owed, now=END)
    for new in owed[:2]:
        ledger.intend(one.claim, new.key, {"name": "x.csv"}, now=END)
    later = Outcome(status=DeliveryStatus.DEFERRED, reason="no_space")
    ledger.settle(one.claim, owed[0].key, later, next_attempt_at=END, now=END)


def keep(target: Path) -> None:
    """Write the ledger of this version, with the history in it, as one small file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        ledger = sqlite.create(path)
        a_history(ledger)
        ledger.close()
        target.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA page_size = 1024")
            connection.execute("VACUUM INTO ?", [str(target)])


if __name__ == "__main__":
    KEPT.mkdir(exist_ok=True)
    keep(KEPT / f"ledger-{tables.NEWEST}.sqlite")
