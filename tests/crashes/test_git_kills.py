"""A death between fetch, validate and activate: what is served is one whole plan."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from boe_reconciler.ledgers import sqlite
from tests.crashes.nursery import Nursery
from tests.folders import document, schedule
from tests.gits import Upstream

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
#: From the question for the head to the end of the activation, in their order.
POINTS = (
    "ask, after",
    "fetch, before",
    "fetch, after",
    "read, inside",
    "read, after",
    "validate, inside",
    "validate, after",
    "activate, before",
    "serve, rows written",
    "activate, inside",
    "activate, after",
)
#: Deaths at any moment, in each of three parts; with those at a point more than 100.
DEATHS = 30
#: Seconds from the answer about the head in which most revisions are served.
LONGEST = 0.4


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@dataclass
class Site:
    upstream: Upstream
    folder: Path
    nursery: Nursery

    def push(self, number: int) -> None:
        """All schedules of a revision have one query: a mix of two would show."""
        self.upstream.tree.clear()
        connection = document("Connection", "none", {"type": "duckdb"})
        self.upstream.write("connections/none.yaml", json.dumps(connection))
        for name in (f"s{n}" for n in range(9)):
            one = schedule(name, query=f"select {number} as number")
            self.upstream.write(f"schedules/{name}.yaml", json.dumps(one))
        self.upstream.commit()

    def run(self, **order: object) -> int:
        git = ("--git", str(self.upstream.path))
        return self.nursery.boe(self.folder, "run", "--once", *git, **order)

    def served(self) -> int:
        """The number of the one revision that is served, whole and sound."""
        with closing(sqlite.create(self.folder / ".boe/ledger.sqlite")) as ledger:
            assert ledger.broken_invariants(now=NOW) == []
            served = ledger.served()
            assert len(served.objects) == 10
            assert not any(one.revision for one in served.objects)
            assert {one.serving_revision for one in served.statuses} == {served.serving}
            specs = [ledger.schedule_spec(f"s{n}") for n in range(9)]
            (query,) = {spec.report.query for spec in specs if spec}
            return int(str(query).split()[1])

    def log(self) -> str:
        return (self.folder.parent / "log.txt").read_text()


@pytest.fixture
def site(nursery: Nursery, tmp_path: Path) -> Site:
    found = Site(Upstream(tmp_path / "upstream.git"), tmp_path / "here", nursery)
    found.folder.mkdir()
    found.push(0)
    assert found.run() == 0, found.log()
    assert found.served() == 0
    return found


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_death_on_the_way_to_a_new_revision_leaves_one_whole_plan(
    site: Site, point: str
) -> None:
    site.push(1)
    assert site.run(traps={point: [signal.SIGKILL]}) == -signal.SIGKILL, site.log()
    assert site.served() == int(point == "activate, after")
    assert site.nursery.boe(site.folder, "doctor") == 0, site.log()
    assert site.run() == 0, site.log()
    assert site.served() == 1
    assert site.nursery.boe(site.folder, "doctor") == 0, site.log()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(3))
def test_thirty_deaths_between_fetch_and_activation_leave_one_whole_plan(
    site: Site, part: int
) -> None:
    """Each process begins with what the one before left, and finds a newer commit."""
    chance, last, deaths, number = random.Random(part), 0, 0, 0
    while deaths < DEATHS:
        number += 1
        site.push(number)
        code = site.run(dies_after=chance.uniform(0.001, LONGEST))
        assert code in (0, -signal.SIGALRM), site.log()
        deaths += code != 0  # One that came too late does not count.
        served = site.served()
        assert served == number if code == 0 else served in (last, number)
        last = served
    assert site.nursery.boe(site.folder, "doctor") == 0, site.log()
    assert site.run() == 0, site.log()
    assert site.served() == number
