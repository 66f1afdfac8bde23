"""Where the deliveries of a Schedule go in an Environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.check_environment import Overlay
from boe_reconciler.core.plan.world import Verdict
from boe_reconciler.core.resources.others import Redirect
from boe_reconciler.core.spec import PlannedDestination


def overlay_of(check: Check) -> Overlay | None:
    """That of the Environment; a Report without a good one cannot be used anyway."""
    key = check.world.environment
    found = check.look_up(key) if key else None
    return found.product if isinstance(found, Verdict) and found.good else None


def redirected(planned: PlannedDestination, overlay: Overlay) -> PlannedDestination:
    """The destination as it is there: rewritten, left out, or as it stands.

    What a `redirect` does not speak of is left out, unless it says
    `others: deliver`. Without a `redirect` all is delivered as it stands.
    """
    redirect = overlay.redirect
    rewrite = _REWRITES.get(planned.spec.type)
    changes = rewrite(planned.spec, redirect) if rewrite else {}
    if changes:
        spec = planned.spec.model_copy(update=changes)
        update = {
            "spec": spec,
            "redirected_by": overlay.environment,
            "redirected_from": planned.spec,
            # Nothing leaves the house beside the one place that is named.
            "link": None,
        }
        return planned.model_copy(update=update)
    if redirect.others == "deliver":
        return planned
    return planned.model_copy(update={"left_out_by": overlay.environment})


def _email(_spec: Any, redirect: Redirect) -> dict[str, Any]:
    if redirect.email is None:
        return {}
    return {"to": [redirect.email], "cc": [], "bcc": []}


def _local(spec: Any, redirect: Redirect) -> dict[str, Any]:
    """Below the folder, in the same folders: what was apart stays apart."""
    if redirect.local is None:
        return {}
    below = spec.base_path.lstrip("/")
    return {"base_path": f"{redirect.local.rstrip('/')}/{below}"}


#: Type -> the fields that lead elsewhere; empty where it is not redirected.
_REWRITES: dict[str, Callable[[Any, Redirect], dict[str, Any]]] = {
    "email": _email,
    "local": _local,
}
