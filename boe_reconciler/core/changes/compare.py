"""What a revision would make of another one, or of what is served.

The reconciler's own steps, without its ledger: so the plan says what it will do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime

from boe_reconciler.core.plan import Plan, PlanCache, make_plan, no_blob, served_plan
from boe_reconciler.core.plan.past import Past, past_of
from boe_reconciler.core.plan.removals import NoEnvironment
from boe_reconciler.core.plan.spread import Spread, alone
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.core.spec import ObjectStatus, Served


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """How the reconciler would act."""

    now: datetime
    #: As `boe run --strict` and `boe run --allow-removals`.
    strict: bool = False
    allow_removals: int = 0
    #: The Environment that is laid over both sides.
    environment: str | None = None
    #: Files of what is served, by their sha256.
    read_blob: Callable[[str], bytes] = no_blob
    #: A file that both sides have is parsed once.
    cache: PlanCache = field(default_factory=PlanCache)
    #: By whom the files are read.
    spread: Spread = alone


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    #: None: nothing is served, so everything is new.
    before: Plan | None
    after: Plan
    past: Past
    #: Objects that the base has and that cannot be used there: whether an older version
    #: of them is served, a revision alone does not say.
    unknown: Sequence[ObjectStatus]
    #: The bytes of a file of either side, by their sha256.
    read_blob: Callable[[str], bytes]
    #: Each Environment that the head edits or brings -> both sides as they are there.
    elsewhere: Mapping[str, tuple[Plan | None, Plan]] = field(default_factory=dict)


def compare(base: Snapshot, head: Snapshot, terms: Terms) -> Comparison:
    """What serving `head` changes where `base` is all that was ever served."""
    try:
        before = make_plan(
            base,
            served=None,
            now=terms.now,
            cache=terms.cache,
            environment=terms.environment,
            spread=terms.spread,
        )
    except NoEnvironment:
        # One that the head brings: all that it has there is new.
        return _compared(None, None, (), head, terms)
    found = before.activation
    served = Served(
        attempted=base.revision,
        serving=base.revision,
        objects=found.objects,
        stalled=found.stalled,
        problems=found.problems,
        environment=found.environment,
    )
    return _compared(before, served, found.stalled, head, terms)


def compare_with_served(
    served: Served | None, head: Snapshot, terms: Terms
) -> Comparison:
    """What serving `head` changes in what a ledger says is served; None: nothing is."""
    if served is None or served.serving is None:
        return _compared(None, None, (), head, terms)
    before = served_plan(served, now=terms.now, read_blob=terms.read_blob)
    return _compared(before, served, (), head, terms)


def _compared(
    before: Plan | None,
    served: Served | None,
    unknown: Sequence[ObjectStatus],
    head: Snapshot,
    terms: Terms,
) -> Comparison:
    """That a rewritten history may be held is left to who reads `past`."""
    older = before.blobs if before else {}

    def read_older(sha256: str) -> bytes:
        return older[sha256] if sha256 in older else terms.read_blob(sha256)

    nowhere = Past(lost=None, allow_removals=0)
    past = past_of(head, served) if served else nowhere
    allowed = max(terms.allow_removals, past.allow_removals)
    after = make_plan(
        head,
        served=served,
        now=terms.now,
        strict=terms.strict,
        allow_removals=allowed,
        cache=terms.cache,
        read_blob=read_older,
        environment=terms.environment,
        spread=terms.spread,
    )

    def read(sha256: str) -> bytes:
        return after.blobs[sha256] if sha256 in after.blobs else read_older(sha256)

    elsewhere = {}
    if served and terms.environment is None:
        for name in _edited(served, after):
            there = replace(
                terms, environment=name, allow_removals=allowed, read_blob=read_older
            )
            elsewhere[name] = _there(replace(served, environment=name), head, there)
    return Comparison(
        before=before,
        after=after,
        past=past,
        unknown=unknown,
        read_blob=read,
        elsewhere=elsewhere,
    )


def _edited(served: Served, after: Plan) -> list[str]:
    """The Environments that the head holds, and not as they are served."""
    was = {key: one.data for key, one in served.by_key.items()}
    return [
        one.name
        for key, one in sorted(after.objects.items())
        if one.kind == "Environment" and was.get(key) != one.data
    ]


def _there(served: Served, head: Snapshot, terms: Terms) -> tuple[Plan | None, Plan]:
    """Both sides in an Environment, as if it served the same revision."""
    known = ("Environment", terms.environment) in served.by_key
    before = (
        served_plan(served, now=terms.now, read_blob=terms.read_blob) if known else None
    )
    after = make_plan(
        head,
        served=served,
        now=terms.now,
        strict=terms.strict,
        allow_removals=terms.allow_removals,
        cache=terms.cache,
        read_blob=terms.read_blob,
        environment=terms.environment,
        spread=terms.spread,
    )
    return before, after
