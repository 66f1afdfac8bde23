"""What `boe validate --online` asks: whether secrets resolve and Connections answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from boe_reconciler.core.errors import BoeError
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.language.load import problem_at
from boe_reconciler.core.language.places import Document
from boe_reconciler.core.plan.check_environment import Overlay
from boe_reconciler.core.plan.world import Verdict, World
from boe_reconciler.core.problems import Path, Problem
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.base import Model
from boe_reconciler.core.resources.connection import (
    ConnectionSpec,
    EnvSecret,
    FileSecret,
    SopsSecret,
)

_SECRETS = (EnvSecret, FileSecret, SopsSecret)
#: The field of a Connection that says where it leads, the first that is there.
_PLACES = ("host", "url", "path", "endpoint_url", "account_url", "endpoint", "type")

#: The field that is to blame, where that is not the place.
_FIELDS: Mapping[str, Path] = {"maildir_unusable": ("spec", "bounces", "maildir")}


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """One secret, or one Connection."""

    #: Where it stands; a Connection's is laid over with the Environment's.
    document: Document
    path: Path
    #: A reference, or a Connection's spec.
    what: Any
    #: The secrets that it needs itself.
    needs: Sequence[Question] = ()

    @property
    def is_secret(self) -> bool:
        return isinstance(self.what, _SECRETS)

    @property
    def name(self) -> str:
        return f"{self.document.name} ({self.what.type})"

    def problem(self, error: BoeError) -> Problem:
        """Of a failed answer; its words are free of secrets already."""
        finding = Finding(
            code="BOE173" if self.is_secret else "BOE174",
            path=_FIELDS.get(getattr(error, "reason", ""), self.path),
            detail=error.message.removesuffix("."),
            help=error.help.removesuffix("."),
        )
        return problem_at(self.document, finding)


def questions(world: World) -> list[Question]:
    """The Connections that can be used, each after its secrets; and those of Schedules."""
    found: list[Question] = []
    for verdict in world.verdicts.values():
        if verdict.entry.kind == "Connection":
            found += _of_connection(verdict, world)
        elif verdict.entry.kind == "Schedule":
            found += _of_schedule(verdict)
    return found


def _of_schedule(verdict: Verdict) -> Iterator[Question]:
    spec, document = verdict.product.spec, verdict.entry.document
    yield from _secrets(spec.ping, document, ("spec", "ping"))
    yield from _secrets(spec.export.password, document, ("spec", "export", "password"))


def _of_connection(verdict: Verdict, world: World) -> Iterator[Question]:
    entry, overlay = verdict.entry, _overlay(world)
    document = overlay.documents.get(entry.name) if overlay else None
    spec = (
        (overlay.connections if overlay else {}).get(entry.name, verdict.product).spec
    )
    document = document or entry.document
    needs = list(_secrets(spec, document, ("spec",)))
    yield from needs
    yield Question(document=document, path=_place(spec), what=spec, needs=needs)


def _overlay(world: World) -> Overlay | None:
    found = world.verdicts.get(world.environment) if world.environment else None
    return found.product if found and found.good else None


def _secrets(value: Any, document: Document, path: Path) -> Iterator[Question]:
    if isinstance(value, _SECRETS):
        yield Question(document=document, path=path, what=value)
    elif isinstance(value, Model):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name), document, (*path, name))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _secrets(one, document, (*path, number))


def _place(spec: ConnectionSpec) -> Path:
    given = (field for field in _PLACES if getattr(spec, field, None) is not None)
    return ("spec", next(given))
