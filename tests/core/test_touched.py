"""What a change touches: its lines, and how near a Problem is to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core import touched
from boe_reconciler.core.problems import Position, Problem, Range
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.core.touched import (
    ELSEWHERE,
    IN_A_FILE,
    ON_A_LINE,
    nearness,
    touched_lines,
)


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("abc", "abc", []),
        ("abc", "axc", [2]),
        ("abc", "abxc", [3]),
        ("abcd", "ad", [1, 2]),
        ("abc", "ab", [2, 3]),
        ("bc", "abc", [1]),
        ("", "ab", [1, 2]),
        ("abcdefg", "Abcdefxg", [1, 7]),
    ],
)
def test_the_lines_of_a_change(before: str, after: str, lines: list[int]) -> None:
    found = {line for span in touched_lines(before, after) for line in span}
    assert found - {0} == set(lines)


_LINES = st.lists(st.sampled_from("abc"), max_size=12)


@given(before=_LINES, after=_LINES)
def test_what_is_not_touched_stood_there_before(
    before: list[str], after: list[str]
) -> None:
    spans = touched_lines(before, after)
    numbered = enumerate(after, 1)
    kept = [line for at, line in numbered if not any(at in span for span in spans)]
    rest = iter(before)
    assert all(line in rest for line in kept)
    assert bool(spans) == (before != after)


def test_much_that_changed_counts_as_touched_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(touched, "_MOST_LINES", 3)
    found = touched_lines("abcdz", "axcyz")
    assert [list(span) for span in found] == [[2, 3, 4, 5]]


# --- Problems -----------------------------------------------------------------------


def a_snapshot(unreadable: dict[str, str] | None = None, **files: str) -> Snapshot:
    return Snapshot(
        revision="main@sha1:0",
        files=files,
        unreadable=unreadable or {},
        read=lambda path: files[path].encode(),
    )


def a_problem(file: str, line: int, end: int | None = None) -> Problem:
    where = Range(file, Position(line, 1), Position(end or line, 2))
    return Problem(code="BOE035", detail="x", range=where)


def test_lines_come_before_files_and_files_before_the_rest() -> None:
    before = a_snapshot(a="1\n2\n3\n4\n5\n6", b="same")
    after = a_snapshot(a="1\nX\r\n3\n4\n5\n6", b="same")
    near = nearness(before, after)
    assert near(a_problem("a", 2)) == ON_A_LINE
    assert near(a_problem("a", 1, end=4)) == ON_A_LINE
    assert near(a_problem("a", 5)) == IN_A_FILE
    assert near(a_problem("b", 1)) == ELSEWHERE


def test_a_new_file_is_touched_as_a_whole() -> None:
    near = nearness(a_snapshot(), a_snapshot(a="1\n2"))
    assert near(a_problem("a", 2)) == ON_A_LINE


def test_a_file_that_can_no_longer_be_read_is_of_the_change() -> None:
    whole = a_problem("a", 1)
    gone = a_snapshot(unreadable={"a": "it is a symbolic link"})
    assert nearness(a_snapshot(a="1"), gone)(whole) == ON_A_LINE
    assert nearness(gone, gone)(whole) == ELSEWHERE
