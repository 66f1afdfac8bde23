"""A Snapshot, and what is served -> a Plan: the same for CI, for people and for serving.

Steps: read the files, judge each object, choose what is served (an object that
cannot be used keeps its last good version), and tell all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.plan.evaluate import Court
from boe_reconciler.core.plan.reading import PlanCache, read
from boe_reconciler.core.plan.removals import removals_of, removed_environment
from boe_reconciler.core.plan.revision import (
    Old,
    Served,
    judge_for,
    judge_revision,
    judging,
)
from boe_reconciler.core.plan.serving import Serving
from boe_reconciler.core.plan.status import REASONS, Telling
from boe_reconciler.core.plan.world import Key, World
from boe_reconciler.core.problems import Problem, in_order
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.core.spec import (
    Activation,
    ObjectStatus,
    PlannedSchedule,
    ServedObject,
)

__all__ = ["REASONS", "Plan", "PlanCache", "make_plan", "served_plan", "unusable"]

_NOTHING = Served(attempted=None, serving=None)


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
        return {one.name: one for one in self.activation.schedules}

    @property
    def statuses(self) -> Sequence[ObjectStatus]:
        return self.activation.statuses

    @property
    def objects(self) -> Mapping[Key, ServedObject]:
        return {(one.kind, one.name): one for one in self.activation.objects}


def no_blob(sha256: str) -> bytes:
    """Reads from a Blobs store that nobody has."""
    raise InputError(f"the file {sha256} is not at hand")


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
) -> Plan:
    """Plan a revision; offline, without a secret, and without a clock of its own.

    `served` is what goes on where the revision cannot be used; None: nothing is
    served, as in CI. `allow_removals` is how many removals somebody allowed;
    `strict` serves a revision whole or not at all. `read_blob` gives the files of
    what is served. `environment` is laid over the revision: InputError where there is
    none of that name, neither in the revision nor served.
    """
    cache = cache or PlanCache()
    served = served or _NOTHING
    old = served.by_key
    reading = read(snapshot, cache)
    before = judging(served, snapshot.revision)
    judge = judge_for(reading, before, cache)
    owners = cache.code_owners_of(snapshot) if judge.spec.codeowners else None
    court = Court(judge=judge, now=now, code_owners=owners)
    overlay = ("Environment", environment) if environment else None
    empty = World.of(snapshot, read_blob, overlay)
    revision = judge_revision(reading, empty, old, court)
    removals = removals_of(revision, old, judge, allow_removals)
    gone = removed_environment(revision, old)
    problems = in_order(
        [*reading.problems, *revision.problems, *removals.problems, *gone.values()]
    )
    refused = strict and any(problem.severity == "error" for problem in problems)
    serving = Serving(court=court, revision=revision.world, old=old, cache=cache)
    chosen = (
        serving.as_before() if refused else serving.choose(removals.kept | gone.keys())
    )
    telling = Telling(revision=revision, removals=removals, refused=refused)
    return Plan(
        problems=problems,
        activation=Activation(
            attempted=snapshot.revision,
            serving=None if refused else snapshot.revision,
            objects=_objects(chosen, None if refused else served.serving),
            stalled=telling.stalled(chosen, snapshot.revision, served.serving),
            schedules=_schedules(chosen),
            problems=[problem.as_diagnostic() for problem in problems],
            environment=environment,
            judge=before,
            before=served.serving,
        ),
        blobs=_blobs(chosen, old),
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
    serving = Serving(court=court, revision=world, old=old, cache=cache)
    chosen = serving.as_before()
    activation = Activation(
        attempted=revision,
        serving=revision,
        objects=served.objects,
        stalled=served.stalled,
        schedules=_schedules(chosen),
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


# --- From what was chosen -----------------------------------------------------------


def _schedules(chosen: World) -> list[PlannedSchedule]:
    found = (verdict for verdict in chosen.verdicts.values() if verdict.good)
    return [one.product for one in found if one.entry.kind == "Schedule"]


def _objects(chosen: World, served_from: str | None) -> list[ServedObject]:
    """What goes on beside a newer revision names the one that it is from."""
    return [
        _kept(verdict.entry.served, served_from)
        if verdict.entry.served
        else verdict.as_served
        for verdict in chosen.verdicts.values()
    ]


def _kept(one: ServedObject, served_from: str | None) -> ServedObject:
    return one if one.revision else replace(one, revision=served_from)


def _blobs(chosen: World, old: Old) -> dict[str, bytes]:
    """Files of what was served by an earlier plan of this process are stored already."""
    return {
        sha256: content
        for key, verdict in chosen.verdicts.items()
        if verdict.files
        and verdict.entry.served is None
        and verdict.as_served is not old.get(key)
        for sha256, content in verdict.contents.values()
    }
