"""A Snapshot -> all that is wrong with it: a Plan begins with that, and CI needs no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.plan.evaluate import Court
from boe_reconciler.core.plan.reading import PlanCache, read
from boe_reconciler.core.plan.removals import (
    Removals,
    removals_of,
    removed_environment,
)
from boe_reconciler.core.plan.revision import (
    Revision,
    Served,
    judge_for,
    judge_revision,
    judging,
)
from boe_reconciler.core.plan.spread import Spread, alone
from boe_reconciler.core.plan.world import Key, World
from boe_reconciler.core.problems import Problem, in_order
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.core.spec import ServedObject

NOTHING = Served(attempted=None, serving=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    #: All findings of the revision, in the one order.
    problems: Sequence[Problem]
    court: Court
    revision: Revision
    removals: Removals
    #: The Environment that goes on though the revision lacks it.
    gone: Mapping[Key, Problem]
    #: The Policy that judged, where that is the one that was served before.
    judge: ServedObject | None

    @property
    def total(self) -> int:
        """How many objects the revision has."""
        return len(self.revision.world.entries)


def no_blob(sha256: str) -> bytes:
    """Reads from a Blobs store that nobody has."""
    raise InputError(f"the file {sha256} is not at hand")


def look_through(
    snapshot: Snapshot,
    *,
    now: datetime,
    environment: str | None = None,
    spread: Spread = alone,
) -> Look:
    """Look for Problems alone: nothing is served, and nothing is planned."""
    return look(
        snapshot,
        served=NOTHING,
        now=now,
        allow_removals=0,
        cache=PlanCache(),
        read_blob=no_blob,
        environment=environment,
        only_problems=True,
        spread=spread,
    )


def look(  # noqa: PLR0913 what a plan depends on, each by its name
    snapshot: Snapshot,
    *,
    served: Served,
    now: datetime,
    allow_removals: int,
    cache: PlanCache,
    read_blob: Callable[[str], bytes],
    environment: str | None,
    only_problems: bool = False,
    spread: Spread = alone,
) -> Look:
    """Read the files, and judge each object; see `make_plan`."""
    old = served.by_key
    reading = read(snapshot, cache, spread)
    before = judging(served, snapshot.revision)
    judge = judge_for(reading, before, cache)
    owners = cache.code_owners_of(snapshot) if judge.spec.codeowners else None
    court = Court(
        judge=judge,
        now=now,
        code_owners=owners,
        only_problems=only_problems,
        spread=spread,
    )
    overlay = ("Environment", environment) if environment else None
    empty = World.of(snapshot, read_blob, overlay)
    revision = judge_revision(reading, empty, old, court, cache)
    removals = removals_of(
        revision,
        old,
        cache.outcome.apart(old, revision.world.entries),
        judge,
        allow_removals,
    )
    gone = removed_environment(revision, old)
    return Look(
        problems=in_order(
            [*reading.problems, *revision.problems, *removals.problems, *gone.values()]
        ),
        court=court,
        revision=revision,
        removals=removals,
        gone=gone,
        judge=before,
    )
