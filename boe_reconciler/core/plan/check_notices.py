"""Whether anybody can be told when a Schedule fails (docs/notices.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.plan.check_destination import MAIL_TYPES
from boe_reconciler.core.plan.world import Entry, Key
from boe_reconciler.core.wording import counted


def unheard(
    policy: Entry, entries: Mapping[Key, Entry]
) -> Iterator[tuple[Entry, Finding]]:
    """One finding for all of them, of a Policy that says nothing of an ops channel.

    An empty list says that nobody is meant: `BOE_NOTICE_URL` may be told.
    """
    if "notices" in _spec(policy):
        return
    silent = sorted(_silent(entries, _spec(policy).get("defaults")))
    if silent:
        others = len(silent) - 1
        more = f" (nor of {counted(others, 'other Schedule')})" if others else ""
        yield (
            policy,
            Finding(
                code="BOE270",
                path=("spec",),
                detail=f"nobody can be told of failures of {silent[0]}{more}: there is no "
                "ops channel, and no Connection to mail its owner",
                help="add `notices: {ops: [NAME]}`, a Distribution with an email or a "
                "webhook; `ops: []` if that is meant, or BOE_NOTICE_URL is told",
                severity="warning",
            ),
        )


def _silent(entries: Mapping[Key, Entry], defaults: object) -> Iterator[str]:
    """Names of the Schedules that matter to others, and whose listeners none reaches."""
    mailers = [
        one
        for one in entries.values()
        if one.kind == "Connection" and _spec(one).get("type") in MAIL_TYPES
    ]
    if len(mailers) == 1:
        return
    for one in entries.values():
        if one.kind == "Schedule":
            spec = _spec(one)
            under = entries.get(("ScheduleTemplate", str(spec.get("template"))))
            layers = [spec, _spec(under) if under else {}, _map(defaults)]
            sent = {*_targets(layers, "deliver_to", entries)}
            told = {*_targets(layers, "notify", entries)}
            heard = "email" in sent or not told.isdisjoint({"email", "webhook"})
            # What stays in a folder here may be somebody's own trial.
            if not heard and (told or sent - {"local", None}):
                yield one.name


def _targets(
    layers: Sequence[Mapping[str, Any]], field: str, entries: Mapping[Key, Entry]
) -> Iterator[str | None]:
    """Types of the destinations to which the uppermost layer that has it leads."""
    value = next((one[field] for one in layers if field in one), None)
    for one in value if isinstance(value, list) else ():
        name = _map(one).get("distribution", one)
        found = entries.get(("Distribution", name)) if isinstance(name, str) else None
        destinations = _spec(found).get("destinations") if found else [one]
        for each in destinations if isinstance(destinations, list) else ():
            kind = _map(each).get("type")
            yield kind if isinstance(kind, str) else None


def _spec(entry: Entry) -> Mapping[str, Any]:
    return _map(entry.document.data.get("spec"))


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
