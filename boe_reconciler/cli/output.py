"""What all commands share in how they print: plain text, JSON, tables, times."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boe_reconciler.core.wording import both, counted, local, one_line, quoted

if TYPE_CHECKING:
    from rich.console import Console


__all__ = ["both", "counted", "local", "one_line", "quoted"]


class OutputFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


#: What turns text around, or makes a line that no terminal shows as one: a reviewer
#: must see it. Joiners stay, for they make letters and emoji.
_UNSEEN = (
    0x61C,
    0x200B,
    0x200E,
    0x200F,
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
    0xFEFF,
)

#: What would steer a terminal: an error message is somebody else's text.
_STEERING = {
    code: "?" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"
} | {code: f"\\u{code:04x}" for code in _UNSEEN}

_COMMAND = re.compile(r"^(\s*)::", re.MULTILINE)


@cache
def console(*, stderr: bool) -> Console:
    """Colour on a terminal, plain elsewhere, and never wrapped into a pipe."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 10_000
    return Console(stderr=stderr, highlight=False, soft_wrap=True, width=width)


def harmless(text: str) -> str:
    """The text without what would steer a terminal."""
    return text.translate(_STEERING)


def no_command(text: str) -> str:
    """The text without what a log of GitHub Actions takes for a command: a line that
    begins with ::, and ##[ anywhere."""
    return _COMMAND.sub(r"\1: :", text).replace("##[", "# #[")


def say(text: str = "", style: str = "", *, stderr: bool = False) -> None:
    say_parts([(text, style)], stderr=stderr)


def say_parts(parts: Sequence[tuple[str, str]], *, stderr: bool = False) -> None:
    """One line, each (text, style) of it in its colour where there is a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    parts = [(harmless(text), style) for text, style in parts]
    if not stream.isatty():
        line = "".join(text for text, _ in parts)
        print(no_command(line), file=stream, flush=True)
        return
    from rich.text import Text

    console(stderr=stderr).print(Text.assemble(*parts))


def complain(message: str, todo: str = "") -> None:
    """An error for a person, on standard error."""
    say(f"boe: {message}", "red", stderr=True)
    if todo:
        say(f"     {todo[0].upper()}{todo[1:]}", stderr=True)


def say_json(value: Any) -> None:
    import json

    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def say_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell, two spaces apart; the last is as it is.

    In a terminal that a row is too wide for, its last cell stands below, indented; where
    its other cells are too wide as well, the first one, a long id, has its own line.
    """
    table = [headers, *rows]
    room = console(stderr=False).width if sys.stdout.isatty() else sys.maxsize
    above = len(headers) > 2 and sum(_widths(table)[:-1]) > room
    below = [["", *row[1:]] for row in table] if above else table
    widths = _widths(below)
    for number, row in enumerate(below):
        if above:
            _say_row(table[number][:1], [0], head=not number)
        if sum(widths[:-1]) + _width(row[-1]) <= room:
            _say_row(row, widths, head=not number)
            continue
        _say_row(row[:-1], widths, head=not number)
        for line in _wrapped(harmless(row[-1]), room - 4):
            say(f"    {line}")


def _widths(table: Sequence[Sequence[str]]) -> list[int]:
    """Of each column, with the gap behind it."""
    return [max(2, *map(_width, column)) + 2 for column in zip(*table, strict=True)]


def _say_row(row: Sequence[str], widths: Sequence[int], *, head: bool) -> None:
    last = max((at for at, cell in enumerate(row) if cell), default=0)
    parts: list[tuple[str, str]] = []
    for cell, width in zip(row[: last + 1], widths, strict=False):
        gap = "" if len(parts) == last else " " * (width - _width(cell))
        parts.append((cell + gap, "bold" if head else STYLES.get(cell, "")))
    say_parts(parts)


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width`; what has no space, such as a path, stays whole."""
    from textwrap import wrap as lines_of

    return lines_of(text, width, break_long_words=False, break_on_hyphens=False)


def _width(text: str) -> int:
    """Columns of a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


#: The colour of a status, wherever it stands.
STYLES = {
    "succeeded": "green",
    "accepted": "green",
    "partial": "yellow",
    "skipped": "yellow",
    "missed": "yellow",
    "waiting": "yellow",
    "deferred": "yellow",
    "unconfirmed": "yellow",
    "failed": "red",
    "refused": "red",
    "cancelled": "magenta",
    "running": "cyan",
}


def utc(moment: datetime | None) -> str | None:
    """2026-11-24T05:30:00Z, with a fraction where there is one."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def near(place: str) -> str:
    """A path as one would write it from here."""
    here = Path.cwd()
    path = Path(place)
    return str(path.relative_to(here)) if path.is_relative_to(here) else place


def size(count: int) -> str:
    """1.2 MB"""
    number = float(count)
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
