"""A mail's sender and texts: as they stand, and as a Schedule will fill them in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from boe_reconciler.core.language.addresses import (
    LONGEST_LOCAL_PART,
    address_flaw,
    addresses_in,
    has_room,
)
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.language.places import Source
from boe_reconciler.core.language.suggest import did_you_mean
from boe_reconciler.core.language.texts import TextFinding
from boe_reconciler.core.names import check_template as check_tokens
from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.check_report import check_template, template_flaws
from boe_reconciler.core.plan.files import in_repo
from boe_reconciler.core.problems import Path, Severity
from boe_reconciler.core.resources.connection import SmtpConnection
from boe_reconciler.core.resources.distribution import (
    EmailDestination,
    FileText,
    Unsubscribe,
)
from boe_reconciler.core.templates import (
    TemplateError,
    attributes_in,
    is_template,
    names_in,
    render,
)

#: Fields of a mail that are templates.
TEMPLATES = ("to", "cc", "bcc", "reply_to", "subject", "text", "html")
#: Those of `unsubscribe`.
WAYS_OUT = ("url", "mailto")
#: What each of them sees that nothing else does; how many rows there will be is not known.
_ROWS: dict[str, Any] = {"rows": 1}
#: Also one that has no end, which is told of by itself.
_TEMPLATE = r"\{[{%#].*?(?:[}%#]\}|$)"
#: What may stand in an address: visible ASCII, and nothing that ends it.
_IN_ADDRESS = r"[!-;=?-~]*"
_URL = r"(?ia)https?://[^/?#<>@\s]+(?:[/?#][!-;=?-~]*)?"


def check_texts(check: Check, target: EmailDestination, path: Path) -> None:
    for key in TEMPLATES:
        value, at = getattr(target, key), (*path, key)
        if isinstance(value, FileText):
            _check_file(check, value.file, (*at, "file"), html=key == "html")
        elif isinstance(value, str):
            check.find_in_text(check_tokens(value), at)
            check_template(check, value, at, html=key == "html")
            check.find_in_text(_input_flaws(check, value), at)
    if target.unsubscribe is not None:
        _check_ways_out(check, target.unsubscribe, (*path, "unsubscribe"))


def _check_file(check: Check, reference: str, path: Path, *, html: bool) -> None:
    found = check.file(reference, path)
    if found is None:
        return
    target, content = found
    text = _decoded(content)
    if text is None:
        check.add("BOE110", path, f"{target} is not UTF-8", "save it as UTF-8")
        return
    flaws = template_flaws(text, html=html) or _input_flaws(check, text)
    check.find_in_file(flaws, path, Source(target, text))


def _input_flaws(check: Check, text: str) -> list[TextFinding]:
    """Inputs that nobody can give: told once, here, and not for each Schedule."""
    if check.entry.kind != "Distribution" or "inputs" not in text:
        return []
    try:
        used = attributes_in(text)
    except TemplateError:
        return []  # it is told already
    declared = check.document.data["spec"].get("inputs") or {}
    wrong = sorted(
        key for name, key in used if name == "inputs" and key not in declared
    )
    return [_undeclared(text, key, declared) for key in wrong]


def _undeclared(text: str, key: str, declared: Mapping[str, Any]) -> TextFinding:
    place = re.search(rf"\binputs\s*(?:\.\s*|\[\s*['\"]){re.escape(key)}\b", text)
    offset, end = place.span() if place else (0, 0)
    todo = f"declare it under `inputs`; known: {', '.join(declared) or 'none'}"
    return TextFinding(
        code="BOE181",
        detail=f'there is no input "{key}"',
        help=did_you_mean(key, declared, todo),
        offset=offset,
        length=end - offset,
    )


def _decoded(content: bytes) -> str | None:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _check_ways_out(check: Check, wish: Unsubscribe, path: Path) -> None:
    for key in WAYS_OUT:
        text, at = getattr(wish, key), (*path, key)
        if text is not None:
            check.find_in_text(check_tokens(text), at)
            check_template(check, text, at)
            bare = re.sub(_TEMPLATE, "x" if key == "mailto" else "", text)
            check.find(_WAYS[key](bare), at)
    if wish.url is None and wish.mailto is None:
        check.add("BOE295", path, "it names neither `url` nor `mailto`", "add one")
    elif wish.url is not None and not _says_who(wish.url):
        detail = "a click does not say who wants no more"
        todo = "put the address into it: ?address={{ recipient }}"
        check.find([_way_flaw(detail, todo, ("url",), "warning")], path)


def _says_who(url: str) -> bool:
    """Whether it is another one for each of them; one that is no template is told of."""
    try:
        return not names_in(url).isdisjoint(("recipient", "part"))
    except TemplateError:
        return True


def _of_url(bare: str) -> Iterator[Finding]:
    if not re.fullmatch(_URL, bare):
        todo = (
            "write https://, a host and the rest, in ASCII; fill in only what follows"
        )
        yield _way_flaw("it is no web address", todo)
    elif not bare.lower().startswith("https:"):
        detail = "mail programs do one click with https alone"
        yield _way_flaw(detail, "use https://", severity="warning")


def _of_mailto(bare: str) -> Iterator[Finding]:
    address, _, rest = bare.partition("?")
    flaw = address_flaw(address)
    if flaw or not re.fullmatch(_IN_ADDRESS, rest):
        detail = flaw or "what follows the ? has to be percent-encoded"
        yield _way_flaw(detail, "such as stop@example.com?subject=no%20more")


_WAYS = {"url": _of_url, "mailto": _of_mailto}


def _way_flaw(
    detail: str, todo: str, path: Path = (), severity: Severity = "error"
) -> Finding:
    return Finding(
        code="BOE295", path=path, detail=detail, help=todo, severity=severity
    )


def check_sender(
    check: Check, target: EmailDestination, connection: Any, path: Path
) -> None:
    """Somebody has to be the sender, and what comes back has to be known for ours."""
    sender = target.from_ or connection.from_
    if sender is None:
        check.add(
            "BOE250",
            (*path, "connection"),
            f'neither this destination nor the Connection "{target.connection}" has `from`',
            "add `from` to the Connection, such as reports@example.com",
        )
    elif isinstance(connection, SmtpConnection) and _unknown_back(connection, sender):
        detail = (
            f"what stands before the @ of {sender} has more than {LONGEST_LOCAL_PART} "
            "characters: a bounce cannot say which mail it is about"
        )
        todo = (
            f'name a shorter `bounces.address` in the Connection "{target.connection}"'
        )
        at = (*path, "from" if target.from_ else "connection")
        check.find(
            [
                Finding(
                    code="BOE290", path=at, detail=detail, help=todo, severity="warning"
                )
            ]
        )


def _unknown_back(connection: SmtpConnection, sender: str) -> bool:
    """Whether its bounces come to the sender, which has no room for their tag."""
    bounces = connection.bounces
    if bounces is None or bounces.address is not None:
        return False
    return not all(has_room(found[0]) for found in addresses_in(sender))


def broken_texts(
    check: Check,
    target: Any,
    context: Mapping[str, Any],
    found: tuple[str, Mapping[str, bytes | None]],
) -> Iterator[tuple[Path, TemplateError]]:
    """Fields of the mail that cannot be filled in as at the next occurrence, and why.

    `found`: the YAML file, and what it names. What was found good before is only known
    when it runs.
    """
    if not isinstance(target, EmailDestination) or check.entry.served is not None:
        return
    burst = "burst" in check.document.data["spec"] and "part" not in context
    for key, text in _texts(target, *found):
        way_out = key.startswith("unsubscribe.")
        own = _ROWS | ({"recipient": "anna@example.com"} if way_out else {})
        try:
            if is_template(text) and not (burst and "part" in names_in(text)):
                render(text, {**context, **own}, html=key == "html")
        except TemplateError as error:
            yield tuple(key.split(".")), error


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
    for key in WAYS_OUT:
        yield f"unsubscribe.{key}", getattr(target.unsubscribe, key, None) or ""
