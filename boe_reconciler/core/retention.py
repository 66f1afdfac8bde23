"""What is kept how long (docs/operating/retention.md)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic_core._pydantic_core import ValidationError

from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.others import Retention

if TYPE_CHECKING:
    from boe_reconciler.core.spec import Served

#: A stored file that nothing names yet may be about to be named.
UNNAMED = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    """What one call of `Ledger.sweep` removed."""

    runs: int
    specs: int
    #: There may be more: call again.
    more: bool


def retention_of(served: Served) -> Retention:
    """As the served Policy says; the defaults where it says nothing that is valid."""
    policy = next((one.data for one in served.objects if one.kind == "Policy"), {})
    spec = policy.get("spec")
    given = spec.get("retention") if isinstance(spec, dict) else None
    try:
        return Retention.model_validate(given or {})
    except ValidationError:
        return Retention()


def files_kept(retention: Retention) -> timedelta:
    """No file outlives the row that names it."""
    return min(retention.artifacts, retention.runs)
