"""Ticks, new rows and pauses (R4, R5, R6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from boe_reconciler.core import due, lifecycle, pauses
from boe_reconciler.core.calendar.zones import TZDB_VERSION
from boe_reconciler.core.due import BEHIND, Owed, Standing, Ticks
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.runs import (
    Event,
    NewRun,
    Pause,
    PauseTarget,
    Run,
    RunStatus,
    ScheduleState,
    Tick,
    event_of,
)
from boe_reconciler.ledgers import _rows
from boe_reconciler.ledgers._store import Store

#: Late runs that one tick tells of, at most.
_LATE = 500
#: Ticks that did nothing are written down this often.
_TICK_NOTED = timedelta(seconds=10)


def materialise(store: Store, *, now: datetime, limit: int) -> Tick:
    ticks = store.ticks()
    mark = None if ticks.goes_on(now) else store.high_mark()
    if mark is not None and now < mark - BEHIND:
        return Tick(inserted=0, more=False, next_due=None, clock_behind=mark)
    if store.tzdb() != TZDB_VERSION:
        _count_anew(store)
    inserted, more = _cover_due(store, ticks, now, limit)
    _end_pauses(store, now)
    late = _tell_late(store, now)
    _note_tick(store, ticks, now)
    more = more or len(late) == _LATE
    return Tick(inserted=inserted, more=more, next_due=_next(store, now), late=late)


def _cover_due(
    store: Store, ticks: Ticks, now: datetime, limit: int
) -> tuple[int, bool]:
    """Rows and gaps inserted for so many schedules, and whether more are due."""
    next_due = store.next_due()
    if next_due is None or next_due > now:
        return 0, False
    on_time = _rows.cover_on_time(store, ticks, now, limit)
    left = limit - on_time.schedules
    standings = store.due(now, left + 1)
    inserted = on_time.inserted + _rows.cover(store, standings[:left], ticks, now)
    return inserted, len(standings) > left


def _tell_late(store: Store, now: datetime) -> Sequence[Event]:
    """Once for each run that has not succeeded by its `grace`."""
    late = store.late(now, _LATE)
    events = [_late(run, now) for run in late]
    store.insert_events(events)
    store.put_runs([replace(run, late_at=None) for run in late])
    return events


def _late(run: Run, now: datetime) -> Event:
    status = f"{run.status} ({run.reason})" if run.reason else f"{run.status}"
    words = (
        f"It should have succeeded by {run.late_at:%Y-%m-%d %H:%M:%S}Z and is {status}."
    )
    return event_of(run, "run_late", words, now)


def _count_anew(store: Store) -> None:
    """Other zone data may put the next occurrences elsewhere."""
    moved = [
        due.owed(standing, Ticks(), standing.high_water).standing
        for standing in store.standings()
    ]
    store.put_standings(moved)
    store.put_tzdb(TZDB_VERSION)


def _note_tick(store: Store, ticks: Ticks, now: datetime) -> None:
    chain = ticks.and_now(now)
    old = ticks.last is None or abs(now - ticks.last) >= _TICK_NOTED
    if old or chain.since != ticks.since:
        store.put_ticks(chain)


def _next(store: Store, now: datetime) -> datetime | None:
    marks = [store.next_due(), store.next_start(now), store.next_late()]
    return min((mark for mark in marks if mark is not None), default=None)


def enqueue(store: Store, runs: Sequence[NewRun], *, now: datetime) -> Sequence[str]:
    rows = [lifecycle.inserted(new, _served(store, new.schedule), now) for new in runs]
    return store.insert_runs(rows)


def _served(store: Store, name: str) -> Standing:
    standing = store.standing(name)
    if standing is None:
        raise InputError(
            f"There is no schedule {name!r} among those that are served.",
            "`boe status` lists them.",
        )
    return standing


# --- Pauses -----------------------------------------------------------------------


def pause(store: Store, new: Pause) -> None:
    """From `since` on; what was owed up to then still becomes rows."""
    if new.target is PauseTarget.SCHEDULE:
        _served(store, new.value)
    _cover(store, new, new.since)
    store.put_pause(new)
    _apply(store, new, new.since, lambda standing: standing)
    until = f" until {new.until:%Y-%m-%d %H:%M}Z" if new.until else ""
    message = f"Paused by {new.by}{until}: {new.why}"
    store.insert_events([_event(new, "paused", message, new.since)])


def resume(
    store: Store, target: PauseTarget, value: str, *, by: str, now: datetime
) -> bool:
    old = next(
        (one for one in store.pauses() if (one.target, one.value) == (target, value)),
        None,
    )
    if old is None:
        return False
    _cover(store, old, now)
    store.drop_pause(old)
    _apply(store, old, now, lambda standing: replace(standing, failures=0))
    store.insert_events([_event(old, "resumed", f"Resumed by {by}.", now)])
    return True


def _cover(store: Store, pause: Pause, now: datetime) -> None:
    _rows.cover(store, _held_by(store, pause), store.ticks(), now)


def _apply(
    store: Store, pause: Pause, now: datetime, change: Callable[[Standing], Standing]
) -> None:
    """Look anew at which pauses hold the schedules that this one is about."""
    live = store.pauses()
    moved = [
        _under(change(standing), _holding(store, standing, live, now), now)
        for standing in _held_by(store, pause)
    ]
    _rows.write_owed(store, moved, now)


def _under(standing: Standing, pause: Pause | None, now: datetime) -> Owed:
    paused = standing.paused_in_git or pause is not None
    until = None if standing.paused_in_git or not pause else pause.until
    ended = Owed(standing=standing)
    if standing.paused and not paused:
        ended = due.unpaused(standing, now)
    held = replace(ended.standing, paused=paused, paused_until=until)
    again = due.owed(held, Ticks(), held.high_water)
    return replace(again, gaps=ended.gaps)


def _held_by(store: Store, pause: Pause) -> list[Standing]:
    if pause.target is PauseTarget.SCHEDULE:
        standing = store.standing(pause.value)
        return [standing] if standing else []
    return [
        standing
        for standing in store.standings()
        if pauses.covers(pause, store.spec(standing.spec_digest))
    ]


def _holding(
    store: Store, standing: Standing, live: Sequence[Pause], now: datetime
) -> Pause | None:
    if not live:
        return None
    return pauses.holding(live, store.spec(standing.spec_digest), now)


def _end_pauses(store: Store, now: datetime) -> None:
    for old in store.pauses():
        if old.until is not None and old.until <= now:
            store.drop_pause(old)
            store.insert_events([_event(old, "pause_ended", "The pause is over.", now)])


def _event(pause: Pause, action: str, message: str, now: datetime) -> Event:
    schedule = pause.value if pause.target is PauseTarget.SCHEDULE else None
    return Event(at=now, action=action, message=message, schedule=schedule)


# --- Looking ----------------------------------------------------------------------


def states(store: Store) -> Sequence[ScheduleState]:
    live, last = store.pauses(), store.last_runs()
    return [
        _state(standing, last.get(standing.uid), _pause_of(store, standing, live))
        for standing in store.standings()
    ]


def _pause_of(store: Store, standing: Standing, live: Sequence[Pause]) -> Pause | None:
    """A pause that ended before its mark holds the schedule no longer."""
    return _holding(store, standing, live, standing.high_water)


def _state(
    standing: Standing, last: tuple[str, RunStatus] | None, pause: Pause | None
) -> ScheduleState:
    run_id, status = last or (None, None)
    return ScheduleState(
        name=standing.name,
        uid=standing.uid,
        high_water=standing.high_water,
        next_due=None if standing.paused else standing.next_due,
        paused_in_git=standing.paused_in_git,
        pause=pause,
        last_run_id=run_id,
        last_run_status=status,
    )
