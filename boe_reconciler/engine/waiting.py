"""`wait_for`: is all there that a run waits for?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from boe_reconciler.core import waits
from boe_reconciler.core.errors import Temporary
from boe_reconciler.core.resources.schedule import (
    WaitForFile,
    WaitForQuery,
    WaitForSchedule,
)
from boe_reconciler.core.runs import RunStatus
from boe_reconciler.core.waits import Condition, Missing
from boe_reconciler.engine.export import holds
from boe_reconciler.engine.job import Job

#: A file that was written to more recently may still be growing.
SETTLED = timedelta(seconds=30)
#: A reason, and how long until it may have gone; None: as long as `every` says.
_Lack = tuple[str, timedelta | None]


def missing(job: Job) -> list[Missing]:
    """All that is not there, looked at now. Temporary where that cannot be found out."""
    now = job.tools.clock.now()
    return [
        Missing(
            condition=one,
            what=lack[0],
            again=_again(one, lack[1], job, now),
            deadline=waits.deadline(one, job.run, now),
        )
        for one in job.spec.wait_for
        if (lack := _lack(job, one, now)) is not None
    ]


def _again(
    condition: Condition, soon: timedelta | None, job: Job, now: datetime
) -> datetime:
    pause = condition.every if soon is None else min(soon, condition.every)
    return min(now + pause, waits.deadline(condition, job.run, now))


def _lack(job: Job, condition: Condition, now: datetime) -> _Lack | None:
    """What is wanting; None where it is there."""
    match condition:
        case WaitForQuery():
            return None if holds(job, condition.query) else ("its query", None)
        case WaitForFile():
            return _file(job, condition, now)
        case WaitForSchedule():
            return _schedule(job, condition)


# --- Schedules ----------------------------------------------------------------


def _schedule(job: Job, condition: WaitForSchedule) -> _Lack | None:
    since, until = waits.local_day(job.run.occurrence, job.spec.timezone)
    done = job.tools.ledger.runs(
        schedule=condition.schedule,
        status=RunStatus.SUCCEEDED,
        since=since,
        until=until,
    )
    if any(one.run.whole for one in done):
        return None
    day = since.astimezone(job.zone).date()
    return f"{condition.schedule} of {day}, which has not succeeded", None


# --- Files --------------------------------------------------------------------


def _file(job: Job, condition: WaitForFile, now: datetime) -> _Lack | None:
    """All that the pattern finds have to be there: not empty, and at rest."""
    pattern = job.filled(condition.file)
    what = f"the file {pattern}"
    try:
        found = list(_found(job.tools.data_root, pattern))
        lacks = [lack for path in found if (lack := _unfinished(path, now))]
    except OSError as error:
        text = (
            f"Whether {what} is there cannot be found out: {error.strerror or error}."
        )
        raise Temporary("file_unreadable", text) from error
    if not found:
        return what, None
    return (f"{what}, {lacks[0][0]}", lacks[0][1]) if lacks else None


def _found(root: Path, pattern: str) -> Iterator[Path]:
    """Nothing outside the root, wherever links lead."""
    home = root.resolve()
    for path in sorted(home.glob(pattern)):
        if path.is_file() and path.resolve().is_relative_to(home):
            yield path


def _unfinished(path: Path, now: datetime) -> _Lack | None:
    status = path.stat()
    if status.st_size == 0:
        return "which is empty", None
    age = now - datetime.fromtimestamp(status.st_mtime, UTC)
    if age < SETTLED:
        return "which was written to just now", SETTLED - age
    return None
