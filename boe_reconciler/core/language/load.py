"""Document -> Resource or Problems."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic_core._pydantic_core import ValidationError

from boe_reconciler.core.language.credentials import hidden
from boe_reconciler.core.language.fields import known_fields
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.language.places import Document
from boe_reconciler.core.language.rules import broken_rules
from boe_reconciler.core.language.shape import findings_of, shown
from boe_reconciler.core.language.suggest import did_you_mean, listed
from boe_reconciler.core.problems import Path, Problem, in_order
from boe_reconciler.core.resources.base import Model
from boe_reconciler.core.resources.envelope import API_VERSION, KINDS, Resource
from boe_reconciler.core.resources.schedule import ScheduleSpec

#: Where a kind holds a part of a Schedule's spec: nothing in it has to be there.
_PARTIAL_SPECS: dict[str, Path] = {
    "ScheduleTemplate": ("spec",),
    "Policy": ("spec", "defaults"),
}


def load_resource(document: Document) -> tuple[Resource | None, list[Problem]]:
    """The Resource that a Document describes, and all Problems of it at once.

    A Schedule's document has been through `layers.merged_schedule` before. The
    Resource is None where a Problem is an error, or where reading found one.
    """
    found = list(_envelope(document.data))
    resource: Resource | None = None
    if not found:
        resource, found = _judge(document)
    if not found:
        return (None if document.flawed else resource), []
    fresh = [finding for finding in found if not _known(document, finding.path)]
    problems = in_order(problem_at(document, finding) for finding in fresh)
    broken = document.flawed or any(p.severity == "error" for p in problems)
    return (None if broken else resource), problems


def problem_at(document: Document, finding: Finding) -> Problem:
    """The Problem of a Finding whose path is that in the document.

    A value that is not there is shown at the key of the map that lacks it.
    """
    path = finding.path
    if document.part(path) is None:
        at = document.key_range(path[:-1])
    else:
        at = document.key_range(path) if finding.at_key else document.range(path)
    return Problem(
        code=finding.code,
        detail=hidden(finding.detail),
        help=hidden(finding.help),
        path=path,
        range=at,
        kind=document.kind,
        name=document.name,
        severity=finding.severity,
    )


def _known(document: Document, path: Path) -> bool:
    """Whether reading has already found something here, which explains the rest."""
    return any(path[: len(flaw)] == flaw for flaw in document.flawed)


def _judge(document: Document) -> tuple[Any, list[Finding]]:
    data = document.data
    model = KINDS[data["kind"]]
    resource, found = _validate(model, data)
    return resource, [*found, *_partial_spec(document), *broken_rules(data)]


def _validate(
    model: type[Model], data: Any, *, partly: bool = False
) -> tuple[Any, list[Finding]]:
    """`partly`: what is missing is not a mistake."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
        counted = [e for e in errors if not (partly and e["type"] == "missing")]
        return None, findings_of(counted, data, partial(known_fields, model, data))


def _partial_spec(document: Document) -> Iterator[Finding]:
    """The fields of a Schedule's spec that a template or Policy's defaults give."""
    kind = document.data["kind"]
    path = _PARTIAL_SPECS.get(kind)
    spec = document.value(path) if path else None
    if path is None or not isinstance(spec, dict):
        return
    own = ("timezone",) if kind == "Policy" else ("template",)
    given = {k: v for k, v in spec.items() if v is not None and k not in own}
    for finding in _validate(ScheduleSpec, given, partly=True)[1]:
        yield replace(finding, path=(*path, *finding.path))


# --- The envelope ---------------------------------------------------------------


def _envelope(data: Any) -> Iterator[Finding]:
    """What has to be right before the rest can be judged."""
    if not isinstance(data, dict):
        yield _not_a_map(data)
        return
    yield from _one_of(data, "apiVersion", "BOE032", (API_VERSION,))
    yield from _one_of(data, "kind", "BOE033", KINDS)


def _not_a_map(data: Any) -> Finding:
    if isinstance(data, list):
        detail = "the document is a list, not a map"
        todo = "separate documents with a line ---, instead of writing a list"
    else:
        detail = f"the document is {shown(data)}, not a map"
        todo = "write apiVersion, kind, metadata and spec as its keys"
    return Finding(code="BOE031", path=(), detail=detail, help=todo)


def _one_of(
    data: Mapping[str, Any], key: str, code: str, known: Collection[str]
) -> Iterator[Finding]:
    value = data.get(key)
    if isinstance(value, str) and value in known:
        return
    todo = f"write {key}: {listed(known)}"
    if value is None:
        detail = f"{key} is missing"
    else:
        detail = f"there is no {key} {shown(value)}"
        todo = did_you_mean(str(value), known, todo)
    yield Finding(code=code, path=(key,), detail=detail, help=todo)
