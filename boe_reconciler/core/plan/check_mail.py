"""A mail's sender and texts: as they stand, and as a Schedule will fill them in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from boe_reconciler.core.language.places import Source
from boe_reconciler.core.names import check_template as check_tokens
from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.check_report import check_template, template_flaws
from boe_reconciler.core.plan.files import in_repo
from boe_reconciler.core.problems import Path
from boe_reconciler.core.resources.distribution import EmailDestination, FileText
from boe_reconciler.core.templates import TemplateError, is_template, names_in, render

#: Fields of a mail that are templates.
TEMPLATES = ("to", "cc", "bcc", "reply_to", "subject", "text", "html")
#: What each of them sees that nothing else does; how many rows there will be is not known.
_ROWS = {"rows": 1}


def check_texts(check: Check, target: EmailDestination, path: Path) -> None:
    for key in TEMPLATES:
        value, at = getattr(target, key), (*path, key)
        if isinstance(value, FileText):
            _check_file(check, value.file, (*at, "file"), html=key == "html")
        elif isinstance(value, str):
            check.find_in_text(check_tokens(value), at)
            check_template(check, value, at, html=key == "html")


def _check_file(check: Check, reference: str, path: Path, *, html: bool) -> None:
    found = check.file(reference, path)
    if found is None:
        return
    target, content = found
    text = _decoded(content)
    if text is None:
        check.add("BOE110", path, f"{target} is not UTF-8", "save it as UTF-8")
        return
    flaws = template_flaws(text, html=html)
    check.find_in_file(flaws, path, Source(target, text))


def _decoded(content: bytes) -> str | None:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def check_sender(
    check: Check, target: EmailDestination, connection: Any, path: Path
) -> None:
    """Somebody has to be the sender."""
    if target.from_ is None and connection.from_ is None:
        check.add(
            "BOE250",
            (*path, "connection"),
            f'neither this destination nor the Connection "{target.connection}" has `from`',
            "add `from` to the Connection, such as reports@example.com",
        )


def try_texts(
    check: Check,
    target: Any,
    context: Mapping[str, Any],
    found: tuple[str, Mapping[str, bytes | None]],
    path: Path,
) -> None:
    """Fill them in as at the next occurrence; `found`: the YAML file, and what it names.

    What was found good before is only known when it runs.
    """
    if not isinstance(target, EmailDestination) or check.entry.served is not None:
        return
    burst = "burst" in check.document.data["spec"] and "part" not in context
    for key, text in _texts(target, *found):
        try:
            if is_template(text) and not (burst and "part" in names_in(text)):
                render(text, {**context, **_ROWS}, html=key == "html")
        except TemplateError as error:
            detail = f"the mail's {key}: {error.message}"
            check.add("BOE180", path, detail, error.help)


def _texts(
    target: EmailDestination, file: str, contents: Mapping[str, bytes | None]
) -> Iterator[tuple[str, str]]:
    for key in TEMPLATES:
        value = getattr(target, key)
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, FileText):
            content = contents.get(in_repo(file, value.file)[0])
            yield key, _decoded(content or b"") or ""
