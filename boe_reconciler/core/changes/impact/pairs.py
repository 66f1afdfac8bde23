"""The two sides of each Schedule, and what all findings are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from boe_reconciler.core.calendar import Timetable
from boe_reconciler.core.changes.runs import timetable
from boe_reconciler.core.plan import Plan
from boe_reconciler.core.runs import Pause
from boe_reconciler.core.spec import PlannedSchedule

INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """An instant, and the zone that people think of it in."""

    at: datetime
    timezone: str

    @property
    def local(self) -> datetime:
        return self.at.astimezone(ZoneInfo(self.timezone))


@dataclass(frozen=True, kw_only=True)
class Side:
    """One Schedule of one plan."""

    planned: PlannedSchedule

    @cached_property
    def clock(self) -> Timetable:
        return timetable(self.planned.occurrences)

    @cached_property
    def times(self) -> str:
        """What decides when it is due: equal texts, equal instants."""
        return self.planned.occurrences.model_dump_json(exclude={"when": {"jitter"}})

    @property
    def zone(self) -> str:
        return self.planned.occurrences.timezone

    def moment(self, at: datetime) -> Moment:
        return Moment(at=at, timezone=self.zone)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A Schedule on both sides; one that was renamed is one."""

    name: str
    before: Side | None
    after: Side | None

    @property
    def changed(self) -> bool:
        """Whether a run from now on would be another one."""
        return self.before is None or self.after is None or self._differs()

    @property
    def retimed(self) -> bool:
        """Whether it is due at other instants."""
        return _timing(self.before) != _timing(self.after)

    def _differs(self) -> bool:
        assert self.before  # noqa: S101 asked before
        assert self.after  # noqa: S101 asked before
        was, will = self.before.planned, self.after.planned
        return self.retimed or was.spec != will.spec


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What is looked at: two plans, over a span, under the pauses of now."""

    before: Plan | None
    after: Plan
    #: In the order of the names.
    pairs: Sequence[Pair]
    now: datetime
    #: Occurrences in (now, until] count.
    until: datetime
    #: Pauses put on at run time.
    pauses: Sequence[Pause] = ()

    @property
    def changed(self) -> list[tuple[Pair, Side]]:
        """Schedules that there will be, and that are new or not what they were."""
        return [(one, one.after) for one in self.pairs if one.after and one.changed]


def pairs(
    old: Mapping[str, PlannedSchedule], new: Mapping[str, PlannedSchedule]
) -> list[Pair]:
    former = {name: _former(planned, old, new) for name, planned in new.items()}
    gone = old.keys() - {*former.values(), *new}
    found = [_pair(name, old.get(former[name]), new[name]) for name in new]
    return sorted(
        [*found, *(_pair(name, old[name], None) for name in gone)],
        key=lambda pair: pair.name,
    )


def _former(
    planned: PlannedSchedule,
    old: Mapping[str, PlannedSchedule],
    new: Mapping[str, PlannedSchedule],
) -> str:
    """The name it has had so far."""
    before = planned.renamed_from
    renamed = before in old and before not in new and planned.name not in old
    return before if before and renamed else planned.name


def _pair(name: str, was: PlannedSchedule | None, will: PlannedSchedule | None) -> Pair:
    return Pair(
        name=name,
        before=Side(planned=was) if was else None,
        after=Side(planned=will) if will else None,
    )


def _timing(side: Side | None) -> object:
    return (side.planned.occurrences, side.planned.paused) if side else None
