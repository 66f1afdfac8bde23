"""What would run, with a clock that nobody has to wait for (docs/simulate.md).

The rules are those that serve: `due` says which rows a schedule owes, `overlap` which of
them start. What is here only moves the clock from one moment at which something
changes to the next, and assumes how long a run takes.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from boe_reconciler.core import due, limits, pauses
from boe_reconciler.core.calendar import Timetable, zones
from boe_reconciler.core.calendar.days import to_day
from boe_reconciler.core.due import Standing, Ticks
from boe_reconciler.core.limits import UNLIMITED, Left, Use
from boe_reconciler.core.overlap import NEWEST_ONLY, Candidate, Decision, decide
from boe_reconciler.core.runs import GapRow, NewRun, Pause, RunStatus, Trigger
from boe_reconciler.core.spec import PlannedSchedule

#: More rows than this are refused: count them before.
MOST = 500_000
_INSTANT = timedelta(microseconds=1)
#: After everything.
LAST = datetime.max.replace(tzinfo=UTC)
#: Candidates that are looked at in one go.
_PAGE = 16

#: [since, until) in which something lasts.
Span = tuple[datetime, datetime]


@dataclass(frozen=True, kw_only=True, slots=True)
class Assumed:
    """What a simulation takes for granted."""

    #: Occurrences in [since, until] are looked at.
    since: datetime
    until: datetime
    #: How long a run of each schedule takes.
    duration: Mapping[str, timedelta]
    #: Runs that are executed at the same time.
    workers: int
    #: When nobody serves; in order, without overlaps.
    outages: Sequence[Span] = ()
    pauses: Sequence[Pause] = ()
    #: Schedule -> its uid, from which the jitter comes.
    uids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulated:
    """What would become of one occurrence."""

    schedule: str
    occurrence: datetime
    trigger: Trigger
    #: SUCCEEDED stands for a run that goes through.
    status: RunStatus
    #: As in the ledger: "overlap", "deadline", "catchup_latest", …
    reason: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    #: What it had to wait for after it might have started; "" if for nothing.
    waited_for: str = ""
    #: Not over within the schedule's `grace`.
    late: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Peak:
    at: datetime
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulation:
    #: In the order of their occurrences.
    runs: Sequence[Simulated]
    gaps: Sequence[GapRow]
    #: The minute in which most runs start, and the moment at which most are going on.
    starts: Peak | None
    at_once: Peak | None


def simulate(schedules: Sequence[PlannedSchedule], assumed: Assumed) -> Simulation:
    """The same schedules and assumptions, the same answer."""
    rows: list[_Row] = []
    gaps: list[GapRow] = []
    for planned in schedules:
        found, skipped = _owed(planned, assumed)
        rows += found
        gaps += skipped
    _Execution(assumed, rows).go()
    runs = [row.outcome() for row in sorted(rows, key=lambda row: row.place[1:])]
    return Simulation(
        runs=runs, gaps=gaps, starts=_most_starts(runs), at_once=_most_at_once(runs)
    )


# --- Which rows there are -----------------------------------------------------------


def _owed(
    planned: PlannedSchedule, assumed: Assumed
) -> tuple[list[_Row], list[GapRow]]:
    """All rows of a schedule with the moment at which each is made, and its gaps."""
    rows: list[_Row] = []
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
            rows += [
                _Row(new, planned, standing.uid, moment, held) for new in owed.runs
            ]
            gaps += owed.gaps
            standing = _under_pause(owed.standing, planned, assumed, moment)
        last = end
    return rows, [*gaps, *_left(standing, assumed)]


def _standing(planned: PlannedSchedule, assumed: Assumed) -> Standing:
    """As if it had been served up to the beginning."""
    before = assumed.since - _INSTANT
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


#: [since, until) of a pause; None: it lasts.
_Held = tuple[datetime, datetime | None]


def _held_spans(planned: PlannedSchedule, assumed: Assumed) -> list[_Held]:
    always: list[_Held] = [(assumed.since, None)] if planned.paused else []
    return always + [
        (pause.since, pause.until)
        for pause in assumed.pauses
        if pauses.covers(pause, planned.spec)
    ]


# --- One row ------------------------------------------------------------------------

#: Why something waits, beside the reasons of the ledger.
OUTAGE = "nobody_serves"
WORKERS = "workers_busy"
OVERLAP = "overlap"
PAUSED = "paused"


#: A Connection is used as much as it may be.
_FULL = ("connection_limit", "rate_limit")


class _Row:
    """A run row on its way."""

    __slots__ = (
        "arrives",
        "candidate",
        "expires",
        "finished_at",
        "held",
        "new",
        "place",
        "planned",
        "reason",
        "started_at",
        "status",
        "waited_for",
    )

    def __init__(
        self,
        new: NewRun,
        planned: PlannedSchedule,
        uid: str,
        made: datetime,
        held: Sequence[_Held],
    ) -> None:
        self.new = new
        self.planned = planned
        self.held = held
        #: When it may start, once it is there.
        self.arrives = (
            max(new.not_before, made)
            if new.trigger is Trigger.CATCHUP
            else new.not_before
        )
        self.expires = new.expires or LAST
        self.place = (new.not_before, new.occurrence, new.run_id)
        self.status = new.status
        self.reason = new.reason
        self.started_at: datetime | None = None
        self.finished_at: datetime | None = None
        self.waited_for = ""
        rules = planned.spec.execution
        self.candidate = Candidate(
            run_id=new.run_id,
            schedule_uid=uid,
            not_before=new.not_before,
            occurrence=new.occurrence,
            overlap=rules.overlap,
            max_concurrent=rules.max_concurrent_runs,
            skippable=True,
            connection=planned.spec.connection_name,
        )

    def paused(self, now: datetime) -> bool:
        return any(
            since <= now and (until is None or now < until)
            for since, until in self.held
        )

    def miss(self, noticed: datetime, held: str) -> None:
        """Not started in time; `held`: what its Connection had against it then."""
        by_pause = PAUSED if self.paused(noticed) else ""
        self.status = RunStatus.MISSED
        self.reason = by_pause or held or self.new.expires_reason

    def start(self, now: datetime, duration: timedelta) -> None:
        if now > self.arrives and not self.waited_for:
            self.waited_for = WORKERS
        self.status = RunStatus.RUNNING
        self.started_at = self.started_at or now
        self.finished_at = now + duration

    def end(self, status: RunStatus, reason: str, now: datetime | None) -> None:
        self.status, self.reason, self.finished_at = status, reason, now

    def interrupt(self) -> None:
        """Its worker is gone: it goes on later, and is not skipped."""
        self.status = RunStatus.PENDING
        self.waited_for = OUTAGE
        self.candidate = replace(self.candidate, skippable=False)

    def outcome(self) -> Simulated:
        new = self.new
        return Simulated(
            schedule=new.schedule,
            occurrence=new.occurrence,
            trigger=new.trigger,
            status=self.status,
            reason=self.reason,
            started_at=self.started_at,
            finished_at=self.finished_at,
            waited_for=self.waited_for,
            late=self._late(),
        )

    def _late(self) -> bool:
        grace = self.planned.spec.execution.grace
        if grace is None or self.status is RunStatus.CANCELLED:
            return False
        if self.status is not RunStatus.SUCCEEDED or self.finished_at is None:
            return True
        return self.finished_at > self.new.occurrence + grace


# --- Starting and ending ------------------------------------------------------------

#: (not_before, occurrence, run id) and the row: the order in which rows start.
_Place = tuple[tuple[datetime, datetime, str], _Row]


class _Execution:
    """Moves the clock from one moment at which something changes to the next."""

    def __init__(self, assumed: Assumed, rows: Sequence[_Row]) -> None:
        self._assumed = assumed
        open_ = [row for row in rows if not row.status.final]
        self._coming = sorted(
            open_, key=lambda row: (row.arrives, row.place), reverse=True
        )
        self._pending: list[_Place] = []
        self._running: dict[str, list[_Row]] = {}
        self._busy = 0
        self._ends: list[tuple[datetime, str, _Row]] = []
        self._connections = _Connections(rows)
        #: (expires, run id) of rows that are not to start after it.
        self._expiries: list[tuple[datetime, str, _Row]] = []
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

    def _stop(self, row: _Row, now: datetime) -> None:
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
                noticed = max(self._noticed(expires + _INSTANT), self._free_from)
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

    def _ahead(self, now: datetime, left: Left, full: set[str]) -> Iterator[_Row]:
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

    def _may_start(self, now: datetime) -> Iterator[_Row]:
        for place in list(self._pending):
            row = place[1]
            if row.held and row.candidate.skippable and row.paused(now):
                row.waited_for = PAUSED
            else:
                yield row

    def _decide(self, page: Sequence[_Row], left: Left, now: datetime) -> Decision:
        running = {uid: len(rows) for uid, rows in self._running.items()}
        return decide(
            [row.candidate for row in page],
            running,
            self._newest(page, now),
            left,
            self._assumed.workers - self._busy,
        )

    def _newest(self, page: Iterable[_Row], now: datetime) -> dict[str, datetime]:
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
        self, decision: Decision, page: Sequence[_Row], now: datetime
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

    def _start(self, row: _Row, now: datetime) -> None:
        self._drop(row)
        row.start(now, self._assumed.duration[row.new.schedule])
        self._running.setdefault(_uid(row), []).append(row)
        self._busy += 1
        self._connections.enter(row, now)
        heapq.heappush(
            self._ends,
            (now + self._assumed.duration[row.new.schedule], row.new.run_id, row),
        )

    def _drop(self, row: _Row) -> None:
        del self._pending[bisect_left(self._pending, (row.place,))]


class _Connections:
    """Those with limits, and how much they are used."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        specs = {
            row.planned.spec.connection_name: row.planned.spec.connection
            for row in rows
        }
        found = {name: limits.limits_of(spec) for name, spec in specs.items()}
        self._uses = {
            name: Use(name=name, limits=known)
            for name, known in found.items()
            if known != UNLIMITED
        }
        self._readers: Counter[str] = Counter()
        #: When a limit of slots or rate was last reached, and which one.
        self._full: dict[str, tuple[datetime, str]] = {}

    def of(self, row: _Row) -> Use | None:
        return self._uses.get(row.planned.spec.connection_name)

    def left(self, now: datetime) -> Left:
        return Left(
            {
                name: limits.room(use, self._readers[name], now)
                for name, use in self._uses.items()
            }
        )

    def note(self, name: str, held_by: str, now: datetime) -> None:
        if held_by in _FULL:
            self._full[name] = (now, held_by)

    def held(self, row: _Row) -> str:
        """What kept a row from starting when it expired; "" if nothing of these."""
        use = self.of(row)
        if use is None:
            return ""
        at, full_by = self._full.get(use.name, (None, ""))
        full = full_by if at == row.expires else ""
        return limits.held_at(use, row.expires) or full

    def enter(self, row: _Row, now: datetime) -> None:
        use = self.of(row)
        if use is None:
            return
        self._readers[use.name] += 1
        rate = use.limits.per_second
        if rate is not None:
            budget = limits.spent(use.budget, rate, 1, now)
            self._uses[use.name] = replace(use, budget=budget)

    def leave(self, row: _Row) -> None:
        use = self.of(row)
        if use is not None:
            self._readers[use.name] -= 1

    def free_at(self, name: str, now: datetime) -> datetime | None:
        """When time alone makes room; None: a run has to end for it."""
        use = self._uses[name]
        end = limits.blackout_end(use.limits, now)
        rate = use.limits.per_second
        if end is None and rate is not None:
            end = limits.next_free(use.budget, rate, now)
        return end


