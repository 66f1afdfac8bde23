"""Runs that are done again: which ones, and under which ids (docs/rerun.md).

An id comes from what was asked for, not from chance: two equal commands that run at
the same time name the same rows, and a row is inserted once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from boe_reconciler.core.run_ids import backfill_run_id, manual_run_id
from boe_reconciler.core.runs import NewRun, Run, RunOptions, RunStatus, Trigger

#: So many runs go into one command.
MOST = 1000
#: Neither mends a failure nor counts as one: nothing was tried to its end.
_NO_ANSWER = (RunStatus.CANCELLED, RunStatus.MISSED)
_BAD = (RunStatus.FAILED, RunStatus.PARTIAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """What a person asked for."""

    #: When the command was started.
    started: datetime
    now: datetime
    #: Why a corrected report is sent.
    corrected: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """[since, until] of one schedule, as it was asked for."""

    schedule: str
    since: datetime
    until: datetime


# --- One run ----------------------------------------------------------------------


def rerun_of(old: Run, known: Sequence[Run], command: Command) -> NewRun:
    """The row that does `old` again; `known` has all runs of its occurrence."""
    options = _options(old, command)
    key = _digest("rerun", old.run_id, command.corrected or "")[:28]
    prefix = manual_run_id(old.schedule, key)
    turn = _turn([run for run in known if run.run_id.startswith(prefix)], command)
    return NewRun(
        run_id=f"{prefix}{turn:04x}",
        schedule=old.schedule,
        occurrence=old.occurrence,
        trigger=Trigger.RERUN,
        not_before=command.now,
        options=options,
    )


def _options(old: Run, command: Command) -> RunOptions:
    """All that was asked of the older run is asked of the new one."""
    return replace(old.options, rerun_of=old.run_id, corrected=command.corrected)


# --- A range ----------------------------------------------------------------------


def backfill(
    wanted: Range,
    occurrences: Sequence[datetime],
    known: Sequence[Run],
    command: Command,
) -> list[NewRun]:
    """A row for each occurrence; `known` has all runs of the range."""
    span = (wanted.since.isoformat(), wanted.until.isoformat())
    key = _digest("backfill", wanted.schedule, *span, command.corrected or "")[:12]
    turn = _turn([run for run in known if f".b{key}" in run.run_id], command)
    backfill_id = f"{key}{turn:04x}"
    older = newest_of_each(
        [run for run in known if not run.run_id.endswith(f".b{backfill_id}")]
    )
    return [
        NewRun(
            run_id=backfill_run_id(wanted.schedule, occurrence, backfill_id),
            schedule=wanted.schedule,
            occurrence=occurrence,
            trigger=Trigger.BACKFILL,
            not_before=command.now,
            options=RunOptions(
                rerun_of=older[occurrence].run_id if occurrence in older else None,
                corrected=command.corrected,
            ),
        )
        for occurrence in occurrences
    ]


def newest_of_each(known: Sequence[Run]) -> dict[datetime, Run]:
    """Occurrence -> its newest run that was meant to be delivered."""
    return {
        run.occurrence: run
        for run in sorted(known, key=_age)
        if run.trigger is not Trigger.MANUAL and not run.options.dry_run
    }


# --- All that failed --------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    #: The last run of each occurrence that failed or is partial, the oldest first.
    again: Sequence[Run]
    #: Runs that do such a one again, and were at it when the command was started.
    on_the_way: Sequence[Run]


def failed(runs: Sequence[Run], command: Command) -> Failed:
    """Runs by hand count together when they were asked for the same."""
    again: list[Run] = []
    on_the_way: list[Run] = []
    for several in _by_purpose(runs):
        last = several[-1]
        if last.options.rerun_of and _under_way(last, command):
            mends = any(run.status in _BAD for run in several[:-1])
            on_the_way += [last] if mends else []
        elif last.status in _BAD:
            again.append(last)
    again.sort(key=lambda run: (run.occurrence, run.run_id))
    return Failed(again=again, on_the_way=on_the_way)


def _by_purpose(runs: Sequence[Run]) -> Collection[list[Run]]:
    """Runs that gave an answer or will, together with those for the same, by age."""
    known = {run.run_id: run for run in runs}
    found: dict[object, list[Run]] = {}
    for run in sorted(runs, key=_age):
        if not run.options.dry_run and run.status not in _NO_ANSWER:
            found.setdefault(_purpose(run, known), []).append(run)
    return found.values()


def _purpose(run: Run, known: Mapping[str, Run]) -> object:
    if _first(run, known).trigger is not Trigger.MANUAL:
        return run.schedule, run.occurrence
    asked = run.options
    return run.schedule, tuple(sorted(asked.parameters.items())), asked.only, asked.to


def _first(run: Run, known: Mapping[str, Run]) -> Run:
    """Where a chain of runs that do each other again begins."""
    while older := known.get(run.options.rerun_of or ""):
        run = older
    return run


# --- Small words ------------------------------------------------------------------


def _age(run: Run) -> tuple[datetime, str]:
    return (run.created_at, run.run_id)


def _turn(mine: Sequence[Run], command: Command) -> int:
    """How often the same was asked for before; once more unless it is under way."""
    if not mine:
        return 0
    last = max(int(run.run_id[-4:], 16) for run in mine)
    open_ = any(
        _under_way(run, command) for run in mine if int(run.run_id[-4:], 16) == last
    )
    return last if open_ else last + 1


def _under_way(run: Run, command: Command) -> bool:
    """Not over when the command was started."""
    return run.finished_at is None or run.finished_at >= command.started


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
