"""The only file that reads the environment: flag over variable over default."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.records import dataclass

PREFIX = "BOE_"


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    name: str
    default: str
    description: str

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()


#: Every setting there is; docs/settings.md is made from it.
SETTINGS = (
    Setting(
        name="root",
        default=".",
        description="The folder with the YAML; the option -C wins.",
    ),
    Setting(
        name="state",
        default="<root>/.boe",
        description="The folder with ledger, blobs and logs; the option --state wins.",
    ),
    Setting(
        name="data_root",
        default="<root>",
        description="What the data paths of Connections are relative to.",
    ),
    Setting(
        name="local_root",
        default="<root>",
        description="What the base_path of `local` destinations is relative to.",
    ),
    Setting(
        name="workers",
        default="<number of CPUs, 2 at least>",
        description="Runs that are executed at the same time.",
    ),
    Setting(
        name="http",
        default="<none>",
        description="HOST:PORT where `boe run` answers /metrics, /healthz and /readyz; "
        "the option --http wins.",
    ),
    Setting(
        name="ping_url",
        default="<none>",
        description="A URL that `boe run` tells once a minute that it is ready; "
        "URL/fail if it is not.",
    ),
    Setting(
        name="memory_limit",
        default="1GB",
        description="What one DuckDB Connection may use before it spills to disk.",
    ),
    Setting(
        name="child_memory",
        default="2GB",
        description="What a transform, or a run with `isolate`, may use in its process.",
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    root: Path
    state: Path
    data_root: Path
    local_root: Path
    workers: int
    memory_limit: str
    child_memory: str
    #: What secrets of the form {env: X} are read from. Never printed.
    environment: Mapping[str, str]
    #: HOST:PORT of the small HTTP server; None: there is none.
    http: str | None = None
    #: Told once a minute how it is. A key stands in it: never printed.
    ping_url: str | None = None


def environment() -> Mapping[str, str]:
    return dict(os.environ)


def read_settings(*, root: Path | None = None, state: Path | None = None) -> Settings:
    """Settings from flags and the environment; InputError for a value that is wrong."""
    found = environment()

    def value(name: str) -> str | None:
        return found.get(PREFIX + name.upper()) or None

    base = (root or Path(value("root") or ".")).resolve()
    if not base.is_dir():
        raise InputError(f"There is no folder {base}.", "Give an existing one with -C.")

    def folder(name: str) -> Path:
        return (base / (value(name) or ".")).resolve()

    return Settings(
        root=base,
        state=(base / (state or value("state") or ".boe")).resolve(),
        data_root=folder("data_root"),
        local_root=folder("local_root"),
        workers=_positive("workers", value("workers"), max(2, os.cpu_count() or 2)),
        memory_limit=value("memory_limit") or "1GB",
        child_memory=value("child_memory") or "2GB",
        environment=found,
        http=value("http"),
        ping_url=_url("ping_url", value("ping_url")),
    )


def _url(name: str, text: str | None) -> str | None:
    if text is None or re.match(r"https?://[^/?#\s]", text):
        return text
    raise InputError(
        f"{PREFIX}{name.upper()} is no web address.",
        "It begins with https:// and a host.",
    )


def _positive(name: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise InputError(
            f"{PREFIX}{name.upper()} is {text!r}.", "Give a whole number from 1."
        )
    return int(text)