def _tag(page: Sequence[_Row], left: Left) -> None:
    """Say of those that did not start what their Connection had against them."""
    for row in page:
        name = row.planned.spec.connection_name
        if row.status is RunStatus.PENDING and name in left.shut:
            row.waited_for = left.held_by(name)


def _uid(row: _Row) -> str:
    return row.candidate.schedule_uid


def _wakes(assumed: Assumed) -> Iterator[datetime]:
    """Moments at which something may change though no run starts or ends."""
    for since, until in assumed.outages:
        yield from (since, until)
    for pause in assumed.pauses:
        if pause.until is not None:
            yield pause.until


# --- For people ---------------------------------------------------------------------

#: Why something does not run, waits or is left out -> what it means.
WORDS = {
    OVERLAP: "the run before it still goes on",
    "deadline": "not started by its deadline",
    "catchup_window": "too old to make up for",
    "catchup_latest": "nobody served; only the newest is made up for",
    "catchup_max_runs": "nobody served; only so many are made up for",
    "catchup_none": "nobody served; nothing is made up for",
    PAUSED: "paused",
    "blackout": "its Connection is in a blackout",
    "connection_limit": "its Connection is in use by as many as may",
    "rate_limit": "its Connection may be used only so often",
    OUTAGE: "nobody served",
    WORKERS: "all workers were busy",
}


