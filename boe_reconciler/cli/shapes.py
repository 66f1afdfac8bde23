"""Rows of the ledger as the JSON that scripts rely on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from boe_reconciler.cli.output import utc
from boe_reconciler.core.holds import Hold
from boe_reconciler.core.notices import Incident, Owed
from boe_reconciler.core.runs import (
    Artifact,
    Delivery,
    DeliveryEvent,
    DeliveryStatus,
    Event,
    Pause,
    Run,
    RunRecord,
    RunStatus,
)

if TYPE_CHECKING:
    from boe_reconciler.core.ports import Ledger
    from boe_reconciler.core.troubles import Trouble


def run_json(record: RunRecord) -> dict[str, Any]:
    run, news = record.run, record.news_by_key
    return {
        "run_id": run.run_id,
        "schedule": run.schedule,
        "occurrence": utc(run.occurrence),
        "trigger": run.trigger.value,
        "status": run.status.value,
        "reason": run.reason,
        "attempts": run.attempts,
        "started_at": utc(run.started_at),
        "finished_at": utc(run.finished_at),
        "rows": run.rows,
        "artifacts": [_artifact(artifact) for artifact in record.artifacts],
        "deliveries": [
            _delivery(one, news.get(one.key, ())) for one in record.deliveries
        ],
        "revision": run.revision,
        "parameters": parameters(run),
    }


def manifests_json(ledger: Ledger, record: RunRecord) -> dict[str, Any]:
    """The manifest of each file, and whether they are those it was recorded with."""
    from boe_reconciler.core.manifest import Origin, recorded

    run, spec = record.run, ledger.run_spec(record.run.run_id)
    known = recorded(ledger.events(run.run_id))
    found: dict[str, Any] = {
        "format_version": "1.0",
        "run_id": run.run_id,
        "recorded": known is not None,
        "unchanged": None,
        "manifests": [],
    }
    if spec is None or known is None:
        return found
    version, sha256 = known
    origin = Origin(run=run, spec=spec, parameters=run.parameters, version=version)
    return {
        **found,
        "unchanged": origin.common_sha256(record.artifacts) == sha256,
        "manifests": [
            {"sha256": origin.sha256(one), "manifest": origin.manifest(one)}
            for one in record.artifacts
        ],
    }


def parameters(run: Run) -> dict[str, str]:
    """Those it was made with; before it has begun, those that somebody asked for."""
    return {**run.options.parameters, **run.parameters}


def hold_json(hold: Hold) -> dict[str, Any]:
    return {
        "hold_id": hold.hold_id,
        "kind": hold.kind.value,
        "subject": hold.subject,
        "message": hold.message,
        "since": utc(hold.since),
        "until": utc(hold.until),
        "released_at": utc(hold.released_at),
        "released_by": hold.released_by or None,
        "why": hold.why or None,
    }


def notice_json(incident: Incident) -> dict[str, Any]:
    return {
        "subject": incident.subject,
        "failing": bool(incident.failing),
        "since": utc(incident.since),
        "told_at": utc(max(incident.told_at, default=None)),
        "message": incident.message,
    }


def trouble_json(one: Trouble) -> dict[str, Any]:
    return {
        "subject": one.subject,
        "kind": one.kind.value,
        "schedule": one.schedule or None,
        "run_id": one.run_id or None,
        "occurrence": utc(one.occurrence),
        "since": utc(one.since),
        "over_at": utc(one.over_at),
        "message": one.what,
        "lacking": one.lacking,
        "command": one.command,
        "told": [{"who": each.who, "at": utc(each.at)} for each in one.heard],
    }


def owed_json(one: Owed) -> dict[str, Any]:
    return {
        "channel": one.channel,
        "who": one.body.get("who"),
        "subject": one.body.get("subject"),
        "since": utc(one.since),
        "tries": one.tries,
        "next_try": utc(one.next_try),
        "message": one.detail,
    }


def _artifact(artifact: Artifact) -> dict[str, Any]:
    return {
        "part": artifact.part,
        "name": artifact.name,
        "media_type": artifact.media_type,
        "bytes": artifact.bytes,
        "sha256": artifact.sha256,
        "rows": artifact.rows,
    }


def _delivery(delivery: Delivery, news: Sequence[DeliveryEvent]) -> dict[str, Any]:
    return {
        "destination": delivery.key.destination,
        "type": delivery.type,
        "part": delivery.key.part,
        "recipient": delivery.key.recipient,
        "status": delivery.status.value,
        "attempts": delivery.attempts,
        "reason": delivery.reason,
        "receipt": delivery.receipt,
        "remote": delivery.remote,
        "at": utc(delivery.at),
        "news": [_news(one) for one in news],
    }


def _news(one: DeliveryEvent) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "lasting": one.lasting,
        "code": one.code,
        "message": one.message,
        "at": utc(one.at),
    }


def details_json(ledger: Ledger, record: RunRecord) -> dict[str, Any]:
    """One run with its events: what `boe show --format json` prints."""
    run = record.run
    events = ledger.events(run.run_id)
    return {
        **run_json(record),
        "message": run.message,
        "rerun_of": run.options.rerun_of,
        "corrected": run.options.corrected,
        "events": [event_json(event) for event in events],
    }


def event_json(event: Event) -> dict[str, Any]:
    return {"at": utc(event.at), "action": event.action, "message": event.message}


def problem_line(one: Mapping[str, Any]) -> str:
    """A diagnostic as the line that `boe validate` prints for it."""
    at = one["range"]["start"]
    where = f"{one['range']['filename']}:{at['line']}:{at['column']}"
    path = f" {one['path']}" if one["path"] else ""
    todo = f" ({one['help']})" if one["help"] else ""
    return f"{where}: {one['severity']} {one['code']}{path}: {one['detail']}{todo}"


def pause_json(pause: Pause | None) -> dict[str, Any] | None:
    if pause is None:
        return None
    return {
        "target": pause.target.value,
        "value": pause.value,
        "by": pause.by,
        "why": pause.why,
        "since": utc(pause.since),
        "until": utc(pause.until),
    }


def ended_badly(record: RunRecord) -> bool:
    """Failed, partial, or with a delivery that nobody can vouch for: exit code 1."""
    return record.run.status in (RunStatus.FAILED, RunStatus.PARTIAL) or any(
        delivery.status is DeliveryStatus.UNCONFIRMED for delivery in record.deliveries
    )
