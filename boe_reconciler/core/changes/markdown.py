"""A Review as a comment on a pull request: short first lines, the rest folded.

Nothing that a user wrote is outside of a block of code: there it is neither a link,
nor a mention, nor HTML, and the block ends where it should.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from boe_reconciler.core.changes.lines import sections, shown
from boe_reconciler.core.changes.masks import masked_text
from boe_reconciler.core.changes.review import ACTIONS, Line, Review, Section, verdict
from boe_reconciler.core.problems import Problem
from boe_reconciler.core.wording import counted

#: Bytes of the whole: GitHub takes 65,536 characters, and others more.
LIMIT = 60_000
#: Bytes of one section, and of one line.
_SECTION, _LINE = 9_000, 600
#: Problems, and names of objects of one action, that are told.
_PROBLEMS, _NAMES = 50, 5
_MARKS = {"-": "- ", "~": "! ", "+": "+ ", " ": "  "}


def markdown(seen: Review, *, again: str = "boe plan") -> str:
    """At most LIMIT bytes. `again` is the command that shows what was left out."""
    first, *more = verdict(seen, _code)
    blocks = [_title(seen, first)]
    more = [*_named(seen), *more]
    blocks += ["\n".join(f"- {sentence}" for sentence in more)] if more else []
    blocks += [_problems(seen.problems)] if seen.problems else []
    blocks += [_folded(one) for one in sections(seen)]
    blocks.append(_foot(seen))
    return _fitting(blocks, again)


def _title(seen: Review, first: str) -> str:
    errors = f"{counted(seen.errors, 'error')}. " if seen.errors else ""
    return f"### BOE plan: {errors}{first}"


def _named(seen: Review) -> Iterator[str]:
    """What the title counts, by name: Schedules first, which people know."""
    for action, what in ACTIONS.items():
        found = [one for one in seen.found.changes if one.action == action]
        found.sort(key=lambda one: one.kind != "Schedule")
        names = [f"{one.kind} {_code(one.name)}" for one in found[:_NAMES]]
        more = f" and {len(found) - _NAMES:,} more" if len(found) > _NAMES else ""
        if names:
            yield f"{what.capitalize()}: {', '.join(names)}{more}."


def _foot(seen: Review) -> str:
    compared = seen.comparison
    base = _code(compared.before.revision) if compared.before else "nothing served"
    return f"From {base} to {_code(compared.after.revision)}."


# --- Blocks -----------------------------------------------------------------------


def _folded(section: Section) -> str:
    count = sum(not text.startswith(" ") for _, text in section.lines)
    return _details(f"{section.title} ({count:,})", "diff", _marked(section.lines))


def _marked(lines: Sequence[Line]) -> Iterator[str]:
    return (f"{_MARKS[sign]}{text}" for sign, text in lines)


def _problems(problems: Sequence[Problem]) -> str:
    lines = [shown(masked_text(str(problem))) for problem in problems[:_PROBLEMS]]
    more = len(problems) - _PROBLEMS
    if more > 0:
        lines.append(f"… {more:,} more: boe validate")
    return _details(f"Problems ({len(problems):,})", "text", lines, is_open=True)


def _details(
    title: str,
    language: str,
    lines: Iterator[str] | Sequence[str],
    is_open: bool = False,
) -> str:
    body = "\n".join(_within(list(lines)))
    fence = "`" * max(3, 1 + _longest_run(body))
    opened = "<details open>" if is_open else "<details>"
    return (
        f"{opened}<summary>{title}</summary>\n\n"
        f"{fence}{language}\n{body}\n{fence}\n\n</details>"
    )


def _within(lines: Sequence[str]) -> Iterator[str]:
    """As many lines as a section may have, and how many more there are."""
    room = _SECTION
    for number, line in enumerate(lines):
        cut = line if len(line) <= _LINE else f"{line[:_LINE]}…"
        room -= len(cut.encode()) + 1
        if room < 0:
            yield f"… {counted(len(lines) - number, 'more line')}"
            return
        yield cut


def _fitting(blocks: Sequence[str], again: str) -> str:
    """Whole blocks, the last one in any case."""
    *some, last = blocks
    tail = f"{last}\n"
    kept: list[str] = []
    room = LIMIT - len(tail.encode()) - 500
    for block in some:
        room -= len(block.encode()) + 2
        if room < 0:
            break
        kept.append(block)
    left = len(some) - len(kept)
    if left:
        kept.append(f"{counted(left, 'more section')}: run {_code(again)}.")
    return "\n\n".join([*kept, tail])


# --- Escaping ---------------------------------------------------------------------


def _code(text: str) -> str:
    """A span of code that holds any text."""
    text = shown(" ".join(text.split()))
    ticks = "`" * (1 + _longest_run(text))
    room = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{room}{text}{room}{ticks}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
