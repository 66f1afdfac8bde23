"""A ledger in memory, for tests and dry runs: the same verbs on plain dicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from itertools import chain
from operator import attrgetter
from secrets import token_bytes
from threading import Condition, local
from typing import TypeVar

import uuid_utils

from boe_reconciler.core import lifecycle
from boe_reconciler.core.census import RECENT, Census
from boe_reconciler.core.due import Form, Standing, Ticks
from boe_reconciler.core.holds import Hold
from boe_reconciler.core.limits import Use
from boe_reconciler.core.notices import Incident, Owed, Sent
from boe_reconciler.core.overlap import Candidate
from boe_reconciler.core.runs import (
    Artifact,
    Attempt,
    Claim,
    Delivery,
    DeliveryEvent,
    DeliveryKey,
    DeliveryStatus,
    Event,
    GapRow,
    Pause,
    PauseTarget,
    Run,
    RunStatus,
    files_by_part,
)
from boe_reconciler.core.spec import PlannedSchedule, RunSpec, Served
from boe_reconciler.core.suppression import Suppression
from boe_reconciler.core.troubles import EMPTY, Board
from boe_reconciler.ledgers._ledger import StoredLedger
from boe_reconciler.ledgers._store import (
    MOST_ENDED,
    UNWELL,
    Covered,
    Lease,
    Page,
    Query,
    Store,
)

T = TypeVar("T")
_NOTHING = Served(attempted=None, serving=None)
_NEVER = Ticks()
_UNSTARTED = (RunStatus.PENDING, RunStatus.WAITING)


class MemoryLedger(StoredLedger):
    """Forgets everything at its end."""

    def __init__(self) -> None:
        super().__init__(_Memory(), lambda: uuid_utils.uuid7().hex)


@dataclass(slots=True)
class _Tables:
    """All rows; each value is immutable, so that a shallow copy is a snapshot."""

    standings: dict[str, Standing] = field(default_factory=dict)
    uses: dict[str, Use] = field(default_factory=dict)
    specs: dict[str, RunSpec] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    attempts: dict[str, tuple[Attempt, ...]] = field(default_factory=dict)
    artifacts: dict[str, tuple[Artifact, ...]] = field(default_factory=dict)
    deliveries: dict[str, dict[DeliveryKey, Delivery]] = field(default_factory=dict)
    gaps: dict[str, tuple[GapRow, ...]] = field(default_factory=dict)
    pauses: dict[tuple[PauseTarget, str], Pause] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)
    board: Board = EMPTY
    outbox: dict[tuple[str, str], Owed] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    news: dict[str, DeliveryEvent] = field(default_factory=dict)
    suppressions: dict[str, Suppression] = field(default_factory=dict)
    return_key: bytes = field(default_factory=lambda: token_bytes(32))
    served: Served = _NOTHING
    planned: Mapping[str, PlannedSchedule] | None = None
    #: Name of a schedule -> its revision, where that is an older one.
    revisions: dict[str, str] = field(default_factory=dict)
    ticks: Ticks = _NEVER
    tzdb: str = ""

    def snapshot(self) -> _Tables:
        return _Tables(*(copy(getattr(self, one.name)) for one in fields(self)))


class _Memory:
    """One lock; a verb works on a copy, which becomes the truth if it succeeds."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._tables = _Tables()
        self._version = 0
        self._seen = local()

    def write(self, verb: Callable[[Store], T]) -> T:
        with self._changed:
            tables = self._tables.snapshot()
            found = verb(_MemoryStore(tables))
            if tables != self._tables:
                self._tables = tables
                self._version += 1
                self._changed.notify_all()
            return found

    def read(self, verb: Callable[[Store], T]) -> T:
        with self._changed:
            return verb(_MemoryStore(self._tables))

    def drop_unused_specs(self) -> int:
        with self._changed:
            t = self._tables
            used = {one.spec_digest for one in t.runs.values()}
            used |= {one.spec_digest for one in t.standings.values()}
            unused = t.specs.keys() - used
            t.specs = {digest: t.specs[digest] for digest in used}
            return len(unused)

    def wait_for_change(self, timeout: float) -> bool:
        with self._changed:
            seen = getattr(self._seen, "version", 0)
            new = self._changed.wait_for(lambda: self._version != seen, timeout)
            self._seen.version = self._version
            return new

    def close(self) -> None:
        """Nothing is open."""


