"""What a run is about: its period, and its parameters with their final values.

The runner and `boe validate` ask the same function, so that what validates also
prepares.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from boe_reconciler.core.calendar.periods import Period, period_of
from boe_reconciler.core.errors import InputError, Permanent
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.language.suggest import did_you_mean
from boe_reconciler.core.parameters import parse_parameter
from boe_reconciler.core.problems import Path, dotted
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.distribution import Input
from boe_reconciler.core.resources.report import Parameter
from boe_reconciler.core.templates import TemplateError, is_template, names_in, render

if TYPE_CHECKING:
    from boe_reconciler.core.runs import RunOptions
    from boe_reconciler.core.spec import RunSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    #: Parameter -> typed value, None where there is none: as they are bound.
    parameters: Mapping[str, Any]
    period: Period | None
    #: What templates of inputs, subjects and bodies see.
    context: Mapping[str, Any]


def prepare(
    spec: RunSpec,
    *,
    run_id: str,
    occurrence: datetime,
    options: RunOptions | None = None,
    part: Mapping[str, str] | None = None,
) -> Prepared:
    """All that a run's queries and templates depend on; Permanent where it is wrong.

    Without the `part` of a burst that asks once a key, what needs one has no value.
    """
    asked = options.parameters if options else {}
    context = About.of(spec).context(run_id, occurrence)
    if part is not None:
        context["part"] = dict(part)
    later = set() if part is not None else _of_parts(spec)
    binding = Binding(
        definitions=spec.report.parameters, context=context, words=PARAMETERS
    )
    values, findings = binding.bind(spec.parameters, asked)
    for finding in findings:
        if later.intersection(finding.path):
            continue
        text = f"{dotted(('parameters', *finding.path))}: {finding.detail}."
        raise Permanent("parameters_invalid", text, finding.help)
    return Prepared(
        parameters=values,
        period=context.get("period"),
        context={**context, "parameters": values},
    )


def _of_parts(spec: RunSpec) -> set[str]:
    """The parameters whose values differ from part to part."""
    if spec.burst is None or spec.burst.mode != "query":
        return set()
    declared = spec.report.parameters
    given = {
        name: spec.parameters.get(name, one.default) for name, one in declared.items()
    }
    return {name for name, value in given.items() if _names_part(value)}


def _names_part(value: Any) -> bool:
    texts = value if isinstance(value, list) else [value]
    return any(is_template(text) and "part" in names_in(text) for text in texts)


def check_options(spec: RunSpec, options: RunOptions) -> None:
    """InputError where a person gave values or names that the run cannot use."""
    declared = spec.report.parameters
    for name, value in options.parameters.items():
        if name not in declared:
            todo = did_you_mean(name, declared, _known(declared))
            raise InputError(f'The report has no parameter "{name}".', todo)
        try:
            parse_parameter(declared[name].type, value, declared[name].values)
        except ValueError as error:
            raise InputError(f"The parameter {name}: {error}.") from None
    names = {target.distribution or target.key for target in spec.destinations}
    if options.only is not None and options.only not in names:
        todo = did_you_mean(options.only, names, f"It has {', '.join(sorted(names))}.")
        raise InputError(f'{spec.schedule} does not deliver to "{options.only}".', todo)
    mails = any(target.spec.type == "email" for target in spec.destinations)
    if options.to is not None and not mails:
        text = f"{spec.schedule} has no mail that could go to {options.to}."
        raise InputError(text, "--dry-run builds its file and delivers nothing.")


def _known(declared: Mapping[str, Any]) -> str:
    return f"It has {', '.join(declared)}." if declared else "It has none."


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What templates see of a run, before its parameters are known."""

    schedule: str
    #: The Report's title.
    report: str
    owner: str
    #: An IANA name.
    timezone: str
    #: Such as previous_month.
    period: str | None

    @classmethod
    def of(cls, spec: RunSpec) -> About:
        return cls(
            schedule=spec.schedule,
            report=spec.report_title,
            owner=spec.owner,
            timezone=spec.timezone,
            period=spec.period,
        )

    def context(self, run_id: str, occurrence: datetime) -> dict[str, Any]:
        zone = ZoneInfo(self.timezone)
        found: dict[str, Any] = {
            "occurrence": occurrence.astimezone(zone),
            "occurrence_utc": occurrence.astimezone(UTC),
            "schedule": self.schedule,
            "report": self.report,
            "owner": self.owner,
            "run_id": run_id,
        }
        if self.period:
            found["period"] = period_of(self.period, occurrence, zone)
        return found


