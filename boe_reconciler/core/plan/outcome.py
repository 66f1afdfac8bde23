"""From the World that is served: its objects, its schedules and their files."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import field, replace

from boe_reconciler.core.maps import but, differing
from boe_reconciler.core.plan.world import Key, Verdict, World
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.spec import PlannedSchedule, ServedObject


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outcome:
    """Of Verdicts that are all good; in the beginning of none."""

    verdicts: Mapping[Key, Verdict] = field(default_factory=dict)
    objects: Mapping[Key, ServedObject] = field(default_factory=dict)
    schedules: Mapping[str, PlannedSchedule] = field(default_factory=dict)
    #: Objects that go on beside a newer revision.
    kept: AbstractSet[Key] = frozenset()

    def of(self, chosen: World, served_from: str | None) -> Outcome:
        """That of another World. What goes on names the revision that it is from."""
        touched = differing(self.verdicts, chosen.verdicts)
        new = {key: chosen.verdicts[key] for key in touched if key in chosen.verdicts}
        kept = {key for key, one in new.items() if one.entry.served}
        kept |= {key for key in self.kept if key in chosen.verdicts and key not in new}
        objects = {key: one.as_served for key, one in new.items() if key not in kept}
        for key in kept:
            served = chosen.verdicts[key].entry.served
            assert served  # noqa: S101 it is kept
            objects[key] = _kept(served, served_from)
        schedules = {
            one.entry.name: one.product
            for one in new.values()
            if one.entry.kind == "Schedule" and one.good
        }
        return Outcome(
            verdicts=chosen.verdicts,
            objects=but(self.objects, gone=touched, new=objects),
            schedules=but(
                self.schedules,
                gone=[name for kind, name in touched if kind == "Schedule"],
                new=schedules,
            ),
            kept=kept,
        )

    def blobs(self, old: Mapping[Key, ServedObject]) -> dict[str, bytes]:
        """Files of what was served by an earlier plan of this process are stored already."""
        new = (
            self.verdicts[key]
            for key in differing(old, self.objects)
            if key in self.verdicts
        )
        return {
            sha256: content
            for verdict in new
            if verdict.files and verdict.entry.served is None
            for sha256, content in verdict.contents.values()
        }


def _kept(one: ServedObject, served_from: str | None) -> ServedObject:
    return one if one.revision else replace(one, revision=served_from)
