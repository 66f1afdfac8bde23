"""How many runs start in a minute, and where that grows most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from boe_reconciler.core.calendar import zones
from boe_reconciler.core.changes.impact.pairs import Look, Moment, Side


@dataclass(frozen=True, kw_only=True, slots=True)
class Busier:
    """The minute in which most more runs are due than before; jitter left aside."""

    #: None: of all schedules; else of those that read over one with `max_concurrent`.
    connection: str | None
    minute: Moment
    before: int
    after: int
    #: Minutes of the span that grow by as much, this one among them.
    alike: int
    #: How many may use the Connection at the same time.
    limit: int | None = None


def busier(look: Look) -> list[Busier]:
    """Overall, and for each Connection more of whose runs meet than it lets in."""
    if not look.changed:
        return []
    tally = _Tally(look)
    limits = {
        spec.connection_name: spec.connection.max_concurrent
        for pair in look.pairs
        if pair.after and (spec := pair.after.planned.spec)
    }
    known = sorted((name, limit) for name, limit in limits.items() if limit is not None)
    found = [tally.most(None, None), *(tally.most(*one) for one in known)]
    return [one for one in found if one and one.after > (one.limit or 1)]


class _Tally:
    """Runs by the minute, before and after."""

    def __init__(self, look: Look) -> None:
        self._sides = (
            [pair.before for pair in look.pairs if pair.before],
            [pair.after for pair in look.pairs if pair.after],
        )
        zones_ = Counter(side.zone for side in self._sides[1])
        #: The zone that most of them are written in.
        self._zone = min(zones_, key=lambda one: (-zones_[one], one))
        #: By what decides the times: many Schedules share it, on both sides.
        alike = {side.times: side for sides in self._sides for side in sides}
        self._minutes = {
            times: _per_minute(side, look) for times, side in alike.items()
        }

    def most(self, connection: str | None, limit: int | None) -> Busier | None:
        was, will = (self._count(sides, connection) for sides in self._sides)
        growth = {at: count - was[at] for at, count in will.items()}
        most = max(growth.values(), default=0)
        if most <= 0:
            return None
        alike = [at for at, more in growth.items() if more == most]
        minute = min(alike, key=lambda at: (-will[at], at))
        return Busier(
            connection=connection,
            minute=Moment(at=zones.to_datetime(minute * 60), timezone=self._zone),
            before=was[minute],
            after=will[minute],
            alike=len(alike),
            limit=limit,
        )

    def _count(self, sides: Sequence[Side], connection: str | None) -> Counter[int]:
        chosen = [
            side
            for side in sides
            if connection in (None, side.planned.spec.connection_name)
            and not side.planned.paused
        ]
        found: Counter[int] = Counter()
        for times, count in Counter(side.times for side in chosen).items():
            for minute, runs in self._minutes[times].items():
                found[minute] += runs * count
        return found


def _per_minute(side: Side, look: Look) -> Counter[int]:
    """Minutes since 1970 -> runs that are due in them."""
    found: Counter[int] = Counter()
    for base, times in side.clock.within(look.now, look.until):
        found.update((base + time) // 60 for time in times)
    return found
