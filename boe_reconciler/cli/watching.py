"""Who watches `boe run` from outside: over HTTP, as far as it was asked for."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from boe_reconciler.cli.output import say

if TYPE_CHECKING:
    from boe_reconciler.app import App
    from boe_reconciler.web.server import Server

log = logging.getLogger(__name__)


@contextmanager
def watched(app: App, http: str | None) -> Iterator[None]:
    """From before the first look at the files to the end of the last run."""
    with ExitStack() as stack:
        if http is not None:
            stack.callback(_http(app, http).close)
        yield


def _http(app: App, address: str) -> Server:
    from boe_reconciler.web.looking import Looking, Outlook
    from boe_reconciler.web.metrics import Metrics
    from boe_reconciler.web.pages import pages
    from boe_reconciler.web.server import Server

    vitals, metrics = app.vitals, Metrics(app.clock, build())
    outlook = Outlook(
        ledger=app.ledger, state=app.state, ready=vitals.ready, clock=app.clock
    )
    metrics.registry.register(Looking(outlook))
    app.observers.append(metrics.observe)
    found = pages(metrics.registry, alive=vitals.alive, ready=vitals.ready)
    server = Server(address, found, clock=app.clock)
    say(f"Metrics and health at {server.url} (/metrics, /healthz, /readyz).")
    log.info("http_listening", extra={"url": server.url})
    return server


def build() -> Mapping[str, str]:
    """Which BOE this is."""
    from importlib.metadata import version

    from boe_reconciler.core.calendar.zones import TZDB_VERSION

    return {
        "version": version("boe-reconciler"),
        "python": platform.python_version(),
        "tzdb": TZDB_VERSION,
    }
