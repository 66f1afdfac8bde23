"""Which rows a schedule owes in the span of a simulation, and when each is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from boe_reconciler.core import due, pauses
from boe_reconciler.core.due import Standing, Ticks
from boe_reconciler.core.runs import GapRow
from boe_reconciler.core.simulate.model import INSTANT, OUTAGE, Assumed, Span
from boe_reconciler.core.simulate.row import Held, Row
from boe_reconciler.core.spec import PlannedSchedule


def owed_rows(
    planned: PlannedSchedule, assumed: Assumed
) -> tuple[list[Row], list[GapRow]]:
    """All rows of a schedule with the moment at which each is made, and its gaps."""
    rows: list[Row] = []
    gaps: list[GapRow] = []
    held = _held_spans(planned, assumed)
    standing, last = _standing(planned, assumed), assumed.since
    for start, end in _served(assumed):
        begins = sorted(since for since, _ in held if last < since < end)
        for moment in sorted([*begins, start, end]):
            # Between two moments of a span it ticks all the time.
            dead = moment <= start
            ticks = (
                Ticks(since=last, last=last)
                if dead
                else Ticks(since=start, last=moment)
            )
            owed = due.owed(standing, ticks, moment)
            rows += [Row(new, planned, standing.uid, moment, held) for new in owed.runs]
            gaps += owed.gaps
            standing = _under_pause(owed.standing, planned, assumed, moment)
        last = end
    return rows, [*gaps, *_left(standing, assumed)]


def _standing(planned: PlannedSchedule, assumed: Assumed) -> Standing:
    """As if it had been served up to the beginning."""
    before = assumed.since - INSTANT
    standing = Standing(
        name=planned.name,
        uid=assumed.uids.get(planned.name, planned.name),
        revision="",
        spec_digest="",
        timing=planned.timing,
        covered_from=before,
        high_water=before,
        next_due=None,
        paused_in_git=planned.paused,
    )
    return _under_pause(standing, planned, assumed, assumed.since)


def _under_pause(
    standing: Standing, planned: PlannedSchedule, assumed: Assumed, now: datetime
) -> Standing:
    live = [pause for pause in assumed.pauses if pause.since <= now]
    pause = pauses.holding(live, planned.spec, now) if live else None
    until = None if planned.paused or pause is None else pause.until
    paused = planned.paused or pause is not None
    return replace(standing, paused=paused, paused_until=until, next_due=None)


def _left(standing: Standing, assumed: Assumed) -> list[GapRow]:
    """What lies in a pause or an outage that outlasts the end."""
    if standing.paused:
        return list(due.unpaused(standing, assumed.until).gaps)
    count = due.timetable(standing).count(standing.high_water, assumed.until)
    if standing.high_water >= assumed.until or not count:
        return []
    return [
        GapRow(
            schedule=standing.name,
            schedule_uid=standing.uid,
            since=standing.high_water,
            until=assumed.until,
            count=count,
            reason=OUTAGE,
        )
    ]


def _served(assumed: Assumed) -> Iterator[Span]:
    """What the outages leave of [since, until]."""
    start = assumed.since
    for since, until in assumed.outages:
        if start < since:
            yield start, min(since, assumed.until)
        start = max(start, until)
    if start <= assumed.until:
        yield start, assumed.until


def _held_spans(planned: PlannedSchedule, assumed: Assumed) -> list[Held]:
    always: list[Held] = [(assumed.since, None)] if planned.paused else []
    return always + [
        (pause.since, pause.until)
        for pause in assumed.pauses
        if pauses.covers(pause, planned.spec)
    ]
