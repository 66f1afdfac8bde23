"""From the World that is served: its objects, its schedules and their files."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import field, replace

from boe_reconciler.core.maps import but, differing
from boe_reconciler.core.plan.world import Entry, Key, Verdict, World
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.spec import Connections, PlannedSchedule, ServedObject


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outcome:
    """Of Verdicts that are all good; in the beginning of none."""

    entries: Mapping[Key, Entry] = field(default_factory=dict)
    verdicts: Mapping[Key, Verdict] = field(default_factory=dict)
    objects: Mapping[Key, ServedObject] = field(default_factory=dict)
    policy: ServedObject | None = None
    schedules: Mapping[str, PlannedSchedule] = field(default_factory=dict)
    connections: Connections = field(default_factory=Connections)
    #: Objects that go on beside a newer revision.
    kept: AbstractSet[Key] = frozenset()

    def of(self, chosen: World, served_from: str | None) -> Outcome:
        """That of another World. What goes on names the revision that it is from."""
        touched = differing(self.verdicts, chosen.verdicts)
        new = {key: chosen.verdicts[key] for key in touched if key in chosen.verdicts}
        kept = {key for key, one in new.items() if one.entry.served}
        kept |= {key for key in self.kept if key in chosen.verdicts and key not in new}
        again = {key: chosen.verdicts[key] for key in kept}
        objects = but(
            self.objects,
            gone=touched,
            new={key: _served(one, served_from) for key, one in (new | again).items()},
        )
        schedules = but(
            self.schedules,
            gone=[name for kind, name in touched if kind == "Schedule"],
            new={
                name: one.product
                for (kind, name), one in new.items()
                if kind == "Schedule" and one.good
            },
        )
        return Outcome(
            entries=chosen.entries,
            verdicts=chosen.verdicts,
            objects=objects,
            policy=objects[chosen.policy.key] if chosen.policy else None,
            schedules=schedules,
            connections=self.connections.of(self.schedules, schedules),
            kept=kept,
        )

    def apart(
        self, old: Mapping[Key, ServedObject], entries: Mapping[Key, Entry]
    ) -> AbstractSet[Key]:
        """The keys that only one of what is served and a revision has; there may be more."""
        if old is self.objects:
            return differing(self.entries, entries)
        return old.keys() ^ entries.keys()

    def blobs(self, old: Mapping[Key, ServedObject]) -> dict[str, bytes]:
        """Files of what was served by an earlier plan of this process are stored already."""
        touched = differing(old, self.objects)
        new = [self.verdicts[key] for key in touched if key in self.verdicts]
        return {
            sha256: content
            for verdict in new
            if verdict.files and verdict.entry.served is None
            for sha256, content in verdict.contents.values()
        }


def _served(verdict: Verdict, served_from: str | None) -> ServedObject:
    one = verdict.entry.served
    if one is None:
        return verdict.as_served
    return one if one.revision else replace(one, revision=served_from)
