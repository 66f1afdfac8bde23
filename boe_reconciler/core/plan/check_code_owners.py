"""Whether who owns an object also reviews its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from boe_reconciler.core.language.addresses import folded
from boe_reconciler.core.language.places import text_at
from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.check_destination import members_of
from boe_reconciler.core.plan.code_owners import CodeOwners, Rule
from boe_reconciler.core.plan.policy import Judge
from boe_reconciler.core.plan.world import MISSING, Entry, World
from boe_reconciler.core.problems import Path
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.envelope import Group

_OWNER: Path = ("metadata", "owner")


@dataclass(frozen=True, kw_only=True, slots=True)
class Owned:
    """All that it depends on, beside the object itself."""

    #: The file that says so; "" where there is none.
    path: str
    #: Why it says nothing; may be empty.
    lacks: str
    rules: tuple[Rule, ...]
    #: Name -> the Group in question, or why it cannot be had.
    groups: Mapping[str, Entry | str]


def owned(entry: Entry, world: World, owners: CodeOwners) -> Owned:
    """Who reviews an object's file."""
    rules = owners.of(entry.document.filename)
    names = {_group(one) for rule in rules for one in rule.owners}
    names.add(text_at(entry.metadata, "owner") or "")
    found = {name: _look_up(world, name) for name in names if name and "@" not in name}
    return Owned(
        path=owners.path,
        lacks=owners.lacks,
        rules=rules,
        groups={name: group for name, group in found.items() if group != MISSING},
    )


def _look_up(world: World, name: str) -> Entry | str:
    """Never its Verdict: a Group may be reviewed by others, which come later."""
    found = world.look_up(("Group", name), "Policy")
    return found if isinstance(found, Entry) else str(found)


def _group(owner: str) -> str:
    """The name of the Group that a handle means: @org/finance is finance."""
    handle = owner.startswith("@")
    return owner.removeprefix("@").rpartition("/")[2].casefold() if handle else ""


def check_code_owners(check: Check, judge: Judge, owners: Owned) -> None:
    owner = text_at(check.entry.metadata, "owner")
    path = _OWNER if owner else ("metadata", "name")
    where = judge.where("codeowners")
    if not owners.rules:
        file = check.entry.document.filename
        detail = owners.lacks or f"{owners.path} names nobody for {file}"
        todo = judge.todo("write who reviews it into CODEOWNERS", "codeowners")
        check.add(
            "BOE158", path, f"{detail}, and code owners are asked for ({where})", todo
        )
    elif owner and ("@" in owner or owner in owners.groups):
        _check_owner(check, judge, owners, owner)


def _check_owner(check: Check, judge: Judge, owners: Owned, owner: str) -> None:
    listed = {one for rule in owners.rules for one in rule.owners}
    today = check.now.date()
    reviewers = {
        who for one in listed for who in _who(_group(one) or one, owners, today)
    }
    if not reviewers.isdisjoint(_who(owner, owners, today)):
        return
    unusable = [name for name, one in owners.groups.items() if _spec(one) is None]
    if unusable:
        check.blocked_by = check.blocked_by or ("Group", min(unusable))
        return
    told = "; ".join(
        f"{owners.path}:{rule.line} names {', '.join(rule.owners)}"
        for rule in reversed(owners.rules)
    )
    detail = f"{owner} is no code owner of {check.entry.document.filename}: {told}"
    where = judge.where("codeowners")
    todo = "name it there, or choose an owner who is (a Group counts as @NAME or @org/NAME)"
    check.add(
        "BOE157",
        _OWNER,
        f"{detail} (codeowners, {where})",
        judge.todo(todo, "codeowners"),
    )


def _who(owner: str, owners: Owned, today: date) -> Iterator[object]:
    """What an owner, or a code owner, is known by: its name or address, and its members'."""
    if "@" in owner:
        yield folded(owner)
        return
    yield owner
    group = _spec(owners.groups.get(owner, MISSING))
    for member in members_of(group, today) if group else ():
        yield folded(member)


def _spec(found: Entry | str) -> Group | None:
    resource = found.resource if isinstance(found, Entry) else None
    return resource if isinstance(resource, Group) else None
