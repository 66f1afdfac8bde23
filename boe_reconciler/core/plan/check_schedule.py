"""A Schedule over its template and the Policy's defaults, and all that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from boe_reconciler.core.language.availability import unavailable_in_schedule
from boe_reconciler.core.language.layers import merged_schedule
from boe_reconciler.core.language.load import load_resource
from boe_reconciler.core.language.places import Document, text_at
from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.check_kinds import check_when_alone
from boe_reconciler.core.plan.resolve import resolve
from boe_reconciler.core.plan.world import Entry, Verdict
from boe_reconciler.core.problems import Path, Problem
from boe_reconciler.core.resources.envelope import Schedule
from boe_reconciler.core.spec import PlannedSchedule

#: What a missing template may have given.
_INCOMPLETE = ("BOE034", "BOE043")


def check_schedule(check: Check) -> PlannedSchedule | None:
    """None where it, or what it needs, cannot be used."""
    under = _layers(check)
    schedule, problems = load_resource(check.document)
    check.problems += [p for p in problems if not (under.incomplete and _gap(p))]
    spec = check.document.data.get("spec")
    if isinstance(spec, dict):
        check.find(unavailable_in_schedule(spec))
    planned = None
    if isinstance(schedule, Schedule):
        planned = resolve(check, schedule)
    elif isinstance(spec, dict):
        _loose_ends(check, spec, under)
    check.problems = [at for p in check.problems if (at := under.placed(p))]
    return planned


def _gap(problem: Problem) -> bool:
    return problem.code in _INCOMPLETE


# --- Layers -------------------------------------------------------------------------


class _Under:
    """The template and the Policy below a Schedule."""

    def __init__(self, layers: list[Verdict | Entry], incomplete: bool) -> None:
        self._layers = layers
        #: Some of what the Schedule says is not known.
        self.incomplete = incomplete

    def placed(self, problem: Problem) -> Problem | None:
        """A Problem in a value of another document is that document's, told once."""
        for layer in self._layers:
            entry = layer.entry if isinstance(layer, Verdict) else layer
            if not _stands_in(problem, entry.document):
                continue
            known = layer.problems
            if any(_same(problem, each) for each in known) or _broken(layer):
                return None
            kind, name = entry.key
            return replace(problem, kind=kind, name=name)
        return problem


def _stands_in(problem: Problem, document: Document) -> bool:
    whole = document.range()
    at = problem.range
    return whole.filename == at.filename and whole.start <= at.start < whole.end


def _same(one: Problem, other: Problem) -> bool:
    return (one.code, one.range) == (other.code, other.range)


def _broken(layer: Verdict | Entry) -> bool:
    return any(problem.severity == "error" for problem in layer.problems)


def _layers(check: Check) -> _Under:
    """Lay the Schedule over its template and the Policy's defaults."""
    own = check.document
    layers: list[Verdict | Entry] = []
    incomplete = False
    name = text_at(own.data.get("spec"), "template")
    template = None
    if name is not None:
        path: Path = ("spec", "template")
        check.use("ScheduleTemplate", name, path)
        found = check.look_up(("ScheduleTemplate", name))
        incomplete = not (isinstance(found, Verdict) and found.good)
        if isinstance(found, Verdict):
            layers.append(found)
            template = found.entry.document
    policy = _policy(check)
    if policy:
        layers.append(policy)
    document = policy.entry.document if policy else None
    check.document = merged_schedule(own, template, document)
    return _Under(layers, incomplete)


def _policy(check: Check) -> Verdict | None:
    if check.world.without_policy:
        check.blocked_by = ("Policy", "policy")
    entry = check.world.policy
    found = check.look_up(entry.key) if entry else None
    return found if isinstance(found, Verdict) else None


def _loose_ends(check: Check, spec: Mapping[str, Any], under: _Under) -> None:
    """What can be said of a Schedule that is wrong elsewhere."""
    for kind, name, path in _names_in(spec):
        check.use(kind, name, path)
    when = spec.get("when")
    check_when_alone(check, when, default_timezone="UTC" if under.incomplete else None)


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
