"""Runs, artifacts, deliveries and what happens to them: the rows of the ledger as values."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from enum import StrEnum

from boe_reconciler.core.holds import OF_OPEN_RUNS
from boe_reconciler.core.records import dataclass


class Trigger(StrEnum):
    SCHEDULE = "schedule"
    CATCHUP = "catchup"
    MANUAL = "manual"
    BACKFILL = "backfill"
    RERUN = "rerun"


class RunStatus(StrEnum):
    PENDING = "pending"
    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    SKIPPED = "skipped"
    MISSED = "missed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self not in (RunStatus.PENDING, RunStatus.WAITING, RunStatus.RUNNING)


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    SENDING = "sending"
    DEFERRED = "deferred"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNCONFIRMED = "unconfirmed"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self not in (
            DeliveryStatus.PENDING,
            DeliveryStatus.SENDING,
            DeliveryStatus.DEFERRED,
        )


class AttemptStatus(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    RETRY = "retry"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: Its worker vanished: the lease expired.
    LOST = "lost"
    #: Given back by a drain; uses up no attempt.
    RELEASED = "released"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """What a person asked of one run, beyond what its Schedule says."""

    #: Values that win over the Schedule's parameters, as text.
    parameters: Mapping[str, str] = field(default_factory=dict)
    #: Deliver only to this Distribution (its name or `as`).
    only: str | None = None
    #: Deliver everything to this address alone.
    to: str | None = None
    #: Build the file, deliver nothing.
    dry_run: bool = False
    #: The run that a rerun or backfill does again.
    rerun_of: str | None = None
    #: Why a corrected report is sent.
    corrected: str | None = None

    @property
    def whole(self) -> bool:
        """Whether all that the Schedule says is delivered, and to whom it says."""
        return self.only is None and self.to is None and not self.dry_run


@dataclass(frozen=True, kw_only=True, slots=True)
class NewRun:
    """A run row to insert."""

    run_id: str
    schedule: str
    #: The nominal instant, UTC, whole seconds, jitter excluded.
    occurrence: datetime
    trigger: Trigger
    #: Not claimed before it: the occurrence and its jitter.
    not_before: datetime
    status: RunStatus = RunStatus.PENDING
    reason: str = ""
    #: Not started after it: becomes `missed`. None: never.
    expires: datetime | None = None
    #: What then stands as the reason: "deadline" or "catchup_window".
    expires_reason: str = ""
    options: RunOptions = RunOptions()


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run row."""

    run_id: str
    schedule: str
    schedule_uid: str
    occurrence: datetime
    trigger: Trigger
    status: RunStatus
    #: Stable code behind the status: "overlap", "catchup_window", "query_failed", …
    reason: str
    #: The reason in words, for people.
    message: str
    #: Export attempts used up.
    attempts: int
    not_before: datetime
    expires: datetime | None
    options: RunOptions
    cancel_requested: bool
    #: Grows with each claim; a write with an older one hits nothing.
    fence: int
    worker: str | None
    lease_until: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    rows: int | None
    revision: str
    spec_digest: str
    tzdb: str
    created_at: datetime
    #: Why it would be missed once `expires` has passed.
    expires_reason: str = ""
    #: `execution.overlap` of its spec.
    overlap: str = "skip"
    #: `execution.max_concurrent_runs` of its spec.
    max_concurrent: int | None = None
    #: The first try and the retries of its spec: `attempts` never passes it.
    max_attempts: int = 4
    #: Claims that were lost while no other run of that worker was executing.
    lost: int = 0
    cancel_requested_at: datetime | None = None
    #: How often `boe resend` opened it again.
    reopened: int = 0
    #: Final values of its parameters, as text, once an attempt has begun.
    parameters: Mapping[str, str] = field(default_factory=dict)
    #: Its source Connection, while it has yet to read from it.
    connection: str | None = None
    #: When it will be told of as late, should it not have succeeded (`execution.grace`).
    late_at: datetime | None = None

    @property
    def whole(self) -> bool:
        return self.options.whole

    @property
    def held(self) -> bool:
        """Whether it waits for `boe release`."""
        return self.status is RunStatus.WAITING and self.reason in OF_OPEN_RUNS

    @property
    def owed(self) -> bool:
        """Whether the schedule itself owes it, rather than somebody asked for it."""
        return self.trigger in (Trigger.SCHEDULE, Trigger.CATCHUP)


