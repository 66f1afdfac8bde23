"""What became of a run, and of an occurrence that has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from boe_reconciler.core.explain.facts import REASONS, Facts, Gate
from boe_reconciler.core.explain.gates import day_off_entry, nominal_next, unknown
from boe_reconciler.core.runs import DeliveryStatus, Run, RunRecord, RunStatus
from boe_reconciler.core.suppression import bounces, left_out
from boe_reconciler.core.wording import counted, one_line, sentence


def last_run(facts: Facts) -> Gate | None:
    """How the last run ended; it passes where that was well, for all that it is about."""
    if facts.last is None:
        return None
    last = facts.last.run
    how = ended(facts, last, record=facts.last)
    well = last.status in (RunStatus.SUCCEEDED, RunStatus.SKIPPED)
    return Gate(
        gate="last_run",
        passed=well and not _beside(facts.last),
        reason_code=how.reason_code,
        place=how.place,
        text=f"The last one, {last.run_id}: {how.text}",
    )


# --- A run that is over -------------------------------------------------------------

#: Reasons that an `execution` field or another part of the spec decides.
_DECIDED_BY = {
    "overlap": ("spec", "execution", "overlap"),
    "deadline": ("spec", "execution", "deadline"),
    "catchup_window": ("spec", "execution", "catchup_window"),
    "catchup_latest": ("spec", "execution", "catchup"),
    "catchup_max_runs": ("spec", "execution", "catchup_max_runs"),
    "catchup_none": ("spec", "execution", "catchup"),
    "only_if": ("spec", "only_if"),
    "wait_for": ("spec", "wait_for"),
    "unchanged": ("spec", "if_unchanged"),
    "empty": ("spec", "if_empty"),
    "gave_up": ("spec", "execution", "retry"),
}
_CONNECTION_FIELD = {
    "blackout": "blackouts",
    "breaker_open": "circuit_breaker",
    "connection_limit": "max_concurrent",
    "rate_limit": "rate_limit",
}


def ended(facts: Facts, run: Run, record: RunRecord | None = None) -> Gate:
    record = record or facts.record or RunRecord(run=run)
    code = run.reason or run.status.value
    return Gate(
        gate="outcome",
        passed=run.status is RunStatus.SUCCEEDED and code == "succeeded",
        reason_code=code,
        place=_decider(facts, code),
        verdict=run.status.value,
        text=_OUTCOMES[run.status](facts, record) + _beside(record),
    )


def _beside(record: RunRecord) -> str:
    """What its verdict does not tell: who lost the mail later, and who gets none."""
    return bounces(record.news) + left_out(record.deliveries)


def _decider(facts: Facts, code: str) -> str | None:
    if code in _DECIDED_BY:
        return facts.place(*_DECIDED_BY[code])
    if code in _CONNECTION_FIELD and facts.planned:
        name = facts.planned.spec.connection_name
        return facts.where.place("Connection", name, "spec", _CONNECTION_FIELD[code])
    return None


def _ended_at(facts: Facts, run: Run) -> str:
    return f" on {facts.when(run.finished_at)}" if run.finished_at else ""


def _succeeded(facts: Facts, record: RunRecord) -> str:
    run = record.run
    if run.options.dry_run:
        return f"It was built{_ended_at(facts, run)} and delivered to nobody, as asked for."
    places = [*record.places]
    if record.mails:
        places.append(counted(record.mails, "mail"))
    where = f": {', '.join(places)}" if places else ""
    return f"It succeeded{_ended_at(facts, run)}{where}."


def _failed(facts: Facts, record: RunRecord) -> str:
    run = record.run
    said = sentence(run.message or run.reason)
    return f"It failed{_ended_at(facts, run)}: {said} {_mend(record)}"


def _partial(facts: Facts, record: RunRecord) -> str:
    run = record.run
    said = sentence(run.message or run.reason)
    return f"Only some got it{_ended_at(facts, run)}: {said} {_mend(record)}"


def _mend(record: RunRecord) -> str:
    run_id = record.run.run_id
    if any(one.status is DeliveryStatus.UNCONFIRMED for one in record.deliveries):
        todo = f"`boe resend {run_id} --unconfirmed` sends it"
        return f"Look there first; if it did not arrive, {todo}."
    if record.artifacts:
        return f"Once that is mended, `boe resend {run_id}` sends the file."
    return f"Once that is mended, `boe rerun {run_id}` makes it again."


def _skipped(facts: Facts, record: RunRecord) -> str:
    run = record.run
    why = sentence(run.message or REASONS.get(run.reason, run.reason))
    again = "" if run.reason in ("empty", "unchanged", "only_if") else _again(run)
    return f"It was skipped. {why}{again}"


def _missed(facts: Facts, record: RunRecord) -> str:
    run = record.run
    why = sentence(run.message or REASONS.get(run.reason, run.reason))
    return f"It was due on {facts.when(run.occurrence)} and did not run. {why}{_again(run)}"


def _again(run: Run) -> str:
    return f" `boe rerun {run.run_id}` makes up for it."


def _cancelled(facts: Facts, record: RunRecord) -> str:
    run = record.run
    why = one_line(run.message or REASONS.get(run.reason, run.reason)).rstrip(".")
    return f"It ended{_ended_at(facts, run)}: {why}.{_again(run)}"


_OUTCOMES: Mapping[RunStatus, Callable[[Facts, RunRecord], str]] = {
    RunStatus.SUCCEEDED: _succeeded,
    RunStatus.FAILED: _failed,
    RunStatus.PARTIAL: _partial,
    RunStatus.SKIPPED: _skipped,
    RunStatus.MISSED: _missed,
    RunStatus.CANCELLED: _cancelled,
}


# --- An occurrence without a row ----------------------------------------------------


def without_row(facts: Facts) -> Gate:
    """Why there is no such run."""
    moment, clock = facts.occurrence, facts.timetable
    if moment is None or clock is None:
        return unknown(facts)
    gap = next((one for one in facts.gaps if one.since < moment <= one.until), None)
    if clock.next(moment - timedelta(seconds=1)) != moment:
        return _not_due_then(facts, moment)
    if gap is not None:
        return _tell(
            facts,
            gap.reason,
            f"It was due on {facts.when(moment)} and did not run. "
            f"{REASONS.get(gap.reason, gap.reason)} It is one of {gap.count:,} between "
            f"{facts.when(gap.since)} and {facts.when(gap.until)}. {_fill(facts, moment)}",
            verdict="missed",
        )
    if moment > facts.now:
        return _tell(facts, "not_due", f"It is due on {facts.when(moment)}.")
    if facts.state is not None and facts.state.high_water < moment:
        return _tell(
            facts,
            "nobody_serves",
            f"It was due on {facts.when(moment)}, and nobody has served since. Start "
            "`boe run`: it is made up for as its `catchup` says.",
            verdict="will_not_run",
        )
    return _tell(
        facts,
        "before_first_activation",
        f"Nothing is known of {facts.when(moment)}: the schedule was not served yet, or "
        f"it is longer ago than runs are kept. {_fill(facts, moment)}",
        verdict="missed",
    )


def _not_due_then(facts: Facts, moment: datetime) -> Gate:
    """A day off, or a time that its `when` does not name."""
    planned, clock = facts.planned, facts.timetable
    assert planned is not None and clock is not None  # noqa: S101, PT018 looked at before
    if nominal_next(planned, moment - timedelta(seconds=1)) == moment:
        place, why = day_off_entry(facts, planned, moment)
        return _tell(facts, "day_off", f"It does not run then: {why}.", place=place)
    due = clock.next(moment)
    after = f" The next time after that is {facts.when(due)}." if due else ""
    return _tell(
        facts,
        "not_an_occurrence",
        f"{facts.name} is not due on {facts.when(moment)}.{after}",
        place=facts.place("spec", "when"),
    )


def _fill(facts: Facts, moment: datetime) -> str:
    at = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    return f"`boe rerun {facts.name} --from {at} --to {at}` makes up for it."


def _tell(
    facts: Facts,
    code: str,
    text: str,
    *,
    verdict: str | None = None,
    place: str | None = None,
) -> Gate:
    return Gate(
        gate="occurrence",
        passed=False,
        reason_code=code,
        place=place or _decider(facts, code),
        verdict=verdict or ("will_run" if code == "not_due" else "will_not_run"),
        text=text,
    )
