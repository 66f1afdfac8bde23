"""`boe doctor`: is all as it should be?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from boe_reconciler.cli.door import door
from boe_reconciler.cli.output import OutputFormat, say, say_json, say_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boe_reconciler.core.checks import Check

_STYLES = {"ok": "green", "warn": "yellow", "bad": "red"}


def add_to(boe: typer.Typer) -> None:
    boe.command()(doctor)


def doctor(
    context: typer.Context,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every stored file and every page.")
    ] = False,
    output: Annotated[
        OutputFormat, typer.Option("--format", metavar="text|json")
    ] = OutputFormat.TEXT,
) -> int:
    """Check the state folder, and what BOE stands on.

    The promises that the ledger keeps, its file and the stored files, disk, clock,
    zone data, and who serves. Ends with 1 if something is broken, not for a warning.

    \b
    Examples:
      boe doctor
      boe doctor --deep --format json
    """
    checks = door(context).looking_app().examine(deep=deep)
    if output is OutputFormat.JSON:
        say_json(_as_json(checks))
        return 1 if _broken(checks) else 0
    return _say(checks, checks)


def say_broken(checks: Sequence[Check]) -> int:
    """Only what is broken, or that nothing is; the exit code."""
    return _say(checks, _broken(checks))


def _say(checks: Sequence[Check], shown: Sequence[Check]) -> int:
    for one in shown:
        todo = f" ({one.help})" if one.help else ""
        mark = f"{one.mark.value:<5}"
        say_parts([(mark, _STYLES[one.mark]), (f"{one.name}: {one.text}{todo}", "")])
    if _broken(checks):
        return 1
    say("All is sound.", style="green")
    return 0


def _as_json(checks: Sequence[Check]) -> dict[str, Any]:
    broken = _broken(checks)
    return {
        "format_version": "1.1",
        "sound": not broken,
        "findings": [one.text for one in broken],
        "checks": [
            {
                "name": one.name,
                "mark": one.mark.value,
                "text": one.text,
                "help": one.help,
            }
            for one in checks
        ],
    }


def _broken(checks: Sequence[Check]) -> list[Check]:
    return [one for one in checks if one.mark == "bad"]
