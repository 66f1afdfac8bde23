"""Last known good: which version of each object is served.

An object that cannot be used in the new revision keeps the version that is served.
The set is closed over references: an older version that does not fit the new ones
around it takes back those that it does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import field, replace

from boe_reconciler.core.plan.evaluate import Court, Judged
from boe_reconciler.core.plan.reading import PlanCache
from boe_reconciler.core.plan.revision import Old, former_key
from boe_reconciler.core.plan.world import (
    Entry,
    Key,
    Verdict,
    World,
    hides_nothing,
    in_order,
)
from boe_reconciler.core.records import dataclass


@dataclass(kw_only=True, slots=True)
class Serving:
    """Chooses among the versions of a revision and those that are served."""

    court: Court
    #: The revision, judged.
    revision: World
    judged: Judged
    old: Old
    cache: PlanCache

    def as_before(self) -> World:
        """What is served already, and nothing else."""
        return self._judged(
            {key: self.cache.entry(one) for key, one in self.old.items()}
        )[0]

    def choose(self, kept: AbstractSet[Key]) -> World:
        """A World in which everything is good; `kept` objects are not removed."""
        if not kept and self._is_sound:
            return self.revision
        choosing = _Choosing(serving=self, choice=self._first_choice(kept))
        while True:
            world, failing = self._judged(choosing.choice)
            if not failing:
                return world
            for verdict in [each for each in failing if each.at_fault] or failing:
                choosing.give_way(verdict, world)

    @property
    def _is_sound(self) -> bool:
        """Whether a look at the revision has shown already that all of it can be served."""
        return self.revision.hides is hides_nothing and not self.judged.failing

    def _first_choice(self, kept: AbstractSet[Key]) -> dict[Key, Entry]:
        choice = {key: self.cache.entry(self.old[key]) for key in kept}
        choice |= self.revision.entries
        faulty = [one.entry for one in self.judged.failing if one.faulty]
        for entry in faulty:
            del choice[entry.key]
        for entry in faulty:
            if before := self.fallback(entry):
                choice[before.key] = before
        return choice

    def fallback(self, entry: Entry) -> Entry | None:
        """What is served under its name, or under the one it had before."""
        key = former_key(entry, self.old) or entry.key
        taken = key != entry.key and key in self.revision.entries
        return (
            self.cache.entry(self.old[key]) if key in self.old and not taken else None
        )

    def _judged(self, choice: Mapping[Key, Entry]) -> tuple[World, list[Verdict]]:
        """With what cannot be used."""
        revision = self.revision
        world = World.of(revision.snapshot, revision.read_blob, revision.environment)
        world = replace(world, entries=dict(choice), without_policy=self._lacks(choice))
        last, self.cache.chosen = self.cache.chosen, None
        self.cache.chosen = judged = self.court.judge_all(world, last)
        return world, judged.failing

    def _lacks(self, choice: Mapping[Key, Entry]) -> bool:
        """Whether there is a Policy, though not one that could be served."""
        if any(key[0] == "Policy" for key in choice):
            return False
        meant = self.revision.policy is not None
        return meant or self.revision.hides(("Policy", "policy"))


@dataclass(kw_only=True, slots=True)
class _Choosing:
    serving: Serving
    choice: dict[Key, Entry]
    #: Served versions that cannot go on: they never come back.
    dropped: set[Key] = field(default_factory=set)

    def give_way(self, verdict: Verdict, world: World) -> None:
        """Change the choice so that this Verdict cannot come again."""
        entry = verdict.entry
        if any(
            self.choice.get(key) is not world.entries.get(key)
            for key in (entry.key, *verdict.lookups)
        ):
            return  # What it was judged by has changed meanwhile: look again.
        if entry.served is None:
            del self.choice[entry.key]
            before = self.serving.fallback(entry)
            if before:
                self.choice[before.key] = before
        elif not self._take_back(verdict, world):
            del self.choice[entry.key]
            self.dropped.add(entry.key)

    def _take_back(self, verdict: Verdict, world: World) -> bool:
        """What a served version does not fit comes back as it was served.

        One thing where that is enough, else all that it refers to but for what it fits.
        """
        older = {key: entry for key in verdict.lookups if (entry := self._older(key))}
        for key, entry in older.items():
            if self._fits_with(verdict, [entry], world):
                self.choice[key] = entry
                return True
        needed = dict(older)
        for key in older:
            fewer = [entry for entry in needed.values() if entry.key != key]
            if self._fits_with(verdict, fewer, world):
                del needed[key]
        self.choice |= needed
        return bool(older)

    def _older(self, key: Key) -> Entry | None:
        """The served version of what is newer now, and other."""
        before, current = self.serving.old.get(key), self.choice.get(key)
        if before is None or key in self.dropped:
            return None
        same = current and current.document.data == before.data and not before.files
        if current and (current.served or same):
            return None
        return self.serving.cache.entry(before)

    def _fits_with(
        self, verdict: Verdict, older: Sequence[Entry], world: World
    ) -> bool:
        """Whether it would fit a World in which these objects are as they were.

        What it needs may lack something as well, and takes that back by itself.
        """
        court = self.serving.court
        tried = world.with_instead(older)
        for entry in in_order(older):
            tried.verdicts[entry.key] = court.verdict(entry, tried)
        again = court.verdict(verdict.entry, tried)
        return not again.faulty if verdict.faulty else again.good
