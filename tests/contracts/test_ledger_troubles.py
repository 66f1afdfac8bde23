"""What every ledger promises about troubles: what stands, and what has ended since."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from boe_reconciler.core.notices import Owed
from boe_reconciler.core.ports import Ledger
from boe_reconciler.core.runs import Event, RunStatus
from boe_reconciler.core.troubles import EMPTY, Board, Heard, Kind, Trouble
from tests.builders import a_manual_run, a_schedule, an_activation, at

START = at("2026-03-01 06:30")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
TROUBLE = Trouble(
    subject="schedule daily",
    kind=Kind.FAILED,
    cause="gave_up",
    what="It is down.",
    details=("x.yaml:3: BOE012 no",),
    command="boe rerun x",
    since=START,
    at=START,
    occurrence=START,
    heard=(Heard(who="ada", what="failed gave_up", at=START),),
)


def test_the_board_comes_back_as_it_was_with_what_it_owes(ledger: Ledger) -> None:
    assert ledger.board() == EMPTY
    board = Board(
        until=START,
        seen=("a",),
        troubles={"schedule daily": TROUBLE},
        sent={"ada": START},
    )
    owed = Owed(channel="mail", key="k", body={}, since=START, next_try=START)
    ledger.report(board, [owed], [Event(at=START, action="told", message="x")])
    assert ledger.board() == board
    assert ledger.owed("mail") == [owed]
    ledger.report(replace(board, troubles={}))
    assert ledger.board().troubles == {}


def _ended(ledger: Ledger, name: str, status: RunStatus, minute: int) -> str:
    now = START + minute * MINUTE
    row = a_manual_run(name, now, number=minute)
    ledger.enqueue([row], now=now)
    (claimed,) = ledger.claim("worker", now=now, limit=1, only=[row.run_id])
    ledger.finish(claimed.claim, status, "x", "", now=now)
    return row.run_id


def test_what_ended_badly_is_found_in_order_and_all_of_whom_one_asks_for(
    ledger: Ledger,
) -> None:
    ledger.activate(an_activation(a_schedule("a"), a_schedule("b")), now=START)
    failed = _ended(ledger, "a", RunStatus.FAILED, 1)
    well = _ended(ledger, "a", RunStatus.SKIPPED, 2)
    _ended(ledger, "b", RunStatus.SKIPPED, 3)
    last = _ended(ledger, "b", RunStatus.FAILED, 4)

    def since(minute: int, *names: str) -> list[str]:
        found = ledger.ended_since(START + minute * MINUTE, names)
        return [one.run.run_id for one in found]

    assert since(0) == [failed, last]
    assert since(1, "a") == [failed, well, last]
    assert since(2) == [last]
    assert since(5, "a", "b") == []


def test_what_a_schedule_owes_and_has_not_ended_is_unfinished(ledger: Ledger) -> None:
    ledger.activate(an_activation(a_schedule("a"), a_schedule("b")), now=START)
    now = START + HOUR
    ledger.materialise(now=now)
    ledger.enqueue([a_manual_run("a", now)], now=now)
    names = [one.schedule for one in ledger.unfinished(now)]
    assert sorted(names) == ["a", "b"]
    assert ledger.unfinished(START) == []
    claims = ledger.claim("worker", now=now, limit=9)
    assert len(ledger.unfinished(now)) == 2
    for one in claims:
        ledger.finish(one.claim, RunStatus.SKIPPED, "x", "", now=now)
    assert ledger.unfinished(now) == []
