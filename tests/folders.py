"""Small repos on disk, and the `boe` command over them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOE = str(Path(sys.executable).parent / "boe")
OWNER = "ops@example.com"


def write(file: Path, *documents: Mapping[str, Any]) -> None:
    """Documents as YAML: JSON is YAML too."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "\n---\n".join(json.dumps(one, indent=2) for one in documents)
    file.write_text(text + "\n")


def document(kind: str, name: str, spec: Mapping[str, Any], **metadata: Any) -> Any:
    owned = {} if kind in ("Policy", "Group", "Calendar") else {"owner": OWNER}
    return {
        "apiVersion": "boe/v1",
        "kind": kind,
        "metadata": {"name": name, **owned, **metadata},
        "spec": dict(spec),
    }


def schedule(name: str, *, query: str = "select 1 as one", **spec: Any) -> Any:
    """Once a day far from any test's now, as csv, unless `spec` says otherwise."""
    metadata = spec.pop("metadata", {})
    defaults = {
        "report": {"connection": "none", "query": query},
        "when": {"cron": "30 6 * * *", "timezone": "Europe/Berlin"},
        "export": {"format": "csv"},
        "deliver_to": [{"type": "local", "base_path": "exports"}],
    }
    return document("Schedule", name, {**defaults, **spec}, **metadata)


def a_folder(
    path: Path, *schedules: Any, policy: Mapping[str, Any] | None = None
) -> Path:
    """A repo with one Connection to nothing but DuckDB itself."""
    write(
        path / "connections/none.yaml",
        document("Connection", "none", {"type": "duckdb"}),
    )
    for one in schedules:
        write(path / f"schedules/{one['metadata']['name']}.yaml", one)
    if policy is not None:
        write(path / "policy.yaml", document("Policy", "policy", policy))
    return path


def run_boe(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`boe -C folder …` as a user starts it."""
    return subprocess.run(
        [BOE, "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=folder.parent,
        env={**os.environ, **(env or {})},
    )


def boe_json(folder: Path, *arguments: str) -> Any:
    done = run_boe(folder, *arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@dataclass
class Served:
    """A `boe run` that somebody else has started."""

    process: subprocess.Popen[str]
    log: Path

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def serving(folder: Path, *arguments: str, **environment: str) -> Iterator[Served]:
    """`boe run` in another process, from its first activation on."""
    log = folder.parent / f"{folder.name}.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [BOE, "-C", str(folder), "run", *arguments],
            stdout=out,
            stderr=out,
            text=True,
            cwd=folder.parent,
            env={**os.environ, **environment},
        )
    try:
        until(lambda: "Serving" in log.read_text() or process.poll() is not None)
        yield Served(process, log)
    finally:
        process.kill()
        process.wait()


def until(true: Callable[[], Any], seconds: float = 30) -> Any:
    """What it gives as soon as it is true; a failure after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")
