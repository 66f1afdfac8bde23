"""A secret's value turns up nowhere, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.folders import a_folder, document, run_boe, schedule, write
from tests.servers import postgresql

FROM_ENV = "canary-env p@ss/w:rd?#%'\"\\ü"
FROM_FILE = "canary-file $(x) {{ y }} `z` &amp; 100%"
NO_RETRY = {"execution": {"retry": {"max_retries": 0}}}


def connection(
    kind: str, secret: dict[str, str], **fields: object
) -> dict[str, object]:
    return {"type": kind, "password": secret, **fields}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text(FROM_FILE + "\n")
    env, file = {"env": "CANARY"}, {"file": str(tmp_path / "secret.txt")}
    server = {"host": "127.0.0.1", "port": 1, "database": "d", "user": "u"}
    connections = {
        "refused-env": connection("postgres", env, **server),
        "refused-file": connection("postgres", file, **server),
        "no-driver": connection("sql", env, url="mysql+pymysql://u@127.0.0.1:1/d"),
        "no-database": connection("sql", file, url="sqlite:////nowhere/at/all.db"),
        "not-set": connection("postgres", {"env": "NOT_SET"}, **server),
    }
    repo = a_folder(tmp_path / "repo", schedule("quick"), policy={})
    for name, spec in connections.items():
        write(repo / f"connections/{name}.yaml", document("Connection", name, spec))
        report = {"connection": name, "query": "select 1 as one"}
        one = schedule(name, report=report, **NO_RETRY)
        write(repo / f"schedules/{name}.yaml", one)
    return repo


def traces(folder: Path, said: str) -> Iterator[str]:
    """Where a value, or a form of it, was found."""
    forms = [
        form.encode()
        for value in (FROM_ENV, FROM_FILE)
        for form in (value, quote(value, safe=""), repr(value)[1:-1], value[:12])
    ]
    told = {"output": said.encode()}
    told |= {
        str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    for place, content in told.items():
        yield from (f"{form!r} in {place}" for form in forms if form in content)


@pytest.mark.slow
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_secret_leaves_with_runs_that_fail(folder: Path, log_format: str) -> None:
    run = ["--log-format", log_format, "run", "--once", "--now-all"]
    commands = [
        ["validate"],
        ["plan"],
        run,
        ["trigger", "refused-env"],
        ["rerun", "--failed"],
        ["status", "--format", "json"],
        ["runs", "--format", "json"],
        ["show", "no-driver"],
        ["doctor"],
    ]
    said = ""
    for command in commands:
        done = run_boe(folder, *command, env={"CANARY": FROM_ENV})
        assert done.returncode in (0, 1), done.stderr
        said += done.stdout + done.stderr
    assert "failed" in said
    assert "NOT_SET" in said
    assert list(traces(folder, said)) == []


@pytest.mark.slow
def test_no_secret_leaves_with_a_run_that_succeeds(folder: Path) -> None:
    with postgresql() as socket:
        spec = {"host": socket, "database": "postgres", "user": "postgres"}
        write(
            folder / "connections/refused-env.yaml",
            document(
                "Connection",
                "refused-env",
                connection("postgres", {"env": "CANARY"}, **spec),
            ),
        )
        done = run_boe(folder, "trigger", "refused-env", env={"CANARY": FROM_ENV})
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(traces(folder, done.stdout + done.stderr)) == []
