"""A Schedule and all that it refers to: what is wrong with them, and a plan where nothing is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from boe_reconciler.core import sql
from boe_reconciler.core.names import check_pattern
from boe_reconciler.core.names import check_template as check_tokens
from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.check_burst import check_burst
from boe_reconciler.core.plan.check_destination import check_destination
from boe_reconciler.core.plan.check_mail import broken_texts
from boe_reconciler.core.plan.check_report import ResolvedReport, check_report
from boe_reconciler.core.plan.check_waits import check_waits
from boe_reconciler.core.plan.check_when import Timed, check_when
from boe_reconciler.core.plan.delivering import Holder, distribution
from boe_reconciler.core.plan.planned import Resolved, planned
from boe_reconciler.core.plan.policy import domain_findings, host_findings
from boe_reconciler.core.plan.redirect import overlay_of
from boe_reconciler.core.plan.sops import pin
from boe_reconciler.core.plan.world import Verdict
from boe_reconciler.core.prepare import INPUTS, PARAMETERS, About, Binding
from boe_reconciler.core.problems import Path
from boe_reconciler.core.resources.connection import SopsSecret
from boe_reconciler.core.resources.distribution import EmailDestination, Input
from boe_reconciler.core.resources.envelope import Schedule
from boe_reconciler.core.resources.report import Workbook
from boe_reconciler.core.resources.schedule import DistributionRef, Export
from boe_reconciler.core.run_ids import run_id
from boe_reconciler.core.spec import PlannedSchedule

#: Formats that hold a single table.
_ONE_TABLE = ("csv", "tsv", "json", "jsonl", "parquet")


def resolve(check: Check, schedule: Schedule) -> PlannedSchedule | Literal[True] | None:
    """All Problems of the Schedule go to `check`; None where something is missing.

    True where Problems are all that is asked for, and nothing is planned.
    """
    timed = check_when(check, schedule.spec.when)
    check.find(timed.warnings, ("spec", "when"))
    timetable = timed.timetable
    report = _report(check, schedule)
    _people(check, schedule)
    check_waits(check, schedule, report, timetable)
    _ping(check, schedule)
    _export(check, schedule, report)
    targets, holders = _destinations(check, schedule)
    burst = check_burst(check, schedule, report)
    _values(check, schedule, report, (timed, burst.part))
    if report is None or timetable is None or not targets:
        return None
    ping, export = _own_ping(check, schedule.spec.ping), _pinned(check, schedule)
    if check.only_problems:
        return True
    resolved = Resolved(
        schedule=schedule,
        timezone=timetable.timezone,
        calendar=timed.calendar,
        report=report,
        targets=targets,
        holders=holders,
        burst=burst,
        ping=ping,
        export=export,
    )
    return planned(check, resolved)


# --- What -----------------------------------------------------------------------------


def _report(check: Check, schedule: Schedule) -> ResolvedReport | None:
    report, path = schedule.spec.report, ("spec", "report")
    if not isinstance(report, str):
        inline = check_report(check, report, path)
        found = inline(schedule.name, schedule.title) if inline else None
    else:
        found = check.use("Report", report, path)
    if found:
        only_if = schedule.spec.only_if
        if only_if:
            dialect = sql.DIALECTS.get(found.connection.type, "")
            declared = found.spec.parameters
            wrong = sql.check(only_if.query, dialect=dialect, declared=declared)
            check.find_in_text(wrong, ("spec", "only_if", "query"))
    return found


def _export(check: Check, schedule: Schedule, report: ResolvedReport | None) -> None:
    check_file_name(check)
    pattern = schedule.spec.export.filename_pattern
    _one_name(check, schedule, pattern, ("spec", "export", "filename_pattern"))
    if schedule.spec.period is None:
        _no_period(check, schedule)
    dialect = schedule.spec.export.dialect
    if dialect and dialect.separator:
        _separator(check, dialect.separator, dialect.decimal)
    workbook = report.spec.workbook if report else None
    if workbook:
        _formats(check, schedule.spec.export.format, workbook)


def check_file_name(check: Check) -> None:
    """The pattern of the document, whatever else is wrong with it."""
    path = ("spec", "export", "filename_pattern")
    pattern = check.document.value(path)
    if isinstance(pattern, str):
        check.find_in_text(check_pattern(pattern), path)


def _one_name(
    check: Check, schedule: Schedule, pattern: str | None, path: Path
) -> None:
    """Several formats need names that differ."""
    if pattern and "{format}" not in pattern and schedule.spec.export.several:
        detail = f"{pattern!r} gives the files of all formats the same name"
        check.add("BOE212", path, detail, "add {format}")


def _separator(check: Check, separator: str, decimal: str) -> None:
    path = ("spec", "export", "dialect", "separator")
    todo = "use one that no value is written with, such as ; or |"
    if separator == decimal:
        detail = f'"{separator}" stands in numbers already: it is the decimal sign'
        check.add("BOE038", path, detail, todo)
    elif separator.isalnum() or separator in '"-+\r\n' or not _visible(separator):
        check.add("BOE038", path, f"{separator!r} cannot separate values", todo)


def _visible(character: str) -> bool:
    return character.isprintable() or character == "\t"


def _formats(check: Check, chosen: str | Sequence[str], workbook: Workbook) -> None:
    """A list has its places; a single format, and xlsx by default, has one."""
    path: Path = ("spec", "export", "format")
    places: list[tuple[Path, str]] = (
        [(path, chosen)]
        if isinstance(chosen, str)
        else [((*path, number), name) for number, name in enumerate(chosen)]
    )
    several = len(workbook.sheets) > 1
    for at, name in places:
        only_xlsx = workbook.template and name != "xlsx"
        if only_xlsx or (several and name in _ONE_TABLE):
            what = "a workbook template" if only_xlsx else "several sheets"
            detail = f"the report has {what}, which {name} cannot hold"
            check.add("BOE113", at, detail, "use xlsx")


def _no_period(check: Check, schedule: Schedule) -> None:
    """{period} in a file's name needs one."""
    holders: list[tuple[Path, Any]] = [(("spec", "export"), schedule.spec.export)]
    for number, target in enumerate(schedule.spec.deliver_to):
        holders.append((("spec", "deliver_to", number), target))
    for path, holder in holders:
        if "{period}" in (getattr(holder, "filename_pattern", None) or ""):
            todo = "add `period` to the Schedule, such as previous_month"
            at = (*path, "filename_pattern")
            check.add("BOE182", at, "{period} stands for nothing here", todo)


