"""What a revision came from, and revisions of which nothing is served for now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from boe_reconciler.core.errors import Refused
from boe_reconciler.core.holds import HoldKind, Wait
from boe_reconciler.core.plan import REASONS, Plan
from boe_reconciler.core.plan.files import POLICY_FILE
from boe_reconciler.core.plan.policy import spec_of
from boe_reconciler.core.plan.world import Key
from boe_reconciler.core.problems import Problem, Range
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.others import PolicySpec
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.core.spec import Activation, ObjectStatus, Served, ServedObject
from boe_reconciler.core.windows import next_window

#: Kind and subject of each Hold that was released and is not taken up.
Released = Collection[tuple[HoldKind, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    #: An older revision that is not among the ancestors; None: all are.
    lost: str | None
    #: As many removals as the commits since what is served allow.
    allow_removals: int
    #: Why nothing of the revision may be served.
    refusal: Refused | None = None


def past_of(snapshot: Snapshot, served: Served, released: Released = ()) -> Past:
    """What the revision came from; the served Policy may let a rewritten history wait."""
    looked = {served.serving: None, served.attempted: None}
    before = {one: snapshot.since(one) for one in looked if one}
    lost = [one for one, how in before.items() if how and not how.descends]
    serving = before.get(served.serving or "")
    if serving is None:
        return Past(lost=lost[0] if lost else None, allow_removals=0)
    meant = (HoldKind.REWRITTEN_HISTORY, snapshot.revision) in released
    held = not serving.descends and not meant and _holds(served)
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
        "if that is meant, look at it and release it: boe release "
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
    stalled = [
        ObjectStatus(
            kind=one.kind,
            name=one.name,
            ready=False,
            reason="Refused",
            message=REASONS["Refused"],
            observed_revision=refusal.revision,
            serving_revision=one.revision or served.serving,
        )
        for one in served.objects
    ]
    activation = Activation(
        attempted=refusal.revision,
        serving=None,
        objects=served.objects,
        stalled=stalled,
        schedules=(),
        problems=[problem.as_diagnostic()],
        waits=_waits(refusal),
        environment=served.environment,
        before=served.serving,
    )
    return Plan(problems=[problem], activation=activation, blobs={})


def _waits(refusal: Refused) -> list[Wait]:
    """A rewritten history waits for a person; an unsigned commit for a signed one."""
    if refusal.code != "BOE196":
        return []
    kind, message = HoldKind.REWRITTEN_HISTORY, f"{refusal.message}."
    return [Wait(kind=kind, subject=refusal.revision, message=message)]


def _holds(served: Served) -> bool:
    """Whether the Policy that is served lets a rewritten history wait."""
    return _policy(served).hold_rewritten_history


def _policy(served: Served) -> PolicySpec:
    """The one that is served; without one, all its defaults."""
    return spec_of(served.policy.data.get("spec") if served.policy else None)[0]


# --- Change windows -------------------------------------------------------------------


def in_its_window(
    plan: Plan, served: Served, *, released: Released = (), now: datetime
) -> Plan:
    """The Plan, or (where the served Policy has windows, and none is open) one that waits."""
    meant = (HoldKind.CHANGE_WINDOW, plan.revision) in released
    if meant or not _is_change(plan, served):
        return plan
    opening = next_window(_policy(served), now)
    if opening and opening.at <= now:
        return plan
    if not _changed(plan.objects, served.by_key):
        return plan
    when = f"the change window that opens {opening}" if opening else "a change window"
    wait = Wait(
        kind=HoldKind.CHANGE_WINDOW,
        subject=plan.revision,
        message=f"{plan.revision} waits for {when}.",
        until=opening.at if opening else None,
    )
    return _waiting(plan, served, wait)


def _is_change(plan: Plan, served: Served) -> bool:
    """Not the first activation, what is served already, or another Environment of it."""
    activation = plan.activation
    return (
        served.serving not in (None, plan.revision)
        and activation.serving is not None
        and activation.environment == served.environment
    )


def _waiting(plan: Plan, served: Served, wait: Wait) -> Plan:
    """All goes on as it is served, until then; what is wrong with the rest stays told."""
    wrong = {(one.kind, one.name): one for one in plan.activation.stalled}
    told = sorted(wrong.keys() | _changed(plan.objects, served.by_key))
    activation = replace(
        plan.activation,
        serving=None,
        objects=served.objects,
        stalled=[_stalled(key, wrong.get(key), plan, served, wait) for key in told],
        schedules=(),
        waits=[wait],
    )
    return replace(plan, activation=activation, blobs={})


def _changed(
    new: Mapping[Key, ServedObject], old: Mapping[Key, ServedObject]
) -> set[Key]:
    """Objects that an activation would make, alter or remove."""
    return {key for key in {*new, *old} if _what(new.get(key)) != _what(old.get(key))}


def _what(one: ServedObject | None) -> object:
    return one and (one.data, dict(one.files))


def _stalled(
    key: Key, wrong: ObjectStatus | None, plan: Plan, served: Served, wait: Wait
) -> ObjectStatus:
    """With the version that goes on."""
    before = served.by_key.get(key)
    return ObjectStatus(
        kind=key[0],
        name=key[1],
        ready=False,
        reason=wrong.reason if wrong else "ChangeWindow",
        message=wrong.message if wrong else wait.message,
        observed_revision=plan.revision,
        serving_revision=(before.revision or served.serving) if before else None,
    )
