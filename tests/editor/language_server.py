"""yaml-language-server, as an editor talks to it: JSON-RPC over its stdin and stdout."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

_SECONDS = 60


@dataclass(frozen=True)
class Finding:
    """A line that the editor underlines."""

    #: 1-based.
    line: int
    #: The text under the line.
    text: str
    message: str


class LanguageServer:
    """One server with one folder open in it."""

    def __init__(self, program: Path, root: Path, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._process = subprocess.Popen(
            ["node", str(program), "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._root = root
        self._answers: dict[int, Queue[Any]] = {}
        self._findings: dict[str, Queue[Any]] = {}
        self._number = 0
        self._version = 0
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._start()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    # What an editor's user does.

    def open(self, path: str, text: str) -> list[Finding]:
        """Show a file of the folder; what is underlined in it."""
        self._show(self._uri(path), text)
        found = self._findings[self._uri(path)].get(timeout=_SECONDS)
        return [_finding(text, one) for one in found]

    def _show(self, uri: str, text: str) -> None:
        self._version += 1
        document = {"uri": uri, "version": self._version}
        if uri in self._findings:
            change = {"textDocument": document, "contentChanges": [{"text": text}]}
            self._notify("textDocument/didChange", change)
            return
        self._findings[uri] = Queue()
        opened = {**document, "languageId": "yaml", "text": text}
        self._notify("textDocument/didOpen", {"textDocument": opened})

    def completions(self, path: str, text: str) -> dict[str, dict[str, Any]]:
        """What is offered where ‸ stands in the text: label -> the item."""
        position = self._at_caret(path, text)
        found = self._ask("textDocument/completion", position)
        return {item["label"]: item for item in found["items"]}

    def hover(self, path: str, text: str) -> str:
        """What is shown when the mouse rests where ‸ stands."""
        found = self._ask("textDocument/hover", self._at_caret(path, text))
        return str(found["contents"]["value"]) if found else ""

    def _at_caret(self, path: str, text: str) -> dict[str, Any]:
        before, _, after = text.partition("‸")
        self.open(path, before + after)
        lines = before.split("\n")
        position = {"line": len(lines) - 1, "character": len(lines[-1])}
        return {"textDocument": {"uri": self._uri(path)}, "position": position}

    def _uri(self, path: str) -> str:
        return (self._root / path).as_uri()

    # The protocol.

    def _start(self) -> None:
        root = self._root.as_uri()
        capabilities = {
            "textDocument": {
                "completion": {"completionItem": {"snippetSupport": True}},
                "hover": {"contentFormat": ["markdown"]},
            },
            "workspace": {"configuration": True, "workspaceFolders": True},
        }
        folders = [{"uri": root, "name": "repo"}]
        self._ask(
            "initialize",
            {
                "processId": None,
                "rootUri": root,
                "capabilities": capabilities,
                "workspaceFolders": folders,
            },
        )
        self._notify("initialized", {})
        self._notify("workspace/didChangeConfiguration", {"settings": self._settings})

    def _ask(self, method: str, params: Any) -> Any:
        self._number += 1
        number = self._number
        self._answers[number] = Queue()
        self._write({"id": number, "method": method, "params": params})
        return self._answers[number].get(timeout=_SECONDS)

    def _notify(self, method: str, params: Any) -> None:
        self._write({"method": method, "params": params})

    def _write(self, message: Mapping[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        pipe = self._process.stdin
        assert pipe
        pipe.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        pipe.flush()

    def _listen(self) -> None:
        pipe = self._process.stdout
        assert pipe
        while line := pipe.readline():
            length = int(line.split(b":")[1])
            while pipe.readline().strip():
                pass
            self._hear(json.loads(pipe.read(length)))

    def _hear(self, message: Mapping[str, Any]) -> None:
        method = message.get("method")
        if method == "textDocument/publishDiagnostics":
            params = message["params"]
            self._findings[params["uri"]].put(params["diagnostics"])
        elif method and "id" in message:
            self._write({"id": message["id"], "result": self._answer(message)})
        elif "id" in message:
            self._answers[message["id"]].put(message.get("result"))

    def _answer(self, message: Mapping[str, Any]) -> Any:
        """To what the server asks of the editor."""
        if message["method"] == "workspace/configuration":
            items = message["params"]["items"]
            return [self._settings.get(item.get("section")) for item in items]
        return None


def _finding(text: str, found: Mapping[str, Any]) -> Finding:
    start, end = found["range"]["start"], found["range"]["end"]
    lines = text.split("\n")[start["line"] : end["line"] + 1]
    lines[-1] = lines[-1][: end["character"]]
    lines[0] = lines[0][start["character"] :]
    return Finding(start["line"] + 1, "\n".join(lines), found["message"])
