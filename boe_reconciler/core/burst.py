"""The parts of a burst: whose rows are whose, what each is called, how they changed."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from boe_reconciler.core import names
from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.schedule import FORMATS

#: Parts that a burst has at most, where it does not say `max_parts`.
MAX_PARTS = 100_000
#: Bytes of a label: it stands in names of files and in keys of deliveries.
_MAX_LABEL = 80
#: So many keys are named in a message.
_NAMED = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    #: The value of `split_on`, as text, that its rows have.
    key: str
    #: What names it in files and deliveries: safe, and no two of a burst share it.
    label: str
    #: What templates see as `part`.
    values: Mapping[str, str]


def parts(rows: Iterable[Mapping[str, str]], key: str, most: int | None) -> list[Part]:
    """A part for each key, in the order of the keys' first rows.

    What rows with the same key say differently is joined with ", ". Permanent
    `too_many_parts`.
    """
    found: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        found.setdefault(row[key], []).append(row)
        if len(found) > (most or MAX_PARTS):
            raise Permanent(
                "too_many_parts",
                f"The burst has more than {most or MAX_PARTS:,} parts.",
                "Look at where its parts come from, or raise max_parts.",
            )
    return [
        Part(key=one, label=label, values=_merged(found[one]))
        for one, label in zip(found, _labels(found), strict=True)
    ]


def _merged(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {
        name: ", ".join(dict.fromkeys(row[name] for row in rows if row[name]))
        for name in rows[0]
    }


def _labels(keys: Iterable[str]) -> Iterator[str]:
    """Keys that differ in nothing that a file system keeps are numbered."""
    taken: set[str] = set()
    for key in keys:
        plain, number = _label(key), 1
        label = plain
        while label.casefold() in taken:
            number += 1
            label = f"{plain} ({number})"
        taken.add(label.casefold())
        yield label


def _label(key: str) -> str:
    """Never what means something else in a delivery: no part, or a format's file."""
    safe = (
        names.sanitise(key).encode()[:_MAX_LABEL].decode(errors="ignore").rstrip(" .")
    )
    first, _, rest = safe.partition(" ")
    if first in FORMATS and rest:
        return f"{first}_{rest}"
    return "_" if safe == "-" else safe


# --- A file with recipients ---------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Flaw:
    #: 1-based line of the file; 1 is the header.
    line: int
    detail: str


def rows_of(text: str, key: str) -> tuple[list[dict[str, str]], list[Flaw]]:
    """The rows of a csv file with a header, and what is wrong with it."""
    import csv  # noqa: PLC0415 few repos have such a file

    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[dict[str, str]] = []
    flaws: list[Flaw] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        flaws += _header_flaws(header, key)
        for cells in reader:
            row = dict(zip(header, cells, strict=False))
            wrong = cells and _row_flaw(row, cells, header, key)
            if wrong:
                flaws.append(Flaw(line=reader.line_num, detail=wrong))
            elif cells:
                rows.append(row)
    except csv.Error as error:
        flaws.append(Flaw(line=reader.line_num, detail=f"it is no csv: {error}"))
    return rows, flaws


def _header_flaws(header: Sequence[str], key: str) -> Iterator[Flaw]:
    if len(set(header)) < len(header) or not all(header):
        yield Flaw(line=1, detail="a column has no name, or that of another")
    elif key not in header:
        told = f"it has no column {key} (split_on); it has {', '.join(header)}"
        yield Flaw(line=1, detail=told if header else "it is empty")


def _row_flaw(
    row: Mapping[str, str], cells: Sequence[str], header: Sequence[str], key: str
) -> str:
    if len(cells) != len(header):
        return f"the line has {len(cells)} values, and the header {len(header)}"
    return "" if row.get(key, "-") else f"{key} (split_on) is empty"


# --- Against the last time ----------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """Whom a run reaches."""

    #: Labels of its parts.
    parts: AbstractSet[str]
    recipients: AbstractSet[str]


def jump(before: Reach, now: Reach, most: str) -> str:
    """What changed by more than `most`, such as "50%"; empty: nothing did."""
    limit = float(most.rstrip("%"))
    told = [
        f"{len(old):,} {noun} last time, {len(new):,} now"
        for noun, old, new in (
            ("parts", before.parts, now.parts),
            ("recipients", before.recipients, now.recipients),
        )
        if abs(len(new) - len(old)) * 100 > limit * len(old)
    ]
    if not told:
        return ""
    changes = (
        ("new", now.parts - before.parts),
        ("gone", before.parts - now.parts),
    )
    told += [f"{word}: {_few(keys)}" for word, keys in changes if keys]
    return f"The burst has changed by more than {most}: {'; '.join(told)}."


def _few(keys: AbstractSet[str]) -> str:
    more = f" and {len(keys) - _NAMED:,} more" if len(keys) > _NAMED else ""
    return ", ".join(sorted(keys)[:_NAMED]) + more
