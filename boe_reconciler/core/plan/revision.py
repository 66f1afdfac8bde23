"""Judging a revision: each object by itself, and what only a look at all of them shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter

from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.language.load import problem_at
from boe_reconciler.core.language.places import text_at
from boe_reconciler.core.plan.check_notices import unheard
from boe_reconciler.core.plan.evaluate import Court, Judged
from boe_reconciler.core.plan.files import POLICY_FILE
from boe_reconciler.core.plan.policy import (
    Judge,
    beyond_limit,
    least_limit,
    owner_limit,
)
from boe_reconciler.core.plan.reading import PlanCache, Reading
from boe_reconciler.core.plan.world import Entry, Key, Verdict, World, hides_nothing
from boe_reconciler.core.problems import Problem
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.spec import Served, ServedObject

__all__ = ["Revision", "Served", "former_key", "judge_for", "judge_revision", "judging"]

#: What is served, by kind and name.
Old = Mapping[Key, ServedObject]


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    #: One version of each object; of several with one name, the first.
    world: World
    judged: Judged
    #: The further ones: never served, but told about.
    doubles: Sequence[Verdict]
    #: Whether an object, served from a file, may stand where nothing could be read.
    may_hide: Callable[[Key, str], bool]

    @property
    def problems(self) -> Iterator[Problem]:
        for verdict in (*self.judged.odd.values(), *self.doubles):
            yield from verdict.problems


def judging(served: Served, revision: str) -> ServedObject | None:
    """The Policy that was served before a revision.

    A revision that is served already is judged by the Policy that judged it first: a
    second look, as after a restart, lets in nothing that the first one kept out.
    """
    if served.serving == revision and served.judge:
        return served.judge
    return served.policy


def judge_for(reading: Reading, before: ServedObject | None, cache: PlanCache) -> Judge:
    """The served Policy judges; without one, the revision's own does."""
    own = reading.policy.document if reading.policy else None
    shown = own if own and own.filename == POLICY_FILE else None
    if before is None or (shown and shown.data == before.data):
        return cache.judge_by(shown, shown)
    return cache.judge_by(cache.entry(before).document, shown)


def judge_revision(
    reading: Reading, empty: World, old: Old, court: Court, cache: PlanCache
) -> Revision:
    """A Verdict on everything that the files describe."""
    extra: dict[Entry, list[Problem]] = {}
    for entry, finding in _findings(reading, old, court.judge):
        extra.setdefault(entry, []).append(problem_at(entry.document, finding))
    world = replace(empty, entries=reading.first, hides=_hides(reading), extra=extra)
    world.policy = reading.policy
    last, cache.revision = cache.revision, None
    cache.revision = judged = court.judge_all(world, last)
    doubles = [court.verdict(entry, world) for entry in reading.others]
    return Revision(
        world=world, judged=judged, doubles=doubles, may_hide=reading.may_hide
    )


def _hides(reading: Reading) -> Callable[[Key], bool]:
    """What has another name now is not hidden, whatever cannot be read."""
    if not reading.hidden:
        return hides_nothing
    renamed = {(one.kind, one.renamed_from) for one in reading.heirs.values()}
    return lambda key: key not in renamed and reading.seems_to_hide(key)


def former_key(entry: Entry, old: Old) -> Key | None:
    """What a new object was served as before it was renamed.

    There is one Policy, so another name is always a renaming.
    """
    if entry.key in old:
        return None
    if entry.kind == "Policy":
        return next((key for key in old if key[0] == "Policy"), None)
    if entry.renamed_from is None:
        return None
    former = entry.kind, entry.renamed_from
    return former if former in old else None


# --- What only a look at all of them shows --------------------------------------------


def _findings(
    reading: Reading, old: Old, judge: Judge
) -> Iterator[tuple[Entry, Finding]]:
    for entries in _doubles(reading):
        for entry in entries:
            yield entry, _twice(entry, entries)
    yield from _renamed_badly(reading)
    yield from _beyond_limits(reading, old, judge)
    if reading.policy:
        yield from unheard(reading.policy, reading.first)


def _doubles(reading: Reading) -> Iterator[list[Entry]]:
    """All that share a name; a Policy elsewhere does no harm to that in policy.yaml."""
    found: dict[Key, list[Entry]] = {}
    for entry in reading.others:
        first = reading.rival(entry)
        assert first  # noqa: S101 there is a first of each name
        stray = entry.kind == "Policy" and entry.document.filename != POLICY_FILE
        if not stray or first.document.filename != POLICY_FILE:
            found.setdefault(first.key, [first]).append(entry)
    yield from found.values()


def _twice(entry: Entry, entries: Sequence[Entry]) -> Finding:
    path = ("metadata", "name")
    other = next(one for one in entries if one is not entry)
    at = other.document.range(path)
    what = "Policy" if entry.kind == "Policy" else f'{entry.kind} "{entry.name}"'
    return Finding(
        code="BOE101",
        path=path,
        detail=f"there is another {what} at {at.filename}:{at.start.line}",
        help="rename one of them, or remove it",
    )


def _renamed_badly(reading: Reading) -> Iterator[tuple[Entry, Finding]]:
    """`renamed_from` keeps a history only when the old name is gone, and for one."""
    heirs: dict[Key, list[Entry]] = {}
    for entry in sorted(reading.heirs.values(), key=attrgetter("place")):
        former = entry.kind, entry.renamed_from or ""
        heirs.setdefault(former, []).append(entry)
    for former_, claiming in heirs.items():
        for entry in claiming:
            kind, name = former_
            if former_ in reading.first and kind != "Policy":
                yield entry, _not_renamed(f'{kind} "{name}" is still there')
            elif len(claiming) > 1:
                other = next(one for one in claiming if one is not entry)
                told = f'{kind} "{other.name}" says as well that it was "{name}"'
                yield entry, _not_renamed(told)


def _not_renamed(detail: str) -> Finding:
    return Finding(
        code="BOE112",
        path=("metadata", "renamed_from"),
        detail=detail,
        help="remove the other in the same change, or drop renamed_from",
    )


def _beyond_limits(
    reading: Reading, old: Old, judge: Judge
) -> Iterator[tuple[Entry, Finding]]:
    """Schedules that are one too many for their owner, by their place."""
    least = least_limit(judge)
    beyond = {
        owner
        for owner, count in reading.owners.items()
        if count > least and count > owner_limit(judge, owner)[0]
    }
    if not beyond:
        return
    owned = [
        (entry, entry.owner)
        for entry in sorted(reading.first.values(), key=attrgetter("place"))
        if entry.kind == "Schedule" and entry.owner in beyond
    ]
    counted = [(owner or "", _had(entry, old) == owner) for entry, owner in owned]
    found = beyond_limit(counted, judge)
    for (entry, _), finding in zip(owned, found, strict=True):
        if finding:
            yield entry, finding


def _had(entry: Entry, old: Old) -> str | None:
    """Whose it is as it is served."""
    before = old.get(entry.key) or old.get(former_key(entry, old) or entry.key)
    return text_at(before.data["metadata"], "owner") if before else None
