"""A Schedule over its ScheduleTemplate over the Policy's defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from boe_reconciler.core.language.places import Document, Part, Place
from boe_reconciler.core.resources.connection import FREE_MAPS


def merged_schedule(
    schedule: Document, template: Document | None, policy: Document | None
) -> Document:
    """A Schedule's document over its ScheduleTemplate over the Policy's defaults.

    Maps merge, lists and scalars replace, null removes, `when` is replaced whole.
    The defaults' time zone completes a `when` that names none. Each value keeps the
    place it came from, in whichever file that is.
    """
    spec = _map_at(schedule, "spec")
    if spec is None:
        return schedule
    defaults = _map_at(policy, "spec", "defaults")
    under = merge(_map_at(template, "spec"), _without(defaults, "timezone"))
    merged = merge(spec, _without(under, "template")) or spec
    zone = policy.part(("spec", "defaults", "timezone")) if policy else None
    completed = _with_timezone(merged, zone)
    return schedule if completed is spec else with_spec(schedule, completed)


def merge(over: Part | None, under: Part | None) -> Part | None:
    """One spec laid over another: see `merged_schedule`."""
    upper = over or under
    return upper and _merge(upper, under, whole=("when",))


def overlaid(over: Part, under: Part) -> Part:
    """A Connection's spec as an Environment has it: maps merge, null removes.

    A reference to a secret is one thing, though it is written as a map.
    """
    return _merge(over, _without_replaced(over, under))


def _without_replaced(over: Part, under: Part) -> Part:
    """`under` without the references that `over` gives anew."""
    fields, below = _fields(over), _fields(under)
    if fields is None or below is None:
        return under
    kept = {}
    for key, (start, end, part) in below.items():
        upper = fields[key][2] if key in fields and key not in FREE_MAPS else None
        if upper and _is_reference(upper.data) and _is_reference(part.data):
            continue
        inner = _without_replaced(upper, part) if upper else part
        kept[key] = (start, end, inner)
    return _map(under.place, kept)


def _is_reference(data: object) -> bool:
    return isinstance(data, dict) and [*data] in (["env"], ["file"], ["sops"])


def _merge(over: Part, under: Part | None, whole: Sequence[str] = ()) -> Part:
    fields = None if under is None and not _has_null(over.data) else _fields(over)
    if fields is None:
        return over
    below = _fields(under) or {}
    merged = {key: entry for key, entry in below.items() if key not in fields}
    for key, (start, end, part) in fields.items():
        lower = below[key][2] if key in below else None
        value = part if key in whole else _merge(part, lower)
        merged[key] = (start, end, value)
    return _map(over.place, merged)


def _has_null(data: object) -> bool:
    if not isinstance(data, dict):
        return data is None
    return any(map(_has_null, data.values()))


#: key -> (start of the key, end of the key, the value): the fields of a map.
_Fields = dict[str, tuple[int, int, Part]]


def _fields(part: Part | None) -> _Fields | None:
    if part is None or not isinstance(part.data, dict):
        return None
    children = part.place[3]
    assert isinstance(children, dict)  # noqa: S101 a map's place has a map's children
    return {
        key: (start, end, Part(data=part.data[key], place=place))
        for key, (start, end, place) in children.items()
    }


def _map(place: Place, fields: _Fields) -> Part:
    """A map of `fields`, without those that are null."""
    source, start, end, _ = place
    kept = {key: entry for key, entry in fields.items() if entry[2].data is not None}
    children = {key: (a, b, part.place) for key, (a, b, part) in kept.items()}
    data = {key: part.data for key, (_, _, part) in kept.items()}
    return Part(data=data, place=(source, start, end, children))


def _map_at(document: Document | None, *path: str) -> Part | None:
    part = document.part(path) if document else None
    return part if part and isinstance(part.data, dict) else None


def _without(part: Part | None, key: str) -> Part | None:
    fields = _fields(part)
    if part is None or fields is None:
        return None
    return _map(part.place, {k: entry for k, entry in fields.items() if k != key})


def _with_field(part: Part, key: str, value: Part, like: Place) -> Part:
    """`part` with another field, whose key stands where `like` begins.

    Its own key counts as long as it stands in the file of the value.
    """
    fields = _fields(part) or {}
    known = key in fields and fields[key][2].place[0] is value.place[0]
    start, end = fields[key][:2] if known else (like[1], like[2])
    return _map(part.place, {**fields, key: (start, end, value)})


def _with_timezone(spec: Part, zone: Part | None) -> Part:
    when = (_fields(spec) or {}).get("when")
    if zone is None or when is None or "timezone" in (_fields(when[2]) or {"timezone"}):
        return spec
    completed = _with_field(when[2], "timezone", zone, zone.place)
    return _with_field(spec, "when", completed, completed.place)


def with_spec(document: Document, spec: Part) -> Document:
    """The document with another spec, each value in its own place."""
    root = Part(data=document.data, place=document.place)
    whole = _with_field(root, "spec", spec, spec.place)
    return replace(document, data=whole.data, place=whole.place)