# --- Values for what is declared ------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """How messages speak of parameters, or of inputs."""

    noun: str
    owner: str
    undeclared: str
    missing: str
    wrong: str


PARAMETERS = Words(
    noun="parameter",
    owner="Report",
    undeclared="BOE108",
    missing="BOE109",
    wrong="BOE107",
)
INPUTS = Words(
    noun="input",
    owner="Distribution",
    undeclared="BOE105",
    missing="BOE106",
    wrong="BOE107",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """Gives values to what a Report or a Distribution declares."""

    definitions: Mapping[str, Parameter] | Mapping[str, Input]
    context: Mapping[str, Any]
    words: Words

    def bind(
        self, given: Mapping[str, Any], asked: Mapping[str, str] | None = None
    ) -> tuple[dict[str, Any], list[Finding]]:
        """Typed values, and what is wrong with those given (at the path of each).

        `asked` wins over `given`, which wins over the default; text that was asked
        for is no template.
        """
        findings = [
            self._undeclared(name) for name in given if name not in self.definitions
        ]
        values: dict[str, Any] = {}
        for name in self.definitions:
            values[name] = None
            try:
                values[name] = self._value(name, given, asked or {})
            except _Wrong as wrong:
                findings.append(wrong.finding)
        return values, findings

    def _value(
        self, name: str, given: Mapping[str, Any], asked: Mapping[str, str]
    ) -> Any:
        definition = self.definitions[name]
        value = given.get(name)
        if value is None:
            value = definition.default
        if name in asked:
            value = asked[name]
        elif value is None and definition.required:
            raise _Wrong(self._missing(name))
        else:
            value = self._rendered(name, value)
        if value is None:
            return None
        try:
            return parse_parameter(definition.type, value, definition.values)
        except ValueError as error:
            code = self.words.wrong
            raise _Wrong(Finding(code=code, path=(name,), detail=str(error))) from None

    def _rendered(self, name: str, value: Any) -> Any:
        if not isinstance(value, list):
            return self._filled(value, (name,))
        return [self._filled(item, (name, at)) for at, item in enumerate(value)]

    def _filled(self, value: Any, path: Path) -> Any:
        if not is_template(value):
            return value
        try:
            return render(value, self.context)
        except TemplateError as error:
            raise _Wrong(template_finding(error, path)) from None

    def _undeclared(self, name: str) -> Finding:
        owner, noun = self.words.owner, self.words.noun
        known = ", ".join(self.definitions)
        otherwise = f"it has {known}" if known else f"remove it: it has no {noun}s"
        return Finding(
            code=self.words.undeclared,
            path=(name,),
            detail=f'the {owner} has no {noun} "{name}"',
            help=did_you_mean(name, self.definitions, otherwise),
            at_key=True,
        )

    def _missing(self, name: str) -> Finding:
        noun, kind = self.words.noun, self.definitions[name].type
        return Finding(
            code=self.words.missing,
            path=(),
            detail=f'the {noun} "{name}" is required ({kind}) and not given',
            help=f"add {name} to {noun}s",
            at_key=True,
        )


class _Wrong(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self.finding = finding


def template_finding(error: TemplateError, path: Path) -> Finding:
    """A broken template is BOE180 by its text, BOE181 by what it asks for."""
    code = "BOE180" if error.line else "BOE181"
    return Finding(code=code, path=path, detail=error.message, help=error.help)
