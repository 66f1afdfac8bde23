"""The Connections of a simulation, and how much they are used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from boe_reconciler.core import limits
from boe_reconciler.core.limits import UNLIMITED, Left, Use
from boe_reconciler.core.simulate.row import Row

#: A Connection is used as much as it may be.
_FULL = ("connection_limit", "rate_limit")


class Connections:
    """Those with limits, and how much they are used."""

    def __init__(self, rows: Sequence[Row]) -> None:
        specs = {
            row.planned.spec.connection_name: row.planned.spec.connection
            for row in rows
        }
        found = {name: limits.limits_of(spec) for name, spec in specs.items()}
        self._uses = {
            name: Use(name=name, limits=known)
            for name, known in found.items()
            if known != UNLIMITED
        }
        self._readers: Counter[str] = Counter()
        #: When a limit of slots or rate was last reached, and which one.
        self._full: dict[str, tuple[datetime, str]] = {}

    def of(self, row: Row) -> Use | None:
        return self._uses.get(row.planned.spec.connection_name)

    def left(self, now: datetime) -> Left:
        return Left(
            {
                name: limits.room(use, self._readers[name], now)
                for name, use in self._uses.items()
            }
        )

    def note(self, name: str, held_by: str, now: datetime) -> None:
        if held_by in _FULL:
            self._full[name] = (now, held_by)

    def held(self, row: Row) -> str:
        """What kept a row from starting when it expired; "" if nothing of these."""
        use = self.of(row)
        if use is None:
            return ""
        at, full_by = self._full.get(use.name, (None, ""))
        full = full_by if at == row.expires else ""
        return limits.held_at(use, row.expires) or full

    def enter(self, row: Row, now: datetime) -> None:
        use = self.of(row)
        if use is None:
            return
        self._readers[use.name] += 1
        rate = use.limits.per_second
        if rate is not None:
            budget = limits.spent(use.budget, rate, 1, now)
            self._uses[use.name] = replace(use, budget=budget)

    def leave(self, row: Row) -> None:
        use = self.of(row)
        if use is not None:
            self._readers[use.name] -= 1

    def free_at(self, name: str, now: datetime) -> datetime | None:
        """When time alone makes room; None: a run has to end for it."""
        use = self._uses[name]
        end = limits.blackout_end(use.limits, now)
        rate = use.limits.per_second
        if end is None and rate is not None:
            end = limits.next_free(use.budget, rate, now)
        return end
