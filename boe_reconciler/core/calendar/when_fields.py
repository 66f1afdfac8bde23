"""Which fields of `when` stand together: what can be said before any time is computed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import TypeVar

from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.problems import Path
from boe_reconciler.core.resources.when import BusinessDay, When

_T = TypeVar("_T")
#: Exactly one of them stands in a `when`.
SHAPES = ("cron", "frequency", "every", "once")
#: (field, shapes it goes with, what to do).
_COMPANIONS = (
    ("at", ("frequency",), "take it out; a cron holds its times itself"),
    ("on", ("frequency",), "take it out; a cron holds its days itself"),
    ("anchor", ("every",), "take it out, or use `every`"),
    ("dst", ("cron", "frequency"), "it counts real time and knows no clock change"),
    ("day_match", ("cron",), "take it out"),
    ("calendar", ("cron", "frequency", "every"), "list only the instants you mean"),
)


def given(when: When, *fields: str) -> list[str]:
    return [field for field in fields if getattr(when, field) is not None]


def _shape(when: When) -> Iterator[Finding]:
    here = given(when, *SHAPES)
    if not here:
        yield Finding(
            code="BOE060",
            path=(),
            detail="nothing says when to run",
            help="add one of cron, frequency, every or once, such as "
            '`frequency: daily` with `at: "06:30"`',
        )
    for extra in here[1:]:
        yield Finding(
            code="BOE060",
            path=(extra,),
            detail=f"{extra!r} stands beside {here[0]!r}; only one of them can count",
            help="keep one, or write two schedules",
        )
    for field in given(when, "cron", "once", "at", "on"):
        if getattr(when, field) == []:
            yield Finding(
                code="BOE078",
                path=(field,),
                detail=f"{field!r} is an empty list",
                help="fill it in, or take it out",
            )


def _companions(when: When) -> Iterator[Finding]:
    here = given(when, *SHAPES)
    for field, shapes, todo in _COMPANIONS:
        if here and given(when, field) and not set(here) & set(shapes):
            names = " or ".join(f"`{shape}`" for shape in shapes)
            detail = f"{field!r} goes with {names}, not with `{here[0]}`"
            yield _mismatch(field, detail, todo)
    if when.if_day_off and not when.calendar:
        detail = "'if_day_off' needs a calendar that says which days are off"
        yield _mismatch("if_day_off", detail, "add `calendar: NAME`, or take it out")
    if when.every and when.if_day_off in ("next", "previous"):
        detail = f"'if_day_off: {when.if_day_off}' does not go with `every`"
        yield _mismatch("if_day_off", detail, "only skip does")
    if not when.calendar and any(
        isinstance(day, BusinessDay) for _, day in listed("on", when.on)
    ):
        detail = "business days need a calendar that says which days people work"
        yield _mismatch("on", detail, "add `calendar: NAME`")


def _mismatch(field: str, detail: str, todo: str) -> Finding:
    return Finding(code="BOE073", path=(field,), detail=detail, help=todo)


def _bounds(when: When) -> Iterator[Finding]:
    if when.start_at and when.end_at and when.start_at > when.end_at:
        yield Finding(
            code="BOE076",
            path=("end_at",),
            detail=f"end_at ({when.end_at.isoformat()}) is before start_at "
            f"({when.start_at.isoformat()})",
            help="swap them",
        )


def listed(field: str, value: _T | list[_T] | None) -> list[tuple[Path, _T]]:
    """A field that holds one value or a list: each value with its path."""
    if isinstance(value, list):
        return [((field, place), item) for place, item in enumerate(value)]
    return [] if value is None else [((field,), value)]


def _disorder(once: list[datetime]) -> Iterator[Finding]:
    for place, (before, after) in enumerate(pairwise(once), start=1):
        if before >= after:
            word = "the same as" if before == after else "earlier than"
            yield Finding(
                code="BOE077",
                path=("once", place),
                detail=f"{after.isoformat()} is {word} the instant above it",
                help="list each instant once, in order",
            )


def field_findings(when: When) -> list[Finding]:
    """Missing, superfluous and contradictory fields, all at once."""
    return [
        *_shape(when),
        *_companions(when),
        *_bounds(when),
        *_disorder(when.once or []),
    ]
