"""Pings against a real server: what it is told, and what a bad one may not do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from boe_reconciler.clock import SystemClock
from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.facts import Pinged
from boe_reconciler.core.health import Health
from boe_reconciler.notices import pings as module
from boe_reconciler.notices.pings import Pings, address
from tests.engine.world import HandClock, World, a_spec
from tests.folders import until

WELL = Health(reason="", message="", step_age=0, tick_age=0)
SICK = Health(reason="tick_late", message="It is late.", step_age=0, tick_age=99)


@dataclass
class FarSide:
    """Keeps what it is told, and answers as a test wants it."""

    url: str = ""
    status: int = 200
    delay: float = 0.0
    told: list[tuple[str, str]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [urlsplit(path).path for path, _ in self.told]


@pytest.fixture
def far() -> Iterator[FarSide]:
    found = FarSide()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            found.told.append((self.path, body))
            time.sleep(found.delay)
            self.send_response(found.status)
            self.send_header("Location", f"{found.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def results() -> list[str]:
    return []


@pytest.fixture
def pings(results: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Pings]:
    monkeypatch.setattr(module, "PAUSE", 0.01)

    def note(fact: object) -> None:
        assert isinstance(fact, Pinged)
        results.append(fact.result)

    found = Pings(resolve=str, observe=note, clock=SystemClock())
    yield found
    found.close()


@pytest.fixture
def told(world: World, pings: Pings) -> World:
    world.observers.append(pings.observe)
    return world


# --- What is said -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("https://h/abc", "https://h/abc/fail?rid=1"),
        ("https://h/abc/", "https://h/abc/fail?rid=1"),
        ("https://h/ping?key=k", "https://h/ping/fail?key=k&rid=1"),
        ("https://u@h:8/a%2Fb#c", "https://u@h:8/a%2Fb/fail?rid=1"),
        ("https://h", "https://h/fail?rid=1"),
    ],
)
def test_the_word_stands_behind_the_path(url: str, whole: str) -> None:
    assert address(url, "/fail", "1") == whole


def test_a_run_that_succeeds_tells_its_start_and_its_end(
    told: World, far: FarSide, pings: Pings
) -> None:
    record = told.run_now(a_spec(ping=f"{far.url}/abc?k=v"))
    until(lambda: len(far.told) == 2)
    assert far.paths == ["/abc/start", "/abc"]
    queries = [parse_qs(urlsplit(path).query) for path, _ in far.told]
    assert queries[0] == queries[1]
    assert queries[0]["k"] == ["v"]
    UUID(queries[0]["rid"][0])
    run_id = record.run.run_id
    assert [body for _, body in far.told] == [
        f"{run_id} started",
        f"{run_id} succeeded, 1 rows",
    ]


def test_a_run_that_fails_tells_its_reason_and_nothing_of_its_data(
    told: World, far: FarSide
) -> None:
    told.run_now(a_spec("select * from wages", ping=f"{far.url}/abc"))
    until(lambda: len(far.told) == 2)
    assert far.paths[1] == "/abc/fail"
    assert far.told[1][1].endswith("failed, query_failed")


def test_a_run_for_somebody_alone_says_nothing(told: World, far: FarSide) -> None:
    told.run_now(a_spec(ping=far.url), dry_run=True)
    told.run_now(a_spec())
    time.sleep(0.3)
    assert far.told == []


def test_how_the_house_is_is_said_once_a_minute(
    far: FarSide, results: list[str]
) -> None:
    clock = HandClock()
    pings = Pings(resolve=str, observe=lambda _: results.append("."), clock=clock)
    for health in (WELL, WELL, SICK):
        pings.house(far.url, health)
        clock.move(25)
    assert until(lambda: far.paths == ["/"])
    pings.house(far.url, SICK)
    until(lambda: far.paths == ["/", "/fail"])
    assert far.told[1][1] == "It is late."
    clock.move(60)
    pings.house(far.url, Health(reason="draining", message="", step_age=0, tick_age=0))
    pings.house(far.url, WELL)
    until(lambda: far.paths == ["/", "/fail", "/"])
    pings.close()


def test_what_only_begins_is_not_sick(far: FarSide) -> None:
    clock = HandClock()
    pings = Pings(resolve=str, observe=lambda _: None, clock=clock)
    pings.house(far.url, SICK)
    clock.move(60)
    pings.house(far.url, SICK)
    until(lambda: far.paths == ["/fail"])
    pings.close()


# --- A far side that is not well ----------------------------------------------------


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        f"{vars(one)['host']}: {vars(one)['detail']}"
        for one in caplog.records
        if one.message == "ping_failed"
    ]


def say(pings: Pings, url: str) -> None:
    pings.house(url, WELL)


@pytest.mark.parametrize(
    ("status", "tries"), [(500, 3), (429, 3), (404, 1), (302, 1), (301, 1)]
)
def test_a_refusal_is_tried_again_only_where_that_may_help(
    pings: Pings,
    far: FarSide,
    results: list[str],
    caplog: pytest.LogCaptureFixture,
    status: int,
    tries: int,
) -> None:
    far.status = status
    say(pings, f"{far.url}/secret-key")
    until(lambda: results)
    assert results == ["failed"]
    assert far.paths == ["/secret-key"] * tries
    assert warnings(caplog) == [f"127.0.0.1: It answered {status}."]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/secret-key", "ftp://x/secret-key"])
def test_of_an_address_only_the_host_is_told(
    pings: Pings, results: list[str], caplog: pytest.LogCaptureFixture, url: str
) -> None:
    caplog.set_level(logging.DEBUG, "boe_reconciler")
    say(pings, url)
    until(lambda: results)
    assert len(warnings(caplog)) == 1
    ours = [one for one in caplog.records if one.name.startswith("boe_reconciler")]
    assert "secret-key" not in str([vars(one) for one in ours])


def test_an_address_that_is_missing_is_told(
    results: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    def missing(_: object) -> str:
        raise Permanent("secret_missing", "PING is not set.")

    pings = Pings(
        resolve=missing, observe=lambda _: results.append("."), clock=SystemClock()
    )
    say(pings, "x")
    until(lambda: results)
    assert warnings(caplog) == ["?: PING is not set."]
    pings.close()


def test_a_far_side_that_hangs_delays_no_run_and_no_end(
    told: World, pings: Pings, far: FarSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 5.0)
    monkeypatch.setattr(module, "FAREWELL", 0.5)
    far.delay = 5.0
    began = time.monotonic()
    record = told.run_now(a_spec(ping=far.url))
    assert record.run.status == "succeeded"
    pings.close()
    assert time.monotonic() - began < 4.0
    for lane in pings._lanes:
        lane.join(10)  # it ends with its answer, before the test does


def test_what_waits_for_long_is_dropped_and_counted(
    told: World,
    pings: Pings,
    far: FarSide,
    results: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    far.delay = 0.5
    for lane in pings._lanes:
        lane._waiting.maxsize = 1
    spec = a_spec(ping=far.url)
    told.serve(spec)
    for _ in range(4):
        told.ask(spec.schedule)
        told.work()
    assert "dropped" in results


def test_what_waits_is_still_sent_at_the_end(
    told: World, pings: Pings, far: FarSide
) -> None:
    told.run_now(a_spec(ping=far.url))
    pings.close()
    assert far.paths == ["/start", "/"]
