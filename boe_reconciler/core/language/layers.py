"""A Schedule over its ScheduleTemplate over the Policy's defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from boe_reconciler.core.language.places import Document, Part, Place, child
from boe_reconciler.core.resources.connection import FREE_MAPS

Map = Mapping[str, Any]

#: Fields of a spec that are replaced whole.
_WHOLE = ("when",)
_DEFAULTS = ("spec", "defaults")


def merged_schedule(
    schedule: Document, template: Document | None, policy: Document | None
) -> Document:
    """A Schedule's document over its ScheduleTemplate over the Policy's defaults.

    Maps merge, lists and scalars replace, null removes, `when` is replaced whole.
    The defaults' time zone completes a `when` that names none. Each value keeps the
    place it came from, in whichever file that is.
    """
    lies_over_nothing = template is None and policy is None
    if lies_over_nothing and not _has_null(schedule.data):
        return schedule
    spec = _map_at(schedule, "spec")
    if spec is None:
        return schedule
    below, defaults = _map_at(template, "spec"), _map_at(policy, *_DEFAULTS)
    general = _without(defaults, "timezone")
    shared = _merge(general if below is None else below, general, _WHOLE)
    merged = _merge(spec, _without(shared, "template"), _WHOLE)
    completed = _with_timezone(merged, defaults)
    if completed is spec:
        return schedule
    return replace(
        schedule,
        data=_with(schedule.data, "spec", completed),
        find=partial(_place, schedule, template, policy, merged, completed),
        own=schedule.data,
    )


def overlaid(over: Part, under: Part) -> Part:
    """A Connection's spec as an Environment has it: maps merge, null removes.

    A reference to a secret is one thing, though it is written as a map.
    """
    data = _merge(over.data, _without_replaced(over.data, under.data))
    return Part(data=data, place=_laid(data, [over.place, under.place]))


def with_spec(document: Document, spec: Part) -> Document:
    """The document with another spec, each value in its own place."""
    data = _with(document.data, "spec", spec.data)
    place = _with_field(document.place, data, "spec", spec.place)
    return replace(document, data=data, find=lambda: place, own={})


# --- Values ---------------------------------------------------------------------


def _map_at(document: Document | None, *path: str) -> dict[str, Any] | None:
    found = document.value(path) if document else None
    return found if isinstance(found, dict) else None


def _merge(over: Any, under: Any, whole: Sequence[str] = ()) -> Any:
    below = under if isinstance(under, dict) else {}
    if not isinstance(over, dict) or not (below or _has_null(over)):
        return over
    merged = {key: value for key, value in below.items() if key not in over}
    for key, value in over.items():
        merged[key] = value if key in whole else _merge(value, below.get(key))
    return _without(merged)


def _has_null(fields: Map) -> bool:
    return any(
        one is None or (isinstance(one, dict) and _has_null(one))
        for one in fields.values()
    )


def _without(fields: Map | None, *keys: str) -> dict[str, Any]:
    """Fields that say something, but for these."""
    items = (fields or {}).items()
    return {k: value for k, value in items if value is not None and k not in keys}


def _with(fields: Map, key: str, value: Any) -> dict[str, Any]:
    return _without({**fields, key: value})


def _with_timezone(spec: Any, defaults: Map | None) -> Any:
    when = spec.get("when")
    if not isinstance(when, dict) or not when or "timezone" in when:
        return spec
    if defaults is None or "timezone" not in defaults:
        return spec
    return _with(spec, "when", _with(when, "timezone", defaults["timezone"]))


def _without_replaced(over: Any, under: Any) -> Any:
    """`under` without the references that `over` gives anew."""
    if not isinstance(over, dict) or not isinstance(under, dict):
        return under
    kept = {}
    for key, value in under.items():
        upper = over.get(key) if key not in FREE_MAPS else None
        if not (_is_reference(upper) and _is_reference(value)):
            kept[key] = _without_replaced(upper, value)
    return kept


def _is_reference(data: object) -> bool:
    return isinstance(data, dict) and [*data] in (["env"], ["file"], ["sops"])


# --- Places ---------------------------------------------------------------------


def _place(
    schedule: Document,
    template: Document | None,
    policy: Document | None,
    merged: Map,
    completed: Map,
) -> Place:
    """Of a Schedule whose spec was `merged`, and then `completed` by a time zone."""
    layers = ((schedule, ("spec",)), (template, ("spec",)), (policy, _DEFAULTS))
    parts = [document.part(path) for document, path in layers if document]
    place = _laid(merged, [part.place for part in parts if part])
    zone = policy.part((*_DEFAULTS, "timezone")) if policy else None
    if zone and completed is not merged:
        when = child(place, "when")
        assert when  # noqa: S101 it was completed
        when = _with_field(when, completed["when"], "timezone", zone.place)
        place = _with_field(place, completed, "when", when)
    data = _with(schedule.data, "spec", completed)
    return _with_field(schedule.place, data, "spec", place)


def _laid(data: Any, places: Sequence[Place]) -> Place:
    """Of a value that was laid together from those at `places`, the first on top."""
    source, start, end, _ = places[0]
    if not isinstance(data, dict):
        return places[0]
    children = [found for *_, found in places if isinstance(found, dict)]
    laid = {}
    for key, value in data.items():
        entries = [found[key] for found in children if key in found]
        key_start, key_end, _ = entries[0]
        inner = _laid(value, [place for _, _, place in entries])
        laid[key] = key_start, key_end, inner
    return source, start, end, laid


def _with_field(place: Place, data: Map, key: str, value: Place) -> Place:
    """Of a map that holds `data` now, with the value at `key` standing somewhere else.

    Its own key counts as long as it stands in the file of the value.
    """
    source, start, end, children = place
    assert isinstance(children, dict)  # noqa: S101 a map's place has a map's children
    known = children.get(key)
    own = known[:2] if known and known[2][0] is value[0] else value[1:3]
    fields = {**children, key: (*own, value)}
    return source, start, end, {name: fields[name] for name in data}
