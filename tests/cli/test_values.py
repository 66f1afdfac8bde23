"""What is read plainly is read as typer would read it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.exceptions import TyperException

from boe_reconciler.cli.values import read_plainly


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


def read(arguments: list[str], *, plainly: bool) -> Any:
    """The values that a command gets, or the message that refuses them."""
    app = typer.Typer(rich_markup_mode=None, add_completion=False)

    @app.command()
    def command(
        paths: Annotated[list[Path] | None, typer.Argument()] = None,
        text: Annotated[str, typer.Option()] = "none",
        place: Annotated[Path | None, typer.Option()] = None,
        colour: Annotated[Colour, typer.Option()] = Colour.RED,
        count: Annotated[int | None, typer.Option(min=1)] = None,
        some: Annotated[int, typer.Option(max=9)] = 3,
        share: Annotated[float, typer.Option()] = 0.5,
        wide: Annotated[bool, typer.Option("--wide")] = False,
        names: Annotated[list[str] | None, typer.Option()] = None,
    ) -> Any:
        return paths, text, place, colour, count, some, share, wide, names

    made = typer.main.get_command(app)
    if plainly:
        read_plainly(made)
    try:
        return made.main(arguments, prog_name="x", standalone_mode=False)
    except TyperException as refused:
        return str(refused)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "a b/c",
        "--text x --place a/b --colour green --count 3 --some 4 --share 1.5 --wide",
        "--names a --names b",
        "--colour blue",
        "--count 0",
        "--count -1",
        "--count x",
        "--count 1.5",
        "--some 10",
        "--share x",
        "--unknown 1",
    ],
)
def test_values_are_those_of_typer(line: str) -> None:
    arguments = line.split()
    assert read(arguments, plainly=True) == read(arguments, plainly=False)
