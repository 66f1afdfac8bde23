"""Whether each object is served as it stands in the revision, and why not."""

from __future__ import annotations

from boe_reconciler.core.plan.removals import Removals
from boe_reconciler.core.plan.revision import Revision
from boe_reconciler.core.plan.world import Key, Verdict, World
from boe_reconciler.core.problems import Problem
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.spec import ObjectStatus

#: Every reason of a status -> what it means; docs/concepts.md shows the same table.
REASONS = {
    "Served": "It is served as it stands in the files.",
    "Invalid": "It has a Problem.",
    "Duplicate": "Another object has its name.",
    "DependencyInvalid": "What it refers to cannot be used.",
    "Held": "It fits only the newer versions of what it refers to, and those wait.",
    "Refused": "Nothing of the revision is served: its Problem says why.",
    "ChangeWindow": "It is changed, and changes wait for a change window of the Policy.",
    "Strict": "With --strict nothing of a revision is served while it has Problems.",
    "Unreadable": "It is not in the files, but one of them cannot be read.",
    "RemovalHeld": "It was removed together with so many others that this waits.",
    "Renamed": "It has another name now, and the object of that name cannot be used.",
    "StillNeeded": "It was removed, but what goes on as before refers to it.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    revision: Revision
    removals: Removals
    #: The revision is not served at all, since it has Problems.
    refused: bool

    def stalled(
        self, chosen: World, revision: str, before: str | None
    ) -> list[ObjectStatus]:
        """Of what is not served as the files have it; `before` is what was served."""
        if chosen is self.revision.world:
            return []
        kept = {
            key: entry.served.revision or before
            for key, entry in chosen.entries.items()
            if entry.served
        }
        lost = self.revision.world.entries.keys() - chosen.entries.keys()
        return [
            self._status(key, revision, kept.get(key))
            for key in sorted(lost | kept.keys())
        ]

    def _status(self, key: Key, revision: str, serving: str | None) -> ObjectStatus:
        kind, name = key
        reason, message = self._why(key)
        return ObjectStatus(
            kind=kind,
            name=name,
            ready=False,
            reason=reason,
            message=message,
            observed_revision=revision,
            serving_revision=serving,
        )

    def _why(self, key: Key) -> tuple[str, str]:
        """Why an object is not served as the revision has it."""
        verdict = self.revision.world.verdicts.get(key)
        if verdict is not None:
            reason, message = self._fault(verdict)
        else:
            reason, message = self._absent(key), ""
        return reason, message or REASONS[reason]

    def _fault(self, verdict: Verdict) -> tuple[str, str]:
        errors = [one for one in verdict.problems if one.severity == "error"]
        if errors:
            twice = any(one.code == "BOE101" for one in errors)
            return "Duplicate" if twice else "Invalid", _first(errors)
        if verdict.blocked_by:
            kind, name = verdict.blocked_by
            message = f"It needs {kind} {name}, which cannot be used."
            return "DependencyInvalid", message
        return "Strict" if self.refused else "Held", ""

    def _absent(self, key: Key) -> str:
        if key in self.removals.held:
            return "RemovalHeld"
        if key in self.removals.hidden:
            return "Unreadable"
        if self.refused:
            return "Strict"
        heirs = self.revision.world.entries.values()
        renamed = any(
            (one.kind, one.metadata.get("renamed_from")) == key for one in heirs
        )
        return "Renamed" if renamed else "StillNeeded"


def _first(errors: list[Problem]) -> str:
    return str(min(errors, key=lambda problem: problem.order))
