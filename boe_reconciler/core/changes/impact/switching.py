"""The local day of the change: a Schedule that moves may run twice on it, or never."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from boe_reconciler.core.changes.impact.pairs import INSTANT, Look, Moment, Side


@dataclass(frozen=True, kw_only=True, slots=True)
class SwitchDay:
    """If it is merged now: what has run on this local day, and what is still to come."""

    schedule: str
    day: date
    #: By the times before.
    already: int
    #: By the times after.
    still: int
    #: The last that has run, else the first that would have.
    before: Moment
    #: The next that comes, else the last that has just been passed by.
    after: Moment


def switch_days(look: Look) -> Iterator[SwitchDay]:
    for pair in look.pairs:
        if pair.before and pair.after and pair.retimed:
            before, after = pair.before, pair.after
            if not (before.planned.paused or after.planned.paused):
                yield from _switch(before, after, look.now)


def _switch(before: Side, after: Side, now: datetime) -> Iterator[SwitchDay]:
    day = now.astimezone(after.clock.zone).date()
    start, end = _day(day, after.clock.zone)
    usual = before.clock.count(start, end), after.clock.count(start, end)
    already, still = before.clock.count(start, now), after.clock.count(now, end)
    if not all(usual) or 0 < already + still <= max(usual):
        return
    yield SwitchDay(
        schedule=after.planned.name,
        day=day,
        already=already,
        still=still,
        before=_near(before, now, past=already > 0),
        after=_near(after, now, past=not still),
    )


def _near(side: Side, now: datetime, *, past: bool) -> Moment:
    """The last run until now, or the next."""
    found = side.clock.previous(now + INSTANT) if past else side.clock.next(now)
    assert found  # noqa: S101 it was counted
    return side.moment(found)


def _day(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """(after, until] that holds the local day."""
    start = datetime.combine(day, time(), zone)
    end = datetime.combine(day + timedelta(days=1), time(), zone)
    return start - INSTANT, end - INSTANT
