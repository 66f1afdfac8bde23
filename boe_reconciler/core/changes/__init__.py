"""Two Plans -> Changes: what a revision adds, moves and takes away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from boe_reconciler.core.changes.deliveries import Deliveries, deliveries
from boe_reconciler.core.changes.fields import FieldChange, field_changes
from boe_reconciler.core.changes.runs import PlannedRun, run_changes
from boe_reconciler.core.changes.uses import uses_of
from boe_reconciler.core.plan import Plan, no_blob
from boe_reconciler.core.plan.world import Key
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.spec import ServedObject

Action = Literal["delete", "update", "create"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    action: Action
    kind: str
    name: str
    #: Where it stands now, or stood.
    file: str
    fields: Sequence[FieldChange] = ()
    #: The name that it had, where that is another.
    renamed_from: str | None = None
    #: The Schedules that use it, directly or through others; none of a Schedule.
    schedules: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FileMove:
    """An object that stands in another file now; nothing comes of that."""

    kind: str
    name: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    #: Removals first.
    changes: Sequence[Change]
    moves: Sequence[FileMove]
    runs_added: Sequence[PlannedRun]
    runs_removed: Sequence[PlannedRun]
    #: (before, after): the n-th run of a day that only changed its time.
    runs_moved: Sequence[tuple[PlannedRun, PlannedRun]]
    deliveries: Deliveries


def changes(
    before: Plan | None,
    after: Plan,
    *,
    now: datetime,
    days: int,
    read_blob: Callable[[str], bytes] = no_blob,
) -> Changes:
    """What changes from one plan to the other, its runs within so many days.

    `read_blob` gives the files of both by their sha256: without it, that they differ
    is all that is told.
    """
    pairs = _pairs(before.objects if before else {}, after.objects)
    found = [each for pair in pairs if (each := _change(pair, read_blob))]
    renamed = {
        one.renamed_from: one.name
        for one in found
        if one.kind == "Schedule" and one.renamed_from
    }
    planned = before.schedules if before else {}
    old = {renamed.get(name, name): schedule for name, schedule in planned.items()}
    until = now + timedelta(days=days)
    added, removed, moved = run_changes(old, after.schedules, now, until)
    uses = uses_of(before), uses_of(after)
    return Changes(
        changes=_in_order(_with_schedules(found, *uses)),
        moves=_moves(pairs),
        runs_added=added,
        runs_removed=removed,
        runs_moved=moved,
        deliveries=deliveries(
            before,
            after,
            changed={(one.kind, one.name) for one in found},
            renamed=renamed,
            now=now,
        ),
    )


# --- Objects ----------------------------------------------------------------------

#: An object on both sides; None: it is not there.
_Pair = tuple[ServedObject | None, ServedObject | None]


def _pairs(
    old: Mapping[Key, ServedObject], new: Mapping[Key, ServedObject]
) -> list[_Pair]:
    heirs = {
        former: key
        for key in new.keys() - old.keys()
        if (former := _former(new[key], old)) and former not in new
    }
    pairs: list[_Pair] = [
        (one, new.get(heirs.get(key, key))) for key, one in old.items()
    ]
    inherited = {*heirs.values()}
    pairs += [
        (None, new[key]) for key in new.keys() - old.keys() if key not in inherited
    ]
    return pairs


def _former(one: ServedObject, old: Mapping[Key, ServedObject]) -> Key | None:
    """What a new object was served as, as the reconciler sees it."""
    if one.kind == "Policy":
        return next((key for key in old if key[0] == "Policy"), None)
    metadata = one.data.get("metadata") or {}
    former = one.kind, str(metadata.get("renamed_from"))
    return former if former in old else None


def _change(pair: _Pair, read: Callable[[str], bytes]) -> Change | None:
    was, will = pair
    if was and will:
        fields = list(field_changes(was, will, read))
        renamed = was.name if was.name != will.name else None
        return _told("update", will, fields, renamed) if fields else None
    if was:
        return _told("delete", was)
    return _told("create", will) if will else None


def _told(
    action: Action,
    one: ServedObject,
    fields: Sequence[FieldChange] = (),
    renamed_from: str | None = None,
) -> Change:
    return Change(
        action=action,
        kind=one.kind,
        name=one.name,
        file=one.file,
        fields=fields,
        renamed_from=renamed_from,
    )


def _moves(pairs: Sequence[_Pair]) -> list[FileMove]:
    found = [
        FileMove(kind=will.kind, name=will.name, before=was.file, after=will.file)
        for was, will in pairs
        if was and will and was.file != will.file
    ]
    return sorted(found, key=lambda move: (move.kind, move.name))


def _in_order(found: Iterable[Change]) -> list[Change]:
    """Removals first: they are what a reviewer must not miss."""
    rank = {"delete": 0, "update": 1, "create": 2}
    return sorted(found, key=lambda one: (rank[one.action], one.kind, one.name))


# --- Those who use them -----------------------------------------------------------

#: Schedule -> the objects that it uses.
_Uses = Mapping[str, AbstractSet[Key]]


def _with_schedules(
    found: Sequence[Change], before: _Uses, after: _Uses
) -> Iterator[Change]:
    """Each with the Schedules that use it: those of before, where it goes."""
    users = {False: _users(before), True: _users(after)}
    for one in found:
        schedules = users[one.action != "delete"].get((one.kind, one.name), ())
        yield replace(one, schedules=sorted(schedules))


def _users(uses: _Uses) -> Mapping[Key, list[str]]:
    found: dict[Key, list[str]] = {}
    for schedule, keys in uses.items():
        for key in keys:
            found.setdefault(key, []).append(schedule)
    return found
