"""What can be said of an object that is wrong elsewhere: its parts, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core._pydantic_core import ValidationError

from boe_reconciler.core import sql
from boe_reconciler.core.language.places import Document, text_at
from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.check_destination import check_destination
from boe_reconciler.core.plan.check_report import check_report
from boe_reconciler.core.plan.check_when import check_when_alone
from boe_reconciler.core.plan.resolve import check_file_name
from boe_reconciler.core.problems import Path
from boe_reconciler.core.resources.distribution import DestinationSpec
from boe_reconciler.core.resources.envelope import KINDS, Resource
from boe_reconciler.core.resources.light import validator_of
from boe_reconciler.core.resources.report import ReportSpec


def modelled(document: Document) -> Resource | None:
    """The Resource of a document that only breaks rules: good enough to look further."""
    if document.flawed:
        return None
    try:
        found: Any = KINDS[str(document.kind)].model_validate(document.data)
    except ValidationError:
        return None
    return found  # type: ignore[no-any-return]  # one of the union, by its kind


def check_parts(check: Check, *, incomplete: bool = False) -> None:
    """`incomplete`: something that is missing may stand in a template."""
    raw = check.document.data.get("spec")
    if not isinstance(raw, dict):
        return
    spec = {key: raw[key] for key in raw if _whole(check, ("spec", key))}
    if check.entry.kind == "Schedule":
        _schedule(check, spec, incomplete)
    elif check.entry.kind == "Report":
        _report(check, spec)
    elif check.entry.kind == "Distribution":
        _destinations(check, spec.get("destinations"), ("spec", "destinations"))


def _whole(check: Check, path: Path) -> bool:
    """Whether all that was written there could be read."""
    return not any(flaw[: len(path)] == path for flaw in check.document.flawed)


def _schedule(check: Check, spec: Mapping[str, Any], incomplete: bool) -> None:
    for kind, name, path in _names_in(spec):
        check.use(kind, name, path)
    zone = "UTC" if incomplete else None
    check_when_alone(check, spec.get("when"), default_timezone=zone)
    if "export" in spec:
        check_file_name(check)
    _inline(check, spec.get("report"))
    _destinations(check, spec.get("deliver_to"), ("spec", "deliver_to"))


def _names_in(spec: Mapping[str, Any]) -> Iterator[tuple[str, str, Path]]:
    report, targets = spec.get("report"), spec.get("deliver_to")
    if isinstance(report, str):
        yield "Report", report, ("spec", "report")
    for number, target in enumerate(targets if isinstance(targets, list) else ()):
        path: Path = ("spec", "deliver_to", number)
        if isinstance(target, str):
            yield "Distribution", target, path
        elif name := text_at(target, "distribution"):
            yield "Distribution", name, (*path, "distribution")


def _inline(check: Check, report: Any) -> None:
    try:
        spec = ReportSpec.model_validate(report)
    except ValidationError:
        return
    check_report(check, spec, ("spec", "report"))


def _report(check: Check, spec: Mapping[str, Any]) -> None:
    """Its Connection, and its query with whatever it declares."""
    name, query = text_at(spec, "connection"), text_at(spec, "query")
    found = check.use("Connection", name, ("spec", "connection")) if name else None
    declared = check.document.data["spec"].get("parameters", {})
    whole = _whole(check, ("spec", "parameters"))
    if query is not None and isinstance(declared, dict) and whole:
        dialect = sql.DIALECTS.get(found.spec.type if found else "duckdb", "")
        names = tuple(declared)
        wrong = sql.check(query, dialect=dialect, declared=names)
        check.find_in_text(wrong, ("spec", "query"))


def _destinations(check: Check, targets: Any, path: Path) -> None:
    good: dict[int, Any] = {}
    for number, target in enumerate(targets if isinstance(targets, list) else ()):
        try:
            good[number] = validator_of(DestinationSpec).validate_python(target)
        except ValidationError:
            continue
    for number, target in good.items():
        check_destination(check, target, (*path, number), list(good.values()))
