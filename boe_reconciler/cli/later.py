"""Packages whose own code waits until it is needed, beside modules of theirs."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from threading import RLock
from types import ModuleType
from typing import Any


def open_later(name: str) -> None:
    """Let `name.module` be imported without the code of the package `name`.

    That code runs as soon as something of the package itself is asked for. Nothing
    happens where it is loaded already, or is no package of files.
    """
    if name in sys.modules:
        return
    spec = find_spec(name)
    if spec is None or spec.loader is None or not spec.submodule_search_locations:
        return
    sys.modules[name] = _Package(spec)


class _Package(ModuleType):
    """Has its modules and what their import looks at, and gets the rest when asked."""

    def __init__(self, spec: Any) -> None:
        super().__init__(spec.name)
        self.__spec__ = spec
        self.__loader__ = spec.loader
        self.__file__ = spec.origin
        self.__package__ = spec.name
        self.__path__ = spec.submodule_search_locations
        self._opening = RLock()  # others wait for all of it; its own code does not
        self._opened = False

    def __getattr__(self, name: str) -> Any:
        # Before the lock: who holds it may wait for the module that asks here.
        if find_spec(f"{self.__name__}.{name}"):
            return import_module(f"{self.__name__}.{name}")
        with self._opening:
            if not self._opened:
                self._opened = True
                self.__spec__.loader.exec_module(self)  # type: ignore[union-attr]  # has been looked at
            if name in self.__dict__:
                return self.__dict__[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
