"""Rendering ahead: while one batch is written, the next are rendered by threads.

Arrow lets go of Python's lock while it works, and so does igzip, in the caller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
#: Of one file. Several runs share the processor with it.
THREADS = 2


def ahead(
    items: Iterable[Item], work: Callable[[Item], Result], threads: int = THREADS
) -> Generator[Result, None, None]:
    """`work` of each item, in their order; on one thread also one after the other.

    Items are asked for in the caller's thread: there a cancel or a failing source ends
    it. Few are at work at once, so that memory stays flat. A single one needs no thread.
    """
    source = iter(items)
    first = list(islice(source, 2))
    if len(first) < 2:
        yield from map(work, first)
        return
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="format")
    try:
        for item in chain(first, source):
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
