"""What /metrics counts, of an engine that really works."""

from __future__ import annotations

import re
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import (
    generate_latest as generate_openmetrics,
)
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics,
)

from boe_reconciler.core.census import Census
from boe_reconciler.core.errors import Permanent, Temporary
from boe_reconciler.core.facts import (
    ClockJumped,
    Heard,
    LeasesLost,
    Pinged,
    Reconciled,
    ReconcileFailed,
    RunPutOff,
    Swept,
)
from boe_reconciler.core.health import Health
from boe_reconciler.ledgers.memory import MemoryLedger
from boe_reconciler.web import looking
from boe_reconciler.web.looking import FAMILIES, Looking, Outlook
from boe_reconciler.web.metrics import Metrics
from tests.builders import an_activation
from tests.engine.world import World, a_spec

WELL = Health(reason="", message="", step_age=0.5, tick_age=2.0)


def numbers(registry: CollectorRegistry) -> dict[str, float]:
    """Sample -> number, all of it as a scraper reads it."""
    lines = generate_latest(registry).decode().splitlines()
    samples = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(number) for name, _, number in samples}


def test_a_run_on_time_is_counted_from_its_delay_to_its_delivery(
    world: World, metrics: Metrics
) -> None:
    world.serve(a_spec("select 1 as one union all select 2"))
    world.executor().step()
    world.clock.move(1800.04)
    world.work()
    found = numbers(metrics.registry)
    assert found["boe_claims_total"] == 1
    assert found["boe_dispatch_delay_seconds_count"] == 1
    assert found["boe_dispatch_delay_seconds_sum"] == pytest.approx(0.04)
    assert found["boe_queue_wait_seconds_sum"] == 0
    assert found["boe_attempts_total"] == 1
    assert found["boe_rows_total"] == 2
    assert found["boe_artifacts_total"] == 1
    assert found["boe_artifact_bytes_total"] == len("one\n1\n2\n")
    assert found['boe_deliveries_total{status="accepted",type="local"}'] == 1
    assert found['boe_runs_finished_total{reason="",status="succeeded"}'] == 1
    assert found["boe_runs_failed_total"] == 0
    assert found["boe_run_duration_seconds_count"] == 1


def test_a_wait_for_a_free_worker_is_told_apart(world: World, metrics: Metrics) -> None:
    ids = ("a", "b", "c")
    specs = [a_spec(resolved={"schedule": one}) for one in ids]
    world.serve(*specs)
    world.clock.move(1800)
    executor = world.executor()
    executor.workers = 2
    executor.step()
    world.clock.move(7)
    while executor.step():
        world.ledger.wait_for_change(0.01)
    executor.drain(0)
    found = numbers(metrics.registry)
    assert found["boe_dispatch_delay_seconds_count"] == 3
    assert found["boe_queue_wait_seconds_sum"] == pytest.approx(7)


