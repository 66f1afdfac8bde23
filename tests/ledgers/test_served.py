"""What is served is kept row by row: as if all of it were written each time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boe_reconciler.core.ports import Ledger
from boe_reconciler.core.spec import Activation, ObjectStatus, Served, ServedObject
from boe_reconciler.ledgers import sqlite
from boe_reconciler.ledgers.memory import MemoryLedger
from tests.builders import a_schedule, an_activation, at

NOW = at("2026-03-01 06:30")
REVISIONS = ("main@sha1:a", "main@sha1:b", "main@sha1:c")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with closing(sqlite.create(path)) as made:
        yield made


@pytest.fixture(scope="module")
def old_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Examples go on with what the one before left."""
    path = tmp_path_factory.mktemp("served") / "ledger.sqlite"
    sqlite.create(path).close()
    return path


# --- Any activation after any other -----------------------------------------------

OBJECTS = st.builds(
    ServedObject,
    kind=st.sampled_from(["Group", "Report"]),
    name=st.sampled_from("abc"),
    file=st.sampled_from(["x.yaml", "y.yaml"]),
    index=st.integers(0, 1),
    data=st.dictionaries(st.just("spec"), st.integers(0, 2), max_size=1),
    files=st.dictionaries(st.just("q.sql"), st.sampled_from("12"), max_size=1),
    revision=st.sampled_from([*REVISIONS, None]),
)
STATUSES = st.builds(
    ObjectStatus,
    kind=st.sampled_from(["Group", "Report"]),
    name=st.sampled_from("abc"),
    ready=st.just(False),
    reason=st.sampled_from(["Held", "Invalid"]),
    message=st.just(""),
    observed_revision=st.sampled_from(REVISIONS),
    serving_revision=st.sampled_from([*REVISIONS, None]),
)


def unique(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(strategy, max_size=5, unique_by=lambda one: (one.kind, one.name))


ACTIVATIONS = st.builds(
    Activation,
    attempted=st.sampled_from(REVISIONS),
    serving=st.sampled_from([*REVISIONS, None]),
    objects=unique(OBJECTS),
    stalled=unique(STATUSES),
    schedules=st.just([]),
    problems=st.just([{"code": "BOE100"}]),
)


def plain(served: Served) -> Mapping[str, Any]:
    lists = ("objects", "statuses", "problems")
    found = {name: getattr(served, name) for name in ("attempted", "serving", *lists)}
    by_name = {name: sorted(map(repr, found[name])) for name in lists}
    return {**found, **by_name}


@settings(max_examples=20)
@given(steps=st.lists(ACTIVATIONS, min_size=1, max_size=4))
def test_any_activation_after_any_other_is_served_whole(
    old_file: Path, steps: list[Activation]
) -> None:
    memory = MemoryLedger()
    start = replace(steps[0], serving=REVISIONS[0])
    with closing(sqlite.create(old_file)) as ledger:
        for step in [start, *steps]:
            for each in (ledger, memory):
                each.activate(step, now=NOW)
            assert plain(ledger.served()) == plain(memory.served())
    with closing(sqlite.create(old_file)) as other:
        assert plain(other.served()) == plain(memory.served())


# --- Who writes, and what is written ----------------------------------------------


def rows(path: Path) -> dict[tuple[str, str], int]:
    """Table and name -> the row's number, which a new row does not get again."""
    with closing(sqlite3.connect(path)) as file:
        return {
            (table, name): number
            for table in ("objects", "schedules")
            for name, number in file.execute(f"SELECT name, rowid FROM {table}")
        }


def test_a_new_revision_leaves_the_rows_of_what_it_did_not_change(
    ledger: Ledger, path: Path
) -> None:
    schedules = [a_schedule(f"s{number}") for number in range(5)]
    ledger.activate(an_activation(*schedules), now=NOW)
    before = rows(path)
    newer = an_activation(*schedules, revision="main@sha1:b")
    changed = replace(newer.objects[2], data={"metadata": {"name": "s2", "new": 1}})
    objects = [*newer.objects[:2], changed, *newer.objects[3:]]
    ledger.activate(replace(newer, objects=objects), now=NOW)
    after = rows(path)
    assert {key for key in after if after[key] != before[key]} == {("objects", "s2")}
    assert {one.serving_revision for one in ledger.served().statuses} == {"main@sha1:b"}


def test_what_another_process_activated_is_seen(ledger: Ledger, path: Path) -> None:
    ledger.activate(an_activation(a_schedule("a")), now=NOW)
    assert [one.name for one in ledger.served().objects] == ["a"]
    with closing(sqlite.create(path)) as other:
        other.activate(an_activation(a_schedule("b")), now=NOW)
    assert [one.name for one in ledger.served().objects] == ["b"]
    ledger.activate(an_activation(a_schedule("b"), a_schedule("c")), now=NOW)
    assert [one.name for one in ledger.served().objects] == ["b", "c"]


def test_an_activation_that_failed_is_not_taken_for_served(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.activate(an_activation(a_schedule("a")), now=NOW)
    with monkeypatch.context() as broken:
        broken.setattr(
            "boe_reconciler.ledgers.sqlite.store.SqliteStore.insert_events",
            lambda *_: 1 / 0,
        )
        with pytest.raises(ZeroDivisionError):
            ledger.activate(an_activation(a_schedule("b")), now=NOW)
    assert [one.name for one in ledger.served().objects] == ["a"]


def test_a_schedule_that_goes_on_names_the_new_revision_and_owes_the_same(
    ledger: Ledger,
) -> None:
    """Its marks stay where they were: nothing was due, so nothing was covered."""
    ledger.activate(an_activation(a_schedule("a")), now=NOW)
    (before,) = ledger.states()
    newer = an_activation(a_schedule("a"), a_schedule("b"), revision="main@sha1:b")
    ledger.activate(newer, now=at("2026-03-01 06:45"))
    after = {one.name: one for one in ledger.states()}
    assert after["a"].next_due == before.next_due == at("2026-03-01 07:00")
    ledger.materialise(now=at("2026-03-01 07:00"))
    runs = {one.run.schedule: one.run for one in ledger.runs()}
    assert {run.occurrence for run in runs.values()} == {at("2026-03-01 07:00")}
    assert {run.revision for run in runs.values()} == {"main@sha1:b"}


def test_what_was_due_is_covered_with_the_spec_it_was_due_under(
    ledger: Ledger,
) -> None:
    """One that changes, one that goes, and one that stays as it is."""
    schedules = [a_schedule(name) for name in ("changes", "goes", "stays")]
    ledger.activate(an_activation(*schedules), now=NOW)
    newer = [a_schedule("changes", title="Newer"), schedules[2]]
    ledger.activate(
        an_activation(*newer, revision="main@sha1:b"), now=at("2026-03-01 07:00")
    )
    found = {one.run.schedule: one.run for one in ledger.runs()}
    assert {name: run.status for name, run in found.items()} == {
        "changes": "pending",
        "goes": "cancelled",
        "stays": "pending",
    }
    assert {run.revision for run in found.values()} == {an_activation().attempted}
