"""The shapes of the backends. A backend is one file behind one of these.

All instants are aware UTC datetimes; all sizes are bytes.
"""

from __future__ import annotations

from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from zoneinfo import ZoneInfo

from boe_reconciler.core.marks import UNMARKED, Marks
from boe_reconciler.core.resources.schedule import Dialect
from boe_reconciler.core.runs import UNACCEPTED

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from boe_reconciler.core.bounces import Report
    from boe_reconciler.core.census import Census
    from boe_reconciler.core.forge import CommitStatus
    from boe_reconciler.core.holds import Hold, Wait
    from boe_reconciler.core.limits import ConnectionState
    from boe_reconciler.core.notices import Incident, Owed
    from boe_reconciler.core.outcome import Ending, Verdict
    from boe_reconciler.core.preview import Preview
    from boe_reconciler.core.resources.report import Column
    from boe_reconciler.core.retention import Swept
    from boe_reconciler.core.runs import (
        Artifact,
        Claim,
        Delivery,
        DeliveryEvent,
        DeliveryKey,
        Event,
        GapRow,
        NewDelivery,
        NewRun,
        Outcome,
        Pause,
        PauseTarget,
        Resend,
        Run,
        RunRecord,
        RunStatus,
        ScheduleState,
        Tick,
    )
    from boe_reconciler.core.snapshot import Snapshot
    from boe_reconciler.core.spec import Activation, RunSpec, Served
    from boe_reconciler.core.suppression import Suppression, Told
    from boe_reconciler.core.troubles import Board


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall time, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go backwards, for waits."""

    def sleep(self, seconds: float) -> None: ...


class Cancel(Protocol):
    """Asks running work to stop; given to whatever may take long."""

    def check(self) -> None:
        """Raise `Cancelled` (or Temporary `timeout`) when the work should stop."""

    def on_cancel(self, callback: Callable[[], None]) -> AbstractContextManager[None]:
        """Within the context, `callback` is called from another thread to interrupt a blocking call."""


class Never:
    """A `Cancel` for work that nobody stops."""

    def check(self) -> None: ...

    def on_cancel(self, callback: Callable[[], None]) -> AbstractContextManager[None]:
        del callback
        return nullcontext()


# --- Reading the repo ---------------------------------------------------------


class Repo(Protocol):
    def snapshot(self) -> Snapshot:
        """What it holds now. Refused, or another error, where that cannot be had."""

    def last(self) -> Snapshot:
        """What was read last, or fetched: a far side that is down is not asked."""

    def wait(self, timeout: float) -> bool:
        """Up to `timeout` seconds; True as soon as something may have changed.

        Temporary where the far side cannot be asked.
        """

    def hurry(self) -> None:
        """From any thread: the next `wait` looks at once, and is True."""

    def interrupt(self) -> None:
        """From any thread: whatever waits for a far side ends soon, as Temporary."""

    def close(self) -> None: ...


# --- Reading rows -------------------------------------------------------------


class Rows(Protocol):
    """The answer to a query as a stream. Iterate once, then close."""

    schema: pa.Schema
    #: How many there are, where that is known before they are read.
    count: int | None

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...

    def close(self) -> None: ...


class Source(Protocol):
    """One Connection of a database type, shared by threads."""

    def rows(self, query: str, parameters: Mapping[str, Any], cancel: Cancel) -> Rows:
        """Run one SELECT-like statement.

        `parameters` are plain values (str, int, Decimal, bool, date, datetime,
        list), bound to `:name` in the query. Raises Temporary, Permanent, or what
        `cancel.check` raises once the work was interrupted.
        """

    def check(self) -> None:
        """Connect and ask for one row: Temporary or Permanent when that fails."""

    def close(self) -> None: ...


# --- Writing files ------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One sheet's worth of rows."""

    name: str
    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    #: Column name -> how it looks. Columns that are not named keep their defaults.
    columns: Mapping[str, Column] = field(default_factory=dict)
    #: "table:NAME" or "range:NAME" in the template workbook.
    fill: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FormatOptions:
    #: The report's title.
    title: str
    #: The schedule's zone: aware timestamps are written as its wall time.
    timezone: ZoneInfo
    #: The occurrence: the only time that may stand in a file's metadata.
    occurrence: datetime
    include_headers: bool = True
    dialect: Dialect = Dialect()
    #: A workbook whose other parts stay byte for byte.
    template: bytes | None = None
    #: A short line under the title of html and pdf, such as "2026-10".
    subtitle: str = ""
    #: Asked before each batch, by whoever yields it; between pages by the format itself.
    cancel: Cancel = field(default_factory=Never)


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    rows: int
    #: (action, sentence) for the run's events: text that was cut, sheets that were added.
    notes: Sequence[tuple[str, str]] = ()


