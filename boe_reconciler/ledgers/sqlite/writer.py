"""One transaction at a time: what waits together is committed together.

Whoever comes while nobody writes does it at once, in its own thread, and with it what
has come until then: to have another thread do it would take as long as a verb.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
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


_Job = tuple[Callable[[Connection], Any], "Future[Any]"]


class Writer:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: deque[_Job] = deque()
        #: Held from the beginning of a transaction until its jobs are over.
        self._writing = Lock()
        self._closing = Lock()
        self._closed = False
        self._connection: Connection | None = None
        #: What the main thread wants; None: no more will come.
        self._aside: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    def do(self, verb: Callable[[Connection], T]) -> T:
        """Its result once it is committed, or what it raised, having changed nothing."""
        future: Future[T] = Future()
        if current_thread() is main_thread():
            self._hand_over((verb, future))
        else:
            self._see_to((verb, future))
        return future.result()

    def close(self) -> None:
        with self._closing:
            self._closed = True
            self._aside.put(None)
        self._thread.join()
        with self._writing:
            self._let_go()

    def _hand_over(self, job: _Job) -> None:
        """Ctrl-C comes to the main thread at any line, and must not come between ours."""
        with self._closing:
            self._refuse_closed()
            self._aside.put(job)

    def _work(self) -> None:
        while (job := self._aside.get()) is not None:
            self._see_to(job)

    def _see_to(self, job: _Job) -> None:
        _, future = job
        self._waiting.append(job)
        with self._writing:
            while not future.done():
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
        for (_, future), (found, failure) in zip(jobs, outcomes, strict=True):
            if failure is None:
                future.set_result(found)
            else:
                future.set_exception(failure)

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
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _outcomes(
    connection: Connection, jobs: list[_Job]
) -> list[tuple[Any, BaseException | None]]:
    """What each gave or raised. One that is alone needs no savepoint to fail alone."""
    if len(jobs) == 1:
        return [(jobs[0][0](connection), None)]
    raw = driver(connection)
    return [alone(raw, partial(verb, connection)) for verb, _ in jobs]
