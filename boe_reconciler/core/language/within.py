"""Where a piece of a text stands in the file that the text came from."""

from __future__ import annotations

import re

from boe_reconciler.core.language.places import Part
from boe_reconciler.core.problems import Range

_HEADER = re.compile(r"[|>][^\n]*\n")


def within(part: Part, offset: int, length: int) -> Range:
    """The place of `part.data[offset : offset + length]`, a text read from YAML.

    Quotes, indentation and folded lines stand only in the file; the text is found
    again character by character, without its space. Where it has escapes, all of it
    is shown.
    """
    source, start, end, _ = part.place
    text: str = part.data
    raw = source.text[start:end]
    escaped = raw.startswith('"') and "\\" in raw
    header = _HEADER.match(raw)
    here = header.end() if header else 0
    first = last = None
    for number, character in enumerate(text[: offset + max(length, 1)]):
        if character.isspace():
            continue
        here = -1 if escaped else raw.find(character, here)
        if here < 0:
            return source.range(start, end)
        if number >= offset:
            first, last = (here if first is None else first), here
        here += 1
    if first is None or last is None:
        return source.range(start, end)
    return source.range(start + first, start + last + 1)
