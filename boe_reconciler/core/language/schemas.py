"""JSON Schema (draft 2020-12) of the language, from its models.

Plain constructs alone: editors show descriptions, examples, defaults and choices,
and judge a destination or Connection by the fields of its own `type`. There is no
oneOf: its only message is that several schemas match.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from boe_reconciler.core.language.editor import for_editors, snippets_of_documents
from boe_reconciler.core.language.suggest import listed
from boe_reconciler.core.resources.envelope import API_VERSION, KINDS, OWNERLESS
from boe_reconciler.core.resources.light import schema_of

DRAFT = "https://json-schema.org/draft/2020-12/schema"
WHOLE = "boe.schema.json"
Schema = dict[str, Any]

#: Of these fields one is given at most, …
_AT_MOST_ONE = {
    "ReportSpec": ("query", "query_file", "workbook"),
    "Sheet": ("query", "query_file"),
    "When": ("cron", "frequency", "every", "once"),
    "WebhookDestination": ("connection", "url"),
    "SftpConnection": ("password", "private_key"),
    "Burst": ("recipients_query", "recipients_file", "values_from"),
    "SmtpConnection": ("password", "oauth2"),
}
#: … and of these one at least.
_AT_LEAST_ONE = {
    name: [keys] for name, keys in _AT_MOST_ONE.items() if name != "SmtpConnection"
}
_AT_LEAST_ONE["Burst"].append(("values_from", "split_on"))
_TYPE = "What it is; the other fields follow from that."
_KEPT_DEFAULTS = str | int | float | bool
_DEFINITION = re.compile(r"^#/\$defs/(.*)$")


def render_schemas() -> dict[str, str]:
    """File name -> text: one file a kind, and one that picks by `kind`."""
    definitions = schema_definitions()
    for_editors(definitions)
    whole = {
        "$schema": DRAFT,
        "title": "BOE document",
        "description": "One document of a BOE repo.",
        **_by_kind(),
        "defaultSnippets": snippets_of_documents(),
        "$defs": definitions,
    }
    schemas = {WHOLE: whole}
    for kind in KINDS:
        schemas[f"{kind.lower()}.schema.json"] = {
            "$schema": DRAFT,
            "title": f"BOE {kind}",
            "$ref": _ref(kind),
            "$defs": _reachable(definitions, kind),
        }
    return {name: _text(schema) for name, schema in schemas.items()}


def _text(schema: Schema) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _ref(name: str) -> str:
    return f"#/$defs/{name}"


def _by_kind() -> Schema:
    kinds = [_where("kind", kind, {"$ref": _ref(kind)}) for kind in KINDS]
    return {
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {
                "enum": list(KINDS),
                "description": "What the document describes.",
            },
        },
        "allOf": kinds,
    }


def _where(key: str, value: str, then: Schema) -> Schema:
    """What a map has to be whose `key` is `value`."""
    chosen = {"properties": {key: {"const": value}}, "required": [key]}
    return {"if": {"type": "object", **chosen}, "then": then}


# --- Definitions ----------------------------------------------------------------


class _Generator(GenerateJsonSchema):
    def generate_inner(self, schema: Any) -> Schema:
        """With what the models say beside their types."""
        said = schema.get("metadata", {})
        if "written" in said:
            return dict(said["written"])
        return {**super().generate_inner(schema), **said}

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> Schema:
        """By `type` with if and then, where models have one; else any of the shapes."""
        choices = schema["choices"].items()
        typed = {
            str(tag)[2:-1]: self.generate_inner(choice)
            for tag, choice in choices
            if str(tag).startswith("<=")
        }
        plain = [
            self.generate_inner(choice)
            for tag, choice in choices
            if not str(tag).startswith("<=")
        ]
        shapes = [*plain, *([_by_type(typed)] if typed else [])]
        return shapes[0] if len(shapes) == 1 else {"anyOf": shapes}


def _by_type(models: Mapping[str, Schema]) -> Schema:
    branches = [_where("type", name, model) for name, model in models.items()]
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": list(models), "description": _TYPE}},
        "allOf": branches,
    }


def schema_definitions() -> dict[str, Schema]:
    """Name of a model -> its schema; references are `#/$defs/NAME`."""
    made = _Generator().generate_definitions(
        [(kind, "validation", schema_of(model)) for kind, model in KINDS.items()]
    )
    definitions = {str(name): _plain(schema) for name, schema in made[1].items()}
    for name, keys in _AT_MOST_ONE.items():
        needed = [_one_needed(each) for each in _AT_LEAST_ONE.get(name, ())]
        definitions[name]["allOf"] = [*_exclusive(keys), *needed]
    _own(definitions)
    _share(definitions)
    return dict(sorted(definitions.items()))


def _exclusive(keys: Sequence[str]) -> Iterator[Schema]:
    for first, second in combinations(keys, 2):
        said = f"{second} cannot stand beside {first}: keep one of the two"
        refused = {"properties": {second: False}, "errorMessage": said}
        yield {"if": {"required": [first]}, "then": refused}


def _one_needed(keys: Sequence[str]) -> Schema:
    given = {"anyOf": [{"required": [key]} for key in keys]}
    said = f"add {listed(keys)}"
    missing = {"required": [keys[0]], "errorMessage": said}
    return {"if": {"not": given}, "then": missing}


def _own(definitions: dict[str, Schema]) -> None:
    """Most kinds need an owner."""
    metadata = definitions["Metadata"]
    definitions["OwnedMetadata"] = {**metadata, "required": ["name", "owner"]}
    for kind in set(KINDS) - set(OWNERLESS):
        properties = definitions[kind]["properties"]
        properties["metadata"] = {
            **properties["metadata"],
            "$ref": _ref("OwnedMetadata"),
        }


def _share(definitions: dict[str, Schema]) -> None:
    """Parts of a Schedule's spec: nothing is required in them, or with a template."""
    spec = definitions["ScheduleSpec"]
    required = spec.pop("required")
    fields = {k: v for k, v in spec["properties"].items() if k != "template"}
    partial = {**spec, "properties": fields}
    zone = definitions["When"]["properties"]["timezone"]
    definitions["SharedScheduleSpec"] = partial
    definitions["ScheduleDefaults"] = {
        **partial,
        "properties": {"timezone": zone, **fields},
    }
    spec |= {"if": {"required": ["template"]}, "else": {"required": required}}
    _point(definitions["ScheduleTemplate"], "spec", "SharedScheduleSpec")
    _point(definitions["PolicySpec"], "defaults", "ScheduleDefaults")


