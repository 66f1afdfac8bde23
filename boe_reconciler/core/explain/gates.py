"""What may hold a run back: a function for each, None where it does not."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from boe_reconciler.core.calendar import compile_when
from boe_reconciler.core.explain.facts import Facts, Gate
from boe_reconciler.core.holds import Hold
from boe_reconciler.core.language.suggest import did_you_mean
from boe_reconciler.core.limits import blackout_end
from boe_reconciler.core.resources.others import CalendarSpec, DaysOff
from boe_reconciler.core.runs import Delivery, Pause, PauseTarget, Run, RunStatus
from boe_reconciler.core.spec import PlannedSchedule
from boe_reconciler.core.waits import REASON as WAITS
from boe_reconciler.core.wording import sentence

# --- The files ----------------------------------------------------------------------


def exists(facts: Facts) -> Gate | None:
    known = facts.planned is not None or facts.status is not None
    return None if known else unknown(facts)


def unknown(facts: Facts) -> Gate:
    """No schedule has the name, or none any more."""
    if facts.was_there:
        return Gate(
            gate="exists",
            passed=False,
            reason_code="removed",
            verdict="will_not_run",
            text=f"{facts.name} was removed from the repo, so it runs no more. Put its "
            "file back to have it run again.",
        )
    maybe = did_you_mean(facts.asked, facts.known, "`boe status` lists the schedules")
    text = f'There is no schedule and no run "{facts.asked}": {maybe}'
    if facts.unreadable:
        text += f". Or it is in {facts.unreadable}, which cannot be read"
    return Gate(
        gate="exists",
        passed=False,
        reason_code="unknown_name",
        place=facts.unreadable,
        verdict="unknown",
        text=sentence(text),
    )


def file(facts: Facts) -> Gate | None:
    status = facts.status
    if status is None or status.ready:
        return None
    if facts.hold and status.reason in ("ChangeWindow", "Refused"):
        return _held(facts, facts.hold)
    place, why = facts.problem or (facts.place(), status.message)
    if facts.planned is None:
        return Gate(
            gate="file",
            passed=False,
            reason_code="invalid",
            place=place,
            verdict="will_not_run",
            text=f"It cannot run because of a mistake at {place}: {why}. Correct it there.",
        )
    text = f"Its file cannot be used because of {place}: {why}."
    served = _short(status.serving_revision or "")
    text += f" Until that is corrected, the last good version ({served}) goes on."
    due = facts.next
    if due is not None:
        text += f" That one is due on {facts.when(due)}."
    return Gate(
        gate="file", passed=False, reason_code="older_version", place=place, text=text
    )


def _held(facts: Facts, hold: Hold) -> Gate:
    """Nothing is wrong with its file."""
    goes_on = "goes on as it is served" if facts.planned else "does not run"
    return Gate(
        gate="file",
        passed=False,
        reason_code="held",
        place=facts.place(),
        verdict="will_run" if facts.planned else "will_not_run",
        text=f"A newer revision is held: {hold.message} Until then it {goes_on}; "
        f"`boe release {hold.hold_id}` has that revision served now.",
    )


def _short(revision: str) -> str:
    """Enough of a revision to tell it from others."""
    kind, colon, digest = revision.rpartition(":")
    return f"{kind}{colon}{digest[:12]}"


# --- Pauses -------------------------------------------------------------------------


def paused_in_git(facts: Facts) -> Gate | None:
    if facts.planned is None or not facts.planned.paused or _asked_for(facts):
        return None
    place = facts.place("spec", "paused")
    return Gate(
        gate="paused_in_git",
        passed=False,
        reason_code="paused_in_git",
        place=place,
        verdict="will_not_run",
        text=f"It is paused in its files (`paused: true` at {place}). Remove that line "
        "to have it run; `boe trigger` runs it once by hand.",
    )


def paused(facts: Facts) -> Gate | None:
    pause = facts.state.pause if facts.state else None
    if pause is None or _asked_for(facts):
        return None
    ends = (
        f"It ends by itself on {facts.when(pause.until)}"
        if pause.until
        else "It lasts until somebody ends it"
    )
    resume = f"`boe resume {_resumed(pause)}` ends it."
    by_failures = pause.by == "boe"
    text = (
        f"It is paused because {pause.why}. Mend the cause, then {resume}"
        if by_failures
        else f"{pause.by} paused {_target(pause)} since {facts.when(pause.since)}: "
        f"{pause.why.rstrip('.')}. {ends}; {resume}"
    )
    rule = ("spec", "execution", "pause_after_failures")
    return Gate(
        gate="paused",
        passed=False,
        reason_code="paused_after_failures" if by_failures else "paused",
        place=facts.place(*rule) if by_failures else None,
        verdict="will_not_run",
        text=text,
    )


def _target(pause: Pause) -> str:
    if pause.target is PauseTarget.SCHEDULE:
        return "it"
    if pause.target is PauseTarget.ALL:
        return "everything"
    return f"all with the {pause.target.value} {pause.value}"


def _resumed(pause: Pause) -> str:
    if pause.target is PauseTarget.SCHEDULE:
        return pause.value
    return f"--{pause.target.value} {pause.value}".rstrip()


def _asked_for(facts: Facts) -> bool:
    """What somebody asked for, and what has begun, is not held by a pause."""
    run = facts.run
    return run is not None and (not run.owed or run.started_at is not None)


# --- The timetable ------------------------------------------------------------------


def timetable(facts: Facts) -> Gate | None:
    planned = facts.planned
    if planned is None or facts.run is not None:
        return None
    when, due = planned.occurrences.when, facts.next
    if due is None:
        return _over(facts, planned)
    if when.start_at is None or facts.now >= when.start_at:
        return None
    place = facts.place("spec", "when", "start_at")
    return Gate(
        gate="timetable",
        passed=False,
        reason_code="not_started",
        place=place,
        text=f"It begins on {facts.when(when.start_at)} (`start_at` at {place}) and runs "
        f"first on {facts.when(due)}.",
    )


def _over(facts: Facts, planned: PlannedSchedule) -> Gate:
    when = planned.occurrences.when
    field_, code, text = next(
        found
        for given, found in (
            (when.end_at, ("end_at", "ended", "its `end_at` is over")),
            (when.once, ("once", "once_past", "all times of its `once` are over")),
            (True, ("when", "never_due", "it is not due any more")),
        )
        if given
    )
    path = ("spec", "when") if field_ == "when" else ("spec", "when", field_)
    place = facts.place(*path)
    return Gate(
        gate="timetable",
        passed=False,
        reason_code=code,
        place=place,
        verdict="will_not_run",
        text=f"It will not run again: {text} ({place}). Change that to have it run.",
    )


# --- Who does it --------------------------------------------------------------------


def serving(facts: Facts) -> Gate | None:
    if facts.served_by is not None or not facts.has_state:
        return None
    return Gate(
        gate="serving",
        passed=False,
        reason_code="nobody_serves",
        verdict="will_not_run",
        text="Nobody serves this folder, so nothing starts by itself. Start `boe run`; "
        "what was due meanwhile is made up for as its `catchup` says.",
    )


def clock(facts: Facts) -> Gate | None:
    behind = facts.clock_behind
    if behind is None:
        return None
    return Gate(
        gate="clock",
        passed=False,
        reason_code="clock_behind",
        verdict="will_not_run",
        text=f"The clock of this machine shows {facts.when(facts.now)}, but what was due "
        f"up to {facts.when(behind)} is already done. Nothing starts until it is right.",
    )


# --- What is going on ---------------------------------------------------------------


def going_on(facts: Facts) -> Gate | None:
    run = facts.run
    if run is None or run.status is not RunStatus.RUNNING:
        return None
    since = f" since {facts.when(run.started_at)}" if run.started_at else ""
    text = (
        f"{run.run_id} is running{since}. `boe show {run.run_id}` tells how far it is."
    )
    if run.cancel_requested:
        text = f"{run.run_id} was asked to stop and is about to end."
    return Gate(
        gate="running",
        passed=False,
        reason_code="running",
        verdict="running",
        text=text,
    )


def wait_for(facts: Facts) -> Gate | None:
    """What it waits for before it begins."""
    run = facts.run
    if run is None or run.status is not RunStatus.WAITING or run.reason != WAITS:
        return None
    place = facts.place("spec", "wait_for")
    at = f" (`wait_for` at {place})" if place else ""
    return Gate(
        gate="wait_for",
        passed=False,
        reason_code=WAITS,
        place=place,
        verdict="waits",
        text=f"{run.message.rstrip('.')}{at}. It looks again on "
        f"{facts.when(run.not_before)}, by itself.",
    )


def hold(facts: Facts) -> Gate | None:
    """Somebody has to release it."""
    run = facts.run
    if run is None or not run.held:
        return None
    path = _HELD_BY[run.reason]
    return Gate(
        gate="hold",
        passed=False,
        reason_code=run.reason,
        place=facts.place("spec", *path),
        verdict="waits",
        text=f"{run.message} `boe cancel {run.run_id}` ends it.",
    )


_HELD_BY = {"approval": ("approval",), "recipients": ("burst", "max_change")}


def waiting(facts: Facts) -> Gate | None:
    """A retry of the export or of a delivery, and what happened before it."""
    record = facts.record
    if record is None or record.run.status is not RunStatus.WAITING:
        return None
    if record.run.held or record.run.reason in (WAITS, "released"):
        return None
    run = record.run
    late = next((one for one in record.deliveries if one.next_attempt_at), None)
    if late is not None or run.reason == "delivery_retry":
        return _delivery_waits(facts, run, late)
    said = sentence(run.message or run.reason)
    return Gate(
        gate="retry",
        passed=False,
        reason_code="retry",
        place=facts.place("spec", "execution", "retry"),
        verdict="waits",
        text=f"Try {run.attempts} of {run.max_attempts} failed: {said} It is tried again "
        f"on {facts.when(run.not_before)}, by itself.",
    )


def _delivery_waits(facts: Facts, run: Run, late: Delivery | None) -> Gate:
    at = (late.next_attempt_at if late else None) or run.not_before
    to = late.key.destination if late else "A destination"
    said = sentence(late.message or late.reason) if late else ""
    return Gate(
        gate="retry",
        passed=False,
        reason_code="delivery_retry",
        place=facts.place("spec", "execution", "delivery_retry"),
        verdict="waits",
        text=f"The file is ready, but {to} could not take it yet: {said} It is tried "
        f"again on {facts.when(at)}, by itself.",
    )


def lost(facts: Facts) -> Gate | None:
    record = facts.record
    if record is None or record.run.status is not RunStatus.PENDING:
        return None
    last = record.attempts[-1] if record.attempts else None
    if last is None or last.reason != "lost":
        return None
    return Gate(
        gate="lost",
        passed=False,
        reason_code="lost",
        text="The process that did it vanished; it is done again in a moment, by itself.",
    )


def jitter(facts: Facts) -> Gate | None:
    run = _due(facts)
    if run is None or run.not_before <= facts.now or run.started_at is not None:
        return None
    place = facts.place("spec", "when", "jitter")
    return Gate(
        gate="jitter",
        passed=False,
        reason_code="jitter",
        place=place,
        verdict="waits",
        text=f"It was due on {facts.when(run.occurrence)}, and starts a little later, on "
        f"{facts.when(run.not_before)}: its `jitter` ({place}) spreads the load.",
    )


def overlap(facts: Facts) -> Gate | None:
    run = _due(facts)
    others = [one for one in facts.running if run and one.run_id != run.run_id]
    if run is None or not others:
        return None
    allowed = run.overlap == "allow_all"
    if allowed and (run.max_concurrent is None or len(others) < run.max_concurrent):
        return None
    field_ = "max_concurrent_runs" if allowed else "overlap"
    place = facts.place("spec", "execution", field_)
    other = others[0].run_id
    then = (
        "It is skipped" if run.overlap == "skip" and run.owed else "It waits for that"
    )
    return Gate(
        gate="overlap",
        passed=False,
        reason_code="max_concurrent_runs" if allowed else "overlap",
        place=place,
        verdict="waits",
        text=f"An earlier run still goes on: {other}. {then} (`{field_}` at {place}); "
        f"`boe cancel {other}` ends the earlier one.",
    )


def _due(facts: Facts) -> Run | None:
    """The run that is pending, if that is what this is about."""
    run = facts.run
    return run if run and run.status is RunStatus.PENDING else None


def connection(facts: Facts) -> Gate | None:
    if facts.planned is None or (facts.run and not _due(facts)):
        return None
    spec = facts.planned.spec
    at = facts.now if facts.run else facts.next
    end = blackout_end(spec.connection, at) if at else None
    if end is not None:
        starts = "It starts" if facts.run else "What is due then starts"
        return _held_by(
            facts,
            "blackout",
            ("blackouts",),
            f"is left alone until {facts.when(end)} (a blackout). {starts} right after.",
        )
    return _limited(facts)


def _limited(facts: Facts) -> Gate | None:
    """By what others do with the Connection just now."""
    now = facts.connection
    if now is None or not now.held_by or not _due(facts):
        return None
    until = f" until {facts.when(now.breaker_until)}" if now.breaker_until else ""
    often = (
        f" The next may start on {facts.when(now.next_by_rate)}."
        if now.next_by_rate
        else ""
    )
    tell = {
        "breaker_open": (
            ("circuit_breaker",),
            f"failed {_times(now.failures)} and is left alone{until}. The last "
            f"time it said: {sentence(now.cause)} It is tried again by itself.",
        ),
        "connection_limit": (
            ("max_concurrent",),
            f"is in use by {_runs(now.running)}, and no more than "
            f"{now.max_concurrent} may use it at once. It starts when one of them has read its rows.",
        ),
        "rate_limit": (("rate_limit",), f"may be used only so often.{often}"),
    }
    path, text = tell[now.held_by]
    return _held_by(facts, now.held_by, path, text)


def _by_deadline(facts: Facts) -> str:
    run = _due(facts)
    if run is None or run.expires is None or run.expires_reason != "deadline":
        return ""
    return f" If it has not started by {facts.when(run.expires)}, it is missed."


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times in a row"


def _runs(number: int) -> str:
    return "another run" if number == 1 else f"{number} runs"


def _held_by(facts: Facts, code: str, path: tuple[str, ...], text: str) -> Gate:
    assert facts.planned is not None  # noqa: S101 the callers looked
    name = facts.planned.spec.connection_name
    place = facts.where.place("Connection", name, "spec", *path)
    return Gate(
        gate="connection",
        passed=False,
        reason_code=code,
        place=place,
        verdict="waits",
        text=f"The Connection {name} {text}{_by_deadline(facts)}",
    )


def workers(facts: Facts) -> Gate | None:
    if not _due(facts) or facts.busy < facts.workers:
        return None
    return Gate(
        gate="workers",
        passed=False,
        reason_code="workers_busy",
        verdict="waits",
        text=f"All {facts.workers} workers are busy with other runs. It starts as soon as "
        "one is free; the setting BOE_WORKERS allows more at once."
        f"{_by_deadline(facts)}",
    )


# --- When it is due -----------------------------------------------------------------


def day_off(facts: Facts) -> Gate | None:
    """Where the next time of its `when` is one on which nobody works."""
    planned, due = facts.planned, facts.next
    if planned is None or due is None or facts.run is not None:
        return None
    nominal = nominal_next(planned, facts.now)
    if nominal is None or nominal >= due:
        return None
    place, why = day_off_entry(facts, planned, nominal)
    return Gate(
        gate="day_off",
        passed=False,
        reason_code="day_off",
        place=place,
        text=f"{why[0].upper()}{why[1:]}. It runs next on {facts.when(due)}.",
    )


def nominal_next(planned: PlannedSchedule, after: datetime) -> datetime | None:
    """When it would be due if there were no days off; None: it has no Calendar."""
    occurrences = planned.occurrences
    if occurrences.calendar is None:
        return None
    when = occurrences.when.model_copy(update={"calendar": None, "if_day_off": None})
    found = compile_when(
        when,
        default_timezone=occurrences.timezone,
        min_interval=timedelta(seconds=1),
    ).timetable
    return found.next(after) if found else None


def day_off_entry(
    facts: Facts, planned: PlannedSchedule, moment: datetime
) -> tuple[str | None, str]:
    """The place of what makes the day of an instant one off, and why, in words."""
    when, calendar = planned.occurrences.when, planned.occurrences.calendar
    day = moment.astimezone(ZoneInfo(planned.occurrences.timezone)).date()
    path, why = _entry(calendar or CalendarSpec(), day)
    rule = when.if_day_off or "skip"
    act = "leaves it out" if rule == "skip" else f"moves it to the {rule} working day"
    place = facts.where.place("Calendar", when.calendar or "", "spec", *path)
    at = f" ({place})" if place else ""
    return place, f"{day:%a %Y-%m-%d} is a day off{why}{at}; `if_day_off: {rule}` {act}"


def _entry(calendar: CalendarSpec, day: date) -> tuple[tuple[str | int, ...], str]:
    """Which entry of a Calendar makes a day one off, and what it says about it."""
    for number, off in enumerate(calendar.days_off):
        if not isinstance(off, DaysOff):
            if off == day:
                return ("days_off", number), ""
        elif off.from_ <= day <= off.to:
            return ("days_off", number), f", {off.why}" if off.why else ""
    return ("working_days",), f": {calendar.working_days} are the working days"


def time(facts: Facts) -> Gate | None:
    """The last word: nothing else holds it back."""
    run, due = facts.run, facts.next
    if run is not None and (run.held or run.reason == WAITS):
        return None
    if run is not None and facts.now < run.not_before:
        return Gate(
            gate="due",
            passed=False,
            reason_code="not_due",
            text=f"Its time has not come: it starts on {facts.when(run.not_before)}.",
        )
    if run is not None:
        return Gate(
            gate="due",
            passed=False,
            reason_code="starting",
            text="It is due, and nothing holds it back: it starts in a moment.",
        )
    if due is None:
        return None
    more = (
        ""
        if facts.has_state
        else " There is no state folder here, so what runs elsewhere is not known."
    )
    place = facts.place("spec", "when")
    return Gate(
        gate="due",
        passed=False,
        reason_code="not_due",
        place=place,
        text=f"Its next time is {facts.when(due)}.{more}",
    )
