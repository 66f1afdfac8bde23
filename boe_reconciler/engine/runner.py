"""One run: prepare, gate, export, deliver, record."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta

from boe_reconciler.core import approval, burst, manifest, retry, waits
from boe_reconciler.core.errors import (
    Cancelled,
    LeaseLost,
    Permanent,
    RunError,
    Temporary,
)
from boe_reconciler.core.facts import AttemptBegun, RunEnded, RunPutOff
from boe_reconciler.core.holds import HoldKind, Wait
from boe_reconciler.core.outcome import EMPTY, Ending, Verdict
from boe_reconciler.core.ports import Claimed
from boe_reconciler.core.prepare import prepare
from boe_reconciler.core.runs import DeliveryStatus, RunRecord, RunStatus
from boe_reconciler.core.spec import RunSpec
from boe_reconciler.core.waits import Missing
from boe_reconciler.engine import waiting
from boe_reconciler.engine.cancel import CancelToken, Drained
from boe_reconciler.engine.deliver import Again, Later, deliver, leaves
from boe_reconciler.engine.export import Exported, export, holds
from boe_reconciler.engine.job import Job, Tools
from boe_reconciler.engine.made import LEFT_OUT, Keep, Made, kept
from boe_reconciler.engine.owing import owed, wanted

log = logging.getLogger(__name__)


_SAME_ROWS = "The rows are those that were last delivered."
#: Reasons of Temporary errors that tell of a source that is down, busy or too slow.
_SOURCE_FAILURES = frozenset(
    "database_unreachable database_busy database_conflict database_full database_io "
    "database_broken timeout".split()
)


class Runner:
    """Does claimed runs, one a call; safe to use from several threads."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def run(self, claimed: Claimed, cancel: CancelToken) -> None:
        """Bring the run as far as it goes now: to its end, or to a wait."""
        try:
            with self._reported(claimed):
                self._steps(claimed, cancel)
        except LeaseLost:
            log.warning("lease_lost", extra=_about(claimed))
        except Exception:
            # Not even its end could be written: the lease runs out, and it goes on.
            log.exception("run_left", extra=_about(claimed))

    def _steps(self, claimed: Claimed, cancel: CancelToken) -> None:
        with self._job(claimed, cancel) as job:
            if claimed.record.artifacts:
                self._go_on(job, claimed.record)
            elif self._waited(job):
                made = self._build(job)
                if made is not None:
                    self._hand_over(job, made)

    # --- The steps ------------------------------------------------------------

    @contextmanager
    def _job(self, claimed: Claimed, cancel: CancelToken) -> Iterator[Job]:
        """Prepare: parameters and period. Of its unfinished files none is left."""
        run = claimed.record.run
        prepared = prepare(
            claimed.spec,
            run_id=run.run_id,
            occurrence=run.occurrence,
            options=run.options,
        )
        job = Job(
            tools=self._tools,
            claimed=claimed,
            cancel=cancel,
            prepared=prepared,
            built_by=self._built_by(claimed),
        )
        try:
            yield job
        finally:
            for path in job.unfinished:
                with suppress(OSError):
                    path.unlink()

    def _waited(self, job: Job) -> bool:
        """Look for what it waits for. False when it goes on waiting, or has ended."""
        if not job.spec.wait_for or job.run.options.dry_run:
            return True
        self._limit(job)
        try:
            with self._source_watched(job):
                missing = waiting.missing(job)
        except Temporary:
            # A look that fails counts as a try of the export: it is not a "no".
            self._begin(job)
            raise
        return self._all_there(job, missing)

    def _all_there(self, job: Job, missing: list[Missing]) -> bool:
        now = self._now()
        failing = waits.over(missing, "fail", now)
        if failing:
            text = f"It waited in vain for {waits.names(failing)}."
            raise Permanent(waits.REASON, text)
        skipping = waits.over(missing, "skip", now)
        if skipping:
            text = f"It waited in vain for {waits.names(skipping)}."
            self._finish(job.claimed, _skipped(waits.REASON, text))
            return False
        left = self._without(job, missing, waits.over(missing, "send_with_note", now))
        if left:
            again = min(one.again for one in left)
            text = waits.told(left, job.spec.timezone)
            self._put_off(job, again, waits.REASON, text)
        return not left

    def _without(
        self, job: Job, missing: list[Missing], noted: list[Missing]
    ) -> list[Missing]:
        """Go on without some of it: the note of each is kept with the run, once."""
        known = waits.notes(self._tools.ledger.events(job.run.run_id)) if noted else ()
        for one in noted:
            note = one.note(job.spec.timezone)
            if note not in known:
                job.note(waits.NOTE, note)
        return [one for one in missing if one not in noted]

    def _built_by(self, claimed: Claimed) -> str:
        """Files that are there already may be those of an older BOE."""
        known = None
        if claimed.record.artifacts:
            known = manifest.recorded(self._tools.ledger.events(claimed.claim.run_id))
        return known[0] if known else self._tools.version

    def _build(self, job: Job) -> Made | None:
        """One attempt: gate, export. None when the run ended at a gate."""
        self._begin(job)
        with self._source_watched(job):
            reason = self._gate(job)
            if reason is None:
                exported = export(job)
                reason = _no_parts(job, exported)
                unchanged = self._unchanged(job, exported)
                if unchanged and job.spec.if_unchanged == "skip":
                    reason = _skipped("unchanged", _SAME_ROWS)
        if reason is not None:
            self._finish(job.claimed, reason)
            return None
        return self._made(job, exported, unchanged=unchanged)

    def _begin(self, job: Job) -> None:
        if not job.claimed.begun:
            self._tools.ledger.begin_attempt(
                job.claimed.claim, parameters=job.parameters, now=self._now()
            )
        self._tools.observe(AttemptBegun(claimed=job.claimed))
        self._limit(job)
        self._tools.scratch.mkdir(parents=True, exist_ok=True)

    def _limit(self, job: Job) -> None:
        """From now on it has as long as one try may take."""
        timeout = job.spec.execution.timeout.total_seconds()
        job.cancel.deadline = self._tools.clock.monotonic() + timeout

    def _gate(self, job: Job) -> Verdict | None:
        if not job.run.options.dry_run:
            wanted(job)
        condition = job.spec.only_if
        if condition is None or holds(job, condition.query):
            return None
        return _skipped("only_if", "The query of only_if did not give true.")

    def _unchanged(self, job: Job, exported: Exported) -> bool:
        """Whether the rows are those of last time, and that makes a difference."""
        if job.spec.if_unchanged == "send" or job.run.options.dry_run:
            return False
        last = self._tools.ledger.last_rows_digest(job.run.schedule_uid)
        return exported.rows_digest == last

    def _made(self, job: Job, exported: Exported, *, unchanged: bool) -> Made:
        artifacts = [
            replace(artifact, rows_digest=exported.rows_digest)
            for artifact in exported.artifacts
        ]
        job.cancel.check()
        due = owed(job, artifacts, unchanged=unchanged)
        return Made(job, artifacts, due, exported.left_out)

    def _hand_over(self, job: Job, made: Made) -> None:
        if made.goes_at_once:
            self._deliver(job, made.foreseen(), made.keep)
        else:
            self._go_on(job, made.kept())

    def _go_on(self, job: Job, record: RunRecord) -> None:
        if self._expected(job, record) and self._approved(job, record):
            self._deliver(job, record)

    def _expected(self, job: Job, record: RunRecord) -> bool:
        """False when a burst that reaches many more, or fewer, waits for a release."""
        wish = job.spec.burst
        if wish is None or not job.run.options.whole or _begun(record):
            return True
        last = self._tools.ledger.last_delivered(job.run.schedule_uid)
        before = _reach(last) if last else None
        if before is None or not before.parts or not leaves(job, record):
            return True
        text = burst.jump(before, _reach(record), wish.max_change)
        return not text or self._released(
            job, Wait(kind=HoldKind.RECIPIENTS, subject=job.run.run_id, message=text)
        )

    def _released(self, job: Job, wait: Wait) -> bool:
        if self._tools.ledger.await_release(job.claimed.claim, wait, now=self._now()):
            return True
        self._tools.observe(RunPutOff(reason=wait.kind.value))
        return False

    def _approved(self, job: Job, record: RunRecord) -> bool:
        """False when its files wait for somebody's release."""
        wanted_by = job.spec.approval
        if wanted_by is None or not leaves(job, record):
            return True
        zone, now = job.spec.timezone, self._now()
        wait = approval.wait(wanted_by, job.run.run_id, zone, now)
        return self._released(job, wait)

    def _deliver(self, job: Job, record: RunRecord, keep: Keep = kept) -> None:
        """Deliver what is open. The run ends with the last of it, or waits for a try."""
        self._limit(job)
        ending = Ending(rows=_rows(job, record), addition=self._left_out(job))

        def tell(end: Verdict) -> None:
            self._tell(job.claimed, end, ending.rows)

        try:
            came = deliver(job, record, ending, tell, keep)
        finally:
            keep(None)  # whatever came before its first word
        if isinstance(came, Later):
            text = self._tools.backends.redact(came.message)
            self._put_off(job, came.until, came.reason, text)
        elif came is None:
            end = self._verdict(self._record(job.claimed), ending)
            self._finish(job.claimed, end, ending.rows)

    def _left_out(self, job: Job) -> str:
        """It is said of the run, too, that rows of a burst went to nobody."""
        if job.spec.burst is None:
            return ""
        events = self._tools.ledger.events(job.run.run_id)
        return "".join([one.message for one in events if one.action == LEFT_OUT][-1:])

    def _verdict(self, record: RunRecord, ending: Ending) -> Verdict:
        if record.run.options.dry_run:
            return Verdict(
                status=RunStatus.SUCCEEDED,
                reason="dry_run",
                message="Built, and delivered to nobody.",
            )
        return ending.of(record.deliveries)

    def _put_off(self, job: Job, until: datetime, reason: str, message: str) -> None:
        self._tools.ledger.wait(
            job.claimed.claim, until, reason, message, now=self._now()
        )
        self._tools.observe(RunPutOff(reason=reason))

    # --- When a step fails ----------------------------------------------------

    @contextmanager
    def _source_watched(self, job: Job) -> Iterator[None]:
        """A failure of the source that may pass counts for its circuit breaker."""
        try:
            yield
        except Temporary as error:
            if error.reason in _SOURCE_FAILURES:
                # A time-out that is our own is not the server's.
                job.cancel.check()
                self._source_failed(job, error)
            raise

    def _source_failed(self, job: Job, error: Temporary) -> None:
        events = self._tools.ledger.used(
            job.spec.connection_name,
            failure=self._text(error),
            run_id=job.run.run_id,
            now=self._now(),
        )
        for event in events:
            log.warning(event.action, extra={"detail": event.message})

    @contextmanager
    def _reported(self, claimed: Claimed) -> Iterator[None]:
        """Every failure of a step ends up in the ledger, with its reason."""
        try:
            yield
        except LeaseLost:
            raise
        except Drained:
            self._tools.ledger.give_back(claimed.claim, now=self._now())
        except Cancelled as stop:
            self._fail(claimed, stop, RunStatus.CANCELLED)
        except Temporary as error:
            self._retry(claimed, error)
        except Permanent as error:
            self._fail(claimed, error)
        except OSError as error:
            # The scratch folder or the Blobs store: a full disk may be emptied.
            self._retry(claimed, Temporary("disk_error", f"Writing failed: {error}."))
        except Exception as error:
            log.exception("run_crashed", extra=_about(claimed))
            text = f"BOE itself failed: {type(error).__name__}: {error}"
            self._fail(claimed, Permanent("internal", text))

    def _retry(self, claimed: Claimed, error: Temporary) -> None:
        record, now = self._record(claimed), self._now()
        next_try = _next_delivery if record.artifacts else _next_export
        until = next_try(claimed.spec, record, error, now, self._tools.random())
        if until is None:
            text = f"Given up: {error.message}"
            self._fail(claimed, Permanent("gave_up", text, error.help))
            return
        text = self._text(error)
        self._tools.ledger.wait(claimed.claim, until, error.reason, text, now=now)
        self._tools.observe(RunPutOff(reason=error.reason))

    def _fail(
        self, claimed: Claimed, error: RunError, status: RunStatus = RunStatus.FAILED
    ) -> None:
        if status is RunStatus.FAILED and _accepted(self._record(claimed)):
            status = RunStatus.PARTIAL
        text = self._text(error)
        self._finish(claimed, Verdict(status=status, reason=error.reason, message=text))

    # --- Small words ----------------------------------------------------------

    def _finish(self, claimed: Claimed, end: Verdict, rows: int | None = None) -> None:
        self._tools.ledger.finish(
            claimed.claim,
            end.status,
            end.reason,
            end.message,
            rows=rows,
            now=self._now(),
        )
        self._tell(claimed, end, rows)

    def _tell(self, claimed: Claimed, end: Verdict, rows: int | None) -> None:
        run = claimed.record.run
        took = self._now() - (run.started_at or run.created_at)
        self._tools.observe(
            RunEnded(
                claimed=claimed,
                status=end.status,
                reason=end.reason,
                message=end.message,
                rows=rows,
                seconds=max(took.total_seconds(), 0.0),
            )
        )
        level = logging.ERROR if end.status is RunStatus.FAILED else logging.INFO
        log.log(
            level,
            "run_finished",
            extra={
                **_about(claimed),
                "status": end.status.value,
                "reason": end.reason,
            },
        )

    def _record(self, claimed: Claimed) -> RunRecord:
        return self._tools.ledger.run(claimed.claim.run_id) or claimed.record

    def _text(self, error: RunError) -> str:
        return self._tools.backends.redact(error.told)

    def _now(self) -> datetime:
        return self._tools.clock.now()