def _point(owner: Schema, field: str, name: str) -> None:
    described = {"description": owner["properties"][field]["description"]}
    owner["properties"][field] = {**described, "$ref": _ref(name)}


# --- Making them plain ----------------------------------------------------------


def _plain(schema: Any) -> Any:
    """Without pydantic's titles, with null as one more type, with scalar defaults."""
    if isinstance(schema, list):
        return [_plain(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _plain_keyword(key, v) for key, v in schema.items() if key != "title"}
    if not isinstance(kept.get("default", ""), _KEPT_DEFAULTS):
        del kept["default"]
    for pattern, values in kept.pop("patternProperties", {}).items():
        names = {"propertyNames": {"pattern": pattern}}
        kept |= {"additionalProperties": values, **names}
    return _nullable(kept)


def _plain_keyword(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: _plain(schema) for name, schema in value.items()}
    return value if key in ("enum", "const", "default", "examples") else _plain(value)


def _nullable(schema: Schema) -> Schema:
    """anyOf [x, null] -> x whose type may be null, where x is no reference."""
    shapes = schema.get("anyOf", [])
    others = [shape for shape in shapes if shape != {"type": "null"}]
    if (
        len(others) != 1
        or len(shapes) == 1
        or not isinstance(others[0].get("type"), str)
    ):
        return schema
    only = dict(others[0])
    only["type"] = [only["type"], "null"]
    if "enum" in only:
        only["enum"] = [*only["enum"], None]
    return {**{key: v for key, v in schema.items() if key != "anyOf"}, **only}


def _reachable(definitions: Mapping[str, Schema], name: str) -> dict[str, Schema]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting.extend(_references(definitions[current]))
    return {key: definitions[key] for key in sorted(found)}


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        match = _DEFINITION.match(str(schema.get("$ref", "")))
        if match:
            yield match[1]
        schema = list(schema.values())
    if isinstance(schema, list):
        for entry in schema:
            yield from _references(entry)
