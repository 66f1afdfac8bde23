"""One run from its claim to its end, through real sources, formats and folders."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.limits import ConnectionState, Phase
from boe_reconciler.core.ports import Cancel, Rows
from boe_reconciler.core.runs import AttemptStatus, DeliveryStatus, RunStatus
from boe_reconciler.engine.cancel import CancelToken, Stop
from tests.engine.world import World, a_spec

DAY = "2026/11/24"


def test_a_run_puts_its_file_into_the_folder_of_its_day(world: World) -> None:
    record = world.run_now(a_spec("select 1 as one, 'x' as two"))
    assert record.run.status is RunStatus.SUCCEEDED
    assert world.files() == [f"{DAY}/All_numbers_2026-11-24.csv"]
    text = (world.root / "exports" / world.files()[0]).read_text()
    assert text.splitlines()[0].replace('"', "") == "one,two"
    (delivery,) = record.deliveries
    assert delivery.status is DeliveryStatus.ACCEPTED
    assert (delivery.remote or "").endswith("All_numbers_2026-11-24.csv")
    assert (record.run.rows, record.artifacts[0].rows) == (1, 1)


def test_several_formats_are_several_parts_of_one_query(world: World) -> None:
    """random() would differ between two queries."""
    spec = a_spec("select random() as r", export={"format": ["csv", "json"]})
    record = world.run_now(spec)
    assert [one.part for one in record.artifacts] == ["csv", "json"]
    csv_file, json_file = (world.root / "exports" / name for name in world.files())
    (row,) = json.loads(json_file.read_text())
    assert float(csv_file.read_text().splitlines()[1]) == pytest.approx(row["r"])


def test_gzip_and_zip_hold_the_plain_file(world: World) -> None:
    for kind in ("gzip", "zip"):
        export = {"format": "csv", "compress": kind}
        assert world.run_now(a_spec(export=export)).run.status is RunStatus.SUCCEEDED
    packed, zipped = (world.root / "exports" / name for name in world.files())
    assert packed.name.endswith(".csv.gz")
    assert zipped.name.endswith(".zip")
    plain = gzip.decompress(packed.read_bytes())
    with zipfile.ZipFile(zipped) as archive:
        (name,) = archive.namelist()
        assert name == "All_numbers_2026-11-24.csv"
        assert archive.read(name) == plain


def test_the_same_rows_give_the_same_bytes(world: World) -> None:
    export = {"format": "csv", "compress": "zip"}
    first = world.run_now(a_spec(export=export)).artifacts[0].sha256
    assert world.run_now(a_spec(export=export)).artifacts[0].sha256 == first


def test_an_empty_report_is_skipped_where_it_says_so(world: World) -> None:
    record = world.run_now(a_spec("select 1 as one where false", if_empty="skip"))
    assert (record.run.status, record.run.reason) == (RunStatus.SKIPPED, "empty")
    assert record.deliveries[0].status is DeliveryStatus.SUPPRESSED
    assert world.files() == []


def test_a_destination_decides_for_itself_what_to_do_with_an_empty_report(
    world: World,
) -> None:
    destinations = [
        {"type": "local", "name": "all"},
        {"type": "local", "name": "full", "base_path": "other", "if_empty": "skip"},
    ]
    spec = a_spec("select 1 as one where false", destinations=destinations)
    record = world.run_now(spec)
    assert record.run.status is RunStatus.SUCCEEDED
    assert len(world.files()) == 1
    assert not (world.root / "other").exists()


def test_unchanged_rows_are_not_sent_twice(world: World) -> None:
    spec = a_spec("select 1 as one", if_unchanged="skip")
    assert world.run_now(spec).run.status is RunStatus.SUCCEEDED
    again = world.run_now(spec)
    assert (again.run.status, again.run.reason) == (RunStatus.SKIPPED, "unchanged")
    other = world.run_now(a_spec("select 2 as one", if_unchanged="skip"))
    assert other.run.status is RunStatus.SUCCEEDED


def test_unchanged_rows_are_those_of_the_same_schedule_whatever_its_name(
    world: World,
) -> None:
    spec = a_spec(if_unchanged="skip")
    world.run_now(spec)
    run_id = world.ask("daily")
    renamed = spec.model_copy(update={"schedule": "weekly"})
    world.serve(renamed, renamed_from="daily")
    world.serve(renamed, spec)
    world.work()
    assert world.record(run_id).run.reason == "unchanged"


def test_only_if_decides_whether_anything_is_built(world: World) -> None:
    record = world.run_now(a_spec(only_if={"query": "select false"}))
    assert (record.run.status, record.run.reason) == (RunStatus.SKIPPED, "only_if")
    record = world.run_now(a_spec(only_if={"query": "select true"}))
    assert record.run.status is RunStatus.SUCCEEDED


def test_a_failed_check_stops_everything(world: World) -> None:
    check = {"name": "no orphans", "query": "select 1 union all select 2"}
    record = world.run_now(a_spec(report={"checks": [check]}))
    assert (record.run.status, record.run.reason) == (RunStatus.FAILED, "check_failed")
    assert "no orphans" in record.run.message
    assert world.files() == []


def test_too_many_rows_fail_and_nothing_leaves(world: World) -> None:
    spec = a_spec("select * from range(11)", report={"max_rows": 10})
    record = world.run_now(spec)
    assert (record.run.status, record.run.reason) == (RunStatus.FAILED, "too_many_rows")
    assert world.files() == []


def test_a_file_over_the_policys_size_fails(world: World) -> None:
    record = world.run_now(a_spec(resolved={"max_artifact": 3}))
    assert (record.run.status, record.run.reason) == (RunStatus.FAILED, "too_large")


@pytest.mark.parametrize("formats", ["csv", ["csv", "jsonl"]], ids=["one", "spooled"])
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, ""),
        ({"report": {"max_rows": 1}}, "too_many_rows"),
        ({"resolved": {"max_artifact": 3}}, "too_large"),
    ],
)
def test_however_a_run_ends_none_of_its_unfinished_files_is_left(
    world: World, formats: object, fields: dict[str, object], reason: str
) -> None:
    query = "select * from range(5000)"
    record = world.run_now(a_spec(query, export={"format": formats}, **fields))
    assert record.run.reason == reason
    for folder in ("scratch", "blobs/incoming"):
        left = [each.name for each in (world.root / ".boe" / folder).iterdir()]
        assert [name for name in left if "duckdb" not in name] == []


def test_a_wrong_query_fails_once_with_the_databases_own_words(world: World) -> None:
    record = world.run_now(a_spec("select nothing from nowhere"))
    assert record.run.status is RunStatus.FAILED
    assert "nowhere" in record.run.message
    assert [one.status for one in record.attempts] == [AttemptStatus.FAILED]


def test_a_dry_run_builds_the_file_and_delivers_nothing(world: World) -> None:
    record = world.run_now(a_spec(), dry_run=True)
    assert (record.run.status, record.run.reason) == (RunStatus.SUCCEEDED, "dry_run")
    assert world.blobs.read(record.artifacts[0].sha256)
    assert record.deliveries == ()
    assert world.files() == []


def test_only_one_distribution_gets_it_where_somebody_asked_so(world: World) -> None:
    destinations = [
        {"type": "local", "name": "one"},
        {"type": "local", "name": "two", "base_path": "other"},
    ]
    record = world.run_now(a_spec(destinations=destinations), only="archive/two")
    assert [one.key.destination for one in record.deliveries] == ["archive/two"]


def test_parameters_are_bound_and_a_person_may_give_others(world: World) -> None:
    spec = a_spec(
        "select :year as year",
        report={"parameters": {"year": {"type": "int", "default": 2013}}},
    )
    for options, year in (({}, "2013"), ({"parameters": {"year": "2014"}}, "2014")):
        record = world.run_now(spec, **options)
        path = Path(record.deliveries[0].remote or "")
        assert path.read_text().splitlines()[1] == year


def test_a_file_stored_but_not_delivered_is_delivered_after_a_crash(
    world: World,
) -> None:
    """The worker dies between the artifact and its delivery: no second query."""
    spec = a_spec("select random() as r")
    world.serve(spec)
    run_id = world.ask(spec.schedule)
    real = world.backends.destination

    def dies(*_: object) -> object:
        raise SystemExit

    world.backends.destination = dies  # type: ignore[method-assign,assignment]  # a death
    world.work_until(SystemExit)
    sha256 = world.record(run_id).artifacts[0].sha256
    world.backends.destination = real  # type: ignore[method-assign]  # life again
    world.ledger.expire(now=world.clock.now(), all_leases=True)
    world.work()
    record = world.record(run_id)
    assert record.run.status is RunStatus.SUCCEEDED
    assert record.artifacts[0].sha256 == sha256
    assert len(world.files()) == 1


def test_a_temporary_failure_is_tried_again_later_and_then_given_up(
    world: World,
) -> None:
    spec = a_spec(
        connection={"type": "duckdb", "path": "later.duckdb"},
        execution={"retry": {"max_retries": 1}},
    )
    (world.root / "later.duckdb").write_text("no database")
    record = world.run_now(spec)
    assert record.run.status in (RunStatus.WAITING, RunStatus.FAILED)


def test_a_full_destination_makes_the_run_wait_for_the_next_try(world: World) -> None:
    (world.root / "exports").write_text("a file stands where the folder should be")
    record = world.run_now(a_spec())
    assert record.run.status is RunStatus.FAILED
    assert record.deliveries[0].status is DeliveryStatus.FAILED
    assert "exports" in record.run.message


# --- The source's circuit breaker -----------------------------------------------------


class Down:
    """A Source that fails as it is told."""

    def __init__(self, error: RunError) -> None:
        self.error = error

    def rows(self, query: str, parameters: Mapping[str, Any], cancel: Cancel) -> Rows:
        raise self.error

    def check(self) -> None:
        raise self.error

    def close(self) -> None:
        """Nothing is open."""


def failures(world: World, error: RunError, **limits: Any) -> ConnectionState:
    """How the Connection stands after one run whose source failed like this."""
    world.backends.source = lambda spec, **_: nullcontext(Down(error))  # type: ignore[method-assign]  # the far side
    world.run_now(a_spec(connection={"type": "duckdb", **limits}))
    (state,) = world.ledger.limits(now=world.clock.now())
    return state


def test_a_source_that_is_down_opens_its_breaker(world: World) -> None:
    down = Temporary("database_unreachable", "connection refused")
    state = failures(world, down, circuit_breaker={"failures": 1})
    assert (state.breaker, state.cause) == (Phase.OPEN, "connection refused")
    (record,) = world.ledger.runs()
    events = world.ledger.events(record.run.run_id)
    assert [one.action for one in events] == ["breaker_opened"]
    world.clock.move(60)
    world.work()
    (record,) = world.ledger.runs()
    assert (record.run.status, record.run.attempts) == (RunStatus.WAITING, 1)


def test_a_source_that_answers_again_closes_it(world: World) -> None:
    real = world.backends.source
    down = Temporary("database_unreachable", "connection refused")
    failures(world, down, circuit_breaker={"failures": 1})
    world.backends.source = real  # type: ignore[method-assign]  # it is back
    world.clock.move(301)
    world.work()
    (record,) = world.ledger.runs()
    assert record.run.status is RunStatus.SUCCEEDED
    (state,) = world.ledger.limits(now=world.clock.now())
    assert (state.breaker, state.failures) == (Phase.CLOSED, 0)


@pytest.mark.parametrize(
    "error",
    [
        Permanent("query_failed", "no such table"),
        Temporary("file_missing", "no file matches"),
        Temporary("interrupted", "the query was interrupted"),
    ],
)
def test_what_is_not_the_servers_fault_does_not_count(
    world: World, error: RunError
) -> None:
    state = failures(world, error, circuit_breaker={"failures": 1})
    assert (state.breaker, state.failures) == (Phase.CLOSED, 0)


def test_a_time_out_counts_if_it_is_the_servers_and_not_the_runs(world: World) -> None:
    late = Temporary("timeout", "the query took longer than 1s")
    state = failures(world, late, circuit_breaker={"failures": 9})
    assert state.failures == 1

    class Slow(Down):
        def rows(self, query: str, given: Mapping[str, Any], cancel: Cancel) -> Rows:
            assert isinstance(cancel, CancelToken)
            cancel.stop(Stop.TIMEOUT)
            raise self.error

    world.backends.source = lambda spec, **_: nullcontext(Slow(late))  # type: ignore[method-assign]  # too slow
    world.run_now(a_spec(connection={"type": "duckdb", "circuit_breaker": {}}))
    (state,) = world.ledger.limits(now=world.clock.now())
    assert state.failures == 1
