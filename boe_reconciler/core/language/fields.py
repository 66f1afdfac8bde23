"""Which fields the language knows at a path, for suggestions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, get_args, get_origin

from boe_reconciler.core.problems import Path
from boe_reconciler.core.resources.base import Model


def known_fields(model: type[Model], data: Any, path: Path) -> list[str]:
    """The fields of the map at `path` in `data`, which `model` describes."""
    types: list[Any] = [model]
    for step in path:
        types = list(_below(types, step, data))
        data = data[step]
    models = [found for found in _members(types) if _is_model(found)]
    chosen = [found for found in models if _has_type(found, data)] or models
    return list(dict.fromkeys(name for found in chosen for name in fields_of(found)))


def fields_of(model: type[Model]) -> dict[str, Any]:
    """Name in YAML -> pydantic's field."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _is_model(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, Model)


def _members(types: Iterable[Any]) -> Iterator[Any]:
    """Models, lists and dicts of `types`, out of their unions and annotations."""
    for found in types:
        origin = get_origin(found)
        if origin in (list, dict) or _is_model(found):
            yield found
        elif origin is Annotated:
            yield from _members(get_args(found)[:1])
        elif origin is not None:
            yield from _members(get_args(found))


def _below(types: Iterable[Any], step: str | int, data: Any) -> Iterator[Any]:
    for found in _members(types):
        if get_origin(found) in (list, dict):
            yield get_args(found)[-1]
        elif _is_model(found) and _has_type(found, data):
            field = fields_of(found).get(str(step))
            if field:
                yield field.annotation


def _has_type(model: type[Model], data: Any) -> bool:
    """Whether the `type` in `data` is that of `model`, where both have one."""
    field = model.model_fields.get("type")
    said = data.get("type") if isinstance(data, dict) else None
    return field is None or said is None or said in get_args(field.annotation)
