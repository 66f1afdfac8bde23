"""Document -> Resource or Problems."""

from __future__ import annotations

from boe_reconciler.core.places import Document
from boe_reconciler.core.problems import Problem
from boe_reconciler.core.resources.envelope import Resource


def load_resource(document: Document) -> tuple[Resource | None, list[Problem]]:
    """The Resource that a Document describes, and all Problems of it at once.

    A Schedule's document has been through `layers.merged_schedule` before. The
    Resource is None where a Problem is an error, or where reading found one.
    """
    raise NotImplementedError
