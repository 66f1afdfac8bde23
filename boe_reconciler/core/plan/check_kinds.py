"""The kinds but Report and Schedule: what they refer to, and what only they know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from boe_reconciler.core.calendar import calendar_findings, check_timezone
from boe_reconciler.core.calendar.cron import parse_cron
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.check_destination import (
    MAIL_TYPES,
    check_address,
    check_destination,
)
from boe_reconciler.core.plan.check_environment import check_environment
from boe_reconciler.core.plan.check_report import (
    check_default,
    check_report,
)
from boe_reconciler.core.plan.check_when import check_when_alone
from boe_reconciler.core.plan.files import POLICY_FILE
from boe_reconciler.core.plan.policy import host_findings
from boe_reconciler.core.plan.resolve import check_file_name
from boe_reconciler.core.plan.sops import pin_all
from boe_reconciler.core.prepare import INPUTS
from boe_reconciler.core.problems import Path
from boe_reconciler.core.resources.connection import (
    SmtpConnection,
    SQLiteConnection,
    TimeWindow,
)
from boe_reconciler.core.resources.envelope import Connection
from boe_reconciler.core.windows import change_windows, odd_windows


def _policy(check: Check, policy: Any) -> Any:
    if check.document.filename != POLICY_FILE:
        detail = f"a Policy stands in {POLICY_FILE}, not here"
        check.add("BOE137", ("kind",), detail, "move it there")
    zone = policy.spec.defaults.get("timezone")
    if isinstance(zone, str):
        check.find(check_timezone(zone, ("spec", "defaults", "timezone")))
    path = ("spec", "change_windows")
    _windows(check, policy.spec.change_windows, path, zone)
    if not check.faulty:
        check.find(odd_windows(change_windows(policy.spec), check.now), path)
    for number, name in enumerate(policy.spec.notices.ops):
        _ops(check, name, ("spec", "notices", "ops", number))
    return policy


def _ops(check: Check, name: str, path: Path) -> None:
    """People are told by mails and webhooks alone."""
    found = check.use("Distribution", name, path)
    targets = found.spec.destinations if found else ()
    if targets and not any(one.type in ("email", "webhook") for one in targets):
        finding = Finding(
            code="BOE271",
            path=path,
            detail=f"{name} has no destination of type email or webhook, so nobody is told",
            help="name a Distribution that has one",
            severity="warning",
        )
        check.find([finding])


def _windows(check: Check, windows: list[TimeWindow], path: Path, default: Any) -> None:
    for number, window in enumerate(windows):
        at = (*path, number)
        _, found = parse_cron(window.cron, path=("cron",))
        check.find(found, at)
        if window.timezone is not None or default is None:
            check.find(check_timezone(window.timezone), at)


def _calendar(check: Check, calendar: Any) -> Any:
    if not check.faulty:
        check.find(calendar_findings(calendar.spec, check.now.date()), ("spec",))
    return calendar


def _connection(check: Check, connection: Any) -> Any:
    spec = connection.spec
    zone = check.policy.defaults.get("timezone")
    _windows(check, spec.blackouts, ("spec", "blackouts"), zone)
    _blackouts(check, spec.blackouts, zone)
    if isinstance(spec, SmtpConnection):
        _fallback(check, spec)
    if isinstance(spec, SQLiteConnection) and spec.files:
        detail = "sqlite cannot read files"
        todo = "move `files` to a Connection of type duckdb"
        check.add("BOE046", ("spec", "files"), detail, todo)
    if check.judge:
        raw = check.document.data["spec"]
        webhook = spec.type == "webhook"
        check.find(host_findings(check.judge, raw, ("spec",), webhook=webhook))
    if spec.type == "webhook":
        _secret_headers(check, spec.headers)
        check_address(check, check.document.data["spec"], ("spec",))
    raw = check.document.data
    pinned = pin_all(check, raw["spec"], ("spec",))
    if pinned == raw["spec"]:
        return connection
    return Connection.model_validate({**raw, "spec": pinned})


def _blackouts(check: Check, windows: list[TimeWindow], default: Any) -> None:
    for number, window in enumerate(windows):
        zone = window.timezone or default
        if not check_timezone(zone) and _never_ends(window, zone, check):
            finding = Finding(
                code="BOE145",
                severity="warning",
                path=("spec", "blackouts", number, "duration"),
                detail="this blackout opens again before it closes: nothing that "
                "reads or delivers over it ever runs",
                help="shorten it, or open it less often",
            )
            check.find([finding])


def _never_ends(window: TimeWindow, zone: str, check: Check) -> bool:
    from boe_reconciler.core.limits import never_ends  # noqa: PLC0415 few repos need it

    return never_ends(window.model_copy(update={"timezone": zone}), check.now)


def _fallback(check: Check, spec: SmtpConnection) -> None:
    for number, name in enumerate(spec.fallback):
        at = ("spec", "fallback", number)
        other = check.use("Connection", name, at)
        if other and other.spec.type not in MAIL_TYPES:
            detail = f'"{name}" is of type {other.spec.type}, which sends no mail'
            check.add("BOE102", at, detail, f"name one of {' or '.join(MAIL_TYPES)}")


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
    return check_environment(check, environment, _connection)


def _distribution(check: Check, distribution: Any) -> Any:
    targets = distribution.spec.destinations
    for number, target in enumerate(targets):
        at = ("spec", "destinations", number)
        check_destination(check, target, at, targets)
    for name, declared in distribution.spec.inputs.items():
        check_default(check, INPUTS, declared, ("spec", "inputs", name, "default"))
    return distribution


def _report(check: Check, report: Any) -> Any:
    resolve = check_report(check, report.spec, ("spec",))
    return resolve(report.name, report.title) if resolve else None


def _template(check: Check, template: Any) -> Any:
    """What can be judged without the Schedule around it."""
    spec = template.spec
    check_file_name(check)
    check_when_alone(check, spec.get("when"), default_timezone="UTC")
    return template


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
