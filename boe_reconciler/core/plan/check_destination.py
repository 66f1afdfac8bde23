"""A destination, in a Distribution or in a Schedule: its Connection, names, paths."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.language.suggest import did_you_mean
from boe_reconciler.core.names import (
    check_base_path,
    check_pattern,
    check_relative,
    check_remote_path,
)
from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.check_mail import check_sender, check_texts
from boe_reconciler.core.plan.policy import (
    domain_findings,
    host_findings,
    type_findings,
)
from boe_reconciler.core.problems import Path
from boe_reconciler.core.resources.distribution import (
    Attach,
    EmailDestination,
    GroupRef,
    LinkInstead,
    LocalDestination,
)
from boe_reconciler.core.resources.envelope import Group

#: The types of Connection that each type of destination goes through.
MAIL_TYPES = ("smtp", "ses")
_CONNECTIONS = {
    "email": MAIL_TYPES,
    "s3": ("s3",),
    "gcs": ("gcs",),
    "azure": ("azure",),
    "sftp": ("sftp",),
    "webhook": ("webhook",),
}
_LINKS = ("s3", "gcs", "azure")
#: The longest that a link may live, and one that a role signs on S3.
_LONGEST = timedelta(days=7)
_LONGEST_LENT = timedelta(hours=12)


def check_destination(
    check: Check, target: Any, path: Path, beside: Sequence[Any]
) -> None:
    """`beside` are all destinations of the same Distribution."""
    raw: Mapping[str, Any] = check.document.value(path) or {}
    _names(check, raw, path)
    if check.judge:
        check.find(type_findings(check.judge, target.type, path))
        if target.type == "webhook":
            check.find(host_findings(check.judge, raw, path, webhook=True))
    _far_side(check, raw, path)
    _connection(check, target, path)
    if isinstance(target, LocalDestination):
        _base_path(check, target, path)
    if isinstance(target, EmailDestination):
        _email(check, target, path, beside)


def _names(check: Check, raw: Mapping[str, Any], path: Path) -> None:
    for key, marker in (("filename_pattern", False), ("done_marker", True)):
        if isinstance(raw.get(key), str):
            found = check_pattern(raw[key], marker=marker)
            check.find_in_text(found, (*path, key))
    for key in ("base_path", "prefix"):
        text = str(raw.get(key, ""))
        if "{" in text or "}" in text:
            check.add(
                "BOE161",
                (*path, key),
                f"{key} has neither templates nor tokens",
                "`create_subdirs: true` makes a folder for each day",
            )


def _connection(check: Check, target: Any, path: Path) -> None:
    name = getattr(target, "connection", None)
    if name is None:
        return
    at = (*path, "connection")
    found = check.use("Connection", name, at)
    wanted = _CONNECTIONS[target.type]
    if found is not None and found.spec.type not in wanted:
        check.add(
            "BOE102",
            at,
            f'"{name}" is of type {found.spec.type}, {target.type} needs '
            f"{' or '.join(wanted)}",
        )
    elif found is not None and isinstance(target, EmailDestination):
        check_sender(check, target, found.spec, path)


def _far_side(check: Check, raw: Mapping[str, Any], path: Path) -> None:
    """Where an object, an sftp or a webhook leads, by its text alone."""
    prefix = raw.get("prefix")
    wrong = check_relative(prefix) if isinstance(prefix, str) and prefix else ""
    if wrong:
        todo = "write what keys begin with, such as reports/"
        check.add("BOE166", (*path, "prefix"), f'"{prefix}": {wrong}', todo)
    folder = raw.get("base_path") if raw.get("type") == "sftp" else None
    wrong = check_remote_path(folder) if isinstance(folder, str) else ""
    if wrong:
        todo = "write a folder of the far side, absolute or from where the login leads"
        check.add("BOE166", (*path, "base_path"), f'"{folder}": {wrong}', todo)
    check_address(check, raw, path)


def check_address(check: Check, raw: Mapping[str, Any], path: Path) -> None:
    """Of a webhook, in a destination or a Connection."""
    url = raw.get("url") if raw.get("type") == "webhook" else None
    if isinstance(url, str) and not re.match(r"https?://[^/?#]", url, re.IGNORECASE):
        detail = "a webhook's url begins with https:// (or http://) and a host"
        check.add("BOE240", (*path, "url"), detail, "write the whole address")


def _base_path(check: Check, target: LocalDestination, path: Path) -> None:
    if check.judge is None or "allow" in check.judge.unknown:
        return
    wrong = check_base_path(target.base_path, check.judge.spec.allow.local_roots)
    if wrong:
        where = check.judge.where("allow", "local_roots")
        todo = f"write a folder below one of these (local_roots: {where})"
        check.add(
            "BOE166", (*path, "base_path"), f'"{target.base_path}": {wrong}', todo
        )


# --- E-mail -----------------------------------------------------------------------


def _email(
    check: Check, target: EmailDestination, path: Path, beside: Sequence[Any]
) -> None:
    check_texts(check, target, path)
    addresses = []
    for key in ("to", "cc", "bcc"):
        addresses += _recipients(check, getattr(target, key), (*path, key))
    _too_many(check, addresses, path)
    if isinstance(target.attach, Attach) and target.attach.over_max:
        at = (*path, "attach", "over_max", "link_to")
        _link(check, target.attach.over_max, at, beside)


def _recipients(check: Check, value: Any, path: Path) -> list[str]:
    """The addresses that are known; Groups are looked up."""
    addresses = []
    items = value if isinstance(value, list) else []
    places: list[tuple[Path, Any]] = [
        ((*path, n), item) for n, item in enumerate(items)
    ]
    if isinstance(value, str) and "{" not in value:
        places = [(path, value)]
    for at, item in places:
        if isinstance(item, GroupRef):
            group = check.use("Group", item.group, (*at, "group"))
            found = members_of(group, check.now.date()) if group else []
            addresses += found
            _allowed(check, found, (*at, "group"))
        elif "{" not in item:
            addresses.append(item)
            _allowed(check, [item], at)
    return addresses


def _allowed(check: Check, addresses: Sequence[str], path: Path) -> None:
    if check.judge:
        for address in addresses:
            check.find(domain_findings(check.judge, address, path))


def members_of(group: Group, today: date) -> list[str]:
    """The addresses of those who have not left."""
    return [
        each if isinstance(each, str) else each.email
        for each in group.spec.members
        if isinstance(each, str) or each.until is None or each.until >= today
    ]


def _too_many(check: Check, addresses: Sequence[str], path: Path) -> None:
    limit = check.judge.spec.limits.max_recipients if check.judge else None
    if check.judge and limit is not None and len(set(addresses)) > limit:
        where = check.judge.where("limits", "max_recipients")
        detail = f"{len(set(addresses))} recipients; {limit} are allowed ({where})"
        check.add("BOE136", (*path, "to"), detail)


def _link(check: Check, link: LinkInstead, path: Path, beside: Sequence[Any]) -> None:
    name = link.link_to
    near = {each.name or each.type: each for each in beside}
    if name in near:
        targets = [near[name]]
    elif check.knows("Distribution", name):
        other = check.use("Distribution", name, path)
        targets = list(other.spec.destinations) if other else []
        if other is None:
            return
    else:
        known = [*near, *check.world.names("Distribution")]
        todo = did_you_mean(name, known, "name a destination or a Distribution")
        detail = f'there is no destination or Distribution "{name}"'
        check.add("BOE100", path, detail, todo)
        return
    if len(targets) != 1 or targets[0].type not in _LINKS:
        types = ", ".join(each.type for each in targets)
        detail = f'"{name}" ({types}) cannot be linked to'
        todo = f"name one destination of type {', '.join(_LINKS)}"
        check.add("BOE111", path, detail, todo)
        return
    _link_life(check, link, targets[0], (*path[:-1], "expires"))


def _link_life(check: Check, link: LinkInstead, target: Any, path: Path) -> None:
    """A link lives no longer than the store allows, and than what it is signed with."""
    if not check.knows("Connection", target.connection):
        return
    found = check.use("Connection", target.connection, path)
    spec = found.spec if found else None
    own = ("access_key_id", "credential")  # without it: what the machine has
    lent = spec is not None and not any(getattr(spec, name, None) for name in own)
    if link.expires > _LONGEST and (target.type != "azure" or lent):
        check.add("BOE230", path, f"{target.type} lets links work for 7d at most")
    elif link.expires > _LONGEST_LENT and lent and target.type == "s3":
        detail = f"{target.connection} has no key of its own"
        todo = "give it one, or a link that works for 12h at most"
        check.find(
            [
                Finding(
                    code="BOE231",
                    path=path,
                    detail=detail,
                    help=todo,
                    severity="warning",
                )
            ]
        )
