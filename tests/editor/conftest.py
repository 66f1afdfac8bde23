"""A folder of `boe init` in an editor, with yaml-language-server behind it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.cli import run
from tests.editor.language_server import LanguageServer

_SERVER = "node_modules/yaml-language-server/bin/yaml-language-server"
PROGRAM = Path(__file__).parents[2] / ".venv/node" / _SERVER

Start = Callable[[Path, dict[str, Any]], LanguageServer]


@pytest.fixture(scope="session")
def start() -> Iterator[Start]:
    """start(folder, settings): a server with the folder open in it."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not PROGRAM.exists():
        pytest.skip("yaml-language-server is not installed: make node-programs")
    servers: list[LanguageServer] = []

    def started(folder: Path, settings: dict[str, Any]) -> LanguageServer:
        servers.append(LanguageServer(PROGRAM, folder, settings))
        return servers[-1]

    yield started
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("editor")
    assert run(["-C", str(folder), "init"]) == 0
    return folder


@pytest.fixture(scope="session")
def editor(start: Start, repo: Path) -> LanguageServer:
    """As VS Code starts it, with the settings that `boe init` wrote."""
    written = json.loads((repo / ".vscode/settings.json").read_text())
    own = {k.removeprefix("yaml."): v for k, v in written.items() if "yaml." in k}
    return start(repo, {"yaml": {**ALL, **own}})


#: What VS Code's extension switches on by itself.
ALL = {
    "validate": True,
    "completion": True,
    "hover": True,
    "schemaStore": {"enable": False},
}
