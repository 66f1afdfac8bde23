"""`boe simulate`: what would run, with a clock that nobody has to wait for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boe_reconciler.cli.door import door
from boe_reconciler.cli.nextruns import chosen_schedules, timetable_of
from boe_reconciler.cli.output import (
    OutputFormat,
    local,
    say,
    say_json,
    say_table,
    utc,
)
from boe_reconciler.cli.planned import bound, duration, usable_plan_of_files
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.runs import RunStatus

if TYPE_CHECKING:
    from boe_reconciler.app import App
    from boe_reconciler.core.calendar import Timetable
    from boe_reconciler.core.simulate import Assumed, Peak, Simulated, Simulation
    from boe_reconciler.core.spec import PlannedSchedule

#: So many lines of the timeline, and of the summary, are for people.
_SHOWN = 200
#: Without history and without --duration.
_DURATION = timedelta(minutes=1)
#: The last runs whose typical duration is taken.
_HISTORY = 20


def add_to(boe: typer.Typer) -> None:
    boe.command()(simulate)


def simulate(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME")] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="T", help="From T on (now).")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="T", help="To T (a week later).")
    ] = None,
    takes: Annotated[
        str | None,
        typer.Option(
            "--duration", metavar="10m", help="Of every run (as usual; else 1m)."
        ),
    ] = None,
    outage: Annotated[
        list[str] | None,
        typer.Option(metavar="FROM/TO", help="Nobody serves in between; repeatable."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Runs at the same time.")
    ] = None,
    output: Annotated[
        OutputFormat, typer.Option("--format", metavar="text|json")
    ] = OutputFormat.TEXT,
) -> None:
    """Show what would run, what would not, and why.

    In a span of time, with the rules that serve: overlap, deadlines, catching up after
    an outage, pauses, clock changes, limits. Nothing is read from a Connection and
    nothing is written. A time without an offset is in the schedules' zone, or in UTC
    where they have several.

    \b
    Examples:
      boe simulate --from 2026-10-24 --to 2026-10-27
      boe simulate carriers-daily --duration 90m --to 2027-01-01
      boe simulate --outage 2026-11-24T05:00/2026-11-24T09:30 --format json
    """
    from boe_reconciler.core.simulate import simulate as run_all

    app = door(context).app()
    plan = usable_plan_of_files(app)
    chosen = [plan.schedules[name] for name in chosen_schedules(plan, names or [])]
    span = _span(app, chosen, start, end)
    assumed = _assumed(app, chosen, span, outage or [], takes, workers)
    _check_size(chosen, assumed)
    told = _Told(chosen, assumed, run_all(chosen, assumed))
    told.as_json() if output is OutputFormat.JSON else told.as_text()


# --- What is assumed ----------------------------------------------------------------


def _span(
    app: App, chosen: Sequence[PlannedSchedule], start: str | None, end: str | None
) -> tuple[datetime, datetime]:
    zone = _zone(chosen)
    since = bound(start, zone, "--from") if start is not None else app.clock.now()
    since = since.replace(microsecond=0)
    week = since + timedelta(days=7)
    until = bound(end, zone, "--to") if end is not None else week
    if until < since:
        raise InputError("--to lies before --from.")
    return since, until


def _zone(chosen: Sequence[PlannedSchedule]) -> str:
    zones = {one.occurrences.timezone for one in chosen}
    return zones.pop() if len(zones) == 1 else "UTC"


def _assumed(
    app: App,
    chosen: Sequence[PlannedSchedule],
    span: tuple[datetime, datetime],
    outages: Sequence[str],
    takes: str | None,
    workers: int | None,
) -> Assumed:
    from boe_reconciler.core.simulate import Assumed

    states = app.ledger.states() if app.has_state else ()
    return Assumed(
        since=span[0],
        until=span[1],
        duration=_durations(app, chosen, takes),
        workers=workers or app.settings.workers,
        outages=_outages(outages, _zone(chosen)),
        pauses=app.ledger.pauses() if app.has_state else (),
        uids={state.name: state.uid for state in states},
    )


def _durations(
    app: App, chosen: Sequence[PlannedSchedule], takes: str | None
) -> Mapping[str, timedelta]:
    if takes is not None:
        return dict.fromkeys(
            (one.name for one in chosen), duration(takes, "--duration")
        )
    return {one.name: _usual(app, one.name) or _DURATION for one in chosen}


def _usual(app: App, name: str) -> timedelta | None:
    """What its last runs took; None where it has none yet."""
    if not app.has_state:
        return None
    records = app.ledger.runs(schedule=name, status=RunStatus.SUCCEEDED, limit=_HISTORY)
    took = [
        (one.run.finished_at - one.run.started_at).total_seconds()
        for one in records
        if one.run.started_at and one.run.finished_at
    ]
    return timedelta(seconds=max(1, round(median(took)))) if took else None


def _outages(texts: Sequence[str], zone: str) -> list[tuple[datetime, datetime]]:
    found = sorted(_outage(text, zone) for text in texts)
    for before, after in pairwise(found):
        if after[0] < before[1]:
            raise InputError("Two --outage overlap.", "Write them as one.")
    return found


def _outage(text: str, zone: str) -> tuple[datetime, datetime]:
    since, slash, until = text.partition("/")
    if not slash:
        raise InputError(
            f"--outage {text!r} is not FROM/TO.",
            "Write 2026-11-24T05:00/2026-11-24T09:30.",
        )
    found = bound(since, zone, "--outage"), bound(until, zone, "--outage")
    if found[1] <= found[0]:
        raise InputError(f"--outage {text!r} ends before it begins.")
    return found


def _check_size(chosen: Sequence[PlannedSchedule], assumed: Assumed) -> None:
    from boe_reconciler.core.simulate import MOST

    count = sum(timetable_of(one).count(assumed.since, assumed.until) for one in chosen)
    if count > MOST:
        raise InputError(
            f"{count:,} occurrences lie in this span; {MOST:,} is the most.",
            "Choose a shorter span, or name some schedules.",
        )


# --- What is told -------------------------------------------------------------------


class _Told:
    def __init__(
        self,
        chosen: Sequence[PlannedSchedule],
        assumed: Assumed,
        found: Simulation,
    ) -> None:
        self._plan = {one.name: one for one in chosen}
        self._clocks: dict[str, Timetable] = {
            one.name: timetable_of(one) for one in chosen
        }
        self._assumed = assumed
        self._found = found

    def as_json(self) -> None:
        assumed, found = self._assumed, self._found
        say_json(
            {
                "format_version": "1.0",
                "from": utc(assumed.since),
                "to": utc(assumed.until),
                "assumed": {
                    "workers": assumed.workers,
                    "duration_seconds": {
                        name: took.total_seconds()
                        for name, took in assumed.duration.items()
                    },
                    "outages": [
                        {"from": utc(a), "to": utc(b)} for a, b in assumed.outages
                    ],
                },
                "runs": [self._run_json(run) for run in found.runs],
                "gaps": [
                    {
                        "schedule": gap.schedule,
                        "from": utc(gap.since),
                        "to": utc(gap.until),
                        "count": gap.count,
                        "reason": gap.reason,
                    }
                    for gap in found.gaps
                ],
                "schedules": [
                    {"schedule": name, **counts}
                    for name, counts in self._summary().items()
                ],
                "load": {
                    "starts_per_minute": _peak_json(found.starts),
                    "at_once": _peak_json(found.at_once),
                },
            }
        )

    def _run_json(self, run: Simulated) -> dict[str, Any]:
        zone = self._clocks[run.schedule].zone
        return {
            "schedule": run.schedule,
            "occurrence": utc(run.occurrence),
            "local": run.occurrence.astimezone(zone).isoformat(),
            "timezone": zone.key,
            "trigger": run.trigger.value,
            "outcome": _outcome(run),
            "reason": run.reason,
            "starts_at": utc(run.started_at),
            "ends_at": utc(run.finished_at) if run.started_at else None,
            "waited_for": run.waited_for,
            "late": run.late,
            "note": self._note(run) or None,
        }

    def _note(self, run: Simulated) -> str:
        from boe_reconciler.core.simulate import note

        name = run.schedule
        return note(self._plan[name], self._clocks[name], run.occurrence)

    def as_text(self) -> None:
        from boe_reconciler.core.simulate import unusual

        runs = self._found.runs
        shown = [run for run in runs if unusual(run) or self._note(run)]
        if len(runs) <= _SHOWN:
            shown = list(runs)
        if shown:
            say_table(
                ["due, local time", "UTC", "schedule", "starts", "what", "note"],
                [self._row(run) for run in shown[:_SHOWN]],
            )
            say()
        left = len(runs) - min(len(shown), _SHOWN)
        if left:
            say(f"{left:,} more are not shown; --format json has them all.")
        self._say_summary()
        self._say_load()

    def _row(self, run: Simulated) -> list[str]:
        from boe_reconciler.core.simulate import described

        zone = self._clocks[run.schedule].timezone
        later = run.started_at and run.started_at != run.occurrence
        return [
            local(run.occurrence, zone),
            str(utc(run.occurrence)),
            run.schedule,
            _clock(run.started_at, run.occurrence) if later and run.started_at else "",
            described(run),
            self._note(run),
        ]

    def _summary(self) -> dict[str, dict[str, int]]:
        counts: Counter[tuple[str, str]] = Counter(
            (run.schedule, _outcome(run)) for run in self._found.runs
        )
        for run in self._found.runs:
            counts[run.schedule, "late"] += run.late
        for gap in self._found.gaps:
            counts[gap.schedule, gap.reason] += gap.count
        columns = [
            *_OUTCOMES,
            "late",
            *sorted({gap.reason for gap in self._found.gaps}),
        ]
        return {
            name: {column: counts[name, column] for column in columns}
            for name in self._plan
        }

    def _say_summary(self) -> None:
        summary = self._summary()
        due = {name: counts for name, counts in summary.items() if any(counts.values())}
        many = len(due) > _SHOWN
        shown = [
            name
            for name, counts in due.items()
            if not many or sum(counts.values()) > counts["runs"]
        ]
        columns = [
            column
            for column in next(iter(summary.values()), {})
            if column == "runs" or any(one[column] for one in summary.values())
        ]
        if shown:
            say_table(
                ["schedule", *columns],
                [
                    [name, *(f"{summary[name][column]:,}" for column in columns)]
                    for name in shown[:_SHOWN]
                ],
            )
        if len(shown) < len(due):
            say(f"{len(due) - len(shown):,} schedules run whenever they are due.")
        if len(due) < len(summary):
            say(f"{len(summary) - len(due):,} schedules are not due at all.")

    def _say_load(self) -> None:
        found, assumed = self._found, self._assumed
        say()
        if found.starts and found.at_once:
            say(
                f"Most start at {found.starts.at:%Y-%m-%d %H:%M} UTC: "
                f"{found.starts.count:,} in a minute. At most {found.at_once.count:,} "
                f"run at once, first at {found.at_once.at:%Y-%m-%d %H:%M:%S} UTC "
                f"({assumed.workers} workers)."
            )
        took = sorted({*assumed.duration.values()})
        if took:
            shortest, longest = _words(took[0]), _words(took[-1])
            span = shortest if shortest == longest else f"{shortest} to {longest}"
            say(f"Assumed: a run takes {span}, and every one succeeds.", style="dim")


_OUTCOMES = ("runs", "skipped", "missed", "cancelled")


def _outcome(run: Simulated) -> str:
    return "runs" if run.status is RunStatus.SUCCEEDED else run.status.value


def _clock(moment: datetime, due: datetime) -> str:
    """+12m or +1d 2h: how much later."""
    return f"+{_words(moment - due)}"


def _words(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    parts = [
        f"{count}{unit}"
        for unit, count in (
            ("d", seconds // 86400),
            ("h", seconds // 3600 % 24),
            ("m", seconds // 60 % 60),
            ("s", seconds % 60),
        )
        if count
    ]
    return " ".join(parts[:2]) or "0s"


def _peak_json(peak: Peak | None) -> dict[str, Any] | None:
    return {"at": utc(peak.at), "count": peak.count} if peak else None
