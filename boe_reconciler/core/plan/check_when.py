"""`when`, within a Schedule and without the rest of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic_core._pydantic_core import ValidationError

from boe_reconciler.core.calendar import (
    Timetable,
    check_timezone,
    compile_when,
    upcoming_warnings,
)
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.problems import Path
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.others import CalendarSpec
from boe_reconciler.core.resources.when import When

_PATH: Path = ("spec", "when")


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """What a `when` says."""

    #: None where it cannot be used.
    timetable: Timetable | None
    #: The one that it names.
    calendar: CalendarSpec | None
    findings: Sequence[Finding]
    #: What is ahead of it.
    warnings: Sequence[Finding]
    #: The first occurrence from now on.
    following: datetime | None


def check_when(
    check: Check, when: When, *, default_timezone: str | None = None
) -> Timed:
    """`when` is that of the document. Many say the same: that is worked out once."""
    calendar = None
    if when.calendar:
        found = check.use("Calendar", when.calendar, (*_PATH, "calendar"))
        calendar = found.spec if found else None
    raw = repr(check.document.data["spec"]["when"])
    key = raw, default_timezone, check.judge is None
    known = check.world.whens.get(key)
    if known is None or known.calendar is not calendar:
        known = _timed(check, when, calendar, default_timezone)
        check.world.whens[key] = known
    check.find(known.findings, _PATH)
    return known


def _timed(
    check: Check, when: When, calendar: CalendarSpec | None, default: str | None
) -> Timed:
    compiled = compile_when(
        when,
        calendar=calendar,
        default_timezone=default,
        min_interval=_least(check),
    )
    timetable = compiled.timetable
    return Timed(
        timetable=timetable,
        calendar=calendar,
        findings=compiled.findings,
        warnings=upcoming_warnings(timetable, check.now.date()) if timetable else (),
        following=timetable.next(check.now) if timetable else None,
    )


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
