"""What a ledger has to store: rows in, rows out. The verbs above it hold the rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from boe_reconciler.core.census import Census
from boe_reconciler.core.due import Form, Standing, Ticks
from boe_reconciler.core.holds import Hold
from boe_reconciler.core.limits import Use
from boe_reconciler.core.notices import Incident, Owed
from boe_reconciler.core.overlap import Candidate
from boe_reconciler.core.runs import (
    Artifact,
    Attempt,
    Claim,
    Delivery,
    DeliveryEvent,
    DeliveryKey,
    Event,
    GapRow,
    Pause,
    Run,
    RunStatus,
)
from boe_reconciler.core.spec import PlannedSchedule, RunSpec, Served
from boe_reconciler.core.suppression import Suppression
from boe_reconciler.core.troubles import Board

T = TypeVar("T")
#: How runs end that did not go well.
UNWELL = (RunStatus.FAILED, RunStatus.PARTIAL, RunStatus.MISSED)
#: Of `ended_since`.
MOST_ENDED = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """Which runs history asks for."""

    schedule: str | None
    status: RunStatus | None
    since: datetime | None
    until: datetime | None
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Which candidates a claim looks at next, in the order they may start."""

    #: Those after this one.
    after: Candidate | None
    limit: int
    #: Schedules that are left out.
    full: Collection[str]
    #: Schedules of which only what may be skipped is looked at.
    waiting: Collection[str]
    #: Only these runs.
    only: Collection[str] | None
    #: Connections without room: their runs are left out,
    #: but for those of schedules that are running, which overlap may decide on.
    shut: Collection[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Covered:
    """What a tick did for some schedules at once."""

    schedules: int
    #: Run rows inserted.
    inserted: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """What all claims of one transaction share."""

    worker: str
    now: datetime
    until: datetime


class Store(Protocol):
    """One transaction's view of the rows."""

    def trial(self, act: Callable[[], T]) -> tuple[T | None, Exception | None]:
        """What it gives; or what it raised, having changed nothing.

        Errors of the store itself, such as a full disk, come through.
        """

    # Schedules.
    def standing(self, name: str) -> Standing | None: ...

    def standings(self) -> Sequence[Standing]: ...

    def served_digest(self, uid: str, name: str) -> str | None:
        """Of the spec of the one with this uid; else of the one of this name."""

    def forms(self, now: datetime, names: Collection[str] | None) -> Mapping[str, Form]:
        """What a plan decides of these (None: of all), by name: all can be had in little
        time. It has those that are due or paused as well, and may have more."""

    def planned(self) -> Mapping[str, PlannedSchedule] | None:
        """The schedules of the last activation, by name; None where this process did not
        make it."""

    def due(self, now: datetime, limit: int) -> Sequence[Standing]:
        """Those with `next_due` at or before `now`, the earliest first."""

    def cover_on_time(self, since: datetime, now: datetime, limit: int) -> Covered:
        """A shorter way for schedules that owe one run and owe it on time.

        Those with `next_due` in [since, now] and no other occurrence up to `now`. It does
        what `due.owed` says, or leaves a schedule as it is; it may leave all of them.
        """

    def high_mark(self) -> datetime | None:
        """The largest `high_water` of all."""

    def next_due(self) -> datetime | None:
        """The smallest `next_due` of all."""

    def paused(self) -> Collection[str]:
        """The uids of those that are paused."""

    def put_standings(self, standings: Sequence[Standing]) -> None: ...

    def put_revisions(self, revisions: Mapping[str, str]) -> None:
        """Name -> the revision that the runs of a schedule will name, where that is not
        the one that is served: it stands once, so an empty text means it.

        A Standing that is read names it in any case.
        """

    def forget_failures(self, uid: str) -> None:
        """Its failures in a row are over."""

    def drop_standing(self, name: str) -> None: ...

    # Connections that are served.
    def uses(self) -> Sequence[Use]: ...

    def use(self, name: str) -> Use | None: ...

    def put_uses(self, uses: Sequence[Use]) -> None: ...

    def drop_use(self, name: str) -> None: ...

    # What is served.
    def served(self) -> Served: ...

    def environment(self) -> str | None:
        """As `Ledger.environment`."""

    def put_served(
        self, served: Served, planned: Mapping[str, PlannedSchedule] | None
    ) -> None:
        """What is served; `planned` is what is to be remembered of its schedules."""

    def spec(self, digest: str) -> RunSpec: ...

    def put_specs(self, specs: Mapping[str, RunSpec]) -> None:
        """By digest; one that is there already stays."""

    # Marks of the whole ledger.
    def ticks(self) -> Ticks: ...

    def put_ticks(self, ticks: Ticks) -> None: ...

    def tzdb(self) -> str: ...

    def put_tzdb(self, version: str) -> None: ...

    # Runs.
    def run(self, run_id: str) -> Run | None: ...

    def runs(self, run_ids: Sequence[str]) -> Sequence[Run]:
        """In the order of the ids; those that are there."""

    def every_run(self) -> Iterable[Run]: ...

    def insert_runs(self, runs: Sequence[Run]) -> Sequence[str]:
        """Ids of those inserted: one that is there already stays as it is."""

    def put_runs(self, runs: Sequence[Run]) -> None: ...

    def start(self, run_ids: Sequence[str], claims: Lease) -> Sequence[Run]:
        """Claim these, each of which must be waiting for it; the rows after it, in order.

        As `lifecycle.claimed` says.
        """

    def renew(self, claim: Claim, lease_until: datetime) -> bool:
        """Move the lease of a running run whose fence is the claim's; False: lost."""

    def running(self, schedule_uid: str | None = None) -> Sequence[Run]: ...

    def running_counts(self, schedule_uids: Collection[str]) -> Mapping[str, int]:
        """Schedule uid -> runs that are running, of these that have some."""

    def readers(self) -> Mapping[str, int]:
        """Connection -> running runs that have yet to read from it."""

    def unstarted(self, schedule_uid: str) -> Sequence[Run]:
        """Its runs that are pending or waiting."""

    def overdue(self, now: datetime, limit: int) -> Sequence[Run]:
        """Runs that did not begin before they expired."""

    def late(self, now: datetime, limit: int) -> Sequence[Run]:
        """Runs with `late_at` at or before `now`, the earliest first."""

    def next_late(self) -> datetime | None:
        """The smallest `late_at`."""

    def ended_since(self, since: datetime, schedules: Collection[str]) -> Sequence[Run]:
        """As `Ledger.ended_since`."""

    def unfinished(self, now: datetime) -> Sequence[Run]:
        """As `Ledger.unfinished`, the earliest first."""

    def candidates(self, now: datetime, page: Page) -> Sequence[Candidate]:
        """Runs whose time has come, by (not_before, occurrence, run id).

        Without those that expired, and those that a paused schedule owes.
        """

    def newest(
        self, now: datetime, schedule_uids: Collection[str]
    ) -> Mapping[str, datetime]:
        """Of each, the newest occurrence among its candidates that may be skipped."""

    def next_start(self, now: datetime) -> datetime | None:
        """The first `not_before` after `now` of a run that has yet to go on."""

    def latest_occurrence(self, schedule: str) -> datetime | None:
        """Of the runs that a schedule of this name ever owed."""

    def last_runs(self) -> Mapping[str, tuple[str, RunStatus]]:
        """Schedule uid -> id and status of its run with the newest occurrence."""

    def last_delivered(self, schedule_uid: str) -> str | None:
        """The newest run that succeeded as its Schedule says, nothing left out."""

    def open_runs(self) -> int:
        """Those that run or are still to start, and that no pause holds."""

    def find(self, query: Query) -> Sequence[Run]:
        """Newest occurrence first."""

    # Retention.
    def ended(self, before: datetime, limit: int) -> Sequence[Run]:
        """Runs that are kept no longer: those that ended before then, in that order.

        Without those with an open delivery and, of each schedule that is served, the
        newest and the one that `if_unchanged` compares with.
        """

    def drop_runs(self, run_ids: Sequence[str]) -> None:
        """With their attempts, artifacts, deliveries and events."""

    def standings_of(self, uids: Collection[str]) -> Sequence[Standing]: ...

    def files_in_use(self) -> set[str]:
        """Hashes of the files that the served objects and specs, and the specs of
        runs that have not ended, refer to."""

    def artifacts_in_use(
        self, hashes: Sequence[str], ended_after: datetime
    ) -> set[str]:
        """Of these, those of runs that have not ended, or not before then.

        Files, their first rows, and what a destination stored (`intent["stored"]`) for a delivery that
        was not accepted.
        """

    def artifact_names(self, ended_after: datetime) -> Iterable[tuple[str, str, str]]:
        """Of these runs: the run's id, the file's name, and its hash.

        Also of its first rows, and of mails that were written and may be sent again.
        """

    # Rows of runs: each by run id.
    def attempts(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[Attempt]]: ...

    def put_attempt(self, attempt: Attempt) -> None: ...

    def artifacts(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[Artifact]]: ...

    def insert_artifacts(self, run_id: str, artifacts: Sequence[Artifact]) -> None: ...

    def deliveries(
        self, run_ids: Sequence[str]
    ) -> Mapping[str, Sequence[Delivery]]: ...

    def delivery(self, key: DeliveryKey) -> Delivery | None: ...

    def put_deliveries(self, deliveries: Sequence[Delivery]) -> None: ...

    # News of deliveries.
    def return_key(self) -> bytes: ...

    def mail(self, identity: str) -> Delivery | None:
        """The one whose Message-ID begins like this, if there is one."""

    def mail_of(self, receipt: str) -> Delivery | None: ...

    def heard(self, digest: str) -> bool: ...

    def insert_news(self, event: DeliveryEvent) -> None: ...

    def news(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[DeliveryEvent]]: ...

    def bad_news(self, since: datetime, limit: int) -> Sequence[DeliveryEvent]:
        """Bounces and complaints from then on, the newest first."""

    def suppressions(self, mailbox: str | None) -> Sequence[Suppression]:
        """Those that stand, the oldest first; of one mailbox all."""

    def put_suppression(self, suppression: Suppression) -> None: ...

    # The rest.
    def gaps(self, schedule_uid: str) -> Sequence[GapRow]: ...

    def insert_gaps(self, gaps: Sequence[GapRow]) -> None: ...

    def pauses(self) -> Sequence[Pause]: ...

    def put_pause(self, pause: Pause) -> None:
        """In place of one with the same target and value."""

    def drop_pause(self, pause: Pause) -> None: ...

    def holds(self) -> Sequence[Hold]:
        """Those that have not ended, the oldest first."""

    def hold(self, hold_id: str) -> Hold | None: ...

    def holds_of(self, subject: str) -> Sequence[Hold]:
        """Those that have ended, too; the oldest first."""

    def put_holds(self, holds: Sequence[Hold]) -> None: ...

    def incidents(self) -> Sequence[Incident]: ...

    def put_incident(self, incident: Incident) -> None: ...

    def board(self) -> Board: ...

    def put_board(self, new: Board) -> None: ...

    def owed(self, channel: str) -> Sequence[Owed]:
        """Those that are not over, in the order of their next tries."""

    def owed_for(self, channel: str, key: str) -> Owed | None: ...

    def put_owed(self, owed: Owed) -> None: ...

    def drop_sent(self, channel: str, given_up: datetime) -> None:
        """Those that are over; of those that were given up, the ones before then."""

    def given_up(self) -> Sequence[Owed]:
        """The newest first."""

    def events(self, run_id: str) -> Sequence[Event]: ...

    def insert_events(self, events: Sequence[Event]) -> None: ...

    def census(self, now: datetime) -> Census: ...


class Backend(Protocol):
    """Runs verbs against a Store, each in a transaction of its own."""

    def write(self, verb: Callable[[Store], T]) -> T:
        """All of it or, when it raises, nothing of it."""

    def read(self, verb: Callable[[Store], T]) -> T: ...

    def drop_unused_specs(self) -> int:
        """Remove the specs that no schedule and no run names; how many."""

    def wait_for_change(self, timeout: float) -> bool: ...

    def close(self) -> None: ...
