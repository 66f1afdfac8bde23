"""A Report, by itself or in a Schedule: its Connection, queries, files, parameters."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from boe_reconciler.core import sql
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.language.places import Source
from boe_reconciler.core.language.suggest import did_you_mean
from boe_reconciler.core.language.texts import TextFinding
from boe_reconciler.core.names import transform_parts
from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.policy import transform_findings
from boe_reconciler.core.prepare import PARAMETERS, About, Binding, Words
from boe_reconciler.core.problems import Path
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.connection import DATABASE_TYPES, ConnectionSpec
from boe_reconciler.core.resources.distribution import Input
from boe_reconciler.core.resources.report import Parameter, ReportSpec, Workbook
from boe_reconciler.core.templates import (
    ABSENT,
    TemplateError,
    compiled,
    is_template,
    names_in,
)


@dataclass(frozen=True, kw_only=True)
class ResolvedReport:
    name: str
    title: str
    #: With the text of its queries, and paths from the root of the repo.
    spec: ReportSpec
    connection_name: str
    connection: ConnectionSpec
    #: Path of each file that it names and a run needs -> sha256.
    files: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class _Queries:
    """The queries of one Report."""

    check: Check
    dialect: str
    declared: tuple[str, ...]
    texts: list[str]

    def inline(self, text: str, path: Path) -> None:
        self.texts.append(text)
        found = sql.check(text, dialect=self.dialect, declared=self.declared)
        self.check.find_in_text(found, path)

    def text_of(self, holder: Any, path: Path) -> str | None:
        """The query of a Report or a sheet, in place or from its file."""
        if holder.query is not None:
            self.inline(holder.query, (*path, "query"))
        if holder.query_file is None:
            text: str | None = holder.query
            return text
        at = (*path, "query_file")
        found = self.check.file(holder.query_file, at)
        source = _source(self.check, found, at) if found else None
        if source is None:
            return None
        self.texts.append(source.text)
        found_in = sql.check(source.text, dialect=self.dialect, declared=self.declared)
        self.check.find_in_file(found_in, at, source)
        return source.text


def _source(check: Check, found: tuple[str, bytes], path: Path) -> Source | None:
    target, content = found
    try:
        return Source(target, content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        check.add("BOE110", path, f"{target} is not UTF-8", "save it as UTF-8")
        return None


def check_report(
    check: Check, spec: ReportSpec, path: Path
) -> Callable[[str, str], ResolvedReport] | None:
    """Check a Report's spec; what it resolves to, once it has a name and a title."""
    connection = _database(check, spec, path)
    kind = connection.type if connection else "duckdb"
    queries = _Queries(
        check=check,
        dialect=sql.DIALECTS.get(kind, ""),
        declared=tuple(spec.parameters),
        texts=[],
    )
    text = queries.text_of(spec, path)
    workbook, files = _workbook(queries, spec.workbook, (*path, "workbook"))
    for number, each in enumerate(spec.checks):
        queries.inline(each.query, (*path, "checks", number, "query"))
    _parameters(check, spec, path, queries.texts)
    if spec.transform:
        files |= _transform(check, spec.transform, (*path, "transform"))
    if connection is None:
        return None
    resolved = spec
    if spec.query_file is not None or workbook is not None:
        changes = {"query": text, "query_file": None, "workbook": workbook}
        resolved = spec.model_copy(update=changes)
    return lambda name, title: ResolvedReport(
        name=name,
        title=title,
        spec=resolved,
        connection_name=spec.connection,
        connection=connection,
        files=files,
    )


def _database(check: Check, spec: ReportSpec, path: Path) -> ConnectionSpec | None:
    at = (*path, "connection")
    found = check.use("Connection", spec.connection, at)
    if found is None:
        return None
    connection: ConnectionSpec = found.spec
    if connection.type not in DATABASE_TYPES:
        check.add(
            "BOE102",
            at,
            f'"{spec.connection}" is of type {connection.type}, which is no database',
            f"a Report reads from {', '.join(DATABASE_TYPES)}",
        )
        return None
    return connection


def _workbook(
    queries: _Queries, workbook: Workbook | None, path: Path
) -> tuple[Workbook | None, dict[str, str]]:
    if workbook is None:
        return None, {}
    sheets = []
    for number, sheet in enumerate(workbook.sheets):
        text = queries.text_of(sheet, (*path, "sheets", number))
        sheets.append(sheet.model_copy(update={"query": text, "query_file": None}))
    target, files = _template(queries.check, workbook.template, (*path, "template"))
    return workbook.model_copy(update={"sheets": sheets, "template": target}), files


