"""Names and references as Excel wants them."""

from __future__ import annotations

import re
from collections.abc import Collection

#: Excel's limits.
MAX_ROWS, MAX_COLUMNS = 1_048_576, 16_384
MAX_NAME, MAX_TEXT = 31, 32_767


def column_letters(index: int) -> str:
    """0 -> A, 26 -> AA."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def column_index(letters: str) -> int:
    """A -> 0, AA -> 26."""
    index = 0
    for letter in letters.upper():
        index = index * 26 + ord(letter) - 64
    return index - 1


def area(rows: int, columns: int) -> str:
    """The reference of an area that starts at A1; at least that one cell."""
    last = f"{column_letters(max(columns, 1) - 1)}{max(rows, 1)}"
    return f"A1:{last}" if last != "A1" else "A1"


def cut(text: str, units: int) -> str:
    """At most `units` UTF-16 units, as Excel counts; never half a character."""
    return text.encode("utf-16-le")[: units * 2].decode("utf-16-le", "ignore")


def sheet_name(wanted: str, taken: Collection[str]) -> str:
    """`wanted` without what Excel refuses, different from `taken` whatever the case."""
    clean = re.sub(r"[\[\]:*?/\\\x00-\x1f\ufffe\uffff]", " ", wanted)
    clean = cut(clean.strip(" '"), MAX_NAME).strip(" '") or "Sheet"
    used = {name.lower() for name in taken} | {"history"}
    number, name = 2, clean
    while name.lower() in used:
        mark = f" ({number})"
        name = cut(clean, MAX_NAME - len(mark)) + mark
        number += 1
    return name
