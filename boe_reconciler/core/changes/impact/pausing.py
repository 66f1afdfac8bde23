"""Changes that a pause hides, and pauses that end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from boe_reconciler.core.changes.impact.pairs import Look, Moment, Pair, Side
from boe_reconciler.core.pauses import holding


@dataclass(frozen=True, kw_only=True, slots=True)
class Hidden:
    """A change without effect until the Schedule is resumed."""

    schedule: str
    change: Literal["added", "changed"]
    #: "git" (`paused: true`), or what the pause at run time covers: "owner anna@…".
    by: str
    #: None: until somebody resumes it.
    until: Moment | None = None
    #: What the one who paused it said.
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumed:
    """`paused` is gone from git."""

    schedule: str
    #: Within the span; none of those that were due while it was paused.
    runs: int
    first: Moment | None
    #: A pause at run time that goes on; "" if none does.
    still_held_by: str = ""


def hidden_changes(look: Look) -> Iterator[Hidden]:
    for pair, after in look.changed:
        hidden = _hidden(pair, after, look)
        if hidden and not _only_paused(pair):
            yield hidden


def _hidden(pair: Pair, after: Side, look: Look) -> Hidden | None:
    change: Literal["added", "changed"] = "changed" if pair.before else "added"
    if after.planned.paused:
        return Hidden(schedule=pair.name, change=change, by="git")
    pause = holding(look.pauses, after.planned.spec, look.now)
    if pause is None:
        return None
    return Hidden(
        schedule=pair.name,
        change=change,
        by=_held_by(after, look),
        until=after.moment(pause.until) if pause.until else None,
        why=pause.why,
    )


def _only_paused(pair: Pair) -> bool:
    """Pausing, or resuming, is the whole change."""
    if not (pair.before and pair.after):
        return False
    was, will = pair.before.planned, pair.after.planned
    return (was.spec, was.occurrences) == (will.spec, will.occurrences)


def resumed(look: Look) -> Iterator[Resumed]:
    for pair, after in look.changed:
        paused = pair.before is not None and pair.before.planned.paused
        if paused and not after.planned.paused:
            first = after.clock.next(look.now)
            yield Resumed(
                schedule=pair.name,
                runs=after.clock.count(look.now, look.until),
                first=after.moment(first) if first else None,
                still_held_by=_held_by(after, look),
            )


def _held_by(side: Side, look: Look) -> str:
    """What the pause at run time covers: "all", "owner anna@example.com"."""
    pause = holding(look.pauses, side.planned.spec, look.now)
    return f"{pause.target.value} {pause.value}".strip() if pause else ""
