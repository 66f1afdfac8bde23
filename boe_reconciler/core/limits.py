"""What a Connection's limits mean: blackouts, breaker, rate, slots (docs/life-of-a-run.md).

Pure: the ledger keeps the state, and asks with `now`. The same rules serve runs that
read from a Connection and deliveries that send over one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice, pairwise
from math import ceil, floor
from typing import Protocol

from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.base import Field, Model
from boe_reconciler.core.resources.connection import (
    CircuitBreaker,
    RateLimit,
    TimeWindow,
)
from boe_reconciler.core.windows import closes, openings

#: What floating point may lose of a token.
_CRUMB = 1e-9


class Limits(Model):
    """The part of a Connection's spec that says how much it may be used."""

    max_concurrent: int | None = None
    rate_limit: RateLimit | None = None
    #: Their zones are filled in.
    blackouts: list[TimeWindow] = Field([])
    circuit_breaker: CircuitBreaker | None = None

    @property
    def per_second(self) -> float | None:
        return self.rate_limit.per_second if self.rate_limit else None


class Limited(Protocol):
    """The spec of a Connection, of whatever type."""

    @property
    def max_concurrent(self) -> int | None: ...

    @property
    def rate_limit(self) -> RateLimit | None: ...

    @property
    def blackouts(self) -> list[TimeWindow]: ...

    @property
    def circuit_breaker(self) -> CircuitBreaker | None: ...


UNLIMITED = Limits()


def limits_of(spec: Limited) -> Limits:
    return Limits(
        max_concurrent=spec.max_concurrent,
        rate_limit=spec.rate_limit,
        blackouts=spec.blackouts,
        circuit_breaker=spec.circuit_breaker,
    )


# --- Blackouts --------------------------------------------------------------------


class _Blacked(Protocol):
    @property
    def blackouts(self) -> Sequence[TimeWindow]: ...


def blackout_end(spec: _Blacked, now: datetime) -> datetime | None:
    """The end of the blackout that covers `now`; None: there is none."""
    return closes(spec.blackouts, now)


def blackout_spans(
    spec: _Blacked, since: datetime, until: datetime
) -> list[tuple[datetime, datetime]]:
    """[start, end) of each blackout that begins in (since, until], or is on at `since`.

    In order; windows that overlap or touch are one.
    """
    found: list[tuple[datetime, datetime]] = []
    for start, end in sorted(_windows(spec, since, until)):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return [span for span in found if span[1] > since]


def _windows(
    spec: _Blacked, since: datetime, until: datetime
) -> Iterator[tuple[datetime, datetime]]:
    for window in spec.blackouts:
        for start in openings(window).iter(since - window.duration, until):
            yield start, start + window.duration


#: Openings of a window that are looked at.
_OPENINGS = 1_000
#: Less than this share of the time is nothing: a day's window of 24 hours leaves the
#: hour that a clock change gives.
_LEFT = 0.001


def never_ends(window: TimeWindow, now: datetime) -> bool:
    """Whether a window opens again, time after time, before it closes."""
    found = list(islice(openings(window).iter(now), _OPENINGS))
    free = timedelta()
    for start, following in pairwise(found):
        free += max(following - start - window.duration, timedelta())
    return len(found) > 1 and free < _LEFT * (found[-1] - found[0])


# --- The circuit breaker ----------------------------------------------------------


class Phase(StrEnum):
    CLOSED = "closed"
    #: Left alone.
    OPEN = "open"
    #: One try shows whether it closes, or opens again.
    HALF_OPEN = "half_open"


@dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    #: Temporary failures in a row.
    failures: int = 0
    opened_at: datetime | None = None
    #: What the last failure said.
    cause: str = ""
    #: Who makes the one try while it is half open.
    trying: str | None = None


NEVER_FAILED = Breaker()


def phase(breaker: Breaker, rules: CircuitBreaker | None, now: datetime) -> Phase:
    """A clock that was set back to before it opened leaves nothing shut."""
    if rules is None or breaker.opened_at is None:
        return Phase.CLOSED
    return Phase.OPEN if open_until(breaker, rules, now) else Phase.HALF_OPEN


def open_until(
    breaker: Breaker, rules: CircuitBreaker | None, now: datetime
) -> datetime | None:
    """When it may be tried again; None: it is not open now."""
    if rules is None or breaker.opened_at is None:
        return None
    until = breaker.opened_at + rules.open_for
    return until if breaker.opened_at <= now < until else None


def failed(
    breaker: Breaker, rules: CircuitBreaker, cause: str, now: datetime
) -> Breaker:
    """After one more Temporary failure.

    While it is open, what began before goes on failing: that keeps it open no longer.
    """
    failures, before = breaker.failures + 1, phase(breaker, rules, now)
    opens = before is Phase.HALF_OPEN or (
        before is Phase.CLOSED and failures >= rules.failures
    )
    again = replace(breaker, failures=failures, cause=cause)
    return replace(again, opened_at=now, trying=None) if opens else again


# --- The rate ---------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """A bucket of tokens: each start takes one, and a second brings `per_second`."""

    tokens: float
    at: datetime