# --- To whom --------------------------------------------------------------------------


def _people(check: Check, schedule: Schedule) -> None:
    spec = schedule.spec
    for number, name in enumerate(spec.notify or ()):
        if "@" not in name and not check.knows("Distribution", name):
            check.use("Group", name, ("spec", "notify", number))
    for number, name in enumerate(spec.approval.by if spec.approval else ()):
        if "@" not in name:
            check.use("Group", name, ("spec", "approval", "by", number))


def _ping(check: Check, schedule: Schedule) -> None:
    """A ping reaches no host that a webhook could not."""
    address = schedule.spec.ping
    if check.judge and isinstance(address, str):
        found = host_findings(check.judge, {"url": address}, (), webhook=True)
        check.find(replace(each, path=("spec", "ping")) for each in found)


def _destinations(
    check: Check, schedule: Schedule
) -> tuple[list[tuple[Holder | None, Any]], list[Holder]]:
    """In order, each with the Distribution that it stands in; and all of those."""
    targets = schedule.spec.deliver_to
    here = [t for t in targets if not isinstance(t, str | DistributionRef)]
    found: list[tuple[Holder | None, Any]] = []
    holders: list[Holder] = []
    for number, target in enumerate(targets):
        path: Path = ("spec", "deliver_to", number)
        if isinstance(target, str | DistributionRef):
            holder = _through(check, target, path)
            if holder is not None:
                holders.append(holder)
                for one in holder.targets:
                    found.append((holder, one))
                    _one_name(check, schedule, one.filename_pattern, path)
                    _preview(check, schedule, one, path)
        else:
            check_destination(check, target, path, here)
            found.append((None, target))
            at = (*path, "filename_pattern")
            _one_name(check, schedule, target.filename_pattern, at)
            _preview(check, schedule, target, (*path, "preview_rows"))
    return found, holders


def _preview(check: Check, schedule: Schedule, target: Any, path: Path) -> None:
    """Rows of a file that opens only with a password stand in no mail."""
    if getattr(target, "preview_rows", 0) and schedule.spec.export.password:
        detail = "the mail would show rows of a file that has a password"
        todo = "take preview_rows out, or the password"
        check.add("BOE294", path, detail, todo)


def _through(check: Check, target: str | DistributionRef, path: Path) -> Holder | None:
    if isinstance(target, str):
        target, at = DistributionRef.model_construct(distribution=target), path
    else:
        at = (*path, "distribution")
    name = target.distribution
    usable = check.use("Distribution", name, at)
    holder = distribution(check, name) if usable else None
    if holder is None:
        return None
    return replace(holder, label=target.as_ or name, inputs=target.inputs)


# --- Values ---------------------------------------------------------------------------

#: Of a value that depends on the part of a burst, or was found good before: what it
#: is will be known when it runs.
_LATER = ("BOE107", "BOE181")


