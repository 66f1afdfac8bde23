"""Where in the files a value stands: its own file, its template's or the Policy's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from boe_reconciler.core.language.layers import merged_schedule
from boe_reconciler.core.language.places import Document, text_at
from boe_reconciler.core.plan.reading import PlanCache, read
from boe_reconciler.core.problems import Path
from boe_reconciler.core.snapshot import Snapshot

#: (kind, name).
Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Whereabouts:
    documents: Mapping[Key, Document]
    #: Objects of which another version is served: its lines are not known.
    older: frozenset[Key] = frozenset()

    def place(self, kind: str, name: str, *path: str | int) -> str | None:
        """file:line of a value, or of what it would stand in; None: in no file.

        The file alone where an older version of it is served.
        """
        document = self.documents.get((kind, name))
        if document is None:
            return None
        if (kind, name) in self.older:
            return document.filename
        if kind == "Schedule":
            document = self._merged(document)
        at = document.key_range(_known(document, path))
        return f"{at.filename}:{at.start.line}"

    def _merged(self, schedule: Document) -> Document:
        name = text_at(schedule.data.get("spec"), "template") or ""
        template = self.documents.get(("ScheduleTemplate", name))
        policies = (
            one for (kind, _), one in self.documents.items() if kind == "Policy"
        )
        return merged_schedule(schedule, template, next(policies, None))


def whereabouts(snapshot: Snapshot, older: frozenset[Key] = frozenset()) -> Whereabouts:
    documents: dict[Key, Document] = {}
    for entry in read(snapshot, PlanCache()).entries:
        documents.setdefault(entry.key, entry.document)
    return Whereabouts(documents=documents, older=older)


def _known(document: Document, path: Path) -> Path:
    """As much of the path as is there."""
    while path and document.part(path) is None:
        path = path[:-1]
    return path
