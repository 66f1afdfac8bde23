"""What a simulation gives, in words."""

from __future__ import annotations

from datetime import datetime

from boe_reconciler.core.calendar import Timetable, zones
from boe_reconciler.core.calendar.days import to_day
from boe_reconciler.core.runs import RunStatus, Trigger
from boe_reconciler.core.simulate.model import (
    OUTAGE,
    OVERLAP,
    PAUSED,
    WORKERS,
    Simulated,
)
from boe_reconciler.core.spec import PlannedSchedule
from boe_reconciler.core.waits import foreseen

#: Why something does not run, waits or is left out -> what it means.
WORDS = {
    OVERLAP: "the run before it still goes on",
    "deadline": "not started by its deadline",
    "catchup_window": "too old to make up for",
    "catchup_latest": "nobody served; only the newest is made up for",
    "catchup_max_runs": "nobody served; only so many are made up for",
    "catchup_none": "nobody served; nothing is made up for",
    PAUSED: "paused",
    "blackout": "its Connection is in a blackout",
    "connection_limit": "its Connection is in use by as many as may",
    "rate_limit": "its Connection may be used only so often",
    OUTAGE: "nobody served",
    WORKERS: "all workers were busy",
}


def described(run: Simulated) -> str:
    """What becomes of it, in a few words."""
    if run.status is RunStatus.CANCELLED:
        return "cancelled: a newer run takes its place"
    if run.status is not RunStatus.SUCCEEDED:
        return f"{run.status.value}: {WORDS[run.reason]}"
    late = ", late" if run.late else ""
    if run.trigger is Trigger.CATCHUP:
        return f"runs to make up for it{late}"
    waited = f", later: {WORDS[run.waited_for]}" if run.waited_for else ""
    return f"runs{waited}{late}"


def unusual(run: Simulated) -> bool:
    """Whether it does not simply run when it is due."""
    return described(run) != "runs"


def note(planned: PlannedSchedule, timetable: Timetable, moment: datetime) -> str:
    """What is unusual about it: of most that is nothing, which is found quickly."""
    about = [_of_its_time(planned, timetable, moment), foreseen(planned.spec)]
    return "; ".join(each for each in about if each)


def _of_its_time(
    planned: PlannedSchedule, timetable: Timetable, moment: datetime
) -> str:
    moves = planned.occurrences.when.if_day_off in ("next", "previous")
    # A quiet day has quiet neighbours, so that the date in UTC does for the local one.
    day = to_day(moment.date())
    if not moves and zones.midnight(timetable.timezone, day) is not None:
        return ""
    return timetable.note(moment) or ""
