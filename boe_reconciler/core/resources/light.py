"""pydantic's way to write models, over pydantic's core alone.

The core judges values and is quick to load. The classes of pydantic around it take
longer to load, and to make our models, than all else that `boe validate` does
(docs/decisions/0007). This is the part of them that the language uses, with their
names and meaning. Type checkers see pydantic itself (base.py), and a test compares
what the two make of every model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import FrozenInstanceError
from datetime import date, datetime, time, timedelta
from functools import cache, reduce
from inspect import get_annotations
from operator import attrgetter
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from pydantic_core._pydantic_core import SchemaSerializer, SchemaValidator

Schema = dict[str, Any]
T = TypeVar("T")
#: There is no default.
MISSING: Any = object()

_PLAIN: dict[Any, Schema] = {
    Any: {"type": "any"},
    str: {"type": "str"},
    int: {"type": "int"},
    float: {"type": "float"},
    bool: {"type": "bool"},
    date: {"type": "date"},
    time: {"type": "time"},
    datetime: {"type": "datetime"},
    timedelta: {"type": "timedelta"},
    NoneType: {"type": "none"},
}


def _kept(make: Callable[[Any], T]) -> Callable[[Any], T]:
    """`cache`, for classes that mypy believes to have no hash because theirs has `self`."""
    return cache(make)


# --- What stands beside a type ----------------------------------------------------


class FieldInfo:
    """What a model says of one field, or a type of its values."""

    def __init__(
        self,
        default: Any = MISSING,
        *,
        default_factory: Callable[[], Any] | None = None,
        alias: str | None = None,
        description: str | None = None,
        validate_default: bool = False,
        **bounds: Any,
    ) -> None:
        self.annotation: Any = None
        self.default = default
        self.default_factory = default_factory
        self.alias = alias
        self.description = description
        self.validate_default = validate_default
        #: pattern, min_length, max_length, gt, ge, lt, le.
        self.bounds = bounds

    def get_default(self) -> Any:
        return self.default_factory() if self.default_factory else self.default


def Field(default: Any = MISSING, **said: Any) -> Any:  # noqa: N802 as in pydantic
    return FieldInfo(default, **said)


class Tag:
    """The name of a union's member."""

    def __init__(self, tag: str) -> None:
        self.tag = tag


class Discriminator:
    """Which of a union's members a value is judged by: the Tag of one."""

    def __init__(self, discriminator: Callable[[Any], str]) -> None:
        self.discriminator = discriminator


class BeforeValidator:
    """Reads a value before its type is looked at; ValueError where it cannot."""

    def __init__(self, func: Callable[[Any], Any]) -> None:
        self.func = func


class PlainSerializer:
    """Writes a value."""

    def __init__(self, func: Callable[[Any], Any], *, return_type: Any) -> None:
        self.func = func
        self.return_type = return_type


class WithJsonSchema:
    """How the value is written, for the JSON Schema."""

    def __init__(self, json_schema: Schema) -> None:
        self.json_schema = json_schema


# --- Type -> schema of the core ---------------------------------------------------


@_kept
def schema_of(annotation: Any) -> Schema:
    """The core's schema of a type; TypeError for one that the language has no use for."""
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return _model(annotation)
    parts = get_args(annotation)
    make = _PARTS.get(get_origin(annotation))
    if make is None:
        raise TypeError(f"no schema for {annotation!r}")
    return make(parts)


def _literal(values: tuple[Any, ...]) -> Schema:
    return {"type": "literal", "expected": list(values)}


def _list(parts: tuple[Any, ...]) -> Schema:
    return {"type": "list", "items_schema": schema_of(parts[0])}


def _dict(parts: tuple[Any, ...]) -> Schema:
    keys, values = map(schema_of, parts)
    return {"type": "dict", "keys_schema": keys, "values_schema": values}


