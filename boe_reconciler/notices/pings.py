"""Pings: a URL outside is told that BOE lives, and how runs of a schedule go.

The words are those of healthchecks: URL/start, URL, URL/fail. Who waits there notices
silence, too. A ping is lost rather than a run delayed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit
from uuid import NAMESPACE_URL, uuid5
from zlib import crc32

from boe_reconciler.core.errors import Permanent, Temporary
from boe_reconciler.core.facts import Fact, Observe, Pinged, RunEnded, RunStarted
from boe_reconciler.core.health import Health
from boe_reconciler.core.ports import Clock
from boe_reconciler.core.runs import RunStatus

if TYPE_CHECKING:
    from httpx import Client

log = logging.getLogger(__name__)
#: Seconds between two pings that say how the house is.
EVERY = 60.0
#: Seconds that one try may take, in each of its steps.
PATIENCE = 3.0
TRIES = 3
#: Seconds before the second try; twice as long before the third.
PAUSE = 0.5
#: Seconds that pings may still take at the end of the process.
FAREWELL = 3.0
#: Pings that wait in a lane, at most: more are dropped.
WAITING = 200
#: A far side that hangs holds up only its own lane.
LANES = 4
_GOOD = (RunStatus.SUCCEEDED, RunStatus.SKIPPED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ping:
    #: A URL, or a reference to one.
    to: Any
    #: "/start", "" or "/fail".
    word: str
    #: One line.
    body: str
    #: What tells one run's start and end from those of another.
    rid: str = ""


class Pings:
    """Queues what the engine says and sends it on threads of its own."""

    def __init__(
        self, *, resolve: Callable[[Any], str], observe: Observe, clock: Clock
    ) -> None:
        self._clock = clock
        self._lanes = [_Lane(resolve, observe, clock) for _ in range(LANES + 1)]
        self._said: float | None = None
        self._since = clock.monotonic()

    def observe(self, fact: Fact) -> None:
        if isinstance(fact, RunStarted):
            if fact.claimed.record.run.fence == 1:
                self._about(fact, "/start", "started")
        elif isinstance(fact, RunEnded):
            word = "" if fact.status in _GOOD else "/fail"
            rows = "" if fact.rows is None else f", {fact.rows} rows"
            reason = f", {fact.reason}" if fact.reason else ""
            self._about(fact, word, f"{fact.status.value}{reason}{rows}")

    def house(self, to: Any, health: Health) -> None:
        """Asked often; says at most once a minute how it is."""
        now = self._clock.monotonic()
        due = self._said is None or now >= self._said + EVERY
        if not due or health.reason == "draining":
            return
        if not health.well and now < self._since + EVERY:
            # It has only just begun.
            return
        self._said = now
        word, body = ("", "ready") if health.well else ("/fail", health.message)
        self._lanes[LANES].put(Ping(to=to, word=word, body=body))

    def close(self) -> None:
        """Send what waits, for a few seconds; then let it be."""
        end = self._clock.monotonic() + FAREWELL
        for lane in self._lanes:
            lane.finish()
        for lane in self._lanes:
            lane.join(max(end - self._clock.monotonic(), 0.0))

    def _about(self, fact: RunStarted | RunEnded, word: str, what: str) -> None:
        run, spec = fact.claimed.record.run, fact.claimed.spec
        # A dry run, or one for somebody alone, says nothing about the schedule.
        if spec.ping is None or not run.whole:
            return
        rid = str(uuid5(NAMESPACE_URL, run.run_id))
        ping = Ping(to=spec.ping, word=word, body=f"{run.run_id} {what}", rid=rid)
        lane = crc32(repr(spec.ping).encode()) % LANES
        self._lanes[lane].put(ping)


def address(url: str, word: str, rid: str = "") -> str:
    """The URL with the word behind its path, and the rid in its query."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/") + word if word else parts.path
    more = urlencode({"rid": rid}) if rid else ""
    query = "&".join(part for part in (parts.query, more) if part)
    return urlunsplit((parts.scheme, parts.netloc, path, query, ""))


class _Lane:
    """One after the other, in order, on a thread that is made when it is needed."""

    def __init__(
        self, resolve: Callable[[Any], str], observe: Observe, clock: Clock
    ) -> None:
        self._resolve = resolve
        self._observe = observe
        self._clock = clock
        self._waiting: Queue[Ping] = Queue(WAITING)
        self._ending = threading.Event()
        self._making = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, ping: Ping) -> None:
        try:
            self._waiting.put_nowait(ping)
        except Full:
            self._observe(Pinged(result="dropped"))
            return
        with self._making:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="pings", daemon=True
                )
                self._thread.start()

    def finish(self) -> None:
        self._ending.set()

    def join(self, seconds: float) -> None:
        if self._thread is not None:
            self._thread.join(seconds)

    def _work(self) -> None:
        import httpx  # 0.2 s, and only where somebody is to be told

        with httpx.Client(
            timeout=PATIENCE, follow_redirects=False, headers={"User-Agent": "boe"}
        ) as client:
            while (ping := self._next()) is not None:
                self._send(client, ping)

    def _next(self) -> Ping | None:
        """None: it is ending, and nothing waits."""
        while True:
            try:
                return self._waiting.get(timeout=0.0 if self._ending.is_set() else 0.2)
            except Empty:
                if self._ending.is_set():
                    return None

    def _send(self, client: Client, ping: Ping) -> None:
        host = "?"
        try:
            url = self._resolve(ping.to)
            host = urlsplit(url).hostname or "?"
            self._try(client, ping, url)
            self._observe(Pinged(result="sent"))
        except Exception as error:
            # Of the address only the host may be told: the rest of it is a key.
            detail = getattr(error, "message", type(error).__name__)
            log.warning("ping_failed", extra={"host": host, "detail": detail})
            self._observe(Pinged(result="failed"))

    def _try(self, client: Client, ping: Ping, url: str) -> None:
        """Temporary or Permanent if all tries failed."""
        for number in range(TRIES):
            try:
                _post(client, ping, url)
                return
            except Temporary:
                last = number + 1 == TRIES
                if last or self._ending.wait(PAUSE * 2**number):
                    raise


def _post(client: Client, ping: Ping, url: str) -> None:
    import httpx

    target = address(url, ping.word, ping.rid)
    try:
        # The answer's body is not read: nobody needs it, and it might never end.
        with client.stream("POST", target, content=ping.body.encode()) as answer:
            status = answer.status_code
    except httpx.TransportError as error:
        text = f"It did not answer ({type(error).__name__})."
        raise Temporary("unreachable", text) from error
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise Permanent("not_a_url", "It is no http or https URL.") from error
    if status == 429 or status >= 500:
        raise Temporary("refused", f"It answered {status}.")
    if status >= 300:
        raise Permanent("refused", f"It answered {status}.")
