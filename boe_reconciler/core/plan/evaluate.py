"""Each object of a World -> a Verdict, in an order in which references come first."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.check_code_owners import Owned, check_code_owners, owned
from boe_reconciler.core.plan.check_credentials import check_credentials
from boe_reconciler.core.plan.check_kinds import CHECKS
from boe_reconciler.core.plan.check_parts import check_parts, modelled
from boe_reconciler.core.plan.check_schedule import check_schedule
from boe_reconciler.core.plan.code_owners import CodeOwners
from boe_reconciler.core.plan.policy import Judge, required_findings
from boe_reconciler.core.plan.world import MISSING, Entry, Verdict, World, in_order
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.types import NAME_PATTERN

#: Verdicts of a version that are remembered: in the revision, in what is served, and
#: while that is found.
_REMEMBERED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Court:
    """What all Verdicts of a plan have in common."""

    judge: Judge
    now: datetime
    #: Of the revision; None: the Policy does not ask for them.
    code_owners: CodeOwners | None = None

    def judge_all(self, world: World) -> None:
        """Fill `world.verdicts`."""
        context = self._context(world)
        for entry in in_order(world.entries.values()):
            world.verdicts[entry.key] = self._verdict(entry, world, context)

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
        owners = self._owners(entry, world) if self.code_owners else None
        if owners is not None or (world.extra and entry in world.extra):
            context = *context, owners, *world.extra.get(entry, ())
        for known in entry.memory:
            if known.context == context and _still(known, world):
                return known
        fresh = self._look(entry, world, owners, context)
        entry.memory[:] = [fresh, *entry.memory[: _REMEMBERED - 1]]
        return fresh

    def _owners(self, entry: Entry, world: World) -> Owned | None:
        if self.code_owners is None or entry.served:
            return None
        return owned(entry, world, self.code_owners)

    def _look(
        self, entry: Entry, world: World, owners: Owned | None, context: object
    ) -> Verdict:
        check = Check(
            entry=entry,
            world=world,
            policy=world.limits,
            judge=None if entry.served else self.judge,
            now=self.now,
            document=entry.document,
            problems=[*entry.problems, *world.extra.get(entry, ())],
        )
        _owner(check)
        product: Any = None
        if entry.kind == "Schedule":
            product = check_schedule(check)
        elif (resource := entry.resource or modelled(entry.document)) is not None:
            product = CHECKS[entry.kind](check, resource)
        else:
            check_parts(check)
        if check.judge:
            check.find(required_findings(check.judge, check.document))
            check_credentials(check)
            if owners:
                check_code_owners(check, check.judge, owners)
        return check.verdict(product, context)


def _owner(check: Check) -> None:
    owner = check.entry.metadata.get("owner")
    if isinstance(owner, str) and re.match(NAME_PATTERN, owner):
        check.use("Group", owner, ("metadata", "owner"))


def _still(known: Verdict, world: World) -> bool:
    """Whether all that a Verdict came from is as it was.

    A name that leads nowhere is told with the names that there are: those may differ.
    """
    if known.faulty and MISSING in known.lookups.values():
        return False
    verdicts = world.verdicts
    for key, found in known.lookups.items():
        if verdicts.get(key) is not found and world.look_up(key) is not found:
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
