"""A Snapshot, and what is served -> a Plan: the same for CI, for people and for serving.

Steps: read the files, judge each object, choose what is served (an object that
cannot be used keeps its last good version), and tell all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.plan.evaluate import Court
from boe_reconciler.core.plan.looking import NOTHING, look, look_through, no_blob
from boe_reconciler.core.plan.outcome import Outcome
from boe_reconciler.core.plan.reading import PlanCache
from boe_reconciler.core.plan.revision import Served
from boe_reconciler.core.plan.serving import Serving
from boe_reconciler.core.plan.spread import Spread, alone
from boe_reconciler.core.plan.status import REASONS, Telling
from boe_reconciler.core.plan.world import Key, World
from boe_reconciler.core.problems import Problem
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.core.spec import (
    Activation,
    Keyed,
    Objects,
    ObjectStatus,
    PlannedSchedule,
    Schedules,
    ServedObject,
)

__all__ = [
    "REASONS",
    "Plan",
    "PlanCache",
    "look_through",
    "make_plan",
    "no_blob",
    "served_plan",
    "unusable",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    #: All findings of the revision, in the one order.
    problems: Sequence[Problem]
    #: What the ledger makes the served state, in one transaction.
    activation: Activation
    #: sha256 -> bytes of every file that the activation names anew.
    blobs: Mapping[str, bytes]
    #: What is served, as it was judged; None: nothing was.
    world: World | None = field(default=None, repr=False, compare=False)

    @property
    def revision(self) -> str:
        return self.activation.attempted

    @property
    def references(self) -> Mapping[Key, Sequence[Key]]:
        """Each object that is served -> those that it refers to."""
        world = self.world
        return world.references if world else {}

    @property
    def schedules(self) -> Mapping[str, PlannedSchedule]:
        return self.activation.planned

    @property
    def statuses(self) -> Sequence[ObjectStatus]:
        return self.activation.statuses

    @property
    def objects(self) -> Mapping[Key, ServedObject]:
        return self.activation.by_key


def make_plan(  # noqa: PLR0913 what a plan depends on, each by its name
    snapshot: Snapshot,
    *,
    served: Served | None,
    now: datetime,
    strict: bool = False,
    allow_removals: int = 0,
    cache: PlanCache | None = None,
    read_blob: Callable[[str], bytes] = no_blob,
    environment: str | None = None,
    spread: Spread = alone,
) -> Plan:
    """Plan a revision; offline, without a secret, and without a clock of its own.

    `served` is what goes on where the revision cannot be used; None: nothing is
    served, as in CI. `allow_removals` is how many removals somebody allowed;
    `strict` serves a revision whole or not at all. `read_blob` gives the files of
    what is served. `environment` is laid over the revision: InputError where there is
    none of that name, neither in the revision nor served. `spread` reads many files.
    """
    cache, served = cache or PlanCache(), served or NOTHING
    found = look(
        snapshot,
        served=served,
        now=now,
        allow_removals=allow_removals,
        cache=cache,
        read_blob=read_blob,
        environment=environment,
        spread=spread,
    )
    revision, removals, problems = found.revision, found.removals, found.problems
    refused = strict and any(problem.severity == "error" for problem in problems)
    serving = Serving(
        court=found.court,
        revision=revision.world,
        judged=revision.judged,
        old=served.by_key,
        cache=cache,
    )
    chosen = (
        serving.as_before()
        if refused
        else serving.choose(removals.kept | found.gone.keys())
    )
    cache.outcome = outcome = cache.outcome.of(
        chosen, None if refused else served.serving
    )
    telling = Telling(revision=revision, removals=removals, refused=refused)
    return Plan(
        problems=problems,
        activation=Activation(
            attempted=snapshot.revision,
            serving=None if refused else snapshot.revision,
            objects=Objects(outcome.objects, outcome.policy),
            stalled=telling.stalled(chosen, snapshot.revision, served.serving),
            schedules=Schedules(outcome.schedules, outcome.connections),
            problems=[problem.as_diagnostic() for problem in problems],
            environment=environment,
            judge=found.judge,
            before=served.serving,
        ),
        blobs=outcome.blobs(served.by_key),
        world=chosen,
    )


def served_plan(
    served: Served, *, now: datetime, read_blob: Callable[[str], bytes] = no_blob
) -> Plan:
    """The Plan of what is served already, to compare others with."""
    revision = served.serving or ""
    cache = PlanCache()
    nothing = Snapshot(revision=revision, files={}, read=no_blob)
    overlay = ("Environment", served.environment) if served.environment else None
    world = World.of(nothing, read_blob, overlay)
    old = served.by_key
    court = Court(judge=cache.judge_by(None, None), now=now)
    nothing_judged = court.judge_all(world)
    serving = Serving(
        court=court, revision=world, judged=nothing_judged, old=old, cache=cache
    )
    chosen = serving.as_before()
    activation = Activation(
        attempted=revision,
        serving=revision,
        objects=served.objects,
        stalled=served.stalled,
        schedules=Keyed(Outcome().of(chosen, None).schedules),
        problems=served.problems,
        environment=served.environment,
    )
    return Plan(problems=(), activation=activation, blobs={}, world=chosen)


def unusable(plan: Plan) -> InputError | None:
    """Why the Environment of a plan cannot be used; then none of its Schedules can."""
    name = plan.activation.environment
    if name is None or ("Environment", name) in plan.objects:
        return None
    errors = [one for one in plan.problems if one.severity == "error"]
    own = [one for one in errors if (one.kind, one.name) == ("Environment", name)]
    first = (own or errors)[:1]
    return InputError(
        f"The Environment {name} cannot be used" + "".join(f": {one}" for one in first),
        f"`boe --env {name} validate` tells all that is wrong.",
    )
