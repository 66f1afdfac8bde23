"""The standard `dataclass`, without compiling up to ten methods for each class.

That takes 0.8 ms a class: a third of the time of `boe validate`, which loads sixty
(docs/decisions/0007). Here the methods are functions that all classes share.
Type checkers see the standard one; modules that the quick commands do not load use it.
"""

from __future__ import annotations

import dataclasses
import operator
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeVar, cast

T = TypeVar("T")

if TYPE_CHECKING:
    from dataclasses import dataclass, replace
else:

    def dataclass(**flags):
        """`frozen`, `kw_only`, `slots`, `eq` and `order`, as in the standard library."""
        chosen = {"always": True, "eq": True, **flags}
        chosen["hash"] = chosen["eq"] and chosen.get("frozen")
        methods = {
            name: method
            for flag, made in _METHODS.items()
            for name, method in made.items()
            if chosen.get(flag)
        }
        return _maker(methods, flags.get("kw_only", False), flags.get("slots", False))

    def replace(record, **changes):
        """As in the standard library, for a record with slots, in half the time."""
        if not changes.keys() <= record.__record_names__:
            raise TypeError(f"{type(record).__name__} lacks some of {sorted(changes)}")
        made = object.__new__(type(record))
        _fill(made, record.__record_names__, record.__record_values__(record))
        _fill(made, changes, changes.values())
        return made


__all__ = ["dataclass", "from_columns", "replace"]


def from_columns(
    kind: type[T], names: Iterable[str]
) -> Callable[[Sequence[Sequence[Any]]], list[T]]:
    """Makes frozen records of columns that hold all their fields, by these names in order.

    A twentieth of the time of their `__init__`: a function that is compiled for them fills
    the slots of a class that is not frozen, and then gives each its own.
    """
    fields = [*names]
    slots: tuple[str, ...] = kind.__slots__  # type: ignore[attr-defined]  # records have them
    if {*fields} != {*slots}:
        raise TypeError(f"{kind.__name__} has other fields than {fields}")

    @cache  # on first use, so that start-up stays quick
    def compiled() -> Callable[..., T]:
        given = ", ".join(f"_{name}" for name in fields)
        puts = "; ".join(f"made.{name} = _{name}" for name in fields)
        then = "made.__class__ = kind; return made"
        known = {"new": type(kind.__name__, (), {"__slots__": slots}), "kind": kind}
        exec(f"def make({given}): made = new(); {puts}; {then}", known)  # noqa: S102 of names that stand in code
        return cast(Callable[..., T], known["make"])

    return lambda columns: [*map(compiled(), *columns)] if columns else []


def _maker(
    methods: dict[str, Any], kw_only: bool, slots: bool
) -> Callable[[type], type]:
    def make(cls: type) -> type:
        if cls.__bases__ != (object,):
            raise TypeError(f"{cls.__name__}: a record has no parents")
        fields = {
            name: _field(cls.__dict__.get(name, dataclasses.MISSING))
            for name in cls.__annotations__
        }
        made: Any = _slotted(cls, fields) if slots else _unslotted(cls, fields)
        for name, method in methods.items():
            if name not in cls.__dict__:
                setattr(made, name, method)
        made.__dataclass_fields__ = _StandardFields(fields, kw_only)
        made.__record_fields__ = fields
        made.__record_names__ = fields.keys()
        made.__record_values__ = _getter(fields)
        #: Those that may be given without their names.
        made.__record_order__ = () if kw_only else tuple(fields)
        made.__record_defaults__ = _known(fields, "default")
        made.__record_factories__ = _known(fields, "default_factory")
        made.__record_compared__ = _getter(
            n for n, one in fields.items() if one.compare
        )
        return made  # type: ignore[no-any-return]  # the class, or a copy with slots

    return make


def _getter(names: Iterable[str]) -> Callable[[Any], tuple[Any, ...]]:
    """What gives a tuple of these attributes."""
    found = tuple(names)
    if len(found) > 1:
        return staticmethod(operator.attrgetter(*found))
    return staticmethod(lambda record: tuple([getattr(record, name) for name in found]))


def _field(said: Any) -> dataclasses.Field[Any]:
    """Of what stands behind a field's name in the class: its default, or more."""
    if isinstance(said, dataclasses.Field):
        return said
    return dataclasses.field(default=said)  # type: ignore[no-any-return]  # typed as its default


def _slotted(cls: type, fields: Mapping[str, Any]) -> type:
    """A copy: a class cannot get slots afterwards. Cached properties have slots, too."""
    later = {
        name: one.func
        for name, one in cls.__dict__.items()
        if isinstance(one, cached_property)
    }
    left = {"__dict__", "__weakref__", *fields, *later}
    kept = {name: one for name, one in cls.__dict__.items() if name not in left}
    if later:
        kept |= {"__record_later__": later, "__getattr__": _make_later}
    made = type(cls)(cls.__name__, (), {**kept, "__slots__": (*fields, *later)})
    made.__qualname__ = cls.__qualname__
    return made


