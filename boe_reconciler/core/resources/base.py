"""What all models of the YAML language share."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Strict, closed, frozen. Built on first use, so that start-up stays quick."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, defer_build=True
    )


def tag(name: str) -> str:
    """A union's tag, in a form that cannot be mistaken for a field in an error's path."""
    return f"<{name}>"


def text_or_inline(value: Any) -> str:
    """Discriminates `name | {inline}`."""
    return tag("name") if isinstance(value, str) else tag("inline")
