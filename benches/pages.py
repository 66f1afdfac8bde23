"""Numbers that a program measured, put into a page by that program."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """In Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in row)} |" for row in lines)


def put(page: Path, section: str, text: str) -> None:
    """Replace what stands between the section's marks. ValueError without them."""
    begin, end = (
        f"<!-- {section}: written by make -->\n",
        f"<!-- end of {section} -->\n",
    )
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} has no marks of {section}")
    page.write_text(f"{before}{begin}{text.strip()}\n{end}{after}")


def machine() -> str:
    """Where it was measured."""
    cores = os.cpu_count()
    system, release = platform.system(), platform.release().split("-")[0]
    return f"{cores} cores, {system} {release}, Python {platform.python_version()}"
