"""Which objects each Schedule uses, directly or through others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from boe_reconciler.core.plan import Plan
from boe_reconciler.core.plan.world import Key


def uses_of(plan: Plan | None) -> Mapping[str, AbstractSet[Key]]:
    """Schedule -> what it uses; what another Schedule uses is that one's."""
    if plan is None:
        return {}
    references, known = plan.references, dict[Key, frozenset[Key]]()
    return {
        name: _below(("Schedule", name), references, known) for name in plan.schedules
    }


def _below(
    key: Key, references: Mapping[Key, Sequence[Key]], known: dict[Key, frozenset[Key]]
) -> frozenset[Key]:
    if key not in known:
        known[key] = frozenset()  # Distributions that link to each other end here.
        direct = [one for one in references.get(key, ()) if one[0] != "Schedule"]
        deeper = (_below(one, references, known) for one in direct)
        known[key] = frozenset(direct).union(*deeper)
    return known[key]
