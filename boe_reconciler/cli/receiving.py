"""`boe recipients`: all that somebody receives, and another address in their place."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boe_reconciler.cli.door import door
from boe_reconciler.cli.output import OutputFormat, complain, say, say_json, say_table
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.suggest import did_you_mean

if TYPE_CHECKING:
    from boe_reconciler.core.people import People, Use
    from boe_reconciler.core.replacing import Replacement
    from boe_reconciler.core.snapshot import Snapshot


def add_to(boe: typer.Typer) -> None:
    boe.command()(recipients)


def recipients(
    context: typer.Context,
    address: Annotated[str, typer.Argument(metavar="ADDRESS")],
    replace_with: Annotated[
        str | None,
        typer.Option(metavar="NEW", help="Put this address in the place of the other."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the edits, write nothing.")
    ] = False,
    output: Annotated[
        OutputFormat, typer.Option("--format", metavar="text|json")
    ] = OutputFormat.TEXT,
) -> int:
    """Show all that an address receives, and where else it stands.

    From the files: through Groups, inputs, templates and lists of recipients,
    each at its line, and whether it is on the suppression list. Capitals do not
    count. --replace-with edits the files: nothing
    but the address changes, and either all of them or none.

    \b
    Examples:
      boe recipients anna@example.com
      boe recipients anna@example.com --format json
      boe recipients anna@example.com --replace-with bob@example.com --dry-run
    """
    from boe_reconciler.core.replacing import people_of, replacement

    if "@" not in address:
        raise InputError(
            f'"{address}" is not an address.', "Write it as anna@example.com."
        )
    app = door(context).app()
    suppressed = app.suppressed(address)
    snapshot, now = app.repo.snapshot(), app.clock.now()
    broken = _broken(snapshot)
    people = people_of(snapshot, now)
    if replace_with is None:
        if dry_run:
            raise InputError("--dry-run is for --replace-with: it writes nothing.")
        _show(address, people, broken, suppressed, output)
        return 0
    if broken:
        todo = "`boe validate` says what is wrong with them."
        raise InputError(f"Not all files can be read: {', '.join(broken)}.", todo)
    found = replacement(snapshot, address, replace_with, now=now)
    if not found.edits and not found.left:
        raise InputError(f"{address} is not used here.", _near(address, people))
    writes = found.sound and not dry_run
    if writes:
        _write(door(context).settings().root, snapshot, found.files)
    if output is OutputFormat.JSON:
        say_json({**_as_json(address, people, broken), **_edits_json(found, writes)})
    else:
        _tell(address, replace_with, found, dry_run=dry_run)
    return 0 if found.sound else 1


def _broken(snapshot: Snapshot) -> list[str]:
    """Files that may use the address where nobody can see it."""
    from boe_reconciler.core.plan import PlanCache
    from boe_reconciler.core.plan.reading import read

    return sorted({each.path for each in read(snapshot, PlanCache()).hidden})


# --- What is there --------------------------------------------------------------


def _show(
    address: str,
    people: People,
    broken: Sequence[str],
    suppressed: str | None,
    output: OutputFormat,
) -> None:
    if output is OutputFormat.JSON:
        say_json({**_as_json(address, people, broken), "suppressed": suppressed})
        return
    if suppressed:
        say(f"No mail reaches it now: {suppressed}", "yellow")
    if broken:
        complain(f"Not read, so not listed: {', '.join(broken)}.")
    uses = people.of(address)
    received = [use for use in uses if use.received]
    others = [use for use in uses if not use.received]
    unknown = people.unknown
    if received:
        say(f"{address} receives:", "bold")
        say_table(_COLUMNS, _rows(received))
    else:
        say(f"Nothing is sent to {address}.")
    if others:
        say(f"\n{address} also stands as:", "bold")
        rows = [
            (_role(u), f"{u.kind} {u.name}", _through(u), _where(u)) for u in others
        ]
        say_table(["as", "of", "through", "where"], rows)
    if not uses:
        say(_near(address, people))
    if unknown:
        say("\nWho gets these is known only as they run:", "bold")
        say_table(_COLUMNS, _rows(unknown))


_COLUMNS = ["schedule", "destination", "as", "through", "where"]


def _rows(uses: Sequence[Use]) -> list[tuple[str, ...]]:
    return [
        (_sender(u), u.destination or "", _role(u), _through(u), _where(u))
        for u in uses
    ]


def _sender(use: Use) -> str:
    return use.name if use.kind == "Schedule" else "(notices)"


def _role(use: Use) -> str:
    return f"{use.role} until {use.until}" if use.until else use.role


def _through(use: Use) -> str:
    return " > ".join(use.through) or "-"


def _where(use: Use) -> str:
    at = use.range
    return f"{at.filename}:{at.start.line}:{at.start.column}"


def _near(address: str, people: People) -> str:
    known = sorted({use.address for use in people.uses if use.address})
    return did_you_mean(address, known, "No file uses an address like it.").capitalize()


def _as_json(address: str, people: People, broken: Sequence[str]) -> dict[str, Any]:
    uses = people.of(address)
    return {
        "format_version": "1.0",
        "address": address,
        "receives": [_use(use) for use in uses if use.received],
        "also": [_use(use) for use in uses if not use.received],
        "unknown": [_use(use) for use in people.unknown],
        "unreadable": list(broken),
    }


def _use(use: Use) -> dict[str, Any]:
    at = use.range
    return {
        "kind": use.kind,
        "name": use.name,
        "destination": use.destination,
        "as": use.role,
        "address": use.address or None,
        "through": list(use.through),
        "until": use.until.isoformat() if use.until else None,
        "file": at.filename,
        "line": at.start.line,
        "column": at.start.column,
    }


# --- Another address ------------------------------------------------------------


def _tell(address: str, new: str, found: Replacement, *, dry_run: bool) -> None:
    file = ""
    for edit in found.edits:
        if edit.file != file:
            file = edit.file
            say(file, "bold")
        say(f"  {edit.line:>4} - {edit.before}", "red")
        say(f"  {edit.line:>4} + {edit.after}", "green")
    why = _why_not(address, found)
    if why:
        say("")
        complain("Nothing was written.")
        for line in why:
            say(f"     {line}", stderr=True)
        return
    count = f"{len(found.edits)} line{'' if len(found.edits) == 1 else 's'}"
    files = f"{len(found.files)} file{'' if len(found.files) == 1 else 's'}"
    verb = "Would change" if dry_run else "Changed"
    say(f"\n{verb} {count} in {files}: {new} in the place of {address}.")
    if found.doubled:
        places = ", ".join(map(_where, found.doubled))
        say(f"{new} was there already, and is so twice: {places}.", "yellow")
    if not dry_run:
        say("`git diff` shows them; `boe plan` what they change.")


def _why_not(address: str, found: Replacement) -> list[str]:
    made = [
        f"{_where(use)}: {_how(use)} {address}; edit it by hand" for use in found.left
    ]
    lost = [
        f"{_where(use)}: the new address cannot stand there as it is; edit it by hand"
        for use in found.lost
        if not (found.left or found.problems)
    ]
    return [*made, *map(str, found.problems), *lost]


def _how(use: Use) -> str:
    by_template = bool(use.through) and use.through[-1] == "a template"
    return "a template makes" if by_template else "an alias or an escape stands for"


def _edits_json(found: Replacement, writes: bool) -> dict[str, Any]:
    return {
        "written": writes,
        "edits": [
            {
                "file": edit.file,
                "line": edit.line,
                "before": edit.before,
                "after": edit.after,
            }
            for edit in found.edits
        ],
        "doubled": [_use(use) for use in found.doubled],
        "refused": [_use(use) for use in (*found.left, *found.lost)],
        "problems": [problem.as_diagnostic() for problem in found.problems],
    }


def _write(root: Path, snapshot: Snapshot, files: Mapping[str, bytes]) -> None:
    """All of them, each at once; none where one was changed meanwhile."""
    for path in files:
        if (root / path).read_bytes() != snapshot.read(path):
            raise InputError(f"{path} was changed meanwhile; nothing was written.")
    made: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            made[root / path] = _beside(root / path, content)
        for file, temporary in made.items():
            temporary.replace(file)
    finally:
        for temporary in made.values():
            temporary.unlink(missing_ok=True)


def _beside(file: Path, content: bytes) -> Path:
    """A finished file beside another one, with its permissions."""
    handle, name = tempfile.mkstemp(
        prefix=f".{file.name}.", suffix=".tmp", dir=file.parent
    )
    with os.fdopen(handle, "wb") as temporary:
        temporary.write(content)
    shutil.copymode(file, name)
    return Path(name)
