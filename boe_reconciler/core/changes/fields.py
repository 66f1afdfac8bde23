"""Two versions of one object -> the values that differ, as a reviewer may see them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher, unified_diff
from typing import Any

from boe_reconciler.core.changes.masks import masked, masked_text
from boe_reconciler.core.errors import BoeError
from boe_reconciler.core.problems import Path
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.spec import ServedObject

_ABSENT = object()
#: Characters of a text whose lines are compared.
_MOST_TEXT = 200_000


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldChange:
    path: Path
    #: None where there was, or will be, nothing. What is secret is masked.
    before: Any
    after: Any
    #: Of a text of several lines, and of a file: the lines around each change.
    diff: Sequence[str] = ()

    @property
    def same(self) -> bool:
        """It differs in what is not shown."""
        return bool(self.before == self.after)


def field_changes(
    before: ServedObject, after: ServedObject, read: Callable[[str], bytes]
) -> Iterator[FieldChange]:
    """Of the document, then of each file that it refers to (by its sha256)."""
    yield from _fields(before.data, after.data, ())
    for path in sorted({*before.files, *after.files}):
        was, will = before.files.get(path), after.files.get(path)
        if was != will:
            texts = [_text(each, read) for each in (was, will)]
            yield FieldChange(path=(path,), before=was, after=will, diff=_diff(*texts))


def _text(sha256: str | None, read: Callable[[str], bytes]) -> str:
    """Empty where it cannot be had, or is no text."""
    try:
        return read(sha256).decode() if sha256 else ""
    except (BoeError, UnicodeDecodeError):
        return ""


def _fields(before: Any, after: Any, path: Path) -> Iterator[FieldChange]:
    """Each value that differs, as deep as both sides have the same shape."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            was, will = before.get(key, _ABSENT), after.get(key, _ABSENT)
            yield from _fields(was, will, (*path, key))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _entries(before, after, path)
    elif before != after:
        yield _change(path, before, after)


def _entries(
    before: Sequence[Any], after: Sequence[Any], path: Path
) -> Iterator[FieldChange]:
    """Entries that stay are found wherever they are; the others go by their places."""
    was, will = (
        [json.dumps(one, default=str) for one in side] for side in (before, after)
    )
    matcher = SequenceMatcher(None, was, will, autojunk=False)
    for tag, start, end, other, last in matcher.get_opcodes():
        if tag == "equal":
            continue
        both = min(end - start, last - other)
        for number in range(both):
            here = (*path, other + number)
            yield from _fields(before[start + number], after[other + number], here)
        for number in range(start + both, end):
            yield _change((*path, number), before[number], _ABSENT)
        for number in range(other + both, last):
            yield _change((*path, number), _ABSENT, after[number])


def _change(path: Path, before: Any, after: Any) -> FieldChange:
    was, will = (
        None if each is _ABSENT else masked(each, path) for each in (before, after)
    )
    texts = [each if isinstance(each, str) else "" for each in (was, will)]
    several = any("\n" in text.strip() for text in texts)
    diff = _diff(*texts) if several else ()
    return FieldChange(path=path, before=was, after=will, diff=diff)


def _diff(before: str, after: str) -> tuple[str, ...]:
    if len(before) + len(after) > _MOST_TEXT:
        return ()
    was, will = (masked_text(each).splitlines() for each in (before, after))
    return tuple(unified_diff(was, will, n=2, lineterm=""))[2:]