class Format(Protocol):
    #: Without its dot.
    extension: str
    media_type: str
    #: Whether one file holds several tables.
    several_tables: bool

    def write(
        self, tables: Sequence[Table], target: BinaryIO, options: FormatOptions
    ) -> Written:
        """Stream the tables into `target`, which need not be seekable.

        One table after the other, each to its end. Raises Permanent when the rows do
        not fit the format, OSError from `target`, and what `options.cancel` raises.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealing:
    """What a file that opens only with a password is made with."""

    password: str = field(repr=False)
    #: The plain file's name, for what keeps it inside.
    name: str
    #: The occurrence, in the schedule's zone.
    occurrence: datetime
    cancel: Cancel = field(default_factory=Never)


class Protection(Protocol):
    def protect(self, plain: Path, target: BinaryIO, sealing: Sealing) -> None:
        """Write the finished file `plain` so that it opens only with the password.

        `target` need not be seekable. Raises Permanent where that cannot be done.
        """


# --- Transforming -------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """A function of a Python file of the repo."""

    #: From the root of the repo.
    path: str
    text: str
    function: str

    @property
    def name(self) -> str:
        return f"{self.path.removesuffix('.py').replace('/', '.')}:{self.function}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Transformed:
    rows: Rows
    #: What the function printed, a part of it where it was much.
    printed: str


class Transforms(Protocol):
    """Users' functions, each call in a process of its own."""

    def run(self, code: Code, table: Table, cancel: Cancel) -> Transformed:
        """All rows at once through the function.

        Raises Permanent `transform_failed`, `out_of_memory` or `child_crashed`, and what
        `cancel` or the table's batches raise.
        """


# --- Delivering ---------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Enclosure:
    """One file of a shipment."""

    #: The finished file, to read only.
    path: Path
    #: Its name at the destination, without a folder.
    filename: str
    media_type: str
    bytes: int
    sha256: str
    rows: int
    #: Where it is instead, as `Shipment.link`.
    link: str | None = None


def _unheard(intent: Mapping[str, str]) -> None:
    """Nobody has to know before the act."""


