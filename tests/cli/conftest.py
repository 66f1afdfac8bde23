"""`boe` in this process, where starting a real one each time would take minutes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.cli import run
from boe_reconciler.cli.output import console


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code in (0, 1), self.err
        return json.loads(self.out)


Boe = Callable[..., Said]


@pytest.fixture
def boe(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Boe]:
    """boe(folder, *arguments): what it printed and its exit code."""
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
    handlers = list(logging.getLogger().handlers)

    def said(folder: Path, *arguments: str) -> Said:
        capsys.readouterr()
        code = run(["-C", str(folder), *arguments])
        out, err = capsys.readouterr()
        return Said(code, out, err)

    console.cache_clear()
    yield said
    console.cache_clear()
    logging.getLogger().handlers[:] = handlers
