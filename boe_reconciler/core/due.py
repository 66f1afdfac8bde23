"""Which rows a schedule owes up to now (docs/life-of-a-run.md).

Pure: the same marks, the same clock, the same rows. An outage of any length costs
about the same, because what it missed is counted and not listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from boe_reconciler.core.calendar import (
    Timetable,
    compile_when,
    jitter_of,
    set_digest,
)
from boe_reconciler.core.calendar.timetable import Fixed
from boe_reconciler.core.resources.schedule import Execution
from boe_reconciler.core.run_ids import run_id
from boe_reconciler.core.runs import GapRow, NewRun, RunStatus, Trigger
from boe_reconciler.core.spec import Timing

#: Nobody served if no tick was completed this long after an occurrence.
SERVED_WITHIN = timedelta(seconds=60)
#: A clock this far behind what is already covered cannot be trusted: nothing is started.
BEHIND = timedelta(hours=1)
SHORTEST_WINDOW = timedelta(hours=24)
LONGEST_WINDOW = timedelta(days=31)
_INSTANT = timedelta(microseconds=1)
_LIMIT_REASONS = {
    "latest": "catchup_latest",
    "all": "catchup_max_runs",
    "none": "catchup_none",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What the ledger keeps of one served schedule between two ticks."""

    name: str
    #: Stays the same until the schedule is removed.
    uid: str
    revision: str
    spec_digest: str
    #: JSON of its `Timing`.
    timing: str
    #: Rows and gaps cover every occurrence in (covered_from, high_water].
    covered_from: datetime
    high_water: datetime
    next_due: datetime | None
    paused_in_git: bool
    #: Whether anything pauses it, and until when (None: until it is resumed).
    paused: bool = False
    paused_until: datetime | None = None
    #: Failed runs in a row, for `pause_after_failures`.
    failures: int = 0
    #: The Connection that its Report reads from.
    connection: str = ""


class Form(NamedTuple):
    """What a plan decides of a Standing, which has fields of these names."""

    uid: str
    spec_digest: str
    timing: str
    connection: str
    paused_in_git: bool
    paused: bool
    paused_until: datetime | None
    next_due: datetime | None

    def is_due(self, now: datetime) -> bool:
        """Whether a tick at `now` has to look at it."""
        return self.next_due is not None and self.next_due <= now


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticks:
    """The last unbroken chain of ticks, none more than a minute after the one before."""

    since: datetime | None = None
    last: datetime | None = None

    def and_now(self, now: datetime) -> Ticks:
        """The chain with a tick at `now`."""
        alive = self._alive(now) and self.since is not None
        return Ticks(since=min(self.since or now, now) if alive else now, last=now)

    def late_before(self, now: datetime) -> datetime:
        """Nobody served in the minute after an occurrence before this instant."""
        since = self.since if self._alive(now) and self.since else now
        return min(since, now) - SERVED_WITHIN

    def goes_on(self, now: datetime) -> bool:
        """Whether a tick at `now` follows the last one, by a clock that went forward."""
        return self.last is not None and self.last <= now and self._alive(now)

    def _alive(self, now: datetime) -> bool:
        return self.last is not None and now - self.last <= SERVED_WITHIN


@dataclass(frozen=True, kw_only=True, slots=True)
class Owed:
    """What to insert, and the standing that goes with it in the same transaction."""

    standing: Standing
    runs: Sequence[NewRun] = ()
    gaps: Sequence[GapRow] = ()


def owed(standing: Standing, ticks: Ticks, now: datetime) -> Owed:
    """Cover (high_water, now] with rows and gaps."""
    if standing.paused:
        end = standing.paused_until
        if end is None or now < end:
            return Owed(standing=replace(standing, next_due=end))
        before = unpaused(standing, end)
        after = owed(before.standing, ticks, now)
        return replace(after, gaps=[*before.gaps, *after.gaps])
    clock = timetable(standing)
    if now <= standing.high_water:
        next_due = clock.next(standing.high_water)
        return Owed(standing=replace(standing, next_due=next_due))
    next_due = clock.next(now)
    late_end = max(ticks.late_before(now) - _INSTANT, standing.high_water)
    late = _catch_up(standing, late_end, now)
    found = clock.between(late_end, now)
    runs = _rows(standing, found, next_due, Trigger.SCHEDULE)
    moved = replace(standing, high_water=now, next_due=next_due)
    return replace(late, standing=moved, runs=[*late.runs, *runs])


def unpaused(standing: Standing, at: datetime) -> Owed:
    """The end of a pause: what fell into it becomes one gap, and goes no further."""
    moved = replace(standing, paused=False, paused_until=None)
    if at <= standing.high_water:
        return Owed(standing=moved)
    count = timetable(standing).count(standing.high_water, at)
    gaps = [_gap(standing, at, count, "paused")] if count else []
    return Owed(standing=replace(moved, high_water=at), gaps=gaps)


def timetable(standing: Standing) -> Timetable:
    return _parsed(standing.timing)[1]


def execution(standing: Standing) -> Execution:
    return _parsed(standing.timing)[0].execution


def jitter(standing: Standing) -> timedelta | None:
    return _parsed(standing.timing)[0].occurrences.when.jitter


