"""What a change means, in words: the same sentences for the terminal and a comment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

from boe_reconciler.core.changes.impact import Impact
from boe_reconciler.core.changes.impact.blackouts import BlackoutMet
from boe_reconciler.core.changes.impact.clocks import ClockChange
from boe_reconciler.core.changes.impact.files import SameFile
from boe_reconciler.core.changes.impact.load import Busier
from boe_reconciler.core.changes.impact.pairs import Moment
from boe_reconciler.core.changes.impact.pausing import Hidden, Resumed
from boe_reconciler.core.changes.impact.people import (
    ConnectionMoved,
    OwnerChanged,
    ReadsElsewhere,
)
from boe_reconciler.core.changes.impact.switching import SwitchDay
from boe_reconciler.core.changes.impact.tables import TablesChanged

T = TypeVar("T")
#: Names that a line shows before it counts.
_NAMES = 5


#: The title of what is told of tables.
READ = "What is read"
#: Whether something comes or goes, or is only told; and the sentence.
Line = tuple[Literal["+", "-", "~"], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    title: str
    lines: Sequence[Line]


def sections(found: Impact) -> list[Section]:
    """Those with something to say, what a reviewer must not miss first."""
    told = {
        READ: [
            *(line for one in found.tables for line in _tables(one)),
            *_lines(_reads_elsewhere, found.reads_elsewhere),
        ],
        "Connections that lead elsewhere": _lines(_moved, found.connections),
        "Who is told of failures": _lines(_owner, found.owners),
        "Without effect while paused": _lines(_hidden, found.hidden),
        "Resumed": _lines(_resumed, found.resumed),
        "If it is merged now": _lines(_switch, found.switch_days),
        "Where it gets busier": _lines(_busier, found.load),
        "Blackouts": _lines(_blackout, found.blackouts),
        "Files of the same name": _lines(_same_file, found.same_files),
        "Clock changes within a year": _lines(_clock_change, found.clock_changes),
    }
    return [Section(title=title, lines=lines) for title, lines in told.items() if lines]


def _lines(say: Callable[[T], str], findings: Sequence[T]) -> list[Line]:
    return [("~", say(one)) for one in findings]


# --- One finding each ---------------------------------------------------------


def _tables(one: TablesChanged) -> Iterator[Line]:
    about = f"report {one.report} ({_names(one.schedules)})"
    if one.gained:
        yield "+", f"{about} newly reads {', '.join(one.gained)}"
    if one.lost:
        yield "-", f"{about} no longer reads {', '.join(one.lost)}"
    for query in one.unread:
        which = "former " if query.side == "before" else ""
        yield (
            "~",
            (
                f"{about}: the tables of its {which}{query.query} are not known, "
                f"because {query.why}"
            ),
        )


def _reads_elsewhere(one: ReadsElsewhere) -> str:
    return f"{_names(one.schedules)} from {one.after} instead of {one.before}"


def _moved(one: ConnectionMoved) -> str:
    users = [
        f"{_names(names)} {verb} over it"
        for names, verb in (
            (one.reading, "reads" if len(one.reading) == 1 else "read"),
            (one.delivering, "delivers" if len(one.delivering) == 1 else "deliver"),
        )
        if names
    ]
    told = "; ".join(users) or "no schedule uses it"
    before, after = _value(one.before), _value(one.after)
    return f"{one.connection}: {one.field} from {before} to {after}; {told}"


def _owner(one: OwnerChanged) -> str:
    return f"{one.after} instead of {one.before}: {_names(one.schedules)}"


def _hidden(one: Hidden) -> str:
    if one.by == "git":
        return f"{one.schedule} is {one.change}, and is `paused` in git"
    until = f" until {_clock(one.until)}" if one.until else ""
    why = f": {one.why}" if one.why else ""
    return f"{one.schedule} is {one.change}, and is paused{until} by {one.by}{why}"


def _resumed(one: Resumed) -> str:
    first = f", the first {_clock(one.first)}" if one.first else ""
    held = (
        f"; but a pause at run time ({one.still_held_by}) still holds it"
        if one.still_held_by
        else ""
    )
    return f"{one.schedule}: {_count(one.runs, 'run')}{first}{held}"


def _switch(one: SwitchDay) -> str:
    if one.already + one.still == 0:
        return (
            f"{one.schedule} does not run on {one.day}: {_clock(one.before)} is no "
            f"longer its time, and {_clock(one.after)} is over"
        )
    return (
        f"{one.schedule} runs {_count(one.already + one.still, 'time')} on {one.day}: "
        f"last at {_clock(one.before)}, and once more at {_clock(one.after)}"
    )


def _busier(one: Busier) -> str:
    minute = f"{_clock(one.minute)} ({one.minute.at:%H:%M} UTC)"
    alike = f", and in {one.alike - 1:,} other minutes" if one.alike > 1 else ""
    about = ""
    if one.connection is not None:
        about = f" that read over {one.connection}, which lets {one.limit:,} in at once"
    runs = f"{one.before:,} to {_count(one.after, 'run')}"
    return f"{minute}: from {runs}{about}{alike}"


def _clock_change(one: ClockChange) -> str:
    wall = f"{one.wall:%Y-%m-%d %H:%M}"
    what = "does not exist" if one.kind == "gap" else "comes twice"
    times = [f"{run.local:%H:%M} ({run.at:%H:%M} UTC)" for run in one.runs]
    runs = f"it runs at {' and '.join(times)}" if times else "it does not run"
    return f"{one.schedule}: {wall} {what} in {one.timezone}; {runs}"


def _blackout(one: BlackoutMet) -> str:
    runs = _count(one.runs, "run")
    wait = f"the longest {_span(one.longest_wait)}"
    missed = f"; {one.missed:,} missed by the {_WHY[one.reason]}" if one.missed else ""
    return (
        f"{one.schedule}: {runs} in a blackout of {one.connection}, "
        f"first {_clock(one.first)}; held back, {wait}{missed}"
    )


_WHY = {"deadline": "deadline", "catchup_window": "catch-up window"}


def _same_file(one: SameFile) -> str:
    what = {
        "number": "the later one gets a number",
        "overwrite": "the later one overwrites the other",
        "error": "the later one fails",
    }
    told = ", or ".join(what[each] for each in one.if_exists)
    return f"{_names(one.schedules)}: {one.path} at {_clock(one.at)}; {told}"


# --- Parts of them ------------------------------------------------------------


def _clock(moment: Moment) -> str:
    return f"{moment.local:%Y-%m-%d %H:%M} {moment.timezone}"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMES
    shown = ", ".join(names[:_NAMES])
    return f"{shown} and {more:,} more" if more > 0 else shown


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _value(value: Any) -> str:
    return "nothing" if value is None else str(value)


def _span(span: timedelta) -> str:
    minutes = -(-span // timedelta(minutes=1))
    hours, rest = divmod(minutes, 60)
    parts = [f"{hours}h"] * (hours > 0) + [f"{rest}m"] * (rest > 0)
    return " ".join(parts)