def described(run: Simulated) -> str:
    """What becomes of it, in a few words."""
    if run.status is RunStatus.CANCELLED:
        return "cancelled: a newer run takes its place"
    if run.status is not RunStatus.SUCCEEDED:
        return f"{run.status.value}: {WORDS[run.reason]}"
    late = ", late" if run.late else ""
    if run.trigger is Trigger.CATCHUP:
        return f"runs to make up for it{late}"
    waited = f", later: {WORDS[run.waited_for]}" if run.waited_for else ""
    return f"runs{waited}{late}"


def unusual(run: Simulated) -> bool:
    """Whether it does not simply run when it is due."""
    return described(run) != "runs"


def note(planned: PlannedSchedule, timetable: Timetable, moment: datetime) -> str:
    """What is unusual about its time: of most that is nothing, which is found quickly."""
    moves = planned.occurrences.when.if_day_off in ("next", "previous")
    # A quiet day has quiet neighbours, so that the date in UTC does for the local one.
    day = to_day(moment.date())
    if not moves and zones.midnight(timetable.timezone, day) is not None:
        return ""
    return timetable.note(moment) or ""


# --- How much at once ---------------------------------------------------------------


def _most_starts(runs: Sequence[Simulated]) -> Peak | None:
    minutes = Counter(
        run.started_at.replace(second=0, microsecond=0)
        for run in runs
        if run.started_at is not None
    )
    best = max(
        minutes.items(), key=lambda item: (item[1], -item[0].timestamp()), default=None
    )
    return Peak(at=best[0], count=best[1]) if best else None


def _most_at_once(runs: Sequence[Simulated]) -> Peak | None:
    changes: list[tuple[datetime, int]] = []
    for run in runs:
        if run.started_at is not None and run.finished_at is not None:
            changes += [(run.started_at, 1), (run.finished_at, -1)]
    count, best = 0, None
    for at, change in sorted(changes):
        count += change
        if best is None or count > best.count:
            best = Peak(at=at, count=count)
    return best
