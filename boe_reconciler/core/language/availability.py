"""What the language specifies and this version does not do yet: one literal table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.problems import Path, Severity
from boe_reconciler.core.records import dataclass

Place = Literal["Schedule", "Report", "Destination", "Connection"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lack:
    #: In whose spec the field stands.
    place: Place
    #: Its path there.
    path: tuple[str, ...]
    #: The values that are not available; None: any.
    values: tuple[Any, ...] | None = None
    #: What cannot be done yet, as the beginning of a sentence.
    what: str
    #: A warning where runs are right without it, too.
    severity: Severity = "error"


#: Empty, once all of the language works.
NOT_AVAILABLE: tuple[Lack, ...] = ()


def unavailable_in_schedule(spec: Mapping[str, Any]) -> Iterator[Finding]:
    """What a Schedule's merged spec uses itself; paths are those in the document."""
    yield from _lacks("Schedule", spec, ("spec",))
    report = spec.get("report")
    if isinstance(report, Mapping):
        yield from _lacks("Report", report, ("spec", "report"))
    targets = spec.get("deliver_to")
    for number, target in enumerate(targets if isinstance(targets, list) else ()):
        yield from _lacks("Destination", target, ("spec", "deliver_to", number))


def unavailable_in(
    place: Place, spec: Mapping[str, Any], path: Path
) -> Iterator[Finding]:
    """What the spec at `path` uses itself."""
    yield from _lacks(place, spec, path)


def unavailable_through(
    kind: str, name: str, spec: Mapping[str, Any], at: Path
) -> Iterator[Finding]:
    """What a Schedule uses through the object that it names at its path `at`."""
    if kind == "Distribution":
        found = [
            finding
            for target in spec.get("destinations", ())
            for finding in _lacks("Destination", target, ())
        ]
    elif kind in ("Report", "Connection"):
        place: Place = "Report" if kind == "Report" else "Connection"
        found = list(_lacks(place, spec, ()))
    else:
        found = []
    for finding in found:
        detail = f"{finding.detail} ({kind} {name} uses it)"
        yield replace(finding, path=at, detail=detail)


def _lacks(place: Place, spec: Any, path: Path) -> Iterator[Finding]:
    for lack in NOT_AVAILABLE:
        if lack.place != place:
            continue
        value = _value(spec, lack.path)
        if value is not None and (lack.values is None or value in lack.values):
            yield _finding(lack, (*path, *lack.path))


def _finding(lack: Lack, path: Path) -> Finding:
    warned = lack.severity == "warning"
    return Finding(
        code="BOE190",
        path=path,
        detail=f"{lack.what}: not available in this version",
        help="it has no effect yet" if warned else "a later version will do it",
        severity=lack.severity,
    )


def _value(data: Any, path: tuple[str, ...]) -> Any:
    """What is given there; None where nothing is."""
    for step in path:
        data = data.get(step) if isinstance(data, Mapping) else None
    return None if data in ([], {}) else data
