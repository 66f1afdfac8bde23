"""What a simulation takes for granted, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from boe_reconciler.core.runs import GapRow, Pause, RunStatus, Trigger

#: More rows than this are refused: count them before.
MOST = 500_000
INSTANT = timedelta(microseconds=1)
#: After everything.
LAST = datetime.max.replace(tzinfo=UTC)

#: Why something waits, beside the reasons of the ledger.
OUTAGE = "nobody_serves"
WORKERS = "workers_busy"
OVERLAP = "overlap"
PAUSED = "paused"

#: [since, until) in which something lasts.
Span = tuple[datetime, datetime]


@dataclass(frozen=True, kw_only=True, slots=True)
class Assumed:
    """What a simulation takes for granted."""

    #: Occurrences in [since, until] are looked at.
    since: datetime
    until: datetime
    #: How long a run of each schedule takes.
    duration: Mapping[str, timedelta]
    #: Runs that are executed at the same time.
    workers: int
    #: When nobody serves; in order, without overlaps.
    outages: Sequence[Span] = ()
    pauses: Sequence[Pause] = ()
    #: Schedule -> its uid, from which the jitter comes.
    uids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulated:
    """What would become of one occurrence."""

    schedule: str
    occurrence: datetime
    trigger: Trigger
    #: SUCCEEDED stands for a run that goes through.
    status: RunStatus
    #: As in the ledger: "overlap", "deadline", "catchup_latest", …
    reason: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    #: What it had to wait for after it might have started; "" if for nothing.
    waited_for: str = ""
    #: Not over within the schedule's `grace`.
    late: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Peak:
    at: datetime
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulation:
    #: In the order of their occurrences.
    runs: Sequence[Simulated]
    gaps: Sequence[GapRow]
    #: The minute in which most runs start, and the moment at which most are going on.
    starts: Peak | None
    at_once: Peak | None