@dataclass(frozen=True, kw_only=True, slots=True)
class GapRow:
    """Occurrences covered without a run row each: (since, until], `count` of them."""

    schedule: str
    schedule_uid: str
    since: datetime
    until: datetime
    count: int
    #: "paused", "catchup_max_runs", …
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    run_id: str
    number: int
    fence: int
    worker: str
    status: AttemptStatus
    reason: str
    message: str
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """A finished file of a run; its bytes are in the Blobs store under `sha256`."""

    #: "-" unless there are several formats or a burst; no two of a run share it.
    part: str
    #: File name without a folder.
    name: str
    media_type: str
    bytes: int
    #: Hex digest of the file's bytes.
    sha256: str
    rows: int
    #: Hex digest of the rows, for `if_unchanged`.
    rows_digest: str = ""
    #: In a burst the key that its rows belong to, whatever the format; else "-".
    key: str = "-"
    #: What templates see as `part`; empty without a burst.
    values: Mapping[str, str] = field(default_factory=dict)
    #: As `export.format` names it; "": it was made before that was kept.
    format: str = ""
    #: sha256 of its first rows in the Blobs store, for mails (`core.preview`); "": none
    #: shows them.
    preview: str = ""


def files_by_part(artifacts: Iterable[Artifact]) -> dict[str, list[Artifact]]:
    """The files of a delivery, by its part: one, but for a mail, which takes all of its
    key."""
    parts: dict[str, list[Artifact]] = {}
    keys: dict[str, list[Artifact]] = {}
    for one in artifacts:
        parts.setdefault(one.part, []).append(one)
        keys.setdefault(one.key, []).append(one)
    return keys | parts


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryKey:
    run_id: str
    part: str
    #: "{as or Distribution}/{destination's name}"; an inline destination: its name alone.
    destination: str
    #: "-" unless e-mail.
    recipient: str = "-"
    #: 0, and one more for each `resend --all`.
    copy: int = 0

    @property
    def identity(self) -> str:
        """Hex sha256 of the key: the same for every attempt, never reused."""
        text = "\n".join(
            (self.run_id, self.part, self.destination, self.recipient, str(self.copy))
        )
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A delivery row."""

    key: DeliveryKey
    #: "local", "email", …
    type: str
    status: DeliveryStatus
    attempts: int
    reason: str
    message: str
    #: What the far side answered: message id, version, etag.
    receipt: str | None
    #: Where it is now: a path, a URL without secrets.
    remote: str | None
    #: Chosen before the act, such as {"name": final path, "temporary": path}.
    intent: Mapping[str, str]
    first_attempt_at: datetime | None
    next_attempt_at: datetime | None
    #: Of the last change.
    at: datetime
    #: Where a mail names its recipient: "to", "cc" or "bcc"; "asked": somebody had it
    #: sent to that address; "" for what is no mail.
    role: str = ""
    #: There is no file, only this news: "empty" or "unchanged"; "": there is one.
    notice: str = ""
    #: An earlier try may have arrived, which nobody knows, and it is tried again.
    resent: bool = False
    #: Its server found the mail too large: it links to its files from then on.
    linked: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one try of one delivery gave."""

    status: DeliveryStatus
    reason: str = ""
    message: str = ""
    receipt: str | None = None
    remote: str | None = None
    #: Seconds the far side asked us to wait (deferred only).
    retry_after: float | None = None
    #: What was sent may have arrived, and is tried again all the same (deferred only).
    in_doubt: bool = False
    #: As in `Delivery`.
    linked: bool = False


