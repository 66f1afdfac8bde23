"""The standard `dataclass`, without compiling up to ten methods for each class.

That takes 0.8 ms a class: a third of the time of `boe validate`, which loads sixty
(docs/decisions/0007). Here the methods are functions that all classes share.
Type checkers see the standard one; modules that the quick commands do not load use it.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
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
        rest = {name: flags.get(name, False) for name in ("kw_only", "slots")}
        return _maker(methods, rest)


__all__ = ["dataclass"]


def _maker(methods: dict[str, Any], flags: dict[str, bool]) -> Callable[[type], type]:
    def make(cls: type) -> type:
        for name, method in methods.items():
            if name not in cls.__dict__:
                setattr(cls, name, method)
        # Without one, the standard library would make one of the signature.
        cls.__doc__ = cls.__doc__ or cls.__name__
        made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, **flags)(
            cls
        )
        fields = dataclasses.fields(made)
        made.__record_fields__ = fields
        made.__record_names__ = frozenset(one.name for one in fields)
        #: Those that may be given without their names.
        made.__record_order__ = tuple(one.name for one in fields if not one.kw_only)
        made.__record_defaults__ = _known(fields, "default")
        made.__record_factories__ = _known(fields, "default_factory")
        made.__record_compared__ = tuple(one.name for one in fields if one.compare)
        return made  # type: ignore[no-any-return]  # the class, or a copy with slots

    return make


def _known(fields: Iterable[dataclasses.Field[Any]], what: str) -> dict[str, Any]:
    """What the fields have of it, by name."""
    found = {one.name: getattr(one, what) for one in fields}
    return {n: one for n, one in found.items() if one is not dataclasses.MISSING}


def _init(self: Any, *given: Any, **named: Any) -> None:
    if given or named.keys() != self.__record_names__:
        named = _completed(self, given, named)
    for name, value in named.items():
        _set(self, name, value)


def _completed(
    self: Any, given: tuple[Any, ...], named: dict[str, Any]
) -> dict[str, Any]:
    """Every field by its name: what was given in order, and defaults for the rest."""
    first = dict(zip(self.__record_order__, given, strict=False))
    if len(first) < len(given) or first.keys() & named:
        raise TypeError(f"{type(self).__name__}: {given} are too many")
    whole = {**self.__record_defaults__, **first, **named}
    for name, make in self.__record_factories__.items():
        if name not in whole:
            whole[name] = make()
    if whole.keys() != self.__record_names__:
        wrong = sorted(whole.keys() ^ self.__record_names__)
        raise TypeError(f"{type(self).__name__}: {wrong} are missing, or not known")
    return whole


_set = object.__setattr__


def _values(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in self.__record_compared__])


def _compared(relation: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(self: Any, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented  # type: ignore[no-any-return]  # as Python asks
        return bool(relation(_values(self), _values(other)))

    return compare


def _hash(self: Any) -> int:
    return hash(_values(self))


def _repr(self: Any) -> str:
    shown = (field.name for field in self.__record_fields__ if field.repr)
    inside = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
    return f"{type(self).__qualname__}({inside})"


def _refuse(self: Any, name: str, *_: object) -> None:
    raise dataclasses.FrozenInstanceError(f"{type(self).__name__}.{name} is fixed")


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in self.__record_fields__]


def _setstate(self: Any, values: list[Any]) -> None:
    for field, value in zip(self.__record_fields__, values, strict=True):
        _set(self, field.name, value)


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
    "slots": {"__getstate__": _getstate, "__setstate__": _setstate},
    "frozen": {"__setattr__": _refuse, "__delattr__": _refuse},
    "hash": {"__hash__": _hash},
}
