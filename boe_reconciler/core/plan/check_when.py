"""`when`, within a Schedule and without the rest of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic_core._pydantic_core import ValidationError

from boe_reconciler.core.calendar import Timetable, check_timezone, compile_when
from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.problems import Path
from boe_reconciler.core.resources.others import CalendarSpec
from boe_reconciler.core.resources.when import When

_PATH: Path = ("spec", "when")


def check_when(
    check: Check, when: When, *, default_timezone: str | None = None
) -> tuple[Timetable | None, CalendarSpec | None]:
    """What it says, and the Calendar that it names."""
    calendar = None
    if when.calendar:
        calendar = check.use("Calendar", when.calendar, (*_PATH, "calendar"))
    compiled = compile_when(
        when,
        calendar=calendar.spec if calendar else None,
        default_timezone=default_timezone,
        min_interval=_least(check),
    )
    check.find(compiled.findings, _PATH)
    return compiled.timetable, calendar.spec if calendar else None


def check_when_alone(check: Check, raw: Any, *, default_timezone: str | None) -> None:
    """A `when` whose Schedule, or the rest of it, cannot be judged."""
    try:
        when = When.model_validate(raw)
    except ValidationError:
        match raw:
            case {"timezone": str(zone)}:
                check.find(check_timezone(zone), _PATH)
        return
    check_when(check, when, default_timezone=default_timezone)


def _least(check: Check) -> timedelta:
    """What is served already was judged before: only the floor is left."""
    return check.judge.spec.limits.min_interval if check.judge else timedelta(seconds=1)