def _about(claimed: Claimed) -> dict[str, str]:
    """What a log line says of it first."""
    run = claimed.record.run
    return {"run_id": run.run_id, "schedule": run.schedule}


def _skipped(reason: str, message: str) -> Verdict:
    return Verdict(status=RunStatus.SKIPPED, reason=reason, message=message)


def _no_parts(job: Job, exported: Exported) -> Verdict | None:
    """A burst of nobody is over. Permanent `no_parts` where that was not to be."""
    wish = job.spec.burst
    if wish is None or exported.artifacts:
        return None
    if (wish.if_empty or job.spec.if_empty) == "skip":
        return _skipped(EMPTY, "The burst has no parts: nobody gets a file.")
    raise Permanent(
        "no_parts",
        "The burst has no parts: nobody gets a file.",
        "Look at where its parts come from; `if_empty: skip` ends such a run as skipped.",
    )


def _begun(record: RunRecord) -> bool:
    return any(one.attempts for one in record.deliveries)


def _reach(record: RunRecord) -> burst.Reach:
    keys = {one.key for one in record.artifacts} - {"-"}
    people = {one.key.recipient for one in record.deliveries} - {"-"}
    return burst.Reach(parts=keys, recipients=people)


def _rows(job: Job, record: RunRecord) -> int | None:
    """What the first format's files hold together."""
    first = [one for one in record.artifacts if job.format_of(one) == job.formats[0]]
    return sum(one.rows for one in first) if first else None


def _accepted(record: RunRecord) -> bool:
    return any(one.status is DeliveryStatus.ACCEPTED for one in record.deliveries)


def _next_export(
    spec: RunSpec, record: RunRecord, error: Temporary, now: datetime, random: float
) -> datetime | None:
    """When to export again; None when all attempts are used up."""
    run, policy = record.run, spec.execution.retry
    if run.attempts >= run.max_attempts:
        return None
    tries = max(run.attempts, 1)
    delay = retry.delay(tries, initial=policy.initial, most=policy.max, random=random)
    return now + max(delay, error.delay or timedelta())


def _next_delivery(
    spec: RunSpec, record: RunRecord, error: Temporary, now: datetime, random: float
) -> datetime | None:
    """When to go on delivering; None when the time for it is over."""
    again = Again.of_open(record.deliveries, error.delay or timedelta(), now)
    return again.at(spec.execution.delivery_retry, now, random)
