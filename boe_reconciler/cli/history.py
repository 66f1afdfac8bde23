"""`boe status`, `runs`, `show`: where is my report? From the state folder alone."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boe_reconciler.cli import delivered
from boe_reconciler.cli.door import door
from boe_reconciler.cli.output import (
    OutputFormat,
    both,
    local,
    one_line,
    say,
    say_json,
    say_table,
    size,
    utc,
)
from boe_reconciler.cli.planned import instant
from boe_reconciler.cli.shapes import (
    details_json,
    hold_json,
    manifests_json,
    notice_json,
    owed_json,
    parameters,
    pause_json,
    problem_line,
    run_json,
    trouble_json,
)
from boe_reconciler.cli.stored import parts_gone, why_gone
from boe_reconciler.core.errors import InputError, Permanent
from boe_reconciler.core.language.suggest import did_you_mean
from boe_reconciler.core.notices import CHANNELS
from boe_reconciler.core.runs import RunStatus
from boe_reconciler.core.troubles import Kind
from boe_reconciler.core.wording import counted

if TYPE_CHECKING:
    from boe_reconciler.app import App
    from boe_reconciler.core.notices import Owed
    from boe_reconciler.core.runs import Artifact, RunOptions, RunRecord, ScheduleState
    from boe_reconciler.core.spec import ObjectStatus


def add_to(boe: typer.Typer) -> None:
    boe.command()(status)
    boe.command()(runs)
    boe.command()(show)


_Format = Annotated[OutputFormat, typer.Option("--format", metavar="text|json")]


# --- status -------------------------------------------------------------------


def status(context: typer.Context, output: _Format = OutputFormat.TEXT) -> None:
    """Show what is served, paused, ran last and is next.

    \b
    Examples:
      boe status
      boe status --format json
    """
    app = door(context).looking_app()
    found = _status(app)
    if output is OutputFormat.JSON:
        say_json(found)
        return
    _print_status(app, found)


_NOTHING: dict[str, Any] = {
    "revision": {"attempted": None, "serving": None},
    "objects": [],
    "problems": [],
    "holds": [],
    "notices": [],
    "troubles": [],
    "unsent": [],
}


def _status(app: App) -> dict[str, Any]:
    if not app.has_state:
        return _NOTHING
    served = app.ledger.served()
    states = {state.name: state for state in app.ledger.states()}
    return {
        "revision": {"attempted": served.attempted, "serving": served.serving},
        **_environment(served.environment),
        "objects": [_object(one, states) for one in served.statuses],
        "problems": [dict(problem) for problem in served.problems],
        "holds": [hold_json(hold) for hold in app.ledger.holds()],
        "notices": [notice_json(one) for one in app.ledger.notices() if one.since],
        "troubles": [trouble_json(one) for one in app.ledger.board().troubles.values()],
        "unsent": [owed_json(one) for one in (*_unsent(app), *app.ledger.given_up())],
    }


def _unsent(app: App) -> list[Owed]:
    """What could not be sent at once, and is tried again."""
    owed = [one for channel in CHANNELS for one in app.ledger.owed(channel)]
    return [one for one in owed if one.tries]


def _environment(name: str | None) -> dict[str, str]:
    """Only where there is one: a state folder has one for good."""
    return {"environment": name} if name else {}


def _object(one: ObjectStatus, states: Mapping[str, ScheduleState]) -> dict[str, Any]:
    state = states.get(one.name) if one.kind == "Schedule" else None
    return {
        "kind": one.kind,
        "name": one.name,
        "ready": one.ready,
        "reason": one.reason,
        "message": one.message,
        "observed_revision": one.observed_revision,
        "serving_revision": one.serving_revision,
        "paused": bool(state and (state.paused_in_git or state.pause)),
        "pause": pause_json(state.pause) if state else None,
        "next": utc(state.next_due) if state else None,
        "last_run": _last_run(state) if state else None,
    }


def _last_run(state: ScheduleState) -> dict[str, Any] | None:
    if state.last_run_id is None or state.last_run_status is None:
        return None
    return {"run_id": state.last_run_id, "status": state.last_run_status.value}


def _print_status(app: App, found: Mapping[str, Any]) -> None:
    revision = found["revision"]
    if revision["attempted"] is None:
        say("Nothing is served yet: `boe run` starts.")
        return
    there = found.get("environment")
    said = f"Serving {revision['serving'] or 'nothing'}"
    say(f"{said} in the Environment {there}" if there else said)
    if app.who_serves() is None:
        say("But no `boe run` is running now, so nothing starts.", "yellow")
    if revision["attempted"] != revision["serving"]:
        say(f"Newest  {revision['attempted']} is not served whole.", "yellow")
    for notice in found["notices"]:
        _print_notice(notice, found["troubles"])
    _print_troubles(found)
    standing = {one["subject"]: one for one in _standing(found)}
    schedules = [one for one in found["objects"] if one["kind"] == "Schedule"]
    say_table(
        ["schedule", "next", "last run", "note"],
        [_status_row(app, one, standing) for one in schedules],
    )
    _print_problems(found)
    for hold in found["holds"]:
        trouble = standing.get(f"hold {hold['hold_id']}")
        told = f" Told: {_told(trouble, found)}." if trouble else ""
        say(f"{_held(hold)}{told}", "yellow")


def _held(hold: Mapping[str, Any]) -> str:
    if hold["released_at"]:
        when = _both(hold["released_at"], "UTC")
        return f"Released by {hold['released_by']}, {when}: {hold['message']}"
    return f"Waits for `boe release {hold['hold_id']}`: {hold['message']}"


def _print_notice(
    notice: Mapping[str, Any], troubles: Sequence[Mapping[str, Any]]
) -> None:
    """Since when a revision is not served whole, and who heard of it when."""
    told = "not told yet"
    if notice["told_at"]:
        told = f"told at {_minute(notice['told_at'])}"
    if who := [
        each["who"] for one in troubles if _of_revision(one) for each in one["told"]
    ]:
        told += f" (also {', '.join(who)})"
    what = "Failing" if notice["failing"] else "Well again; was failing"
    say(f"{what} since {_minute(notice['since'])}, {told}.", "yellow")


def _print_troubles(found: Mapping[str, Any]) -> None:
    """What people were told of, and what they could not be told."""
    standing = [one for one in _standing(found) if one["kind"] not in _ELSEWHERE]
    for one in standing[:_MOST]:
        say(
            f"{one['kind'].title()} since {_minute(one['since'])}: {one['subject']}. "
            f"{one['message']} Told: {_told(one, found)}. To mend it: {one['command']}",
            "yellow",
        )
    if len(standing) > _MOST:
        say(f"… and {len(standing) - _MOST} more: `boe status --format json`.")
    for one in found["unsent"][:_MOST]:
        say(_unsent_line(one), "yellow")


def _unsent_line(one: Mapping[str, Any]) -> str:
    who, since = one["who"] or one["channel"], _minute(one["since"])
    if one["next_try"]:
        return f"Could not tell {who} yet, since {since}: {one['message']}"
    return f"Gave up telling {who} at {since}: {one['message']}"


def _of_revision(trouble: Mapping[str, Any]) -> bool:
    return bool(trouble["kind"] == Kind.REVISION)


#: Troubles that have lines of their own.
_ELSEWHERE = (Kind.REVISION, Kind.HOLD)


def _standing(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one for one in found["troubles"] if not one["over_at"]]


def _told(one: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    marks = {
        (each["who"], each["since"]): " (not yet)" if each["next_try"] else " (in vain)"
        for each in found["unsent"]
    }
    names = [
        each["who"] + marks.get((each["who"], each["at"]), "") for each in one["told"]
    ]
    return ", ".join(names) or "nobody yet"


def _minute(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC"


#: So many findings are told here; `boe validate` tells them all.
_MOST = 10


def _print_problems(found: Mapping[str, Any]) -> None:
    """What is not served as it stands in the files, and why."""
    problems = [problem_line(one) for one in found["problems"]]
    for one in found["objects"]:
        if not one["ready"]:
            served = "an older version" if one["serving_revision"] else "nothing"
            why = "" if one["message"] in problems else f" {one['message']}"
            say(
                f"{one['kind']} {one['name']}: {one['reason']}, {served} is served."
                f"{why}",
                "yellow",
            )
    for line in problems[:_MOST]:
        say(line, "red" if ": error " in line else "yellow")
    if len(problems) > _MOST:
        say(f"and {len(problems) - _MOST} more: `boe validate` tells them all.")


def _status_row(
    app: App, one: Mapping[str, Any], standing: Collection[str]
) -> list[str]:
    """`standing`: what is told above already."""
    zone = _zone(app, one["name"])
    due = _both(one["next"], zone) if one["next"] else "-"
    last = one["last_run"]["status"] if one["last_run"] else "-"
    why = _why(one, zone)
    if not why and f"schedule {one['name']}" not in standing:
        why = _last_reason(app, one["last_run"])
    return [one["name"], "paused" if one["paused"] else due, last, why]


def _last_reason(app: App, last: Mapping[str, Any] | None) -> str:
    """Why a run did not succeed that has ended."""
    status = RunStatus(last["status"]) if last else None
    if last is None or not status or not status.final or status is RunStatus.SUCCEEDED:
        return ""
    record = app.ledger.run(last["run_id"])
    return one_line(record.run.message) or record.run.reason if record else ""


def _zone(app: App, schedule: str) -> str:
    """Where its people live; UTC for one that is not served any more."""
    spec = app.ledger.schedule_spec(schedule)
    return spec.timezone if spec else "UTC"


def _both(moment: str, zone: str) -> str:
    return both(datetime.fromisoformat(moment), zone)


def _why(one: Mapping[str, Any], zone: str) -> str:
    if not one["paused"]:
        return "" if one["ready"] else one["reason"]
    if one["pause"] is None:
        return "paused in git"
    pause = one["pause"]
    until = f" until {_both(pause['until'], zone)}" if pause["until"] else ""
    why = f": {pause['why']}" if pause["why"] else ""
    return f"paused by {pause['by']}{until}{why}"


# --- runs ---------------------------------------------------------------------


def runs(
    context: typer.Context,
    schedule: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only runs of this schedule.")
    ] = None,
    with_status: Annotated[
        RunStatus | None,
        typer.Option("--status", metavar="S", help="Such as failed or succeeded."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="T", help="Occurrences from T on.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="So many at most.")
    ] = 50,
    output: _Format = OutputFormat.TEXT,
) -> None:
    """List runs, the newest first, and why one did not run.

    \b
    Examples:
      boe runs
      boe runs --schedule carriers-daily --since 2026-11-01
      boe runs --status failed --format json
    """
    app = door(context).looking_app()
    records: Sequence[RunRecord] = ()
    if app.has_state:
        moment = instant(since, "UTC", "--since") if since is not None else None
        records = app.ledger.runs(
            schedule=schedule,
            status=with_status,
            since=moment,
            limit=min(limit, sys.maxsize),
        )
        if not records and schedule:
            _check_known(app, schedule)
    if output is OutputFormat.JSON:
        say_json([run_json(record) for record in records])
        return
    if not records:
        say("No runs.")
        return
    say_table(
        ["run", "due", "status", "rows", "file or reason"],
        [_run_row(app, record) for record in records],
    )


def _check_known(app: App, schedule: str) -> None:
    """No runs are an answer, but not for a name that nothing ever had."""
    names = [state.name for state in app.ledger.states()]
    if schedule not in names and not app.ledger.runs(schedule=schedule, limit=1):
        todo = did_you_mean(schedule, names, "`boe status` lists the schedules.")
        raise InputError(f'There is no schedule "{schedule}".', todo)


def _run_row(app: App, record: RunRecord) -> list[str]:
    run = record.run
    files = ", ".join(artifact.name for artifact in record.artifacts)
    why = one_line(run.message) or run.reason
    again = f" (again of {run.options.rerun_of})" if run.options.rerun_of else ""
    return [
        run.run_id,
        local(run.occurrence, _zone(app, run.schedule)),
        run.status.value,
        "" if run.rows is None else f"{run.rows:,}",
        f"{why or files}{again}".strip(),
    ]


def took(record: RunRecord) -> str:
    started, ended = record.run.started_at, record.run.finished_at
    return f"{(ended - started).total_seconds():.1f} s" if started and ended else ""


# --- show ---------------------------------------------------------------------


def show(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN")],
    output: _Format = OutputFormat.TEXT,
    manifest: Annotated[
        bool,
        typer.Option("--manifest", help="Show where its files came from, as JSON."),
    ] = False,
) -> None:
    """Show one run: attempts, files, deliveries, events.

    RUN is a run id, or a schedule's name for its newest run.

    \b
    Examples:
      boe show carriers-daily
      boe show carriers-daily.20261124T113000Z --format json
      boe show carriers-daily --manifest
    """
    app = door(context).looking_app()
    record = find_run(app, run)
    if manifest:
        say_json(manifests_json(app.ledger, record))
        return
    if output is OutputFormat.JSON:
        gone = parts_gone(app, record)
        said = {
            **details_json(app.ledger, record),
            "files_gone": gone,
            "holds": [hold_json(one) for one in app.ledger.holds_of(record.run.run_id)],
            "stored": {one.part: _stored(app, one) for one in record.artifacts},
        }
        say_json({**said, **_environment(app.ledger.environment())})
        return
    _print_run(app, record)


def find_run(app: App, text: str) -> RunRecord:
    """By id, or the newest run of a schedule."""
    if not app.has_state:
        raise InputError(f'There is no run "{text}": nothing has run here yet.')
    found = app.ledger.run(text)
    if found is None:
        found = next(iter(app.ledger.runs(schedule=text, limit=1)), None)
    if found is None:
        known = [record.run.run_id for record in app.ledger.runs(limit=200)]
        known += [state.name for state in app.ledger.states()]
        todo = did_you_mean(text, known, "`boe runs` lists them.")
        raise InputError(f'There is no run "{text}".', todo)
    return found


def _stored(app: App, artifact: Artifact) -> str | None:
    """Where its bytes are; None: nowhere any more."""
    try:
        return str(app.blobs.path(artifact.sha256))
    except Permanent:
        return None


def _print_run(app: App, record: RunRecord) -> None:
    run = record.run
    zone = _zone(app, run.schedule)
    say(run.run_id, style="bold")
    lines = {
        "status": f"{run.status.value} {run.reason}".strip(),
        "why": run.message.replace("\n", f"\n{'':<13}"),
        "due": both(run.occurrence, zone),
        "trigger": run.trigger.value,
        "asked for": _asked_for(run.options),
        "again of": run.options.rerun_of or "",
        "correction": run.options.corrected or "",
        "started": both(run.started_at, zone) if run.started_at else "",
        "ended": both(run.finished_at, zone) if run.finished_at else "",
        "took": took(record),
        "revision": run.revision,
        "env": app.ledger.environment() or "",
        "parameters": ", ".join(f"{k}={v}" for k, v in parameters(run).items()),
    }
    for label, value in lines.items():
        if value:
            say(f"  {label:<11}{value}")
    waiting = [hold for hold in app.ledger.holds_of(run.run_id) if hold.waits]
    for hold in waiting if not run.held else ():
        say(f"  {_held(hold_json(hold))}", style="yellow")
    _print_parts(app, record)
    told = [hold.message for hold in waiting]
    for event in app.ledger.events(run.run_id):
        text = "" if event.message in told else f": {event.message}"
        say(f"  {local(event.at, zone)}  {event.action}{text}")


def _asked_for(options: RunOptions) -> str:
    """What makes it another run than that of the schedule."""
    only = f"--only {options.only}" if options.only else ""
    to = f"--to {options.to}" if options.to else ""
    return " ".join(filter(None, [only, to, "--dry-run" if options.dry_run else ""]))


def _print_parts(app: App, record: RunRecord) -> None:
    gone = parts_gone(app, record)
    for attempt in record.attempts:
        text = f"  attempt {attempt.number}: {attempt.status.value}"
        say(f"{text} {one_line(attempt.message) or attempt.reason}".rstrip())
    for artifact in record.artifacts:
        size_ = size(artifact.bytes)
        say(f"  file       {artifact.name}, {counted(artifact.rows, 'row')}, {size_}")
        say(f"             sha256 {artifact.sha256}")
        if record.run.held:
            say(f"             stored as {_stored(app, artifact)}")
        if artifact.part in gone:
            say(f"             not stored any more: {why_gone(app, record)};", "yellow")
            say(
                f"             `boe rerun {record.run.run_id}` builds it anew", "yellow"
            )
    for text, style in delivered.lines(record, _zone(app, record.run.schedule)):
        say(text, style)
