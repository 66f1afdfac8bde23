"""Workflow commands of GitHub Actions: a Problem becomes an annotation at its lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from boe_reconciler.cli.forms import Checked, last_line, told
from boe_reconciler.cli.output import counted, harmless, no_command, one_line
from boe_reconciler.core.problems import Problem

#: Annotations of each severity that GitHub keeps of one step.
MOST = 10
_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_MESSAGE = str.maketrans(_DATA)
_IN_PROPERTY = str.maketrans({**_DATA, ":": "%3A", ",": "%2C"})


def render(checked: Checked) -> str:
    lines: list[str] = []
    rest: list[Problem] = []
    for severity in ("error", "warning"):
        found = [one for one in checked.problems if one.severity == severity]
        shown = found if len(found) <= MOST else found[: MOST - 1]
        more = found[len(shown) :]
        lines += map(_command, shown)
        if more:
            lines.append(_more(severity, len(more)))
        rest += more
    lines += _group(rest)
    lines.append(checked.summary)
    return "\n".join(lines) + "\n"


def _command(problem: Problem) -> str:
    title = f"{problem.code} {problem.summary}"
    return _said(problem.severity, {**_place(problem), "title": title}, told(problem))


def _said(command: str, properties: Mapping[str, str], message: str) -> str:
    named = ",".join(
        f"{key}={value.translate(_IN_PROPERTY)}" for key, value in properties.items()
    )
    return f"::{command} {named}::{message.translate(_IN_MESSAGE)}"


def _place(problem: Problem) -> dict[str, str]:
    """Columns are taken of a single line alone."""
    where = problem.range
    start, end = where.start, where.end
    place = {"file": where.filename, "line": str(start.line)}
    if start == end:
        return place
    if start.line != end.line:
        return {**place, "endLine": str(last_line(where))}
    columns = {"col": str(start.column), "endColumn": str(end.column)}
    return {**place, "endLine": str(end.line), **columns}


def _more(severity: str, number: int) -> str:
    title = f"{counted(number, f'more {severity}')}: run `boe validate`"
    message = f"GitHub shows {MOST} of a step; the log of this one has all."
    return _said(severity, {"title": title}, message)


def _group(rest: Sequence[Problem]) -> Iterator[str]:
    """What GitHub would not show, as lines of the log that command nothing."""
    if rest:
        yield f"::group::{counted(len(rest), 'more problem')}"
        yield from (_logged(problem) for problem in rest)
        yield "::endgroup::"


def _logged(problem: Problem) -> str:
    return "- " + no_command(harmless(one_line(str(problem))))
