"""A piece of a text is found in the file that the text was read from."""

from __future__ import annotations

import pytest

from boe_reconciler.core.language.documents import read_documents
from boe_reconciler.core.language.within import within


@pytest.mark.parametrize(
    ("yaml", "piece"),
    [
        ("text: one two three", "two"),
        ('text: "one two three"', "two"),
        ("text: 'one '' two'", "two"),
        ("text: |\n  one\n  two\n  three\n", "two"),
        ("text: >-\n  one\n\n    two\n  three\n", "two"),
        ("text: one\n  two three\n", "two three"),
    ],
)
def test_a_piece_is_found_where_it_is_written(yaml: str, piece: str) -> None:
    assert _found(yaml, piece) == piece


@pytest.mark.parametrize(
    ("yaml", "piece", "whole"),
    [
        ('text: "one\\ttwo"', "two", '"one\\ttwo"'),
        ('text: "\\u00e9 two"', "é", '"\\u00e9 two"'),
        ('text: "one \\x74wo"', "two", '"one \\x74wo"'),
        ("text: one  two", " ", "one  two"),
    ],
)
def test_what_is_written_otherwise_is_shown_whole(
    yaml: str, piece: str, whole: str
) -> None:
    assert _found(yaml, piece) == whole


def _found(yaml: str, piece: str) -> str:
    """What stands in the file where the piece is said to be."""
    (document,), problems = read_documents("x.yaml", yaml.encode())
    part = document.part(("text",))
    assert problems == []
    assert part is not None
    found = within(part, part.data.index(piece), len(piece))
    lines = yaml.splitlines(keepends=True)

    def offset(line: int, column: int) -> int:
        return sum(map(len, lines[: line - 1])) + column - 1

    start, end = found.start, found.end
    return yaml[offset(start.line, start.column) : offset(end.line, end.column)]
