"""How many of what the ledger holds, for those who watch from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from boe_reconciler.core.holds import HoldKind
from boe_reconciler.core.runs import RunStatus

#: What ended longer ago than this is not counted.
RECENT = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Census:
    #: Runs that are pending, waiting or running, those that a pause holds too.
    open: Mapping[RunStatus, int] = field(default_factory=dict)
    #: (status, reason) -> runs that ended within `RECENT`.
    ended: Mapping[tuple[RunStatus, str], int] = field(default_factory=dict)
    #: Reason -> occurrences of `RECENT` that gap rows cover.
    gaps: Mapping[str, int] = field(default_factory=dict)
    #: Schedules that are served, and those of them that are paused.
    schedules: int = 0
    paused: int = 0
    #: Kind -> Holds that wait for a person.
    holds: Mapping[HoldKind, int] = field(default_factory=dict)
    #: The first instant at which a schedule is due.
    next_due: datetime | None = None
    #: The first instant at which a run may start that has yet to go on.
    next_start: datetime | None = None
