"""Destinations whose receiver answered that it wants no more: a Hold switches them off."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from boe_reconciler.core.holds import Hold, HoldKind, Wait
from boe_reconciler.core.resources.distribution import WebhookDestination
from boe_reconciler.core.spec import PlannedDestination, RunSpec


def subject(planned: PlannedDestination, spec: RunSpec) -> str:
    """What the Hold is about; another address, or another Connection, is another one."""
    assert isinstance(planned.spec, WebhookDestination)  # noqa: S101 nobody else says it
    name = planned.spec.connection
    where = spec.connections[name].model_dump_json() if name else planned.spec.url or ""
    digest = hashlib.sha256(where.encode()).hexdigest()[:8]
    return f"{spec.schedule} {planned.key} {digest}"


def wait(planned: PlannedDestination, spec: RunSpec, run_id: str) -> Wait:
    return Wait(
        kind=HoldKind.GONE,
        subject=subject(planned, spec),
        message=f"The receiver of {planned.key} told {run_id} that it wants no more "
        f"(410). Nothing of {spec.schedule} is sent there until it has another address "
        "in git, or the Hold is released.",
    )


def stands(holds: Iterable[Hold], subject: str) -> Hold | None:
    """The Hold that switches it off."""
    return next((one for one in _gone(holds) if one.subject == subject), None)


def outdated(holds: Iterable[Hold], subject: str) -> list[Hold]:
    """Those about an address that the same destination had before."""
    place = subject.rpartition(" ")[0]
    return [
        one
        for one in _gone(holds)
        if one.subject != subject and one.subject.rpartition(" ")[0] == place
    ]


def _gone(holds: Iterable[Hold]) -> Iterable[Hold]:
    return (one for one in holds if one.kind is HoldKind.GONE and one.ended_at is None)
