"""A small world for the engine: real backends, a ledger in memory, a hand-moved clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from boe_reconciler.backends import Backends
from boe_reconciler.blobs import folder
from boe_reconciler.core.facts import Fact, Observe
from boe_reconciler.core.resources.schedule import ScheduleSpec
from boe_reconciler.core.resources.when import When
from boe_reconciler.core.runs import NewRun, RunOptions, RunRecord, Trigger
from boe_reconciler.core.spec import (
    Activation,
    OccurrenceSet,
    PlannedDestination,
    PlannedSchedule,
    RunSpec,
)
from boe_reconciler.engine.executor import Executor
from boe_reconciler.engine.job import Tools
from boe_reconciler.engine.runner import Runner
from boe_reconciler.ledgers.memory import MemoryLedger
from boe_reconciler.secrets import references
from boe_reconciler.settings import Settings

START = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)


class HandClock:
    """Moves only when told to; a wait by the executor moves nothing."""

    def __init__(self, start: datetime = START) -> None:
        self.wall = start
        self.ticks = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    def sleep(self, seconds: float) -> None:
        self.move(seconds)

    def move(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.ticks += seconds

    def step_wall(self, seconds: float) -> None:
        """The wall clock is set; the monotonic one knows nothing of it."""
        self.wall += timedelta(seconds=seconds)


@dataclass
class World:
    root: Path
    clock: HandClock = field(default_factory=HandClock)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    observers: list[Observe] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = Settings(
            root=self.root,
            state=self.root / ".boe",
            data_root=self.root,
            local_root=self.root,
            workers=2,
            memory_limit="256MB",
            child_memory="500MB",
            environment={},
        )
        self.blobs = folder.create(self.root / ".boe" / "blobs")
        secrets = references.create(
            environment={},
            data_root=self.root,
            sops_key_file=None,
            read_blob=self.blobs.read,
        )
        self.backends = Backends(settings=settings, secrets=secrets, clock=self.clock)
        self.tools = Tools(
            ledger=self.ledger,
            blobs=self.blobs,
            backends=self.backends,
            clock=self.clock,
            data_root=self.root,
            scratch=self.root / ".boe" / "scratch",
            random=lambda: 0.5,
            observe=self.observe,
        )

    def observe(self, fact: Fact) -> None:
        for one in self.observers:
            one(fact)

    def executor(self) -> Executor:
        return Executor(
            ledger=self.ledger,
            runner=Runner(self.tools),
            clock=self.clock,
            worker="tests",
            workers=2,
            observe=self.observe,
        )

    def serve(
        self,
        *specs: RunSpec,
        when: Mapping[str, Any] | None = None,
        renamed_from: str | None = None,
    ) -> None:
        """Activate these specs; due daily at 06:30 in Berlin unless `when` differs."""
        times = When.model_validate(dict(when or {"frequency": "daily", "at": "06:30"}))
        #: Of the last activation.
        self.planned = schedules = [
            PlannedSchedule(
                name=spec.schedule,
                spec=spec,
                occurrences=OccurrenceSet(when=times, timezone=spec.timezone),
                paused=False,
                renamed_from=renamed_from,
            )
            for spec in specs
        ]
        activation = Activation(
            attempted="folder@sha1:1",
            serving="folder@sha1:1",
            objects=(),
            stalled=(),
            schedules=schedules,
            problems=(),
        )
        self.ledger.activate(activation, now=self.clock.now())

    def ask(self, name: str, **options: Any) -> str:
        """A manual row for now; its id."""
        now = self.clock.now()
        row = NewRun(
            run_id=f"{name}.m{self.clock.ticks:.0f}{len(self.ledger.runs(limit=999))}",
            schedule=name,
            occurrence=now,
            trigger=Trigger.MANUAL,
            not_before=now,
            options=RunOptions(**options),
        )
        (run_id,) = self.ledger.enqueue([row], now=now)
        return run_id

    def work(self) -> None:
        """Step until nothing is in hand; time stands still."""
        executor = self.executor()
        while executor.step():
            self.ledger.wait_for_change(0.01)
        executor.drain(0)

    def work_until(self, death: type[BaseException]) -> None:
        """Step until it comes out of a run; what it left stays in the ledger."""
        executor = self.executor()
        try:
            while executor.step():
                self.ledger.wait_for_change(0.01)
        except death:
            return
        raise AssertionError("nothing died")

    def record(self, run_id: str) -> RunRecord:
        found = self.ledger.run(run_id)
        assert found is not None
        return found

    def run_now(self, spec: RunSpec, **options: Any) -> RunRecord:
        """Serve the spec, run it once by hand, and give its record."""
        self.serve(spec)
        run_id = self.ask(spec.schedule, **options)
        self.work()
        return self.record(run_id)

    def files(self) -> list[str]:
        """All delivered files below exports/, hidden ones included."""
        found = (self.root / "exports").rglob("*")
        return sorted(
            path.relative_to(self.root / "exports").as_posix()
            for path in found
            if path.is_file()
        )


def a_spec(query: str = "select 1 as one", **fields: Any) -> RunSpec:
    """A resolved spec over an empty DuckDB; `fields` are a Schedule's spec in YAML."""
    report = {"connection": "db", "query": query, **fields.pop("report", {})}
    connection = fields.pop("connection", {"type": "duckdb"})
    destinations = fields.pop("destinations", [{"type": "local"}])
    more = fields.pop("resolved", {})
    schedule = ScheduleSpec.model_validate(
        {
            "report": report,
            "when": {"frequency": "daily"},
            "export": {"format": "csv"},
            "deliver_to": [{"type": "local", "base_path": "exports"}],
            **fields,
        }
    )
    taken = (
        "period",
        "parameters",
        "if_empty",
        "if_unchanged",
        "only_if",
        "wait_for",
        "approval",
        "burst",
        "ping",
    )
    return RunSpec.model_validate(
        {
            "schedule": "daily",
            "title": "Daily",
            "owner": "ada@example.com",
            "timezone": "Europe/Berlin",
            "report_name": "numbers",
            "report_title": "All numbers",
            "report": schedule.report,
            "connection_name": "db",
            "connection": connection,
            "export": schedule.export,
            "execution": schedule.execution,
            "destinations": [
                PlannedDestination.model_validate(
                    {
                        "key": f"archive/{one.get('name', one['type'])}",
                        "distribution": "archive",
                        "spec": {"base_path": "exports", **one},
                    }
                )
                for one in destinations
            ],
            **{name: getattr(schedule, name) for name in taken},
            **more,
        }
    )
