"""Two plans -> who gets files from now on, who does no longer, and files of other names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from itertools import zip_longest

from boe_reconciler.core.changes.recipients import Recipient, recipients_of
from boe_reconciler.core.changes.runs import timetable
from boe_reconciler.core.changes.uses import uses_of
from boe_reconciler.core.plan import Plan
from boe_reconciler.core.plan.world import Key
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.spec import PlannedSchedule


@dataclass(frozen=True, kw_only=True, slots=True)
class FileChange:
    """A file for those who get files of the Schedule before and after."""

    schedule: str
    #: At the same occurrence on both sides; None: there is no such file.
    before: str | None
    after: str | None
    #: Who gets it: see `Recipient.name`.
    recipients: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Deliveries:
    gained: Sequence[Recipient]
    lost: Sequence[Recipient]
    files: Sequence[FileChange]
    #: Domains, folders, buckets, hosts that nothing went to before, or will any more.
    places_gained: Sequence[str]
    places_lost: Sequence[str]


def deliveries(
    before: Plan | None,
    after: Plan,
    *,
    changed: AbstractSet[Key],
    renamed: Mapping[str, str],
    now: datetime,
) -> Deliveries:
    """`changed` are objects that differ; `renamed` Schedules by the name they had."""
    sides = _Sides(before, after, renamed, now)
    touched = sides.touched(changed)
    was = _by_key(one for name in touched for one in sides.before(name))
    will = _by_key(one for name in touched for one in sides.after(name))
    lost = [one for key, one in was.items() if key not in will]
    gained = [one for key, one in will.items() if key not in was]
    others = sides.untouched_places(touched) if lost or gained else set()
    return Deliveries(
        gained=_in_order(gained),
        lost=_in_order(lost),
        files=_files(was, will),
        places_gained=sorted(_places(gained) - _places(was.values()) - others),
        places_lost=sorted(_places(lost) - _places(will.values()) - others),
    )


def next_occurrence(schedule: PlannedSchedule, now: datetime) -> datetime:
    """Now itself where there is none any more."""
    return next(iter(timetable(schedule.occurrences).iter(now)), now)


class _Sides:
    """The Schedules of both plans, under the names that they have from now on."""

    def __init__(
        self,
        before: Plan | None,
        after: Plan,
        renamed: Mapping[str, str],
        now: datetime,
    ) -> None:
        self._now = now
        self._former = {new: old for old, new in renamed.items()}
        self._old = before.schedules if before else {}
        self._new = after.schedules
        self._old_objects = before.objects if before else {}
        self._new_objects = after.objects
        self._old_uses, self._new_uses = uses_of(before), uses_of(after)
        #: Once: a Plan makes these anew each time.
        self._names = sorted(
            {*self._new, *(renamed.get(name, name) for name in self._old)}
        )

    def touched(self, changed: AbstractSet[Key]) -> list[str]:
        """Those whose recipients may be others than before."""
        return [name for name in self._names if self._differs(name, changed)]

    def _differs(self, name: str, changed: AbstractSet[Key]) -> bool:
        was, will = self._was(name), self._new.get(name)
        uses = {
            *self._old_uses.get(self._former.get(name, name), ()),
            *self._new_uses.get(name, ()),
        }
        return was != will or not uses.isdisjoint(changed)

    def before(self, name: str) -> list[Recipient]:
        was = self._was(name)
        if was is None:
            return []
        found = recipients_of(was, self._old_objects, self._occurrence(name))
        return [replace(one, schedule=name) for one in found]

    def after(self, name: str) -> list[Recipient]:
        will = self._new.get(name)
        if will is None:
            return []
        return recipients_of(will, self._new_objects, self._occurrence(name))

    def untouched_places(self, touched: Iterable[str]) -> set[str]:
        others = sorted({*self._names}.difference(touched))
        return {place for name in others for place in _places(self.after(name))}

    def _was(self, name: str) -> PlannedSchedule | None:
        return self._old.get(self._former.get(name, name))

    def _occurrence(self, name: str) -> datetime:
        """The next one, the same for both sides: then names can be compared."""
        schedule = self._new.get(name) or self._was(name)
        return next_occurrence(schedule, self._now) if schedule else self._now


_ByKey = Mapping[tuple[str, str, str], Recipient]


def _by_key(recipients: Iterable[Recipient]) -> _ByKey:
    """One for each far side: what it gets by several ways are its files."""
    found: dict[tuple[str, str, str], Recipient] = {}
    for one in recipients:
        known = found.get(one.key)
        files = [*known.files, *one.files] if known else one.files
        found[one.key] = replace(known or one, files=files)
    return found


def _files(was: _ByKey, will: _ByKey) -> list[FileChange]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for key in sorted(was.keys() & will.keys()):
        before, after = was[key].files, will[key].files
        gone = [file for file in before if file not in after]
        come = [file for file in after if file not in before]
        for old, new in zip_longest(gone, come, fillvalue=""):
            found.setdefault((key[0], old, new), []).append(was[key].name)
    return [
        FileChange(
            schedule=schedule,
            before=before or None,
            after=after or None,
            recipients=recipients,
        )
        for (schedule, before, after), recipients in found.items()
    ]


def _places(recipients: Iterable[Recipient]) -> set[str]:
    return {one.place for one in recipients}


def _in_order(recipients: Iterable[Recipient]) -> list[Recipient]:
    return sorted(recipients, key=lambda one: one.key)
