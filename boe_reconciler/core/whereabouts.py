"""Where in the files a value stands: its own file, its template's or the Policy's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from boe_reconciler.core.language.layers import merged_schedule
from boe_reconciler.core.language.places import Document, text_at
from boe_reconciler.core.plan.reading import PlanCache, read
from boe_reconciler.core.problems import Path
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.core.spec import ServedObject

#: (kind, name).
Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Whereabouts:
    documents: Mapping[Key, Document]
    #: The file of each object of which another version is served, or one of another
    #: place than these files: its lines are not known.
    elsewhere: Mapping[Key, str]

    def place(self, kind: str, name: str, *path: str | int) -> str | None:
        """file:line of a value, or of what it would stand in; None: in no file.

        The file alone where another version than that of the files is served.
        """
        document = self.documents.get((kind, name))
        if document is None or (kind, name) in self.elsewhere:
            return self.elsewhere.get((kind, name))
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


def whereabouts(
    snapshot: Snapshot, served: Mapping[Key, ServedObject] | None = None
) -> Whereabouts:
    """Of the files as they are, and of what is served."""
    documents: dict[Key, Document] = {}
    for entry in read(snapshot, PlanCache()).entries:
        documents.setdefault(entry.key, entry.document)
    elsewhere = {
        key: one.file
        for key, one in (served or {}).items()
        if key not in documents or documents[key].data != dict(one.data)
    }
    return Whereabouts(documents=documents, elsewhere=elsewhere)


def _known(document: Document, path: Path) -> Path:
    """As much of the path as is there."""
    while path and document.part(path) is None:
        path = path[:-1]
    return path
