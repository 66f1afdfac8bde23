"""Two ledgers, one of which knows the short way of a tick, hold the same rows."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boe_reconciler.core import due
from boe_reconciler.core.ports import Ledger
from boe_reconciler.core.runs import Run
from boe_reconciler.ledgers import memory, sqlite
from boe_reconciler.ledgers._ledger import StoredLedger
from boe_reconciler.ledgers.sqlite.opening import open_engine
from boe_reconciler.ledgers.sqlite.runs import Runs
from tests.builders import a_manual_run, a_pause, a_schedule, an_activation
from tests.core.test_punctual import EXECUTIONS, START, WHENS

PLANS = st.lists(
    st.tuples(st.sampled_from(WHENS), st.sampled_from(EXECUTIONS), st.booleans()),
    min_size=1,
    max_size=6,
)
#: Seconds between two ticks: on time, late, and after an outage.
STEPS = st.lists(st.sampled_from([1, 20, 59, 60, 61, 300, 90_000]), max_size=25)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "ledger.sqlite"
    sqlite.create(path).close()
    return path


@contextmanager
def both(empty: Path) -> Iterator[list[Ledger]]:
    """A ledger of each kind; both give the same uids, from which jitter comes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        shutil.copy(empty, path)
        backends = [memory._Memory(), sqlite._Sqlite(path, open_engine(path))]
        ledgers: list[Ledger] = []
        for backend in backends:
            numbers = count()
            ledgers.append(
                StoredLedger(backend, lambda numbers=numbers: f"u{next(numbers)}")  # type: ignore[misc]  # a default binds it
            )
        yield ledgers
        for ledger in ledgers:
            ledger.close()


def rows(ledger: Ledger) -> list[Run]:
    found = [record.run for record in ledger.runs(limit=10_000)]
    return sorted(found, key=lambda run: run.run_id)


@given(plans=PLANS, steps=STEPS)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_short_and_the_long_way_give_the_same_rows(
    empty: Path,
    plans: list[tuple[dict[str, str], dict[str, str], bool]],
    steps: list[int],
) -> None:
    schedules = [
        a_schedule(f"s{number}", when=when, execution=execution)
        for number, (when, execution, _) in enumerate(plans)
    ]
    with both(empty) as ledgers:
        for ledger in ledgers:
            ledger.activate(an_activation(*schedules), now=START)
            for number, (_, _, paused) in enumerate(plans):
                if paused:
                    until = START + timedelta(hours=1)
                    ledger.pause(a_pause(START, value=f"s{number}", until=until))
        now = START
        for step in steps:
            now += timedelta(seconds=step)
            ticks = [ledger.materialise(now=now, limit=4) for ledger in ledgers]
            assert ticks[0] == ticks[1]
            claims = [ledger.claim("w", now=now, limit=2) for ledger in ledgers]
            assert claims[0] == claims[1]
        assert rows(ledgers[0]) == rows(ledgers[1])
        assert ledgers[0].states() == ledgers[1].states()
        for schedule in schedules:
            assert list(ledgers[0].gaps(schedule.name)) == list(
                ledgers[1].gaps(schedule.name)
            )


def test_what_is_on_time_goes_the_short_way(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with both(empty) as (_, ledger):
        ledger.activate(an_activation(a_schedule(), a_schedule("other")), now=START)
        monkeypatch.setattr(due, "owed", None)
        tick = ledger.materialise(now=START + timedelta(minutes=30))
        assert (tick.inserted, tick.next_due) == (2, START + timedelta(minutes=90))


def test_a_claim_of_what_is_claimed_already_is_refused(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with both(empty) as (_, ledger):
        ledger.activate(an_activation(a_schedule()), now=START)
        ledger.enqueue([a_manual_run(now=START)], now=START)
        real = Runs.start
        monkeypatch.setattr(
            Runs, "start", lambda store, ids, lease: real(store, [*ids, *ids], lease)
        )
        with pytest.raises(ValueError, match="wait for their claim"):
            ledger.claim("w", now=START, limit=1)
        (record,) = ledger.runs()
        assert record.run == replace(record.run, fence=0, worker=None)
