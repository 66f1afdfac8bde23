"""A simulation as it is told: a timeline, counts, and how much happens at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from boe_reconciler.cli.nextruns import timetable_of
from boe_reconciler.cli.output import local, say, say_json, say_table, utc
from boe_reconciler.core.runs import RunStatus

if TYPE_CHECKING:
    from boe_reconciler.core.calendar import Timetable
    from boe_reconciler.core.simulate import Assumed, Peak, Simulated, Simulation
    from boe_reconciler.core.spec import PlannedSchedule

#: So many lines of the timeline, and of the summary, are for people.
SHOWN = 200


class Told:
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
                "assumed": assumed_json(assumed),
                "runs": [self._json(run) for run in found.runs],
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
                    "starts_per_minute": peak_json(found.starts),
                    "at_once": peak_json(found.at_once),
                },
            }
        )

    def _json(self, run: Simulated) -> dict[str, Any]:
        return run_json(run, self._clocks[run.schedule], self._note(run))

    def _note(self, run: Simulated) -> str:
        from boe_reconciler.core.simulate import note

        name = run.schedule
        return note(self._plan[name], self._clocks[name], run.occurrence)

    def as_text(self) -> None:
        from boe_reconciler.core.simulate import unusual

        runs = self._found.runs
        shown = [run for run in runs if unusual(run) or self._note(run)]
        if len(runs) <= SHOWN:
            shown = list(runs)
        if shown:
            say_table(
                ["due, local time", "UTC", "schedule", "starts", "what", "note"],
                [self._row(run) for run in shown[:SHOWN]],
            )
            say()
        left = len(runs) - min(len(shown), SHOWN)
        if left:
            say(f"{left:,} more are not shown; --format json has them all.")
        self._say_summary()
        self._say_load()

    def _row(self, run: Simulated) -> list[str]:
        from boe_reconciler.core.simulate import described

        zone = self._clocks[run.schedule].timezone
        delayed = run.started_at and run.started_at != run.occurrence
        return [
            local(run.occurrence, zone),
            str(utc(run.occurrence)),
            run.schedule,
            later(run.started_at, run.occurrence) if delayed and run.started_at else "",
            described(run),
            self._note(run),
        ]

    def _summary(self) -> dict[str, dict[str, int]]:
        counts: Counter[tuple[str, str]] = Counter(
            (run.schedule, outcome_of(run)) for run in self._found.runs
        )
        for run in self._found.runs:
            counts[run.schedule, "late"] += run.late
        for gap in self._found.gaps:
            counts[gap.schedule, gap.reason] += gap.count
        columns = [
            *OUTCOMES,
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
        many = len(due) > SHOWN
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
                    for name in shown[:SHOWN]
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
            shortest, longest = span_words(took[0]), span_words(took[-1])
            span = shortest if shortest == longest else f"{shortest} to {longest}"
            say(f"Assumed: a run takes {span}, and every one succeeds.", style="dim")


OUTCOMES = ("runs", "skipped", "missed", "cancelled")


def outcome_of(run: Simulated) -> str:
    return "runs" if run.status is RunStatus.SUCCEEDED else run.status.value


def later(moment: datetime, due: datetime) -> str:
    """+12m or +1d 2h: how much later."""
    return f"+{span_words(moment - due)}"


def span_words(span: timedelta) -> str:
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


def peak_json(peak: Peak | None) -> dict[str, Any] | None:
    return {"at": utc(peak.at), "count": peak.count} if peak else None


def run_json(run: Simulated, clock: Timetable, note: str) -> dict[str, Any]:
    return {
        "schedule": run.schedule,
        "occurrence": utc(run.occurrence),
        "local": run.occurrence.astimezone(clock.zone).isoformat(),
        "timezone": clock.timezone,
        "trigger": run.trigger.value,
        "outcome": outcome_of(run),
        "reason": run.reason,
        "starts_at": utc(run.started_at),
        "ends_at": utc(run.finished_at) if run.started_at else None,
        "waited_for": run.waited_for,
        "late": run.late,
        "note": note or None,
    }


def assumed_json(assumed: Assumed) -> dict[str, Any]:
    return {
        "workers": assumed.workers,
        "duration_seconds": {
            name: took.total_seconds() for name, took in assumed.duration.items()
        },
        "outages": [{"from": utc(a), "to": utc(b)} for a, b in assumed.outages],
    }
