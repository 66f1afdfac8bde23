"""`boe schema` and `boe doctor`: for editors, and for the state folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boe_reconciler.cli.door import door
from boe_reconciler.cli.output import OutputFormat, say, say_json
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.suggest import did_you_mean

if TYPE_CHECKING:
    from boe_reconciler.app import App


def add_to(boe: typer.Typer) -> None:
    boe.command()(schema)
    boe.command()(doctor)


def schema(
    context: typer.Context,
    kind: Annotated[str | None, typer.Argument(metavar="KIND")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write all files there.")
    ] = None,
) -> int:
    """Print the JSON Schema of the YAML, for editors.

    \b
    Examples:
      boe schema > boe.schema.json
      boe schema schedule
      boe schema --out schema
    """
    from boe_reconciler.core.language.schemas import WHOLE, render_schemas

    files = render_schemas()
    if out is not None:
        folder = door(context).settings().root / out
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text)
        say(f"{len(files)} files in {out}.")
        return 0
    name = f"{kind.lower()}.schema.json" if kind else WHOLE
    if name not in files:
        kinds = [file.removesuffix(".schema.json") for file in files]
        todo = did_you_mean(kind or "", kinds, f"There are {', '.join(kinds)}.")
        raise InputError(f'There is no kind "{kind}".', todo)
    typer.echo(files[name], nl=False)
    return 0


def doctor(
    context: typer.Context,
    output: Annotated[
        OutputFormat, typer.Option("--format", metavar="text|json")
    ] = OutputFormat.TEXT,
) -> int:
    """Check the state folder.

    The promises that the ledger keeps, the stored files, the time zone data.

    \b
    Example:
      boe doctor
    """
    findings = _findings(door(context).app())
    if output is OutputFormat.JSON:
        say_json({"format_version": "1.0", "sound": not findings, "findings": findings})
    elif findings:
        for finding in findings:
            say(f"- {finding}", style="red")
    else:
        say("All is sound.", style="green")
    return 1 if findings else 0


def _findings(app: App) -> list[str]:
    from boe_reconciler.core.calendar import TZDB_VERSION, tzdb_is_old
    from boe_reconciler.core.retention import files_kept, retention_of

    findings = []
    if tzdb_is_old(app.clock.now().date()):
        findings.append(
            f"The time zone data {TZDB_VERSION} is older than half a year: upgrade "
            "the package tzdata."
        )
    if not app.has_state:
        return findings
    now = app.clock.now()
    findings += app.ledger.broken_invariants(now=now)
    stored = set(app.blobs)
    kept = now - files_kept(retention_of(app.ledger.served()))
    findings += [
        f"The file of {record.run.run_id}, {artifact.name}, is not in the Blobs store."
        for record in app.ledger.runs(limit=100_000)
        for artifact in record.artifacts
        if artifact.sha256 not in stored and (record.run.finished_at or now) > kept
    ]
    return findings
