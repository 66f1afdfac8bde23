"""Words to systemd: ready, alive, ending. sd_notify(3) is a datagram to a socket."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

from boe_reconciler.core.facts import Draining, Fact, Reconciled, Resumed
from boe_reconciler.core.health import Health

log = logging.getLogger(__name__)


def create(environment: Mapping[str, str]) -> Systemd | None:
    """None where no systemd waits for words of ours (NOTIFY_SOCKET)."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return None
    mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    watchdog = mine and environment.get("WATCHDOG_USEC", "").isdecimal()
    return Systemd(address, watchdog=watchdog)


class Systemd:
    def __init__(self, address: str, *, watchdog: bool) -> None:
        # A leading @ is how an abstract address is written.
        self._address = "\0" + address[1:] if address[0] == "@" else address
        self._watchdog = watchdog
        self._ready = False
        self._steps = 0
        self._serving = ""
        self._status = ""
        self._unheard = False

    def observe(self, fact: Fact) -> None:
        if isinstance(fact, Resumed):
            self._serves(None)
        elif isinstance(fact, Reconciled):
            self._serves(fact.activation.serving)
        elif isinstance(fact, Draining):
            self._tell("STOPPING=1", "STATUS=Ending: runs at work may end.")

    def _serves(self, revision: str | None) -> None:
        """Ready with the first plan, be it the one of the last time while git is down."""
        self._serving = f"Serving {revision or 'what was served before'}."
        if not self._ready:
            self._ready = True
            self._status = self._serving
            self._tell("READY=1", f"STATUS={self._serving}")

    def look(self, steps: int, ready: Health) -> None:
        """Now and then, from beside the loop; `steps` are those that it made so far."""
        words = []
        if self._watchdog and steps > self._steps:
            words.append("WATCHDOG=1")
        self._steps = steps
        status = ready.message or self._serving
        if self._ready and status != self._status:
            self._status = status
            words.append(f"STATUS={status}")
        if words:
            self._tell(*words)

    def _tell(self, *words: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.settimeout(1)
                channel.sendto("\n".join(words).encode(), self._address)
        except OSError as error:
            if not self._unheard:
                log.warning("systemd_unreachable", extra={"detail": str(error)})
            self._unheard = True
