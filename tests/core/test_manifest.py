"""Where a file came from, from what the ledger keeps."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from boe_reconciler.core.manifest import ACTION, Origin, recorded, text
from boe_reconciler.core.runs import (
    Artifact,
    Event,
    Run,
    RunOptions,
    RunStatus,
    Trigger,
)
from tests.engine.world import START, a_spec

ARTIFACT = Artifact(
    part="-", name="Ü.csv", media_type="text/csv", bytes=3, sha256="ab" * 32, rows=1
)
SHEETS = [{"name": "One", "query": "select 1"}, {"name": "Two", "query": "select 2"}]


RUN = Run(
    run_id="daily.20261124T050000Z",
    schedule="daily",
    schedule_uid="u",
    occurrence=START,
    trigger=Trigger.SCHEDULE,
    status=RunStatus.SUCCEEDED,
    reason="",
    message="",
    attempts=1,
    not_before=START,
    expires=None,
    options=RunOptions(),
    cancel_requested=False,
    fence=1,
    worker=None,
    lease_until=None,
    started_at=START,
    finished_at=START,
    rows=1,
    revision="main@sha1:" + "0" * 40,
    spec_digest="cd" * 32,
    tzdb="2026c",
    created_at=START,
)


def an_origin(**changes: Any) -> Origin:
    spec = a_spec(report={"query": None, "workbook": {"sheets": SHEETS}})
    origin = Origin(run=RUN, spec=spec, parameters={}, version="1.2")
    return replace(origin, **changes)


def an_event(message: str, action: str = ACTION) -> Event:
    return Event(at=START, action=action, message=message)


def test_each_sheet_has_the_hash_of_its_query() -> None:
    queries = an_origin().manifest(ARTIFACT)["queries"]
    assert [one["sheet"] for one in queries] == ["One", "Two"]
    assert queries[0]["sha256"] != queries[1]["sha256"]


def test_a_report_without_a_workbook_has_one_query() -> None:
    (query,) = an_origin(spec=a_spec("select 1")).manifest(ARTIFACT)["queries"]
    assert query["sheet"] is None


def test_files_stand_under_their_ids_in_git_once_those_are_known() -> None:
    assert "blob_ids" not in an_origin().manifest(ARTIFACT)
    ids = {"sql/a.sql": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"}
    spec = a_spec(resolved={"blob_ids": ids})
    assert an_origin(spec=spec).manifest(ARTIFACT)["blob_ids"] == ids


def test_what_looks_like_a_secret_stands_in_no_manifest() -> None:
    key = "AKIA" + "ABCDEFGHIJKLMNOP"
    found = an_origin(parameters={"key": key, "month": "2026-10"}).manifest(ARTIFACT)
    assert found["parameters"] == {"key": "***", "month": "2026-10"}


def test_the_text_is_the_same_whatever_order_it_is_made_in() -> None:
    found = an_origin().manifest(ARTIFACT)
    assert text(dict(reversed(found.items()))) == text(found)
    assert json.loads(text(found)) == found
    assert "Ü.csv" in text(found)


def test_the_order_of_the_files_does_not_matter_and_each_file_does() -> None:
    other = replace(ARTIFACT, part="csv")
    origin = an_origin()
    both = origin.common_sha256([ARTIFACT, other])
    assert origin.common_sha256([other, ARTIFACT]) == both
    assert origin.common_sha256([ARTIFACT]) != both


def test_the_last_line_of_the_history_counts() -> None:
    first, last = an_origin(version="1.2"), an_origin(version="1.3.dev0+g12")
    events = [
        an_event(first.sentence([ARTIFACT])),
        an_event(last.sentence([ARTIFACT])),
        an_event("something else"),
        an_event(first.sentence([ARTIFACT]), action="text_cut"),
    ]
    assert recorded(events) == ("1.3.dev0+g12", last.common_sha256([ARTIFACT]))
    assert recorded([]) is None


def test_the_occurrence_is_told_in_utc_and_in_its_zone() -> None:
    at = datetime(2026, 7, 1, 4, 30, tzinfo=UTC)
    found = an_origin(run=replace(RUN, occurrence=at)).manifest(ARTIFACT)
    assert found["occurrence"] == {
        "utc": "2026-07-01T04:30:00Z",
        "local": "2026-07-01T06:30:00+02:00",
        "timezone": "Europe/Berlin",
    }
