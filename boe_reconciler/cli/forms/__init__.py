"""The forms that CI systems read: what `boe validate` found, as text for one of them.

A form is a module with `render(checked) -> str`. Files are named from the root of the
git repo, which is what each of these systems looks for.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module

from boe_reconciler.cli.output import harmless, one_line
from boe_reconciler.core.problems import Problem, Range, dotted
from boe_reconciler.core.records import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    #: In the order of importance: a reader may drop the last ones.
    problems: Sequence[Problem]
    #: Every file that was read.
    files: Sequence[str]
    #: How many there are of what, in a line.
    summary: str
    version: str


#: The forms, each a module of this package, imported on use.
FORMS = ("junit", "sarif", "github", "gitlab")


def render(form: str, checked: Checked) -> str:
    text: str = import_module(f"{__name__}.{form}").render(checked)
    return text


def told(problem: Problem) -> str:
    """The Problem without its place and code, on one line that steers no terminal."""
    path = f"{dotted(problem.path)}: " if problem.path else ""
    todo = f" ({problem.help})" if problem.help else ""
    return harmless(one_line(f"{path}{problem.detail}{todo}"))


def last_line(where: Range) -> int:
    """The last line that holds some of it: its end may be the start of the next one."""
    start, end = where.start, where.end
    return max(start.line, end.line - (end.column == 1))


def fingerprints(problems: Sequence[Problem]) -> Iterator[str]:
    """One for each, unlike all others, and the same wherever its lines move to.

    Numbers do not count: what is told holds line numbers and dates.
    """
    seen: Counter[str] = Counter()
    for problem in problems:
        parts = (
            *(problem.code, problem.range.filename),
            *(problem.kind or "", problem.name or "", dotted(problem.path)),
            re.sub(r"\d+", "#", problem.detail),
        )
        key = "\0".join(parts)
        seen[key] += 1
        digest = hashlib.sha256(f"{key}\0{seen[key]}".encode(errors="replace"))
        yield digest.hexdigest()[:40]
