"""Who watches `boe run` from outside: over HTTP, systemd, pings; each if it was asked for."""

from __future__ import annotations

import logging
import platform
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from boe_reconciler.app import installed_version
from boe_reconciler.cli.output import say
from boe_reconciler.core.errors import InputError

if TYPE_CHECKING:
    from boe_reconciler.app import App
    from boe_reconciler.web.server import Hook, Server

log = logging.getLogger(__name__)
#: Seconds between two looks at how it is.
PERIOD = 1.0
Look = Callable[[], None]


@contextmanager
def watched(app: App, http: str | None) -> Iterator[None]:
    """From before the first look at the files to the end of the last run."""
    with ExitStack() as stack:
        if http is None and app.settings.hook_secret is not None:
            raise InputError(
                "There is a secret for /hooks/fetch, but nothing answers HTTP.",
                "Give --http HOST:PORT, or take BOE_HOOK_SECRET away.",
            )
        if http is not None:
            stack.callback(_http(app, http).close)
        looks = [*_systemd(app), *_ping(app)]
        if looks:
            stack.enter_context(_looking(looks))
        yield


@contextmanager
def _looking(looks: Sequence[Look]) -> Iterator[None]:
    """Each is called now and then, on a thread that no run and no loop holds up."""
    end = threading.Event()

    def work() -> None:
        while not end.wait(PERIOD):
            for look in looks:
                look()

    thread = threading.Thread(target=work, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _systemd(app: App) -> Iterator[Look]:
    systemd = app.systemd
    if systemd is not None:
        vitals = app.vitals
        yield lambda: systemd.look(vitals.steps, vitals.ready())


def _ping(app: App) -> Iterator[Look]:
    if app.settings.ping_url is not None:
        from boe_reconciler.core.resources.connection import EnvSecret

        # As a secret: its value is then masked wherever it would be told.
        to, vitals, pings = EnvSecret(env="BOE_PING_URL"), app.vitals, app.pings
        yield lambda: pings.house(to, vitals.ready())


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
    server = Server(address, found, hooks=_hooks(app), clock=app.clock)
    say(f"Metrics and health at {server.url} (/metrics, /healthz, /readyz).")
    log.info("http_listening", extra={"url": server.url})
    return server


def _hooks(app: App) -> Mapping[str, Hook]:
    """What may be posted there: nothing without a secret."""
    at = app.settings.hook_secret
    if at is None:
        return {}
    from boe_reconciler.web.hooks import PATH, FetchHook

    hook = FetchHook(
        secret=lambda: app.secret(at),
        hurry=app.served_repo.hurry,
        clock=app.clock,
        observe=app.observe,
    )
    hook.check()
    return {PATH: hook}


def build() -> Mapping[str, str]:
    """Which BOE this is."""
    from boe_reconciler.core.calendar.zones import TZDB_VERSION

    return {
        "version": installed_version(),
        "python": platform.python_version(),
        "tzdb": TZDB_VERSION,
    }
