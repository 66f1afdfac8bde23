"""What a revision came from, and revisions of which nothing is served."""

from __future__ import annotations

from collections.abc import Mapping

from boe_reconciler.core.errors import Refused
from boe_reconciler.core.plan import REASONS, Plan
from boe_reconciler.core.plan.files import POLICY_FILE
from boe_reconciler.core.problems import Problem, Range
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.core.spec import Activation, ObjectStatus, Served


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    #: An older revision that is not among the ancestors; None: all are.
    lost: str | None
    #: As many removals as the commits since what is served allow.
    allow_removals: int
    #: Why nothing of the revision may be served.
    refusal: Refused | None = None


def past_of(snapshot: Snapshot, served: Served) -> Past:
    """What the revision came from; the served Policy may let a rewritten history wait."""
    looked = (served.serving, served.attempted)
    before = {one: snapshot.since(one) for one in looked if one}
    lost = [one for one, how in before.items() if how and not how.descends]
    serving = before.get(served.serving or "")
    if serving is None:
        return Past(lost=lost[0] if lost else None, allow_removals=0)
    held = not serving.descends and not serving.released and _holds(served)
    return Past(
        lost=lost[0] if lost else None,
        allow_removals=serving.allow_removals,
        refusal=_rewritten(snapshot.revision, served.serving) if held else None,
    )


def _rewritten(revision: str, serving: str | None) -> Refused:
    return Refused(
        revision,
        "BOE196",
        f"{revision} does not descend from {serving}, which is served: its history was "
        "rewritten",
        "if that is meant, start again with BOE_GIT_RELEASE="
        f"{revision.rpartition(':')[2]}",
    )


def refused_plan(served: Served, refusal: Refused) -> Plan:
    """All goes on as it is served, and says why."""
    problem = Problem(
        code=refusal.code,
        detail=refusal.message,
        help=refusal.help,
        range=Range.whole_file(POLICY_FILE),
    )
    statuses = [
        ObjectStatus(
            kind=one.kind,
            name=one.name,
            ready=False,
            reason="Refused",
            message=REASONS["Refused"],
            observed_revision=refusal.revision,
            serving_revision=one.revision,
        )
        for one in served.objects
    ]
    activation = Activation(
        attempted=refusal.revision,
        serving=None,
        objects=served.objects,
        statuses=statuses,
        schedules=(),
        problems=[problem.as_diagnostic()],
        environment=served.environment,
    )
    return Plan(problems=[problem], activation=activation, blobs={})


def _holds(served: Served) -> bool:
    """Whether the Policy that is served lets a rewritten history wait."""
    policies = (one.data.get("spec") for one in served.objects if one.kind == "Policy")
    return any(
        isinstance(spec, Mapping) and spec.get("hold_rewritten_history") is True
        for spec in policies
    )
