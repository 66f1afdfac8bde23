"""The kinds but Report and Schedule: what they refer to, and what only they know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from boe_reconciler.core.calendar import (
    calendar_findings,
    check_timezone,
    compile_when,
)
from boe_reconciler.core.calendar.cron import parse_cron
from boe_reconciler.core.language.availability import unavailable_through
from boe_reconciler.core.names import check_pattern
from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.check_destination import check_destination
from boe_reconciler.core.plan.check_report import check_report, check_template
from boe_reconciler.core.plan.files import POLICY_FILE
from boe_reconciler.core.plan.policy import host_findings
from boe_reconciler.core.problems import Path
from boe_reconciler.core.resources.connection import SmtpConnection, TimeWindow
from boe_reconciler.core.resources.when import When


def _policy(check: Check, policy: Any) -> Any:
    if check.document.filename != POLICY_FILE:
        detail = f"a Policy stands in {POLICY_FILE}, not here"
        check.add("BOE137", ("kind",), detail, "move it there")
    zone = policy.spec.defaults.get("timezone")
    if isinstance(zone, str):
        check.find(check_timezone(zone, ("spec", "defaults", "timezone")))
    _windows(check, policy.spec.change_windows, ("spec", "change_windows"))
    for number, name in enumerate(policy.spec.notices.ops):
        check.use("Distribution", name, ("spec", "notices", "ops", number))
    return policy


def _windows(check: Check, windows: list[TimeWindow], path: Path) -> None:
    for number, window in enumerate(windows):
        at = (*path, number)
        _, found = parse_cron(window.cron, path=("cron",))
        check.find(found, at)
        if window.timezone is not None:
            check.find(check_timezone(window.timezone), at)


def _calendar(check: Check, calendar: Any) -> Any:
    check.find(calendar_findings(calendar.spec, check.now.date()), ("spec",))
    return calendar


def _connection(check: Check, connection: Any) -> Any:
    spec = connection.spec
    _windows(check, spec.blackouts, ("spec", "blackouts"))
    if isinstance(spec, SmtpConnection):
        for number, name in enumerate(spec.fallback):
            check.use("Connection", name, ("spec", "fallback", number))
    _warn_unavailable(check)
    if check.judge:
        raw = check.document.data["spec"]
        webhook = spec.type == "webhook"
        check.find(host_findings(check.judge, raw, ("spec",), webhook=webhook))
    if spec.type == "webhook":
        _secret_headers(check, spec.headers)
    return connection


def _warn_unavailable(check: Check) -> None:
    """What has no effect yet is told once, at the object, not at each Schedule."""
    kind, name = check.entry.key
    spec = check.document.data["spec"]
    found = unavailable_through(kind, name, spec, ("spec",))
    check.find(finding for finding in found if finding.severity == "warning")


_SECRET_WORDS = ("authorization", "token", "secret", "api-key", "apikey", "password")


def _secret_headers(check: Check, headers: dict[str, str]) -> None:
    for name in headers:
        if any(word in name.lower() for word in _SECRET_WORDS):
            check.add(
                "BOE049",
                ("spec", "headers", name),
                f"the header {name} holds a secret, which may not stand in git",
                "sign with `secret` instead; if this one is real, change it",
            )


def _environment(check: Check, environment: Any) -> Any:
    for name in environment.spec.connections:
        check.use("Connection", name, ("spec", "connections", name))
    return environment


def _distribution(check: Check, distribution: Any) -> Any:
    targets = distribution.spec.destinations
    for number, target in enumerate(targets):
        at = ("spec", "destinations", number)
        check_destination(check, target, at, targets)
    for name, declared in distribution.spec.inputs.items():
        check_template(check, declared.default, ("spec", "inputs", name, "default"))
    return distribution


def _report(check: Check, report: Any) -> Any:
    resolve = check_report(check, report.spec, ("spec",))
    _warn_unavailable(check)
    return resolve(report.name, report.title) if resolve else None


def _template(check: Check, template: Any) -> Any:
    """What can be judged without the Schedule around it."""
    spec = template.spec
    export = spec.get("export")
    pattern = export.get("filename_pattern") if isinstance(export, dict) else None
    if isinstance(pattern, str):
        path = ("spec", "export", "filename_pattern")
        check.find_in_text(check_pattern(pattern), path)
    check_when_alone(check, spec.get("when"), default_timezone="UTC")
    return template


def check_when_alone(check: Check, raw: Any, *, default_timezone: str | None) -> None:
    """A `when` whose Schedule, or the rest of it, cannot be judged."""
    try:
        when = When.model_validate(raw)
    except ValidationError:
        return
    calendar = None
    if when.calendar:
        path = ("spec", "when", "calendar")
        calendar = check.use("Calendar", when.calendar, path)
    compiled = compile_when(
        when,
        calendar=calendar.spec if calendar else None,
        default_timezone=default_timezone,
    )
    check.find(compiled.findings, ("spec", "when"))


def _group(_check: Check, group: Any) -> Any:
    return group


#: kind -> its checks; they give what others need of it.
CHECKS: dict[str, Callable[[Check, Any], Any]] = {
    "Policy": _policy,
    "Group": _group,
    "Calendar": _calendar,
    "Connection": _connection,
    "Environment": _environment,
    "Distribution": _distribution,
    "Report": _report,
    "ScheduleTemplate": _template,
}
