"""What a revision no longer holds: gone at once, or only when somebody says so."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.suggest import did_you_mean
from boe_reconciler.core.plan.files import POLICY_FILE
from boe_reconciler.core.plan.policy import Judge
from boe_reconciler.core.plan.revision import Old, Revision, former_key
from boe_reconciler.core.plan.world import Key
from boe_reconciler.core.problems import Problem, Range
from boe_reconciler.core.records import dataclass


class NoEnvironment(InputError):
    """The Environment that was asked for is neither in the revision nor served."""


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


def removals_of(
    revision: Revision, old: Old, apart: AbstractSet[Key], judge: Judge, allowed: int
) -> Removals:
    """Served objects that the revision does not hold; renamed ones are still there.

    `apart` has all that only one of the two holds.
    """
    world = revision.world
    lost = {key for key in apart if key in old and key not in world.entries}
    fresh = [key for key in apart if key in world.entries and key not in old]
    gone = lost - {former_key(world.entries[key], old) for key in fresh if lost}
    hidden = {key for key in gone if revision.may_hide(key, old[key].file)}
    held = gone - hidden
    limit = judge.spec.removals
    if len(held) <= max(limit.max_count, allowed) or len(
        held
    ) <= limit.max_fraction * len(old):
        return Removals(hidden=hidden, held=frozenset())
    return Removals(hidden=hidden, held=held, problems=(_wait(held, len(old), judge),))


def removed_environment(revision: Revision, old: Old) -> dict[Key, Problem]:
    """The Environment that is served and that the revision lacks: it goes on.

    NoEnvironment where it is not served either: what is meant for it would go elsewhere.
    """
    key = revision.world.environment
    if key is None or key in revision.world.entries:
        return {}
    if key in old:
        return {key: _missed(key[1], old[key].file)}
    if revision.may_hide(key, f"environments/{key[1]}.yaml"):
        return {}
    known = revision.world.names("Environment")
    listed = f"There is {', '.join(sorted(known))}." if known else "There is none."
    todo = did_you_mean(key[1], known, f"{listed} They stand in environments/.")
    raise NoEnvironment(f'There is no Environment "{key[1]}".', todo)


def _missed(name: str, file: str) -> Problem:
    return Problem(
        code="BOE170",
        detail=f'the Environment "{name}" is served, and it is not here any more; it '
        "goes on as it was",
        help="put it back, or serve another one with --env and a state folder of its own",
        range=Range.whole_file(file),
        kind="Environment",
        name=name,
    )


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
