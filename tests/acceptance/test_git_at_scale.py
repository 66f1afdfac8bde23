"""A thousand schedules in a branch: one bad file, a mistyped name, and their mends."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core.spec import ObjectStatus
from boe_reconciler.ledgers import sqlite
from tests.folders import Served, document, schedule, serving, until
from tests.gits import Upstream

COUNT = 1000
POLL = 1.0


def text_of(number: int, **fields: Any) -> str:
    """Each owner has as many schedules as one may have."""
    owner = {"owner": f"team{number // 10}@example.com"}
    return json.dumps(schedule(f"s{number}", metadata=owner, **fields))


def path_of(number: int) -> str:
    return f"schedules/s{number}.yaml"


class Site:
    def __init__(self, folder: Path) -> None:
        self.upstream = Upstream(folder / "upstream.git")
        self.here = folder / "here"
        self.here.mkdir()
        self.ledger = sqlite.create(self.here / ".boe/ledger.sqlite")

    def push(self, files: Mapping[str, str | None], message: str = "Change") -> str:
        """None: the file goes."""
        for path, text in files.items():
            if text is None:
                self.upstream.remove(path)
            else:
                self.upstream.write(path, text)
        return f"main@sha1:{self.upstream.commit(message)}"

    def statuses(self) -> dict[str, ObjectStatus]:
        return {one.name: one for one in self.ledger.served().statuses}

    def look_at(self, revision: str) -> dict[str, ObjectStatus]:
        """The statuses, once that revision was looked at."""
        until(lambda: self.ledger.served().attempted == revision, 120)
        return self.statuses()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_bad_file_and_one_mistyped_name_of_a_thousand_hold_up_nobody(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    with closing(site.ledger):
        prove(site)


def prove(site: Site) -> None:
    connection = document("Connection", "none", {"type": "duckdb"})
    first = site.push(
        {
            "connections/none.yaml": json.dumps(connection),
            **{path_of(number): text_of(number) for number in range(COUNT)},
        }
    )
    options = ("--git", str(site.upstream.path), "--poll", f"{POLL:.0f}s")
    with serving(site.here, *options) as process:
        assert {one.ready for one in site.statuses().values()} == {True}
        bad_ones_keep_what_they_were(site, first)
        a_mend_is_served_within_a_poll(site)
        removals_wait_for_their_trailer(site)
        assert_quiet(process)


def bad_ones_keep_what_they_were(site: Site, first: str) -> None:
    """998 move on, two stay, none is gone."""
    newer = {
        path_of(number): text_of(number, query="select 2 as two")
        for number in range(COUNT)
    }
    newer[path_of(7)] = "apiVersion: boe/v1\nkind: [\n# s7\n"
    newer[path_of(8)] = text_of(8, report="absent")
    second = site.push(newer)
    found = site.look_at(second)
    assert Counter(
        (one.serving_revision, one.reason) for one in found.values()
    ) == Counter(
        {(second, "Served"): COUNT - 1, (first, "Unreadable"): 1, (first, "Invalid"): 1}
    )
    assert {name for name, one in found.items() if not one.ready} == {"s7", "s8"}


def a_mend_is_served_within_a_poll(site: Site) -> None:
    """And so is any edit: the middle one of five, as the machine may be busy."""
    took = []
    for number in range(7, 12):
        mended = text_of(number, query="select 3 as three")
        third = site.push({path_of(number): mended})
        begin = time.monotonic()
        site.look_at(third)
        took.append(time.monotonic() - begin)
        assert site.statuses()[f"s{number}"].serving_revision == third
    assert sorted(took)[2] < POLL * 1.1 + 1, took
    assert {one.ready for one in site.statuses().values()} == {True}


def removals_wait_for_their_trailer(site: Site) -> None:
    gone = COUNT * 8 // 10
    removed = site.push({path_of(number): None for number in range(gone)})
    found = site.look_at(removed)
    assert Counter(one.reason for one in found.values()) == Counter(
        {"RemovalHeld": gone, "Served": COUNT - gone + 1}
    )
    for allowed, left in ((gone - 1, COUNT + 1), (gone, COUNT - gone + 1)):
        message = f"It is meant\n\nBoe-Allow-Removals: {allowed}"
        found = site.look_at(site.push({}, message))
        assert len(found) == left


def assert_quiet(process: Served) -> None:
    log = process.log.read_text()
    assert "reconcile_failed" not in log
    assert "Traceback" not in log
    assert process.end() == 0
