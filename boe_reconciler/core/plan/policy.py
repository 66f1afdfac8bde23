"""What the Policy allows: the one that is served judges the next revision."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic_core._pydantic_core import ValidationError

from boe_reconciler.core.hosts import is_allowed
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.language.places import Document
from boe_reconciler.core.names import transform_parts
from boe_reconciler.core.problems import Path
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.others import PolicySpec

BUILT_IN = "the built-in default"
#: Schedules of one owner, where nobody says how many.
_OWNED = 10
#: Of a value that the revision changes: it counts from the next revision on.
AS_SERVED = "policy.yaml as it is served"
LATER = (
    "a policy.yaml judges the revisions after the one that brings it, so that no change "
    "allows itself: change it first, the rest in a later change"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    spec: PolicySpec
    #: What it was read from; None: nobody wrote a Policy.
    document: Document | None
    #: The Policy of the revision, to show where a value stands.
    shown: Document | None
    #: Fields of the spec that could not be read: nothing is judged by them.
    unknown: frozenset[str] = frozenset()

    def where(self, *path: str) -> str:
        """Where a value is set: `policy.yaml:12`, or the built-in default."""
        full: Path = ("spec", *path)
        meant = self.document.part(full) if self.document else None
        found = self.shown.part(full) if self.shown else None
        if meant is None and found is None:
            return BUILT_IN
        if not (self.shown and meant and found) or found.data != meant.data:
            return AS_SERVED
        at = self.shown.range(full)
        return f"{at.filename}:{at.start.line}"

    def todo(self, text: str, *path: str) -> str:
        """What to do: to wait, where the revision itself changes that value."""
        return LATER if self.where(*path) == AS_SERVED else text


def judge_of(document: Document | None, shown: Document | None) -> Judge:
    """Judge by a Policy's document; fields of it that are wrong judge nothing."""
    spec, unknown = spec_of(document.data.get("spec") if document else None)
    return Judge(spec=spec, document=document, shown=shown, unknown=unknown)


def spec_of(data: Any) -> tuple[PolicySpec, frozenset[str]]:
    """What a Policy's `spec` says, and the fields of it that are wrong."""
    fields: dict[str, Any] = {}
    unknown = set()
    for name, value in data.items() if isinstance(data, Mapping) else ():
        try:
            PolicySpec.model_validate({name: value})
            fields[name] = value
        except ValidationError:
            unknown.add(name)
    return PolicySpec.model_validate(fields), frozenset(unknown)


# --- Limits -----------------------------------------------------------------------


def least_limit(judge: Judge) -> int:
    """No owner may have fewer Schedules than these."""
    limits = judge.spec.limits.schedules_per_owner
    return limits if isinstance(limits, int) else min([_OWNED, *limits.values()])


def owner_limit(judge: Judge, owner: str) -> tuple[int, str]:
    """How many Schedules an owner may have, and where that is set."""
    limits = judge.spec.limits.schedules_per_owner
    path = ("limits", "schedules_per_owner")
    if isinstance(limits, int):
        return limits, judge.where(*path)
    for name in (owner, "default"):
        if name in limits:
            return limits[name], judge.where(*path, name)
    return _OWNED, BUILT_IN


def beyond_limit(
    owners: Iterable[tuple[str, bool]], judge: Judge
) -> Iterator[Finding | None]:
    """For the owner of each Schedule, in order: the Finding where it is one too many.

    Each comes with whether it is served already; those stay and count first.
    """
    listed = list(owners)
    counts: dict[str, int] = {}
    for owner, served in listed:
        counts[owner] = counts.get(owner, 0) + served
    for owner, served in listed:
        if served or "limits" in judge.unknown:
            yield None
            continue
        counts[owner] += 1
        yield _beyond(owner, counts[owner], judge)


def _beyond(owner: str, count: int, judge: Judge) -> Finding | None:
    limit, where = owner_limit(judge, owner)
    if count <= limit:
        return None
    return Finding(
        code="BOE130",
        path=("metadata", "owner"),
        detail=f"{owner} may have {limit} schedules (schedules_per_owner, {where}); "
        f"this is number {count}",
        help=judge.todo(
            "remove one, or ask for a higher limit in policy.yaml",
            *("limits", "schedules_per_owner"),
        ),
    )


# --- What may be reached -----------------------------------------------------------