def _union(members: tuple[Any, ...]) -> Schema:
    choices = [schema_of(member) for member in members if member is not NoneType]
    made = choices[0] if len(choices) == 1 else {"type": "union", "choices": choices}
    return {"type": "nullable", "schema": made} if NoneType in members else made


def _annotated(parts: tuple[Any, ...]) -> Schema:
    annotation, *marks = parts
    if isinstance(marks[0], Discriminator):
        return _tagged(get_args(annotation), marks[0])
    return reduce(_marked, marks, schema_of(annotation))


def _tagged(members: tuple[Any, ...], chosen: Discriminator) -> Schema:
    tagged = ((get_args(member)[-1].tag, schema_of(member)) for member in members)
    return {
        "type": "tagged-union",
        "choices": dict(tagged),
        "discriminator": chosen.discriminator,
    }


_PARTS: dict[Any, Callable[[tuple[Any, ...]], Schema]] = {
    Literal: _literal,
    list: _list,
    dict: _dict,
    Union: _union,
    UnionType: _union,
    Annotated: _annotated,
}


def _marked(schema: Schema, mark: Any) -> Schema:
    if isinstance(mark, FieldInfo):
        return _described(_bounded(schema, mark.bounds), mark.description)
    if isinstance(mark, BeforeValidator):
        function = {"type": "no-info", "function": mark.func}
        return {"type": "function-before", "function": function, "schema": schema}
    if isinstance(mark, PlainSerializer):
        written = schema_of(mark.return_type)
        how = {
            "type": "function-plain",
            "function": mark.func,
            "return_schema": written,
        }
        return {**schema, "serialization": how}
    if isinstance(mark, WithJsonSchema):
        return {**schema, "metadata": {"written": mark.json_schema}}
    return schema


def _bounded(schema: Schema, bounds: Mapping[str, Any]) -> Schema:
    """What may be null is bounded where it is not."""
    if bounds and schema["type"] == "nullable":
        return {**schema, "schema": _bounded(schema["schema"], bounds)}
    return {**schema, **bounds}


def _described(schema: Schema, description: str | None) -> Schema:
    return (
        {**schema, "metadata": {"description": description}} if description else schema
    )


def _model(model: type[Model]) -> Schema:
    """A dataclass to the core: it fills in slots of those alone."""
    name, fields = model.__name__, model.model_fields
    arguments = {
        "type": "dataclass-args",
        "dataclass_name": name,
        "fields": [_field(name, field) for name, field in fields.items()],
    }
    made = {
        "type": "dataclass",
        "cls": model,
        "ref": f"{model.__module__}.{model.__qualname__}",
        "config": {"title": name, "extra_fields_behavior": "forbid", "strict": True},
        "schema": arguments,
        "fields": [*fields],
        "slots": True,
        # Models are made of maps; what is strict takes instances alone.
        "strict": False,
    }
    # The core takes it wherever the model stands in another one, instead of making
    # one anew for each place.
    model.__pydantic_validator__ = SchemaValidator(made)
    model.__pydantic_complete__ = True
    return made


def _field(name: str, field: FieldInfo) -> Schema:
    schema = _defaulted(_bounded(schema_of(field.annotation), field.bounds), field)
    made = {"type": "dataclass-field", "name": name, "kw_only": True, "schema": schema}
    if field.alias:
        made |= {"validation_alias": field.alias, "serialization_alias": field.alias}
    return _described(made, field.description)


def _defaulted(schema: Schema, field: FieldInfo) -> Schema:
    made: Schema = {"type": "default", "schema": schema}
    if field.validate_default:
        made["validate_default"] = True
    if field.default_factory:
        return {**made, "default_factory": field.default_factory}
    if field.default in ({}, []):  # The core would have it copied in depth each time.
        return {**made, "default_factory": type(field.default)}
    return schema if field.default is MISSING else {**made, "default": field.default}