def budget(known: Budget | None, per_second: float, now: datetime) -> Budget:
    """What there is at `now`: at most a second's worth, and never less than one start.

    A clock that was set back has moved as well: it must not stand still until it is
    where it was.
    """
    most = max(per_second, 1.0)
    if known is None:
        return Budget(tokens=most, at=now)
    passed = abs((now - known.at).total_seconds())
    return Budget(tokens=min(known.tokens + passed * per_second, most), at=now)


def spent(
    known: Budget | None, per_second: float, starts: int, now: datetime
) -> Budget:
    found = budget(known, per_second, now)
    return replace(found, tokens=found.tokens - starts)


def next_free(known: Budget | None, per_second: float, now: datetime) -> datetime:
    """When the next one may start: `now`, or later."""
    lacking = 1.0 - budget(known, per_second, now).tokens
    if lacking <= _CRUMB:
        return now
    return now + timedelta(microseconds=ceil(lacking / per_second * 1_000_000))


# --- All of them together ---------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """What the ledger keeps of one served Connection."""

    name: str
    limits: Limits
    breaker: Breaker = NEVER_FAILED
    budget: Budget | None = None
    #: When a limit of slots or rate was last reached, to the second or so; which one.
    full_at: datetime | None = None
    full_by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """How many more may start, and what holds back the next one."""

    #: None: as many as like.
    starts: int | None
    #: "blackout", "breaker_open", "connection_limit", "rate_limit"; "": nothing.
    reason: str = ""


def room(use: Use, running: int, now: datetime, *, trying: bool = False) -> Room:
    """Of a Connection that `running` use now.

    `trying`: while it is half open, whether its one try still goes on.
    """
    if blackout_end(use.limits, now) is not None:
        return Room(starts=0, reason="blackout")
    rooms = [
        *_of_breaker(use, now, trying=trying),
        *_of_slots(use, running),
        *_of_rate(use, now),
    ]
    return min(rooms, key=_starts, default=Room(starts=None))


def held_at(use: Use, at: datetime) -> str:
    """Whether a blackout or its open breaker held it at an instant: the reason, or ""."""
    if blackout_end(use.limits, at) is not None:
        return "blackout"
    now_open = phase(use.breaker, use.limits.circuit_breaker, at) is Phase.OPEN
    return "breaker_open" if now_open else ""


class Left:
    """The room that is left in each Connection with limits, while runs start."""

    def __init__(self, rooms: Mapping[str, Room]) -> None:
        self._rooms = rooms
        self._starts = {
            name: room.starts for name, room in rooms.items() if room.starts is not None
        }
        #: Connections without room, as far as is known.
        self.shut = {name for name, starts in self._starts.items() if starts < 1}

    def take(self, connection: str | None) -> bool:
        """Room for one more, or False."""
        if connection is None or connection not in self._starts:
            return True
        if self._starts[connection] < 1:
            self.shut.add(connection)
            return False
        self._starts[connection] -= 1
        return True

    def may_free(self, connection: str | None) -> bool:
        """Whether one more could start if one that is running made way."""
        room = self._rooms.get(connection or "")
        return room is None or room.starts != 0 or room.reason == "connection_limit"

    def held_by(self, connection: str) -> str:
        """What holds back the next one; "" while there is room."""
        return self._rooms[connection].reason if connection in self.shut else ""


def _of_breaker(use: Use, now: datetime, *, trying: bool) -> list[Room]:
    match phase(use.breaker, use.limits.circuit_breaker, now):
        case Phase.OPEN:
            return [Room(starts=0, reason="breaker_open")]
        case Phase.HALF_OPEN:
            return [Room(starts=0 if trying else 1, reason="breaker_open")]
    return []


def _of_slots(use: Use, running: int) -> list[Room]:
    most = use.limits.max_concurrent
    if most is None:
        return []
    return [Room(starts=max(most - running, 0), reason="connection_limit")]


def _of_rate(use: Use, now: datetime) -> list[Room]:
    rate = use.limits.per_second
    if rate is None:
        return []
    starts = floor(budget(use.budget, rate, now).tokens + _CRUMB)
    return [Room(starts=starts, reason="rate_limit")]


def _starts(one: Room) -> int:
    return one.starts or 0


# --- For people -------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionState:
    """How a Connection stands at an instant."""

    name: str
    #: Who uses it now, and how many may at once.
    running: int
    max_concurrent: int | None
    #: The end of the blackout it is in.
    blackout_until: datetime | None
    breaker: Phase
    #: When it may be tried again, while its breaker is open.
    breaker_until: datetime | None
    #: Temporary failures in a row, and what the last one said.
    failures: int
    cause: str
    #: When its rate allows the next start; None: no rate is set.
    next_by_rate: datetime | None
    #: What holds back the next start: as in `Room`.
    held_by: str


def state_of(
    use: Use, running: int, now: datetime, *, trying: bool = False
) -> ConnectionState:
    rules, rate = use.limits.circuit_breaker, use.limits.per_second
    found = room(use, running, now, trying=trying)
    return ConnectionState(
        name=use.name,
        running=running,
        max_concurrent=use.limits.max_concurrent,
        blackout_until=blackout_end(use.limits, now),
        breaker=phase(use.breaker, rules, now),
        breaker_until=open_until(use.breaker, rules, now),
        failures=use.breaker.failures,
        cause=use.breaker.cause,
        next_by_rate=None if rate is None else next_free(use.budget, rate, now),
        held_by="" if found.starts != 0 else found.reason,
    )
