"""Who is told of failures from now on, and which far sides are other ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boe_reconciler.core.changes.impact.pairs import Look, Pair, Side
from boe_reconciler.core.pauses import connections
from boe_reconciler.core.plan import Plan

#: What says where a Connection leads, and as whom; never a secret.
_PLACE = (
    "type",
    "host",
    "port",
    "database",
    "user",
    "role",
    "path",
    "files",
    "url",
    "region",
    "endpoint_url",
    "endpoint",
    "account_url",
    "host_key",
)

_Spec = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnerChanged:
    """Who is told of failures from now on."""

    before: str
    after: str
    schedules: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionMoved:
    """A Connection that leads elsewhere, by one of its fields."""

    connection: str
    field: str
    before: Any
    after: Any
    #: Schedules that read over it, and those that deliver over it.
    reading: Sequence[str]
    delivering: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadsElsewhere:
    """Schedules that read over another Connection than before."""

    before: str
    after: str
    schedules: Sequence[str]


def owners_changed(look: Look) -> list[OwnerChanged]:
    found = _grouped(look, lambda side: side.planned.spec.owner)
    return [
        OwnerChanged(before=was, after=will, schedules=names)
        for (was, will), names in found
    ]


def reads_elsewhere(look: Look) -> list[ReadsElsewhere]:
    found = _grouped(look, lambda side: side.planned.spec.connection_name)
    return [
        ReadsElsewhere(before=was, after=will, schedules=names)
        for (was, will), names in found
    ]


def _grouped(look: Look, value: Any) -> list[tuple[tuple[str, str], list[str]]]:
    """(before, after) -> the schedules on both sides of which it differs so."""
    found = defaultdict(list)
    for pair in look.pairs:
        if pair.before and pair.after:
            was, will = value(pair.before), value(pair.after)
            if was != will:
                found[was, will].append(pair.name)
    return sorted(found.items())


def connections_moved(look: Look) -> list[ConnectionMoved]:
    if look.before is None:
        return []
    return [
        moved
        for name, was, will in _specs(look)
        for moved in _moved(name, was, will, look.pairs)
    ]


def _moved(
    name: str,
    was: _Spec,
    will: _Spec,
    pairs: Sequence[Pair],
) -> Iterator[ConnectionMoved]:
    fields = [field for field in _PLACE if was.get(field) != will.get(field)]
    if not fields:
        return
    users = [pair for pair in pairs if pair.after and _uses(pair.after, name)]
    reading = [pair.name for pair in users if pair.after and _reads(pair.after, name)]
    for field in fields:
        yield ConnectionMoved(
            connection=name,
            field=field,
            before=was.get(field),
            after=will.get(field),
            reading=reading,
            delivering=[one.name for one in users if one.name not in reading],
        )


def _uses(side: Side, connection: str) -> bool:
    return connection in connections(side.planned.spec)


def _reads(side: Side, connection: str) -> bool:
    return side.planned.spec.connection_name == connection


def _specs(look: Look) -> Iterator[tuple[str, _Spec, _Spec]]:
    """Name, and both sides, of each Connection: as it stands in its document.

    Of one that is read over on both sides it is what an Environment makes of it.
    """
    assert look.before  # noqa: S101 asked before
    stands = [_documents(plan) for plan in (look.before, look.after)]
    used = (
        _resolved([pair.before for pair in look.pairs]),
        _resolved([pair.after for pair in look.pairs]),
    )
    for name in sorted(stands[0].keys() & stands[1].keys()):
        old, new = used if name in used[0] and name in used[1] else stands
        yield name, old[name], new[name]


def _documents(plan: Plan) -> dict[str, _Spec]:
    return {
        name: one.data["spec"]
        for (kind, name), one in plan.objects.items()
        if kind == "Connection"
    }


def _resolved(sides: Sequence[Side | None]) -> dict[str, _Spec]:
    return {
        side.planned.spec.connection_name: side.planned.spec.connection.model_dump(
            mode="json", include={*_PLACE}
        )
        for side in sides
        if side
    }