def _template(
    check: Check, template: str | None, path: Path
) -> tuple[str | None, dict[str, str]]:
    found = check.file(template, path) if template else None
    if found is None:
        return None, {}
    target, content = found
    if not content.startswith(b"PK"):
        check.add("BOE110", path, f"{target} is not an .xlsx file")
    return target, {target: hashlib.sha256(content).hexdigest()}


def _transform(check: Check, transform: str, path: Path) -> dict[str, str]:
    """The file of a transform is looked at, and never run or imported here."""
    if check.judge:
        check.find(transform_findings(check.judge, transform, path))
    reference, function = transform_parts(transform)
    found = check.file(reference, path, from_root=True)
    source = _source(check, found, path) if found else None
    if found is None or source is None:
        return {}
    try:
        lacking = _lacking(ast.parse(source.text, filename=found[0]), function)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        lines = source.text.splitlines(keepends=True)
        at = sum(map(len, lines[: line - 1]))
        said = getattr(error, "msg", str(error))
        wrong = TextFinding(
            code="BOE114", detail=f"this is no Python: {said}", offset=at
        )
        check.find_in_file([wrong], path, source)
        return {}
    if lacking:
        todo = f"write `def {function}(frame):` in it, not inside of anything"
        check.add("BOE114", path, f"{found[0]} {lacking}", todo)
    return {found[0]: hashlib.sha256(found[1]).hexdigest()}


def _lacking(module: ast.Module, function: str) -> str:
    """What keeps the module's function from being called with one DataFrame."""
    defined = [
        node
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name == function
    ]
    if not defined:
        return f"defines no function {function}"
    if isinstance(defined[-1], ast.AsyncFunctionDef):
        return f"defines {function} as async, and nothing waits for it"
    arguments = defined[-1].args
    places = len(arguments.posonlyargs) + len(arguments.args)
    needed = places - len(arguments.defaults)
    named = [one for one in arguments.kw_defaults if one is None]
    if needed > 1 or named or (not places and arguments.vararg is None):
        return f"defines {function} in a way that one DataFrame is not enough for"
    return ""


def _parameters(check: Check, spec: ReportSpec, path: Path, texts: list[str]) -> None:
    for name in sql.unused(texts, spec.parameters):
        check.find(
            [
                Finding(
                    code="BOE205",
                    path=(*path, "parameters", name),
                    detail=f"no query uses the parameter {name}",
                    help=f"remove it, or use it as :{name}",
                    severity="warning",
                    at_key=True,
                )
            ]
        )
    for name, definition in spec.parameters.items():
        at = (*path, "parameters", name, "default")
        check_default(check, PARAMETERS, definition, at)


#: What every run has; a default may also use what only some have.
_SAMPLE = About(schedule="", report="", owner="", timezone="UTC", period="current_day")


def check_default(
    check: Check, words: Words, definition: Parameter | Input, path: Path
) -> None:
    """A default that is a template: tried here, so that it is told once, here."""
    told = len(check.problems)
    check_template(check, definition.default, path)
    if told < len(check.problems) or not is_template(definition.default):
        return
    context = _SAMPLE.context("", check.now)
    if names_in(definition.default) <= set(context):
        one: dict[str, Any] = {str(path[-2]): definition}
        binding = Binding(definitions=one, context=context, words=words)
        check.find(replace(found, path=path) for found in binding.bind({})[1])


def check_template(check: Check, value: Any, path: Path, *, html: bool = False) -> None:
    """A template that is filled in elsewhere: its grammar, and the names it uses."""
    for found in template_flaws(value, html=html):
        if found.code == "BOE180":
            check.find_in_text([found], path)
        else:
            check.add(found.code, path, found.detail, found.help)


def template_flaws(value: Any, *, html: bool = False) -> list[TextFinding]:
    if not is_template(value):
        return []
    try:
        compiled(value, html=html)
        unknown = sorted(names_in(value) - set(ABSENT))
    except TemplateError as error:
        line = sum(map(len, value.splitlines(keepends=True)[: (error.line or 1) - 1]))
        found = TextFinding(
            code="BOE180", detail=error.message, help=error.help, offset=line
        )
        return [found]
    todo = f"known: {', '.join(ABSENT)}"
    return [
        TextFinding(
            code="BOE181",
            detail=f'there is no "{name}"',
            help=did_you_mean(name, ABSENT, todo),
        )
        for name in unknown
    ]