def test_a_run_that_has_not_succeeded_by_its_grace_is_counted_once(
    world: World, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    spec = a_spec("select * from nowhere", execution={"grace": "10m"})
    world.serve(spec)
    world.clock.move(3600)
    world.work()
    for _ in range(3):
        world.clock.move(600)
        world.work()
    assert numbers(metrics.registry)["boe_runs_late_total"] == 1
    (late,) = [one for one in caplog.records if one.msg == "run_late"]
    assert "should have succeeded by" in late.detail


def test_what_somebody_asked_for_has_no_dispatch_delay(
    world: World, metrics: Metrics
) -> None:
    world.run_now(a_spec())
    found = numbers(metrics.registry)
    assert (found["boe_claims_total"], found["boe_dispatch_delay_seconds_count"]) == (
        1,
        0,
    )


def test_a_failed_run_is_counted_with_its_reason(
    world: World, metrics: Metrics
) -> None:
    world.run_now(a_spec("select * from nowhere"))
    found = numbers(metrics.registry)
    assert found["boe_runs_failed_total"] == 1
    (sample,) = [one for one in found if one.startswith("boe_runs_finished_total{")]
    assert re.search(r'reason="\w+",status="failed"', sample)


def test_a_try_that_is_put_off_is_counted(world: World, metrics: Metrics) -> None:
    def unreachable(*_: object) -> None:
        raise OSError("no space")

    world.serve(a_spec())
    world.ask("daily")
    world.blobs.adopting = unreachable  # type: ignore[method-assign]  # a full disk
    world.work()
    found = numbers(metrics.registry)
    assert found['boe_runs_put_off_total{reason="disk_error"}'] == 1


def test_what_goes_wrong_around_runs_is_counted(metrics: Metrics) -> None:
    metrics.observe(LeasesLost(count=2))
    metrics.observe(ClockJumped(seconds=-3600))
    metrics.observe(ReconcileFailed())
    metrics.observe(Pinged(result="failed"))
    metrics.observe(Heard(news="bounced"))
    metrics.observe(Swept(runs=3, files=2, bytes=100))
    found = numbers(metrics.registry)
    assert found["boe_leases_lost_total"] == 2
    assert found["boe_clock_jumps_total"] == 1
    assert found['boe_reconciles_total{result="failed"}'] == 1
    assert found['boe_pings_total{result="failed"}'] == 1
    assert found['boe_mail_news_total{news="bounced"}'] == 1
    assert found['boe_mail_news_total{news="complained"}'] == 0
    assert found['boe_swept_total{what="runs"}'] == 3
    assert found['boe_swept_total{what="files"}'] == 2
    assert found["boe_swept_bytes_total"] == 100


def test_a_revision_that_is_not_served_is_seen(world: World, metrics: Metrics) -> None:
    problems = [{"severity": "error"}, {"severity": "warning"}, {"severity": "error"}]
    metrics.observe(Reconciled(activation=an_activation(revision="main@sha1:1")))
    bad = an_activation(revision="main@sha1:2", serving=None, problems=problems)
    metrics.observe(Reconciled(activation=bad))
    found = numbers(metrics.registry)
    assert found["boe_revision_behind"] == 1
    assert found['boe_revision_problems{severity="error"}'] == 2
    assert found['boe_revision_info{attempted="main@sha1:2",serving=""}'] == 1
    assert [one for one in found if "main@sha1:1" in one] == []
    seen = world.clock.now().timestamp()
    assert found["boe_last_reconcile_timestamp_seconds"] == seen


def test_reasons_that_would_never_end_become_one(metrics: Metrics) -> None:
    for number in range(500):
        metrics.observe(RunPutOff(reason=f"odd_{number}"))
    found = [one for one in numbers(metrics.registry) if "boe_runs_put_off" in one]
    assert len(found) == 101
    assert 'boe_runs_put_off_total{reason="other"}' in found


def test_both_forms_of_the_text_can_be_read(world: World, metrics: Metrics) -> None:
    world.run_now(a_spec())
    text = generate_openmetrics(metrics.registry).decode()
    names = {family.name for family in openmetrics(text)}
    assert {"boe_runs_finished", "boe_dispatch_delay_seconds"} <= names


# --- What is read when somebody asks ------------------------------------------------


class Hung(MemoryLedger):
    def census(self, *, now: datetime) -> Census:
        threading.Event().wait()
        raise AssertionError


class Broken(MemoryLedger):
    def census(self, *, now: datetime) -> Census:
        raise Permanent("gone", "It is gone.")


def looked_at(world: World, folder: Path) -> dict[str, float]:
    outlook = Outlook(
        ledger=world.ledger, state=folder, ready=lambda: WELL, clock=world.clock
    )
    registry = CollectorRegistry()
    registry.register(Looking(outlook))
    return numbers(registry)


def test_what_the_ledger_holds_is_counted(world: World, tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"x" * 100)
    (tmp_path / "ledger.sqlite.version-0001").write_bytes(b"x" * 100)
    world.serve(a_spec())
    world.run_now(a_spec("select * from nowhere"))
    world.ask("daily")
    world.clock.move(timedelta(hours=2).total_seconds())
    found = looked_at(world, tmp_path)
    assert found["boe_ledger_up"] == 1
    assert found['boe_runs_open{status="pending"}'] == 1
    assert found['boe_runs_ended_last_day{reason="query_failed",status="failed"}'] == 1
    assert found['boe_schedules{state="active"}'] == 1
    assert found["boe_oldest_due_age_seconds"] == 5400
    assert found["boe_oldest_start_age_seconds"] == 7200
    assert found["boe_ledger_bytes"] == 100
    assert found["boe_state_free_bytes"] > 0
    assert (found["boe_ready"], found["boe_last_tick_age_seconds"]) == (1, 2)


def test_a_connection_that_is_left_alone_is_seen(world: World, tmp_path: Path) -> None:
    def down(_: object, **__: object) -> None:
        raise Temporary("database_unreachable", "connection refused")

    world.backends.source = down  # type: ignore[method-assign,assignment]  # it is down
    breaker = {"type": "duckdb", "circuit_breaker": {"failures": 1}}
    world.run_now(a_spec(connection=breaker))
    found = looked_at(world, tmp_path)
    assert found['boe_breaker_open{connection="db"}'] == 1
    assert found['boe_connection_failures{connection="db"}'] == 1


@pytest.mark.parametrize("ledger", [Hung, Broken])
def test_a_ledger_without_an_answer_holds_up_no_other_number(
    world: World,
    tmp_path: Path,
    ledger: type[MemoryLedger],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looking, "PATIENCE", 0.1)
    world.ledger = ledger()
    found = looked_at(world, tmp_path)
    assert (found["boe_ledger_up"], found["boe_ready"]) == (0, 1)
    assert "boe_schedules" not in " ".join(found)


def test_a_question_that_hangs_is_not_asked_again() -> None:
    asked = []

    def question() -> None:
        asked.append(1)
        threading.Event().wait()

    patient = looking.Patient(question, 0.05)
    assert [patient.ask(), patient.ask(), patient.ask()] == [None] * 3
    assert len(asked) == 1


def test_every_number_has_a_name_of_ours(world: World, metrics: Metrics) -> None:
    outlook = Outlook(
        ledger=world.ledger, state=world.root, ready=lambda: WELL, clock=world.clock
    )
    metrics.registry.register(Looking(outlook))
    names = [family.name for family in metrics.registry.collect()]
    assert {f"boe_{name}" for name in FAMILIES} < set(names)
    assert [one for one in names if not one.startswith(("boe_", "process_"))] == []
