"""Reads plain values of the command line without pydantic.

Typer makes an adapter of pydantic for every parameter of a command, whether it is
given or not; loading what makes them takes as long as `boe validate` itself.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin


def read_plainly(command: Any) -> None:
    """Let the command read texts, paths, choices, numbers and what was not given."""
    parameters = command.get_params

    def plain_parameters(context: Any) -> Any:
        found = parameters(context)
        for parameter in found:
            if not isinstance(parameter.get_runtime_param, _Reader):
                parameter.get_runtime_param = _Reader(parameter.get_runtime_param)
        return found

    command.get_params = plain_parameters


class _Reader:
    """In the place of a parameter's own reader, which it asks for all the rest."""

    def __init__(self, otherwise: Any) -> None:
        self._otherwise = otherwise

    def __call__(self) -> _Reader:
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        kind, said = (
            param.type_descriptor.annotation,
            param.type_descriptor.parameter_info,
        )
        try:
            if several and get_origin(kind) is list:
                return [_read(one, get_args(kind)[0], said) for one in value]
            return _read(value, kind, said)
        except (LookupError, ValueError):
            return self._otherwise().coerce(value, param=param, ctx=ctx)


def _read(value: Any, kind: Any, said: Any) -> Any:
    """LookupError for what is not plain, ValueError for what is not among the choices."""
    if kind in (str, Path) or (isinstance(kind, type) and issubclass(kind, Enum)):
        return kind(value)
    if kind is int and str(value).isdecimal():
        number = int(value)
        least, most = said.min, said.max
        if (least is None or number >= least) and (most is None or number <= most):
            return number
    raise LookupError(kind)
