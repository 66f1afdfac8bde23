"""One run: prepare, gate, export, deliver, record."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from boe_reconciler.core import retry
from boe_reconciler.core.errors import (
    Cancelled,
    LeaseLost,
    Permanent,
    RunError,
    Temporary,
)
from boe_reconciler.core.outcome import Verdict, verdict
from boe_reconciler.core.ports import Claimed
from boe_reconciler.core.prepare import prepare
from boe_reconciler.core.runs import AttemptStatus, RunRecord, RunStatus
from boe_reconciler.engine.cancel import CancelToken, Drained
from boe_reconciler.engine.deliver import deliver, owed
from boe_reconciler.engine.export import Exported, export, holds
from boe_reconciler.engine.job import Job, Tools

log = logging.getLogger(__name__)
_COUNTED = (AttemptStatus.RETRY, AttemptStatus.FAILED)


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
            log.warning("lease_lost", extra={"run_id": claimed.claim.run_id})
        except Drained:
            self._give_back(claimed)

    def _steps(self, claimed: Claimed, cancel: CancelToken) -> None:
        with self._job(claimed, cancel) as job:
            if not claimed.record.artifacts and not self._build(job):
                return
            self._deliver(job)

    # --- The steps ------------------------------------------------------------

    @contextmanager
    def _job(self, claimed: Claimed, cancel: CancelToken) -> Iterator[Job]:
        """Prepare: parameters, period, a folder for unfinished files."""
        claim, run = claimed.claim, claimed.record.run
        prepared = prepare(
            claimed.spec,
            run_id=run.run_id,
            occurrence=run.occurrence,
            options=run.options,
        )
        folder = self._tools.scratch / f"{claim.run_id}.{claim.fence}"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield Job(
                tools=self._tools,
                claimed=claimed,
                cancel=cancel,
                prepared=prepared,
                folder=folder,
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _build(self, job: Job) -> bool:
        """One attempt: gate, export, commit. False when the run ended at a gate."""
        self._tools.ledger.begin_attempt(job.claimed.claim, now=self._now())
        reason = self._gate(job)
        if reason is None:
            exported = export(job)
            reason = self._unchanged(job, exported)
        if reason is not None:
            self._end_attempt(job.claimed, AttemptStatus.SUCCEEDED)
            self._finish(job.claimed, reason)
            return False
        self._commit(job, exported)
        return True

    def _gate(self, job: Job) -> Verdict | None:
        condition = job.spec.only_if
        if condition is None or holds(job, condition.query):
            return None
        return _skipped("only_if", "The query of only_if did not give true.")

    def _unchanged(self, job: Job, exported: Exported) -> Verdict | None:
        if job.spec.if_unchanged == "send" or job.run.options.dry_run:
            return None
        last = self._tools.ledger.last_rows_digest(job.run.schedule)
        if exported.rows_digest != last:
            return None
        return _skipped("unchanged", "The rows are those that were last delivered.")

    def _commit(self, job: Job, exported: Exported) -> None:
        artifacts = [
            replace(artifact, rows_digest=exported.rows_digest)
            for artifact in exported.artifacts
        ]
        job.cancel.check()
        self._tools.ledger.commit_artifacts(
            job.claimed.claim, artifacts, owed(job, artifacts), now=self._now()
        )

    def _deliver(self, job: Job) -> None:
        """Deliver what is open, then record: a final state, or a wait for the next try."""
        record = self._record(job.claimed)
        until = deliver(job, record.artifacts, record.deliveries)
        if until is not None:
            self._tools.ledger.wait(
                job.claimed.claim,
                until,
                "delivery_retry",
                "A destination could not take the file yet.",
                now=self._now(),
            )
            return
        record = self._record(job.claimed)
        self._finish(job.claimed, self._verdict(record), _rows(record))

    def _verdict(self, record: RunRecord) -> Verdict:
        if record.run.options.dry_run:
            return Verdict(
                status=RunStatus.SUCCEEDED,
                reason="dry_run",
                message="Built, and delivered to nobody.",
            )
        return verdict(record.deliveries)

    # --- When a step fails ----------------------------------------------------

    @contextmanager
    def _reported(self, claimed: Claimed) -> Iterator[None]:
        """Every failure of a step ends up in the ledger, with its reason."""
        try:
            yield
        except (LeaseLost, Drained):
            raise
        except Cancelled as stop:
            self._fail(claimed, stop, RunStatus.CANCELLED)
        except Temporary as error:
            self._retry(claimed, error)
        except Permanent as error:
            self._fail(claimed, error, RunStatus.FAILED)
        except OSError as error:
            # The scratch folder or the Blobs store: a full disk may be emptied.
            self._retry(claimed, Temporary("disk_error", f"Writing failed: {error}."))
        except Exception as error:
            log.exception("run_crashed", extra={"run_id": claimed.claim.run_id})
            text = f"BOE itself failed: {type(error).__name__}: {error}"
            self._fail(claimed, Permanent("internal", text), RunStatus.FAILED)

    def _retry(self, claimed: Claimed, error: Temporary) -> None:
        attempts = self._record(claimed).attempts
        tries = 1 + sum(one.status in _COUNTED for one in attempts)
        policy = claimed.spec.execution.retry
        if tries > policy.max_retries:
            text = f"Given up after {tries} attempts: {error.message}"
            gave_up = Permanent("gave_up", text, error.help)
            self._fail(claimed, gave_up, RunStatus.FAILED)
            return
        delay = retry.delay(
            tries,
            initial=policy.initial,
            most=policy.max,
            random=self._tools.random(),
        )
        now = self._now()
        until = now + max(delay, error.delay or timedelta())
        self._end_attempt(claimed, AttemptStatus.RETRY, error)
        text = self._text(error)
        self._tools.ledger.wait(claimed.claim, until, error.reason, text, now=now)

    def _fail(self, claimed: Claimed, error: RunError, status: RunStatus) -> None:
        ended = (
            AttemptStatus.CANCELLED
            if status is RunStatus.CANCELLED
            else AttemptStatus.FAILED
        )
        self._end_attempt(claimed, ended, error)
        text = self._text(error)
        self._finish(claimed, Verdict(status=status, reason=error.reason, message=text))

    # --- Small words ----------------------------------------------------------

    def _end_attempt(
        self, claimed: Claimed, status: AttemptStatus, error: RunError | None = None
    ) -> None:
        """Close the attempt that is open, if one is: a delivery has none."""
        attempts = self._record(claimed).attempts
        if not attempts or attempts[-1].status is not AttemptStatus.RUNNING:
            return
        reason, text = (error.reason, self._text(error)) if error else ("", "")
        self._tools.ledger.end_attempt(
            claimed.claim, status, reason, text, now=self._now()
        )

    def _finish(self, claimed: Claimed, end: Verdict, rows: int | None = None) -> None:
        self._tools.ledger.finish(
            claimed.claim,
            end.status,
            end.reason,
            end.message,
            rows=rows,
            now=self._now(),
        )
        level = logging.ERROR if end.status is RunStatus.FAILED else logging.INFO
        log.log(
            level,
            "run_finished",
            extra={
                "run_id": claimed.claim.run_id,
                "status": end.status.value,
                "reason": end.reason,
            },
        )

    def _give_back(self, claimed: Claimed) -> None:
        try:
            self._tools.ledger.give_back(claimed.claim, now=self._now())
        except LeaseLost:
            log.warning("lease_lost", extra={"run_id": claimed.claim.run_id})

    def _record(self, claimed: Claimed) -> RunRecord:
        return self._tools.ledger.run(claimed.claim.run_id) or claimed.record

    def _text(self, error: RunError) -> str:
        text = f"{error.message} {error.help}".strip()
        return self._tools.backends.redact(text)

    def _now(self) -> datetime:
        return self._tools.clock.now()


def _skipped(reason: str, message: str) -> Verdict:
    return Verdict(status=RunStatus.SKIPPED, reason=reason, message=message)


def _rows(record: RunRecord) -> int | None:
    return record.artifacts[0].rows if record.artifacts else None
