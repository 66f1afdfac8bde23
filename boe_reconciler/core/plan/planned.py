"""A Schedule in which all is good -> what a run needs, and when it is due.

What is made here consists of parts that have been validated: `model_construct` spares
them a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.check_burst import ResolvedBurst
from boe_reconciler.core.plan.check_report import ResolvedReport
from boe_reconciler.core.plan.delivering import Holder, used
from boe_reconciler.core.plan.files import blob_id
from boe_reconciler.core.plan.redirect import overlay_of, redirected
from boe_reconciler.core.plan.sops import pinned_files
from boe_reconciler.core.plan.world import Verdict
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.envelope import Schedule
from boe_reconciler.core.resources.others import CalendarSpec
from boe_reconciler.core.resources.schedule import Approval, Export
from boe_reconciler.core.spec import (
    OccurrenceSet,
    PlannedSchedule,
    RunSpec,
)
from boe_reconciler.core.windows import zoned


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """A Schedule with all that it refers to."""

    schedule: Schedule
    timezone: str
    calendar: CalendarSpec | None
    report: ResolvedReport
    #: Each destination with the Distribution that it stands in; None: in the Schedule.
    targets: Sequence[tuple[Holder | None, Any]]
    #: Those Distributions.
    holders: Sequence[Holder]
    burst: ResolvedBurst
    #: Its own, with the secrets' encrypted files as they are in this revision.
    ping: Any
    export: Export


def planned(check: Check, resolved: Resolved) -> PlannedSchedule:
    schedule = resolved.schedule
    return PlannedSchedule(
        name=schedule.name,
        spec=_run_spec(check, resolved),
        occurrences=OccurrenceSet.model_construct(
            when=schedule.spec.when,
            timezone=resolved.timezone,
            calendar=resolved.calendar,
        ),
        paused=schedule.spec.paused,
        renamed_from=schedule.metadata.renamed_from,
        parts=resolved.burst.parts,
    )


def _run_spec(check: Check, resolved: Resolved) -> RunSpec:
    schedule, report, burst = resolved.schedule, resolved.report, resolved.burst
    spec, metadata, policy = schedule.spec, schedule.metadata, check.policy
    here = Holder(
        targets=[target for holder, target in resolved.targets if holder is None],
        file=check.document.file(("spec", "deliver_to")),
        contents=check.files,
    )
    holders = [here, *resolved.holders]
    destinations = [
        (holder or here).one(check, target) for holder, target in resolved.targets
    ]
    if overlay := overlay_of(check):
        destinations = [redirected(one, overlay) for one in destinations]
    uses = used(check, holders, destinations)
    return RunSpec.model_construct(
        schedule=schedule.name,
        title=schedule.title,
        owner=metadata.owner or "",
        labels=metadata.labels,
        timezone=resolved.timezone,
        report_name=report.name,
        report_title=report.title,
        report=report.spec,
        connection_name=report.connection_name,
        connection=_zoned(report.connection, policy.defaults.get("timezone")),
        period=spec.period,
        parameters=spec.parameters,
        export=resolved.export,
        if_empty=spec.if_empty,
        if_unchanged=spec.if_unchanged,
        only_if=spec.only_if,
        wait_for=spec.wait_for,
        approval=spec.approval,
        burst=burst.spec,
        execution=spec.execution,
        ping=resolved.ping,
        destinations=destinations,
        connections=_all_zoned(uses.connections, policy.defaults.get("timezone")),
        groups={**uses.groups, **_approvers(check, spec.approval)},
        files={
            **report.files,
            **pinned_files(report.connection, resolved.ping, resolved.export),
            **uses.files,
            **burst.files,
        },
        blob_ids=_blob_ids(check, holders),
        max_rows=policy.limits.max_rows,
        max_artifact=policy.limits.max_artifact,
        local_roots=policy.allow.local_roots,
        email_domains=policy.allow.email_domains,
        hosts=policy.allow.hosts,
        private_addresses=policy.allow.private_addresses,
        max_recipients=policy.limits.max_recipients,
        environment=check.world.environment[1] if check.world.environment else None,
    )


def _blob_ids(check: Check, holders: Sequence[Holder]) -> dict[str, str]:
    """Of the files that it names itself, and that its Report and its Distributions do."""
    named: list[Mapping[str, bytes | None]] = [check.files]
    named += [holder.contents for holder in holders]
    for (kind, _), one in check.lookups.items():
        if kind == "Report" and isinstance(one, Verdict):
            named.append(one.files)
    contents = {path: found for files in named for path, found in files.items()}
    return {
        path: blob_id(content)
        for path, content in sorted(contents.items())
        if content is not None
    }


def _approvers(check: Check, approval: Approval | None) -> dict[str, Any]:
    """The Groups that an approval names."""
    found = {}
    for number, name in enumerate(approval.by if approval else ()):
        if "@" not in name and check.knows("Group", name):
            group = check.use("Group", name, ("spec", "approval", "by", number))
            if group is not None:
                found[name] = group.spec
    return found


def _all_zoned(connections: Mapping[str, Any], default: Any) -> dict[str, Any]:
    return {name: _zoned(spec, default) for name, spec in connections.items()}


def _zoned(connection: Any, default: Any) -> Any:
    """A Connection whose blackouts name their zones."""
    if all(window.timezone for window in connection.blackouts):
        return connection
    windows = zoned(connection.blackouts, default)
    return connection.model_copy(update={"blackouts": windows})
