"""How near a Problem is to what a change touches: those of the change are shown first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from functools import cache
from itertools import takewhile

from boe_reconciler.core.language.places import LINE_BREAK
from boe_reconciler.core.problems import Problem
from boe_reconciler.core.snapshot import Snapshot

#: On a line of the change, elsewhere in a file of it, or in a file that it leaves alone.
ON_A_LINE, IN_A_FILE, ELSEWHERE = 0, 1, 2
#: Comparing more lines than this would take long: they count as touched.
_MOST_LINES = 3_000


def nearness(before: Snapshot, after: Snapshot) -> Callable[[Problem], int]:
    """What says of each Problem of `after` how near it is to what changed."""

    @cache
    def lines(path: str) -> Sequence[range]:
        """The lines of a file that the change touches."""
        return touched_lines(_lines(before, path), _lines(after, path))

    def near(problem: Problem) -> int:
        path, where = problem.range.filename, problem.range
        if _state(before, path) == _state(after, path):
            return ELSEWHERE
        if path not in before.files or path not in after.files:
            return ON_A_LINE
        on = any(
            where.start.line < span.stop and span.start <= where.end.line
            for span in lines(path)
        )
        return ON_A_LINE if on else IN_A_FILE

    return near


def _state(snapshot: Snapshot, path: str) -> str | None:
    return snapshot.files.get(path) or snapshot.unreadable.get(path)


def _lines(snapshot: Snapshot, path: str) -> list[str]:
    return LINE_BREAK.split(snapshot.read(path).decode(errors="replace"))


def touched_lines(before: Sequence[str], after: Sequence[str]) -> list[range]:
    """Lines of `after`, from 1, that are new; where some only went, the two that meet."""
    first = _alike(before, after)
    last = _alike(before[first:][::-1], after[first:][::-1])
    old, new = before[first : len(before) - last], after[first : len(after) - last]
    if len(old) + len(new) > _MOST_LINES:
        return [range(first + 1, first + len(new) + 2)]
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    spans = [(j1, j2) for tag, _, _, j1, j2 in matcher.get_opcodes() if tag != "equal"]
    return [
        range(first + j1 + (j1 < j2), first + j2 + 1 + (j1 == j2)) for j1, j2 in spans
    ]


def _alike(some: Sequence[str], others: Sequence[str]) -> int:
    """How many lines at the beginning are the same."""
    pairs = zip(some, others, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