def _uncounted(taken: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipment:
    """One Delivery row on its way."""

    key: DeliveryKey
    #: The destination's spec: one of `core.resources.distribution`.
    spec: Any
    #: The finished file, to read only.
    path: Path
    #: The file's name at its destination, without a folder.
    filename: str
    media_type: str
    bytes: int
    sha256: str
    rows: int
    occurrence: datetime
    timezone: ZoneInfo
    #: What an earlier attempt of this row gave to `begin`; empty before the first.
    intent: Mapping[str, str] = field(default_factory=dict)
    #: To be called right before the act, with all that the act will use (a final and a
    #: temporary name): once it returns the row is `sending`, and this stored with it.
    begin: Callable[[Mapping[str, str]], None] = _unheard
    #: To be called now and then during the act, with how many bytes of all its files the
    #: far side has taken so far. Returns at once, and raises nothing.
    sent: Callable[[int], None] = _uncounted
    #: Further files of the same delivery: a mail has all formats in it.
    beside: Sequence[Enclosure] = ()
    #: What its readers know it by; "": the Report's title.
    title: str = ""
    #: Its first rows, as many as the spec asks for; None: it asks for none.
    preview: Preview | None = None
    #: What templates of subjects and bodies see.
    context: Mapping[str, Any] = field(default_factory=dict)
    #: Gives short ASCII texts that say where it comes from: run, schedule, revision, …;
    #: none of them is secret. For headers and metadata.
    provenance: Callable[[], Mapping[str, str]] = dict
    #: Where the file is instead, for a mail that only links to it. Never kept or logged.
    link: str | None = None
    #: Who stands in the headers of a mail, by "to" and "cc": all, or its recipient alone.
    addressed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: What its reader has to know before all else: see `core.marks.Marks`.
    marks: Marks = UNMARKED
    #: What an answer to a mail carries, to be known by; "": none is waited for.
    tag: str = ""
    #: What a webhook says, where that is something else than JSON about the run.
    payload: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What a destination works with, whatever is shipped."""

    #: Name -> spec of each Connection that the run's destinations use.
    connections: Mapping[str, Any]
    secrets: SecretResolver
    blobs: Blobs
    clock: Clock
    #: Path in the repo -> sha256 of the file in `blobs`, such as a mail's text.
    files: Mapping[str, str] = field(default_factory=dict)
    #: `base_path` of a folder is relative to it.
    local_root: Path
    #: Waits until the Connection of this name may be used once more (`rate_limit`).
    pace: Callable[[str, Cancel], None]
    #: Policy's `allow`; None means any, and the local root alone.
    local_roots: Sequence[str] | None = None
    hosts: Sequence[str] | None = None
    private_addresses: bool = False


class Destination(Protocol):
    def deliver(
        self, shipments: Iterable[Shipment], cancel: Cancel
    ) -> Iterator[Outcome]:
        """One Outcome for each shipment, before the next one is taken.

        One connection serves them all. Raises nothing but what `cancel` and `begin`
        raise.
        """

    def probe(self, shipment: Shipment) -> Outcome | None:
        """What became of an attempt that was interrupted; None: nothing left the house."""


class Linking(Destination, Protocol):
    """One that can give others access to what it has taken."""

    def link(self, shipment: Shipment, expires: timedelta) -> str:
        """A URL that opens what was delivered, until then. Temporary or Permanent."""


# --- Telling people -----------------------------------------------------------


class Forge(Protocol):
    """Where the repo lives. Raises Temporary or Permanent, and nothing else."""

    def report(self, commit: str, status: CommitStatus) -> None:
        """The status stands beside the commit; twice the same is as good as once."""

    def comment(self, number: int, marker: str, text: str) -> None:
        """A pull request has one comment of ours with this marker, and it says this."""

    def close(self) -> None: ...


# --- Smaller helpers ----------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Returned:
    """A message that may tell what became of a mail."""

    #: How its mailbox knows it.
    name: str
    #: Hex sha256 of what was read of it.
    digest: str
    #: What it tells; None: nothing that is understood.
    report: Report | None


class Mailbox(Protocol):
    """Where such messages arrive. Raises Temporary or Permanent, and nothing else."""

    def check(self) -> None:
        """Whether it can be read."""

    def arrived(self, most: int) -> Iterator[Returned]:
        """Messages that were not put away, the oldest first."""

    def put_away(self, one: Returned, *, understood: bool) -> None:
        """One that was understood is done with; any other is kept for a person."""

    def close(self) -> None: ...


class SecretResolver(Protocol):
    def resolve(self, secret: Any) -> str:
        """The value behind `{env}` or `{file}`. Permanent `secret_missing` without it."""


class Blobs(Protocol):
    """Content-addressed files: bytes under their sha256."""

    def put(self, content: bytes) -> str:
        """Store bytes durably; the sha256 in hex."""

    def adopt(self, path: Path) -> str:
        """Move a finished file into the store durably; the sha256 in hex."""

    def adopting(self) -> AbstractContextManager[Callable[[Path], str]]:
        """Adopt many with few waits for the disk: they are stored once it is left."""

    def path(self, sha256: str) -> Path:
        """Where it is, to read only. Permanent `blob_missing` if it is not."""

    def read(self, sha256: str) -> bytes: ...

    def is_whole(self, sha256: str) -> bool:
        """Whether its bytes are still what they were. Permanent `blob_missing`."""

    def remove(self, sha256: str) -> None: ...

    def remove_older(self, sha256: str, before: datetime) -> int:
        """Remove it unless it was stored since; the bytes that this freed."""

    def __iter__(self) -> Iterator[str]: ...


class Queue(Protocol):
    def submit(self, run_id: str, fence: int) -> None: ...


# --- Remembering --------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """What a worker gets with a claim: all it needs to go on where the last one stopped."""

    claim: Claim
    record: RunRecord
    spec: RunSpec
    #: Its attempt has begun with the claim.
    begun: bool = False


class Ledger(Protocol):
    """The one memory. Every verb is one transaction and takes `now`.

    Verbs that take a `Claim` first prove that its fence still holds, and raise
    `LeaseLost` if it does not. docs/time.md has the rules behind each verb.
    """

    # What is served.
    def activate(self, activation: Activation, *, now: datetime) -> None:
        """Materialise what the old plan owed, then make the new one the served one (R6).

        With it, Holds of revisions begin and end.
        """

    def served(self) -> Served: ...

    def environment(self) -> str | None:
        """The Environment that is served; "": without one; None: nothing is served yet."""

    def schedule_spec(self, name: str) -> RunSpec | None:
        """The served spec of a schedule."""

    def served_spec(self, run: Run) -> RunSpec | None:
        """That of a run's schedule, whatever it is called now.

        Where it is gone, of one that was made again under its name.
        """

    def states(self) -> Sequence[ScheduleState]: ...

    def high_water(self) -> datetime | None:
        """The latest instant up to which a schedule is done; None: there is none."""

    # Time.
    def materialise(self, *, now: datetime, limit: int = 500) -> Tick:
        """Insert the rows of due schedules and move their high-water marks (R4, R5)."""

    def enqueue(self, runs: Sequence[NewRun], *, now: datetime) -> Sequence[str]:
        """Insert manual, backfill and rerun rows with the served spec; ids of those inserted."""

    # Claims.
    def claim(
        self,
        worker: str,
        *,
        now: datetime,
        limit: int,
        only: Collection[str] | None = None,
        begin: bool = False,
    ) -> Sequence[Claimed]:
        """Take up to `limit` runs that may start; overlap and deadlines decided here (R7).

        With `only`, no run but those named is looked at: a command that executes
        its own rows while nobody serves. With `begin` the attempt of each begins with its
        claim, where the run waits for nothing and has no parameters to be worked out.
        """

    def heartbeat(
        self, claims: Sequence[Claim], *, now: datetime
    ) -> Mapping[str, bool]:
        """Renew leases: run id -> whether a cancel was asked for. A lost claim is left out."""

    def expire(self, *, now: datetime, all_leases: bool = False) -> Sequence[str]:
        """Queue runs again whose lease ran out (with `all_leases`, every lease) (R10)."""

    def give_back(self, claim: Claim, *, now: datetime) -> None:
        """A drain: the run is pending again and the attempt uses up nothing.

        A run that was asked to stop ends.
        """

    # Connections.
    def used(
        self,
        connection: str,
        *,
        failure: str | None,
        run_id: str | None = None,
        now: datetime,
    ) -> Sequence[Event]:
        """One use of a Connection is over: what went wrong for now, or None.

        Feeds its circuit breaker; the events of one that opens or closes.
        A run's own success is counted by `commit_artifacts`.
        """

    def limits(self, *, now: datetime) -> Sequence[ConnectionState]:
        """How each served Connection stands, by name."""

    # Within a claim.
    def begin_attempt(
        self, claim: Claim, *, parameters: Mapping[str, str], now: datetime
    ) -> int:
        """A row for this try of the export, with these values; its number from 1."""

    def commit_artifacts(
        self,
        claim: Claim,
        artifacts: Sequence[Artifact],
        deliveries: Sequence[NewDelivery],
        *,
        events: Sequence[Event] = (),
        now: datetime,
    ) -> RunRecord:
        """The export is done: its artifacts and the deliveries they owe; the attempt succeeded.

        One with an intent has begun, as by `intend`. `events` are what the run's history says
        of them. The run, as it is then.
        """

    def owe(
        self, claim: Claim, deliveries: Sequence[NewDelivery], *, now: datetime
    ) -> None:
        """More rows after the export, such as that of a file that a mail links to.

        One that is there stays as it is.
        """

    def intend(
        self,
        claim: Claim,
        key: DeliveryKey,
        intent: Mapping[str, str],
        *,
        now: datetime,
    ) -> None:
        """Before the act: the row is `sending`, with the names the act will use."""

    def settle(  # noqa: PLR0913 what came of it, and what follows
        self,
        claim: Claim,
        key: DeliveryKey,
        outcome: Outcome,
        *,
        next_attempt_at: datetime | None = None,
        ending: Ending | None = None,
        now: datetime,
    ) -> Verdict | None:
        """After the act: what it gave; deferred rows get their next attempt.

        With an `ending` the run ends, unless another delivery is open: what it became.
        """

    def wait(
        self, claim: Claim, until: datetime, reason: str, message: str, *, now: datetime
    ) -> None:
        """Give up the lease and be `waiting` until then (a retry, a deferred delivery).

        An attempt that is open ends with it. A run that was asked to stop ends.
        """

    def finish(  # noqa: PLR0913 the words of a run's end
        self,
        claim: Claim,
        status: RunStatus,
        reason: str,
        message: str,
        *,
        rows: int | None = None,
        now: datetime,
    ) -> None:
        """The run's final state, and that of an attempt or a delivery still open.

        Of a delivery that was on its way nobody can know more: it is unconfirmed.
        """

    # What people ask for.
    def cancel(self, run_id: str, *, by: str, now: datetime) -> RunStatus:
        """Mark it; a run that nobody executes is cancelled at once. The status after."""

    def reopen(
        self,
        run_id: str,
        wanted: Resend = UNACCEPTED,
        *,
        now: datetime,
    ) -> Sequence[DeliveryKey]:
        """`boe resend`: these are pending again; what was accepted, as a new copy (I4)."""

    def pause(self, pause: Pause) -> None: ...

    def resume(
        self, target: PauseTarget, value: str, *, by: str, now: datetime
    ) -> bool:
        """Take a runtime pause off; False when there was none."""

    def pauses(self) -> Sequence[Pause]: ...

    def holds(self) -> Sequence[Hold]:
        """What waits for a person, and what was released and not yet taken up."""

    def release(self, hold_id: str, *, by: str, why: str, now: datetime) -> Hold:
        """Let it go on, once. InputError where nothing of this id waits (any more)."""

    def await_release(self, claim: Claim, wait: Wait, *, now: datetime) -> bool:
        """Whether the run may go on; else it has given up the lease and waits.

        `wait.subject` is the run. The first call makes the Hold, with its words and its
        end; later ones find that. An attempt that is open ends, and uses up nothing.
        """

    def switch_off(self, claim: Claim, wait: Wait, *, now: datetime) -> None:
        """A Hold for what `wait` is about, unless one waits already."""

    def holds_of(self, run_id: str) -> Sequence[Hold]:
        """All Holds of a run, those that have ended too; the oldest first."""

    # What becomes of mails, and who gets none.
    def return_key(self) -> bytes:
        """A secret of this ledger, for good: what comes back is known by it."""

    def hear(self, told: Told, *, now: datetime) -> DeliveryKey | None:
        """Keep news of a mail, once; None where no delivery here is meant.

        An address that takes no more mails, or whose reader complained, is on the
        suppression list from then on.
        """

    def news_since(
        self, since: datetime, *, limit: int = 1000
    ) -> Sequence[tuple[str, DeliveryEvent]]:
        """Bounces and complaints, the newest first, each with its schedule."""

    def suppress(
        self, address: str, *, by: str, why: str, now: datetime
    ) -> Suppression | None:
        """On the suppression list; None: it is there already."""

    def unsuppress(
        self, address: str, *, by: str, why: str, now: datetime
    ) -> Suppression | None:
        """Off it; None: it is not on it."""

    def suppressions(self, address: str | None = None) -> Sequence[Suppression]:
        """Who is on it, the oldest first; of one address, those that ended too."""

    # What people are told. The instants stand in what is given.
    def notices(self) -> Sequence[Incident]:
        """What was found last, and what people were told of it, by subject."""

    def tell(
        self,
        incident: Incident | None,
        owed: Sequence[Owed] = (),
        events: Sequence[Event] = (),
    ) -> None:
        """Keep what was found and told, and what channels have to send for it.

        What was sent already with the same key and body is not owed again.
        """

    def board(self) -> Board:
        """The troubles that stand, and who heard of them."""

    def report(
        self, board: Board, owed: Sequence[Owed] = (), events: Sequence[Event] = ()
    ) -> None:
        """Keep a board, and what channels have to send for it."""

    def ended_since(
        self, since: datetime, schedules: Collection[str]
    ) -> Sequence[RunRecord]:
        """Runs that ended then or later, in that order, up to 10,000.

        Those that did not go well, and all of these schedules.
        """

    def unfinished(self, now: datetime) -> Sequence[Run]:
        """Runs that schedules owe, whose occurrence has come, and which have not ended."""

    def owed(self, channel: str) -> Sequence[Owed]:
        """What it still has to send, in the order of the next tries."""

    def given_up(self) -> Sequence[Owed]:
        """What no channel could send, of the last days; the newest first."""

    def tried(self, before: Owed, after: Owed) -> bool:
        """After a try. False, and nothing kept, where `before` was replaced meanwhile."""

    # Retention.
    def sweep(self, keep: timedelta, *, now: datetime, limit: int = 50) -> Swept:
        """Remove the oldest runs that ended longer ago, with all their rows.

        Up to `limit` in one transaction; once no run is left, the specs that nothing
        names any more. Gaps, pauses and events without a run stay for ever.
        """

    def blobs_in_use(
        self, stored: Sequence[str], keep: timedelta, *, now: datetime
    ) -> Collection[str]:
        """Of these hashes, those of files that are needed.

        What is served, and what a run needs that is open or ended within `keep`.
        """

    def blobs_needed(self, keep: timedelta, *, now: datetime) -> Mapping[str, str]:
        """Hash of each file that has to be stored -> whose it is, in words."""

    def restored(self, made: datetime, *, catch_up: bool, now: datetime) -> None:
        """It comes out of a backup made then: its leases are void.

        What was due since is caught up; or (without `catch_up`) becomes gaps, and
        runs that were open are cancelled, both with the reason "restored".
        """

    # History.
    def note(self, events: Sequence[Event]) -> None: ...

    def run(self, run_id: str) -> RunRecord | None: ...

    def records(self, run_ids: Sequence[str]) -> Mapping[str, RunRecord]:
        """By run id; of those that there are."""

    def delivery(self, key: DeliveryKey) -> Delivery | None:
        """One of a run, which may have thousands."""

    def runs(
        self,
        *,
        schedule: str | None = None,
        status: RunStatus | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
    ) -> Sequence[RunRecord]:
        """Those with an occurrence in [since, until], the newest first."""

    def run_spec(self, run_id: str) -> RunSpec | None:
        """What it runs, or ran."""

    def events(self, run_id: str) -> Sequence[Event]: ...

    def gaps(self, schedule: str) -> Sequence[GapRow]: ...

    def last_delivered(self, schedule_uid: str) -> RunRecord | None:
        """The newest run that succeeded as its Schedule says, nothing left out."""

    def last_rows_digest(self, schedule_uid: str) -> str | None:
        """Digest of the rows last delivered whole, for `if_unchanged`."""

    def open_runs(self) -> int:
        """Runs that run, or will go on by themselves: not those that a pause holds."""

    def census(self, *, now: datetime) -> Census:
        """How many of what, cheaply: whoever watches asks every few seconds."""

    def broken_invariants(self, *, now: datetime) -> Sequence[str]:
        """A sentence for each invariant that does not hold (`boe doctor`)."""

    def wait_for_change(self, timeout: float) -> bool:
        """Up to `timeout` seconds; True as soon as somebody may have written."""

    def close(self) -> None: ...