class _MemoryStore:
    def __init__(self, tables: _Tables) -> None:
        self._t = tables

    def trial(self, act: Callable[[], T]) -> tuple[T | None, Exception | None]:
        before = self._t.snapshot()
        try:
            return act(), None
        except Exception as error:
            for one in fields(_Tables):
                setattr(self._t, one.name, getattr(before, one.name))
            return None, error

    # Schedules.
    def standing(self, name: str) -> Standing | None:
        found = self._t.standings.get(name)
        return found and self._with_revision(found)

    def _with_revision(self, one: Standing) -> Standing:
        revision = self._t.revisions.get(one.name) or self._t.served.serving or ""
        return replace(one, revision=revision)

    def standings(self) -> Sequence[Standing]:
        every = map(self._with_revision, self._t.standings.values())
        return sorted(every, key=lambda one: one.name)

    def served_digest(self, uid: str, name: str) -> str | None:
        found = self.standings_of([uid]) or filter(None, [self.standing(name)])
        return next((one.spec_digest for one in found), None)

    def forms(self, now: datetime, names: Collection[str] | None) -> Mapping[str, Form]:
        read = attrgetter(*Form._fields)
        return {one.name: Form(*read(one)) for one in self.standings()}

    def planned(self) -> Mapping[str, PlannedSchedule] | None:
        return self._t.planned

    def due(self, now: datetime, limit: int) -> Sequence[Standing]:
        dated = [(one.next_due, one.name) for one in self._t.standings.values()]
        found = sorted((at, name) for at, name in dated if at is not None and at <= now)
        return [
            self._with_revision(self._t.standings[name]) for _, name in found[:limit]
        ]

    def cover_on_time(self, since: datetime, now: datetime, limit: int) -> Covered:
        """There is no shorter way here."""
        return Covered(schedules=0, inserted=0)

    def high_mark(self) -> datetime | None:
        marks = (one.high_water for one in self._t.standings.values())
        return max(marks, default=None)

    def next_due(self) -> datetime | None:
        dues = (one.next_due for one in self._t.standings.values())
        return min((due for due in dues if due is not None), default=None)

    def paused(self) -> Collection[str]:
        return {one.uid for one in self._t.standings.values() if one.paused}

    def put_standings(self, standings: Sequence[Standing]) -> None:
        self._t.standings.update({one.name: one for one in standings})

    def put_revisions(self, revisions: Mapping[str, str]) -> None:
        self._t.revisions.update(revisions)

    def forget_failures(self, uid: str) -> None:
        mine = [one for one in self._t.standings.values() if one.uid == uid]
        self.put_standings([replace(one, failures=0) for one in mine])

    def drop_standing(self, name: str) -> None:
        del self._t.standings[name]
        self._t.revisions.pop(name, None)

    # Connections that are served.
    def uses(self) -> Sequence[Use]:
        return sorted(self._t.uses.values(), key=lambda one: one.name)

    def use(self, name: str) -> Use | None:
        return self._t.uses.get(name)

    def put_uses(self, uses: Sequence[Use]) -> None:
        self._t.uses.update({one.name: one for one in uses})

    def drop_use(self, name: str) -> None:
        del self._t.uses[name]

    # What is served.
    def served(self) -> Served:
        return self._t.served

    def environment(self) -> str | None:
        served = self._t.served
        return None if served.attempted is None else served.environment or ""

    def put_served(
        self, served: Served, planned: Mapping[str, PlannedSchedule] | None
    ) -> None:
        self._t.served, self._t.planned = served, planned

    def spec(self, digest: str) -> RunSpec:
        return self._t.specs[digest]

    def put_specs(self, specs: Mapping[str, RunSpec]) -> None:
        self._t.specs.update(specs)

    # Marks of the whole ledger.
    def ticks(self) -> Ticks:
        return self._t.ticks

    def put_ticks(self, ticks: Ticks) -> None:
        self._t.ticks = ticks

    def tzdb(self) -> str:
        return self._t.tzdb

    def put_tzdb(self, version: str) -> None:
        self._t.tzdb = version

    # Runs.
    def run(self, run_id: str) -> Run | None:
        return self._t.runs.get(run_id)

    def runs(self, run_ids: Sequence[str]) -> Sequence[Run]:
        return [self._t.runs[run_id] for run_id in run_ids if run_id in self._t.runs]

    def every_run(self) -> Iterable[Run]:
        return self._t.runs.values()

    def insert_runs(self, runs: Sequence[Run]) -> Sequence[str]:
        owed = {_owed_key(one) for one in self._t.runs.values() if one.owed}
        inserted = []
        for run in runs:
            if run.run_id in self._t.runs or (run.owed and _owed_key(run) in owed):
                continue
            self._t.runs[run.run_id] = run
            inserted.append(run.run_id)
        return inserted

    def put_runs(self, runs: Sequence[Run]) -> None:
        self._t.runs.update({one.run_id: one for one in runs})

    def start(self, run_ids: Sequence[str], claims: Lease) -> Sequence[Run]:
        begun = [
            lifecycle.claimed(self._t.runs[run_id], claims.worker, claims.now)
            for run_id in run_ids
        ]
        self.put_runs(begun)
        return begun

    def renew(self, claim: Claim, lease_until: datetime) -> bool:
        run = self._t.runs.get(claim.run_id)
        if not run or (run.fence, run.status) != (claim.fence, RunStatus.RUNNING):
            return False
        self._t.runs[run.run_id] = replace(run, lease_until=lease_until)
        return True

    def running(self, schedule_uid: str | None = None) -> Sequence[Run]:
        return [
            one
            for one in self._t.runs.values()
            if one.status is RunStatus.RUNNING
            and schedule_uid in (None, one.schedule_uid)
        ]

    def running_counts(self, schedule_uids: Collection[str]) -> Mapping[str, int]:
        found = (one.schedule_uid for one in self.running())
        return Counter(uid for uid in found if uid in schedule_uids)

    def readers(self) -> Mapping[str, int]:
        return Counter(one.connection for one in self.running() if one.connection)

    def unstarted(self, schedule_uid: str) -> Sequence[Run]:
        return [
            one
            for one in self._t.runs.values()
            if one.status in _UNSTARTED and one.schedule_uid == schedule_uid
        ]

    def overdue(self, now: datetime, limit: int) -> Sequence[Run]:
        return [one for one in self._t.runs.values() if _expired(one, now)][:limit]

    def late(self, now: datetime, limit: int) -> Sequence[Run]:
        found = [(one.late_at, one) for one in self._t.runs.values() if one.late_at]
        past = [(at, one) for at, one in found if at <= now]
        return [one for _, one in sorted(past, key=lambda pair: pair[0])[:limit]]

    def ended_since(self, since: datetime, schedules: Collection[str]) -> Sequence[Run]:
        found = [
            (one.finished_at, one.run_id, one)
            for one in self._t.runs.values()
            if one.finished_at and one.finished_at >= since
            if one.status in UNWELL or one.schedule in schedules
        ]
        return [one for *_, one in sorted(found)[:MOST_ENDED]]

    def unfinished(self, now: datetime) -> Sequence[Run]:
        found = [
            (one.occurrence, one.run_id, one)
            for one in self._t.runs.values()
            if one.owed and one.occurrence <= now and not one.status.final
        ]
        return [one for *_, one in sorted(found)]

    def next_late(self) -> datetime | None:
        found = (one.late_at for one in self._t.runs.values() if one.late_at)
        return min(found, default=None)

    def candidates(self, now: datetime, page: Page) -> Sequence[Candidate]:
        after = page.after
        running = {one.schedule_uid for one in self.running()} if page.shut else ()
        ahead = [
            one
            for one in self._may_start(now)
            if one.schedule_uid not in page.full
            and (one.skippable or one.schedule_uid not in page.waiting)
            and (page.only is None or one.run_id in page.only)
            and (one.connection not in page.shut or one.schedule_uid in running)
            and (not after or _place(one) > _place(after))
        ]
        return sorted(ahead, key=_place)[: page.limit]

    def newest(
        self, now: datetime, schedule_uids: Collection[str]
    ) -> Mapping[str, datetime]:
        found: dict[str, datetime] = {}
        for one in self._may_start(now) if schedule_uids else ():
            if one.skippable and one.schedule_uid in schedule_uids:
                before = found.get(one.schedule_uid, one.occurrence)
                found[one.schedule_uid] = max(before, one.occurrence)
        return found

    def _may_start(self, now: datetime) -> list[Candidate]:
        paused = self.paused()
        found = [
            _candidate(run)
            for run in self._t.runs.values()
            if run.status in _UNSTARTED
            and run.not_before <= now
            and not _expired(run, now)
        ]
        return [one for one in found if not _held(one, paused)]

    def next_start(self, now: datetime) -> datetime | None:
        later = (
            one.not_before
            for one in self._t.runs.values()
            if one.status in _UNSTARTED and one.not_before > now
        )
        return min(later, default=None)

    def latest_occurrence(self, schedule: str) -> datetime | None:
        owed = (
            one.occurrence
            for one in self._t.runs.values()
            if one.schedule == schedule and one.owed
        )
        return max(owed, default=None)

    def last_runs(self) -> Mapping[str, tuple[str, RunStatus]]:
        runs = sorted(self._t.runs.values(), key=_newest_last)
        return {one.schedule_uid: (one.run_id, one.status) for one in runs}

    def last_delivered(self, schedule_uid: str) -> str | None:
        found = [
            (one.finished_at, one.run_id)
            for one in self._t.runs.values()
            if one.schedule_uid == schedule_uid
            and one.status is RunStatus.SUCCEEDED
            and one.options.whole
            and one.run_id in self._t.artifacts
        ]
        return max(found)[1] if found else None

    def open_runs(self) -> int:
        paused = self.paused()
        return sum(
            not one.held and not _held(_candidate(one), paused) for one in self._open()
        )

    def find(self, query: Query) -> Sequence[Run]:
        found = [
            one
            for one in self._t.runs.values()
            if query.schedule in (None, one.schedule)
            and query.status in (None, one.status)
            and (query.since is None or one.occurrence >= query.since)
            and (query.until is None or one.occurrence <= query.until)
        ]
        return sorted(found, key=_newest_last, reverse=True)[: query.limit]

    # Retention.
    def ended(self, before: datetime, limit: int) -> Sequence[Run]:
        kept = self._kept_for_good()
        ended = [
            (one.finished_at, one.run_id)
            for one in self._t.runs.values()
            if one.finished_at is not None and one.finished_at < before
        ]
        found = [
            self._t.runs[run_id]
            for _, run_id in sorted(ended)
            if run_id not in kept and not self._open_deliveries(run_id)
        ]
        return found[:limit]

    def _kept_for_good(self) -> Collection[str]:
        """Of each served schedule, its newest run and the one last delivered whole."""
        uids = {one.uid for one in self._t.standings.values()}
        newest = {
            one.schedule: one for one in sorted(self._t.runs.values(), key=_newest_last)
        }
        kept = {one.run_id for one in newest.values() if one.schedule_uid in uids}
        return kept | {run for uid in uids if (run := self.last_delivered(uid))}

    def _open_deliveries(self, run_id: str) -> bool:
        deliveries = self._t.deliveries.get(run_id, {}).values()
        return any(not one.status.final for one in deliveries)

    def drop_runs(self, run_ids: Sequence[str]) -> None:
        t, gone = self._t, set(run_ids)
        for table in (t.runs, t.attempts, t.artifacts, t.deliveries):
            for run_id in run_ids:
                table.pop(run_id, None)
        t.events = [one for one in t.events if one.run_id not in gone]
        kept = [one for one in t.news.values() if one.key.run_id not in gone]
        t.news = {one.digest: one for one in kept}

    def standings_of(self, uids: Collection[str]) -> Sequence[Standing]:
        return [one for one in self.standings() if one.uid in uids]

    def files_in_use(self) -> set[str]:
        runs = self._t.runs.values()
        digests = {one.spec_digest for one in runs if not one.status.final}
        digests |= {one.spec_digest for one in self._t.standings.values()}
        named = [self._t.specs[digest].files for digest in digests]
        named += [dict(one.files) for one in self._t.served.objects]
        return {sha256 for files in named for sha256 in files.values()}

    def artifacts_in_use(
        self, hashes: Sequence[str], ended_after: datetime
    ) -> set[str]:
        return {sha256 for *_, sha256 in self.artifact_names(ended_after)}.intersection(
            hashes
        )

    def artifact_names(self, ended_after: datetime) -> Iterable[tuple[str, str, str]]:
        kept = [
            run_id
            for run_id, run in self._t.runs.items()
            if (run.finished_at or ended_after) >= ended_after
        ]
        for run_id in kept:
            for artifact in self._t.artifacts.get(run_id, ()):
                yield run_id, artifact.name, artifact.sha256
                if artifact.preview:
                    yield run_id, f"the first rows of {artifact.name}", artifact.preview
            for one in self.deliveries([run_id]).get(run_id, ()):
                if one.status is not DeliveryStatus.ACCEPTED and "stored" in one.intent:
                    name = f"the mail to {one.key.recipient}"
                    yield run_id, name, one.intent["stored"]

    # Rows of runs.
    def attempts(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[Attempt]]:
        return _of(self._t.attempts, run_ids)

    def put_attempt(self, attempt: Attempt) -> None:
        before = self._t.attempts.get(attempt.run_id, ())
        self._t.attempts[attempt.run_id] = (*before[: attempt.number - 1], attempt)

    def artifacts(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[Artifact]]:
        return _of(self._t.artifacts, run_ids)

    def insert_artifacts(self, run_id: str, artifacts: Sequence[Artifact]) -> None:
        before = self._t.artifacts.get(run_id, ())
        parts = [one.part for one in (*before, *artifacts)]
        if len(set(parts)) < len(parts):
            raise ValueError(f"{run_id} has one part twice: {parts}")
        self._t.artifacts[run_id] = (*before, *artifacts)

    def deliveries(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[Delivery]]:
        return {
            run_id: list(self._t.deliveries[run_id].values())
            for run_id in run_ids
            if run_id in self._t.deliveries
        }

    def delivery(self, key: DeliveryKey) -> Delivery | None:
        return self._t.deliveries.get(key.run_id, {}).get(key)

    def put_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        by_run: dict[str, dict[DeliveryKey, Delivery]] = {}
        for one in deliveries:
            by_run.setdefault(one.key.run_id, {})[one.key] = one
        for run_id, rows in by_run.items():
            before = self._t.deliveries.get(run_id, {})
            self._check_parts(run_id, rows.keys() - before.keys())
            self._t.deliveries[run_id] = before | rows

    def _check_parts(self, run_id: str, new: Collection[DeliveryKey]) -> None:
        parts = files_by_part(self._t.artifacts.get(run_id, ())) if new else {}
        for key in new:
            if key.part not in parts:
                raise ValueError(f"{key} delivers a part that was not committed")

    # News of deliveries.
    def return_key(self) -> bytes:
        return self._t.return_key

    def mail(self, identity: str) -> Delivery | None:
        begin = f"<{identity}"
        return self._mail(
            lambda one: one.intent.get("message_id", "").startswith(begin)
        )

    def mail_of(self, receipt: str) -> Delivery | None:
        return self._mail(lambda one: one.receipt == receipt)

    def _mail(self, meant: Callable[[Delivery], bool]) -> Delivery | None:
        rows = chain.from_iterable(one.values() for one in self._t.deliveries.values())
        return next((one for one in rows if one.type == "email" and meant(one)), None)

    def heard(self, digest: str) -> bool:
        return digest in self._t.news

    def insert_news(self, event: DeliveryEvent) -> None:
        self._t.news[event.digest] = event

    def news(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[DeliveryEvent]]:
        found: dict[str, list[DeliveryEvent]] = {}
        for one in self._t.news.values():
            if one.key.run_id in run_ids:
                found.setdefault(one.key.run_id, []).append(one)
        return found

    def bad_news(self, since: datetime, limit: int) -> Sequence[DeliveryEvent]:
        found = [one for one in self._t.news.values() if one.kind.bad]
        recent = [one for one in found if one.at >= since]
        return sorted(recent, key=lambda one: (one.at, one.digest))[::-1][:limit]

    def suppressions(self, mailbox: str | None) -> Sequence[Suppression]:
        return [
            one
            for one in self._t.suppressions.values()
            if mailbox in (None, one.mailbox) and (mailbox or one.ended_at is None)
        ]

    def put_suppression(self, suppression: Suppression) -> None:
        self._t.suppressions[suppression.suppression_id] = suppression

    # The rest.
    def gaps(self, schedule_uid: str) -> Sequence[GapRow]:
        return self._t.gaps.get(schedule_uid, ())

    def insert_gaps(self, gaps: Sequence[GapRow]) -> None:
        for gap in gaps:
            before = self.gaps(gap.schedule_uid)
            self._t.gaps[gap.schedule_uid] = (*before, gap)

    def pauses(self) -> Sequence[Pause]:
        return list(self._t.pauses.values())

    def put_pause(self, pause: Pause) -> None:
        self._t.pauses[pause.target, pause.value] = pause

    def drop_pause(self, pause: Pause) -> None:
        del self._t.pauses[pause.target, pause.value]

    def holds(self) -> Sequence[Hold]:
        return [one for one in self._t.holds.values() if one.ended_at is None]

    def hold(self, hold_id: str) -> Hold | None:
        return self._t.holds.get(hold_id)

    def holds_of(self, subject: str) -> Sequence[Hold]:
        return [one for one in self._t.holds.values() if one.subject == subject]

    def put_holds(self, holds: Sequence[Hold]) -> None:
        self._t.holds.update({one.hold_id: one for one in holds})

    def incidents(self) -> Sequence[Incident]:
        return [self._t.incidents[subject] for subject in sorted(self._t.incidents)]

    def put_incident(self, incident: Incident) -> None:
        self._t.incidents[incident.subject] = incident

    def board(self) -> Board:
        return self._t.board

    def put_board(self, new: Board) -> None:
        self._t.board = new

    def owed(self, channel: str) -> Sequence[Owed]:
        found = [
            (one.next_try, one.since, key)
            for key, one in self._t.outbox.items()
            if one.channel == channel and one.next_try
        ]
        return [self._t.outbox[key] for *_, key in sorted(found)]

    def owed_for(self, channel: str, key: str) -> Owed | None:
        return self._t.outbox.get((channel, key))

    def put_owed(self, owed: Owed) -> None:
        self._t.outbox[owed.channel, owed.key] = owed

    def given_up(self) -> Sequence[Owed]:
        found = [one for one in self._t.outbox.values() if one.result is Sent.GIVEN_UP]
        return sorted(found, key=lambda one: one.since, reverse=True)

    def drop_sent(self, channel: str, given_up: datetime) -> None:
        over = [
            key
            for key, one in self._t.outbox.items()
            if one.channel == channel
            and one.next_try is None
            and (one.result is Sent.SENT or one.since < given_up)
        ]
        for key in over:
            del self._t.outbox[key]

    def events(self, run_id: str) -> Sequence[Event]:
        return [one for one in self._t.events if one.run_id == run_id]

    def insert_events(self, events: Sequence[Event]) -> None:
        self._t.events.extend(events)

    def census(self, now: datetime) -> Census:
        since, paused, standings = now - RECENT, self.paused(), self.standings()
        starts = [_candidate(one) for one in self._unstarted()]
        gaps: Counter[str] = Counter()
        for gap in chain.from_iterable(self._t.gaps.values()):
            gaps[gap.reason] += gap.count if gap.until >= since else 0
        return Census(
            open=Counter(one.status for one in self._open()),
            ended=Counter(
                (one.status, one.reason)
                for one in self._t.runs.values()
                if one.finished_at and one.finished_at >= since
            ),
            gaps=+gaps,
            schedules=len(standings),
            paused=len(paused),
            holds=Counter(one.kind for one in self.holds() if one.waits),
            next_due=self.next_due(),
            next_start=min(
                (one.not_before for one in starts if not _held(one, paused)),
                default=None,
            ),
        )

    def _open(self) -> list[Run]:
        return [one for one in self._t.runs.values() if not one.status.final]

    def _unstarted(self) -> list[Run]:
        return [one for one in self._open() if one.status in _UNSTARTED]


