"""What all models of the YAML language share.

They are written as for pydantic, and type checkers see pydantic; light.py says why
its classes are not loaded. The modules of the models have no `from __future__ import
annotations`: every annotation would have to be evaluated a second time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import pydantic
    from pydantic import (
        BeforeValidator,
        Discriminator,
        Field,
        PlainSerializer,
        Tag,
        WithJsonSchema,
    )

    class Model(pydantic.BaseModel, extra="forbid", strict=True, frozen=True):
        """Strict, closed, frozen."""

else:
    from boe_reconciler.core.resources.light import (
        BeforeValidator,
        Discriminator,
        Field,
        Model,
        PlainSerializer,
        Tag,
        WithJsonSchema,
    )

__all__ = [
    "BeforeValidator",
    "Discriminator",
    "Field",
    "Model",
    "PlainSerializer",
    "Tag",
    "WithJsonSchema",
    "by_key",
    "by_type",
    "shared",
    "tag",
    "text_or_inline",
]


M = TypeVar("M", bound=Model)


def shared(model: type[M]) -> Callable[[], M]:
    """A default_factory: one frozen instance for all, built on first use."""
    return cache(lambda: model())  # noqa: PLW0108 a class would look like a factory of fields


def tag(name: str) -> str:
    """A union's tag, in a form that cannot be mistaken for a field in an error's path."""
    return f"<{name}>"


def text_or_inline(value: Any) -> str:
    """Discriminates `name | {inline}`."""
    return tag("name") if isinstance(value, str) else tag("inline")


def by_type(value: Any) -> str:
    """Discriminates models by their `type`: "<=duckdb>"; "<=>" where there is none."""
    is_map = isinstance(value, dict)
    found = value.get("type") if is_map else getattr(value, "type", None)
    return tag(f"={found or ''}")


def by_key(*keys: str) -> Callable[[Any], str]:
    """Discriminates models by the first of `keys` they have; "<>" where there is none."""

    def shape(value: Any) -> str:
        has = value.__contains__ if isinstance(value, dict) else None
        for key in keys:
            if has(key) if has else hasattr(value, key):
                return tag(key)
        return tag("")

    return shape
