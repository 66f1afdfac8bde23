"""Last known good: which version of each object is served.

An object that cannot be used in the new revision keeps the version that is served.
The set is closed over references: an older version that does not fit the new ones
around it takes those back to their older versions as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from boe_reconciler.core.plan.evaluate import Court
from boe_reconciler.core.plan.world import Entry, Key, Verdict, World
from boe_reconciler.core.spec import ServedObject


@dataclass(kw_only=True, slots=True)
class Serving:
    """Chooses among the versions of a revision and those that are served."""

    court: Court
    #: The revision as a World, judged.
    revision: World
    old: Mapping[Key, ServedObject]
    entry: Callable[[ServedObject], Entry]

    def choose(self, kept: set[Key]) -> World:
        """A World in which everything is good; `kept` objects are not removed."""
        choice = self._first_choice(kept)
        while True:
            world = self._world(choice)
            self.court.judge_all(world)
            failing = [v for v in world.verdicts.values() if not v.good]
            if not failing:
                return world
            for verdict in [
                v for v in failing if v.blocked_by is None or v.faulty
            ] or failing:
                self._give_way(verdict, choice)

    def _first_choice(self, kept: set[Key]) -> dict[Key, Entry]:
        choice: dict[Key, Entry] = {}
        for key in kept:
            choice[key] = self.entry(self.old[key])
        for key, verdict in self.revision.verdicts.items():
            if not verdict.faulty:
                choice[key] = verdict.entry
            else:
                self._fall_back(verdict.entry, choice)
        return choice

    def _fall_back(self, entry: Entry, choice: dict[Key, Entry]) -> None:
        """To what is served under its name, or under the one it had before."""
        choice.pop(entry.key, None)
        former = (entry.kind, str(entry.metadata.get("renamed_from")))
        for key in (entry.key, former):
            if key in self.old and (
                key == entry.key or key not in self.revision.entries
            ):
                choice[key] = self.entry(self.old[key])
                return

    def _give_way(self, verdict: Verdict, choice: dict[Key, Entry]) -> None:
        entry = verdict.entry
        if choice.get(entry.key) is not entry:
            return
        if entry.served is None:
            self._fall_back(entry, choice)
        elif not self._take_back(verdict, choice):
            del choice[entry.key]

    def _take_back(self, verdict: Verdict, choice: dict[Key, Entry]) -> bool:
        """What a served version refers to comes back as it was served."""
        taken = False
        for key in verdict.lookups:
            before = self.old.get(key)
            current = choice.get(key)
            if before is not None and (current is None or current.served is None):
                choice[key] = self.entry(before)
                taken = True
        return taken

    def _world(self, choice: Mapping[Key, Entry]) -> World:
        policies = [key for key in choice if key[0] == "Policy"]
        meant = [key for key in self.revision.entries if key[0] == "Policy"]
        return World(
            entries=dict(choice),
            snapshot=self.revision.snapshot,
            read_blob=self.revision.read_blob,
            without_policy=not policies
            and (bool(meant) or self.revision.may_hide(("Policy", "policy"))),
        )
