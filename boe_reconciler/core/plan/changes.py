"""Two Plans -> Changes: what a revision adds, moves and takes away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal
from zoneinfo import ZoneInfo

from boe_reconciler.core.calendar import Timetable, compile_when
from boe_reconciler.core.plan import Plan
from boe_reconciler.core.plan.world import Key
from boe_reconciler.core.problems import Path, dotted
from boe_reconciler.core.resources.distribution import GroupRef
from boe_reconciler.core.spec import OccurrenceSet, PlannedSchedule, ServedObject

Action = Literal["delete", "update", "create"]
#: Runs of one Schedule that are looked at, from now on.
MOST_RUNS = 1000
_ABSENT = object()


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldChange:
    path: Path
    #: None where there was, or will be, nothing.
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    action: Action
    kind: str
    name: str
    #: Where it stands now, or stood.
    file: str
    fields: Sequence[FieldChange] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRun:
    schedule: str
    occurrence: datetime
    timezone: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    #: Removals first.
    changes: Sequence[Change]
    runs_added: Sequence[PlannedRun]
    runs_removed: Sequence[PlannedRun]
    #: (before, after): the n-th run of a day that only changed its time.
    runs_moved: Sequence[tuple[PlannedRun, PlannedRun]]
    #: (schedule, destination, where): folders and addresses.
    recipients_added: Sequence[tuple[str, str, str]]
    recipients_removed: Sequence[tuple[str, str, str]]


def changes(before: Plan | None, after: Plan, *, now: datetime, days: int) -> Changes:
    """What changes from one plan to the other, its runs within so many days."""
    old = before.objects if before else {}
    planned = before.schedules if before else {}
    until = now + timedelta(days=days)
    added, removed, moved = _runs(planned, after.schedules, now, until)
    was, will = _recipients(planned), _recipients(after.schedules)
    return Changes(
        changes=_in_order(_objects(old, after.objects)),
        runs_added=added,
        runs_removed=removed,
        runs_moved=moved,
        recipients_added=sorted(will - was),
        recipients_removed=sorted(was - will),
    )


# --- Objects ------------------------------------------------------------------


def _objects(
    old: Mapping[Key, ServedObject], new: Mapping[Key, ServedObject]
) -> Iterator[Change]:
    yield from (_change("delete", old[key]) for key in old.keys() - new.keys())
    yield from (_change("create", new[key]) for key in new.keys() - old.keys())
    for key in old.keys() & new.keys():
        before, after = old[key], new[key]
        fields = [
            *_fields(before.data, after.data),
            *_fields(before.files, after.files),
        ]
        if fields:
            yield _change("update", after, fields)


def _change(
    action: Action, one: ServedObject, fields: Sequence[FieldChange] = ()
) -> Change:
    return Change(
        action=action, kind=one.kind, name=one.name, file=one.file, fields=fields
    )


def _in_order(found: Iterator[Change]) -> list[Change]:
    """Removals first: they are what a reviewer must not miss."""
    rank = {"delete": 0, "update": 1, "create": 2}
    return sorted(found, key=lambda one: (rank[one.action], one.kind, one.name))


def _fields(before: Any, after: Any, path: Path = ()) -> Iterator[FieldChange]:
    """Each value that differs, as deep as both sides have the same shape."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            was, will = before.get(key, _ABSENT), after.get(key, _ABSENT)
            yield from _fields(was, will, (*path, key))
    elif _alike(before, after):
        for number, (was, will) in enumerate(zip(before, after, strict=True)):
            yield from _fields(was, will, (*path, number))
    elif before != after:
        yield FieldChange(
            path=path,
            before=None if before is _ABSENT else before,
            after=None if after is _ABSENT else after,
        )


def _alike(before: Any, after: Any) -> bool:
    """Lists whose entries can be told apart by their places."""
    lists = isinstance(before, list) and isinstance(after, list)
    return lists and len(before) == len(after)


# --- Runs ---------------------------------------------------------------------


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


def _runs(
    old: Mapping[str, PlannedSchedule],
    new: Mapping[str, PlannedSchedule],
    now: datetime,
    until: datetime,
) -> tuple[list[PlannedRun], list[PlannedRun], list[tuple[PlannedRun, PlannedRun]]]:
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


# --- Recipients ---------------------------------------------------------------


def _recipients(
    schedules: Mapping[str, PlannedSchedule],
) -> set[tuple[str, str, str]]:
    """(schedule, destination, where) of all that is delivered."""
    return {
        (schedule.name, planned.key, _where(planned.spec))
        for schedule in schedules.values()
        for planned in schedule.spec.destinations
    }


def _where(spec: Any) -> str:
    """The folder, bucket or address of a destination."""
    for field in ("base_path", "bucket", "container", "url", "to"):
        value = getattr(spec, field, None)
        if value:
            return value if isinstance(value, str) else ", ".join(map(_person, value))
    return str(spec.type)


def _person(one: str | GroupRef) -> str:
    return one if isinstance(one, str) else f"group {one.group}"


# --- As JSON ------------------------------------------------------------------


def as_json(found: Changes) -> dict[str, Any]:
    """The part of `boe plan --format json` that tells of changes."""
    return {
        "changes": [
            {
                "action": one.action,
                "kind": one.kind,
                "name": one.name,
                "file": one.file,
                "fields": [
                    {
                        "path": dotted(field.path),
                        "before": field.before,
                        "after": field.after,
                    }
                    for field in one.fields
                ],
            }
            for one in found.changes
        ],
        "runs": {
            "added": [_run(run) for run in found.runs_added],
            "removed": [_run(run) for run in found.runs_removed],
            "moved": [
                {
                    "schedule": will.schedule,
                    "before": _instant(was),
                    "after": _instant(will),
                }
                for was, will in found.runs_moved
            ],
        },
        "recipients": {
            "added": [_recipient(one) for one in found.recipients_added],
            "removed": [_recipient(one) for one in found.recipients_removed],
        },
    }


def _run(run: PlannedRun) -> dict[str, Any]:
    return {"schedule": run.schedule, **_instant(run)}


def _instant(run: PlannedRun) -> dict[str, Any]:
    local = run.occurrence.astimezone(ZoneInfo(run.timezone))
    utc = run.occurrence.isoformat().replace("+00:00", "Z")
    return {"utc": utc, "local": local.isoformat(), "timezone": run.timezone}


def _recipient(one: tuple[str, str, str]) -> dict[str, str]:
    schedule, destination, where = one
    return {"schedule": schedule, "destination": destination, "recipient": where}