class News(StrEnum):
    """What is learnt of a mail after the far side took it, or may have taken it."""

    DELIVERED = "delivered"
    #: It is still tried elsewhere.
    DELAYED = "delayed"
    BOUNCED = "bounced"
    #: Its reader called it spam.
    COMPLAINED = "complained"

    @property
    def bad(self) -> bool:
        return self in (News.BOUNCED, News.COMPLAINED)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryEvent:
    """Later news of a delivery. It changes no state."""

    #: Hex sha256 of the message that told it: the same message is heard once.
    digest: str
    key: DeliveryKey
    kind: News
    #: Nothing will ever arrive at that address.
    lasting: bool
    #: RFC 3463, such as 5.1.1, or the provider's own word; "" where it said none.
    code: str
    #: What it said, on one line.
    message: str
    #: When BOE heard of it.
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened, for `boe show` and the log. Never holds a secret."""

    at: datetime
    #: A stable code: "run_started", "text_cut", …
    action: str
    #: A sentence for people.
    message: str
    run_id: str | None = None
    schedule: str | None = None


def event_of(run: Run, action: str, message: str, now: datetime) -> Event:
    """Something that happened to a run."""
    return Event(
        at=now,
        action=action,
        message=message,
        run_id=run.run_id,
        schedule=run.schedule,
    )


class PauseTarget(StrEnum):
    SCHEDULE = "schedule"
    OWNER = "owner"
    LABEL = "label"
    CONNECTION = "connection"
    ALL = "all"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """A pause put on at run time; `paused: true` in git is apart from it."""

    target: PauseTarget
    #: The schedule's, owner's or connection's name, "key=value" of a label, "" for all.
    value: str
    by: str
    why: str
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The right of one worker to write for one run."""

    run_id: str
    fence: int
    worker: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """A run with all its rows."""

    run: Run
    attempts: tuple[Attempt, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    #: The oldest first.
    news: tuple[DeliveryEvent, ...] = ()

    @property
    def places(self) -> Sequence[str]:
        """Where its files are, but for those in mails."""
        there = (one for one in self.deliveries if one.key.recipient == "-")
        return [
            one.remote
            for one in there
            if one.status is DeliveryStatus.ACCEPTED and one.remote
        ]

    @property
    def mails(self) -> int:
        """How many were accepted."""
        return sum(
            one.status is DeliveryStatus.ACCEPTED
            for one in self.deliveries
            if one.key.recipient != "-"
        )

    @property
    def news_by_key(self) -> Mapping[DeliveryKey, Sequence[DeliveryEvent]]:
        """Of each delivery that there is news of."""
        found: dict[DeliveryKey, list[DeliveryEvent]] = {}
        for one in self.news:
            found.setdefault(one.key, []).append(one)
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class NewDelivery:
    """A delivery row to insert, with the artifact's part in its key."""

    key: DeliveryKey
    type: str
    #: As in `Delivery`.
    role: str = ""
    notice: str = ""
    #: What its act will use, where that begins as soon as the row is there; else None.
    intent: Mapping[str, str] | None = None


#: The role of a mail that somebody had sent to an address of his own.
ASKED = "asked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Resend:
    """What `boe resend` sends again; each that is given narrows it."""

    recipient: str | None = None
    #: A destination's key, or its Distribution's name.
    destination: str | None = None
    #: In which state it has to be; None: whatever was not accepted.
    states: Collection[DeliveryStatus] | None = None
    #: What was accepted too, as a new copy.
    everything: bool = False
    #: All of it to this address alone; nothing else changes.
    to: str | None = None

    @property
    def narrowed(self) -> bool:
        return self != replace(UNACCEPTED, everything=self.everything)


UNACCEPTED = Resend()


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """What one pass of `materialise` did."""

    #: Run rows and gap rows inserted.
    inserted: int
    #: More schedules are due than one batch takes: call again at once.
    more: bool
    #: The next instant at which a schedule is due or a row may start.
    next_due: datetime | None
    #: The clock lies more than an hour behind this mark: start nothing, alert.
    clock_behind: datetime | None = None
    #: `run_late`, for each run that has not succeeded by its `grace`.
    late: Sequence[Event] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleState:
    """What the ledger knows of one schedule."""

    name: str
    uid: str
    #: Occurrences up to it are covered by rows.
    high_water: datetime
    next_due: datetime | None
    paused_in_git: bool
    #: The runtime pause that holds it, if any.
    pause: Pause | None
    last_run_id: str | None
    last_run_status: RunStatus | None