def same_occurrences(one: str, other: str) -> bool:
    """Whether two `timing` texts name the same instants."""
    return one == other or _set(one) == _set(other)


def _set(text: str) -> str:
    found = _parsed(text)[0].occurrences
    return set_digest(found.when, timezone=found.timezone, calendar=found.calendar)


@lru_cache(maxsize=20_000)
def _parsed(text: str) -> tuple[Timing, Timetable]:
    timing = Timing.model_validate_json(text)
    occurrences = timing.occurrences
    compiled = compile_when(
        occurrences.when,
        calendar=occurrences.calendar,
        default_timezone=occurrences.timezone,
        # What was let through once is not judged again.
        min_interval=timedelta(seconds=1),
    )
    never = Timetable(timezone="UTC", stream=Fixed(instants=()))
    return timing, compiled.timetable or never


def single(standing: Standing) -> tuple[NewRun, datetime | None] | None:
    """The row of the next occurrence, if it is on time, and the occurrence after it."""
    following = timetable(standing).iter(standing.high_water)
    first = next(following, None)
    if first is None:
        return None
    second = next(following, None)
    return _row(standing, first, second, Trigger.SCHEDULE), second


# --- Catching up ------------------------------------------------------------------


def _catch_up(standing: Standing, until: datetime, now: datetime) -> Owed:
    """Rows for (high_water, until], when nobody served.

    What is kept as `next_due` cannot tell whether there are any: it lies later after a
    tick that failed.
    """
    timing, clock = _parsed(standing.timing)
    first = clock.next(standing.high_water)
    if first is None or first > until:
        return Owed(standing=standing)
    rules = timing.execution
    following = clock.next(until)
    kept = _kept(standing, until, following, now)
    end = kept[0] - _INSTANT if kept else until
    count = clock.count(standing.high_water, end)
    runs = _rows(standing, kept, following, Trigger.CATCHUP)
    if not count:
        return Owed(standing=standing, runs=runs)
    full = len(kept) == _most(rules)
    reason = _LIMIT_REASONS[rules.catchup] if full else "catchup_window"
    if count > rules.catchup_max_runs:
        gap = _gap(standing, end, count, reason)
        return Owed(standing=standing, runs=runs, gaps=[gap])
    found = clock.between(standing.high_water, end)
    rows = _rows(standing, found, following, Trigger.CATCHUP)
    missed = [replace(row, status=RunStatus.MISSED, reason=reason) for row in rows]
    return Owed(standing=standing, runs=[*missed, *runs])


def _most(rules: Execution) -> int:
    return {"latest": 1, "all": rules.catchup_max_runs, "none": 0}[rules.catchup]


def _kept(
    standing: Standing, until: datetime, following: datetime | None, now: datetime
) -> list[datetime]:
    """The occurrences that still run: the newest, as many and as old as allowed."""
    timing, clock = _parsed(standing.timing)
    kept: list[datetime] = []
    before = until + _INSTANT
    while len(kept) < _most(timing.execution):
        found = clock.previous(before)
        if found is None or found <= standing.high_water:
            break
        if now - found > _window(timing.execution, found, following):
            break
        kept.append(found)
        before = following = found
    return kept[::-1]


def _window(
    rules: Execution, occurrence: datetime, following: datetime | None
) -> timedelta:
    """How old an occurrence may be and still run."""
    if rules.catchup_window is not None:
        return rules.catchup_window
    if following is None:
        return LONGEST_WINDOW
    return min(max(following - occurrence, SHORTEST_WINDOW), LONGEST_WINDOW)


def expiry(
    rules: Execution, occurrence: datetime, following: datetime | None
) -> tuple[datetime, str]:
    """Until when a run may start, and why no longer."""
    expires = occurrence + _window(rules, occurrence, following)
    if rules.deadline is not None and occurrence + rules.deadline <= expires:
        return occurrence + rules.deadline, "deadline"
    return expires, "catchup_window"


def _gap(standing: Standing, until: datetime, count: int, reason: str) -> GapRow:
    return GapRow(
        schedule=standing.name,
        schedule_uid=standing.uid,
        since=standing.high_water,
        until=until,
        count=count,
        reason=reason,
    )


# --- Rows -------------------------------------------------------------------------


def _rows(
    standing: Standing,
    occurrences: Sequence[datetime],
    following: datetime | None,
    trigger: Trigger,
) -> list[NewRun]:
    nexts = chain(occurrences[1:], [following])
    return [
        _row(standing, occurrence, after, trigger)
        for occurrence, after in zip(occurrences, nexts, strict=False)
    ]


def _row(
    standing: Standing,
    occurrence: datetime,
    following: datetime | None,
    trigger: Trigger,
) -> NewRun:
    timing = _parsed(standing.timing)[0]
    expires, reason = expiry(timing.execution, occurrence, following)
    jitter = timing.occurrences.when.jitter
    return NewRun(
        run_id=run_id(standing.name, occurrence),
        schedule=standing.name,
        occurrence=occurrence,
        trigger=trigger,
        not_before=occurrence + jitter_of(standing.uid, occurrence, jitter, following),
        expires=expires,
        expires_reason=reason,
    )
