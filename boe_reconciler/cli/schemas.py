"""`boe schema`: the JSON Schema of the YAML, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boe_reconciler.cli.door import door
from boe_reconciler.cli.output import say
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.suggest import did_you_mean

if TYPE_CHECKING:
    pass


def add_to(boe: typer.Typer) -> None:
    boe.command()(schema)


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
