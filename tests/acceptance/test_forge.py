"""`boe run --git` with a forge: red, green, reminders, restarts."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from boe_reconciler.ledgers import sqlite
from tests.folders import boe_json, document, schedule, serving, until
from tests.forges.fake import Fault, Forge, a_forge
from tests.gits import Upstream

pytestmark = pytest.mark.slow


@pytest.fixture
def forge() -> Iterator[Forge]:
    with a_forge() as made:
        yield made


@pytest.fixture
def told() -> Iterator[tuple[str, list[str]]]:
    """A URL for notices, and what it was told."""
    texts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            texts.append(json.loads(self.rfile.read(length))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Silence."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/s3cret-hook", texts
    server.shutdown()
    server.server_close()


def push(upstream: Upstream, *schedules: Any) -> str:
    upstream.tree.clear()
    connection = document("Connection", "none", {"type": "duckdb"})
    upstream.write("connections/none.yaml", json.dumps(connection))
    for one in schedules:
        name = one["metadata"]["name"]
        upstream.write(f"schedules/{name}.yaml", json.dumps(one))
    commit = upstream.commit()
    assert commit is not None
    return commit


GOOD = schedule("a")
BAD = schedule("a", when={"cron": "61 * * * *", "timezone": "UTC"})


@dataclass
class Site:
    """A repo, a forge, somebody who is told, and where BOE runs."""

    upstream: Upstream
    here: Path
    forge: Forge
    url: str
    #: What the URL was told.
    texts: list[str]
    log: str = ""

    @contextmanager
    def serving(self) -> Iterator[None]:
        options = ("--git", str(self.upstream.path), "--poll", "1s")
        environment = {
            "BOE_FORGE_TOKEN": "t-ada",
            "BOE_FORGE_URL": self.forge.github,
            "BOE_FORGE_PROJECT": self.forge.project,
            "BOE_NOTICE_URL": self.url,
        }
        with serving(self.here, *options, **environment) as served:
            yield
            assert served.end() == 0
            self.log += served.log.read_text()

    def push(self, one: Any) -> str:
        return push(self.upstream, one, schedule("b"))

    def until_said(self, commit: str, state: str) -> None:
        until(lambda: self.forge.said(commit)[-1:] == [state])


@pytest.fixture
def site(tmp_path: Path, forge: Forge, told: tuple[str, list[str]]) -> Site:
    here = tmp_path / "here"
    here.mkdir()
    return Site(Upstream(tmp_path / "upstream.git"), here, forge, *told)


def test_a_bad_commit_is_red_and_its_fix_green_over_restarts(site: Site) -> None:
    bad = it_fails(site)
    fixed = it_is_fixed_while_the_forge_is_down(site)
    # What the forge did not take is sent by a later start, and nothing twice.
    site.forge.down = None
    with site.serving():
        site.until_said(fixed, "success")
    assert site.forge.said(bad).count("failure") == 1
    assert len(site.texts) == 2
    assert "t-ada" not in site.log
    assert "s3cret-hook" not in site.log


def it_fails(site: Site) -> str:
    first = site.push(GOOD)
    with site.serving():
        site.until_said(first, "success")
        bad = site.push(BAD)
        site.until_said(bad, "failure")
        until(lambda: len(site.texts) == 1)
    said = [one for _, one in site.forge.statuses if one["state"] == "failure"]
    assert said[0]["description"] == "1 of 3 objects keeps its last good version."
    assert said[0]["context"] == "boe"
    assert f"{bad}: 1 of 3 objects keeps its last good version" in site.texts[0]
    assert "schedules/a.yaml" in site.texts[0]
    (notice,) = boe_json(site.here, "status")["notices"]
    assert notice["failing"]
    return bad


def it_is_fixed_while_the_forge_is_down(site: Site) -> str:
    statuses = len(site.forge.statuses)
    site.forge.down = Fault(status=503)
    with site.serving():
        fixed = site.push(GOOD)
        until(lambda: len(site.texts) == 2)
    assert site.texts[1].startswith("Well again (it was not since ")
    assert boe_json(site.here, "status")["notices"] == []
    assert len(site.forge.statuses) == statuses
    return fixed


def test_a_failure_that_lasts_is_told_again_by_a_later_start(
    tmp_path: Path, told: tuple[str, list[str]]
) -> None:
    url, texts = told
    upstream = Upstream(tmp_path / "upstream.git")
    here = tmp_path / "here"
    here.mkdir()
    push(upstream, BAD, schedule("b"))
    options = ("--git", str(upstream.path), "--poll", "1s")
    with serving(here, *options, BOE_NOTICE_URL=url) as served:
        until(lambda: len(texts) == 1)
        assert served.end() == 0
    aged(here / ".boe/ledger.sqlite", hours=25)
    with serving(here, *options, BOE_NOTICE_URL=url) as served:
        until(lambda: len(texts) == 2)
        assert texts[1].startswith("Still so, since ")
        assert served.end() == 0


def aged(ledger: Path, *, hours: int) -> None:
    """What was told was told so much earlier."""
    import sqlite3

    with sqlite3.connect(ledger) as connection:
        ((text,),) = connection.execute("SELECT told_at FROM incidents").fetchall()
        earlier = [one - hours * 3600 * 10**6 for one in json.loads(text)]
        connection.execute("UPDATE incidents SET told_at = ?", [json.dumps(earlier)])
    connection.close()


def test_a_push_is_served_within_a_second_of_its_hook(
    tmp_path: Path, site: Site
) -> None:
    """The branch would be looked at once an hour."""
    secret = "a-secret-of-some-length"
    file = tmp_path / "secret"
    file.write_text(f"{secret}\n")
    site.push(GOOD)
    options = (
        "--git",
        str(site.upstream.path),
        "--poll",
        "1h",
        "--http",
        "127.0.0.1:0",
    )
    environment = {"BOE_HOOK_SECRET_FILE": str(file)}
    with serving(site.here, *options, **environment) as served:
        url = re.search(r"http://127[.0-9:]+", served.log.read_text())
        assert url is not None
        with closing(sqlite.create(site.here / ".boe/ledger.sqlite")) as ledger:
            took = []
            for number in range(3):
                commit = site.push(schedule(f"new-{number}"))
                answer = httpx.post(
                    f"{url[0]}/hooks/fetch",
                    content=b"{}",
                    headers={"X-Gitlab-Token": secret},
                )
                assert answer.status_code == 202
                began = time.monotonic()
                until(lambda: ledger.served().serving == f"main@sha1:{commit}")  # noqa: B023 at once
                took.append(time.monotonic() - began)
        # A machine that is busy with other things may be late once or twice.
        assert min(took) < 1
        assert max(took) < 10
        assert httpx.post(f"{url[0]}/hooks/fetch", content=b"{}").status_code == 401
        assert served.end() == 0
        assert secret not in served.log.read_text()
