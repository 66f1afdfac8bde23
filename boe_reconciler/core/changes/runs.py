"""Two sets of Schedules -> the runs that come, go and move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from boe_reconciler.core.calendar import Timetable, compile_when
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.spec import OccurrenceSet, PlannedSchedule

#: Runs of one Schedule that are looked at, from now on.
MOST_RUNS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRun:
    schedule: str
    occurrence: datetime
    timezone: str


def timetable(occurrences: OccurrenceSet) -> Timetable:
    """The timetable of an occurrence set that was found to be valid."""
    compiled = compile_when(
        occurrences.when,
        calendar=occurrences.calendar,
        default_timezone=occurrences.timezone,
        min_interval=timedelta(seconds=1),
    )
    if compiled.timetable is None:
        raise ValueError("an occurrence set that was never valid")
    return compiled.timetable


def run_changes(
    old: Mapping[str, PlannedSchedule],
    new: Mapping[str, PlannedSchedule],
    now: datetime,
    until: datetime,
) -> tuple[list[PlannedRun], list[PlannedRun], list[tuple[PlannedRun, PlannedRun]]]:
    """(added, removed, moved) after `now` and up to `until`."""
    added: list[PlannedRun] = []
    removed: list[PlannedRun] = []
    moved: list[tuple[PlannedRun, PlannedRun]] = []
    for name in sorted({*old, *new}):
        was, will = old.get(name), new.get(name)
        if was and will and _timing(was) == _timing(will):
            continue
        gone, come = _differing(_due(was, now, until), _due(will, now, until))
        moves = _moves(gone, come) if was and will else []
        moved += moves
        paired = {run for pair in moves for run in pair}
        removed += [run for run in gone if run not in paired]
        added += [run for run in come if run not in paired]
    return added, removed, moved


def _timing(schedule: PlannedSchedule) -> tuple[OccurrenceSet, bool]:
    return schedule.occurrences, schedule.paused


def _due(
    schedule: PlannedSchedule | None, now: datetime, until: datetime
) -> list[PlannedRun]:
    if schedule is None or schedule.paused:
        return []
    found = timetable(schedule.occurrences).iter(now, until)
    zone = schedule.occurrences.timezone
    return [
        PlannedRun(schedule=schedule.name, occurrence=occurrence, timezone=zone)
        for occurrence in islice(found, MOST_RUNS)
    ]


def _differing(
    old: Sequence[PlannedRun], new: Sequence[PlannedRun]
) -> tuple[list[PlannedRun], list[PlannedRun]]:
    """Runs of one side only, as far as both sides are known."""
    ends = [runs[-1].occurrence for runs in (old, new) if len(runs) == MOST_RUNS]
    was = {run.occurrence for run in old}
    will = {run.occurrence for run in new}

    def known(run: PlannedRun) -> bool:
        return all(run.occurrence <= end for end in ends)

    return (
        [run for run in old if run.occurrence not in will and known(run)],
        [run for run in new if run.occurrence not in was and known(run)],
    )


def _moves(
    gone: Sequence[PlannedRun], come: Sequence[PlannedRun]
) -> list[tuple[PlannedRun, PlannedRun]]:
    """Pairs of runs on one local day, where a day has as many before as after."""
    by_day_gone, by_day_come = _by_day(gone), _by_day(come)
    return [
        pair
        for day, runs in by_day_gone.items()
        if len(runs) == len(by_day_come.get(day, ()))
        for pair in zip(runs, by_day_come[day], strict=True)
    ]


def _by_day(runs: Sequence[PlannedRun]) -> dict[object, list[PlannedRun]]:
    days: dict[object, list[PlannedRun]] = {}
    for run in runs:
        day = run.occurrence.astimezone(ZoneInfo(run.timezone)).date()
        days.setdefault(day, []).append(run)
    return days
