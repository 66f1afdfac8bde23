"""What would run, with a clock that nobody has to wait for (docs/simulate.md).

The rules are those that serve: `due` says which rows a schedule owes, `overlap` which of
them start. What is here only moves the clock from one moment at which something
changes to the next, and assumes how long a run takes.
"""

from __future__ import annotations

from collections.abc import Sequence

from boe_reconciler.core.runs import GapRow
from boe_reconciler.core.simulate.execution import Execution
from boe_reconciler.core.simulate.load import most_at_once, most_starts
from boe_reconciler.core.simulate.model import (
    MOST,
    Assumed,
    Peak,
    Simulated,
    Simulation,
)
from boe_reconciler.core.simulate.owed import owed_rows
from boe_reconciler.core.simulate.row import Row
from boe_reconciler.core.simulate.words import described, note, unusual
from boe_reconciler.core.spec import PlannedSchedule

__all__ = [
    "MOST",
    "Assumed",
    "Peak",
    "Simulated",
    "Simulation",
    "described",
    "note",
    "simulate",
    "unusual",
]


def simulate(schedules: Sequence[PlannedSchedule], assumed: Assumed) -> Simulation:
    """The same schedules and assumptions, the same answer."""
    rows: list[Row] = []
    gaps: list[GapRow] = []
    for planned in schedules:
        found, skipped = owed_rows(planned, assumed)
        rows += found
        gaps += skipped
    Execution(assumed, rows).go()
    runs = [row.outcome() for row in sorted(rows, key=lambda row: row.place[1:])]
    return Simulation(
        runs=runs, gaps=gaps, starts=most_starts(runs), at_once=most_at_once(runs)
    )
