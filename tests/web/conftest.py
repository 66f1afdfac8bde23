"""A real server, and what a client gets from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from boe_reconciler.clock import SystemClock
from boe_reconciler.web.metrics import Metrics
from boe_reconciler.web.server import Hook, Page, Server
from tests.engine.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.backends.close()


@pytest.fixture
def metrics(world: World) -> Metrics:
    """Told of all that the world's engine does."""
    made = Metrics(world.clock, {"version": "1"})
    world.observers.append(made.observe)
    return made


Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve(pages, hooks): the URL of a server with these, until the test ends."""
    servers = []

    def start(
        pages: dict[str, Callable[[str], Page]], hooks: dict[str, Hook] | None = None
    ) -> str:
        server = Server("127.0.0.1:0", pages, hooks=hooks, clock=SystemClock())
        servers.append(server)
        return server.url

    yield start
    for server in servers:
        server.close()
