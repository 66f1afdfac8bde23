"""Runs of changed schedules that come while their Connection is left alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from boe_reconciler.core.changes.impact.pairs import INSTANT, Look, Moment, Side
from boe_reconciler.core.due import expiry
from boe_reconciler.core.limits import blackout_spans

_Span = tuple[datetime, datetime]


@dataclass(frozen=True, kw_only=True, slots=True)
class BlackoutMet:
    """Runs that wait for the end of a blackout, or are missed in it."""

    schedule: str
    connection: str
    #: Runs within the span that it holds back.
    runs: int
    first: Moment
    #: Of the run that waits longest.
    longest_wait: timedelta
    #: How many of them may no longer start at its end.
    missed: int
    #: Why: "deadline" or "catchup_window"; "" where none is missed.
    reason: str = ""


def blackouts_met(look: Look) -> Iterator[BlackoutMet]:
    spans: dict[str, Sequence[_Span]] = {}
    found: dict[tuple[str, ...], _Met | None] = {}
    for _, after in look.changed:
        if after.planned.paused:
            continue
        spec = after.planned.spec
        name = spec.connection_name
        if name not in spans:
            spans[name] = blackout_spans(spec.connection, look.now, look.until)
        # Of Schedules with the same times and rules one stands for all.
        alike = (name, after.times, spec.execution.model_dump_json())
        if alike not in found:
            found[alike] = _met(after, spans[name], look)
        if met := found[alike]:
            yield met.of(after)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Met:
    runs: int
    first: datetime
    longest_wait: timedelta
    #: The reason of each run that is missed.
    missed: Sequence[str]

    def of(self, side: Side) -> BlackoutMet:
        return BlackoutMet(
            schedule=side.planned.name,
            connection=side.planned.spec.connection_name,
            runs=self.runs,
            first=side.moment(self.first),
            longest_wait=self.longest_wait,
            missed=len(self.missed),
            reason=self.missed[0] if self.missed else "",
        )


def _met(side: Side, spans: Sequence[_Span], look: Look) -> _Met | None:
    waits = [
        (run, end, *expiry(side.planned.spec.execution, run, following))
        for start, end in spans
        for run, following in _within(side, start, end, look)
    ]
    if not waits:
        return None
    return _Met(
        runs=len(waits),
        first=waits[0][0],
        longest_wait=max(end - run for run, end, _, _ in waits),
        missed=[why for _, end, expires, why in waits if expires < end],
    )


def _within(
    side: Side, start: datetime, end: datetime, look: Look
) -> Iterator[tuple[datetime, datetime | None]]:
    """The runs of the span in [start, end), each with the one that follows it."""
    low, high = max(start - INSTANT, look.now), min(end - INSTANT, look.until)
    runs = side.clock.between(low, high) if low < high else []
    if runs:
        yield from pairwise([*runs, side.clock.next(runs[-1])])
