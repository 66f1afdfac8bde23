"""`boe import`: the older BOE's JSON create requests as YAML."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boe_reconciler.cli.door import door
from boe_reconciler.cli.output import say
from boe_reconciler.cli.planned import plan_of_files
from boe_reconciler.core.errors import InputError

if TYPE_CHECKING:
    from boe_reconciler.core.importing import Imported, Known, Request


def add_to(boe: typer.Typer) -> None:
    boe.command("import")(import_)


def import_(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The repo to write into.")],
    owner: Annotated[
        str, typer.Option(metavar="X", help="Owner: an address or a Group's name.")
    ],
    report_map: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="Lines of report_id,report (a Report's name)."
        ),
    ] = None,
) -> int:
    """Turn the older BOE's JSON requests into YAML.

    A FILE holds one request or a list of them. Nothing is overwritten; a report
    that is not known becomes a stub that says what to fill in.

    \b
    Example:
      boe import old/*.json --out my-repo --owner finance --report-map map.csv
    """
    from boe_reconciler.core.importing import convert

    base = door(context).settings().root
    target = base / out
    requests = [request for path in files for request in _requests(base, path)]
    imported = convert(
        requests,
        owner=owner,
        report_map=_mapping(base / report_map) if report_map else {},
        known=_known(context, target),
    )
    if imported.errors:
        told = "\n     ".join(("Nothing was written:", *imported.errors))
        raise InputError(told, "Mend the JSON and import again.")
    _write(target, imported)
    say(f"{len(requests)} schedules, {len(imported.files)} files in {out}.")
    for note in imported.notes:
        say(f"- {note}", style="yellow")
    say(f"Check them with `boe validate {out}`.")
    return 0


def _requests(base: Path, path: Path) -> list[Request]:
    from boe_reconciler.core.importing import Request

    data = _json(base / path, path)
    items = data if isinstance(data, list) else [data]
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            raise InputError(f"{path}: request {number} is no JSON object.")
    several = len(items) > 1
    return [
        Request(place=f"{path.name}#{number}" if several else path.name, data=item)
        for number, item in enumerate(items, 1)
    ]


def _json(file: Path, shown: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {error.strerror}.") from error
    except json.JSONDecodeError as error:
        where = f"{shown}:{error.lineno}:{error.colno}"
        raise InputError(f"{where}: not JSON: {error.msg}.") from error
    except (ValueError, RecursionError) as error:
        # Not UTF-8, a number without end, or nested without end.
        raise InputError(f"{shown} is not JSON in UTF-8.") from error


def _mapping(path: Path) -> Mapping[str, str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except (csv.Error, ValueError) as error:
        raise InputError(f"{path} is not CSV in UTF-8.") from error
    for number, row in enumerate(rows, 1):
        if len(row) != 2:
            raise InputError(f"{path}:{number}: a line is `report_id,report`.")
    return {old.strip(): new.strip() for old, new in rows}


def _known(context: typer.Context, target: Path) -> Known:
    from boe_reconciler.core.importing import Known

    if not target.is_dir():
        return Known()
    plan = plan_of_files(door(context).app(target))
    names = [(status.kind, status.name) for status in plan.statuses]

    def of(kind: str) -> frozenset[str]:
        return frozenset(name for found, name in names if found == kind)

    return Known(
        schedules=of("Schedule"),
        reports=of("Report"),
        groups=of("Group"),
        has_policy=(target / "policy.yaml").exists(),
    )


def _write(target: Path, imported: Imported) -> None:
    taken = [path for path in imported.files if (target / path).exists()]
    if taken:
        raise InputError(
            f"{target / taken[0]} exists already; nothing was written.",
            "Move it away, or import into an empty folder.",
        )
    for path, text in imported.files.items():
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