def _of(rows: Mapping[str, T], run_ids: Collection[str]) -> dict[str, T]:
    return {run_id: rows[run_id] for run_id in run_ids if run_id in rows}


def _owed_key(run: Run) -> tuple[str, datetime]:
    return (run.schedule_uid, run.occurrence)


def _newest_last(run: Run) -> tuple[datetime, datetime, str]:
    return (run.occurrence, run.created_at, run.run_id)


def _place(one: Candidate) -> tuple[datetime, datetime, str]:
    return (one.not_before, one.occurrence, one.run_id)


def _expired(run: Run, now: datetime) -> bool:
    return (
        run.status is RunStatus.PENDING
        and run.started_at is None
        and run.expires is not None
        and run.expires < now
    )


def _held(one: Candidate, paused: Collection[str]) -> bool:
    """A pause lets go on what has begun, and start what somebody asked for."""
    return one.skippable and one.schedule_uid in paused


def _candidate(run: Run) -> Candidate:
    return Candidate(
        run_id=run.run_id,
        schedule_uid=run.schedule_uid,
        not_before=run.not_before,
        occurrence=run.occurrence,
        overlap=run.overlap,
        max_concurrent=run.max_concurrent,
        skippable=run.owed and run.started_at is None,
        connection=run.connection,
    )
