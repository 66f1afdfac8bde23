"""What the fields of one document have to do with each other.

The rules look at plain values, so that they are told together with all that is
wrong with single fields. What does not have its right shape they leave alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from boe_reconciler.core.language.addresses import address_flaw
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.language.suggest import listed
from boe_reconciler.core.parameters import parse_parameter
from boe_reconciler.core.problems import Path
from boe_reconciler.core.resources.envelope import OWNERLESS
from boe_reconciler.core.resources.types import NAME_PATTERN

Map = Mapping[str, Any]
Findings = Iterator[Finding]


def broken_rules(data: Map) -> Findings:
    """All rules that a document breaks; paths are those in the document."""
    metadata, spec = data.get("metadata"), data.get("spec")
    if isinstance(metadata, dict) and data["kind"] not in OWNERLESS:
        yield from _owner(metadata)
    if isinstance(spec, dict):
        yield from _KINDS.get(data["kind"], _no_rules)(spec, ("spec",))


def _no_rules(_spec: Map, _path: Path) -> Findings:
    yield from ()


def _owner(metadata: Map) -> Findings:
    path: Path = ("metadata", "owner")
    owner = metadata.get("owner")
    if owner is None:
        todo = "add an e-mail address, or the name of a Group"
        yield Finding(code="BOE041", path=path, detail="owner is missing", help=todo)
    yield from _person(owner, path)


# --- Kinds ----------------------------------------------------------------------


def _schedule(spec: Map, path: Path) -> Findings:
    for key, rules in _PARTS.items():
        if part := _map(spec, key):
            yield from rules(part, (*path, key))
    for at, person in _entries(spec, "notify", path):
        yield from _person(person, at)
    yield from _url(spec, "ping", path)
    yield from _deliver_to(spec, path)


def _deliver_to(spec: Map, path: Path) -> Findings:
    seen: set[tuple[str, Any]] = set()
    for at, target in _entries(spec, "deliver_to", path):
        inline = isinstance(target, dict) and "distribution" not in target
        if inline:
            yield from _destination(target, at)
            key, name = ("destination", target.get("name", target.get("type")))
        elif isinstance(target, dict):
            key, name = ("use", target.get("as", target.get("distribution")))
        else:
            key, name = ("use", target)
        if not isinstance(name, str):
            continue
        if (key, name) in seen:
            yield _twice(name, at, "name" if inline else "as")
        seen.add((key, name))


def _report(spec: Map, path: Path) -> Findings:
    if not spec:
        return
    yield from _exactly_one(spec, path, ("query", "query_file", "workbook"))
    yield from _split(spec, path)
    yield from _definitions(spec, "parameters", path)
    if "workbook" in spec:
        yield from _sheets(_map(spec, "workbook"), (*path, "workbook"))


def _sheets(workbook: Map, path: Path) -> Findings:
    seen: set[str] = set()
    for at, sheet in _entries(workbook, "sheets", path):
        if isinstance(sheet, dict):
            yield from _sheet(sheet, at, workbook)
            name = sheet.get("name")
            if isinstance(name, str) and name.lower() in seen:
                yield _twice(name, (*at, "name"))
            seen.add(str(name).lower())


def _split(spec: Map, path: Path) -> Findings:
    if spec.get("on_too_many") != "split":
        return
    if spec.get("max_rows") is None:
        yield _needs("on_too_many", "max_rows", path)
    sheets = _map(spec, "workbook").get("sheets")
    if isinstance(sheets, list) and len(sheets) > 1:
        yield Finding(
            code="BOE211",
            path=(*path, "on_too_many"),
            detail=f"the workbook has {len(sheets)} sheets; only one can be split",
            help="make a report of each sheet, or use on_too_many: fail",
        )


def _sheet(sheet: Map, path: Path, workbook: Map) -> Findings:
    yield from _exactly_one(sheet, path, ("query", "query_file"))
    if "fill" in sheet and "template" not in workbook:
        yield _needs("fill", "the workbook's template", path)


def _distribution(spec: Map, path: Path) -> Findings:
    yield from _definitions(spec, "inputs", path)
    seen: set[Any] = set()
    for at, target in _entries(spec, "destinations", path):
        if not isinstance(target, dict):
            continue
        yield from _destination(target, at)
        name = target.get("name", target.get("type"))
        if isinstance(name, str) and name in seen:
            yield _twice(name, at, "name")
        seen.add(str(name))


def _destination(target: Map, path: Path) -> Findings:
    if target.get("type") == "webhook":
        yield from _exactly_one(target, path, ("connection", "url"))
        yield from _url(target, "url", path)
    if target.get("type") != "email":
        return
    for key in ("to", "cc", "bcc"):
        for at, person in _entries(target, key, path):
            yield from _address(person, at, otherwise="or, in a list, {group: NAME}")
    for key in ("reply_to", "from"):
        yield from _address(target.get(key), (*path, key), named=True)


def _connection(spec: Map, path: Path) -> Findings:
    rules = {"smtp": _smtp, "ses": _keys, "s3": _keys, "sftp": _sftp}
    kind = spec.get("type")
    if isinstance(kind, str) and kind in rules:
        yield from rules[kind](spec, path)
    for key in ("url", "endpoint_url", "account_url", "endpoint"):
        yield from _url(spec, key, path)
    yield from _address(spec.get("from"), (*path, "from"), named=True)


def _smtp(spec: Map, path: Path) -> Findings:
    yield from _at_most_one(_given(spec, ("password", "oauth2")), path)
    for key in ("password", "oauth2"):
        if spec.get(key) is not None and spec.get("user") is None:
            yield _needs(key, "user", path)


def _keys(spec: Map, path: Path) -> Findings:
    pair = ("access_key_id", "secret_access_key")
    for key, other in (pair, pair[::-1]):
        if spec.get(key) is not None and spec.get(other) is None:
            yield _needs(key, other, path)


def _sftp(spec: Map, path: Path) -> Findings:
    yield from _exactly_one(spec, path, ("password", "private_key"))


def _template(spec: Map, path: Path) -> Findings:
    if spec.get("template") is not None:
        detail = "a ScheduleTemplate cannot use a template itself"
        todo = "repeat its fields here"
        at = (*path, "template")
        yield Finding(code="BOE050", path=at, detail=detail, help=todo, at_key=True)


def _calendar(spec: Map, path: Path) -> Findings:
    for at, entry in _entries(spec, "days_off", path):
        first, last = (_map(entry, None).get(key) for key in ("from", "to"))
        if isinstance(first, str) and isinstance(last, str) and last < first:
            detail = f"{last} is before {first}"
            yield Finding(code="BOE051", path=(*at, "to"), detail=detail)


def _group(spec: Map, path: Path) -> Findings:
    for at, member in _entries(spec, "members", path):
        if isinstance(member, dict):
            yield from _address(member.get("email"), (*at, "email"))
        else:
            yield from _address(member, at)
    yield from _address(spec.get("manager"), (*path, "manager"))


def _environment(spec: Map, path: Path) -> Findings:
    redirect = _map(spec, "redirect")
    yield from _address(redirect.get("email"), (*path, "redirect", "email"))


_KINDS: dict[str, Callable[[Map, Path], Findings]] = {
    "Schedule": _schedule,
    "Report": _report,
    "Distribution": _distribution,
    "Connection": _connection,
    "Calendar": _calendar,
    "Group": _group,
    "ScheduleTemplate": _template,
    "Environment": _environment,
}


# --- Parts of a Schedule --------------------------------------------------------


def _export(export: Map, path: Path) -> Findings:
    formats = export.get("format", "xlsx")
    if isinstance(formats, list):
        for number, name in enumerate(formats):
            if name in formats[:number]:
                yield _twice(str(name), (*path, "format", number))
    if export.get("password") is not None and export.get("compress") != "zip":
        yield from _password(formats, path)


#: Formats that carry a password themselves.
_LOCKABLE = ("xlsx", "excel", "pdf")


def _password(formats: Any, path: Path) -> Findings:
    chosen = formats if isinstance(formats, list) else [formats]
    open_ = [str(name) for name in chosen if name not in _LOCKABLE]
    if open_:
        yield Finding(
            code="BOE210",
            path=(*path, "password"),
            detail=f"{listed(open_, 'and')} files cannot carry a password",
            help="add compress: zip, or use xlsx or pdf",
            at_key=True,
        )


def _burst(burst: Map, path: Path) -> Findings:
    sources = ("recipients_query", "recipients_file", "values_from")
    yield from _exactly_one(burst, path, sources)
    from_, on = burst.get("values_from"), burst.get("split_on")
    if from_ is not None and on is not None and from_ != on:
        detail = f'split_on is "{on}", but the parts are the values of "{from_}"'
        at = (*path, "split_on")
        yield Finding(code="BOE043", path=at, detail=detail, help="remove split_on")
    if from_ is None and on is None:
        todo = "name the column of the report that says which part a row is of"
        detail = "split_on is missing"
        at = (*path, "split_on")
        yield Finding(code="BOE034", path=at, detail=detail, help=todo)


def _execution(execution: Map, path: Path) -> Findings:
    allows = execution.get("overlap") == "allow_all"
    if execution.get("max_concurrent_runs") is not None and not allows:
        yield _needs("max_concurrent_runs", "overlap: allow_all", path)


def _approval(approval: Map, path: Path) -> Findings:
    for at, person in _entries(approval, "by", path):
        yield from _person(person, at)


_PARTS: dict[str, Callable[[Map, Path], Findings]] = {
    "report": _report,
    "export": _export,
    "burst": _burst,
    "execution": _execution,
    "approval": _approval,
}


# --- Definitions of parameters and inputs ---------------------------------------


def _definitions(spec: Map, key: str, path: Path) -> Findings:
    for name, definition in _map(spec, key).items():
        if isinstance(definition, dict):
            yield from _definition(definition, (*path, key, name))


def _definition(definition: Map, path: Path) -> Findings:
    kind, values = definition.get("type"), definition.get("values")
    if kind == "enum" and not values:
        todo = "list them: values: [a, b]"
        detail = "an enum lists its possible values"
        yield Finding(code="BOE047", path=(*path, "values"), detail=detail, help=todo)
    if isinstance(kind, str) and values and kind not in ("enum", "list"):
        detail = f"values go with an enum or a list, this is of type {kind}"
        yield Finding(code="BOE047", path=(*path, "values"), detail=detail)
    yield from _default(definition, path)


def _default(definition: Map, path: Path) -> Findings:
    default, kind = definition.get("default"), definition.get("type")
    values = definition.get("values")
    if default is None or not isinstance(kind, str):
        return
    if isinstance(default, str) and "{{" in default:
        return
    try:
        parse_parameter(kind, default, values if isinstance(values, list) else None)
    except ValueError as error:
        yield Finding(code="BOE047", path=(*path, "default"), detail=str(error))


# --- People and addresses -------------------------------------------------------


def _person(value: Any, path: Path) -> Findings:
    """An address, or the name of a Group."""
    if isinstance(value, str) and not re.match(NAME_PATTERN, value):
        yield from _address(value, path, otherwise="or the name of a Group")


def _address(
    value: Any, path: Path, *, named: bool = False, otherwise: str = ""
) -> Findings:
    if not isinstance(value, str) or "{{" in value:
        return
    flaw = address_flaw(value, named=named)
    if flaw:
        todo = f"write an address such as anna@example.com {otherwise}".strip()
        yield Finding(code="BOE042", path=path, detail=flaw, help=todo)


def _url(spec: Map, key: str, path: Path) -> Findings:
    value = spec.get(key)
    if isinstance(value, str) and re.match(r"[^/]*://[^/@:]*:[^/@]+@", value):
        detail = f"{key} holds a password, which may not stand in git"
        todo = "take it out of the URL, write it as a reference, and change it"
        yield Finding(code="BOE049", path=(*path, key), detail=detail, help=todo)


# --- Words ----------------------------------------------------------------------


def _given(spec: Map, keys: Sequence[str]) -> list[str]:
    return [key for key in keys if spec.get(key) is not None]


def _exactly_one(spec: Map, path: Path, keys: Sequence[str]) -> Findings:
    given = _given(spec, keys)
    if not given:
        todo = f"add {'one of ' if len(keys) > 2 else ''}{listed(keys)}"
        detail = f"{listed(keys)} is missing"
        yield Finding(code="BOE043", path=path, detail=detail, help=todo)
    yield from _at_most_one(given, path)


def _at_most_one(given: Sequence[str], path: Path) -> Findings:
    for key in given[1:]:
        detail = f"{key} stands beside {given[0]}: only one of the two can be"
        todo = f"remove {key} or {given[0]}"
        yield Finding(
            code="BOE043", path=(*path, key), detail=detail, help=todo, at_key=True
        )


def _needs(key: str, other: str, path: Path) -> Finding:
    return Finding(
        code="BOE046",
        path=(*path, key),
        detail=f"{key} has no effect without {other}",
        help=f"add {other}, or remove {key}",
        at_key=True,
    )


def _twice(name: str, path: Path, key: str | None = None) -> Finding:
    todo = f"give one of them its own `{key}`" if key else "remove one of the two"
    return Finding(
        code="BOE048", path=path, detail=f'"{name}" is here twice', help=todo
    )


def _map(spec: Any, key: str | None) -> Map:
    """The map at `key` (None: the value itself), or an empty one."""
    found = spec.get(key) if key is not None and isinstance(spec, dict) else spec
    return found if isinstance(found, dict) else {}


def _entries(spec: Any, key: str, path: Path) -> Iterator[tuple[Path, Any]]:
    """(path, entry) of the list at `key`; a single text counts as a list of one."""
    found = spec.get(key) if isinstance(spec, dict) else None
    if isinstance(found, list):
        for number, entry in enumerate(found):
            yield (*path, key, number), entry
    elif isinstance(found, str):
        yield (*path, key), found
