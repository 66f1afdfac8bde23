"""Each object of a World -> a Verdict, in an order in which references come first.

Of a World that is like the last one, only what is another now is looked at, and what
depends on it: a World that is new is one in which everything is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import field, replace
from datetime import datetime
from functools import partial

from boe_reconciler.core.maps import Edition, differing
from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.check_code_owners import Owned, check_code_owners, owned
from boe_reconciler.core.plan.check_credentials import check_credentials
from boe_reconciler.core.plan.check_kinds import CHECKS
from boe_reconciler.core.plan.check_parts import check_parts, modelled
from boe_reconciler.core.plan.check_schedule import check_schedule
from boe_reconciler.core.plan.code_owners import CodeOwners
from boe_reconciler.core.plan.policy import Judge, required_findings
from boe_reconciler.core.plan.spread import Spread, alone
from boe_reconciler.core.plan.world import (
    MISSING,
    ORDER,
    RANKS,
    Entry,
    Key,
    Verdict,
    World,
    hides_nothing,
    in_order,
)
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.types import NAME_PATTERN

#: Verdicts of a version that are remembered: in the revision, in what is served, and
#: while that is found.
_REMEMBERED = 3


@dataclass(kw_only=True, eq=False, slots=True)
class Judged:
    """The Verdicts on a World, and what each of them was made of; in the beginning none."""

    context: object
    code_owners: CodeOwners | None
    entries: Mapping[Key, Entry] = field(default_factory=dict)
    verdicts: Edition[Key, Verdict] = field(default_factory=Edition)
    #: Those with Problems that only a look at all of them shows.
    extra: AbstractSet[Key] = frozenset()
    #: Whether something may be hidden.
    hides: bool = False
    #: Verdicts that have Problems, or on what cannot be used.
    odd: dict[Key, Verdict] = field(default_factory=dict)
    #: Who looked up an object, whether it was there or not.
    users: dict[Key, set[Key]] = field(default_factory=partial(defaultdict, set))
    #: Who looked into a file.
    readers: dict[str, set[Key]] = field(default_factory=partial(defaultdict, set))

    @property
    def failing(self) -> list[Verdict]:
        """What cannot be used, each after what it refers to."""
        failing = {one.entry: one for one in self.odd.values() if not one.good}
        return [failing[entry] for entry in in_order(failing)]

    def over(self, world: World) -> Judged:
        """The same, to be made that of another World."""
        world.verdicts = verdicts = Edition(self.verdicts)
        return replace(
            self,
            entries=world.entries,
            verdicts=verdicts,
            extra={entry.key for entry in world.extra},
            hides=world.hides is not hides_nothing,
        )

    def stale(self, before: Judged, world: World) -> set[Key]:
        """What is another than before, and who has seen that; and what may be mended."""
        found = {*differing(before.entries, self.entries)}
        seen = [*found]
        if before.hides or self.hides:
            seen += self.users.keys() - self.entries.keys()
        for key in seen:
            if users := self.users.get(key):
                found |= users
        for path, readers in self.readers.items():
            stamp = world.stamp(path)
            found |= {
                key for key in readers if self.verdicts[key].stamps[path] != stamp
            }
        found |= before.extra | self.extra
        return found.union(key for key, one in self.odd.items() if not one.good)

    def note(self, key: Key, found: Verdict | None) -> Iterable[Key]:
        """The Verdict on an object (None: it is gone); who has to be asked then.

        Who sees no more of it than its Entry was asked in any case.
        """
        known = self.verdicts.get(key)
        if known is found:
            return ()
        if known:
            self._forget(key, known)
        if found is None:
            self.verdicts.drop(key)
            return ()
        self.verdicts.put(key, found)
        self._remember(key, found)
        rank = RANKS[key[0]]
        return [one for one in self.users.get(key, ()) if RANKS[one[0]] > rank]

    def _forget(self, key: Key, known: Verdict) -> None:
        self.odd.pop(key, None)
        for other in known.lookups:
            self.users[other].discard(key)
        for path in known.files:
            self.readers[path].discard(key)

    def _remember(self, key: Key, found: Verdict) -> None:
        if found.problems or not found.good:
            self.odd[key] = found
        for other in found.lookups:
            self.users[other].add(key)
        for path in found.files:
            self.readers[path].add(key)


def _by_kind(keys: Iterable[Key]) -> dict[str, set[Key]]:
    found: dict[str, set[Key]] = {}
    for key in keys:
        found.setdefault(key[0], set()).add(key)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Court:
    """What all Verdicts of a plan have in common."""

    judge: Judge
    now: datetime
    #: Of the revision; None: the Policy does not ask for them.
    code_owners: CodeOwners | None = None
    #: Whether Problems are all that is asked for, and nothing is planned.
    only_problems: bool = False
    #: By whom the Schedules are looked through then, which nobody refers to.
    spread: Spread = alone

    def judge_all(self, world: World, last: Judged | None = None) -> Judged:
        """Fill `world.verdicts`: those of `last`, but for what is another now, and for
        all that depends on that. `last` cannot be used any more."""
        context = self._context(world)
        if last is None or not self._goes_on(world, context, last):
            last = Judged(context=context, code_owners=self.code_owners)
        judged = last.over(world)
        asked = _by_kind(judged.stale(last, world))
        for kind in ORDER:
            # Each in the same order, however it came to be asked.
            keys = sorted(asked.pop(kind, ()))
            if self.only_problems and kind == "Schedule":
                keys = self.spread(partial(self._suspects, world), keys)
            for key in keys:
                entry = world.entries.get(key)
                found = self._verdict(entry, world, context) if entry else None
                for other in judged.note(key, found):
                    asked.setdefault(other[0], set()).add(other)
        world.whens.clear()
        return judged

    def _suspects(self, world: World, keys: Sequence[Key]) -> list[Key]:
        """Those with Problems, which are judged as ever: nobody asks for the others."""
        entries = ((key, world.entries[key]) for key in keys)
        return [
            key
            for key, entry in entries
            if self._look(entry, world, self._owners(entry, world)).problems
        ]

    def _goes_on(self, world: World, context: object, last: Judged) -> bool:
        """Whether all that every Verdict depends on is as it was."""
        if (last.context, last.code_owners) != (context, self.code_owners):
            return False
        # Who reviews a file is looked up by itself.
        return self.code_owners is None or not any(
            kind == "Group" for kind, _ in differing(last.entries, world.entries)
        )

    def verdict(self, entry: Entry, world: World) -> Verdict:
        return self._verdict(entry, world, self._context(world))

    def _context(self, world: World) -> tuple[object, ...]:
        """What all Verdicts of a World depend on."""
        policy = world.policy, world.without_policy
        return self.now.date(), self.judge, *policy, world.environment

    def _verdict(
        self, entry: Entry, world: World, context: tuple[object, ...]
    ) -> Verdict:
        """An earlier Verdict counts as long as nothing it depends on has changed."""
        owners = self._owners(entry, world)
        if owners is not None or (world.extra and entry in world.extra):
            context = *context, owners, *world.extra.get(entry, ())
        for known in entry.memory:
            if known.context == context and _still(known, world):
                return known
        fresh = self._look(entry, world, owners).verdict(context)
        entry.memory[:] = [fresh, *entry.memory[: _REMEMBERED - 1]]
        return fresh

    def _owners(self, entry: Entry, world: World) -> Owned | None:
        if self.code_owners is None or entry.served:
            return None
        return owned(entry, world, self.code_owners)

    def _look(self, entry: Entry, world: World, owners: Owned | None) -> Check:
        check = Check(
            entry=entry,
            world=world,
            policy=world.limits,
            judge=None if entry.served else self.judge,
            now=self.now,
            document=entry.document,
            only_problems=self.only_problems,
            problems=[*entry.problems, *world.extra.get(entry, ())],
            blocked_by=None,
            lookups={},
            files={},
            product=None,
        )
        _owner(check)
        if entry.kind == "Schedule":
            check.product = check_schedule(check)
        elif (resource := entry.resource or modelled(entry.document)) is not None:
            check.product = CHECKS[entry.kind](check, resource)
        else:
            check_parts(check)
        if check.judge:
            check.find(required_findings(check.judge, check.document))
            check_credentials(check)
            if owners:
                check_code_owners(check, check.judge, owners)
        return check


def _owner(check: Check) -> None:
    owner = check.entry.metadata.get("owner")
    if isinstance(owner, str) and "@" not in owner and re.match(NAME_PATTERN, owner):
        check.use("Group", owner, ("metadata", "owner"))


def _still(known: Verdict, world: World) -> bool:
    """Whether all that a Verdict came from is as it was.

    A name that leads nowhere is told with the names that there are: those may differ.
    """
    if known.faulty and MISSING in known.lookups.values():
        return False
    kind = known.entry.kind
    for key, found in known.lookups.items():
        if world.look_up(key, kind) is not found:
            return False
    return not known.files or all(
        _same_file(path, known, world) for path in known.files
    )


def _same_file(path: str, known: Verdict, world: World) -> bool:
    """A file that could not be read although it is there is tried again."""
    if known.files[path] is None:
        there = known.entry.served is not None or path in world.snapshot.files
        return not there and known.stamps[path] == world.stamp(path)
    return known.entry.served is not None or known.stamps[path] == world.stamp(path)