@_kept
def validator_of(annotation: Any) -> SchemaValidator:
    return SchemaValidator(schema_of(annotation))  # for a model: the one it has


@_kept
def _serializer_of(model: type[Model]) -> SchemaSerializer:
    return SchemaSerializer(schema_of(model))


# --- Models -----------------------------------------------------------------------


class _Fields(type):
    """Makes the fields of a model its slots: a quarter of the memory of dicts."""

    model_fields: dict[str, FieldInfo]

    def __new__(
        cls, name: str, bases: tuple[type, ...], body: dict[str, Any]
    ) -> _Fields:
        if not bases:
            return super().__new__(cls, name, bases, body)
        said = {field: body.pop(field, MISSING) for field in _names(body)}
        made = super().__new__(cls, name, bases, {**body, "__slots__": (*said,)})
        own = {}
        for field, annotation in get_annotations(made, eval_str=True).items():
            default = said[field]
            info = default if isinstance(default, FieldInfo) else FieldInfo(default)
            info.annotation = annotation
            own[field] = info
        made.model_fields = {**made.model_fields, **own}
        return made


def _names(body: Mapping[str, Any]) -> list[str]:
    """The names that a class's body gives types to."""
    if "__annotations__" in body:
        return [*body["__annotations__"]]
    # Since Python 3.14 they are made when they are asked for.
    asked = {name: one for name, one in body.items() if name.startswith("__annot")}
    return [*get_annotations(type("asked", (), asked))]


class Model(metaclass=_Fields):
    """Strict, closed, frozen. The core makes instances and fills in their slots."""

    __slots__ = ()
    #: For JSON Schema: no other fields.
    model_config: ClassVar[dict[str, Any]] = {"extra": "forbid"}
    #: Name in Python -> field, in the order of their declaration.
    model_fields: ClassVar[dict[str, FieldInfo]] = {}
    #: By its name the core knows what it may write.
    __dataclass_fields__: ClassVar[dict[str, Any]] = {}

    __pydantic_validator__: ClassVar[SchemaValidator]
    __pydantic_complete__: ClassVar[bool] = False

    def __init__(self, **fields: Any) -> None:
        validator_of(type(self)).validate_python(fields, self_instance=self)

    @classmethod
    def model_validate(cls, value: Any) -> Self:
        """ValidationError tells all that is wrong."""
        return validator_of(cls).validate_python(value)  # type: ignore[no-any-return]  # of this class

    @classmethod
    def model_validate_json(cls, text: str | bytes) -> Self:
        return validator_of(cls).validate_json(text)  # type: ignore[no-any-return]  # of this class

    @classmethod
    def model_construct(cls, **values: Any) -> Self:
        """Of values that have been validated."""
        made = cls.__new__(cls)
        for name, field in cls.model_fields.items():
            _set(made, name, values[name] if name in values else field.get_default())
        return made

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        return type(self).model_construct(**{**dict(self), **update})

    def model_dump(self, **how: Any) -> dict[str, Any]:
        return _serializer_of(type(self)).to_python(self, **how)  # type: ignore[no-any-return]  # a model is a dict

    def model_dump_json(self, **how: Any) -> str:
        return _serializer_of(type(self)).to_json(self, **how).decode()

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Name and value of each field."""
        return ((name, getattr(self, name)) for name in self.model_fields)

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenInstanceError(f"{type(self).__name__}.{name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"{type(self).__name__}.{name} cannot be removed")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        values = _values_of(type(self))
        return bool(values(self) == values(other))

    def __hash__(self) -> int:
        return hash(_values_of(type(self))(self))

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self)
        return f"{type(self).__name__}({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), dict(self))


_set = object.__setattr__


@_kept
def _values_of(model: type[Model]) -> attrgetter[Any]:
    return attrgetter("__class__", *model.model_fields)


def _rebuilt(model: type[Model], values: dict[str, Any]) -> Model:
    """For copy and pickle."""
    return model.model_construct(**values)