def _make_later(self: Any, name: str) -> Any:
    """What is asked for the first time: its slot is empty."""
    make = self.__record_later__.get(name)
    if make is None:
        raise AttributeError(f"{type(self).__name__} has no attribute {name}")
    value = make(self)
    _set(self, name, value)
    return value


def _unslotted(cls: type, fields: Mapping[str, dataclasses.Field[Any]]) -> type:
    """Its defaults stay where they can be asked of the class."""
    for name, one in fields.items():
        if one.default is not dataclasses.MISSING:
            setattr(cls, name, one.default)
        elif name in cls.__dict__:
            delattr(cls, name)
    return cls


class _StandardFields:
    """The fields as the functions of the standard library want them: made when asked."""

    def __init__(
        self, fields: Mapping[str, dataclasses.Field[Any]], kw_only: bool
    ) -> None:
        self._fields = fields
        self._kw_only = kw_only

    def __get__(self, _: object, cls: type) -> dict[str, dataclasses.Field[Any]]:
        plain = {"__doc__": cls.__name__, "__annotations__": cls.__annotations__}
        made: Any = dataclasses.dataclass(
            init=False, repr=False, eq=False, kw_only=self._kw_only
        )(type(cls.__name__, (), {**plain, **self._fields}))
        found: dict[str, dataclasses.Field[Any]] = made.__dataclass_fields__
        cls.__dataclass_fields__ = found  # type: ignore[attr-defined]  # as theirs have it
        return found


def _known(fields: Mapping[str, Any], what: str) -> dict[str, Any]:
    """What the fields have of it, by name."""
    found = {name: getattr(one, what) for name, one in fields.items()}
    return {n: one for n, one in found.items() if one is not dataclasses.MISSING}


def _init(self: Any, *given: Any, **named: Any) -> None:
    if given or named.keys() != self.__record_names__:
        named = _completed(self, given, named)
    self.__dict__.update(named)


def _init_slots(self: Any, *given: Any, **named: Any) -> None:
    if given or named.keys() != self.__record_names__:
        named = _completed(self, given, named)
    _fill(self, named, named.values())


def _completed(
    self: Any, given: tuple[Any, ...], named: dict[str, Any]
) -> dict[str, Any]:
    """Every field by its name: what was given in order, and defaults for the rest."""
    if given:
        first = dict(zip(self.__record_order__, given, strict=False))
        if len(first) < len(given) or first.keys() & named:
            raise TypeError(f"{type(self).__name__}: {given} are too many")
        named |= first
    whole: dict[str, Any] = self.__record_defaults__ | named
    for name, make in self.__record_factories__.items():
        if name not in whole:
            whole[name] = make()
    if whole.keys() != self.__record_names__:
        wrong = sorted(whole.keys() ^ self.__record_names__)
        raise TypeError(f"{type(self).__name__}: {wrong} are missing, or not known")
    return whole


_set = object.__setattr__
#: What an iterator does, without a look at what it gives.
_do_all = deque[Any](maxlen=0).extend


def _fill(made: Any, names: Iterable[str], values: Iterable[Any]) -> None:
    _do_all(map(_set, repeat(made), names, values))


def _values(self: Any) -> Any:
    return self.__record_compared__(self)


def _compared(relation: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(self: Any, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented  # type: ignore[no-any-return]  # as Python asks
        return bool(relation(_values(self), _values(other)))

    return compare


def _hash(self: Any) -> int:
    return hash(_values(self))


def _repr(self: Any) -> str:
    shown = (name for name, field in self.__record_fields__.items() if field.repr)
    inside = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
    return f"{type(self).__qualname__}({inside})"


def _refuse(self: Any, name: str, *_: object) -> None:
    raise dataclasses.FrozenInstanceError(f"{type(self).__name__}.{name} is fixed")


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, name) for name in self.__record_fields__]


def _setstate(self: Any, values: list[Any]) -> None:
    for name, value in zip(self.__record_fields__, values, strict=True):
        _set(self, name, value)


#: Flag -> what it brings, in the order in which a later one replaces an earlier one.
_METHODS: dict[str, dict[str, Any]] = {
    "always": {"__init__": _init, "__repr__": _repr},
    "eq": {"__eq__": _compared(operator.eq), "__hash__": None},
    "order": {
        "__lt__": _compared(operator.lt),
        "__le__": _compared(operator.le),
        "__gt__": _compared(operator.gt),
        "__ge__": _compared(operator.ge),
    },
    "slots": {
        "__init__": _init_slots,
        "__getstate__": _getstate,
        "__setstate__": _setstate,
    },
    "frozen": {"__setattr__": _refuse, "__delattr__": _refuse},
    "hash": {"__hash__": _hash},
}
