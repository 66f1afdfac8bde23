"""An Environment: Connections as they are there, and where deliveries go instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.language.layers import overlaid, with_spec
from boe_reconciler.core.language.load import load_resource
from boe_reconciler.core.language.places import Document
from boe_reconciler.core.names import check_base_path
from boe_reconciler.core.plan.check import Check, overlap
from boe_reconciler.core.plan.policy import domain_findings
from boe_reconciler.core.plan.world import Verdict
from boe_reconciler.core.problems import Path, Problem
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.connection import DATABASE_TYPES
from boe_reconciler.core.resources.envelope import Resource
from boe_reconciler.core.resources.others import Redirect

#: What looks at a Connection: `check_kinds` has it.
ConnectionCheck = Callable[[Check, Any], Any]
#: Types of Connection that can take each other's place.
_ALIKE = (DATABASE_TYPES, ("smtp", "ses"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlay:
    """What others need of an Environment."""

    #: Its name.
    environment: str
    #: The Connections that differ there, as they are there.
    connections: Mapping[str, Resource]
    #: Their documents, each value in its own place.
    documents: Mapping[str, Document]
    redirect: Redirect


def check_environment(
    check: Check, environment: Any, check_connection: ConnectionCheck
) -> Overlay:
    """Each Connection with its overlay has to be as valid as it is without."""
    found, documents = {}, {}
    for name in environment.spec.connections:
        path: Path = ("spec", "connections", name)
        if check.use("Connection", name, path):
            laid = _Laid(check=check, name=name, path=path)
            documents[name] = laid.document()
            resource = laid.resource(documents[name], check_connection)
            if resource is not None:
                found[name] = resource
    redirect = environment.spec.redirect
    if redirect is None:
        _real_deliveries(check)
        redirect = Redirect(others="deliver")
    _redirect(check, redirect)
    return Overlay(
        environment=environment.name,
        connections=found,
        documents=documents,
        redirect=redirect,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Laid:
    """One Connection with what an Environment lays over it."""

    check: Check
    name: str
    #: Of the overlay, in the Environment's document.
    path: Path

    def resource(
        self, document: Document, check_connection: ConnectionCheck
    ) -> Resource | None:
        """The Connection as it is there; what is wrong with it is told here."""
        base = self._base
        resource, problems = load_resource(document)
        if resource is not None:
            self._same_job(base.product.spec.type, resource)
            within = replace(self.check, document=document, problems=[])
            resource = check_connection(within, resource)
            problems += within.problems
        known = {(one.code, one.range) for one in base.problems}
        mine = [one for one in problems if (one.code, one.range) not in known]
        self.check.problems += [self._placed(one) for one in mine]
        return resource

    @property
    def _base(self) -> Verdict:
        found = self.check.look_up(("Connection", self.name))
        assert isinstance(found, Verdict)  # noqa: S101 it was good a moment ago
        return found

    def document(self) -> Document:
        base = self._base.entry.document
        over, under = self.check.document.part(self.path), base.part(("spec",))
        assert over  # noqa: S101 its name was just read there
        assert under  # noqa: S101 a good Connection has a spec
        return with_spec(base, overlaid(over, under))

    def _same_job(self, before: str, resource: Any) -> None:
        """Whoever uses it can use it there, too."""
        after = resource.spec.type
        if before == after or any(before in kin and after in kin for kin in _ALIKE):
            return
        self.check.add(
            "BOE171",
            (*self.path, "type"),
            f"{self.name} is of type {before}; {after} cannot take its place",
            "keep the type, or name one that does the same",
        )

    def _placed(self, problem: Problem) -> Problem:
        over = self.check.document.part(self.path)
        assert over  # noqa: S101 as above
        source, start, end, _ = over.place
        here = source.range(start, end)
        return replace(
            problem,
            path=(*self.path, *problem.path[1:]),
            range=problem.range if overlap(problem.range, here) else here,
            kind="Environment",
            name=self.check.entry.name,
        )


def _real_deliveries(check: Check) -> None:
    finding = Finding(
        code="BOE175",
        path=("spec",),
        detail="its runs deliver to the same folders and people as those of production",
        help="say where else they go, or redirect: {others: deliver} if that is meant",
        severity="warning",
    )
    check.find([finding])


def _redirect(check: Check, redirect: Redirect) -> None:
    """What the Policy allows holds for where deliveries are redirected to."""
    judge = check.judge
    if judge is None or "allow" in judge.unknown:
        return
    path: Path = ("spec", "redirect")
    if redirect.email:
        check.find(domain_findings(judge, redirect.email, (*path, "email")))
    folder = redirect.local
    wrong = folder and check_base_path(folder, judge.spec.allow.local_roots)
    if wrong:
        where = judge.where("allow", "local_roots")
        todo = f"write a folder below one of these (local_roots: {where})"
        check.add("BOE166", (*path, "local"), f'"{folder}": {wrong}', todo)
