"""Starting and ending: as a claim of the ledger does it."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice

from boe_reconciler.core.limits import Left
from boe_reconciler.core.overlap import NEWEST_ONLY, Decision, decide
from boe_reconciler.core.runs import RunStatus
from boe_reconciler.core.simulate.connections import Connections
from boe_reconciler.core.simulate.model import (
    INSTANT,
    LAST,
    OUTAGE,
    OVERLAP,
    PAUSED,
    Assumed,
)
from boe_reconciler.core.simulate.row import Row

#: Candidates that are looked at in one go.
_PAGE = 16
#: (not_before, occurrence, run id) and the row: the order in which rows start.
_Place = tuple[tuple[datetime, datetime, str], Row]


class Execution:
    """Moves the clock from one moment at which something changes to the next."""

    def __init__(self, assumed: Assumed, rows: Sequence[Row]) -> None:
        self._assumed = assumed
        open_ = [row for row in rows if not row.status.final]
        self._coming = sorted(
            open_, key=lambda row: (row.arrives, row.place), reverse=True
        )
        self._pending: list[_Place] = []
        self._running: dict[str, list[Row]] = {}
        self._busy = 0
        self._ends: list[tuple[datetime, str, Row]] = []
        self._connections = Connections(rows)
        #: (expires, run id) of rows that are not to start after it.
        self._expiries: list[tuple[datetime, str, Row]] = []
        #: Since when not all workers have been busy.
        self._free_from = assumed.since
        self._wakes = list(_wakes(assumed))
        heapq.heapify(self._wakes)

    def go(self) -> None:
        """Until every row has come to an end."""
        while (now := self._next()) is not None:
            outage = self._outage(now)
            self._arrive(now, waits_for=OUTAGE if outage else "")
            self._finish(now)
            if outage:
                self._interrupt(now)
            else:
                self._start_all(now)
        self._free_from = self._assumed.since
        self._miss_overdue(LAST)

    def _next(self) -> datetime | None:
        moments = self._wakes[:1]
        if self._coming:
            moments.append(self._coming[-1].arrives)
        if self._ends:
            moments.append(self._ends[0][0])
        now = min(moments, default=None)
        while self._wakes and self._wakes[0] == now:
            heapq.heappop(self._wakes)
        return now

    def _arrive(self, now: datetime, *, waits_for: str) -> None:
        while self._coming and self._coming[-1].arrives <= now:
            row = self._coming.pop()
            row.waited_for = waits_for
            insort(self._pending, (row.place, row))
            heapq.heappush(self._expiries, (row.expires, row.new.run_id, row))
            if self._connections.of(row):
                self._wake(row.expires, now)

    def _finish(self, now: datetime) -> None:
        while self._ends and self._ends[0][0] <= now:
            at, _, row = heapq.heappop(self._ends)
            if row.status is RunStatus.RUNNING and row.finished_at == at:
                self._stop(row, at)
                row.end(RunStatus.SUCCEEDED, "", at)

    def _stop(self, row: Row, now: datetime) -> None:
        uid = row.candidate.schedule_uid
        self._running[uid].remove(row)
        if not self._running[uid]:
            del self._running[uid]
        if self._busy == self._assumed.workers:
            self._free_from = now
        self._busy -= 1
        self._connections.leave(row)

    def _outage(self, now: datetime) -> bool:
        return any(since <= now < until for since, until in self._assumed.outages)

    def _interrupt(self, now: datetime) -> None:
        for rows in list(self._running.values()):
            for row in list(rows):
                self._stop(row, now)
                row.interrupt()
                insort(self._pending, (row.place, row))

    # --- Starting, as a claim of the ledger does it -----------------------------------

    def _start_all(self, now: datetime) -> None:
        again = True
        while again and self._pending and self._busy < self._assumed.workers:
            self._miss_overdue(now)
            again = self._claim(now)

    def _miss_overdue(self, now: datetime) -> None:
        while self._expiries and self._expiries[0][0] < now:
            expires, _, row = heapq.heappop(self._expiries)
            if row.status is RunStatus.PENDING and row.started_at is None:
                self._drop(row)
                noticed = max(self._noticed(expires + INSTANT), self._free_from)
                row.miss(noticed, self._connections.held(row))

    def _noticed(self, at: datetime) -> datetime:
        """When somebody looks: at once, or at the end of an outage."""
        for since, until in self._assumed.outages:
            if since <= at < until:
                return until
        return at

    def _claim(self, now: datetime) -> bool:
        """Start what may; whether a run made way, so that another may start."""
        made_way = False
        left = self._connections.left(now)
        full: set[str] = set()
        rows = self._ahead(now, left, full)
        while self._busy < self._assumed.workers:
            page = list(islice(rows, _PAGE))
            if not page:
                break
            decision = self._decide(page, left, now)
            made_way |= self._carry_out(decision, page, now)
            full |= decision.full
            _tag(page, left)
        for name in left.shut:
            self._connections.note(name, left.held_by(name), now)
            self._wake(self._connections.free_at(name, now), now)
        return made_way

    def _ahead(self, now: datetime, left: Left, full: set[str]) -> Iterator[Row]:
        """Those that overlap, or a Connection, may let start."""
        for row in self._may_start(now):
            if _uid(row) in full:
                continue
            shut = row.planned.spec.connection_name in left.shut
            if shut:
                _tag([row], left)
            if not shut or _uid(row) in self._running:
                yield row

    def _wake(self, at: datetime | None, now: datetime) -> None:
        if at is not None and at > now:
            heapq.heappush(self._wakes, at)

    def _may_start(self, now: datetime) -> Iterator[Row]:
        for place in list(self._pending):
            row = place[1]
            if row.held and row.candidate.skippable and row.paused(now):
                row.waited_for = PAUSED
            else:
                yield row

    def _decide(self, page: Sequence[Row], left: Left, now: datetime) -> Decision:
        running = {uid: len(rows) for uid, rows in self._running.items()}
        return decide(
            [row.candidate for row in page],
            running,
            self._newest(page, now),
            left,
            self._assumed.workers - self._busy,
        )

    def _newest(self, page: Iterable[Row], now: datetime) -> dict[str, datetime]:
        uids = {_uid(row) for row in page if row.candidate.overlap in NEWEST_ONLY}
        if not uids:
            return {}
        found: dict[str, datetime] = {}
        for row in self._may_start(now):
            uid = _uid(row)
            if uid in uids and row.candidate.skippable:
                found[uid] = max(found.get(uid, row.new.occurrence), row.new.occurrence)
        return found

    def _carry_out(
        self, decision: Decision, page: Sequence[Row], now: datetime
    ) -> bool:
        rows = {row.new.run_id: row for row in page}
        for run_id in decision.skip:
            self._drop(rows[run_id])
            rows[run_id].end(RunStatus.SKIPPED, OVERLAP, None)
        for run_id in decision.start:
            self._start(rows[run_id], now)
        for row in page:
            if row.status is RunStatus.PENDING and _uid(row) in self._running:
                row.waited_for = OVERLAP
        for uid in decision.make_way:
            for row in list(self._running.get(uid, ())):
                self._stop(row, now)
                row.end(RunStatus.CANCELLED, OVERLAP, now)
        return bool(decision.make_way)

    def _start(self, row: Row, now: datetime) -> None:
        self._drop(row)
        row.start(now, self._assumed.duration[row.new.schedule])
        self._running.setdefault(_uid(row), []).append(row)
        self._busy += 1
        self._connections.enter(row, now)
        heapq.heappush(
            self._ends,
            (now + self._assumed.duration[row.new.schedule], row.new.run_id, row),
        )

    def _drop(self, row: Row) -> None:
        del self._pending[bisect_left(self._pending, (row.place,))]


def _tag(page: Sequence[Row], left: Left) -> None:
    """Say of those that did not start what their Connection had against them."""
    for row in page:
        name = row.planned.spec.connection_name
        if row.status is RunStatus.PENDING and name in left.shut:
            row.waited_for = left.held_by(name)


def _uid(row: Row) -> str:
    return row.candidate.schedule_uid


def _wakes(assumed: Assumed) -> Iterator[datetime]:
    """Moments at which something may change though no run starts or ends."""
    for since, until in assumed.outages:
        yield from (since, until)
    for pause in assumed.pauses:
        if pause.until is not None:
            yield pause.until
