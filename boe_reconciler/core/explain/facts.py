"""What is known, and the form of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from boe_reconciler.core.wording import both

if TYPE_CHECKING:
    from boe_reconciler.core.calendar import Timetable
    from boe_reconciler.core.holds import Hold
    from boe_reconciler.core.limits import ConnectionState
    from boe_reconciler.core.runs import GapRow, Run, RunRecord, ScheduleState
    from boe_reconciler.core.spec import ObjectStatus, PlannedSchedule
    from boe_reconciler.core.whereabouts import Whereabouts

#: Every reason code -> what it means. A run that failed has the code of its error.
REASONS = {
    # What is in the files.
    "unknown_name": "No schedule and no run has this name.",
    "removed": "The schedule is no longer in the repo.",
    "invalid": "Its file has a mistake, and no older version is served.",
    "held": "A newer revision waits for a release, or for its time.",
    "older_version": "Its file cannot be used, so an older version of it is served.",
    "paused_in_git": "Its YAML says `paused: true`.",
    # What people decided at run time.
    "paused": "Somebody paused it, or it fell into a pause.",
    "paused_after_failures": "So many runs in a row failed that it was paused.",
    # Its timetable.
    "not_started": "Its `start_at` lies ahead.",
    "ended": "Its `end_at` is over.",
    "once_past": "All instants of its `once` are over.",
    "never_due": "It is not due any more.",
    # Who does it.
    "nobody_serves": "No process serves this state folder.",
    "clock_behind": "The clock shows a time before what was already done.",
    # What is going on.
    "running": "It is going on now.",
    "retry": "A try failed in a way that may pass; the next one comes by itself.",
    "delivery_retry": "A destination could not take the file yet.",
    "wait_for": "What its `wait_for` names was not there.",
    "approval": "Its files wait for a release by those whom its `approval` names.",
    "recipients": "It would go to many more, or fewer, than before: it waits for a release.",
    "jitter": "Its start is spread by its `jitter`.",
    "overlap": "The run before it still went on, or a newer one took its place.",
    "max_concurrent_runs": "As many of its runs go on as may at once.",
    "blackout": "Its Connection is left alone at that time.",
    "breaker_open": "Its Connection failed repeatedly and is left alone for a while.",
    "connection_limit": "Its Connection is in use by as many as may use it at once.",
    "rate_limit": "Its Connection may be used only so often.",
    "workers_busy": "All workers are busy with other runs.",
    "starting": "Nothing holds it back: it starts in a moment.",
    # When it is due.
    "day_off": "Its time falls on a day off of its Calendar.",
    "not_due": "Its time has not come yet.",
    "not_an_occurrence": "The schedule is not due at this time.",
    "before_first_activation": "The schedule was not served yet at this time, or its run "
    "is kept no longer.",
    # What became of a run.
    "succeeded": "It was built and delivered.",
    "dry_run": "It was built, and delivered to nobody.",
    "failed": "It failed.",
    "deadline": "It did not start by its `deadline`.",
    "catchup_window": "It was too old to be made up for.",
    "catchup_latest": "Nobody served; only the newest was made up for.",
    "catchup_max_runs": "Nobody served; only so many were made up for.",
    "catchup_none": "Nobody served, and it does not make up for that.",
    "only_if": "The query of its `only_if` did not give true.",
    "unchanged": "The rows were those that were delivered last.",
    "empty": "The report had no rows.",
    "cancelled": "Somebody cancelled it.",
    "poison": "Its worker vanished three times while doing only this.",
    "spec_unreadable": "Another version of BOE queued it.",
    "gave_up": "It was tried as often as it may be.",
    "unconfirmed": "A delivery was interrupted: it may have arrived.",
    "lost": "Its worker vanished; it is done again.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """One thing that may hold a run back."""

    gate: str
    passed: bool
    #: A key of REASONS, or the code of an error; "" where it passed.
    reason_code: str = ""
    #: file:line of the value that decides; None: no file decides it.
    place: str | None = None
    text: str = ""
    #: What becomes of the run if this is what decides.
    verdict: str = "will_run"

    @property
    def decides(self) -> bool:
        return not self.passed and self.verdict != "will_run"


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    verdict: str
    reason_code: str
    place: str | None
    text: str
    gates: Sequence[Gate]

    def as_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "reason_code": self.reason_code,
            "place": self.place,
            "text": self.text,
            "gates": [
                {
                    "gate": one.gate,
                    "passed": one.passed,
                    "reason_code": one.reason_code,
                    "place": one.place,
                    "text": one.text,
                }
                for one in self.gates
            ],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """All that is known of one schedule, and of one run of it."""

    now: datetime
    #: What was asked for: a schedule's name, or a run's id.
    asked: str
    name: str
    where: Whereabouts
    #: Names that may have been meant.
    known: Sequence[str] = ()
    status: ObjectStatus | None = None
    #: The Problem that keeps its file from being used: its place and its sentence.
    problem: tuple[str, str] | None = None
    #: What lets nothing of a newer revision be served until somebody releases it.
    hold: Hold | None = None
    #: A file that cannot be read, and may hold what was asked for.
    unreadable: str | None = None
    planned: PlannedSchedule | None = None
    timetable: Timetable | None = None
    #: Whether there is a state folder; without one only the files are known.
    has_state: bool = False
    state: ScheduleState | None = None
    #: Whether the ledger knows runs of it although it is gone.
    was_there: bool = False
    served_by: str | None = None
    clock_behind: datetime | None = None
    #: The run that was asked for, or the one of the schedule that is open and due.
    record: RunRecord | None = None
    #: Its last run that ended.
    last: RunRecord | None = None
    #: Runs of the schedule that are running.
    running: Sequence[Run] = ()
    #: How many runs are running in all, and how many may.
    busy: int = 0
    workers: int = 1
    connection: ConnectionState | None = None
    #: The instant that a run id names, where there is no such run.
    occurrence: datetime | None = None
    gaps: Sequence[GapRow] = ()

    @property
    def zone(self) -> str:
        return self.timetable.timezone if self.timetable else "UTC"

    @property
    def next(self) -> datetime | None:
        return self.timetable.next(self.now) if self.timetable else None

    @property
    def run(self) -> Run | None:
        return self.record.run if self.record else None

    def when(self, moment: datetime) -> str:
        return both(moment, self.zone)

    def place(self, *path: str | int) -> str | None:
        return self.where.place("Schedule", self.name, *path)
