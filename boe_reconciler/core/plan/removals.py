"""What a revision no longer holds: gone at once, or only when somebody says so."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from boe_reconciler.core.plan.files import POLICY_FILE
from boe_reconciler.core.plan.policy import Judge
from boe_reconciler.core.plan.revision import Old, Revision, former_key
from boe_reconciler.core.plan.world import Key
from boe_reconciler.core.problems import Problem, Range
from boe_reconciler.core.records import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Removals:
    #: May stand in what could not be read: never taken as deleted.
    hidden: AbstractSet[Key]
    #: More than the Policy allows at once: all of them wait.
    held: AbstractSet[Key]
    problems: tuple[Problem, ...] = ()

    @property
    def kept(self) -> AbstractSet[Key]:
        return self.hidden | self.held


def removals_of(revision: Revision, old: Old, judge: Judge, allowed: int) -> Removals:
    """Served objects that the revision does not hold; renamed ones are still there."""
    world = revision.world
    renamed = {former_key(entry, old) for entry in world.entries.values()}
    gone = set(old) - set(world.entries) - renamed
    hidden = {key for key in gone if revision.may_hide(key, old[key].file)}
    held = gone - hidden
    limit = judge.spec.removals
    if len(held) <= max(limit.max_count, allowed) or len(
        held
    ) <= limit.max_fraction * len(old):
        return Removals(hidden=hidden, held=frozenset())
    return Removals(hidden=hidden, held=held, problems=(_wait(held, len(old), judge),))


def _wait(held: AbstractSet[Key], total: int, judge: Judge) -> Problem:
    limit = judge.spec.removals
    shown = ", ".join(f"{kind} {name}" for kind, name in sorted(held)[:5])
    more = ", …" if len(held) > 5 else ""
    return Problem(
        code="BOE138",
        detail=f"{len(held)} of {total} objects would be removed ({shown}{more}); "
        f"more than {limit.max_count} and more than {limit.max_fraction:.0%} wait "
        f"(removals, {judge.where('removals')})",
        help=f"if that is meant: boe run --allow-removals {len(held)}, or in git a commit "
        f"with the trailer Boe-Allow-Removals: {len(held)}",
        range=Range.whole_file(POLICY_FILE),
    )
