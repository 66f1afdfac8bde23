"""What a change means, beyond its fields and runs: what a reviewer would be caught out by.

Pure, of two Plans: the tables that are read, who is told of failures, pauses that hide
it, how busy a minute becomes, clock changes, blackouts, and files of the same name
(docs/plan.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any

from boe_reconciler.core.changes.impact.blackouts import BlackoutMet, blackouts_met
from boe_reconciler.core.changes.impact.clocks import ClockChange, clock_changes
from boe_reconciler.core.changes.impact.files import SameFile, same_files
from boe_reconciler.core.changes.impact.load import Busier, busier
from boe_reconciler.core.changes.impact.pairs import Look, Moment, pairs
from boe_reconciler.core.changes.impact.pausing import (
    Hidden,
    Resumed,
    hidden_changes,
    resumed,
)
from boe_reconciler.core.changes.impact.people import (
    ConnectionMoved,
    OwnerChanged,
    ReadsElsewhere,
    connections_moved,
    owners_changed,
    reads_elsewhere,
)
from boe_reconciler.core.changes.impact.switching import SwitchDay, switch_days
from boe_reconciler.core.changes.impact.tables import TablesChanged, tables_changed
from boe_reconciler.core.plan import Plan
from boe_reconciler.core.runs import Pause

__all__ = ["Impact", "as_json", "impact"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Impact:
    """Each in the order of its schedules' names."""

    tables: Sequence[TablesChanged] = ()
    connections: Sequence[ConnectionMoved] = ()
    reads_elsewhere: Sequence[ReadsElsewhere] = ()
    owners: Sequence[OwnerChanged] = ()
    hidden: Sequence[Hidden] = ()
    resumed: Sequence[Resumed] = ()
    switch_days: Sequence[SwitchDay] = ()
    load: Sequence[Busier] = ()
    clock_changes: Sequence[ClockChange] = ()
    blackouts: Sequence[BlackoutMet] = ()
    same_files: Sequence[SameFile] = ()


def impact(
    before: Plan | None,
    after: Plan,
    *,
    now: datetime,
    days: int,
    pauses: Sequence[Pause] = (),
) -> Impact:
    """What the change from one plan to the other means, within so many days.

    `pauses`: those put on at run time, where they are known.
    """
    look = Look(
        before=before,
        after=after,
        pairs=pairs(before.schedules if before else {}, after.schedules),
        now=now,
        until=now + timedelta(days=days),
        pauses=pauses,
    )
    return Impact(
        tables=tables_changed(look),
        connections=connections_moved(look),
        reads_elsewhere=reads_elsewhere(look),
        owners=owners_changed(look),
        hidden=list(hidden_changes(look)),
        resumed=list(resumed(look)),
        switch_days=list(switch_days(look)),
        load=busier(look),
        clock_changes=list(clock_changes(look)),
        blackouts=list(blackouts_met(look)),
        same_files=list(same_files(look)),
    )


# --- As JSON ------------------------------------------------------------------


def as_json(found: Impact) -> dict[str, Any]:
    """Plain values: instants as {utc, local, timezone}, durations in seconds."""
    plain: dict[str, Any] = _plain(found)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Moment):
        utc = value.at.isoformat().replace("+00:00", "Z")
        local = value.local.isoformat()
        return {"utc": utc, "local": local, "timezone": value.timezone}
    if is_dataclass(value):
        named = {field.name: getattr(value, field.name) for field in fields(value)}
        return dict(_named(name, each) for name, each in named.items())
    if isinstance(value, Mapping | str):
        return value
    if isinstance(value, Sequence):
        return [_plain(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def _named(name: str, value: Any) -> tuple[str, Any]:
    if isinstance(value, timedelta):
        return f"{name}_seconds", round(value.total_seconds())
    return name, _plain(value)
