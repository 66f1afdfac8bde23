"""What a run waits for before it begins (`wait_for`), in words and instants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.schedule import (
    WaitForFile,
    WaitForQuery,
    WaitForSchedule,
)
from boe_reconciler.core.spec import RunSpec
from boe_reconciler.core.wording import both

if TYPE_CHECKING:
    from boe_reconciler.core.runs import Event, Run

REASON = "wait_for"
#: The action of an event: a run went on without what it waited for.
NOTE = "sent_with_note"

Condition = WaitForQuery | WaitForFile | WaitForSchedule


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """Something of `wait_for` that is not there."""

    condition: Condition
    #: What it is and why it does not count: "the file in/a.csv, which is empty".
    what: str
    #: When to look again.
    again: datetime
    #: When the wait for it is over.
    deadline: datetime

    def note(self, zone: str) -> str:
        """The same at each look."""
        what = self.what.partition(",")[0]
        return f"Made without waiting any longer for {what}: not there by {both(self.deadline, zone)}."


def foreseen(spec: RunSpec) -> str:
    """What each run of it waits for, as far as its files say; "" where for nothing."""
    things = [_thing(one) for one in spec.wait_for]
    if spec.approval:
        things.append(f"a release by {' or '.join(spec.approval.by)}")
    return f"waits for {' and '.join(things)}" if things else ""


def _thing(condition: Condition) -> str:
    match condition:
        case WaitForQuery():
            return "its query"
        case WaitForFile():
            return condition.file
        case _:
            return condition.schedule


def deadline(condition: Condition, run: Run, now: datetime) -> datetime:
    """From its first look on: a restart prolongs nothing."""
    return (run.started_at or now) + condition.deadline


def local_day(occurrence: datetime, zone: str) -> tuple[datetime, datetime]:
    """The first and the last second of its day there."""
    there = ZoneInfo(zone)
    day = occurrence.astimezone(there).date()
    start, end = (
        datetime.combine(one, time(), there).astimezone(occurrence.tzinfo)
        for one in (day, day + timedelta(days=1))
    )
    return start, end - timedelta(seconds=1)


def over(missing: Sequence[Missing], how: str, now: datetime) -> list[Missing]:
    """Those whose deadline has passed, and that say this of it."""
    return [
        one
        for one in missing
        if one.deadline <= now and one.condition.on_timeout == how
    ]


def names(missing: Iterable[Missing]) -> str:
    return " and ".join(one.what for one in missing)


def told(missing: Sequence[Missing], zone: str) -> str:
    """What a run waits for, and until when: the first deadline decides about it."""
    until = min(one.deadline for one in missing)
    return f"It waits for {names(missing)}, until {both(until, zone)} at most."


def notes(events: Iterable[Event]) -> list[str]:
    """What a reader of its files has to know, in the order in which it was noted."""
    return [one.message for one in events if one.action == NOTE]
