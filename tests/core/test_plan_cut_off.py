"""A file that is cut off, by a full disk or a bad copy, deletes nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from boe_reconciler.core.plan import make_plan
from boe_reconciler.core.spec import Served
from tests.builders import a_snapshot

NOW = datetime(2026, 11, 24, tzinfo=UTC)
CONNECTION = """\
apiVersion: boe/v1
kind: Connection
metadata: {name: db, owner: ops@example.com}
spec: {type: duckdb}
"""
SCHEDULE = """\
metadata: {name: daily, owner: ops@example.com}
kind: Schedule
apiVersion: boe/v1
spec:
  report: {connection: db, query: select 1 as one}
  when: {frequency: daily, timezone: UTC}
  deliver_to: [{type: local, base_path: exports}]
"""


def served(files: dict[str, str]) -> Served:
    found = make_plan(a_snapshot(files), served=None, now=NOW).activation
    return Served(
        attempted=found.attempted,
        serving=found.serving,
        objects=found.objects,
        stalled=found.stalled,
        problems=found.problems,
    )


@pytest.mark.parametrize("length", range(1, len(SCHEDULE), 7))
def test_an_object_outlives_its_file_however_that_is_cut_off(length: int) -> None:
    files = {"connections/db.yaml": CONNECTION, "schedules/daily.yaml": SCHEDULE}
    before = served(files)
    cut = {**files, "schedules/daily.yaml": SCHEDULE[:length]}
    plan = make_plan(a_snapshot(cut), served=before, now=NOW)
    assert [one.name for one in plan.activation.schedules] == ["daily"]


def test_an_object_whose_file_is_gone_is_gone() -> None:
    files = {"connections/db.yaml": CONNECTION, "schedules/daily.yaml": SCHEDULE}
    before = served(files)
    del files["schedules/daily.yaml"]
    plan = make_plan(a_snapshot(files), served=before, now=NOW)
    assert plan.activation.schedules == []
