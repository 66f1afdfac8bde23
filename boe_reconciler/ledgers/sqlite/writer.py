"""One transaction at a time: what waits together is committed together.

Whoever comes while nobody writes does it at once, in its own thread, and with it what
has come until then: to have another thread do it would take as long as a verb.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread, current_thread, main_thread
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from boe_reconciler.core.errors import LedgerClosed
from boe_reconciler.ledgers.sqlite.bulk import driver
from boe_reconciler.ledgers.sqlite.opening import BEGIN, alone, writing

T = TypeVar("T")
#: Verbs in one transaction, at most: others must get their turn.
_TOGETHER = 200


class _Job:
    """A verb, and once it is over what it gave or raised."""

    __slots__ = ("failure", "found", "over", "verb")

    def __init__(self, verb: Callable[[Connection], Any]) -> None:
        self.verb = verb
        self.over = False
        self.found: Any = None
        self.failure: BaseException | None = None


class Writer:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: deque[_Job] = deque()
        #: Held from the beginning of a transaction until its jobs are over.
        self._writing = Lock()
        self._closing = Lock()
        self._closed = False
        self._connection: Connection | None = None
        #: What the main thread wants, and how it is told that it is over.
        self._aside: SimpleQueue[tuple[_Job, Lock] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    def do(self, verb: Callable[[Connection], T]) -> T:
        """Its result once it is committed, or what it raised, having changed nothing."""
        job = _Job(verb)
        try:
            if current_thread() is main_thread():
                self._hand_over(job)
            else:
                self._see_to(job)
            if job.failure is not None:
                raise job.failure
            found: T = job.found
            return found
        finally:
            del job  # its error knows this frame

    def close(self) -> None:
        with self._closing:
            self._closed = True
            self._aside.put(None)
        self._thread.join()
        with self._writing:
            self._let_go()

    def _hand_over(self, job: _Job) -> None:
        """Ctrl-C comes to the main thread at any line, and must not come between ours."""
        over = Lock()
        over.acquire()
        with self._closing:
            self._refuse_closed()
            self._aside.put((job, over))
        over.acquire()

    def _work(self) -> None:
        while (wanted := self._aside.get()) is not None:
            job, over = wanted
            self._see_to(job)
            over.release()

    def _see_to(self, job: _Job) -> None:
        self._waiting.append(job)
        with self._writing:
            while not job.over:
                self._commit(self._next())

    def _next(self) -> list[_Job]:
        """Those that wait, the first ones first."""
        count = min(len(self._waiting), _TOGETHER)
        return [self._waiting.popleft() for _ in range(count)]

    def _commit(self, jobs: list[_Job]) -> None:
        """All of them in one transaction."""
        try:
            connection = self._ready()
            # SQLAlchemy's own steps would take as long as a verb.
            raw = driver(connection)
            raw.execute(BEGIN)
            outcomes = _outcomes(connection, jobs)
            raw.commit()
        except BaseException as error:
            self._let_go()
            outcomes = [(None, error)] * len(jobs)
        for job, (found, failure) in zip(jobs, outcomes, strict=True):
            job.found, job.failure, job.over = found, failure, True

    def _ready(self) -> Connection:
        """The same each time: what it knows of the file stays true while only it writes."""
        self._refuse_closed()
        if self._connection is None:
            self._connection = writing(self._engine)
        return self._connection

    def _refuse_closed(self) -> None:
        if self._closed:
            raise LedgerClosed("the ledger is closed")

    def _let_go(self) -> None:
        """Of one that broke, too."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _outcomes(
    connection: Connection, jobs: list[_Job]
) -> list[tuple[Any, BaseException | None]]:
    """What each gave or raised. One that is alone needs no savepoint to fail alone."""
    if len(jobs) == 1:
        return [(jobs[0].verb(connection), None)]
    raw = driver(connection)
    return [alone(raw, partial(job.verb, connection)) for job in jobs]