def _values(
    check: Check,
    schedule: Schedule,
    report: ResolvedReport | None,
    known: tuple[Timed, Mapping[str, str] | None],
) -> None:
    """Parameters and inputs, as they will be at the next occurrence, of the first part."""
    if not _is_filled_in(schedule, report):
        return
    timed, part = known
    about = About(
        schedule=schedule.name,
        report=report.title if report else "",
        owner=schedule.metadata.owner or "",
        timezone=timed.timetable.timezone if timed.timetable else "UTC",
        period=schedule.spec.period,
    )
    occurrence = timed.following or check.now
    context = about.context(run_id(schedule.name, occurrence), occurrence)
    later = _later(check, part)
    of_part = {} if part is None else {"part": part}
    values: dict[str, Any] = {}
    if report and schedule.spec.burst and schedule.spec.burst.mode == "query":
        seen = {**context, **of_part}
        values = _parameters(check, schedule, report, (seen, later))
    elif report:
        known_later = _LATER if check.entry.served is not None else ()
        values = _parameters(check, schedule, report, (context, known_later))
    context = {**context, **of_part, "parameters": values}
    for number, target in enumerate(schedule.spec.deliver_to):
        path: Path = ("spec", "deliver_to", number)
        if isinstance(target, str | DistributionRef):
            _inputs(check, target, context, later, path)
        else:
            texts = check.document.file(path), check.files
            seen = {**context, "inputs": {}}
            for key, error in broken_texts(check, target, seen, texts):
                check.add("BOE180", (*path, *key), error.message, error.help)


_FILLED_IN = (str, DistributionRef, EmailDestination)


def _is_filled_in(schedule: Schedule, report: ResolvedReport | None) -> bool:
    """Whether it has parameters, inputs or texts: most have none."""
    if report and (report.spec.parameters or schedule.spec.parameters):
        return True
    return any(isinstance(target, _FILLED_IN) for target in schedule.spec.deliver_to)


def _inputs(
    check: Check,
    target: str | DistributionRef,
    context: Mapping[str, Any],
    later: Collection[str],
    path: Path,
) -> None:
    """Those that a Distribution is given, and its texts with them."""
    name = target if isinstance(target, str) else target.distribution
    found = check.world.look_up(("Distribution", name), check.entry.kind)
    if not isinstance(found, Verdict) or not found.good:
        return
    declared = found.product.spec.inputs
    binding = Binding(definitions=declared, context=context, words=INPUTS)
    given = target.inputs if isinstance(target, DistributionRef) else {}
    inputs = _bind(check, binding, given, later, (*path, "inputs"))
    _addresses(check, declared, inputs, (*path, "inputs"))
    _texts_of(check, found, {**context, "inputs": inputs}, path)


def _texts_of(
    check: Check, used: Verdict, context: Mapping[str, Any], path: Path
) -> None:
    """A Distribution may fit other schedules: told at this one, with the line to look at."""
    document = used.entry.document
    texts = document.filename, used.files
    for number, each in enumerate(used.product.spec.destinations):
        for key, error in broken_texts(check, each, context, texts):
            place = document.range(("spec", "destinations", number, *key))
            where = f"{document.filename}:{place.start.line}"
            detail = f"{'.'.join(map(str, key))} at {where}: {error.message}"
            check.add("BOE180", path, detail, error.help)


def _parameters(
    check: Check,
    schedule: Schedule,
    report: ResolvedReport,
    seen: tuple[Mapping[str, Any], Collection[str]],
) -> dict[str, Any]:
    context, later = seen
    declared = report.spec.parameters
    binding = Binding(definitions=declared, context=context, words=PARAMETERS)
    return _bind(check, binding, schedule.spec.parameters, later)


def _addresses(
    check: Check, declared: Mapping[str, Input], values: Mapping[str, Any], path: Path
) -> None:
    for name, definition in declared.items():
        if check.judge and definition.type in ("email", "emails"):
            value = values[name] or []
            for address in [value] if isinstance(value, str) else value:
                check.find(domain_findings(check.judge, address, (*path, name)))


def _later(check: Check, part: Mapping[str, str] | None) -> Collection[str]:
    """What is no Problem yet. A column's values are known as it runs, its name before."""
    if check.entry.served is not None:
        return _LATER
    if "burst" not in check.document.data["spec"]:
        return ()
    return _LATER if part is None else ("BOE107",)


def _bind(
    check: Check,
    binding: Binding,
    given: dict[str, Any],
    later: Collection[str],
    path: Path = ("spec", "parameters"),
) -> dict[str, Any]:
    for at, text in _texts(given, path):
        check.find_in_text(check_tokens(text), at)
    values, findings = binding.bind(given)
    check.find((each for each in findings if each.code not in later), path)
    return values


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Each text in a value, with its path."""
    if isinstance(value, str):
        yield path, value
    items = enumerate(value) if isinstance(value, list) else ()
    for key, item in value.items() if isinstance(value, dict) else items:
        yield from _texts(item, (*path, key))


# --- Secrets of its own ---------------------------------------------------------------


def _own_ping(check: Check, ping: Any) -> Any:
    """Who watches the real runs is not told of others."""
    overlay = overlay_of(check)
    if overlay is not None and overlay.redirect.others != "deliver":
        return None
    if isinstance(ping, SopsSecret):
        return SopsSecret(sops=pin(check, ping.sops, ("spec", "ping", "sops")))
    return ping


def _pinned(check: Check, schedule: Schedule) -> Export:
    """With the password's encrypted file as it is in this revision."""
    export = schedule.spec.export
    if not isinstance(export.password, SopsSecret):
        return export
    path = ("spec", "export", "password", "sops")
    password = SopsSecret(sops=pin(check, export.password.sops, path))
    return export.model_copy(update={"password": password})
