"""Credentials that stand in plain text, wherever that is: told, and never shown."""

from __future__ import annotations

from collections.abc import Iterator

from boe_reconciler.core.language.credentials import MARK, credentials
from boe_reconciler.core.language.places import Document, Place, Source
from boe_reconciler.core.plan.check import Check, overlap
from boe_reconciler.core.problems import Path, Problem

_HELP = (
    "name it where it is used, as {env: NAME} or {file: path}, and change it: whoever "
    f"reads the repo knows it (if it is no secret, end its line with # {MARK})"
)


def check_credentials(check: Check) -> None:
    """In the document, comments included, and in the files that it names."""
    told = [*_in_document(check.entry.document), *_in_files(check)]
    known = [one.range for one in check.problems if one.code == "BOE049"]
    for found in told:
        if not any(overlap(found.range, one) for one in known):
            check.problems.append(found)


def _in_document(document: Document) -> Iterator[Problem]:
    if not credentials(document.source.text):
        return  # It takes no place to know that.
    source, start, end, _ = document.place
    stop = source.text.find("\n", end)
    for one in credentials(source.text[start : None if stop < 0 else stop]):
        at = start + one.offset
        path = _path_to(document.place, at)
        yield _problem(document, source, (at, at + one.length), one.what, path)


def _in_files(check: Check) -> Iterator[Problem]:
    for name, content in check.files.items():
        try:
            source = Source(name, (content or b"").decode())
        except UnicodeDecodeError:
            continue  # a workbook, or what is told already
        for one in credentials(source.text):
            span = one.offset, one.offset + one.length
            yield _problem(check.entry.document, source, span, one.what, ())


def _problem(
    document: Document, source: Source, span: tuple[int, int], what: str, path: Path
) -> Problem:
    return Problem(
        code="BOE156",
        detail=f"{what} stands here, for all to read",
        help=_HELP,
        path=path,
        range=source.range(*span),
        kind=document.kind,
        name=document.name,
    )


def _path_to(place: Place, offset: int) -> Path:
    """Of the innermost value that holds it."""
    children = place[3]
    below: dict[str | int, Place] = (
        {key: one[2] for key, one in children.items()}
        if isinstance(children, dict)
        else dict(enumerate(children or ()))
    )
    inner = (key for key, one in below.items() if one[1] <= offset < one[2])
    key = next(inner, None)
    return () if key is None else (key, *_path_to(below[key], offset))
