"""A Schedule over its template and the Policy's defaults, and all that is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from boe_reconciler.core.language.layers import merged_schedule
from boe_reconciler.core.language.load import load_resource
from boe_reconciler.core.language.places import Document, text_at
from boe_reconciler.core.plan.check import Check, overlap
from boe_reconciler.core.plan.check_parts import check_parts, modelled
from boe_reconciler.core.plan.resolve import resolve
from boe_reconciler.core.plan.world import Entry, Verdict
from boe_reconciler.core.problems import Path, Problem
from boe_reconciler.core.resources.envelope import Schedule
from boe_reconciler.core.spec import PlannedSchedule

#: What a missing template may have given.
_INCOMPLETE = ("BOE034", "BOE043")


def check_schedule(check: Check) -> PlannedSchedule | Literal[True] | None:
    """None where it, or what it needs, cannot be used; see `resolve`."""
    under = _layers(check)
    schedule, problems = load_resource(check.document)
    check.problems += [p for p in problems if not (under.incomplete and _gap(p))]
    schedule = schedule or modelled(check.document)
    resolved: PlannedSchedule | Literal[True] | None = None
    if isinstance(schedule, Schedule):
        resolved = resolve(check, schedule)
    else:
        check_parts(check, incomplete=under.incomplete)
    check.problems = [at for p in check.problems if (at := under.placed(p))]
    return resolved


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
            if any(_tells(each, problem) for each in layer.problems):
                return None
            kind, name = entry.key
            return replace(problem, kind=kind, name=name)
        return problem


def _stands_in(problem: Problem, document: Document) -> bool:
    whole = document.range()
    at = problem.range
    return whole.filename == at.filename and whole.start <= at.start < whole.end


def _tells(known: Problem, problem: Problem) -> bool:
    """Whether a Problem of a template says what one of its Schedules would repeat."""
    if known.code == problem.code:
        return known.range == problem.range
    return known.severity == "error" and overlap(known.range, problem.range)


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
    # What is served was activated without one, and goes on.
    if check.world.without_policy and check.entry.served is None:
        check.blocked_by = ("Policy", "policy")
    entry = check.world.policy
    found = check.look_up(entry.key) if entry else None
    return found if isinstance(found, Verdict) else None
