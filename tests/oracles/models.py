"""What every model of the language is to pydantic's core, by two makers.

Run as a program it has pydantic itself make them, from the same source files.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

#: What the core assumes where it stands in no schema, and what it does not look at.
ASSUMED = {
    "computed_fields": [],
    "custom_init": False,
    "root_model": False,
    "default_factory_takes_data": False,
    "info_arg": False,
    "microseconds_precision": "truncate",
}
IGNORED = {"metadata", "ref", "title"}


def pydantic_itself() -> ModuleType:
    """Stands in for `resources.light`."""
    import pydantic

    class Model(
        pydantic.BaseModel, extra="forbid", strict=True, frozen=True, defer_build=True
    ):
        pass

    found = ModuleType("boe_reconciler.core.resources.light")
    marks = "BeforeValidator Discriminator Field PlainSerializer Tag WithJsonSchema"
    for name in marks.split():
        setattr(found, name, getattr(pydantic, name))
    vars(found).update(Model=Model, schema_of=of_pydantic, validator_of=of_pydantic)
    return found


def of_pydantic(model: Any) -> Any:
    model.model_rebuild()
    return model.__pydantic_core_schema__


def of_ours(model: Any) -> Any:
    from boe_reconciler.core.resources.light import schema_of

    return schema_of(model)


def schemas(make: Any) -> dict[str, Any]:
    """Module and name of each model -> its schema, references filled in."""
    from boe_reconciler import core
    from boe_reconciler.core.resources.base import Model

    for module in pkgutil.walk_packages(core.__path__, f"{core.__name__}."):
        importlib.import_module(module.name)

    return {
        f"{model.__module__}.{model.__qualname__}": plain(make(model), {})
        for model in below(Model)
        if model.__module__.startswith("boe_reconciler.core.")
    }


def below(model: Any) -> Iterator[Any]:
    for child in model.__subclasses__():
        yield child
        yield from below(child)


def plain(schema: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [plain(entry, known) for entry in schema]
    if not isinstance(schema, dict):
        has_value = isinstance(schema, str | int | float | None)
        return schema if has_value else getattr(schema, "__qualname__", repr(schema))
    if schema.get("type") == "definitions":
        more = {one["ref"]: one for one in schema["definitions"]}
        return plain(schema["schema"], {**known, **more})
    if schema.get("type") == "definition-ref":
        return plain(known[schema["schema_ref"]], known)
    return {
        str(key): plain(value, known)
        for key, value in as_model(schema).items()
        if key not in IGNORED and (key not in ASSUMED or value != ASSUMED[key])
    }


def as_model(schema: dict[str, Any]) -> dict[str, Any]:
    """Ours are dataclasses to the core, for their slots: as the model that theirs is."""
    kind = schema.get("type")
    if kind == "dataclass":
        left = {"fields", "slots", "strict"}
        return {k: v for k, v in schema.items() if k not in left} | {"type": "model"}
    if kind == "dataclass-args":
        named = {field["name"]: field for field in schema["fields"]}
        name = schema["dataclass_name"]
        return {"type": "model-fields", "model_name": name, "fields": named}
    if kind == "default" and schema.get("default_factory") in (dict, list):
        return {
            "type": kind,
            "schema": schema["schema"],
            "default": schema["default_factory"](),
        }
    if kind == "dataclass-field":
        left = {"name", "kw_only"}
        kept = {k: v for k, v in schema.items() if k not in left}
        return kept | {"type": "model-field"}
    return schema


if __name__ == "__main__":
    sys.modules["boe_reconciler.core.resources.light"] = pydantic_itself()
    json.dump(schemas(of_pydantic), sys.stdout)
