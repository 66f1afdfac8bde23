"""The one thread that writes: what waits together is committed together."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
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
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._closing = Lock()
        self._closed = False
        self._connection: Connection | None = None
        self._thread = Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    def do(self, verb: Callable[[Connection], T]) -> T:
        """Its result once it is committed, or what it raised, having changed nothing."""
        future: Future[T] = Future()
        with self._closing:
            if self._closed:
                raise LedgerClosed("the ledger is closed")
            self._jobs.put((verb, future))
        return future.result()

    def close(self) -> None:
        with self._closing:
            self._closed = True
            self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        more = True
        while more:
            jobs, more = self._next()
            if jobs:
                self._commit(jobs)
        self._let_go()

    def _next(self) -> tuple[list[_Job], bool]:
        """At least one job, and all that wait behind it; False at the end."""
        jobs: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            try:
                if len(jobs) == _TOGETHER:
                    return jobs, True
                job = self._jobs.get_nowait()
            except Empty:
                return jobs, True
        return jobs, False

    def _commit(self, jobs: list[_Job]) -> None:
        """All of them in one transaction."""
        try:
            connection = self._ready()
            # SQLAlchemy's own steps would take as long as a verb.
            raw = driver(connection)
            raw.execute(BEGIN)
            outcomes = _outcomes(connection, jobs)
            raw.commit()
        except Exception as error:
            self._let_go()
            outcomes = [(None, error)] * len(jobs)
        for (_, future), (found, failure) in zip(jobs, outcomes, strict=True):
            if failure is None:
                future.set_result(found)
            else:
                future.set_exception(failure)

    def _ready(self) -> Connection:
        """The same each time: what it knows of the file stays true while only it writes."""
        if self._connection is None:
            self._connection = writing(self._engine)
        return self._connection

    def _let_go(self) -> None:
        """Of one that broke, too."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _outcomes(
    connection: Connection, jobs: list[_Job]
) -> list[tuple[Any, Exception | None]]:
    """What each gave or raised. One that is alone needs no savepoint to fail alone."""
    if len(jobs) == 1:
        return [(jobs[0][0](connection), None)]
    raw = driver(connection)
    return [alone(raw, partial(verb, connection)) for verb, _ in jobs]
