"""A Review as the JSON that scripts rely on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from boe_reconciler.core.changes import Change
from boe_reconciler.core.changes.deliveries import FileChange
from boe_reconciler.core.changes.fields import FieldChange
from boe_reconciler.core.changes.impact import as_json as impact_json
from boe_reconciler.core.changes.masks import masked
from boe_reconciler.core.changes.recipients import Recipient
from boe_reconciler.core.changes.review import Review
from boe_reconciler.core.changes.runs import PlannedRun
from boe_reconciler.core.problems import dotted
from boe_reconciler.core.spec import ObjectStatus


def as_json(seen: Review) -> dict[str, Any]:
    """What `boe plan --format json` prints."""
    compared, found = seen.comparison, seen.found
    told = {
        "format_version": "1.0",
        "base": compared.before.revision if compared.before else None,
        "head": compared.after.revision,
        "changes": [_change(one) for one in found.changes],
        "runs": {
            "added": [_run(run) for run in found.runs_added],
            "removed": [_run(run) for run in found.runs_removed],
            "moved": [
                {
                    "schedule": will.schedule,
                    "before": _instant(was),
                    "after": _instant(will),
                }
                for was, will in found.runs_moved
            ],
        },
        "recipients": {
            "added": [_recipient(one) for one in found.deliveries.gained],
            "removed": [_recipient(one) for one in found.deliveries.lost],
        },
        "diagnostics": [each.as_diagnostic() for each in compared.after.problems],
        "places": {
            "added": list(found.deliveries.places_gained),
            "removed": list(found.deliveries.places_lost),
        },
        "files": [_file(one) for one in found.deliveries.files],
        "moves": [
            {
                "kind": one.kind,
                "name": one.name,
                "before": one.before,
                "after": one.after,
            }
            for one in found.moves
        ],
        "not_taken_up": _statuses(seen.kept),
        "not_known": _statuses(compared.unknown),
        "descends": compared.past.lost is None,
        "impact": masked(impact_json(seen.impact)),
    }
    if seen.expanded is not None:
        told["deliveries"] = [_delivery(one) for one in seen.expanded]
    return told


def _change(one: Change) -> dict[str, Any]:
    told = {
        "action": one.action,
        "kind": one.kind,
        "name": one.name,
        "file": one.file,
        "fields": [_field(field) for field in one.fields],
        "schedules": list(one.schedules),
    }
    return {**told, "renamed_from": one.renamed_from} if one.renamed_from else told


def _field(one: FieldChange) -> dict[str, Any]:
    told = {"path": dotted(one.path), "before": one.before, "after": one.after}
    return {**told, "diff": list(one.diff)} if one.diff else told


def _run(run: PlannedRun) -> dict[str, Any]:
    return {"schedule": run.schedule, **_instant(run)}


def _instant(run: PlannedRun) -> dict[str, Any]:
    local = run.occurrence.astimezone(ZoneInfo(run.timezone))
    utc = run.occurrence.isoformat().replace("+00:00", "Z")
    return {"utc": utc, "local": local.isoformat(), "timezone": run.timezone}


def _recipient(one: Recipient) -> dict[str, Any]:
    return {
        "schedule": one.schedule,
        "destination": one.destination,
        "recipient": one.name,
        "type": one.type,
        "group": one.group,
        "until": one.until.isoformat() if one.until else None,
    }


def _delivery(one: Recipient) -> dict[str, Any]:
    return {**_recipient(one), "files": list(one.files)}


def _file(one: FileChange) -> dict[str, Any]:
    return {
        "schedule": one.schedule,
        "before": one.before,
        "after": one.after,
        "recipients": list(one.recipients),
    }


def _statuses(statuses: Sequence[ObjectStatus]) -> list[Mapping[str, Any]]:
    return [
        {
            "kind": one.kind,
            "name": one.name,
            "reason": one.reason,
            "message": one.message,
        }
        for one in statuses
    ]