def type_findings(judge: Judge, kind: str, path: Path) -> Iterator[Finding]:
    allowed = judge.spec.allow.destinations
    if allowed is not None and kind not in allowed:
        where = judge.where("allow", "destinations")
        yield Finding(
            code="BOE131",
            path=(*path, "type"),
            detail=f"destinations of type {kind} are not allowed ({where})",
            help=judge.todo(
                f"allowed: {', '.join(allowed) or 'none'}", "allow", "destinations"
            ),
        )


def domain_findings(judge: Judge, address: str, path: Path) -> Iterator[Finding]:
    allowed = judge.spec.allow.email_domains
    domain = address.rpartition("@")[2].rstrip(">").lower()
    if allowed is None or any(domain == each.lower() for each in allowed):
        return
    where = judge.where("allow", "email_domains")
    yield Finding(
        code="BOE132",
        path=path,
        detail=f"mail to {domain} is not allowed ({where})",
        help=judge.todo(
            f"allowed: {', '.join(allowed) or 'none'}", "allow", "email_domains"
        ),
    )


#: Fields that hold a host or a URL.
_HOSTS = ("host", "url", "endpoint_url", "endpoint", "account_url")


def host_findings(
    judge: Judge, spec: Mapping[str, Any], path: Path, *, webhook: bool
) -> Iterator[Finding]:
    """Hosts that a Connection or a webhook names and that are not to be reached."""
    for field in _HOSTS:
        value = spec.get(field)
        if isinstance(value, str) and (host := host_of(value)):
            for finding in _host(judge, host, webhook=webhook):
                yield replace(finding, path=(*path, field))


def host_of(text: str) -> str:
    """The host in a URL, or the text itself; empty where a URL has none."""
    if "://" not in text:
        return text.lower()
    rest = re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0]
    rest = rest.rpartition("@")[2]
    bracketed = re.match(r"\[([^\]]*)\]", rest)
    return (bracketed[1] if bracketed else rest.partition(":")[0]).lower()


def _host(judge: Judge, host: str, *, webhook: bool) -> Iterator[Finding]:
    allow = judge.spec.allow
    if not is_allowed(host, allow.hosts):
        where = judge.where("allow", "hosts")
        yield Finding(
            code="BOE133",
            path=(),
            detail=f"{host} may not be reached ({where})",
            help=judge.todo(
                f"allowed: {', '.join(allow.hosts or []) or 'none'}", "allow", "hosts"
            ),
        )
    elif webhook and not allow.private_addresses and is_private(host):
        yield Finding(
            code="BOE133",
            path=(),
            detail=f"{host} is an address of a private network",
            help=judge.todo(
                "allow.private_addresses in policy.yaml would allow it",
                *("allow", "private_addresses"),
            ),
        )


def is_private(host: str) -> bool:
    """Whether a host is no public address by its text alone."""
    # Few repos name hosts, and `boe validate` of the others need not load them.
    from ipaddress import ip_address  # noqa: PLC0415 on use

    from boe_reconciler.core.networks import is_public  # noqa: PLC0415 on use

    host = host.rstrip(".")
    try:
        return not is_public(ip_address(host))
    except ValueError:
        last = host.rpartition(".")[2]
        # 127.1, 0x7f.1 and 2130706433 are addresses, too.
        return last == "localhost" or re.match(r"[0-9]", last) is not None


def transform_findings(judge: Judge, transform: str, path: Path) -> Iterator[Finding]:
    file, _ = transform_parts(transform)
    if file not in judge.spec.allow.transforms:
        where = judge.where("allow", "transforms")
        yield Finding(
            code="BOE134",
            path=path,
            detail=f"{file} is not listed ({where})",
            help=judge.todo(
                f"add {file} to allow.transforms in policy.yaml", "allow", "transforms"
            ),
        )


# --- Required fields ----------------------------------------------------------------


def required_findings(judge: Judge, document: Document) -> Iterator[Finding]:
    """Fields that the Policy requires: of metadata, or a path such as spec.period."""
    for field in judge.spec.require:
        path: Path = tuple(field.split("."))
        path = path if len(path) > 1 else ("metadata", field)
        if path[0] == "spec" and document.kind != "Schedule":
            continue
        if document.value(path) in (None, "", [], {}):
            where = judge.where("require")
            yield Finding(
                code="BOE135",
                path=path,
                detail=f"{field} is required ({where})",
                help=judge.todo(
                    f"fill in {'.'.join(map(str, path))}, or take {field} out of `require` in "
                    "policy.yaml",
                    "require",
                ),
                at_key=True,
            )
