"""How many there are of what, for those who watch: each from an index, in milliseconds."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Integer, bindparam, func, select, text, type_coerce

from boe_reconciler.core.census import RECENT, Census
from boe_reconciler.ledgers.sqlite.runs import NOT_HELD, RUNNING, UNSTARTED
from boe_reconciler.ledgers.sqlite.tables import gaps, holds, runs, schedules

_OPEN = [
    select(runs.c.status, func.count()).where(part).group_by(runs.c.status)
    for part in (UNSTARTED, RUNNING)
]
_ENDED = (
    select(runs.c.status, runs.c.reason, func.count())
    .where(runs.c.finished_at >= bindparam("since"))
    .group_by(runs.c.status, runs.c.reason)
)
_GAPS = (
    select(gaps.c.reason, func.sum(type_coerce(gaps.c.count, Integer)))
    .where(gaps.c.until >= bindparam("since"))
    .group_by(gaps.c.reason)
)
_SCHEDULES = select(
    func.count(),
    func.count().filter(text("schedules.paused")),
    func.min(schedules.c.next_due),
)
_HOLDS = (
    select(holds.c.kind, func.count())
    .where(text("holds.ended_at IS NULL"), holds.c.released_at.is_(None))
    .group_by(holds.c.kind)
)
_NEXT_START = (
    select(runs.c.not_before)
    .where(UNSTARTED, NOT_HELD)
    .order_by(runs.c.not_before)
    .limit(1)
)


def census(connection: Connection, now: datetime) -> Census:
    since = {"since": now - RECENT}
    count, paused, next_due = connection.execute(_SCHEDULES).one()
    return Census(
        open={row[0]: row[1] for part in _OPEN for row in connection.execute(part)},
        ended={
            (status, reason): number
            for status, reason, number in connection.execute(_ENDED, since)
        },
        gaps={row[0]: row[1] for row in connection.execute(_GAPS, since)},
        schedules=count,
        paused=paused,
        holds={row[0]: row[1] for row in connection.execute(_HOLDS)},
        next_due=next_due,
        next_start=connection.execute(_NEXT_START).scalar(),
    )
