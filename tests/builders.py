"""One default for each thing; what a test is about is given by keyword."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from boe_reconciler.core.holds import HoldKind, Wait
from boe_reconciler.core.plan.files import blob_id
from boe_reconciler.core.ports import Ledger
from boe_reconciler.core.resources.when import When
from boe_reconciler.core.run_ids import manual_run_id
from boe_reconciler.core.runs import (
    Artifact,
    DeliveryKey,
    NewDelivery,
    NewRun,
    News,
    Pause,
    PauseTarget,
    RunOptions,
    Trigger,
)
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.core.spec import (
    Activation,
    OccurrenceSet,
    PlannedSchedule,
    RunSpec,
    ServedObject,
)
from boe_reconciler.core.suppression import Told

REVISION = "folder@sha1:" + "1" * 40


def at(text: str) -> datetime:
    """ "2026-03-01 06:30" -> an aware instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def a_spec(name: str = "daily", **fields: Any) -> RunSpec:
    data: dict[str, Any] = {
        "schedule": name,
        "title": name.title(),
        "owner": "ops@example.com",
        "timezone": "UTC",
        "report_name": name,
        "report_title": name.title(),
        "report": {"connection": "flights", "query": "select 1 as one"},
        "connection_name": "flights",
        "connection": {"type": "duckdb"},
        "export": {"format": "csv"},
        "execution": {},
        "destinations": [
            {
                "key": "local",
                "distribution": None,
                "spec": {"type": "local", "base_path": "exports"},
            }
        ],
    }
    return RunSpec.model_validate({**data, **fields})


def a_schedule(
    name: str = "daily",
    *,
    when: Mapping[str, Any] | None = None,
    paused: bool = False,
    renamed_from: str | None = None,
    **fields: Any,
) -> PlannedSchedule:
    """Every hour unless `when` says otherwise; `fields` are those of its RunSpec."""
    found = When.model_validate({"every": "1h", "timezone": "UTC", **(when or {})})
    return PlannedSchedule(
        name=name,
        spec=a_spec(name, **fields),
        occurrences=OccurrenceSet(when=found, timezone="UTC"),
        paused=paused,
        renamed_from=renamed_from,
    )


def an_activation(
    *schedules: PlannedSchedule,
    revision: str = REVISION,
    serving: str | None = REVISION,
    problems: Sequence[Mapping[str, Any]] = (),
    waits: Sequence[Wait] = (),
) -> Activation:
    return Activation(
        attempted=revision,
        serving=revision if serving else None,
        objects=[
            ServedObject(
                kind="Schedule",
                name=one.name,
                file=f"schedules/{one.name}.yaml",
                index=0,
                data={"metadata": {"name": one.name}},
            )
            for one in schedules
        ],
        stalled=[],
        schedules=schedules,
        problems=problems,
        waits=waits,
    )


def a_manual_run(
    schedule: str = "daily",
    now: datetime | None = None,
    *,
    number: int = 1,
    **options: Any,
) -> NewRun:
    now = now or at("2026-03-01 12:00")
    return NewRun(
        run_id=manual_run_id(schedule, f"{number:032x}"),
        schedule=schedule,
        occurrence=now.replace(microsecond=0),
        trigger=Trigger.MANUAL,
        not_before=now,
        options=RunOptions(**options),
    )


def an_artifact(part: str = "-", **fields: Any) -> Artifact:
    data: dict[str, Any] = {
        "part": part,
        "name": "daily.csv",
        "media_type": "text/csv",
        "bytes": 4,
        "sha256": "a" * 64,
        "rows": 1,
        "rows_digest": "b" * 64,
    }
    return Artifact(**{**data, **fields})


def a_delivery(run_id: str, **fields: Any) -> NewDelivery:
    key = DeliveryKey(
        **{"run_id": run_id, "part": "-", "destination": "local", **fields}
    )
    return NewDelivery(key=key, type="local")


def a_mail(run_id: str, recipient: str, **fields: Any) -> NewDelivery:
    key = DeliveryKey(
        **{
            "run_id": run_id,
            "part": "-",
            "destination": "team/mail",
            "recipient": recipient,
            **fields,
        }
    )
    return NewDelivery(key=key, type="email", role="to")


def a_bounce(**fields: Any) -> Told:
    data: dict[str, Any] = {
        "kind": News.BOUNCED,
        "lasting": True,
        "code": "5.1.1",
        "message": "550 no such user",
        "digest": "d" * 64,
    }
    return Told(**{**data, **fields})


def a_pause(
    since: datetime,
    *,
    target: PauseTarget = PauseTarget.SCHEDULE,
    value: str = "daily",
    until: datetime | None = None,
) -> Pause:
    return Pause(
        target=target, value=value, by="ada", why="a test", since=since, until=until
    )


def a_wait(
    subject: str = REVISION, kind: HoldKind = HoldKind.CHANGE_WINDOW, **fields: Any
) -> Wait:
    return Wait(kind=kind, subject=subject, message=f"{subject} waits.", **fields)


# --- Revisions ------------------------------------------------------------------------


def a_snapshot(
    files: Mapping[str, str | bytes],
    *,
    unreadable: Mapping[str, str] | None = None,
    revision: str | None = None,
) -> Snapshot:
    """A revision of these files; its name comes from them."""
    contents = {
        path: text.encode() if isinstance(text, str) else text
        for path, text in files.items()
    }
    blobs = {path: blob_id(content) for path, content in contents.items()}
    lines = "".join(f"{blobs[path]} {path}\n" for path in sorted(blobs))
    return Snapshot(
        revision=revision or f"folder@sha1:{blob_id(lines.encode())}",
        files=blobs,
        unreadable=unreadable or {},
        read=contents.__getitem__,
    )


def uid_of(ledger: Ledger, schedule: str = "daily") -> str:
    """What stays of a schedule, whatever it is called."""
    (uid,) = [one.uid for one in ledger.states() if one.name == schedule]
    return uid
