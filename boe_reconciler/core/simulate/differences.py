"""Two simulations of one span -> the runs that differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from boe_reconciler.core.runs import RunStatus
from boe_reconciler.core.simulate.model import LAST, Simulated


class Kind(StrEnum):
    """What becomes of a run; what a reviewer must not miss stands first."""

    #: It is due no longer.
    LOST = "lost"
    #: It is still due, and skipped, missed or cancelled now.
    STOPS = "stops"
    #: It is not over within the grace any longer.
    LATE = "late"
    #: It is due at another time of the same local day.
    MOVED = "moved"
    LATER = "starts later"
    EARLIER = "starts earlier"
    ADDED = "added"
    #: It was due already, and did not run.
    RUNS = "runs now"
    #: It still does not run, for another reason.
    OTHERWISE = "otherwise"
    #: It is no longer late.
    PUNCTUAL = "punctual"


_RANK = {kind: number for number, kind in enumerate(Kind)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    kind: Kind
    #: The name after the change; of one that is removed its last.
    schedule: str
    before: Simulated | None
    after: Simulated | None

    @property
    def occurrence(self) -> datetime:
        one = self.before or self.after
        assert one  # noqa: S101 there is one side at least
        return one.occurrence


def differences(
    before: Sequence[Simulated],
    after: Sequence[Simulated],
    *,
    renamed: Mapping[str, str],
    zones: Mapping[str, str],
) -> list[Difference]:
    """Run by run, the gravest kind first, then by time.

    `renamed`: the former name of a Schedule -> its present one. `zones`: by name.
    """
    was = _by_schedule(before, renamed)
    will = _by_schedule(after, {})
    found = [
        one
        for name in sorted({*was, *will})
        for one in _of_one(name, was[name], will[name], zones[name])
    ]
    return sorted(found, key=lambda one: (_RANK[one.kind], one.occurrence))


_Runs = dict[datetime, Simulated]


def _by_schedule(
    runs: Sequence[Simulated], renamed: Mapping[str, str]
) -> defaultdict[str, _Runs]:
    found: defaultdict[str, _Runs] = defaultdict(dict)
    for run in runs:
        name = renamed.get(run.schedule, run.schedule)
        found[name][run.occurrence] = run
    return found


def _of_one(name: str, was: _Runs, will: _Runs, zone: str) -> Iterator[Difference]:
    gone = _by_day([at for at in was if at not in will], zone)
    come = _by_day([at for at in will if at not in was], zone)
    for day in {*gone, *come}:
        old, new = gone[day], come[day]
        moved = len(old) == len(new)
        for one, other in zip(old, new, strict=True) if moved else ():
            yield _difference(name, Kind.MOVED, was[one], will[other])
        for one in () if moved else old:
            yield _difference(name, Kind.LOST, was[one], None)
        for one in () if moved else new:
            yield _difference(name, Kind.ADDED, None, will[one])
    for at in was.keys() & will.keys():
        kind = _kind(was[at], will[at])
        if kind:
            yield _difference(name, kind, was[at], will[at])


def _by_day(
    moments: Sequence[datetime], zone: str
) -> defaultdict[date, list[datetime]]:
    found: defaultdict[date, list[datetime]] = defaultdict(list)
    for moment in sorted(moments):
        found[moment.astimezone(ZoneInfo(zone)).date()].append(moment)
    return found


def _difference(
    name: str, kind: Kind, before: Simulated | None, after: Simulated | None
) -> Difference:
    return Difference(schedule=name, kind=kind, before=before, after=after)


def _kind(was: Simulated, will: Simulated) -> Kind | None:
    """Of a run that is due at the same instant on both sides."""
    ran, runs = (one.status is RunStatus.SUCCEEDED for one in (was, will))
    if ran != runs:
        return Kind.STOPS if ran else Kind.RUNS
    if was.late != will.late:
        return Kind.LATE if will.late else Kind.PUNCTUAL
    if not runs:
        same = (was.status, was.reason) == (will.status, will.reason)
        return None if same else Kind.OTHERWISE
    old, new = was.started_at or LAST, will.started_at or LAST
    if old == new:
        return None
    return Kind.LATER if new > old else Kind.EARLIER
